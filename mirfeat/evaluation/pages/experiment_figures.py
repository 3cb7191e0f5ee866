"""Figures of an experiment with many trainings: Kim et al. 2019, Figures 8, 9, 10, 13, 14 and 15.

All but the last two take the table of all runs
(:func:`~mirfeat.evaluation.experiment_tables.all_scores`), with a panel for each data set. Points
are runs, solid ones means, and dashed lines in Figures 8 and 9 baselines. They raise
``ConfigError`` where there is nothing to draw.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from mirfeat.errors import ConfigError
from mirfeat.evaluation.experiment import BASELINE, STRATEGIES
from mirfeat.evaluation.pages.drawing import (
    BLUE,
    FULL_WIDTH_CM,
    GREY,
    INK,
    MARKERS,
    PALETTE,
    PAPER,
    Drawing,
    legend_above,
    sheet,
    short,
    upright_labels,
)
from mirfeat.evaluation.records import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SINGLE = "SS-R"
_COLUMNS = 4
_COLORS = dict(zip(STRATEGIES, (GREY, *PALETTE), strict=False))
_DASHES = ("--", ":", "-.", (0, (6, 1, 1, 1, 1, 1)))
Run = Mapping[str, Any]


def single_sources(table: Table) -> Drawing:
    """Figure 8: scores of single-source networks by source."""
    runs = [run for run in _runs(table) if run["strategy"] == _SINGLE]
    names = sorted({run["sources"] for run in runs})
    if not names:
        raise ConfigError(f"table {table.title!r} has no runs of single sources.")
    with _panels(runs, 5.2) as (figure, panels):
        for axes, own in panels:
            for place, name in enumerate(names):
                values = [run["score"] for run in own if run["sources"] == name]
                _cloud(axes, place, values, BLUE)
            _names_below(axes, names)
        below = _baseline_lines(figure, panels, table)
    return Drawing(
        figure, _said(runs, "sources"), _data(table, [*runs, *below], "Single sources", 8)
    )


def strategies(table: Table) -> Drawing:
    """Figure 9: distribution of scores by strategy; boxes are quartiles, whiskers all runs."""
    runs = _runs(table)
    names = [name for name in STRATEGIES if any(run["strategy"] == name for run in runs)]
    with _panels(runs, 5.2) as (figure, panels):
        for axes, own in panels:
            for place, name in enumerate(names):
                values = [run["score"] for run in own if run["strategy"] == name]
                if values:
                    _box(axes, place, values, _COLORS[name])
            _names_below(axes, names)
        below = _baseline_lines(figure, panels, table)
    return Drawing(figure, _said(runs, "strategy"), _data(table, [*runs, *below], "Strategies", 9))


def numbers_of_sources(table: Table) -> Drawing:
    """Figure 10: standardised scores by number of sources, with a straight line a strategy.

    The dark line is the mean of single sources.
    """
    runs = _runs(table)
    names = [name for name in STRATEGIES if any(run["strategy"] == name for run in runs)]
    with _panels_by_count(runs) as (figure, panels):
        for axes, own in panels:
            for place, name in enumerate(names):
                some = [run for run in own if run["strategy"] == name]
                style = {"color": _COLORS[name], "marker": MARKERS[place % len(MARKERS)]}
                _by_count(axes, some, style, short(name), fit=name != _SINGLE)
            if single := [run["standardised"] for run in own if run["strategy"] == _SINGLE]:
                axes.axhline(fmean(single), color=INK, linewidth=0.8)
    return Drawing(figure, _said(runs, "number"), _data(table, runs, "Number of sources", 10))


def best_source(table: Table) -> Drawing:
    """Figure 13: the same with the source that is best alone (filled) and without it (empty)."""
    runs = [run for run in _runs(table) if run["has best"] is not None]
    if not runs:
        raise ConfigError(f"table {table.title!r}: no data set has runs of single sources.")
    styles: dict[bool, dict[str, Any]] = {
        True: {"color": BLUE, "marker": "o", "linestyle": "-"},
        False: {"color": PALETTE[1], "marker": "o", "linestyle": "--", "markerfacecolor": PAPER},
    }
    with _panels_by_count(runs) as (figure, panels):
        for axes, own in panels:
            for inside, style in styles.items():
                some = [run for run in own if run["has best"] == inside]
                name = "with the best single source" if inside else "without it"
                _by_count(axes, some, style, name, fit=True)
    return Drawing(figure, _said(runs, "has best"), _data(table, runs, "Best single source", 13))


def single_against_variance(table: Table) -> Drawing:
    """Figure 14: performance of a source alone against its variance component, a point a pair."""
    points = np.array([row[2:4] for row in table.rows], dtype=np.float64)
    if not len(points):
        raise ConfigError(f"table {table.title!r} has no numbers to draw.")
    with sheet(FULL_WIDTH_CM * 0.6, 7.5) as figure:
        axes = figure.subplots()
        datasets = sorted({row[1] for row in table.rows})
        for place, name in enumerate(datasets):
            own = points[[row[1] == name for row in table.rows]]
            color, marker = PALETTE[place % len(PALETTE)], MARKERS[place % len(MARKERS)]
            axes.plot(own[:, 0], own[:, 1], marker, color=color, label=short(name))
        if np.ptp(points[:, 0]) > 0:
            slope, level = np.polyfit(points[:, 0], points[:, 1], 1)
            ends = np.array([points[:, 0].min(), points[:, 0].max()])
            axes.plot(ends, slope * ends + level, color=INK, linewidth=0.8)
        axes.set_xlabel("standardised score of the source alone")
        axes.set_ylabel("variance component, percent")
        axes.grid()
        legend_above(figure, axes)
    return Drawing(figure, f"{len(points)} points and a line through them. {table.note}", table)


def parameters(table: Table) -> Drawing:
    """Figure 15: parameters by number of sources, a line a strategy."""
    with sheet(FULL_WIDTH_CM * 0.7, 7.5) as figure:
        axes = figure.subplots()
        names = list(dict.fromkeys(row[0] for row in table.rows))
        for place, name in enumerate(names):
            points = np.array([row[1:3] for row in table.rows if row[0] == name], dtype=np.float64)
            style: dict[str, Any] = {"color": _COLORS.get(name, GREY)}
            style["marker"] = MARKERS[place % len(MARKERS)]
            axes.plot(points[:, 0], points[:, 1] / 1e6, label=short(name), **style)
        axes.set_xlabel("learning sources")
        axes.set_ylabel("million parameters")
        axes.locator_params(axis="x", integer=True)
        axes.set_ylim(bottom=0)
        axes.grid(axis="y")
        legend_above(figure, axes)
    most = max(table.rows, key=lambda row: row[2])
    alt = f"Lines of parameters against sources. The most: {most[0]} with {most[1]}, {most[2]}."
    return Drawing(figure, alt, table)


def _rows(table: Table) -> list[Run]:
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def _runs(table: Table) -> list[Run]:
    runs = [row for row in _rows(table) if row["strategy"] != BASELINE]
    if not runs:
        raise ConfigError(f"table {table.title!r} has no numbers to draw.")
    return runs


@contextmanager
def _panels(
    runs: Sequence[Run], height_cm: float
) -> Iterator[tuple[Figure, list[tuple[Axes, list[Run]]]]]:
    """A panel for each data set, with its runs."""
    names = sorted({run["dataset"] for run in runs})
    columns = min(_COLUMNS, len(names))
    rows = math.ceil(len(names) / columns)
    with sheet(max(7.0, FULL_WIDTH_CM * columns / _COLUMNS), 1.5 + height_cm * rows) as figure:
        grid = figure.subplots(rows, columns, squeeze=False).flatten().tolist()
        for axes in grid[len(names) :]:
            axes.set_visible(False)
        for axes, name in zip(grid, names, strict=False):
            axes.set_title(short(name, 24), fontsize=8, loc="left")
            axes.grid(axis="y")
        own = [[run for run in runs if run["dataset"] == name] for name in names]
        yield figure, list(zip(grid, own, strict=False))


@contextmanager
def _panels_by_count(
    runs: Sequence[Run],
) -> Iterator[tuple[Figure, list[tuple[Axes, list[Run]]]]]:
    """Panels of standardised scores against the number of sources, with one legend."""
    with _panels(runs, 5.6) as (figure, panels):
        yield figure, panels
        for axes, _ in panels:
            axes.locator_params(axis="x", integer=True)
        _legend_once(figure, panels)
        figure.supxlabel("learning sources", fontsize=8)
        figure.supylabel("standardised score", fontsize=8)


def _baseline_lines(
    figure: Figure, panels: Sequence[tuple[Axes, list[Run]]], table: Table
) -> list[Run]:
    """A line across its data set's panel for each baseline, and what the panels are read by."""
    figure.supylabel("score", fontsize=8)
    datasets = [own[0]["dataset"] for _, own in panels]
    rows = [row for row in _rows(table) if row["strategy"] == BASELINE]
    lines = [row for row in rows if row["dataset"] in datasets]
    names = sorted({row["sources"] for row in lines})
    for row in lines:
        place = names.index(row["sources"])
        style: dict[str, Any] = {"color": INK, "linestyle": _DASHES[place % len(_DASHES)]}
        axes = panels[datasets.index(row["dataset"])][0]
        axes.axhline(row["score"], linewidth=0.8, label=short(row["sources"], 40), **style)
    if lines:
        _legend_once(figure, panels)
    return lines


def _cloud(axes: Axes, place: int, values: Sequence[float], color: str) -> None:
    """Values above one place, and their mean."""
    axes.plot([place] * len(values), values, "o", color=color, alpha=0.35, markeredgewidth=0)
    if values:
        axes.plot([place], [fmean(values)], "o", color=color, markersize=5)


def _box(axes: Axes, place: int, values: Sequence[float], color: str) -> None:
    low, first, middle, third, high = np.quantile(values, [0, 0.25, 0.5, 0.75, 1]).tolist()
    axes.plot([place, place], [low, high], color=color, linewidth=0.8)
    axes.bar([place], [third - first], 0.6, first, color=color, alpha=0.45)
    axes.plot([place - 0.3, place + 0.3], [middle, middle], color=color)
    axes.plot([place], [fmean(values)], "o", color=color, markersize=4)


def _by_count(
    axes: Axes, runs: Sequence[Run], style: Mapping[str, Any], name: str, *, fit: bool
) -> None:
    """Runs above their number of sources, means, and a straight line through all of them."""
    if not runs:
        return
    counts = np.array([run["number"] for run in runs], dtype=np.float64)
    scores = np.array([run["standardised"] for run in runs], dtype=np.float64)
    plain = {key: value for key, value in style.items() if key != "linestyle"}
    axes.plot(counts, scores, **plain, linestyle="none", alpha=0.3, markersize=3)
    levels = np.unique(counts)
    means = [scores[counts == level].mean() for level in levels]
    axes.plot(levels, means, **plain, linestyle="none", label=name)
    if fit and len(levels) > 1:
        slope, level = np.polyfit(counts, scores, 1)
        ends = levels[[0, -1]]
        dashes = style.get("linestyle", "-")
        axes.plot(ends, slope * ends + level, color=style["color"], linestyle=dashes, linewidth=1)


def _names_below(axes: Axes, names: Sequence[str]) -> None:
    axes.set_xticks(range(len(names)), [short(name, 16) for name in names])
    axes.set_xlim(-0.6, len(names) - 0.4)
    upright_labels(axes)
    axes.tick_params(axis="x", length=0)


def _legend_once(figure: Figure, panels: Sequence[tuple[Axes, list[Run]]]) -> None:
    """The names of the panel that has most of them."""
    fullest = max(panels, key=lambda panel: len(panel[0].get_legend_handles_labels()[1]))[0]
    legend_above(figure, fullest)


def _said(runs: Sequence[Run], by: str) -> str:
    datasets = len({run["dataset"] for run in runs})
    return f"{len(runs)} scores on {datasets} data sets, by {by}, with their means."


def _data(table: Table, runs: Sequence[Run], title: str, figure: int) -> Table:
    rows = tuple(tuple(run.values()) for run in runs)
    return replace(table, title=f"{title} (Kim et al. 2019, Fig. {figure})", rows=rows)
