"""What protocols return: scores over folds or repeats, tables, and predictions behind them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Scores:
    """One metric, a value for each fold or repeat; ``values`` may be a single one.

    ``weights`` are the test sizes of the folds where the protocol averages by them.
    ``higher_is_better`` is False for losses.
    """

    metric: str
    values: tuple[float, ...]
    weights: tuple[float, ...] | None = None
    higher_is_better: bool = True

    @property
    def mean(self) -> float:
        """Mean over folds, weighted where the protocol says so."""
        return float(np.average(self.values, weights=self.weights))

    @property
    def std(self) -> float:
        """Standard deviation over folds (ddof 1); NaN for a single value."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else math.nan

    @property
    def standard_error(self) -> float:
        """Standard error of the mean; NaN for a single value."""
        return self.std / math.sqrt(len(self.values))

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the mean, by Student's t over the values; NaN for a single one."""
        if len(self.values) < 2:
            return math.nan, math.nan
        reach = float(stats.t.ppf(0.975, len(self.values) - 1)) * self.standard_error
        return self.mean - reach, self.mean + reach


@dataclass(frozen=True, eq=False)
class Predictions:
    """What was predicted for clips while they were in the test fold.

    ``rows``: int64 [m], which clips; ``truth`` and ``predicted``: [m] labels, or float64 values of
    a regression; ``probabilities``: float64 [m, classes] in the order of ``classes``, or None.
    """

    rows: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    classes: tuple[str, ...] = ()
    probabilities: np.ndarray | None = None


@dataclass(frozen=True)
class Pairing:
    """What makes the values of two reports pairs: the same clips in the same folds.

    ``key`` names clips and folds; ``test_to_train`` is the mean number of test clips for each clip
    that could be trained on.
    """

    key: str
    test_to_train: float


@dataclass(frozen=True)
class System:
    """What made some features: extractor, weights (None where there are none), statistics."""

    extractor: str
    weights: str | None = None
    statistics: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ScoreReport:
    """What one protocol says about one set of features.

    ``scores``: the first is the one to quote, the others stand beside it. ``settings`` is
    JSON-ready and says all that decided the numbers; ``notes`` what a reader must know (leaks, fits
    that did not converge). ``published`` is the paper's number for the same thing, if any.
    ``origin`` names the features that these are a part of: layers, learning sources. ``pairing``:
    which reports can be compared with it value by value; ``systems``: what made the features,
    empty where nobody knows (arrays). ``clips``: float64 [n], of a protocol without folds the
    score of each clip, of which the main score is the mean. ``state_of_the_art``: the best score
    for the task that the paper knew of.
    """

    protocol: str
    features: str
    scores: tuple[Scores, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    published: float | None = None
    predictions: Predictions | None = None
    origin: str = ""
    pairing: Pairing | None = None
    systems: tuple[System, ...] = ()
    clips: np.ndarray | None = None
    state_of_the_art: float | None = None

    @property
    def main(self) -> Scores:
        """The score to quote."""
        return self.scores[0]

    def __getitem__(self, metric: str) -> Scores:
        """Scores of one metric by name."""
        for scores in self.scores:
            if scores.metric == metric:
                return scores
        raise KeyError(f"no {metric!r} here, but {[scores.metric for scores in self.scores]}")

    def __repr__(self) -> str:
        """The score to quote, with its spread."""
        return (
            f"ScoreReport({self.protocol}, {self.features}: {self.main.metric} "
            f"{self.main.mean:.4f} ± {self.main.std:.4f} over {len(self.main.values)})"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, without the predictions."""
        return {
            "protocol": self.protocol,
            "features": self.features,
            "origin": self.origin,
            "scores": [
                {
                    "metric": scores.metric,
                    "mean": _number(scores.mean),
                    "std": _number(scores.std),
                    "standard_error": _number(scores.standard_error),
                    "interval": [_number(end) for end in scores.interval],
                    "values": [_number(value) for value in scores.values],
                }
                for scores in self.scores
            ],
            "published": None if self.published is None else _number(self.published),
            "settings": dict(self.settings),
            "notes": list(self.notes),
        } | ({} if self.state_of_the_art is None else {"state_of_the_art": self.state_of_the_art})


@dataclass(frozen=True)
class Table:
    """Anything that is no score: nearest classes, coefficients, variance components.

    ``note`` is a sentence under the table: its source, or how to read it. ``detail`` marks what a
    terminal leaves out: figures and JSON have it.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    note: str = ""
    detail: bool = False

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form: one mapping a row."""
        rows = [
            {
                name: _number(cell) if isinstance(cell, float) else cell
                for name, cell in zip(self.columns, row, strict=True)
            }
            for row in self.rows
        ]
        return {"title": self.title, "rows": rows, "note": self.note}


@dataclass(frozen=True)
class Evaluation:
    """All that a command found out: score reports and tables, in the order to show them."""

    reports: tuple[ScoreReport, ...] = ()
    tables: tuple[Table, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "reports": [report.to_dict() for report in self.reports],
            "tables": [table.to_dict() for table in self.tables],
        }


def join(evaluations: Iterable[Evaluation]) -> Evaluation:
    """All reports and all tables, in order."""
    every = list(evaluations)
    return Evaluation(
        tuple(report for evaluation in every for report in evaluation.reports),
        tuple(table for evaluation in every for table in evaluation.tables),
    )


def _number(value: float) -> float | None:
    """JSON has no NaN and no infinity."""
    return value if math.isfinite(value) else None
