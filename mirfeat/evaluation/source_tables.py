"""Averages over combinations of learning sources: Kim et al. 2018, Table 3 and Figure 3."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from mirfeat.evaluation.records import ScoreReport, Table

MAIN_TASK = "genre"


def source_tables(reports: Sequence[ScoreReport]) -> tuple[Table, ...]:
    """Averages of a source grid with and without the main task, and by number of sources.

    ``reports``: combinations called like ``genre+mfcc``. As in the paper single sources count.
    """
    if len(reports) < 2:
        return ()
    metrics = [scores.metric for scores in reports[0].scores]
    main = {
        f"{'with' if inside else 'without'} {MAIN_TASK}": [
            report for report in reports if (MAIN_TASK in report.features.split("+")) == inside
        ]
        for inside in (True, False)
    }
    sizes: dict[int, list[ScoreReport]] = {}
    for report in reports:
        sizes.setdefault(len(report.features.split("+")), []).append(report)
    origin = f", {reports[0].origin}" if reports[0].origin else ""
    by_size = tuple(
        (size, *_means(sizes[size], metrics), len(sizes[size])) for size in sorted(sizes)
    )
    tables = [
        Table(
            f"Average by number of learning sources{origin} (Kim et al. 2018, Fig. 3)",
            ("sources", *metrics, "combinations"),
            by_size,
        )
    ]
    if all(main.values()):
        rows = tuple((name, *_means(some, metrics), len(some)) for name, some in main.items())
        title = f"Average with and without the main task{origin} (Kim et al. 2018, Table 3)"
        tables.insert(0, Table(title, ("combinations that are", *metrics, "combinations"), rows))
    return tuple(tables)


def _means(reports: Sequence[ScoreReport], metrics: Sequence[str]) -> tuple[float, ...]:
    return tuple(fmean(report[metric].mean for report in reports) for metric in metrics)
