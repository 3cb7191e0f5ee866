"""What the runs of an experiment show as they are: Kim et al. 2019, section 5.1, Figs 8 to 13."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean, stdev

import numpy as np

from mirfeat.evaluation.experiment import (
    BASELINE,
    STRATEGIES,
    Baseline,
    ScoredRun,
    standardise,
)
from mirfeat.evaluation.records import Table

_PAPER = "(Kim et al. 2019, Fig. {})"
SINGLE = "SS-R"


def experiment_tables(
    runs: Sequence[ScoredRun], baselines: Sequence[Baseline] = ()
) -> tuple[Table, ...]:
    """All of them that the runs have something for."""
    tables = (
        by_source(runs, baselines),
        variability(runs),
        by_strategy(runs, baselines),
        by_count(runs),
        with_best_source(runs),
        with_best_source_by_count(runs),
        all_scores(runs, baselines),
    )
    return tuple(table for table in tables if table.rows)


def all_scores(runs: Sequence[ScoredRun], baselines: Sequence[Baseline] = ()) -> Table:
    """Every run: its score, that on one scale, and whether it has the source that is best alone.

    That is None for single sources, and on data sets without such runs. Baselines stand below,
    with their score alone.
    """
    rows: list[tuple[object, ...]] = []
    for run, scaled in zip(runs, standardise(runs), strict=True):
        best = _best_alone([one for one in runs if one.dataset == run.dataset])
        several = run.strategy != SINGLE and best is not None
        inside = best in run.sources if several else None
        names = ";".join(run.sources)
        count = len(run.sources)
        rows.append((run.strategy, count, names, run.dataset, run.score, scaled.score, inside))
    rows += [(BASELINE, 0, one.name, one.dataset, one.score, None, None) for one in baselines]
    columns = ("strategy", "number", "sources", "dataset", "score", "standardised", "has best")
    return Table("Scores of all runs", columns, tuple(rows), detail=True)


def by_source(runs: Sequence[ScoredRun], baselines: Sequence[Baseline] = ()) -> Table:
    """Figure 8: mean score of single-source representations by source, a column a data set.

    Baselines are its last rows; without runs there are none.
    """
    single = [run for run in runs if run.strategy == SINGLE]
    names = sorted({run.sources[0] for run in single})
    title = f"Scores of single sources {_PAPER.format(8)}"
    return _crossed(title, "source", single, names, lambda run: run.sources[0], baselines)


def variability(runs: Sequence[ScoredRun]) -> Table:
    """Section 5.1: how much repeats of a single-source training differ, against the data set.

    Standard deviation over the repeats of a source on a data set, as a share of that over all runs
    of the data set; both ddof 1. The paper does not say if it means deviations or variances; the
    share of variance is the square. Sources trained once are left out.
    """
    every: dict[str, list[float]] = {}
    repeats: dict[tuple[str, str], list[float]] = {}
    for run in runs:
        every.setdefault(run.dataset, []).append(run.score)
        if run.strategy == SINGLE:
            repeats.setdefault((run.sources[0], run.dataset), []).append(run.score)
    rows = []
    for (source, dataset), scores in sorted(repeats.items()):
        if len(scores) > 1 and (whole := stdev(every[dataset])) > 0:
            rows.append((source, dataset, stdev(scores), whole, stdev(scores) / whole))
    columns = ("source", "dataset", "deviation of repeats", "of all runs", "share")
    title = "Variability of single sources (Kim et al. 2019, section 5.1)"
    if not rows:
        return Table(title, columns, ())
    half, most = np.quantile([row[-1] for row in rows], [0.5, 0.9]).tolist()
    note = f"Half of the shares are below {half:.2f}, 90 % below {most:.2f}; the paper: 0.15, 0.30."
    return Table(title, columns, tuple(rows), note)


def by_strategy(runs: Sequence[ScoredRun], baselines: Sequence[Baseline] = ()) -> Table:
    """Figure 9: mean score of each strategy, a column a data set; baselines as in Figure 8."""
    used = {run.strategy for run in runs}
    names = [name for name in STRATEGIES if name in used]
    title = f"Scores of strategies {_PAPER.format(9)}"
    return _crossed(title, "strategy", runs, names, lambda run: run.strategy, baselines)


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
    """Figure 13 by strategy: mean standardised scores with the source that is best alone, without.

    Best is the highest mean of SS-R in a data set; data sets without such runs are left out, and
    so are strategies that have runs of one kind only.

    Raises:
        LabelsError: see :func:`~mirfeat.evaluation.experiment.standardise`.
    """
    return _in_or_out(runs, "strategy", lambda run: run.strategy)


def with_best_source_by_count(runs: Sequence[ScoredRun]) -> Table:
    """Figure 13: the same by number of learning sources.

    Raises:
        LabelsError: see :func:`~mirfeat.evaluation.experiment.standardise`.
    """
    return _in_or_out(runs, "sources", lambda run: len(run.sources))


def _in_or_out(
    runs: Sequence[ScoredRun], what: str, key: Callable[[ScoredRun], str | int]
) -> Table:
    rows: list[tuple[object, ...]] = []
    scaled = standardise(runs)
    for dataset in sorted({run.dataset for run in scaled}):
        own = [run for run in scaled if run.dataset == dataset]
        best = _best_alone(own)
        if best is None:
            continue
        groups: dict[str | int, tuple[list[float], list[float]]] = {}
        for run in sorted(own, key=lambda run: (STRATEGIES[run.strategy], len(run.sources))):
            if run.strategy != SINGLE:
                groups.setdefault(key(run), ([], []))[best not in run.sources].append(run.score)
        order = list(groups) if what == "strategy" else sorted(groups)
        for name in order:
            inside, outside = groups[name]
            if inside and outside:
                means = fmean(inside), fmean(outside)
                rows.append((dataset, best, name, *means, means[0] - means[1]))
    columns = ("dataset", "best source", what, "with it", "without it", "difference")
    title = f"Standardised score with the best single source and without, by {what}"
    return Table(f"{title} {_PAPER.format(13)}", columns, tuple(rows))


def _best_alone(runs: Sequence[ScoredRun]) -> str | None:
    """The source whose single networks score best on average; None without such networks."""
    alone: dict[str, list[float]] = {}
    for run in runs:
        if run.strategy == SINGLE:
            alone.setdefault(run.sources[0], []).append(run.score)
    return max(sorted(alone), key=lambda source: fmean(alone[source]), default=None)


def _crossed(
    title: str,
    what: str,
    runs: Sequence[ScoredRun],
    names: Sequence[str],
    key: Callable[[ScoredRun], str],
    baselines: Sequence[Baseline],
) -> Table:
    """Mean scores: a row for each of ``names`` and each baseline, a column for each data set."""
    datasets = sorted({run.dataset for run in runs})
    scores: dict[tuple[str, str], list[float]] = {}
    for run in runs:
        scores.setdefault((key(run), run.dataset), []).append(run.score)
    below = sorted({one.name for one in baselines}) if runs else []
    for one in baselines:
        scores.setdefault((f"{BASELINE}: {one.name}", one.dataset), []).append(one.score)
    rows = tuple(
        (name, *(fmean(some) if (some := scores.get((name, one))) else None for one in datasets))
        for name in (*names, *(f"{BASELINE}: {name}" for name in below))
    )
    return Table(title, (what, *datasets), rows)
