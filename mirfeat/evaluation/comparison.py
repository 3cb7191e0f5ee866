"""Which strategy, how many sources, which sources: the statistics of Kim et al. 2019, section 5.

Scores of different data sets are put on one scale, and linear models with effects that vary
between data sets are fitted to them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from mirfeat.errors import LabelsError
from mirfeat.evaluation.experiment import STRATEGIES, ScoredRun, standardise, strategy_name
from mirfeat.evaluation.models.hierarchical import HierarchicalModel, fit_hierarchical
from mirfeat.evaluation.records import Table

ROUNDING = 1e-12


def strategy_model(
    runs: Sequence[ScoredRun], *, standardised: bool = False, bootstrap: int = 0, seed: int = 0
) -> HierarchicalModel:
    """Level of each strategy and its gain per source (equations 10 to 12, Fig. 11).

    y* = β0 + β1·n*, both specific to the strategy and with a random part per data set; effects are
    named "MSS-CR" and "MSS-CR per source". A level is that of two sources, of SS-R that of one.
    Strategies without runs are left out, and so is a gain where the number of sources never changes
    (the level is then that of this number).

    ``bootstrap`` and ``seed``: see ``fit_hierarchical`` in :mod:`mirfeat.evaluation.models`. A fit
    of the paper's 2975 scores takes a few seconds, each bootstrap fit again as long.
    ``standardised``: scores are on one scale already and are taken as they are.

    Raises:
        LabelsError: fewer than two data sets, too few runs, or see :func:`standardise`.
        MissingPackageError: statsmodels is not installed.
    """
    ordered = _ordered(runs, standardised)
    member = {
        name: np.array([float(run.strategy == name) for run in ordered])
        for name in STRATEGIES
        if any(run.strategy == name for run in ordered)
    }
    added = np.array([float(run.added_sources) for run in ordered])
    # n* of SS-R is always 0: it has no gain, by definition.
    gains = {f"{name} per source": member[name] * added for name in member if name != "SS-R"}
    title = "Strategies and their gain per source (Kim et al. 2019, eqs 10-12)"
    return _fit(title, ordered, {**member, **gains}, (), bootstrap, seed)


def strategy_differences(model: HierarchicalModel) -> Table:
    """Levels of all pairs of strategies of a :func:`strategy_model`, with p values (section 5.2).

    The paper does not say if its p values are corrected for their number; both are given.

    Raises:
        OptionError: another model.
    """
    present = [name for name in STRATEGIES if name in model.names]
    return model.differences(present or list(STRATEGIES))


def size_model(
    runs: Sequence[ScoredRun], *, standardised: bool = False, bootstrap: int = 0, seed: int = 0
) -> HierarchicalModel:
    """Size of the network r*, sources n*, and their product (equations 13 to 16, Fig. 12).

    y* = β0 + β1·r* + β2·n* + β3·r*·n*, where all but β0 have a random part per data set. r* goes
    from 0 for SS-R to 1 for MSS-CR (:data:`STRATEGIES`). Arguments and errors are those of
    :func:`strategy_model`.
    """
    ordered = _ordered(runs, standardised)
    size = np.array([STRATEGIES[run.strategy] for run in ordered])
    added = np.array([float(run.added_sources) for run in ordered])
    columns = {
        "intercept": np.ones(len(ordered)),
        "size": size,
        "sources": added,
        "size × sources": size * added,
    }
    title = "Size of the network and number of sources (Kim et al. 2019, eqs 13-16)"
    return _fit(title, ordered, columns, ("intercept",), bootstrap, seed)


def variance_components(runs: Sequence[ScoredRun]) -> Table:
    """Percent of the variance between representations that is due to each source (Table 6).

    A row for each source, a column for each data set; SS-R runs are left out, and a column sums to
    100. None: all runs of the data set have the source, none has it, or no source has any variance.

    Having a source or not is a random factor of two levels, beside a fixed level per strategy. Its
    variance is estimated by Henderson's method III (Searle et al., Variance components): of the
    least-squares difference δ that the source makes, given the others, σ² = (δ² - se²) / 2, and 0
    where that is negative. In balanced designs this is the REML estimate, unless one is negative.
    The paper does not name its estimator.

    Raises:
        LabelsError: too few runs or too few combinations of sources, or see :func:`standardise`.
    """
    shares = _shares(standardise(_ordered(runs, True)))
    datasets = sorted({dataset for _, dataset in shares})
    rows = tuple(
        (source, *(shares[source, dataset] for dataset in datasets))
        for source in sorted({source for source, _ in shares})
    )
    title = "Variance components of the sources, percent (Kim et al. 2019, Table 6)"
    return Table(title, ("source", *datasets), rows, "SS-R runs are left out.")


def correlation(runs: Sequence[ScoredRun]) -> tuple[float, Table]:
    """Does a source that is good alone also matter among others? (section 5.3, Fig. 14).

    Returns:
        Pearson's r between the mean y* of a source's SS-R runs and its variance component, over
        all pairs of source and data set that have both; and a table of these points.

    Raises:
        LabelsError: fewer than three such pairs, or no variation in them; see also
            :func:`variance_components`.
    """
    scaled = standardise(_ordered(runs, True))
    alone: dict[tuple[str, str], list[float]] = {}
    for run in scaled:
        if run.strategy == "SS-R":
            alone.setdefault((run.sources[0], run.dataset), []).append(run.score)
    points = [
        (*pair, float(np.mean(alone[pair])), share)
        for pair, share in sorted(_shares(scaled).items())
        if pair in alone and share is not None
    ]
    performance, share = np.array([point[2:] for point in points]).reshape(-1, 2).T
    if len(points) < 3 or np.ptp(performance) == 0 or np.ptp(share) == 0:
        raise LabelsError(
            f"{len(points)} pairs of source and data set have SS-R runs and a variance component; "
            "a correlation needs three or more that differ."
        )
    r = float(np.corrcoef(performance, share)[0, 1])
    columns = ("source", "dataset", "SS-R performance", "variance component")
    title = "Single-source performance and variance component (Kim et al. 2019, Fig. 14)"
    return r, Table(title, columns, tuple(points), f"Pearson's r: {r:.2f}.")


def compactness(networks: Mapping[str, tuple[int, int] | tuple[int, int, float]]) -> Table:
    """Parameters of each strategy as a multiple of SS-R, and size of its vector (section 5.4).

    ``networks``: by strategy or extractor, the number of parameters, the dimension, and a score
    if there is one.

    Raises:
        LabelsError: an unknown strategy, one given twice, no SS-R, a count that is not positive.
    """
    by_name = {strategy_name(name): values for name, values in networks.items()}
    if len(by_name) < len(networks):
        raise LabelsError(f"{list(networks)}: a strategy is named twice.")
    if "SS-R" not in by_name:
        raise LabelsError(
            f"{list(networks)}: SS-R, which the others are compared with, is missing."
        )
    if wrong := [name for name, values in by_name.items() if min(values[:2]) <= 0]:
        raise LabelsError(f"{wrong}: numbers of parameters and dimensions must be positive.")
    scored = any(len(values) > 2 for values in by_name.values())
    rows = []
    for name in sorted(by_name, key=STRATEGIES.__getitem__):
        values = by_name[name]
        row = (name, values[0], values[0] / by_name["SS-R"][0], values[1])
        score = values[2] if len(values) == 3 else None
        rows.append((*row, score) if scored else row)
    columns = ("strategy", "parameters", "ratio to SS-R", "dimension", "score")
    title = "Parameters and dimension (Kim et al. 2019, section 5.4)"
    return Table(title, columns if scored else columns[:-1], tuple(rows))


def _ordered(runs: Sequence[ScoredRun], standardised: bool) -> list[ScoredRun]:
    """Runs on one scale and in one order, whatever order they came in."""
    if not runs:
        raise LabelsError("no runs: nothing to compare.")
    ordered = sorted(runs)
    return ordered if standardised else list(standardise(ordered))


def _fit(
    title: str,
    runs: Sequence[ScoredRun],
    columns: Mapping[str, np.ndarray],
    fixed_only: Sequence[str],
    bootstrap: int,
    seed: int,
) -> HierarchicalModel:
    return fit_hierarchical(
        title,
        columns,
        np.array([run.score for run in runs]),
        np.array([run.dataset for run in runs]),
        fixed_only=fixed_only,
        bootstrap=bootstrap,
        seed=seed,
    )


def _shares(runs: Sequence[ScoredRun]) -> dict[tuple[str, str], float | None]:
    """Percent of variance by (source, data set), of standardised runs."""
    multiple = [run for run in runs if run.strategy != "SS-R"]
    if not multiple:
        raise LabelsError(f"{len(runs)} runs, all SS-R: components need runs with several sources.")
    sources = sorted({source for run in multiple for source in run.sources})
    shares: dict[tuple[str, str], float | None] = {}
    for dataset in sorted({run.dataset for run in multiple}):
        variances = _variances([run for run in multiple if run.dataset == dataset], sources)
        total = np.nansum(variances)
        for source, variance in zip(sources, variances.tolist(), strict=True):
            known = total > 0 and not math.isnan(variance)
            shares[source, dataset] = 100 * variance / total if known else None
    return shares


def _variances(runs: Sequence[ScoredRun], sources: Sequence[str]) -> np.ndarray:
    """Variance of y* due to each source on one data set, NaN where all have it or none has."""
    has = np.array([[source in run.sources for source in sources] for run in runs], dtype=float)
    varies = np.ptp(has, axis=0) > 0
    strategies = sorted({run.strategy for run in runs})
    level = np.array([[run.strategy == name for name in strategies] for run in runs], dtype=float)
    X, y = np.hstack([level, has[:, varies]]), np.array([run.score for run in runs])
    n, p = X.shape
    if n <= p or np.linalg.matrix_rank(X) < p:
        raise LabelsError(
            f"data set {runs[0].dataset!r}: {n} runs with several sources do not tell apart "
            f"{len(strategies)} strategies and {varies.sum()} sources; more combinations are "
            "needed, also of different size."
        )
    inverse = np.linalg.inv(X.T @ X)
    effects = inverse @ X.T @ y
    error = ((y - X @ effects) ** 2).sum() / (n - p)
    estimates = (effects**2 - error * np.diag(inverse))[len(strategies) :] / 2
    variances = np.full(len(sources), math.nan)
    # y* has variance 1: what is this small is rounding.
    variances[varies] = np.where(estimates > ROUNDING, estimates, 0.0)
    return variances
