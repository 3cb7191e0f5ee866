"""Results as text for a terminal: aligned tables, one for each protocol, notes below."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from statistics import median
from typing import Any

from mirfeat.evaluation.records import Evaluation, ScoreReport, Scores


def as_text(evaluation: Evaluation) -> str:
    """Everything that was found, as a page of text."""
    parts = [
        "\n".join(_reports_text(list(reports)))
        for _, reports in groupby(evaluation.reports, key=lambda r: (r.protocol, r.origin))
    ]
    for table in evaluation.tables:
        if table.detail:
            continue
        note = f"\n{table.note}" if table.note else ""
        parts.append(f"{table.title}\n\n{text_table(table.columns, table.rows)}{note}")
    return "\n\n".join(parts)


def score_table(reports: Sequence[ScoreReport]) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows of reports of one protocol: ranked where there are many, beside the paper.

    The error is the standard error over folds or repeats.
    """
    metrics = list(dict.fromkeys(scores.metric for report in reports for scores in report.scores))
    by_name = [{scores.metric: scores.mean for scores in report.scores} for report in reports]
    columns: dict[str, list[Any]] = {"features": [report.features for report in reports]}
    if "examples_per_class" in reports[0].settings:
        columns["examples"] = [report.settings["examples_per_class"] for report in reports]
    elif len(reports) > 1:
        columns["rank"] = ranks(reports)
    columns[metrics[0]] = [report.main.mean for report in reports]
    if "draws" in reports[0].settings:
        columns["95 % interval"] = [interval_text(report.main) for report in reports]
    else:
        columns["± s.e."] = [report.main.standard_error for report in reports]
    columns |= {metric: [means.get(metric) for means in by_name] for metric in metrics[1:]}
    columns["published"] = [report.published for report in reports]
    columns["difference"] = [difference(report) for report in reports]
    filled = {name: cells for name, cells in columns.items() if any(map(cell_text, cells))}
    return list(filled), [list(row) for row in zip(*filled.values(), strict=True)]


def interval_text(scores: Scores) -> str:
    """The interval of a mean in words; empty for a single value."""
    low, high = scores.interval
    return "" if math.isnan(low) else f"{low:.4f} to {high:.4f}"


def ranks(reports: Sequence[ScoreReport]) -> list[int]:
    """Place of each report by its main score, 1 for the best; equal scores share a place."""
    mains = [report.main for report in reports]
    means = [main.mean if main.higher_is_better else -main.mean for main in mains]
    # A score that is no number is the last.
    means = [-math.inf if math.isnan(mean) else mean for mean in means]
    return [1 + sum(other > mean for other in means) for mean in means]


def reproduced(report: ScoreReport) -> float:
    """Our number for what the paper published: that of the unscaled grid where there is one."""
    for scores in report.scores:
        if scores.metric.endswith(", never scaled"):
            return scores.mean
    return report.main.mean


def difference(report: ScoreReport) -> float | None:
    """Our number minus the published one; None where there is none."""
    if report.published is None or math.isnan(report.published):
        return None
    return reproduced(report) - report.published


def _reports_text(reports: list[ScoreReport]) -> Iterator[str]:
    first = reports[0]
    what = f"{first.protocol}, {first.origin}" if first.origin else first.protocol
    yield f"{what}: {first.settings['folds']}\n" if "folds" in first.settings else f"{what}\n"
    yield text_table(*score_table(reports))
    differences = sorted(abs(d) for report in reports if (d := difference(report)) is not None)
    if differences:
        yield (
            f"\nagainst the {len(differences)} published scores: median absolute difference "
            f"{median(differences):.4f}, largest {differences[-1]:.4f}"
        )
    for note, count in _counted(reports):
        yield f"note: {note}" + (f" ({count} of {len(reports)})" if len(reports) > 1 else "")


def _counted(reports: Sequence[ScoreReport]) -> list[tuple[str, int]]:
    """Notes with the number of reports that have them, in the order they come."""
    every = [note for report in reports for note in dict.fromkeys(report.notes)]
    return [(note, every.count(note)) for note in dict.fromkeys(every)]


def text_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Lines with aligned columns: numbers to the right with four digits, words to the left."""
    cells = [[cell_text(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    right = [
        all(isinstance(row[place], int | float | None) for row in rows)
        for place in range(len(columns))
    ]
    lines = [
        "  ".join(
            f"{text:>{width}}" if to_right else f"{text:<{width}}"
            for text, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in [list(columns), *cells]
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def cell_text(value: Any) -> str:
    """A value as it stands in a table: floats with four digits, nothing for None and NaN."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)
