"""Approximate search among very many vectors, by faiss; the only importer of it.

Vectors are dealt out to cells around centres found by k-means; a query looks into the cells whose
centres are nearest to it (Jégou et al., *Product quantization for nearest neighbor search*, 2011,
section IV, without the quantisation). What lies in another cell is missed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mirfeat.errors import MissingPackageError

# Of a thousand cells: measured in benchmarks/neighbours.py.
_CELLS_LOOKED_INTO = 24
# Fewer vectors a cell than this, and k-means has too little to go by.
_FEWEST_A_CELL = 39


class ApproximateSearch:
    """What :class:`sklearn.neighbors.NearestNeighbors` offers, of points [n, dimension].

    ``metric``: "euclidean" or "manhattan". The same points give the same cells.

    Raises:
        MissingPackageError: faiss is not installed.
    """

    def __init__(self, points: np.ndarray, metric: str) -> None:
        try:
            import faiss  # an extra: large, and only very large tables need it
        except ImportError as error:
            raise MissingPackageError(
                "approximate=True needs faiss: pip install 'mirfeat[index]'"
            ) from error
        count, size = points.shape
        self._euclidean = metric == "euclidean"
        kind = faiss.METRIC_L2 if self._euclidean else faiss.METRIC_L1
        cells = max(1, min(round(count**0.5), count // _FEWEST_A_CELL))
        # Kept: the index refers to it.
        self._centres = faiss.IndexFlat(size, kind)
        self._index: Any = faiss.IndexIVFFlat(self._centres, size, cells, kind)
        self._index.nprobe = min(_CELLS_LOOKED_INTO, cells)
        self._index.train(points)
        self._index.add(points)

    def kneighbors(self, points: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
        """Distances and rows, each [queries, top], nearest first."""
        distances, rows = self._index.search(points, top)
        if (rows < 0).any():  # the cells held fewer
            nearby, self._index.nprobe = self._index.nprobe, self._index.nlist
            distances, rows = self._index.search(points, top)
            self._index.nprobe = nearby
        return np.sqrt(np.maximum(distances, 0)) if self._euclidean else distances, rows
