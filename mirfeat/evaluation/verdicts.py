"""Which features are better: paired comparisons over the same folds.

Scores of folds are compared in pairs by the corrected resampled t-test (Nadeau and Bengio,
*Inference for the generalization error*, Machine Learning 52, 2003): training sets of folds
overlap, so the variance of the mean difference is (1/J + test/train)·s² over J folds, not s²/J. Of
a single split the clips that only one of the two gets right are compared by an exact binomial test
(McNemar). Without folds, of precision among neighbours, the scores of clips are paired in a t-test.
Several comparisons at once share an error of 5 % (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import stats

from mirfeat.evaluation.records import Evaluation, Predictions, ScoreReport, Scores, Table

ERROR = 0.05
# Of more sets of features the best is compared with every other, not each with each.
MOST_PAIRED = 5
_NOTE = (
    "Paired over the same folds: corrected resampled t-test (Nadeau and Bengio 2003), of a single "
    "split McNemar's exact test, without folds a t-test over clips; intervals and p hold for all "
    "{count} comparisons at once (95 %)."
)


@dataclass(frozen=True)
class Verdict:
    """Whether ``first`` is better than ``second``: by ``difference``, in an interval.

    More is better, of losses too. ``p``: of a difference at least as large where there is none,
    corrected for the other verdicts.
    """

    first: str
    second: str
    difference: float
    low: float
    high: float
    p: float

    @property
    def told_apart(self) -> bool:
        """Whether the interval is on one side of 0."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        """In words, the better one first."""
        if self.difference < 0:
            return str(self._turned())
        interval = f"{self.difference:.3f} ({self.low:.3f} to {self.high:.3f})"
        if self.told_apart:
            return f"{self.first} beats {self.second} by {interval}"
        return f"{self.first} and {self.second} cannot be told apart: {interval}"

    def _turned(self) -> Verdict:
        ends = (-self.difference, -self.high, -self.low)
        return Verdict(self.second, self.first, *ends, self.p)


def compare(first: ScoreReport, second: ScoreReport, comparisons: int = 1) -> Verdict | None:
    """Verdict on two reports of the same pairing; None where there are too few values.

    ``comparisons``: how many are made at once; p is multiplied and the interval widened by it. The
    nested score is compared where both have one, for it is not chosen on what it is measured on.

    Raises:
        ValueError: reports that are no pair.
    """
    if first.pairing is None or first.pairing != second.pairing:
        raise ValueError(f"{first.features}, {second.features}: not of the same clips and folds.")
    ours, theirs = _scores(first), _scores(second)
    if len(ours.values) > 1:
        test = _resampled(ours, theirs, first.pairing.test_to_train, comparisons)
    elif first.clips is not None and second.clips is not None:
        clips = [Scores(ours.metric, tuple(one.tolist())) for one in (first.clips, second.clips)]
        test = _resampled(clips[0], clips[1], 0.0, comparisons)
    elif first.predictions and second.predictions and first.predictions.classes:
        test = _mcnemar(first.predictions, second.predictions, comparisons)
    else:
        return None
    return Verdict(_name(first), _name(second), *test)


def verdicts(evaluation: Evaluation) -> tuple[Table, ...]:
    """Tables of verdicts on all reports that can be compared, those of one protocol together.

    Each pair of up to five sets of features, of more the best with each of the others.
    """
    groups: dict[tuple[str, str], list[list[ScoreReport]]] = {}
    for some in _comparable(evaluation.reports):
        groups.setdefault((some[0].protocol, compared_metric(some[0])), []).append(some)
    return tuple(
        table
        for (protocol, metric), parts in groups.items()
        for table in _tables(f"Verdicts, {protocol}: {metric}", parts)
    )


def compared_metric(report: ScoreReport) -> str:
    """Name of the metric that verdicts are about."""
    scores = _scores(report)
    return "accuracy" if len(scores.values) == 1 and report.clips is None else scores.metric


def _comparable(reports: Sequence[ScoreReport]) -> list[list[ScoreReport]]:
    groups: dict[object, list[ScoreReport]] = {}
    for report in reports:
        if report.pairing is not None:
            examples = report.settings.get("examples_per_class")
            key = (report.protocol, report.pairing, _scores(report).metric, examples)
            groups.setdefault(key, []).append(report)
    return [some for some in groups.values() if len(some) > 1]


def _tables(title: str, parts: Sequence[Sequence[ScoreReport]]) -> Iterator[Table]:
    lines: list[tuple[str, float | None]] = []
    details, count = [], 0
    for part in parts:
        examples = part[0].settings.get("examples_per_class")
        before = "" if examples is None else f"{examples} a class: "
        found = _pairs(part)
        count = max(count, len(found))
        if len(part) > MOST_PAIRED:
            lines.extend((before + words, None) for words in _summary(found))
        else:
            lines.extend((before + str(verdict), verdict.p) for verdict in found)
        details += [(before + v.first, v.second, v.difference, v.low, v.high, v.p) for v in found]
    if not details:
        return
    note = _NOTE.format(count=count) if count > 1 else _NOTE.partition(";")[0] + "."
    yield Table(title, ("verdict", "p"), tuple(lines), note)
    columns = ("features", "against", "difference", "from", "to", "p")
    yield Table(f"{title}, in numbers", columns, tuple(details), note, detail=True)


def _pairs(reports: Sequence[ScoreReport]) -> list[Verdict]:
    if len(reports) > MOST_PAIRED:
        best = max(reports, key=_sign)
        pairs = [(best, report) for report in reports if report is not best]
    else:
        pairs = list(combinations(sorted(reports, key=_sign, reverse=True), 2))
    found = [compare(first, second, len(pairs)) for first, second in pairs]
    return [verdict for verdict in found if verdict is not None]


def _summary(found: Sequence[Verdict]) -> Iterator[str]:
    """A line for the best of many, and those that it cannot be told apart from."""
    if not found:
        return
    even = [verdict.second for verdict in found if not verdict.told_apart]
    line = f"{found[0].first} beats {len(found) - len(even)} of {len(found)} others"
    yield line + (f"; it cannot be told apart from {', '.join(even)}" if even else "")


def _resampled(
    ours: Scores, theirs: Scores, test_to_train: float, comparisons: int
) -> tuple[float, float, float, float]:
    """Difference, interval and p of the corrected resampled t-test."""
    sign = 1 if ours.higher_is_better else -1
    values = sign * (np.array(ours.values) - np.array(theirs.values))
    mean, count = float(np.average(values, weights=ours.weights)), len(values)
    error = math.sqrt((1 / count + test_to_train) * float(np.var(values, ddof=1)))
    if error == 0:
        return mean, mean, mean, float(mean == 0)
    reach = float(stats.t.ppf(1 - ERROR / 2 / comparisons, count - 1)) * error
    p = 2 * float(stats.t.sf(abs(mean) / error, count - 1))
    return mean, mean - reach, mean + reach, min(1.0, comparisons * p)


def _mcnemar(
    ours: Predictions, theirs: Predictions, comparisons: int
) -> tuple[float, float, float, float]:
    """Difference in accuracy, its interval and p, from clips that only one gets right.

    The interval is what exact binomial limits of the share of these clips say of the difference.
    """
    right = [one.predicted == one.truth for one in (ours, theirs)]
    gained, lost = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    total, discordant = len(ours.truth), gained + lost
    if not discordant:
        return 0.0, 0.0, 0.0, 1.0
    test = stats.binomtest(gained, discordant)
    limits = test.proportion_ci(1 - ERROR / comparisons, method="exact")
    low, high = ((2 * limit - 1) * discordant / total for limit in (limits.low, limits.high))
    difference = (gained - lost) / total
    return difference, float(low), float(high), min(1.0, comparisons * float(test.pvalue))


def _scores(report: ScoreReport) -> Scores:
    nested = [scores for scores in report.scores if scores.metric.endswith(", nested")]
    return (nested or [report.main])[0]


def _sign(report: ScoreReport) -> float:
    scores = _scores(report)
    return scores.mean if scores.higher_is_better else -scores.mean


def _name(report: ScoreReport) -> str:
    return f"{report.origin} {report.features}" if report.origin else report.features
