"""Which clips sound alike: nearest neighbours, exact by scikit-learn or approximate by faiss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mirfeat.errors import ConfigError, OptionError
from mirfeat.explore.approximate import ApproximateSearch
from mirfeat.explore.placement import Metric, Placement, check_metric, pieces
from mirfeat.results.table import FeatureTable
from mirfeat.runs.progress import Shown, Steps


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


class ExactSearch:
    """Points of a table, every one of which is compared with a query."""

    def __init__(self, values: np.ndarray, placement: Placement) -> None:
        """Of vectors float32 [n, dimension]."""
        from sklearn.neighbors import NearestNeighbors  # a second; a kept index needs none

        self._points = np.empty(values.shape, np.float32)
        start = 0
        for piece in pieces(values):
            self._points[start : start + len(piece)] = placement.place(piece)
            start += len(piece)
        # Of vectors of length 1 those at the least distance have the greatest cosine.
        kind = "euclidean" if placement.metric == "cosine" else "manhattan"
        self._search = NearestNeighbors(metric=kind, algorithm="brute").fit(self._points)

    def points(self, rows: np.ndarray) -> np.ndarray:
        """Points of rows of the table, float32 [rows, dimension]."""
        found: np.ndarray = self._points[rows]
        return found

    def nearest(self, points: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
        """Distances and rows, each [queries, top], nearest first."""
        distances, rows = self._search.kneighbors(points, top)
        return distances, rows


class Neighbours:
    """An index of a table of features that answers which clips are nearest.

    Each number of a vector is standardised over the table first (mean 0, standard deviation 1):
    otherwise the few with the largest numbers decide alone. ``standardise=False`` compares the
    vectors as they are. ``metric`` is ``"cosine"`` or ``"l1"``, the sum of absolute differences.
    The search is exact. ``approximate=True`` looks at a small part of the table only, in a fraction
    of the time: for tables of hundreds of thousands, and at the price of a few neighbours missed
    (:func:`~mirfeat.explore.kept_index.open_index` keeps what it needs on the disk).
    Beside the table as much memory again is taken, ``len(table) * dimension * 4`` bytes.

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
        progress: Shown = False,
    ) -> None:
        check_metric(metric)
        values = np.asarray(table.values, dtype=np.float32)
        if not len(values) or not all(np.isfinite(piece).all() for piece in pieces(values)):
            raise ConfigError(
                f"{table!r}: neighbours need one clip or more, and finite numbers only."
            )
        self.ids, self.placement = table.ids, Placement.of(values, metric, standardise)
        self._search: ExactSearch | ApproximateSearch
        if approximate:
            steps = Steps("index", len(values), "clips", progress)
            self._search = ApproximateSearch.build(values, self.placement, steps)
        else:
            self._search = ExactSearch(values, self.placement)

    @classmethod
    def of_search(
        cls, ids: tuple[str, ...], placement: Placement, search: ApproximateSearch
    ) -> Neighbours:
        """Of a search that is there: ``ids`` are those of its rows."""
        index = cls.__new__(cls)
        index.ids, index.placement, index._search = ids, placement, search
        return index

    def write_search(self, path: Path) -> None:
        """Write what an approximate search needs, for :meth:`of_search`.

        Raises:
            OptionError: the search is exact.
            OSError: the file cannot be written.
        """
        if not isinstance(self._search, ApproximateSearch):
            raise OptionError("an exact search needs the table only; approximate=True has cells.")
        self._search.write(path)

    @property
    def metric(self) -> Metric:
        """What is compared."""
        return self.placement.metric

    @property
    def approximate(self) -> bool:
        """Whether a few neighbours may be missed."""
        return isinstance(self._search, ApproximateSearch)

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {id: row for row, id in enumerate(self.ids)}

    def __contains__(self, id: object) -> bool:
        """Whether a clip of this id is in the table."""
        return id in self._rows

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
        size = len(self.placement.mean)
        if vectors.ndim != 2 or vectors.shape[1] != size:
            raise OptionError(f"vectors {vectors.shape}: this table has {size} numbers a clip.")
        return self._find(self.placement.place(vectors), top)

    def among(self, rows: Sequence[int], top: int = 10) -> Near:
        """The ``top`` rows nearest to each of some rows of the table, itself left out."""
        near = self._find(self._search.points(np.asarray(rows, np.int64)), top + 1)
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
        distances, rows = self._search.nearest(points, min(top, len(self)))
        distances = np.asarray(distances, dtype=np.float64)
        if self.metric == "cosine":
            distances = 1 - distances**2 / 2
        return Near(np.asarray(rows, dtype=np.int64), distances)

    def _named(self, rows: np.ndarray, values: np.ndarray) -> list[NearClip]:
        return [
            NearClip(self.ids[row], float(value)) for row, value in zip(rows, values, strict=True)
        ]
