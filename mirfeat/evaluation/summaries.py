"""Tables over tasks or classes: Choi et al. 2017, Figs 2 and 5; Hamel et al. 2013, Tables 4, 5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mirfeat.errors import LabelsError
from mirfeat.evaluation.published import (
    STATE_OF_THE_ART,
    published_scores,
    published_tasks,
)
from mirfeat.evaluation.records import Evaluation, ScoreReport, Table


def task_summary(tasks: Mapping[str, Evaluation]) -> Table:
    """Figure 2: for each task the best layers, all layers with MFCC, MFCC, and what was published.

    ``tasks``: layer sweeps by the paper's name of a task; reports of untrained networks are left
    out.
    """
    rows = []
    for task, evaluation in tasks.items():
        reports = [one for one in evaluation.reports if "(random" not in one.origin]
        published = published_scores("choi2017", task)
        ours = {one.features: one.main.mean for one in reports}
        layers = [name for name in ours if "mfcc" not in name]
        best = max(layers, key=ours.__getitem__, default="")
        both = next((ours[name] for name in ours if name.endswith("+mfcc")), None)
        known = {name: score for name, score in published.items() if "mfcc" not in name}
        rows.append(
            (
                task,
                best,
                ours.get(best),
                max(known.values()),
                both,
                published["12345+mfcc"],
                ours.get("mfcc"),
                published["mfcc"],
                STATE_OF_THE_ART.get(task),
            )
        )
    columns = (
        *("task", "best layers", "ours", "published", "12345+mfcc", "published 12345+mfcc"),
        *("mfcc", "published mfcc", "state of the art then"),
    )
    note = "Best of a grid, chosen on the folds it is measured on, as in the paper."
    return Table("Summary of all tasks (Choi et al. 2017, Fig. 2)", columns, tuple(rows), note)


def embedding_tables(reports: Mapping[str, Sequence[ScoreReport]]) -> tuple[Table, ...]:
    """Tables 4 and 5 of Hamel et al. 2013: accuracy and precision at 10 by data set.

    ``reports``: of ``linear`` and ``similarity`` by data set, called as the paper's columns: base
    features, genre embedding, tag embedding. Published numbers stand beside those of a data set of
    the same name; they are of other audio and other embeddings unless these were the paper's.
    """
    made = (
        ("linear", "accuracy", "Accuracy (Hamel et al. 2013, Table 4)"),
        ("similarity", "precision at 10", "Precision at 10 (Hamel et al. 2013, Table 5)"),
    )
    tables = []
    for protocol, metric, title in made:
        rows, names = (
            [],
            dict.fromkeys(
                one.features
                for some in reports.values()
                for one in some
                if one.protocol == protocol
            ),
        )
        for dataset, some in reports.items():
            known = (
                published_scores("hamel2013", dataset, metric)
                if dataset in published_tasks("hamel2013")
                else {}
            )
            own = {one.features: one.main for one in some if one.protocol == protocol}
            row: list[object] = [dataset]
            for name in names:
                score = own.get(name)
                row += [None if score is None else score.mean, known.get(name)]
            rows.append(tuple(row))
        if names:
            columns = [word for name in names for word in (name, f"published {name}")]
            tables.append(Table(title, ("dataset", *columns), tuple(rows)))
    return tuple(tables)


def per_class(first: ScoreReport, second: ScoreReport) -> Table:
    """Figure 5: share of each class's clips that are recognised, with two sets of features.

    Classes are in the order of the difference, the largest first.

    Raises:
        LabelsError: a report without predictions of classes.
    """
    shares = [_shares(report) for report in (first, second)]
    names = sorted(shares[0], key=lambda name: shares[1][name] - shares[0][name])
    rows = tuple(
        (name, shares[0][name], shares[1][name], shares[0][name] - shares[1][name])
        for name in names
    )
    columns = ("class", first.features, second.features, "difference")
    return Table("Accuracy by class (Choi et al. 2017, Fig. 5)", columns, rows)


def pick(reports: Sequence[ScoreReport], features: str) -> ScoreReport | None:
    """The first report of some features that is not of an untrained network."""
    found = (r for r in reports if r.features == features and "(random" not in r.origin)
    return next(found, None)


def _shares(report: ScoreReport) -> dict[str, float]:
    found = report.predictions
    if found is None or not found.classes:
        raise LabelsError(f"{report.features}: no predicted classes, so no accuracy by class.")
    right = found.predicted == found.truth
    return {
        name: float(np.mean(right[found.truth == place]))
        for place, name in enumerate(found.classes)
        if (found.truth == place).any()
    }
