"""Protocols of Hamel et al. 2013: regression on windows, few examples, similarity, near classes.

Genre classification (section 6.2, Table 4, Figure 3): a linear regression of one-hot classes on
window-level features; outputs are averaged over a clip, the highest one is its class. Music
similarity (section 6.3, Table 5): precision at 10 among nearest neighbours, nothing is trained.
Semantic similarity (section 6.1, Table 3): nearest classes of several data sets in the label space.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import scipy.linalg
from sklearn.metrics import pairwise_distances_chunked
from sklearn.preprocessing import StandardScaler

from mirfeat.errors import LabelsError, OptionError
from mirfeat.evaluation.folds import Folds
from mirfeat.evaluation.inputs import Rows
from mirfeat.evaluation.records import Evaluation, Predictions, ScoreReport, Scores, Table

EXAMPLES = (1, 2, 5, 10, 20, 50, 100)
DISTANCES = {"L1": "manhattan", "Euclidean": "euclidean", "cosine": "cosine"}


def linear(rows: Rows, labels: np.ndarray, folds: Folds) -> ScoreReport:
    """Accuracy of linear regression on the rows of clips.

    Args:
        rows: windows of n clips; clip vectors as one row each will do.
        labels: class of each clip, [n].
        folds: who is tested on whom.

    Returns:
        Accuracy of each fold. The paper gives the mean and its standard error over ten.

    Memory: about three times the rows of a training set as float64, 8·R·D bytes each.
    """
    classes, numbers = np.unique(labels, return_inverse=True)
    scores, tested, outputs = [], [], []
    for train, test in folds:
        output = _fit_and_average(rows, numbers, train, test, len(classes))
        scores.append(float(np.mean(output.argmax(axis=1) == numbers[test])))
        tested.append(test)
        outputs.append(output)
    every, output = np.concatenate(tested), np.concatenate(outputs)
    return ScoreReport(
        "linear",
        rows.name,
        (Scores("accuracy", tuple(scores)),),
        {"folds": folds.description, "rows": len(rows.clips), "numbers": rows.values.shape[1]},
        folds.notes,
        predictions=Predictions(
            every, numbers[every], output.argmax(axis=1), tuple(map(str, classes))
        ),
    )


def few_shot(
    rows: Rows,
    labels: np.ndarray,
    folds: Folds,
    *,
    examples: Sequence[int] = EXAMPLES,
    seed: int = 0,
    progress: Callable[[], object] = lambda: None,
) -> tuple[ScoreReport, ...]:
    """Accuracy of :func:`linear` after training on few clips of each class; one report a number.

    From the training clips of each fold ``examples`` clips of each class are drawn, nested: those
    for 5 are among those for 10. A class with fewer gives all it has, as in the paper; numbers that
    no class reaches are left out. ``progress`` is called after each fold of each number.
    """
    classes, numbers = np.unique(labels, return_inverse=True)
    wanted = sorted(set(examples))
    if not wanted or wanted[0] < 1:
        raise OptionError(f"examples={examples!r}: numbers of clips, 1 or more.")
    generator = np.random.default_rng(seed)
    orders = [generator.permutation(train) for train, _ in folds]
    most = max(int(np.bincount(numbers[order]).max()) for order in orders)
    if wanted[0] > most:
        raise OptionError(f"examples={examples!r}: no class has more than {most} training clips.")
    reports = []
    for count in [number for number in wanted if number <= most]:
        scores = []
        for order, (_, test) in zip(orders, folds, strict=True):
            train = np.concatenate(
                [order[numbers[order] == place][:count] for place in range(len(classes))]
            )
            output = _fit_and_average(rows, numbers, train, test, len(classes))
            scores.append(float(np.mean(output.argmax(axis=1) == numbers[test])))
            progress()
        settings = {"examples_per_class": count, "folds": folds.description, "seed": seed}
        reports.append(
            ScoreReport(
                "few-shot",
                rows.name,
                (Scores("accuracy", tuple(scores)),),
                settings,
                folds.notes,
            )
        )
    return tuple(reports)


def _fit_and_average(
    rows: Rows, numbers: np.ndarray, train: np.ndarray, test: np.ndarray, classes: int
) -> np.ndarray:
    """Outputs of a regression for the test clips, averaged over their rows: [tests, classes]."""
    seen, unseen = rows.of(train), rows.of(test)
    scaler = StandardScaler()
    # Standardising changes no prediction where the solution is unique. With fewer rows than
    # numbers, as in few-shot learning, it makes the smallest solution independent of units.
    inputs = scaler.fit_transform(seen.values.astype(np.float64))
    targets = np.eye(classes)[numbers[train]][seen.clips]
    offset = targets.mean(axis=0)
    weights = scipy.linalg.lstsq(inputs, targets - offset, lapack_driver="gelsy", cond=1e-10)[0]
    outputs = scaler.transform(unseen.values.astype(np.float64)) @ weights + offset
    counts = np.bincount(unseen.clips, minlength=len(test))
    if not counts.all():
        raise LabelsError(f"{rows.name}: a clip has no rows.")
    sums = np.zeros((len(test), classes))
    np.add.at(sums, unseen.clips, outputs)
    return sums / counts[:, None]


def similarity(
    vectors: np.ndarray,
    labels: np.ndarray,
    *,
    k: int = 10,
    groups: Sequence[str] | None = None,
    name: str = "features",
) -> Evaluation:
    """Precision at k: the share of a clip's k nearest neighbours that are of its class.

    Args:
        vectors: [n, D], as they are.
        labels: class of each clip, [n].
        k: number of neighbours.
        groups: artist or the like of each clip; neighbours of the same one do not count (artist
            filter: they are near for the wrong reason). A clip without one has no such neighbours.
        name: what the report calls the features.

    Returns:
        A report with the mean over all clips for L1 (the paper's), Euclidean and cosine distance,
        and a table of precision at 1 to k.

    Raises:
        LabelsError: a clip has fewer than k others to be compared with.
    """
    # A clip without a group is a group of its own.
    names = [group or f"\0{row}" for row, group in enumerate(groups or [""] * len(labels))]
    own = np.unique(names, return_inverse=True)[1]
    others = len(labels) - int(np.bincount(own).max())
    if not 1 <= k <= others:
        raise LabelsError(f"precision at {k} needs {k} other clips for each; there are {others}.")
    curves = {
        label: _precision(vectors, labels, k, own, metric) for label, metric in DISTANCES.items()
    }
    scores = tuple(Scores(f"P@{k} {label}", (curve[-1],)) for label, curve in curves.items())
    settings = {"k": k, "clips": len(labels), "neighbours_of_the_same_group": groups is None}
    table = Table(
        f"Precision at k, {name}",
        ("k", *curves),
        tuple((place + 1, *(curve[place] for curve in curves.values())) for place in range(k)),
        detail=True,
    )
    return Evaluation((ScoreReport("similarity", name, scores, settings),), (table,))


def _precision(
    vectors: np.ndarray, labels: np.ndarray, k: int, own: np.ndarray, metric: str
) -> list[float]:
    """Precision at 1, 2, … k neighbours of other groups."""
    hits, start = np.zeros(k), 0
    values = vectors.astype(np.float64)
    # Chunks of at most a gigabyte by scikit-learn's working memory.
    for distances in pairwise_distances_chunked(values, metric=metric, n_jobs=1):
        rows = np.arange(start, start + len(distances))
        start += len(distances)
        distances[own[rows][:, None] == own] = np.inf
        nearest = np.argsort(distances, axis=1, kind="stable")[:, :k]
        hits += (labels[nearest] == labels[rows][:, None]).sum(axis=0)
    precision: list[float] = (hits.cumsum() / np.arange(1, k + 1) / len(labels)).tolist()
    return precision


def nearest_classes(names: Sequence[str], vectors: np.ndarray, *, top: int = 5) -> Table:
    """For each class of each data set the nearest others, by L1 distance between embeddings.

    ``names``: "dataset/class"; ``vectors``: [classes, D], as ``extractor.labels`` has them.
    """
    distances = np.abs(vectors[:, None].astype(np.float64) - vectors).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    order = np.argsort(distances, axis=1, kind="stable")[:, : min(top, len(names) - 1)]
    rows = tuple((name, *(names[k] for k in near)) for name, near in zip(names, order, strict=True))
    columns = ("class", *map(str, range(1, order.shape[1] + 1)))
    return Table("Nearest classes", columns, rows, "L1 distance between label embeddings.")
