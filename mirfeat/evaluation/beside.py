"""Which published number stands beside which of our reports."""

from __future__ import annotations

from dataclasses import replace

from mirfeat.errors import OptionError
from mirfeat.evaluation.published import published_scores
from mirfeat.evaluation.records import Evaluation, ScoreReport

# What Tables 4 and 5 of Hamel et al. 2013 call the extractors.
_HAMEL = {
    "hamel2013-base": "base features",
    "hamel2013-genre": "genre embedding",
    "hamel2013-tag": "tag embedding",
}
# Kim et al. 2018 write combinations of learning sources as these letters, in this order.
_LETTERS = {"genre": "g", "subgenre": "s", "essentia": "e", "dmfcc": "d", "mfcc": "m"}


def with_published(evaluation: Evaluation, paper: str, task: str) -> Evaluation:
    """The same evaluation with the paper's numbers for ``task`` in its reports.

    Raises:
        ConfigError: the paper has no numbers for this task.
        OptionError: none of its numbers is for features and protocols like these.
    """
    reports = tuple(
        replace(report, published=_score(report, paper, task)) for report in evaluation.reports
    )
    if all(report.published is None for report in reports):
        known = ", ".join(list(published_scores(paper, task))[:8])
        raise OptionError(
            f"published {task!r}: {paper} has numbers for {known}, … and none for "
            f"{', '.join(report.features for report in reports[:3])}."
        )
    return replace(evaluation, reports=reports)


def _score(report: ScoreReport, paper: str, task: str) -> float | None:
    if paper == "hamel2013":
        name = _HAMEL.get(report.features.partition(" ")[0], "")
        if report.main.metric == "P@10 L1":
            return published_scores(paper, task, "precision at 10").get(name)
        return published_scores(paper, task).get(name) if report.protocol == "linear" else None
    if paper == "kim2018":
        sources = set(report.features.split("+"))
        letters = "".join(letter for source, letter in _LETTERS.items() if source in sources)
        network = report.origin.removeprefix("kim2018-")[:3].upper()
        known = published_scores(paper, task)
        return known.get(f"{letters} {network}") if len(letters) == len(sources) else None
    return published_scores(paper, task).get(report.features)
