"""What features are worth: scores on instruments and on held-out music.

Every score is a mapping with ``score`` and ``standard_error``: over folds for instruments, over
tracks for precision, by drawing tracks 1000 times with replacement for style and game. The last
says how much depends on these tracks; with few games, other games may differ by more than that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from mirfeat.errors import LabelsError
from mirfeat.evaluation.choi2017 import svm_grid
from mirfeat.evaluation.folds import Folds, Split, make_folds
from mirfeat.evaluation.models.svm import PENALTIES

NEIGHBOURS = 10
INSTRUMENT_FOLDS = 10
# Widths of the kernel in units of the mean squared difference of standardised numbers.
WIDTHS = (1.0, 0.25)
STATISTICS = ("mean", "mean+std")
INSTRUMENTS = ("instruments, accuracy", "instruments, nested accuracy")
MUSIC = ("style, accuracy", "style, macro-F1", "game, accuracy", "game, macro-F1")
PRECISION = tuple(
    f"P@{NEIGHBOURS} {label}, {kind}"
    for kind in STATISTICS
    for label in ("style", "style in other games", "game")
)

Scores = dict[str, dict[str, Any]]


@dataclass(frozen=True, eq=False)
class Task:
    """Rows [m] of all windows, their labels [m] and tracks [m], and who is tested on whom."""

    rows: np.ndarray
    labels: np.ndarray
    tracks: np.ndarray
    folds: Folds
    dropped: tuple[str, ...]

    @property
    def first(self) -> np.ndarray:
        """Places of the first window of each track."""
        return np.unique(self.tracks, return_index=True)[1]

    def describe(self) -> dict[str, Any]:
        """JSON-ready: tracks of each class, what was left out, who is tested on whom."""
        names, counts = np.unique(self.labels[self.first], return_counts=True)
        return {
            "windows": len(self.rows),
            "tracks": dict(zip(names.tolist(), counts.tolist(), strict=True)),
            "dropped": list(self.dropped),
            "folds": self.folds.description,
            "notes": list(self.folds.notes),
        }


def style_task(styles: np.ndarray, games: np.ndarray, tracks: np.ndarray) -> Task:
    """Styles that two games or more have; every game is tested after training on the others."""
    rows, dropped = _in_two(styles, games)
    folds = make_folds(styles[rows], predefined=games[rows].tolist())
    return Task(rows, styles[rows], tracks[rows], folds, dropped)


def game_task(games: np.ndarray, tracks: np.ndarray) -> Task:
    """Games with two tracks or more, in five folds that share no track."""
    rows, dropped = _in_two(games, tracks)
    own = tracks[rows].tolist()
    folds = make_folds(games[rows], groups=own, group_name="track", count=5, seed=None)
    return Task(rows, games[rows], tracks[rows], folds, dropped)


def _in_two(labels: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    classes = np.unique(labels)
    few = [str(name) for name in classes if len(set(groups[labels == name])) < 2]
    return np.flatnonzero(~np.isin(labels, few)), tuple(few)


def instrument_scores(values: np.ndarray, labels: np.ndarray) -> Scores:
    """Best of the grid and nested accuracy of :func:`svm_grid`, ten folds."""
    report = svm_grid(values, labels, make_folds(labels, count=INSTRUMENT_FOLDS, seed=None))
    return {
        f"instruments, {name}": {
            "score": report[metric].mean,
            "standard_error": report[metric].standard_error,
            "values": list(report[metric].values),
        }
        for name, metric in (("accuracy", "accuracy"), ("nested accuracy", "accuracy, nested"))
    }


def task_scores(values: np.ndarray, task: Task) -> Scores:
    """Accuracy and macro-F1 over windows of :func:`nested_predictions`."""
    predicted = nested_predictions(values[task.rows], task.labels, task.folds)
    own = np.unique(task.tracks, return_inverse=True)[1]
    tables = np.stack(
        [
            _confusion(task.labels[own == track], predicted[own == track], task.labels)
            for track in range(own.max() + 1)
        ]
    )
    generator = np.random.default_rng(0)
    draws = generator.multinomial(len(tables), np.full(len(tables), 1 / len(tables)), size=1000)
    resampled = np.tensordot(draws, tables, 1)
    measures: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "accuracy": _accuracy,
        "macro-F1": _macro_f1,
    }
    return {
        name: {
            "score": float(measure(tables.sum(axis=0))),
            "standard_error": float(np.std(measure(resampled), ddof=1)),
        }
        for name, measure in measures.items()
    }


def nested_predictions(values: np.ndarray, labels: np.ndarray, folds: Folds) -> np.ndarray:
    """Class of each row [n] by a support vector machine that was trained without its fold.

    Standardised, RBF kernel, classes balanced. Width and penalty for a fold are those with the
    best macro-F1 on the other folds, trained without both.
    """
    predicted = np.empty_like(labels)
    points = [(width, penalty) for width in WIDTHS for penalty in PENALTIES]
    for number, (train, test) in enumerate(folds):
        # Inner trainings use the scale of all training rows: no label and no test row is in it.
        scaled = StandardScaler().fit(values[train]).transform(values.astype(np.float64))
        distances = cdist(scaled, scaled, "sqeuclidean") / values.shape[1]
        kernels = {width: np.exp(-width * distances) for width in WIDTHS}
        inner = _inner(folds, number)
        quality = [
            _inner_quality(kernels[width], labels, inner, penalty) for width, penalty in points
        ]
        # Of equal ones the first, whatever rounding makes of them.
        width, penalty = points[int(np.argmax(np.round(quality, 12)))]
        predicted[test] = _fit(kernels[width], labels, train, test, penalty)
    return predicted


def _inner(folds: Folds, number: int) -> Sequence[Split]:
    if folds.inner:
        return folds.inner[number]
    own = folds.splits[number][0]
    others = [split for place, split in enumerate(folds) if place != number]
    return [(np.intersect1d(own, train), test) for train, test in others]


def _inner_quality(
    kernel: np.ndarray, labels: np.ndarray, inner: Sequence[Split], penalty: float
) -> float:
    predicted = [_fit(kernel, labels, train, test, penalty) for train, test in inner]
    truth = np.concatenate([labels[test] for _, test in inner])
    return float(_macro_f1(_confusion(truth, np.concatenate(predicted), labels)))


def _fit(
    kernel: np.ndarray, labels: np.ndarray, train: np.ndarray, test: np.ndarray, penalty: float
) -> np.ndarray:
    if len(set(labels[train])) == 1:
        return np.full(len(test), labels[train[0]])
    machine = SVC(C=penalty, kernel="precomputed", class_weight="balanced")
    machine.fit(kernel[np.ix_(train, train)], labels[train])
    predicted: np.ndarray = machine.predict(kernel[np.ix_(test, train)])
    return predicted


def _commonest(labels: np.ndarray) -> str:
    names, counts = np.unique(labels, return_counts=True)
    return str(names[counts.argmax()])


def _confusion(truth: np.ndarray, predicted: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Counts [classes, classes], truth in rows."""
    names = np.unique(classes)
    table = np.zeros((len(names), len(names)))
    np.add.at(table, (np.searchsorted(names, truth), np.searchsorted(names, predicted)), 1)
    return table


def _accuracy(tables: np.ndarray) -> np.ndarray:
    right: np.ndarray = np.trace(tables, axis1=-2, axis2=-1) / tables.sum(axis=(-2, -1))
    return right


def _macro_f1(tables: np.ndarray) -> np.ndarray:
    """Mean F1 of the classes that are there or predicted; tables [..., classes, classes]."""
    right = np.diagonal(tables, axis1=-2, axis2=-1)
    total = tables.sum(axis=-1) + tables.sum(axis=-2)
    scores = np.divide(2 * right, total, out=np.full(total.shape, np.nan), where=total > 0)
    mean: np.ndarray = np.nanmean(scores, axis=-1)
    return mean


def song_vectors(values: np.ndarray, tracks: np.ndarray) -> np.ndarray:
    """Mean and std of each track over its windows, float64 [tracks, 2R], tracks in their order.

    ``values`` [n, 2R] are means and stds of windows, which count alike.
    """
    own = np.unique(tracks, return_inverse=True)[1]
    windows = np.bincount(own)[:, None]
    means, stds = np.split(values.astype(np.float64), 2, axis=1)

    def average(rows: np.ndarray) -> np.ndarray:
        sums = np.zeros((len(windows), rows.shape[1]))
        np.add.at(sums, own, rows)
        result: np.ndarray = sums / windows
        return result

    mean = average(means)
    variance = average(stds**2 + (means - mean[own]) ** 2)
    return np.concatenate([mean, np.sqrt(variance)], axis=1)


def precisions(
    vectors: np.ndarray, labels: np.ndarray, groups: np.ndarray | None = None
) -> np.ndarray:
    """Precision at 10 of each row [n]: nearest others by L1, none of the row's own group.

    Raises:
        LabelsError: a row has fewer than ten others.
    """
    apart = _apart(labels, groups)
    others = int(apart.sum(axis=1).min())
    if others < NEIGHBOURS:
        raise LabelsError(f"precision at {NEIGHBOURS} needs as many other tracks, not {others}.")
    distances = np.where(apart, cdist(vectors, vectors, "cityblock"), np.inf)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :NEIGHBOURS]
    share: np.ndarray = (labels[nearest] == labels[:, None]).mean(axis=1)
    return share


def _apart(labels: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """Which rows may be neighbours, bool [n, n]."""
    own = np.arange(len(labels)) if groups is None else groups
    apart: np.ndarray = own[:, None] != own
    return apart


def _searches(
    style: Task, game: Task, games: np.ndarray
) -> Iterator[tuple[str, Task, np.ndarray | None]]:
    """What neighbours should share, among which tracks, and the groups they must not share."""
    yield "style", style, None
    yield "style in other games", style, games[style.rows][style.first]
    yield "game", game, None


def precision_scores(values: np.ndarray, style: Task, game: Task, games: np.ndarray) -> Scores:
    """Precision at 10 of one vector a track, for means alone and for means and stds."""
    scores = {}
    for label, task, groups in _searches(style, game, games):
        vectors = song_vectors(values[task.rows], task.tracks)
        for kind, size in zip(STATISTICS, (vectors.shape[1] // 2, vectors.shape[1]), strict=True):
            each = precisions(vectors[:, :size], task.labels[task.first], groups)
            error = float(np.std(each, ddof=1) / np.sqrt(len(each)))
            name = f"P@{NEIGHBOURS} {label}, {kind}"
            scores[name] = {"score": float(each.mean()), "standard_error": error}
    return scores


def no_skill(
    instruments: np.ndarray, style: Task, game: Task, games: np.ndarray
) -> dict[str, float]:
    """Score of each metric without looking: always the commonest class, neighbours at random."""
    scores = dict.fromkeys(INSTRUMENTS, float(np.mean(instruments == _commonest(instruments))))
    for name, task in (("style", style), ("game", game)):
        always = np.full(len(task.labels), _commonest(task.labels))
        table = _confusion(task.labels, always, task.labels)
        scores[f"{name}, accuracy"] = float(_accuracy(table))
        scores[f"{name}, macro-F1"] = float(_macro_f1(table))
    for label, task, groups in _searches(style, game, games):
        labels = task.labels[task.first]
        apart = _apart(labels, groups)
        same = apart & (labels[:, None] == labels)
        chance = float(np.mean(same.sum(axis=1) / apart.sum(axis=1)))
        scores |= {f"P@{NEIGHBOURS} {label}, {kind}": chance for kind in STATISTICS}
    return scores
