"""Which figures an evaluation gets."""

import numpy as np
import pytest

from mirfeat.evaluation.design import PlannedRun, alias_matrix
from mirfeat.evaluation.experiment import Baseline, ScoredRun
from mirfeat.evaluation.experiment_tables import experiment_tables
from mirfeat.evaluation.records import Evaluation, Predictions, ScoreReport, Scores, Table

pytest.importorskip("matplotlib")
gallery = pytest.importorskip("mirfeat.evaluation.pages.gallery")


def report(protocol: str, features: str, *values: float, **more: object) -> ScoreReport:
    return ScoreReport(protocol, features, (Scores("accuracy", values),), **more)  # type: ignore[arg-type]


def predictions(probabilities: bool, classes: tuple[str, ...] = ("a", "b")) -> Predictions:
    truth = np.array([0, 1, 0, 1])
    shares = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.1, 0.9]])
    predicted = shares.argmax(axis=1)
    return Predictions(np.arange(4), truth, predicted, classes, shares if probabilities else None)


def test_scores_get_bars_and_the_best_features_their_clips() -> None:
    worse = report("mlp", "mfcc", 0.5, 0.6, predictions=predictions(False))
    best = report("mlp", "choi2017", 0.8, 0.9, predictions=predictions(True))
    drawn = gallery.draw(Evaluation((worse, best)))
    assert list(drawn) == ["mlp", "mlp-confusion", "mlp-calibration"]
    assert [row[0] for row in drawn["mlp"].data.rows] == ["choi2017", "mfcc"]
    values = predictions(False, classes=())
    alone = gallery.draw(Evaluation((report("svm-grid", "x", 0.3, predictions=values),)))
    assert list(alone) == ["svm-grid-values"]
    assert gallery.draw(Evaluation((report("recommendation", "x", 0.3),))) == {}


def test_an_untrained_network_is_the_control_of_a_sweep_and_stands_alone_without_others() -> None:
    trained = [report("layer-sweep", name, 0.7, 0.8, origin="choi2017 (msd)") for name in "12"]
    random = [report("layer-sweep", name, 0.5, 0.6, origin="choi2017 (random)") for name in "12"]
    drawn = gallery.draw(Evaluation((*random, *trained)))
    assert list(drawn) == ["layer-sweep"]
    columns = drawn["layer-sweep"].data.columns
    first = dict(zip(columns, drawn["layer-sweep"].data.rows[0], strict=True))
    assert first["random network"] == pytest.approx(0.55)
    assert list(gallery.draw(Evaluation(tuple(random)))) == ["layer-sweep"]
    others = [report("layer-sweep", name, 0.7, origin="mine") for name in "12"]
    several = gallery.draw(Evaluation((*trained, *others, *random)))
    assert list(several) == ["layer-sweep-1", "layer-sweep-2"]


def test_curves_of_several_features_are_lines_of_one_figure() -> None:
    curves = [
        Table(f"Precision at k, {name}", ("k", "L1", "cosine"), ((1, a, 0.1), (2, b, 0.1)))
        for name, a, b in (("mfcc", 0.5, 0.4), ("choi2017", 0.7, 0.6))
    ]
    drawn = gallery.draw(Evaluation(tables=tuple(curves)))["precision-at-k"]
    assert drawn.data.columns == ("k", "mfcc", "choi2017")
    assert drawn.data.rows == ((1, 0.5, 0.7), (2, 0.4, 0.6))
    alone = gallery.draw(Evaluation(tables=(curves[0],)))["precision-at-k"]
    assert alone.data.columns == ("k", "L1", "cosine")


def test_tables_of_a_comparison_are_drawn() -> None:
    columns = ("effect", "estimate", "standard error", "2.5 %", "97.5 %", "spread")
    rows = (("SS-R", -0.5, 0.1, -0.7, -0.3, None), ("MSS-CR", 0.5, 0.1, 0.3, 0.7, 0.2))
    tables = (
        Table("Strategies and their gain per source", columns, rows),
        Table("Size of the network", columns, rows),
        Table("Variance components of the sources", ("source", "gtzan"), (("tag", 40.0),)),
        Table(
            "Map", ("clip", "x", "y", "topic"), (("a", 0.0, 1.0, "jazz"), ("b", 1.0, 0.0, "pop"))
        ),
        Table("Differences", ("effect", "minus", "p"), (("a", "b", 0.5),)),
    )
    drawn = gallery.draw(Evaluation(tables=tables))
    assert list(drawn) == ["strategies", "size", "variance-components", "map"]
    assert len(drawn["map"].data.rows) == 2
    assert drawn["strategies"].data.rows[0] == ("SS-R", -0.5, -0.7, -0.3)


def test_baselines_are_known_by_their_names() -> None:
    assert gallery.is_baseline("mfcc")
    assert gallery.is_baseline("choi2017 (random:7)")
    assert not gallery.is_baseline("choi2017 (msd)")
    assert not gallery.is_baseline("choi2017+mfcc (msd)")


NAMES = {"mfcc", "choi2017"}


def test_an_experiment_gets_the_figures_of_its_paper() -> None:
    runs = [
        ScoredRun(strategy, sources, dataset, 0.1 * len(sources) + shift + 0.01 * repeat)
        for dataset, shift in (("gtzan", 0.5), ("fma", 0.3))
        for repeat in range(2)
        for strategy, sources in (
            ("SS-R", ("tag",)),
            ("SS-R", ("bpm",)),
            ("MSS-CR", ("tag", "year")),
            ("MSS-CR", ("bpm", "year")),
            ("MS-CR@2", ("bpm", "tag", "year")),
        )
    ]
    design = [PlannedRun(run.strategy, run.sources) for run in runs]
    tables = (alias_matrix(design, ("bpm", "tag", "year")), *experiment_tables(runs))
    pairs = Table(
        "r", ("source", "dataset", "SS-R", "variance component"), (("a", "b", 1.0, 2.0),) * 2
    )
    sizes = Table("p", ("strategy", "sources", "parameters"), (("SS-R", 1, 10), ("MSS-CR", 2, 20)))
    drawn = gallery.draw(Evaluation(tables=(*tables, pairs, sizes)))
    assert list(drawn) == [
        "aliases",
        "single-sources",
        "strategies-by-dataset",
        "numbers-of-sources",
        "best-single-source",
        "single-against-variance",
        "parameters",
    ]
    alone = drawn["single-sources"].data
    assert {row[0] for row in alone.rows} == {"SS-R"}
    assert "Fig. 8" in alone.title
    assert len(drawn["strategies-by-dataset"].data.rows) == len(runs)
    # Of single sources nobody says whether they have the best.
    assert {row[-1] for row in drawn["best-single-source"].data.rows} == {True, False}
    several = [run for run in runs if run.strategy != "SS-R"]
    # Baselines are lines in the panels of their data sets.
    beside = [Baseline("mfcc", "gtzan", 0.45), Baseline("choi2017", "gtzan", 0.65)]
    with_lines = gallery.draw(Evaluation(tables=experiment_tables(runs, beside)))
    for name in ("single-sources", "strategies-by-dataset"):
        axes = {one.get_title(loc="left"): one for one in with_lines[name].figure.axes}
        heights = [line.get_ydata()[0] for line in axes["gtzan"].lines if line.get_label() in NAMES]
        assert sorted(heights) == [0.45, 0.65]
        assert not [line for line in axes["fma"].lines if line.get_label() in NAMES]
        assert {row[2] for row in with_lines[name].data.rows} >= NAMES
    assert len(with_lines["numbers-of-sources"].data.rows) == len(runs)
    left = gallery.draw(Evaluation(tables=experiment_tables(several)))
    assert list(left) == ["strategies-by-dataset", "numbers-of-sources"]
    for drawing in drawn.values():
        assert drawing.png().startswith(b"\x89PNG")
