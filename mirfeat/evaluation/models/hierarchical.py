"""Linear models whose effects vary between data sets (Kim et al. 2019, section 5.2), by REML."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from mirfeat.errors import LabelsError, MissingPackageError, OptionError
from mirfeat.evaluation.records import Table

# Powell's method, and this finely. The gradient methods of MixedLM stop where variances near 0
# make the likelihood flat, and call it converged with standard errors a fifth off.
FTOL = 1e-10
MAX_ITERATIONS = 1000
# A spread below this part of the residual deviation is none.
NO_SPREAD = 1e-3


@dataclass(frozen=True, eq=False)
class HierarchicalModel:
    """Effects that hold over data sets, and how much they vary between them.

    ``coefficients``: float64 [p], a value for each of ``names``; ``covariance``: [p, p] of their
    errors; ``intervals``: [p, 2], 95 %, of the kind that ``interval_kind`` says; ``spreads``: [p],
    standard deviation of an effect between data sets, NaN where it has no random part;
    ``residual``: standard deviation of single scores. ``notes``: fits that did not converge,
    effects that the data cannot tell, spreads of 0.
    """

    title: str
    names: tuple[str, ...]
    coefficients: np.ndarray
    covariance: np.ndarray
    intervals: np.ndarray
    interval_kind: str
    spreads: np.ndarray
    residual: float
    notes: tuple[str, ...] = ()

    @property
    def standard_errors(self) -> np.ndarray:
        """Standard errors of the coefficients: float64 [p]."""
        return np.asarray(np.sqrt(np.diag(self.covariance)))

    def table(self) -> Table:
        """A row for each effect, as Figs 11 and 12 show them; no random part is None."""
        numbers = (self.coefficients, self.standard_errors, *self.intervals.T)
        spreads = [None if math.isnan(spread) else spread for spread in self.spreads.tolist()]
        rows = zip(self.names, *(column.tolist() for column in numbers), spreads, strict=True)
        sentences = (
            f"95 % intervals: {self.interval_kind}",
            "spread: standard deviation between data sets",
            f"standard deviation of single scores: {self.residual:.4f}",
            *self.notes,
        )
        columns = ("effect", "estimate", "standard error", "2.5 %", "97.5 %", "spread")
        return Table(self.title, columns, tuple(rows), "; ".join(sentences) + ".")

    def differences(self, names: Sequence[str]) -> Table:
        """All pairs of these coefficients: later minus earlier, with two-sided p values.

        Wald tests; ``p (Holm)`` is corrected for the number of pairs in the table.

        Raises:
            OptionError: no coefficient has this name.
        """
        if unknown := [name for name in names if name not in self.names]:
            raise OptionError(f"no effects {unknown}; there are {list(self.names)}.")
        lines = []
        for low, high in itertools.combinations(names, 2):
            contrast = np.array([float(n == high) - float(n == low) for n in self.names])
            difference = float(contrast @ self.coefficients)
            error = math.sqrt(contrast @ self.covariance @ contrast)
            lines.append(
                (high, low, difference, error, math.erfc(abs(difference) / error / 2**0.5))
            )
        corrected = holm([line[-1] for line in lines])
        rows = tuple((*line, p) for line, p in zip(lines, corrected, strict=True))
        columns = ("effect", "minus", "difference", "standard error", "p", "p (Holm)")
        return Table(f"Differences: {self.title}", columns, rows, "Wald tests, two-sided.")


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction of p values for their number, in the order given."""
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable").tolist()):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


def fit_hierarchical(
    title: str,
    columns: Mapping[str, np.ndarray],
    scores: np.ndarray,
    datasets: np.ndarray,
    *,
    fixed_only: Sequence[str] = (),
    bootstrap: int = 0,
    seed: int = 0,
) -> HierarchicalModel:
    """Fit scores [n] by a sum of columns [n], whose coefficients vary between data sets.

    Each coefficient is a fixed effect and, unless it is in ``fixed_only``, a normal deviation for
    each of ``datasets`` [n], independent of all others. A column that those before it determine is
    left out with a note. Variances are estimated by restricted maximum likelihood (statsmodels).

    ``bootstrap`` 0: Wald intervals, somewhat too narrow for a handful of data sets. Otherwise
    percentiles of so many fits, each to scores that are simulated from the model fitted first.

    Raises:
        LabelsError: fewer than two data sets, all or for one column, or too few scores.
        OptionError: a negative ``bootstrap``.
        MissingPackageError: statsmodels is not installed.
    """
    if bootstrap < 0:
        raise OptionError(f"bootstrap={bootstrap}: 0 for none, or a number of fits such as 200.")
    names, dropped = _estimable(columns)
    design = _Design(
        X=np.column_stack([columns[name] for name in names]),
        varies=np.array([name not in fixed_only for name in names]),
        y=scores,
        groups=np.unique(datasets, return_inverse=True)[1],
    )
    _check(design, names)
    fit = _reml(design)
    notes = [f"not told apart from other effects by these runs: {n}" for n in dropped]
    notes += _fit_notes(fit, names)
    errors = np.sqrt(np.diag(fit.covariance))
    half = NormalDist().inv_cdf(0.975) * errors
    intervals, kind = np.stack([fit.beta - half, fit.beta + half], axis=1), "Wald"
    if bootstrap:
        fits = _refits(design, fit, bootstrap, seed)
        intervals = np.quantile([again.beta for again in fits], [0.025, 0.975], axis=0).T
        kind = f"percentiles of {bootstrap} parametric bootstrap fits, seed {seed}"
        if failed := sum(not again.converged for again in fits):
            notes.append(f"{failed} of {bootstrap} bootstrap fits did not converge")
    return HierarchicalModel(
        title,
        names,
        fit.beta,
        fit.covariance,
        intervals,
        kind,
        fit.spreads,
        fit.residual,
        tuple(notes),
    )


@dataclass(frozen=True, eq=False)
class _Design:
    """``X`` [n, p], which columns ``varies`` [p] between groups, ``y`` [n], ``groups`` [n] ints."""

    X: np.ndarray
    varies: np.ndarray
    y: np.ndarray
    groups: np.ndarray

    @property
    def group_count(self) -> int:
        return int(self.groups.max(initial=-1)) + 1

    @property
    def parts(self) -> list[np.ndarray]:
        """Random columns of each group, [n_g, q]."""
        return [self.X[self.groups == g][:, self.varies] for g in range(self.group_count)]


@dataclass(frozen=True, eq=False)
class _Fit:
    """``beta`` [p], its ``covariance`` [p, p], ``spreads`` [p] with NaN where nothing varies."""

    beta: np.ndarray
    covariance: np.ndarray
    spreads: np.ndarray
    residual: float
    converged: bool


def _estimable(columns: Mapping[str, np.ndarray]) -> tuple[tuple[str, ...], list[str]]:
    """Names of the columns that those before them do not determine, and of the others."""
    kept: list[str] = []
    for name in columns:
        matrix = np.column_stack([columns[other] for other in [*kept, name]])
        if np.linalg.matrix_rank(matrix) > len(kept):
            kept.append(name)
    return tuple(kept), [name for name in columns if name not in kept]


def _check(design: _Design, names: Sequence[str]) -> None:
    if design.group_count < 2 or len(design.y) <= len(names) or not design.varies.any():
        raise LabelsError(
            f"{len(design.y)} scores on {design.group_count} data sets, {len(names)} effects: two "
            "data sets or more, more scores than effects, and effects that can vary are needed."
        )
    seen = [np.unique(design.groups[column != 0]).size for column in design.X.T]
    if lone := [name for name, count in zip(names, seen, strict=True) if count < 2]:
        raise LabelsError(
            f"{lone}: seen on one data set only, so that it cannot be told how much they vary; "
            "add runs on another data set, or leave these out."
        )


def _reml(design: _Design) -> _Fit:
    try:
        from statsmodels.regression.mixed_linear_model import MixedLM, VCSpec
        from statsmodels.tools.sm_exceptions import ConvergenceWarning
    except ImportError as error:
        raise MissingPackageError(
            "hierarchical models need statsmodels: pip install 'mirfeat[evaluation]'"
        ) from error
    names = [str(i) for i in np.flatnonzero(design.varies)]
    components = VCSpec(
        names,
        [[[name] for _ in design.parts] for name in names],
        [[part[:, [i]] for part in design.parts] for i in range(len(names))],
    )
    with warnings.catch_warnings():
        # They tell of variances near 0, which are no failure here, and of what ``converged`` says.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = MixedLM(design.y, design.X, groups=design.groups, exog_vc=components)
        result = model.fit(reml=True, method=["powell"], ftol=FTOL, maxiter=MAX_ITERATIONS)
    spreads = np.full(len(design.varies), math.nan)
    spreads[design.varies] = np.sqrt(result.vcomp)
    covariance = _covariance(design, result.vcomp, result.scale)
    residual = math.sqrt(result.scale)
    return _Fit(result.fe_params, covariance, spreads, residual, bool(result.converged))


def _covariance(design: _Design, variances: np.ndarray, scale: float) -> np.ndarray:
    """Covariance of the coefficients [p, p], by generalised least squares with these variances.

    Not that of MixedLM: it inverts a Hessian that a variance of 0 can make singular.
    """
    information = np.zeros((design.X.shape[1],) * 2)
    for g, part in enumerate(design.parts):
        X = design.X[design.groups == g]
        V = scale * np.eye(len(part)) + (part * variances) @ part.T
        information += X.T @ np.linalg.solve(V, X)
    return np.linalg.inv(information)


def _fit_notes(fit: _Fit, names: Sequence[str]) -> list[str]:
    notes = []
    if not fit.converged:
        notes.append(
            f"REML did not converge in {MAX_ITERATIONS} iterations; numbers are of the last one"
        )
    still = [n for n, s in zip(names, fit.spreads, strict=True) if s < NO_SPREAD * fit.residual]
    if still:
        notes.append(f"no spread between data sets found for {', '.join(still)}")
    return notes


def _refits(design: _Design, fit: _Fit, count: int, seed: int) -> list[_Fit]:
    """Fits to scores simulated from the fitted model."""
    generator = np.random.default_rng(seed)
    fits = []
    for _ in range(count):
        y = design.X @ fit.beta + generator.normal(0, fit.residual, len(design.y))
        for g, part in enumerate(design.parts):
            y[design.groups == g] += part @ generator.normal(0, fit.spreads[design.varies])
        fits.append(_reml(replace(design, y=y)))
    return fits
