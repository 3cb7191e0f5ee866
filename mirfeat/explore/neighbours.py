"""Which clips sound alike: nearest neighbours, exact by scikit-learn or approximate by faiss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from sklearn.neighbors import NearestNeighbors

from mirfeat.errors import ConfigError, OptionError
from mirfeat.explore.approximate import ApproximateSearch
from mirfeat.results.table import FeatureTable

Metric = Literal["cosine", "l1"]
METRICS: tuple[Metric, ...] = ("cosine", "l1")


class NearClip(NamedTuple):
    """A clip near another one: cosine similarity in [-1, 1], or L1 distance, 0 or more."""

    id: str
    value: float


@dataclass(frozen=True, eq=False)
class Near:
    """Neighbours of several queries, nearest first.

    ``rows``: int64 [queries, top], rows of the table; ``values``: float64 [queries, top], cosine
    similarity (falling) or L1 distance (rising).
    """

    rows: np.ndarray
    values: np.ndarray


class Neighbours:
    """An index of a table of features that answers which clips are nearest.

    Each number of a vector is standardised over the table first (mean 0, standard deviation 1):
    otherwise the few with the largest numbers decide alone. ``standardise=False`` compares the
    vectors as they are. ``metric`` is ``"cosine"`` or ``"l1"``, the sum of absolute differences.
    The search is exact. ``approximate=True`` looks at a small part of the table only, in a fraction
    of the time: for tables of hundreds of thousands, and at the price of a few neighbours missed.

    >>> from mirfeat.explore.neighbours import Neighbours
    >>> with mirfeat.load_extractor("mfcc") as extractor:
    ...     index = Neighbours(extractor.extract_files(songs[-12:], progress=False))
    >>> [clip.id for clip in index.nearest_to("metal_fear.mp3", top=1)]
    ['metal_elveszett_lelkek.opus']

    Raises:
        ConfigError: an empty table, or one with values that are not finite.
        OptionError: another metric.
        MissingPackageError: ``approximate`` without faiss.
    """

    def __init__(
        self,
        table: FeatureTable,
        metric: Metric = "cosine",
        *,
        standardise: bool = True,
        approximate: bool = False,
    ) -> None:
        if metric not in METRICS:
            raise OptionError(f"metric={metric!r}: it is 'cosine' or 'l1'.")
        values = np.asarray(table.values, dtype=np.float32)
        if not len(values) or not np.isfinite(values).all():
            raise ConfigError(
                f"{table!r}: neighbours need one clip or more, and finite numbers only."
            )
        self.ids, self.metric = table.ids, metric
        self._mean, self._scale = np.zeros(1, np.float32), np.ones(1, np.float32)
        if standardise:
            self._mean = values.mean(axis=0, dtype=np.float64).astype(np.float32)
            deviation = values.std(axis=0, dtype=np.float64).astype(np.float32)
            # What is the same in all clips says nothing of any.
            self._scale = np.where(deviation > 1e-6 * (1 + np.abs(self._mean)), deviation, np.inf)
        self._points = self._placed(values)
        # Of vectors of length 1 those at the least distance have the greatest cosine.
        kind = "euclidean" if metric == "cosine" else "manhattan"
        self._search: NearestNeighbors | ApproximateSearch = (
            ApproximateSearch(self._points, kind)
            if approximate
            else NearestNeighbors(metric=kind, algorithm="brute").fit(self._points)
        )
        self._rows = {id: row for row, id in enumerate(table.ids)}

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.ids)

    def nearest(self, vector: np.ndarray, top: int = 10) -> list[NearClip]:
        """The ``top`` clips nearest to a vector, float32 (dimension,), nearest first.

        Raises:
            OptionError: ``top`` below 1, or a vector of another size.
        """
        near = self.search(np.asarray(vector)[None], top)
        return self._named(near.rows[0], near.values[0])

    def nearest_to(self, id: str, top: int = 10) -> list[NearClip]:
        """The clips nearest to one of the table, itself left out.

        Raises:
            OptionError: ``top`` below 1, or no such id.
        """
        if id not in self._rows:
            raise OptionError(f"{id!r} is not in this table of {len(self)} clips.")
        near = self.among([self._rows[id]], top)
        return self._named(near.rows[0], near.values[0])

    def search(self, vectors: np.ndarray, top: int = 10) -> Near:
        """The ``top`` rows nearest to each of ``vectors`` [queries, dimension]."""
        vectors = np.asarray(vectors, dtype=np.float32)
        size = self._points.shape[1]
        if vectors.ndim != 2 or vectors.shape[1] != size:
            raise OptionError(f"vectors {vectors.shape}: this table has {size} numbers a clip.")
        return self._find(self._placed(vectors), top)

    def among(self, rows: Sequence[int], top: int = 10) -> Near:
        """The ``top`` rows nearest to each of some rows of the table, itself left out."""
        near = self._find(self._points[list(rows)], top + 1)
        kept = [self._without(row, near.rows[i]) for i, row in enumerate(rows)]
        places = np.array(kept, dtype=np.int64).reshape(len(rows), -1)
        return Near(
            np.take_along_axis(near.rows, places, axis=1),
            np.take_along_axis(near.values, places, axis=1),
        )

    @staticmethod
    def _without(row: int, found: np.ndarray) -> list[int]:
        """Places in ``found`` without that of ``row``; without the last one if it is not there."""
        places = [place for place, other in enumerate(found) if other != row]
        return places[: len(found) - 1]

    def _find(self, points: np.ndarray, top: int) -> Near:
        if top < 1:
            raise OptionError(f"top={top}: 1 or more.")
        distances, rows = self._search.kneighbors(points, min(top, len(self)))
        distances = np.asarray(distances, dtype=np.float64)
        if self.metric == "cosine":
            distances = 1 - distances**2 / 2
        return Near(np.asarray(rows, dtype=np.int64), distances)

    def _placed(self, vectors: np.ndarray) -> np.ndarray:
        points = (vectors - self._mean) / self._scale
        if self.metric == "cosine":
            length = np.linalg.norm(points, axis=1, keepdims=True)
            points = points / np.where(length > 0, length, 1)
        return np.ascontiguousarray(points, dtype=np.float32)

    def _named(self, rows: np.ndarray, values: np.ndarray) -> list[NearClip]:
        return [
            NearClip(self.ids[row], float(value)) for row, value in zip(rows, values, strict=True)
        ]
