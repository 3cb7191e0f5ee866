"""Combinations of learning sources: Kim et al. 2018, Tables 3, 4, 5 and Figure 3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from mirfeat.evaluation.published import letters_of, published_scores
from mirfeat.evaluation.records import ScoreReport, Table

MAIN_TASK = "genre"
_METRICS = {"log-loss": "log-loss", "macro-F1": "macro-f1"}


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


def combination_table(networks: Mapping[str, Sequence[ScoreReport]]) -> Table:
    """Table 4: log-loss and macro-F1 of every combination, by network, ours and the paper's.

    ``networks``: reports called like ``genre+mfcc`` by the paper's name of the network, STN or MTN.
    Published scores are of other data, splits or label factors, unless these were the paper's.
    """
    scores = {(report.features, name): report for name, some in networks.items() for report in some}
    combinations = dict.fromkeys(features for features, _ in scores)
    paper = {m: published_scores("kim2018", "combinations", m) for m in _METRICS.values()}
    rows = []
    for features in sorted(combinations, key=lambda name: name.count("+")):
        letters = letters_of(features.split("+"))
        row: list[object] = [features]
        for name in networks:
            report = scores.get((features, name))
            for metric, theirs in _METRICS.items():
                row.append(None if report is None else report[metric].mean)
                row.append(paper[theirs].get(f"{letters} {name}"))
        rows.append(tuple(row))
    columns = ["sources"]
    for name in networks:
        for metric in _METRICS:
            columns += [f"{name} {metric}", f"published {name} {metric}"]
    title = "Combinations of learning sources (Kim et al. 2018, Table 4)"
    return Table(title, tuple(columns), tuple(rows))


def wide_table(
    wide: Mapping[int, ScoreReport], networks: Mapping[str, Sequence[ScoreReport]]
) -> Table:
    """Table 5: a wide network of genres against the best combination of as many sources.

    ``wide``: by the number of sources whose shared network has as many parameters; ``networks`` as
    for :func:`combination_table`. As in the paper the best is looked for in each metric alone, on
    the clips that it is measured on.
    """
    rows = []
    for count in sorted(wide):
        for metric, theirs in _METRICS.items():
            known = published_scores("kim2018", "best-by-count", theirs)
            row: list[object] = [
                count,
                metric,
                wide[count][metric].mean,
                known.get(f"{count} wSTN"),
            ]
            for name, reports in networks.items():
                own = [one[metric] for one in reports if one.features.count("+") == count - 1]
                better = max if wide[count][metric].higher_is_better else min
                row.append(better((scores.mean for scores in own), default=None))
                row.append(known.get(f"{count} {name}"))
            rows.append(tuple(row))
    names = ("wSTN", *networks)
    columns = [word for name in names for word in (name, f"published {name}")]
    title = "A wide network of genres against several sources (Kim et al. 2018, Table 5)"
    return Table(title, ("sources", "metric", *columns), tuple(rows))


def _means(reports: Sequence[ScoreReport], metrics: Sequence[str]) -> tuple[float, ...]:
    return tuple(fmean(report[metric].mean for report in reports) for metric in metrics)
