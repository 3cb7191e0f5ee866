"""Where vectors lie when they are compared: standardised, and for cosines of length 1."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mirfeat.errors import OptionError

Metric = Literal["cosine", "l1"]
METRICS: tuple[Metric, ...] = ("cosine", "l1")
# A table may be as large as the memory: it is gone through in pieces.
_ROWS_AT_ONCE = 16_384


@dataclass(frozen=True, eq=False)
class Placement:
    """How vectors become points that are compared by distance.

    ``mean`` and ``scale``: float32 [dimension], what is taken from each number and what it is
    divided by.
    """

    metric: Metric
    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, metric: Metric, standardise: bool = True) -> Placement:
        """For the vectors of a table, float32 [n, dimension], n at least 1."""
        check_metric(metric)
        count, size = values.shape
        if not standardise:
            return cls(metric, np.zeros(size, np.float32), np.ones(size, np.float32))
        mean, squares = np.zeros(size), np.zeros(size)
        for piece in pieces(values):
            mean += piece.sum(axis=0, dtype=np.float64) / count
        for piece in pieces(values):
            squares += ((piece - mean) ** 2).sum(axis=0)
        deviation = np.sqrt(squares / count)
        # What is the same in all clips says nothing of any.
        scale = np.where(deviation > 1e-6 * (1 + np.abs(mean)), deviation, np.inf)
        return cls(metric, mean.astype(np.float32), scale.astype(np.float32))

    def place(self, vectors: np.ndarray) -> np.ndarray:
        """Points of vectors, float32 [n, dimension]."""
        points = (vectors - self.mean) / self.scale
        if self.metric == "cosine":
            length = np.linalg.norm(points, axis=1, keepdims=True)
            points /= np.where(length > 0, length, 1)
        return np.ascontiguousarray(points, dtype=np.float32)


def check_metric(metric: str) -> None:
    """Whether there is such a metric.

    Raises:
        OptionError: another name.
    """
    if metric not in METRICS:
        raise OptionError(f"metric={metric!r}: it is 'cosine' or 'l1'.")


def pieces(values: np.ndarray) -> Iterator[np.ndarray]:
    """A table in pieces of some thousand rows."""
    for start in range(0, len(values), _ROWS_AT_ONCE):
        yield values[start : start + _ROWS_AT_ONCE]
