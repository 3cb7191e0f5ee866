"""Protocols of Hamel et al. 2013: regression on windows, similarity, near classes.

Genre classification (section 6.2, Table 4): a linear regression of one-hot classes on window-level
features; outputs are averaged over a clip, the highest one is its class. Few examples (Figure 3):
``few_shot.py``. Music similarity (section 6.3, Table 5): precision at 10 among nearest neighbours,
nothing is trained. Semantic similarity (section 6.1, Table 3): nearest classes of several data sets
in the label space.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import pairwise_distances_chunked

from mirfeat.errors import LabelsError
from mirfeat.evaluation.classifiers import least_squares_outputs, peak_note
from mirfeat.evaluation.folds import Folds
from mirfeat.evaluation.inputs import Rows
from mirfeat.evaluation.records import Evaluation, Predictions, ScoreReport, Scores, Table

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
        output = least_squares_outputs(rows, numbers, train, test, len(classes))
        scores.append(float(np.mean(output.argmax(axis=1) == numbers[test])))
        tested.append(test)
        outputs.append(output)
    every, output = np.concatenate(tested), np.concatenate(outputs)
    return ScoreReport(
        "linear",
        rows.name,
        (Scores("accuracy", tuple(scores)),),
        {"folds": folds.description, "rows": len(rows.clips), "numbers": rows.values.shape[1]},
        (*folds.notes, *filter(None, [peak_note(rows, folds.splits[0][0])])),
        predictions=Predictions(
            every, numbers[every], output.argmax(axis=1), tuple(map(str, classes))
        ),
    )


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
        the precision of each clip by the first, and a table of precision at 1 to k.

    Raises:
        LabelsError: a clip has fewer than k others to be compared with.
    """
    # A clip without a group is a group of its own.
    names = [group or f"\0{row}" for row, group in enumerate(groups or [""] * len(labels))]
    own = np.unique(names, return_inverse=True)[1]
    others = len(labels) - int(np.bincount(own).max())
    if not 1 <= k <= others:
        raise LabelsError(f"precision at {k} needs {k} other clips for each; there are {others}.")
    found = {
        label: _precision(vectors, labels, k, own, metric) for label, metric in DISTANCES.items()
    }
    curves = {label: one.mean(axis=0).tolist() for label, one in found.items()}
    scores = tuple(Scores(f"P@{k} {label}", (curve[-1],)) for label, curve in curves.items())
    settings = {"k": k, "clips": len(labels), "neighbours_of_the_same_group": groups is None}
    table = Table(
        f"Precision at k, {name}",
        ("k", *curves),
        tuple((place + 1, *(curve[place] for curve in curves.values())) for place in range(k)),
        detail=True,
    )
    clips = next(iter(found.values()))[:, -1]
    return Evaluation((ScoreReport("similarity", name, scores, settings, clips=clips),), (table,))


def _precision(
    vectors: np.ndarray, labels: np.ndarray, k: int, own: np.ndarray, metric: str
) -> np.ndarray:
    """Precision of each clip at 1, 2, … k neighbours of other groups, [n, k]."""
    precision, start = np.zeros((len(labels), k)), 0
    values = vectors.astype(np.float64)
    # Chunks of at most a gigabyte by scikit-learn's working memory.
    for distances in pairwise_distances_chunked(values, metric=metric, n_jobs=1):
        rows = np.arange(start, start + len(distances))
        start += len(distances)
        distances[own[rows][:, None] == own] = np.inf
        nearest = np.argsort(distances, axis=1, kind="stable")[:, :k]
        hits = labels[nearest] == labels[rows][:, None]
        precision[rows] = hits.cumsum(axis=1) / np.arange(1, k + 1)
    return precision


def nearest_classes(names: Sequence[str], vectors: np.ndarray, *, top: int = 5) -> Table:
    """For each class of each data set the nearest others, by L1 distance between embeddings.

    ``names``: "dataset/class"; ``vectors``: [classes, D], as ``extractor.labels`` has them.
    """
    distances = np.abs(vectors[:, None].astype(np.float64) - vectors).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    order = np.argsort(distances, axis=1, kind="stable")[:, : min(top, len(names) - 1)]
    rows = []
    for place, near in enumerate(order):
        cells = [(names[k], float(distances[place, k])) for k in near]
        rows.append((names[place], *(cell for pair in cells for cell in pair)))
    places = range(1, order.shape[1] + 1)
    columns = ("class", *(text for k in places for text in (str(k), f"distance {k}")))
    return Table("Nearest classes", columns, tuple(rows), "L1 distance between label embeddings.")
