"""Approximate search among very many vectors, by faiss; the only importer of it.

Vectors are dealt out to cells around centres found by k-means; a query looks into the cells whose
centres are nearest to it (Jégou et al., *Product quantization for nearest neighbor search*, 2011,
section IV, without the quantisation). What lies in another cell is missed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mirfeat.errors import MissingPackageError
from mirfeat.explore.placement import Placement, pieces

# Of a thousand cells: measured in benchmarks/neighbours.py.
_CELLS_LOOKED_INTO = 24
# With fewer vectors a cell k-means has too little to go by; more make no better centres.
_FEWEST_A_CELL, _MOST_A_CELL = 39, 128


class ApproximateSearch:
    """Points of a table in cells, in memory or in a file that is mapped into it.

    The same points give the same cells.
    """

    def __init__(self, index: Any) -> None:
        """Search an index of faiss, as :meth:`build` and :meth:`read` make it."""
        self._index = index

    @classmethod
    def build(
        cls, values: np.ndarray, placement: Placement, step: Callable[[int], None] = lambda _: None
    ) -> ApproximateSearch:
        """Deal out the vectors of a table, float32 [n, dimension]; ``step`` is told how many.

        Raises:
            MissingPackageError: faiss is not installed.
        """
        faiss = _faiss()
        count, size = values.shape
        kind = faiss.METRIC_L2 if placement.metric == "cosine" else faiss.METRIC_L1
        cells = max(1, min(round(count**0.5), count // _FEWEST_A_CELL))
        index = faiss.IndexIVFFlat(faiss.IndexFlat(size, kind), size, cells, kind)
        index.cp.min_points_per_centroid = 1  # of few vectors faiss would complain on stdout
        taught = np.arange(count)
        if count > cells * _MOST_A_CELL:
            draw = np.random.default_rng(0)
            taught = np.sort(draw.choice(count, cells * _MOST_A_CELL, replace=False))
        index.train(placement.place(values[taught]))
        # Where each row is: its point can be had from the cells again.
        index.make_direct_map()
        for piece in pieces(values):
            index.add(placement.place(piece))
            step(len(piece))
        return cls(index)

    @classmethod
    def read(cls, path: Path) -> ApproximateSearch:
        """What :meth:`write` wrote, mapped into memory: a search reads the cells it looks into.

        Raises:
            MissingPackageError: faiss is not installed.
            OSError: not such a file.
        """
        faiss = _faiss()
        # Nothing is mapped by faiss on Windows.
        how = faiss.IO_FLAG_MMAP if os.name == "posix" else 0
        try:
            return cls(faiss.read_index(str(path), how))
        except (RuntimeError, AttributeError) as error:
            raise OSError(f"{path}: {error}") from error

    def write(self, path: Path) -> None:
        """Write the cells to a file.

        Raises:
            OSError: it cannot be written.
        """
        try:
            _faiss().write_index(self._index, str(path))
        except RuntimeError as error:
            raise OSError(f"{path}: {error}") from error

    def __len__(self) -> int:
        """Number of points."""
        return int(self._index.ntotal)

    def points(self, rows: np.ndarray) -> np.ndarray:
        """Points of rows of the table, float32 [rows, dimension]."""
        found: np.ndarray = self._index.reconstruct_batch(np.asarray(rows, np.int64))
        return found

    def nearest(self, points: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
        """Distances and rows, each [queries, top], nearest first; ``top`` at most what is there."""
        distances, rows = self._look(points, top, _CELLS_LOOKED_INTO)
        if (rows < 0).any():  # the cells held fewer
            distances, rows = self._look(points, top, self._index.nlist)
        euclidean = self._index.metric_type == _faiss().METRIC_L2
        return np.sqrt(np.maximum(distances, 0)) if euclidean else distances, rows

    def _look(self, points: np.ndarray, top: int, cells: int) -> tuple[np.ndarray, np.ndarray]:
        where = _faiss().SearchParametersIVF(nprobe=min(cells, self._index.nlist))
        distances, rows = self._index.search(points, top, params=where)
        return distances, rows


def require_faiss() -> None:
    """Whether faiss is there, before long work.

    Raises:
        MissingPackageError: it is not installed.
    """
    _faiss()


def _faiss() -> Any:
    try:
        import faiss  # an extra: large, and only very large tables need it
    except ImportError as error:
        raise MissingPackageError(
            "approximate neighbours need faiss: pip install 'mirfeat[index]'"
        ) from error
    return faiss
