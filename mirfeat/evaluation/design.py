"""Which networks to train for an experiment: Kim et al. 2019, section 4.3, Algorithm 2 and Fig. 7.

All combinations of strategies and learning sources are too many, so runs are chosen one by one: of
those that keep the design balanced one that aliases main effects least. So a study may be stopped
after any run. Letters in shapes: r runs, e effects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from mirfeat.errors import OptionError
from mirfeat.evaluation.experiment import STRATEGIES
from mirfeat.evaluation.records import Table

SINGLE = "SS-R"
MULTIPLE = tuple(name for name in STRATEGIES if name != SINGLE)
# Section 4.3: each source six times alone, all sources five times, 352 runs of Algorithm 2.
SINGLES, COMPLETE, RUNS = 6, 5, 352


@dataclass(frozen=True)
class PlannedRun:
    """A network to train: how its sources share layers, which they are, and which repeat it is."""

    strategy: str
    sources: tuple[str, ...]
    repeat: int = 1


def experimental_design(
    sources: Sequence[str],
    *,
    strategies: Sequence[str] = MULTIPLE,
    singles: int = SINGLES,
    complete: int = COMPLETE,
    runs: int = RUNS,
    seed: int = 0,
) -> tuple[PlannedRun, ...]:
    """Runs in the paper's three phases, in the order to make them.

    Args:
        sources: learning sources, two or more, each once.
        strategies: those that learn several sources.
        singles: how often each source is learnt alone (SS-R).
        complete: how often each strategy learns all sources.
        runs: how many of the others :func:`sequential_design` picks, as far as there are any.
        seed: of the picks among equals.

    Raises:
        OptionError: fewer than two sources, one twice, another strategy, a negative number.
    """
    names, ways = tuple(sources), tuple(strategies)
    if len(names) < 2 or len(set(names)) < len(names):
        raise OptionError(f"sources {names}: two or more, each once.")
    if unknown := [name for name in ways if name not in MULTIPLE] or len(set(ways)) < len(ways):
        raise OptionError(f"strategies {ways}: of {', '.join(MULTIPLE)}, each once ({unknown}).")
    if min(singles, complete, runs) < 0:
        raise OptionError(
            f"singles={singles}, complete={complete}, runs={runs}: 0 or more of each."
        )
    alone = [PlannedRun(SINGLE, (name,), number + 1) for number in range(singles) for name in names]
    whole = [
        PlannedRun(strategy, names, number + 1) for number in range(complete) for strategy in ways
    ]
    return (*alone, *whole, *sequential_design(names, ways, runs, seed))


def sequential_design(
    sources: Sequence[str], strategies: Sequence[str], runs: int, seed: int = 0
) -> tuple[PlannedRun, ...]:
    """Algorithm 2: ``runs`` combinations of two or more sources, but not all, one after the other.

    Of the combinations that remain those are kept with which the design is the least unbalanced,
    of these those with which its effects are the least aliased; one of them is drawn.

    Unbalance is the largest difference of counts between two levels of a factor (strategy, number
    of sources, each source), levels without remaining runs left out. Aliasing is the largest
    absolute value off the diagonal of :func:`alias_matrix`, among strategies and sources; the
    number of sources is their sum and aliased with them in any design. An effect that does not
    vary yet counts as fully aliased. The design starts empty: the paper's own matrix has no runs
    of the first two phases.
    """
    remaining = [
        PlannedRun(strategy, some)
        for count in range(2, len(sources))
        for some in combinations(sources, count)
        for strategy in strategies
    ]
    levels = np.array([_levels(run, sources, strategies) for run in remaining], dtype=np.int64)
    effects = np.array([_effects(run, sources, strategies) for run in remaining])
    factors = _factors(len(sources), len(strategies))
    generator = np.random.Generator(np.random.PCG64(seed))
    open_runs = np.ones(len(remaining), bool)
    chosen: list[PlannedRun] = []
    counts = np.zeros(levels.shape[1] if len(remaining) else 0, np.int64)
    sums, products = np.zeros(effects.shape[-1]), np.zeros((effects.shape[-1],) * 2)
    for size in range(1, min(runs, len(remaining)) + 1):
        rows = np.flatnonzero(open_runs)
        left = np.asarray(levels[rows].any(axis=0))
        unbalance = _unbalance(counts + levels[rows], left, factors)
        rows = rows[unbalance == unbalance.min()]
        new = effects[rows]
        aliasing = _largest_alias(
            size, sums + new, products + new[:, :, None] * new[:, None, :], len(strategies)
        )
        # Equal but for rounding.
        rows = rows[aliasing <= aliasing.min() + 1e-9]
        row = int(rows[generator.integers(len(rows))])
        open_runs[row] = False
        counts += levels[row]
        sums += effects[row]
        products += np.outer(effects[row], effects[row])
        chosen.append(remaining[row])
    return tuple(chosen)


def alias_matrix(runs: Sequence[PlannedRun], sources: Sequence[str]) -> Table:
    """Figure 7: how far the main effects of a design are aliased, from 0 to 1.

    The alias of two effects is the slope of one on the other, both standardised, which is the
    absolute value of their correlation over the runs: 0 where they are orthogonal, 1 where they
    cannot be told apart. Effects are each strategy against the others, each source, and the number
    of sources, which is their sum. None where an effect does not vary. SS-R is left out: it is no
    part of Algorithm 2.

    Raises:
        OptionError: fewer than two runs with several sources.
    """
    several = [run for run in runs if run.strategy != SINGLE]
    if len(several) < 2:
        raise OptionError(f"{len(several)} runs with several sources: aliases need two or more.")
    used = [name for name in MULTIPLE if any(run.strategy == name for run in several)]
    columns = np.array(
        [[*_effects(run, sources, used), len(run.sources)] for run in several], dtype=np.float64
    )
    deviations = columns - columns.mean(axis=0)
    scale = np.sqrt((deviations**2).sum(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        aliases = np.abs(deviations.T @ deviations) / np.outer(scale, scale)
    names = (*used, *sources, "number of sources")
    rows = tuple(
        (name, *(None if np.isnan(cell) else min(float(cell), 1.0) for cell in line))
        for name, line in zip(names, aliases, strict=True)
    )
    title = "Aliasing among main effects of the design (Kim et al. 2019, Fig. 7)"
    note = f"Absolute correlation over {len(several)} runs with several sources."
    return Table(title, ("effect", *names), rows, note)


def level_counts(runs: Sequence[PlannedRun]) -> Table:
    """How many runs each strategy has with each number of sources: the balance of a design."""
    sizes = sorted({len(run.sources) for run in runs})
    rows = []
    for strategy in STRATEGIES:
        own = [len(run.sources) for run in runs if run.strategy == strategy]
        if own:
            rows.append((strategy, *(own.count(size) for size in sizes), len(own)))
    columns = ("strategy", *(f"{size} sources" if size > 1 else "1 source" for size in sizes))
    return Table("Runs by strategy and number of sources", (*columns, "runs"), tuple(rows))


def _levels(run: PlannedRun, sources: Sequence[str], strategies: Sequence[str]) -> list[bool]:
    """Which level of each factor a run has, one entry a level, as :func:`_factors` counts them."""
    has = [source in run.sources for source in sources]
    counts = [len(run.sources) == count for count in range(2, len(sources))]
    return [
        *(run.strategy == name for name in strategies),
        *counts,
        *(level for there in has for level in (there, not there)),
    ]


def _factors(sources: int, strategies: int) -> list[slice]:
    """Where the levels of each factor are: strategy, number of sources, each source."""
    ends = np.cumsum([0, strategies, max(0, sources - 2), *[2] * sources]).tolist()
    return [slice(start, end) for start, end in pairwise(ends)]


def _effects(run: PlannedRun, sources: Sequence[str], strategies: Sequence[str]) -> list[float]:
    """Strategies, then sources, 1 where a run has it."""
    return [
        *(float(run.strategy == name) for name in strategies),
        *(float(source in run.sources) for source in sources),
    ]


def _unbalance(counts: np.ndarray, left: np.ndarray, factors: Sequence[slice]) -> np.ndarray:
    """Largest difference between levels that have runs left, of counts [designs, levels]."""
    differences = [np.zeros(len(counts), np.int64)]
    for factor in factors:
        own = counts[:, factor][:, left[factor]]
        if own.shape[1] > 1:
            differences.append(np.ptp(own, axis=1))
    largest: np.ndarray = np.max(differences, axis=0)
    return largest


def _largest_alias(
    size: int, sums: np.ndarray, products: np.ndarray, strategies: int
) -> np.ndarray:
    """Largest correlation of two effects of different factors, in designs of ``size`` runs.

    ``sums`` [designs, e] and ``products`` [designs, e, e] of the effects.
    """
    covariance = products - sums[:, :, None] * sums[:, None, :] / size
    scale = np.sqrt(np.einsum("dee->de", covariance).clip(min=0.0))
    with np.errstate(invalid="ignore", divide="ignore"):
        aliases = np.abs(covariance) / (scale[:, :, None] * scale[:, None, :])
    aliases = np.where(np.isfinite(aliases), aliases, 1.0)
    within = np.eye(aliases.shape[1], dtype=bool)
    within[:strategies, :strategies] = True  # levels of one factor exclude each other
    largest: np.ndarray = np.where(within, 0.0, aliases).max(axis=(1, 2))
    return largest
