"""The first screen of a report: which features are best, whether it matters, what to do next."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mirfeat.evaluation.pages.gallery import is_baseline
from mirfeat.evaluation.records import Evaluation, ScoreReport, Table
from mirfeat.evaluation.verdicts import compared_metric

# Protocols that score whole sets of features, the strongest first; others have many reports a set.
_WHOLE = ("svm-grid", "mlp", "linear", "transfer-head", "tagging", "similarity")
_FEW_CLIPS = 100


def findings(found: Mapping[str, Evaluation], clips: int) -> tuple[str, Evaluation]:
    """Paragraphs, and a table of the features, best first, by the protocols that were run.

    ``found``: evaluations by protocol; ``clips``: how many were scored.
    """
    ranked = {name: found[name].reports for name in _WHOLE if name in found and found[name].reports}
    if not ranked:
        return "", Evaluation()
    name, reports = next(iter(ranked.items()))
    ordered = sorted(reports, key=_value, reverse=True)
    parts = [_best(name, ordered), _whether(found[name]), _next(ordered, found[name], clips)]
    return "\n\n".join(filter(None, parts)), Evaluation(tables=(_overview(ranked, ordered),))


def _value(report: ScoreReport) -> float:
    scores = report[_metric(report)]
    return scores.mean if scores.higher_is_better else -scores.mean


def _metric(report: ScoreReport) -> str:
    metric = compared_metric(report)
    return (
        metric if any(scores.metric == metric for scores in report.scores) else (report.main.metric)
    )


def _best(name: str, ordered: Sequence[ScoreReport]) -> str:
    best = ordered[0]
    scores = best[_metric(best)]
    spread = "" if len(scores.values) < 2 else f" ± {scores.standard_error:.3f}"
    said = f"{best.features}: {scores.metric} {scores.mean:.3f}{spread} ({name})"
    return f"Best: {said}." if len(ordered) > 1 else f"{said}."


def _verdicts(evaluation: Evaluation) -> list[str]:
    return [
        str(row[0])
        for table in evaluation.tables
        if table.columns == ("verdict", "p")
        for row in table.rows
    ]


def _whether(evaluation: Evaluation) -> str:
    lines = _verdicts(evaluation)
    if not lines:
        return ""
    return "Does the difference matter? " + "; ".join(lines[:4]) + "."


def _next(ordered: Sequence[ScoreReport], evaluation: Evaluation, clips: int) -> str:
    advice = []
    best = ordered[0]
    if len(ordered) == 1:
        advice.append("compare with a baseline, -m mfcc, and with other extractors")
    elif is_baseline(best.features):
        advice.append("the baseline is not beaten: take it, or try other extractors and layers")
    else:
        advice.append(f"take {_choice(ordered, _verdicts(evaluation), clips).features}")
    if clips < _FEW_CLIPS:
        advice.append(f"label more: {clips} clips show large differences only")
    if any(note.startswith("warning: nothing says whose") for note in best.notes):
        advice.append("say whose clips these are (--groups, --manifest): scores may be too high")
    advice.append("listen to the clips that were confused, below")
    return f"Next: {'; '.join(advice)}."


def _choice(ordered: Sequence[ScoreReport], lines: Sequence[str], clips: int) -> ScoreReport:
    """The smallest of those that are as good as the best; the best where clips are few."""
    best = ordered[0]
    if clips < _FEW_CLIPS:
        return best
    even = [
        report
        for report in ordered[1:]
        if any(
            line.startswith(f"{best.features} and {report.features} cannot be told apart")
            for line in lines
        )
    ]
    return min([best, *even], key=lambda report: report.settings.get("numbers", math.inf))


def _overview(ranked: Mapping[str, Sequence[ScoreReport]], ordered: Sequence[ScoreReport]) -> Table:
    rows = []
    for report in ordered:
        by_protocol = (
            next((_shown(one) for one in reports if one.features == report.features), None)
            for reports in ranked.values()
        )
        rows.append((report.features, report.settings.get("numbers"), *by_protocol))
    columns = ("features", "numbers", *ranked)
    note = "The score that each protocol quotes, nested where there is one. Best first."
    return Table("Features, best first", columns, tuple(rows), note)


def _shown(report: ScoreReport) -> float:
    return report[_metric(report)].mean
