"""Which figures show a result: every protocol's, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby

import numpy as np

from mirfeat.evaluation.pages import clip_figures, experiment_figures, figures, table_figures
from mirfeat.evaluation.pages.drawing import Drawing
from mirfeat.evaluation.records import Evaluation, ScoreReport, Table

Named = Iterator[tuple[str, Drawing]]


def draw(evaluation: Evaluation) -> dict[str, Drawing]:
    """All figures of an evaluation, by a name to save them under.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    drawn: dict[str, Drawing] = {}
    for protocol, reports in groupby(evaluation.reports, key=lambda report: report.protocol):
        drawn |= _OF_PROTOCOL.get(protocol, _scores)(list(reports))
    curves = [table for table in evaluation.tables if table.columns[0] == "k"]
    if curves:
        drawn["precision-at-k"] = table_figures.precision_curves(_joined(curves))
    for table in evaluation.tables:
        drawn |= _of_table(table)
    return drawn


def _scores(reports: Sequence[ScoreReport]) -> Named:
    """Bars of all features; of the best one what became of its clips."""
    name = reports[0].protocol
    if len(reports) > 1:
        baselines = [r.features for r in reports if is_baseline(r.features)]
        yield name, figures.score_bars(reports, baselines)
    sign = 1 if reports[0].main.higher_is_better else -1
    best = max(reports, key=lambda report: sign * report.main.mean)
    if best.predictions is None:
        return
    if not best.predictions.classes:
        yield f"{name}-values", clip_figures.predicted_against_true(best.predictions)
        return
    yield f"{name}-confusion", clip_figures.confusion_matrix(best.predictions)
    if best.predictions.probabilities is not None:
        yield f"{name}-calibration", clip_figures.calibration(best.predictions)


def _layer_sweep(reports: Sequence[ScoreReport]) -> Named:
    """A chart for each network; an untrained one is the control of the others."""
    by_origin = {
        origin: list(some) for origin, some in groupby(reports, key=lambda report: report.origin)
    }
    random = [origin for origin in by_origin if is_baseline(origin)]
    shown = [origin for origin in by_origin if origin not in random] or random[:1]
    control = by_origin[random[0]] if random and random[0] not in shown else []
    for place, origin in enumerate(shown):
        name = "layer-sweep" if len(shown) == 1 else f"layer-sweep-{place + 1}"
        yield name, figures.layer_sweep(by_origin[origin], control)


def _few_shot(reports: Sequence[ScoreReport]) -> Named:
    yield "few-shot", figures.few_shot_curves(reports)


def _similarity(reports: Sequence[ScoreReport]) -> Named:
    if len(reports) > 1:
        yield (
            "similarity",
            figures.score_bars(reports, [r.features for r in reports if is_baseline(r.features)]),
        )


_OF_PROTOCOL: Mapping[str, Callable[[Sequence[ScoreReport]], Named]] = {
    "layer-sweep": _layer_sweep,
    "few-shot": _few_shot,
    "similarity": _similarity,
}


def is_baseline(features: str) -> bool:
    """Whether features are those that others are to beat: MFCC, or an untrained network's."""
    return features == "mfcc" or "(random" in features


def _joined(curves: Sequence[Table]) -> Table:
    """Curves of one set of features as they are; of several the L1 distance, a line each."""
    if len(curves) == 1:
        return curves[0]
    names = [table.title.removeprefix("Precision at k, ") for table in curves]
    lines = [[row[table.columns.index("L1")] for row in table.rows] for table in curves]
    shortest = min(map(len, lines))
    rows = tuple((k + 1, *(line[k] for line in lines)) for k in range(shortest))
    return Table("Precision at k, L1 distance", ("k", *names), rows)


def _of_table(table: Table) -> Named:
    if table.columns[:2] == ("effect", "estimate"):
        places = [table.columns.index(name) for name in ("effect", "estimate", "2.5 %", "97.5 %")]
        rows = [tuple(row[place] for place in places) for row in table.rows]
        name = "strategies" if "Strategies" in table.title else "size"
        yield name, table_figures.coefficients(rows, table.title, "standardised score")
    if table.columns == ("clip", "x", "y", "topic"):
        positions = np.array([row[1:3] for row in table.rows])
        topics = [row[3] for row in table.rows]
        yield "map", clip_figures.embedding_map(positions, topics, label="strongest topic")
    if table.columns[0] == "source" and table.title.startswith("Variance"):
        yield "variance-components", table_figures.heat_map(table)
    if table.columns[0] == "effect" and table.title.startswith("Aliasing"):
        yield "aliases", table_figures.heat_map(table)
    if table.columns[-1] == "variance component":
        yield "single-against-variance", experiment_figures.single_against_variance(table)
    if table.columns == ("strategy", "sources", "parameters"):
        yield "parameters", experiment_figures.parameters(table)
    if table.columns[-1] == "has best":
        yield from _experiment(table)


def _experiment(table: Table) -> Named:
    """Figures of all runs; of single sources where there are any."""
    strategy = [row[0] for row in table.rows]
    if "SS-R" in strategy:
        yield "single-sources", experiment_figures.single_sources(table)
    yield "strategies-by-dataset", experiment_figures.strategies(table)
    yield "numbers-of-sources", experiment_figures.numbers_of_sources(table)
    if any(row[-1] is not None for row in table.rows):
        yield "best-single-source", experiment_figures.best_source(table)
