"""Which published number stands beside which of our reports.

Only one of the same system: extractor, weights and statistics. A paper's numbers for others are a
table of their own. Arrays do not say what made them and are taken at the word of who asks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from mirfeat.evaluation.published import (
    STATE_OF_THE_ART,
    letters_of,
    published_errors,
    published_scores,
    published_tasks,
)
from mirfeat.evaluation.records import Evaluation, ScoreReport, System, Table

# What Tables 4 and 5 of Hamel et al. 2013 call the extractors.
_HAMEL = {
    "hamel2013-base": "base features",
    "hamel2013-genre": "genre embedding",
    "hamel2013-tag": "tag embedding",
}
# What papers made their numbers with, as far as it is to be had: extractor, weights, statistics
# (empty: any). Weights of hamel2013-tag, hamel2013-genre, kim2018 and kim2019's tables are not.
_SYSTEMS = {
    "choi2017": (
        System("choi2017", "msd", ("mean",)),
        System("choi2017", "msd", ("paper",)),  # which is the mean
        System("mfcc"),
    ),
    "hamel2013": (System("hamel2013-base"),),
}


def with_published(evaluation: Evaluation, paper: str, task: str) -> Evaluation:
    """The same evaluation with the paper's numbers for ``task``.

    A number stands in a report whose features are of the paper's system, or arrays; what else the
    paper has for the task is a table below. What it calls the state of the art stands in each.

    Raises:
        ConfigError: the paper has no numbers for this task.
    """
    known = STATE_OF_THE_ART.get(task) if paper == "choi2017" else None
    reports = tuple(
        replace(_beside(report, paper, task), state_of_the_art=known)
        for report in evaluation.reports
    )
    shown = [report for report in reports if report.published is not None]
    if shown and len(shown) == len(reports):
        return replace(evaluation, reports=reports)
    apart = _apart(paper, task, evaluation.reports)
    return Evaluation(reports, (apart, *evaluation.tables))


def _beside(report: ScoreReport, paper: str, task: str) -> ScoreReport:
    score = _score(report, paper, task)
    systems = report.systems
    if report.features == "mfcc":  # alone, whatever stands beside it in the same set of features
        systems = tuple(one for one in systems if one.extractor == "mfcc") or systems
    if score is None or not _same_system(systems, paper):
        return report
    if report.systems:
        return replace(report, published=score)
    note = (
        "arrays do not say what made them: published scores stand beside them because they were "
        "asked for"
    )
    return replace(report, published=score, notes=(*report.notes, note))


def _same_system(systems: Sequence[System], paper: str) -> bool:
    known = _SYSTEMS.get(paper, ())
    return all(
        any(
            (system.extractor, system.weights) == (one.extractor, one.weights)
            and one.statistics in ((), system.statistics)
            for one in known
        )
        for system in systems
    )


def _apart(paper: str, task: str, reports: Sequence[ScoreReport]) -> Table:
    """All that a paper has for a task, under its own heading."""
    rows: list[tuple[object, ...]] = []
    errors = published_errors(paper, task)
    for metric in published_tasks(paper)[task]:
        for name, score in published_scores(paper, task, metric).items():
            error = errors.get(name) if metric == published_tasks(paper)[task][0] else None
            rows.append((name, metric, score, error))
    columns: tuple[str, ...] = ("published features", "metric", "score", "± s.e.")
    if all(row[3] is None for row in rows):
        columns, rows = columns[:3], [row[:3] for row in rows]
    made = sorted({_words(system) for report in reports for system in report.systems})
    return Table(
        f"Published by {paper} for {task}, with its own systems",
        columns,
        tuple(rows),
        f"Not to be compared digit by digit with {', '.join(made) or 'the features above'}: other "
        "weights, statistics or folds.",
    )


def _words(system: System) -> str:
    parts = [system.weights or "", "+".join(system.statistics)]
    inside = ", ".join(filter(None, parts))
    return f"{system.extractor} ({inside})" if inside else system.extractor


def _score(report: ScoreReport, paper: str, task: str) -> float | None:
    """The number that bears the report's name, whatever made its features."""
    found = _by_name(report, paper, task)
    return None if found is None or math.isnan(found) else found


def _by_name(report: ScoreReport, paper: str, task: str) -> float | None:
    if paper == "hamel2013":
        name = _HAMEL.get(report.features.partition(" ")[0], "")
        if report.main.metric == "P@10 L1":
            return published_scores(paper, task, "precision at 10").get(name)
        return published_scores(paper, task).get(name) if report.protocol == "linear" else None
    if paper == "kim2018":
        letters = letters_of(report.features.split("+"))
        network = report.origin.removeprefix("kim2018-")[:3].upper()
        return published_scores(paper, task).get(f"{letters} {network}")
    return published_scores(paper, task).get(report.features)
