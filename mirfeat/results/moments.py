"""Mean and spread over the rows of a clip.

The one formula: row t has mean m, spread inside the row v and weight w; then
``mean = Σw·m / Σw`` and ``std = sqrt(Σw·(v + (m - mean)²) / Σw)`` (population, ddof 0), accumulated
in float64 and cast to float32 at the end. Letters in shapes: T rows, D row size.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mirfeat.errors import OptionError

STATISTICS = ("mean", "std")


class Moments:
    """Weighted mean and spread of rows that arrive one by one; memory is two rows.

    West's update (1979): rows are taken in the order of time, so the result does not depend on
    how they were batched.
    """

    def __init__(self, size: int) -> None:
        """Moments of rows of ``size`` numbers."""
        self._weight = 0.0
        self._mean = np.zeros(size)
        self._scatter = np.zeros(size)

    def add(self, mean: np.ndarray, variance: np.ndarray, weight: float) -> None:
        """Take one row: its mean and the variance inside it, each (D,)."""
        self._weight += weight
        # What is not finite is reported of the whole vector.
        with np.errstate(invalid="ignore", over="ignore"):
            step = mean.astype(np.float64) - self._mean
            self._mean += step * (weight / self._weight)
            self._scatter += weight * (step * (mean - self._mean) + variance)

    def vector(self, statistics: Sequence[str]) -> np.ndarray:
        """float32 vector: the statistics one after the other."""
        with np.errstate(invalid="ignore", over="ignore"):
            std = np.sqrt(np.maximum(self._scatter / self._weight, 0.0))
            parts = {"mean": self._mean, "std": std}
            return np.concatenate([parts[name] for name in statistics]).astype(np.float32)


def check_statistics(statistics: Sequence[str]) -> tuple[str, ...]:
    """A non-empty choice of mean and std, in the order given."""
    chosen = (statistics,) if isinstance(statistics, str) else tuple(statistics)
    if not chosen or len(set(chosen)) < len(chosen) or set(chosen) - set(STATISTICS):
        raise OptionError(
            f"statistics={statistics!r}: it is ('mean', 'std'), ('mean',) or ('std',); to load an "
            "extractor also 'paper'."
        )
    return chosen


def summary_of(
    values: np.ndarray,
    within_variance: np.ndarray,
    weights: np.ndarray,
    statistics: Sequence[str] = STATISTICS,
) -> np.ndarray:
    """Vector over rows [T, D] with their variances [T, D] and weights [T], float32."""
    moments = Moments(values.shape[1])
    for mean, variance, weight in zip(values, within_variance, weights, strict=True):
        moments.add(mean, variance, float(weight))
    return moments.vector(check_statistics(statistics))
