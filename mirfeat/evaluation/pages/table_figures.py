"""Figures of tables: precision at k, numbers in cells, coefficients with their intervals.

They return a :class:`~mirfeat.evaluation.pages.drawing.Drawing` and raise ``ConfigError`` for a
table that is empty or holds other things than numbers, ``MissingPackageError`` without matplotlib.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

import numpy as np

from mirfeat.errors import ConfigError
from mirfeat.evaluation.pages.drawing import (
    BLUE,
    FULL_WIDTH_CM,
    GREY,
    MUTED,
    Drawing,
    cells,
    legend_above,
    line_styles,
    margin_cm,
    sheet,
    short,
)
from mirfeat.evaluation.records import Table


def precision_curves(table: Table) -> Drawing:
    """Precision at k against k (Hamel et al. 2013, section 6.3).

    The first column is k; every other one is a line: a distance, or a set of features.
    """
    values = _numbers(table, 0)
    k, curves = values[:, 0], values[:, 1:]
    with sheet(FULL_WIDTH_CM * 0.8, 7.0) as figure:
        axes = figure.subplots()
        for name, curve, style in zip(table.columns[1:], curves.T, line_styles(), strict=False):
            axes.plot(k, curve, label=short(name), **style)
        axes.locator_params(axis="x", integer=True)
        axes.set_xlabel("k nearest neighbours")
        axes.set_ylabel("precision at k")
        axes.grid(axis="y")
        legend_above(figure, axes)
    last = ", ".join(
        f"{name} {value:.3f}" for name, value in zip(table.columns[1:], curves[-1], strict=True)
    )
    alt = f"Curves of precision against the number of neighbours. At {k[-1]:g}: {last}."
    return Drawing(figure, alt, table)


def heat_map(table: Table) -> Drawing:
    """Numbers as coloured cells, such as variance components (Kim et al. 2019, Table 6).

    The first column names the rows, all others are numbers; None and NaN are empty cells.
    """
    values = _numbers(table, 1)
    rows = [str(row[0]) for row in table.rows]
    # Three digits of the largest number, and as many decimals for all.
    reach = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
    decimals = min(max(2 - math.floor(math.log10(reach)), 0), 6)
    words = [
        ["–" if math.isnan(value) else f"{value:.{decimals}f}" for value in row] for row in values
    ]
    labels = [short(row) for row in rows]
    beside = margin_cm(labels)
    cell_cm = min(1.7, (FULL_WIDTH_CM - beside) / values.shape[1])
    above = [textwrap.fill(short(name), max(4, int(cell_cm / 0.14))) for name in table.columns[1:]]
    with sheet(beside + cell_cm * values.shape[1], 2.0 + 0.7 * len(rows)) as figure:
        axes = figure.subplots()
        cells(axes, values, words, labels, above, 7.5)
    row, column = np.unravel_index(int(np.nan_to_num(values, nan=-np.inf).argmax()), values.shape)
    alt = (
        f"{values.shape[0]} by {values.shape[1]} coloured cells with numbers. The highest is "
        f"{values[row, column]:.3g}: {rows[row]}, {table.columns[column + 1]}."
    )
    return Drawing(figure, alt, table)


def coefficients(
    rows: Sequence[tuple[str, float, float, float]],
    title: str = "Coefficients",
    unit: str = "estimate",
    note: str = "Lines: 95 % intervals; grey where they include 0.",
) -> Drawing:
    """Estimates with their intervals (Kim et al. 2019, Figs 11 and 12).

    ``rows``: name, estimate, and both ends of its interval, in the order to show them from the top.
    ``unit``: what the axis says. An interval that includes 0 is grey.
    """
    table = Table(title, ("effect", "estimate", "low", "high"), tuple(map(tuple, rows)), note)
    numbers = _numbers(table, 1)
    with sheet(FULL_WIDTH_CM * 0.8, 1.6 + 0.6 * len(rows)) as figure:
        axes = figure.subplots()
        axes.axvline(0, color=MUTED, linewidth=0.8)
        for place, (estimate, low, high) in enumerate(numbers):
            color = BLUE if low > 0 or high < 0 else GREY
            axes.plot([low, high], [place, place], color=color, solid_capstyle="butt")
            axes.plot([estimate], [place], "o", color=color, markersize=5)
        axes.set_yticks(range(len(rows)), [short(row[0]) for row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(unit)
        axes.grid(axis="x")
    said = "; ".join(f"{name} {mid:.3g} ({low:.3g} to {high:.3g})" for name, mid, low, high in rows)
    return Drawing(figure, f"Estimates with intervals: {said}.", table)


def _numbers(table: Table, first: int) -> np.ndarray:
    """float64 [rows, columns from ``first`` on], NaN for None."""
    try:
        values = np.array([row[first:] for row in table.rows], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"table {table.title!r}: a column holds no numbers: {error}") from error
    if values.ndim != 2 or not values.shape[1] or len(table.columns) < 2:
        raise ConfigError(f"table {table.title!r} has no numbers to draw.")
    return values
