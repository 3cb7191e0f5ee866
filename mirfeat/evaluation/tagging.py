"""Several tags a clip: area under the ROC curve, and average precision.

The measure of taggers: Choi et al. 2017 give their source task, the 50 most frequent tags of the
Million Song Dataset, as an AUC-ROC of 0.849. Features are scored by a logistic regression for each
tag; what a tagger predicts is scored as it is. Both metrics are means over tags (macro). The AUC is
0.5 by chance whatever a tag's frequency; average precision by chance is the tag's frequency.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from mirfeat.errors import LabelsError
from mirfeat.evaluation.folds import Folds
from mirfeat.evaluation.labels import ID_COLUMNS, LabelTable, read_labels
from mirfeat.evaluation.records import Evaluation, ScoreReport, Scores, Table

TAGS = "tags"
TAG_COLUMNS = ("tags", "tag", "labels")
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Inverse strengths to choose from, one for all tags; features are standardised."""

# Of a fold's training clips one in so many is held out to choose the strength.
_HELD_OUT = 5
_STEPS = 300


def tags_table(table: LabelTable, target: str | None = None) -> LabelTable:
    """Labels with a column ``tags``: words that ``;`` separates, ``";"`` where a clip has none.

    ``target``: a column of such words (a weight behind a colon is left out, rock:3), or several
    columns of 0 and 1 with commas between, each a tag. None: the first of :data:`TAG_COLUMNS` that
    is there, else all columns that hold only 0 and 1.

    Raises:
        LabelsError: no such columns, or other cells than 0 and 1.
    """
    column = target or table.first_of(TAG_COLUMNS)
    if column and "," not in column:
        cells = table.column(column)
        rest = {name: values for name, values in table.columns.items() if name != column}
        return LabelTable(table.path, {**rest, TAGS: tuple(map(_words, cells))})
    names = column.split(",") if column else _indicators(table)
    marks = {name: [cell.strip() for cell in table.column(name)] for name in names}
    for name, column_marks in marks.items():
        if wrong := sorted(set(column_marks) - {"0", "1"}):
            raise LabelsError(f"{table.path}: {name!r} holds {wrong[0]!r}; a tag's column is 0, 1.")
    if not names:
        raise LabelsError(
            f"{table.path}: no tags. They are a column of words with ';' between (--target COLUMN),"
            f" or columns of 0 and 1. Columns: {', '.join(table.columns)}."
        )
    rows = zip(*marks.values(), strict=True)
    tags = (";".join(n for n, mark in zip(names, row, strict=True) if mark == "1") for row in rows)
    rest = {name: values for name, values in table.columns.items() if name not in marks}
    return LabelTable(table.path, {**rest, TAGS: tuple(words or ";" for words in tags)})


def tag_matrix(labels: Iterable[str], folds: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """Which clip has which tag, bool [n, tags], and their names, the most frequent first.

    Tags that fewer clips have than there are folds, or that fewer lack, are left out.

    Raises:
        LabelsError: no tag is left.
    """
    bags = [set(filter(None, label.split(";"))) for label in labels]
    names = sorted({word for bag in bags for word in bag})
    truth = np.array([[name in bag for name in names] for bag in bags], dtype=bool)
    counts = truth.sum(axis=0) if names else np.zeros(0)
    fewest = max(2, folds)
    kept = [
        k for k in np.argsort(-counts, kind="stable") if fewest <= counts[k] <= len(bags) - fewest
    ]
    if not kept:
        raise LabelsError(
            f"{len(names)} tags of {len(bags)} clips, and none that {fewest} clips or more have and"
            " as many lack."
        )
    return truth[:, kept], tuple(names[k] for k in kept)


def tagging(
    vectors: np.ndarray,
    truth: np.ndarray,
    names: Sequence[str],
    folds: Folds,
    *,
    name: str = "features",
    workers: int = 2,
    progress: Callable[[], object] = lambda: None,
) -> Evaluation:
    """AUC-ROC and average precision of logistic regressions on standardised features.

    Args:
        vectors: [n, D].
        truth: which clip has which tag, bool [n, tags].
        names: of the tags.
        folds: who is tested on whom. One strength for all tags is the best of :data:`PENALTIES` by
            average precision on a fifth of the training clips, held out in turn of their order.
        name: what the report calls the features.
        workers: tags at a time.
        progress: called after each fold.

    Returns:
        A report with macro AUC-ROC and AP of each fold, and a table of all tags. A tag that all or
        none of a fold's test clips have does not count in that fold.

    Raises:
        LabelsError: a tag that all or none of the training clips have.
    """
    values = []
    for train, test in folds:
        scaler = StandardScaler().fit(vectors[train].astype(np.float64))
        inputs = scaler.transform(vectors.astype(np.float64))
        held_out = np.arange(len(train)) % _HELD_OUT == 0
        fitted, chosen = train[~held_out], train[held_out]
        points = []
        for penalty in PENALTIES:
            outputs = _fit(inputs, truth, names, fitted, chosen, penalty, workers)
            points.append(float(np.nanmean(_per_tag(outputs, truth[chosen])[1])))
        best = PENALTIES[int(np.nanargmax(points))] if not np.isnan(points).all() else 1.0
        outputs = _fit(inputs, truth, names, train, test, best, workers)
        values.append(_per_tag(outputs, truth[test]))
        progress()
    settings = {"tags": len(names), "numbers": vectors.shape[1], "folds": folds.description}
    return _evaluation(values, truth, names, name, settings, folds.notes)


def score_predictions(
    predictions: np.ndarray,
    truth: np.ndarray,
    names: Sequence[str],
    name: str = "predictions",
    notes: Sequence[str] = (),
) -> Evaluation:
    """AUC-ROC and average precision of what a tagger predicts, nothing is trained.

    ``predictions``: [n, tags], higher for clips that rather have the tag; otherwise as
    :func:`tagging`.
    """
    settings = {"tags": len(names), "clips": len(truth), "trained": False}
    return _evaluation([_per_tag(predictions, truth)], truth, names, name, settings, tuple(notes))


def read_predictions(path: Path, ids: Sequence[str], names: Sequence[str]) -> np.ndarray:
    """Predictions of tags for clips, float64 [len(ids), len(names)].

    A CSV file with a column id and one for each tag, or what ``mirfeat tags --top 1000 --json``
    prints: {clip: {tag: probability}}; a tag that is missing there has probability 0.

    Raises:
        LabelsError: not readable, a clip or tag that is missing, something that is no number.
    """
    if path.suffix.lower() == ".json":
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            known = {name for tags in record.values() for name in tags}
            rows = {id: [float(tags.get(n, 0.0)) for n in names] for id, tags in record.items()}
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise LabelsError(f"{path}: not {{clip: {{tag: probability}}}}: {error}") from error
    else:
        table = read_labels(path)
        key, known = table.first_of(ID_COLUMNS), set(table.columns)
        columns = [table.columns.get(name, ()) for name in names]
        try:
            numbers = [list(map(float, column)) for column in columns]
        except ValueError as error:
            raise LabelsError(f"{path}: predictions are numbers: {error}.") from error
        clips = table.column(key or "id")
        rows = dict(zip(clips, map(list, zip(*numbers, strict=False)), strict=False))
    if missing := [name for name in names if name not in known]:
        raise LabelsError(
            f"{path}: no predictions of {len(missing)} of {len(names)} tags, first {missing[0]!r}. "
            "Take them out of the labels, or name those to score with --target."
        )
    if lost := [id for id in ids if id not in rows]:
        raise LabelsError(f"{path}: no predictions for {len(lost)} clips, first {lost[0]!r}.")
    return np.array([rows[id] for id in ids], dtype=np.float64)


def _fit(
    inputs: np.ndarray,
    truth: np.ndarray,
    names: Sequence[str],
    train: np.ndarray,
    test: np.ndarray,
    penalty: float,
    workers: int,
) -> np.ndarray:
    """Decision values for the test clips, [tests, tags]; chance where nothing can be learned."""

    def one(tag: int) -> np.ndarray:
        targets = truth[train, tag]
        if targets.all() or not targets.any():
            return np.zeros(len(test))
        model = LogisticRegression(C=penalty, max_iter=_STEPS).fit(inputs[train], targets)
        decisions: np.ndarray = model.decision_function(inputs[test])
        return decisions

    with warnings.catch_warnings(), threadpool_limits(1, user_api="blas"):
        # A large C separates the clips without an end; whether it is any good is measured.
        warnings.simplefilter("ignore", ConvergenceWarning)
        jobs = (delayed(one)(tag) for tag in range(len(names)))
        return np.stack(Parallel(workers, backend="threading")(jobs), axis=1)


def _per_tag(outputs: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUC and AP of each tag; NaN where all or none of the clips have it."""
    pairs = []
    for output, has in zip(outputs.T, truth.T, strict=True):
        if has.all() or not has.any():
            pairs.append((math.nan, math.nan))
        else:
            pairs.append((roc_auc_score(has, output), average_precision_score(has, output)))
    areas, precisions = np.array(pairs).T
    return areas, precisions


def _evaluation(
    values: Sequence[tuple[np.ndarray, np.ndarray]],
    truth: np.ndarray,
    names: Sequence[str],
    name: str,
    settings: Mapping[str, Any],
    notes: tuple[str, ...],
) -> Evaluation:
    areas, precisions = (np.array([pair[k] for pair in values]) for k in (0, 1))
    scores = tuple(
        Scores(metric, tuple(np.nanmean(some, axis=1).tolist()))
        for metric, some in (("AUC-ROC", areas), ("AP", precisions))
    )
    counts, means = (
        truth.sum(axis=0).tolist(),
        [np.nanmean(some, axis=0) for some in (areas, precisions)],
    )
    rows = tuple(zip(names, counts, means[0].tolist(), means[1].tolist(), strict=True))
    table = Table(f"Tags, {name}", ("tag", "clips", "AUC-ROC", "AP"), rows, detail=True)
    return Evaluation((ScoreReport("tagging", name, scores, settings, notes),), (table,))


def _words(cell: str) -> str:
    """Words of a cell without weights; ";" of one that says there are none, "" of an empty one."""
    parts = []
    for part in cell.split(";"):
        word, colon, weight = part.strip().rpartition(":")
        parts.append(word if colon and _is_number(weight) else part.strip())
    return ";".join(filter(None, parts)) or (";" if ";" in cell else "")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _indicators(table: LabelTable) -> list[str]:
    """Columns that hold 0 and 1 and nothing else."""
    return [
        name
        for name, cells in table.columns.items()
        if {cell.strip() for cell in cells} == {"0", "1"}
    ]
