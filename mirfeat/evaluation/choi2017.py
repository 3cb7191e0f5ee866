"""Protocol of Choi et al. 2017: the best support vector machine of a grid, for layer combinations.

The paper reports the best mean test score over the grid, chosen on the folds it is reported on and
therefore optimistic. A nested score, where the choice for a fold is made without that fold, can
stand beside it: every pair of folds is left out of training once, so ten folds cost 5.5 times the
fits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from mirfeat.errors import LabelsError, OptionError
from mirfeat.evaluation.folds import Folds
from mirfeat.evaluation.models.svm import Blocks, GridSearch, Point, Trial, grid
from mirfeat.evaluation.records import Predictions, ScoreReport, Scores

MFCC = "mfcc"
# What separates points of the grid by less than this is chance.
_LITTLE = 0.005

Training = tuple[np.ndarray, tuple[np.ndarray, ...]]
"""Training rows and one or several sets of test rows."""


def layer_strategies(layers: Sequence[str] = "12345", which: str = "paper") -> list[str]:
    """Combinations of layers, as strings of digits, the longest first.

    ``"all"``: 31 of five layers; ``"paper"``: the 28 of Figures 3 to 9, which are all but 1235,
    1245 and 1345.
    """
    if which not in ("paper", "all"):
        raise OptionError(f"strategies {which!r}: it is 'paper' (28) or 'all' (31).")
    every = [
        "".join(chosen)
        for size in range(len(layers), 0, -1)
        for chosen in combinations(layers, size)
    ]
    return [name for name in every if which == "all" or name not in ("1235", "1245", "1345")]


def svm_grid(
    blocks: Blocks | np.ndarray,
    labels: np.ndarray,
    folds: Folds,
    *,
    search: GridSearch | None = None,
    nested: bool = True,
    name: str = "features",
    progress: Callable[[], object] = lambda: None,
) -> ScoreReport:
    """Score one set of features.

    Args:
        blocks: features [n, D], or named blocks of them [n, d].
        labels: [n], classes, or numbers where ``search.regression`` is set.
        folds: who is tested on whom.
        search: the grid; both halves of it by default.
        nested: whether to compute the nested score too.
        name: what the report calls the features.
        progress: called after each of :func:`steps_needed`.
    """
    named = {"features": blocks} if isinstance(blocks, np.ndarray) else blocks
    every = {name: tuple(named)}
    return _score(named, labels, folds, every, search, nested, progress, "svm-grid")[0]


def layer_sweep(
    layers: Blocks,
    labels: np.ndarray,
    folds: Folds,
    *,
    mfcc: np.ndarray | None = None,
    strategies: Sequence[str] | None = None,
    search: GridSearch | None = None,
    nested: bool = False,
    progress: Callable[[], object] = lambda: None,
) -> tuple[ScoreReport, ...]:
    """Score combinations of layers, and with ``mfcc`` the paper's two baselines.

    Args:
        layers: {"1": [n, d], … "5": [n, d]}.
        labels: as for :func:`svm_grid`, like ``folds``, ``search``, ``nested``, ``progress``.
        folds: who is tested on whom.
        mfcc: [n, d], scored alone and together with all layers.
        strategies: combinations such as ["135", "5"]; the paper's 28 by default.
        search: the grid; both halves of it by default.
        nested: whether to compute nested scores too.
        progress: called after each of :func:`steps_needed`.

    Returns:
        A report for each combination, in order of the strategies.

    Raises:
        OptionError: a combination of layers that are not there.
    """
    names = list(strategies or layer_strategies(sorted(layers)))
    chosen: dict[str, tuple[str, ...]] = {name: tuple(name) for name in names}
    if missing := sorted(set("".join(names)) - set(layers)):
        raise OptionError(f"no layers {missing} in these features, which have {sorted(layers)}.")
    if wrong := [name for name in names if not name or len(set(name)) < len(name)]:
        raise OptionError(f"strategies {wrong}: each names layers, each of them once, like 135.")
    blocks = dict(layers)
    if mfcc is not None:
        blocks[MFCC] = mfcc
        every = sorted(layers)
        chosen |= {f"{''.join(every)}+{MFCC}": (MFCC, *every), MFCC: (MFCC,)}
    return _score(blocks, labels, folds, chosen, search, nested, progress, "layer-sweep")


def steps_needed(folds: Folds, nested: bool, combinations: int = 1) -> int:
    """How often ``progress`` is called."""
    return combinations * len(_plan(folds, nested)[0])


def _score(
    blocks: Blocks,
    labels: np.ndarray,
    folds: Folds,
    chosen: Mapping[str, Sequence[str]],
    search: GridSearch | None,
    nested: bool,
    progress: Callable[[], object],
    protocol: str,
) -> tuple[ScoreReport, ...]:
    search = search or GridSearch()
    classes: tuple[str, ...] = ()
    numbers = np.asarray(labels)
    if not search.regression:
        names, numbers = np.unique(numbers, return_inverse=True)
        classes = tuple(map(str, names))
    trainings, inner = _plan(folds, nested)
    trials = search.run(blocks, numbers, trainings, list(chosen.values()), progress)
    judged = [
        _Judged(search, folds, [trial[place] for trial in trials], inner)
        for place in range(len(chosen))
    ]
    return tuple(
        ScoreReport(
            protocol,
            name,
            tuple(judge.scores()),
            {
                "numbers": sum(blocks[block].shape[1] for block in chosen[name]),
                "folds": folds.description,
                "scaling": search.scaling,
                "chosen": judge.points[judge.best].to_dict(),
                "stopped_fits": judge.stopped_words,
            },
            (*folds.notes, *judge.notes()),
            predictions=judge.predictions(numbers, classes),
        )
        for name, judge in zip(chosen, judged, strict=True)
    )


def _plan(folds: Folds, nested: bool) -> tuple[list[Training], list[list[tuple[int, int]]]]:
    """All trainings, those of the folds first, and for each fold where its inner scores are.

    With three folds or more, one training without the folds i and j gives an inner score for both:
    tested on j for the choice of i, and on i for the choice of j.
    """
    trainings: list[Training] = [(train, (test,)) for train, test in folds]
    inner: list[list[tuple[int, int]]] = [[] for _ in folds.splits]
    if not nested:
        return trainings, inner
    if folds.inner:
        if not all(folds.inner):
            raise LabelsError(
                "too few training clips to be split again for a nested score. Leave it out: "
                "--no-nested."
            )
        for fold, splits in enumerate(folds.inner):
            for train, test in splits:
                inner[fold].append((len(trainings), 0))
                trainings.append((train, (test,)))
        return trainings, inner
    if sum(folds.test_sizes) > len(np.unique(np.concatenate([test for _, test in folds]))):
        raise OptionError("nested scores need folds of which no two test the same clip.")
    for i, j in combinations(range(len(folds)), 2):
        (train_i, test_i), (train_j, test_j) = folds.splits[i], folds.splits[j]
        inner[i].append((len(trainings), 1))
        inner[j].append((len(trainings), 0))
        trainings.append((np.intersect1d(train_i, train_j), (test_i, test_j)))
    return trainings, inner


def _first_of_best(means: np.ndarray) -> int:
    """Place of the highest mean; of equal ones the first, whatever rounding makes of them."""
    return int(np.argmax(np.round(means, 12)))


@dataclass(frozen=True, eq=False)
class _Judged:
    """Trials of one combination: [trainings][tests], the folds' own first."""

    search: GridSearch
    folds: Folds
    trials: Sequence[Sequence[Trial]]
    inner: Sequence[Sequence[tuple[int, int]]]

    @property
    def points(self) -> tuple[Point, ...]:
        """The grid."""
        return grid(self.search.scaling)

    @cached_property
    def table(self) -> np.ndarray:
        """Test scores, [folds, points]."""
        return np.array([trials[0].scores for trials in self.trials[: len(self.folds)]])

    @cached_property
    def best(self) -> int:
        """The point with the best mean."""
        return self._best_of(range(len(self.points)))

    def _best_of(self, places: Sequence[int]) -> int:
        # Folds weigh as many clips as they have, as in the authors' scikit-learn (0.18).
        means = np.average(self.table[:, list(places)], axis=0, weights=self.folds.test_sizes)
        return places[_first_of_best(means)]

    def scores(self) -> Iterator[Scores]:
        """Best of the grid; nested; best of the unscaled half, as the authors' were."""
        metric, sizes = "r2" if self.search.regression else "accuracy", self.folds.test_sizes
        weights = tuple(map(float, sizes))
        yield Scores(metric, tuple(self.table[:, self.best].tolist()), weights)
        if any(self.inner):
            yield Scores(f"{metric}, nested", tuple(self._nested()), weights)
        if self.search.scaling == "both":
            unscaled = [k for k, point in enumerate(self.points) if not point.standardise]
            values = self.table[:, self._best_of(unscaled)].tolist()
            yield Scores(f"{metric}, never scaled", tuple(values), weights)

    def _nested(self) -> Iterator[float]:
        for fold, places in enumerate(self.inner):
            scores = [self.trials[training][test].scores for training, test in places]
            sizes = [self.trials[training][test].predicted.shape[1] for training, test in places]
            chosen = _first_of_best(np.average(scores, axis=0, weights=sizes))
            yield float(self.table[fold, chosen])

    def notes(self) -> Iterator[str]:
        """Whether fits that stopped before they converged matter to the score."""
        stopped = self._stopped
        if not stopped.any():
            return
        means = np.average(self.table, axis=0, weights=self.folds.test_sizes)
        gap = float(means[self.best] - means[stopped].max())
        if stopped[self.best]:
            yield (
                f"{self.stopped_words}: those of the chosen point are among them, and with more "
                "steps its score may change. Features as they are slow linear kernels down; "
                "--scaling always converges"
            )
        elif gap > _LITTLE:
            yield (
                f"{self.stopped_words}: none is of the chosen point, and the best of their points "
                f"is {gap:.3f} below it, so the score stands"
            )
        else:
            yield (
                f"{self.stopped_words}: none is of the chosen point. The best of their points is "
                f"{gap:.3f} below it; with more steps it might be the chosen one, at about this "
                "score"
            )

    @property
    def _stopped(self) -> np.ndarray:
        """Points of which a fit of the folds stopped, bool [points]."""
        own = self.trials[: len(self.folds)]
        every: np.ndarray = np.any([trials[0].stopped for trials in own], axis=0)
        return every

    @property
    def stopped_words(self) -> str:
        """How many of all fits stopped before they converged."""
        stopped = np.array([trials[0].stopped for trials in self.trials])
        return f"{int(stopped.sum())} of {stopped.size} fits ran out of steps"

    def predictions(self, truth: np.ndarray, classes: tuple[str, ...]) -> Predictions:
        """Of the chosen point, all test clips in the order of the folds."""
        rows = np.concatenate([test for _, test in self.folds])
        own = self.trials[: len(self.folds)]
        predicted = np.concatenate([trials[0].predicted[self.best] for trials in own])
        return Predictions(rows, truth[rows], predicted, classes)
