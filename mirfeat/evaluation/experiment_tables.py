"""Means over the runs of an experiment: Kim et al. 2019, Figures 8, 9, 10 and 13."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean

from mirfeat.evaluation.experiment import STRATEGIES, ScoredRun, standardise
from mirfeat.evaluation.records import Table

_PAPER = "(Kim et al. 2019, Fig. {})"
SINGLE = "SS-R"


def experiment_tables(runs: Sequence[ScoredRun]) -> tuple[Table, ...]:
    """All of them that the runs have something for."""
    tables = (by_source(runs), by_strategy(runs), by_count(runs), with_best_source(runs))
    return tuple(table for table in tables if table.rows)


def by_source(runs: Sequence[ScoredRun]) -> Table:
    """Figure 8: mean score of single-source representations by source, a column a data set."""
    single = [run for run in runs if run.strategy == SINGLE]
    names = sorted({run.sources[0] for run in single})
    title = f"Scores of single sources {_PAPER.format(8)}"
    return _crossed(title, "source", single, names, lambda run: run.sources[0])


def by_strategy(runs: Sequence[ScoredRun]) -> Table:
    """Figure 9: mean score of each strategy, a column a data set."""
    used = {run.strategy for run in runs}
    names = [name for name in STRATEGIES if name in used]
    title = f"Scores of strategies {_PAPER.format(9)}"
    return _crossed(title, "strategy", runs, names, lambda run: run.strategy)


def by_count(runs: Sequence[ScoredRun]) -> Table:
    """Figure 10: mean standardised score by strategy and number of learning sources.

    Raises:
        LabelsError: see :func:`~mirfeat.evaluation.experiment.standardise`.
    """
    groups: dict[tuple[str, int], list[float]] = {}
    for run in standardise(runs):
        groups.setdefault((run.strategy, len(run.sources)), []).append(run.score)
    order = sorted(groups, key=lambda key: (STRATEGIES[key[0]], key[1]))
    rows = tuple((*key, fmean(groups[key]), len(groups[key])) for key in order)
    title = f"Standardised score by number of sources {_PAPER.format(10)}"
    return Table(title, ("strategy", "sources", "mean score", "runs"), rows)


def with_best_source(runs: Sequence[ScoredRun]) -> Table:
    """Figure 13: mean standardised scores with and without the source that is best alone.

    Best is the highest mean of SS-R in a data set; data sets without such runs are left out, and
    so are strategies that have runs of one kind only.

    Raises:
        LabelsError: see :func:`~mirfeat.evaluation.experiment.standardise`.
    """
    rows = []
    scaled = standardise(runs)
    for dataset in sorted({run.dataset for run in scaled}):
        own = [run for run in scaled if run.dataset == dataset]
        alone: dict[str, list[float]] = {}
        for run in own:
            if run.strategy == SINGLE:
                alone.setdefault(run.sources[0], []).append(run.score)
        if not alone:
            continue
        best = max(sorted(alone), key=lambda source: fmean(alone[source]))
        for strategy in STRATEGIES:
            some = [run for run in own if strategy != SINGLE and run.strategy == strategy]
            inside = [run.score for run in some if best in run.sources]
            outside = [run.score for run in some if best not in run.sources]
            if inside and outside:
                means = fmean(inside), fmean(outside)
                rows.append((dataset, best, strategy, *means, means[0] - means[1]))
    columns = ("dataset", "best source", "strategy", "with it", "without it", "difference")
    title = f"Standardised score with the best single source and without {_PAPER.format(13)}"
    return Table(title, columns, tuple(rows))


def _crossed(
    title: str,
    what: str,
    runs: Sequence[ScoredRun],
    names: Sequence[str],
    key: Callable[[ScoredRun], str],
) -> Table:
    """Mean scores: a row for each of ``names``, a column for each data set."""
    datasets = sorted({run.dataset for run in runs})
    scores: dict[tuple[str, str], list[float]] = {}
    for run in runs:
        scores.setdefault((key(run), run.dataset), []).append(run.score)
    rows = tuple(
        (name, *(fmean(some) if (some := scores.get((name, one))) else None for one in datasets))
        for name in names
    )
    return Table(title, (what, *datasets), rows)
