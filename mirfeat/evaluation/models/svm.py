"""The classifier of Choi et al. 2017: a grid of support vector machines, cross-validated.

An RBF kernel of seven widths or a linear one, four penalties, features as they are or standardised
(section 4.1; keunwoochoi/transfer_learning_music, ``2_main_knn_svm_transfer.py``). The protocols
over it are in ``choi2017.py``.

The optional scaler of the authors looked at its switch when it was made, not when the grid turned
it, so it never scaled: their published scores are those of the unscaled half of the grid.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any, Literal

import numpy as np
from joblib import Parallel, delayed
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import r2_score
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

from mirfeat.errors import OptionError

GAMMAS = tuple(0.5**power for power in (3, 5, 7, 9, 11, 13))
PENALTIES = (0.1, 2.0, 8.0, 32.0)
# Linear fits on unscaled features can go on for days. The steps a fit needs grow with its penalty,
# so the budget falls with it: ten million steps for 0.1, which the published emotion scores need.
STEPS = 1_000_000
# Below this many clips kernels are computed once for all penalties and combinations of blocks
# (some 100 MB a thread at the limit); above it libsvm computes and caches them itself.
KERNEL_CLIPS = 3000

Blocks = Mapping[str, np.ndarray]
Scaling = Literal["both", "never", "always"]


@dataclass(frozen=True)
class Point:
    """One point of the grid. ``gamma``: None is the linear kernel, 0 is 1 / number of features."""

    standardise: bool
    gamma: float | None
    penalty: float

    def to_dict(self) -> dict[str, Any]:
        """As scikit-learn would call it."""
        kernel = {"kernel": "linear"} if self.gamma is None else {"kernel": "rbf"}
        gamma = {} if self.gamma is None else {"gamma": self.gamma or "1/features"}
        return {"standardise": self.standardise, **kernel, **gamma, "C": self.penalty}


def grid(scaling: Scaling) -> tuple[Point, ...]:
    """All points: 32 with features as they are, 32 with standardised ones, or both."""
    choices = {"both": (False, True), "never": (False,), "always": (True,)}
    if scaling not in choices:
        raise OptionError(f"scaling={scaling!r}: it is one of {', '.join(choices)}.")
    return tuple(
        Point(standardise, gamma, penalty)
        for standardise in choices[scaling]
        for gamma in (*GAMMAS, 0.0, None)
        for penalty in PENALTIES
    )


@dataclass(frozen=True, eq=False)
class Trial:
    """What a grid trained on some rows says of one test set of m clips.

    ``scores`` float64 [points]; ``predicted`` [points, m]; ``stopped`` bool [points], fits that ran
    out of steps.
    """

    scores: np.ndarray
    predicted: np.ndarray
    stopped: np.ndarray


@dataclass(frozen=True)
class GridSearch:
    """How to search: which points, how many steps at C = 1, how many threads."""

    regression: bool = False
    scaling: Scaling = "both"
    steps: int = STEPS
    workers: int = 2

    def run(
        self,
        blocks: Blocks,
        labels: np.ndarray,
        trainings: Sequence[tuple[np.ndarray, Sequence[np.ndarray]]],
        combinations: Sequence[Sequence[str]],
        progress: Callable[[], object] = lambda: None,
    ) -> list[list[list[Trial]]]:
        """Train on each set of rows and test on its sets: [trainings][combinations][tests].

        ``labels``: classes as whole numbers, or float64 values. ``progress`` is called after every
        combination of every training.
        """
        jobs = (
            delayed(self._train)(blocks, labels, train, tests, combinations, progress)
            for train, tests in trainings
        )
        with warnings.catch_warnings():
            # Reported in our words, for the whole grid.
            warnings.simplefilter("ignore", ConvergenceWarning)
            # Threads: libsvm works without Python's lock, and kernels need not be copied.
            done: list[list[list[Trial]]] = Parallel(self.workers, backend="threading")(jobs)
        return done

    def _train(
        self,
        blocks: Blocks,
        labels: np.ndarray,
        train: np.ndarray,
        tests: Sequence[np.ndarray],
        combinations: Sequence[Sequence[str]],
        progress: Callable[[], object],
    ) -> list[list[Trial]]:
        prepared = {
            standardise: {n: _prepare(block, train, standardise) for n, block in blocks.items()}
            for standardise in {point.standardise for point in grid(self.scaling)}
        }
        trials = []
        for names in combinations:
            joined = {
                standardise: reduce(add, [parts[name] for name in names])
                for standardise, parts in prepared.items()
            }
            trials.append(self._all_points(joined, labels, train, tests))
            progress()
        return trials

    def _all_points(
        self,
        joined: Mapping[bool, Gram | Columns],
        labels: np.ndarray,
        train: np.ndarray,
        tests: Sequence[np.ndarray],
    ) -> list[Trial]:
        points = grid(self.scaling)
        predicted = [np.empty((len(points), len(test)), dtype=labels.dtype) for test in tests]
        stopped = np.zeros(len(points), dtype=bool)
        kind = SVR if self.regression else SVC
        if not self.regression and len(set(labels[train])) < 2:
            # Without two folds a single class can be left, and there is nothing to separate.
            for rows in predicted:
                rows[:] = labels[train[0]]
            points = ()
        for place, point in enumerate(points):
            if point.penalty == PENALTIES[0]:  # all penalties share a kernel
                options, seen, unseen = joined[point.standardise].at(point, train, tests)
            budget = int(self.steps / point.penalty)
            machine = kind(C=point.penalty, max_iter=budget, cache_size=500, **options)
            machine.fit(seen, labels[train])
            stopped[place] = machine.fit_status_ != 0
            for which, values in enumerate(unseen):
                predicted[which][place] = machine.predict(values)
        return [
            Trial(np.array([self.score(labels[test], row) for row in rows]), rows, stopped)
            for test, rows in zip(tests, predicted, strict=True)
        ]

    def score(self, truth: np.ndarray, predicted: np.ndarray) -> float:
        """Accuracy, or r² of a regression."""
        if self.regression:
            return float(r2_score(truth, predicted))
        return float(np.mean(truth == predicted))


@dataclass(frozen=True, eq=False)
class Gram:
    """Inner products of all clips, float64 [n, n], over ``size`` numbers; blocks add up."""

    products: np.ndarray
    size: int

    def __add__(self, other: Gram) -> Gram:
        """Of the blocks of both, side by side."""
        return Gram(self.products + other.products, self.size + other.size)

    def at(
        self, point: Point, train: np.ndarray, tests: Sequence[np.ndarray]
    ) -> tuple[dict[str, Any], np.ndarray, list[np.ndarray]]:
        """Options of the machine, what it trains on and what it predicts from."""
        kernel = self.products
        if point.gamma is not None:
            squares = np.diag(kernel)
            distances = np.maximum(squares[:, None] + squares - 2 * kernel, 0.0)
            kernel = np.exp(-(point.gamma or 1 / self.size) * distances)
        unseen = [kernel[np.ix_(test, train)] for test in tests]
        return {"kernel": "precomputed"}, kernel[np.ix_(train, train)], unseen


@dataclass(frozen=True, eq=False)
class Columns:
    """The features themselves, float64 [n, d], for libsvm to compute kernels from."""

    values: np.ndarray

    def __add__(self, other: Columns) -> Columns:
        """The blocks of both, side by side."""
        return Columns(np.concatenate([self.values, other.values], axis=1))

    def at(
        self, point: Point, train: np.ndarray, tests: Sequence[np.ndarray]
    ) -> tuple[dict[str, Any], np.ndarray, list[np.ndarray]]:
        """Options of the machine, what it trains on and what it predicts from."""
        options: dict[str, Any] = {"kernel": "linear"}
        if point.gamma is not None:
            options = {"kernel": "rbf", "gamma": point.gamma or 1 / self.values.shape[1]}
        return options, self.values[train], [self.values[test] for test in tests]


def _prepare(block: np.ndarray, train: np.ndarray, standardise: bool) -> Gram | Columns:
    """What machines see of a block, scaled by the statistics of the training rows if asked."""
    values = block.astype(np.float64)
    if standardise:
        values = StandardScaler().fit(values[train]).transform(values)
    if len(values) > KERNEL_CLIPS:
        return Columns(values)
    return Gram(values @ values.T, values.shape[1])
