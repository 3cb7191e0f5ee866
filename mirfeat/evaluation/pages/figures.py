"""Figures of scores, after those of the papers.

Each function takes reports of one metric and returns a
:class:`~mirfeat.evaluation.pages.drawing.Drawing`. All raise ``ConfigError`` where there is
nothing to draw or reports do not belong together, and ``MissingPackageError`` without matplotlib.
Figures of tables are in ``table_figures``, those of single clips in ``clip_figures``.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mirfeat.errors import ConfigError
from mirfeat.evaluation.pages.drawing import (
    BLUE,
    FULL_WIDTH_CM,
    GREY,
    INK,
    ON_DARK,
    ON_LIGHT,
    PALE_BLUE,
    PALE_ORANGE,
    PALETTE,
    PAPER,
    PURPLE,
    Drawing,
    legend_above,
    line_styles,
    sheet,
    short,
    upright_labels,
)
from mirfeat.evaluation.records import ScoreReport, Table
from mirfeat.evaluation.text import ranks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Bars and curves are read on phones too, whole.
_PHONE_WIDTH_CM = 13.0
_MARKERS: Mapping[str, Mapping[str, Any]] = {
    "published": {"marker": "D", "ms": 3.6, "mfc": PAPER, "mec": INK, "ls": "none"},
    "nested": {"marker": "o", "ms": 4.2, "mfc": INK, "mec": PAPER, "ls": "none"},
}


def layer_sweep(reports: Sequence[ScoreReport], control: Sequence[ScoreReport] = ()) -> Drawing:
    """Bars of layer combinations with their ranks in them (Choi et al. 2017, Figures 3 to 9).

    The best and the lowest quarter are highlighted: of 28 combinations the best and lowest seven,
    as in the paper. Published and nested scores are markers, where there are any; a line is what
    the paper calls the state of the art. As in the paper the scale need not start at 0; the caption
    says where it does.

    Args:
        reports: a combination each, called by ``features``, in the order to show them. Those with
            "mfcc" in their name are baselines: they stand to the right and have no rank.
        control: reports of a random network by the same names: narrow grey bars.
    """
    metric = _metric([*reports, *control])
    ordered = sorted(reports, key=_is_mfcc)
    ranked = [report for report in ordered if not _is_mfcc(report)]
    standings = ranks(ranked)
    random = {report.features: report.main.mean for report in control}
    columns = _columns(ordered)
    columns["random network"] = [random.get(report.features, math.nan) for report in ordered]
    shown = ("score", "random network", *_MARKERS)
    start = _scale_start(np.array([columns[name] for name in shown]))
    with sheet(FULL_WIDTH_CM, 7.6) as figure:
        axes = figure.subplots()
        # A gap before the baselines.
        places = np.array([k + 0.6 * (k >= len(ranked)) for k in range(len(ordered))])
        _rank_bars(axes, places, columns["score"], standings)
        if random:
            grey: dict[str, Any] = {"color": GREY, "label": "random network"}
            axes.bar(places + 0.42, columns["random network"], 0.2, **grey)
        for name, style in _MARKERS.items():
            if not np.isnan(columns[name]).all():
                axes.plot(places, columns[name], label=name, **style)
        if (best := reports[0].state_of_the_art) is not None:
            words = f"state of the art then: {best:.3f}"
            axes.axhline(best, color=PALETTE[1], linewidth=1.0, linestyle="--", label=words)
        axes.set_ylim(bottom=start)
        axes.set_xlim(-0.7, places[-1] + 0.8)
        axes.set_xticks(places, [short(report.features, 16) for report in ordered])
        upright_labels(axes)
        axes.tick_params(axis="x", length=0)
        axes.set_ylabel(pretty(metric))
        axes.grid(axis="y")
        legend_above(figure, axes)
    columns["rank"] = [*standings, *[None] * (len(ordered) - len(ranked))]
    note = "Numbers in the bars are ranks among the combinations"
    note += f"; the scale starts at {start:g}." if start else "."
    origin = f", {reports[0].origin}" if reports[0].origin else ""
    table = _table(f"{_capital(metric)} of layer combinations{origin}", metric, columns, note)
    return Drawing(figure, _range(f"Bar chart of {pretty(metric)}", ranked or ordered), table)


def score_bars(
    reports: Sequence[ScoreReport], baselines: Collection[str] = ("mfcc", "random")
) -> Drawing:
    """Main scores of several sets of features, the best on top, with standard errors.

    ``baselines``: features whose bars are grey. Published scores are markers.
    """
    metric = _metric(reports)
    placed = sorted(zip(ranks(reports), range(len(reports)), strict=True))
    ordered = [reports[place] for _, place in placed]
    columns = _columns(ordered)
    baseline = [report.features in baselines for report in ordered]
    places = np.arange(len(ordered))
    with sheet(_PHONE_WIDTH_CM, 2.0 + 0.62 * len(ordered)) as figure:
        axes = figure.subplots()
        colors = [GREY if grey else BLUE for grey in baseline]
        whiskers = {"ecolor": INK, "elinewidth": 0.9}
        errors = columns["standard error"]
        axes.barh(places, columns["score"], 0.66, color=colors, xerr=errors, error_kw=whiskers)
        if not np.isnan(columns["published"]).all():
            axes.plot(columns["published"], places, label="published", **_MARKERS["published"])
        for place, report in enumerate(ordered):
            beside = axes.get_yaxis_transform()
            axes.text(1.02, place, _plus_minus(report), transform=beside, va="center")
        axes.set_yticks(places, [short(report.features) for report in ordered])
        axes.tick_params(axis="y", length=0)
        axes.invert_yaxis()
        axes.set_xlabel(pretty(metric))
        axes.grid(axis="x")
        legend_above(figure, axes)
    note = "Whiskers and ±: standard error of the mean"
    note += "; grey: baselines." if any(baseline) else "."
    table = _table(f"{_capital(metric)} of features", metric, columns, note)
    return Drawing(figure, _range(f"Bar chart of {pretty(metric)}", reports), table)


def few_shot_curves(reports: Sequence[ScoreReport]) -> Drawing:
    """Scores against training clips per class, with 95 % intervals (Hamel et al. 2013, Figure 3).

    Reports have ``settings["examples_per_class"]``; those with the same ``features`` are a line.
    """
    metric = _metric(reports)
    if any("examples_per_class" not in report.settings for report in reports):
        raise ConfigError("the settings of a report lack 'examples_per_class': no few-shot run.")
    ordered = sorted(reports, key=_examples)
    counts = sorted({_examples(report) for report in reports})
    lines = {
        name: [report for report in ordered if report.features == name]
        for name in dict.fromkeys(report.features for report in reports)
    }
    with sheet(_PHONE_WIDTH_CM, 8.0) as figure:
        axes = figure.subplots()
        for (name, line), style in zip(lines.items(), line_styles(), strict=False):
            axes.errorbar(
                [_examples(report) for report in line],
                [report.main.mean for report in line],
                [_reach(report) for report in line],
                label=short(name),
                elinewidth=0.8,
                **style,
            )
        axes.set_xscale("log")
        axes.set_xticks(counts, [str(count) for count in counts])
        axes.minorticks_off()
        axes.set_xlabel("training clips per class")
        axes.set_ylabel(pretty(metric))
        axes.grid(axis="y")
        legend_above(figure, axes)
    columns = _columns(ordered)
    columns["examples per class"] = [_examples(report) for report in ordered]
    title = f"{_capital(metric)} with few training clips"
    table = _table(title, metric, columns, "Whiskers: 95 % interval of the mean.")
    most = [report for report in reports if _examples(report) == counts[-1]]
    alt = _range(f"Curves of {pretty(metric)} at {counts[-1]} training clips per class", most)
    return Drawing(figure, alt, table)


def _reach(report: ScoreReport) -> float:
    """Half of the 95 % interval; 0 where there is none."""
    low, high = report.main.interval
    return 0.0 if math.isnan(low) else (high - low) / 2


def pretty(metric: str) -> str:
    """The name of a metric as it is printed."""
    return metric.replace("r2", "r²")


def _metric(reports: Sequence[ScoreReport]) -> str:
    """Name of the main score, which must be the same in all."""
    names = sorted({report.main.metric for report in reports})
    if len(names) != 1:
        problem = f"metrics {names} do not share an axis" if names else "no reports"
        raise ConfigError(f"{problem}: one report or more of the same metric is needed.")
    return names[0]


def _columns(reports: Sequence[ScoreReport]) -> dict[str, list[Any]]:
    """Numbers behind a figure: a value for each report, NaN where there is none."""
    return {
        "features": [report.features for report in reports],
        "score": [report.main.mean for report in reports],
        "standard error": [report.main.standard_error for report in reports],
        "nested": [_nested(report) for report in reports],
        "published": [
            math.nan if report.published is None else report.published for report in reports
        ],
    }


def _table(title: str, metric: str, columns: Mapping[str, list[Any]], note: str) -> Table:
    """The columns that have a value; the score is called by its metric."""
    used = {
        metric if name == "score" else name: values
        for name, values in columns.items()
        if any(value is not None and value == value for value in values)
    }
    return Table(title, tuple(used), tuple(zip(*used.values(), strict=True)), note)


def _rank_bars(
    axes: Axes, places: np.ndarray, heights: Sequence[float], standings: Sequence[int]
) -> None:
    """Bars with ranks at their feet; those after the last of these are baselines."""
    quarter = len(standings) // 4
    best = sorted(standings)[quarter - 1] if quarter else 0
    # With many equal ranks the best quarter may reach into the lowest; it is the one shown.
    lowest = max(sorted(standings)[-quarter], best + 1) if quarter else len(standings) + 1
    groups = [
        ("best quarter", BLUE, [k for k, rank in enumerate(standings) if rank <= best]),
        (
            "other layers",
            PALE_BLUE,
            [k for k, rank in enumerate(standings) if best < rank < lowest],
        ),
        ("lowest quarter", PALE_ORANGE, [k for k, rank in enumerate(standings) if rank >= lowest]),
        ("with MFCC", PURPLE, list(range(len(standings), len(heights)))),
    ]
    for label, color, chosen in groups:
        if chosen:
            axes.bar(places[chosen], [heights[k] for k in chosen], 0.64, color=color, label=label)
    foot = axes.get_xaxis_transform()
    for place, height, rank in zip(places, heights, standings, strict=False):
        color = INK if height <= 0 else ON_DARK if rank <= best else ON_LIGHT
        words: dict[str, Any] = {"ha": "center", "size": 6.5, "color": color, "transform": foot}
        axes.text(place, 0.02, str(rank), **words)


def _scale_start(values: np.ndarray) -> float | None:
    """A tenth well below all values; None, for matplotlib to choose, if one is 0 or less."""
    known = values[np.isfinite(values)]
    low, high = float(known.min(initial=np.inf)), float(known.max(initial=-np.inf))
    if not 0 < low < np.inf:
        return None
    return max(0.0, math.floor(10 * (low - max(0.25 * (high - low), 0.05))) / 10)


def _range(what: str, reports: Sequence[ScoreReport]) -> str:
    """One sentence: what is shown, and its ends."""
    known = [report for report in reports if not math.isnan(report.main.mean)]
    ends = ""
    if known:
        low = min(known, key=lambda report: report.main.mean)
        high = max(known, key=lambda report: report.main.mean)
        ends = f", from {low.main.mean:.3f} ({low.features})"
        ends += f" to {high.main.mean:.3f} ({high.features})"
    return f"{what} of {len(reports)} sets of features{ends}."


def _plus_minus(report: ScoreReport) -> str:
    error = report.main.standard_error
    return f"{report.main.mean:.3f}" + ("" if math.isnan(error) else f" ± {error:.3f}")


def _examples(report: ScoreReport) -> int:
    return int(report.settings["examples_per_class"])


def _is_mfcc(report: ScoreReport) -> bool:
    return "mfcc" in report.features.lower()


def _nested(report: ScoreReport) -> float:
    nested = [s.mean for s in report.scores if s.metric == f"{report.main.metric}, nested"]
    return nested[0] if nested else math.nan


def _capital(metric: str) -> str:
    return pretty(metric)[:1].upper() + pretty(metric)[1:]
