"""Tables of averages that the papers print, by hand; and that every one has a command."""

import re
from pathlib import Path

import numpy as np
import pytest

from mirfeat.cli.evaluate import OTHERS
from mirfeat.cli.parser import get_parser
from mirfeat.cli.reproduce import PLANS
from mirfeat.errors import LabelsError
from mirfeat.evaluation.experiment import Baseline, ScoredRun
from mirfeat.evaluation.experiment_tables import (
    all_scores,
    by_count,
    by_source,
    by_strategy,
    experiment_tables,
    variability,
    with_best_source,
    with_best_source_by_count,
)
from mirfeat.evaluation.protocols import PAPERS, PROTOCOLS
from mirfeat.evaluation.published import published_scores
from mirfeat.evaluation.records import Evaluation, Predictions, ScoreReport, Scores
from mirfeat.evaluation.source_tables import combination_table, source_tables, wide_table
from mirfeat.evaluation.summaries import per_class, pick, task_summary

LETTERS = {"g": "genre", "s": "subgenre", "e": "essentia", "d": "dmfcc", "m": "mfcc"}


def runs() -> tuple[ScoredRun, ...]:
    scores = {
        ("SS-R", ("tag",)): 0.8,
        ("SS-R", ("bpm",)): 0.2,
        ("MS-CR@2", ("bpm", "tag")): 0.9,
        ("MS-CR@2", ("bpm", "year")): 0.5,
        ("MSS-CR", ("bpm", "tag", "year")): 0.6,
    }
    return tuple(
        ScoredRun(strategy, sources, "d", score) for (strategy, sources), score in scores.items()
    )


def test_means_of_runs_by_source_strategy_and_count() -> None:
    every = (*runs(), ScoredRun("SS-R", ("tag",), "e", 0.5), ScoredRun("SS-R", ("tag",), "e", 0.7))
    assert by_source(every).columns == ("source", "d", "e")
    assert by_source(every).rows == (("bpm", 0.2, None), ("tag", 0.8, pytest.approx(0.6)))
    assert by_strategy(every).rows == (
        ("SS-R", pytest.approx(0.5), pytest.approx(0.6)),
        ("MS-CR@2", pytest.approx(0.7), None),
        ("MSS-CR", 0.6, None),
    )
    beside = [Baseline("mfcc", "d", 0.3), Baseline("mfcc", "other", 0.4)]
    assert by_source(every, beside).rows[-1] == ("baseline: mfcc", 0.3, None)
    assert by_strategy(every, beside).rows[-1] == ("baseline: mfcc", 0.3, None)
    values = np.array([run.score for run in runs()])
    scale = values.std(ddof=1)
    assert by_count(runs()).rows == (
        ("SS-R", 1, pytest.approx((0.5 - values.mean()) / scale), 2),
        ("MS-CR@2", 2, pytest.approx((0.7 - values.mean()) / scale), 2),
        ("MSS-CR", 3, pytest.approx(0.0, abs=1e-12), 1),
    )


def test_the_best_single_source_is_in_or_out() -> None:
    scale = np.std([run.score for run in runs()], ddof=1)
    (row,) = with_best_source(runs()).rows
    assert row[:3] == ("d", "tag", "MS-CR@2")
    assert row[5] == pytest.approx(0.4 / scale)
    (row,) = with_best_source_by_count(runs()).rows
    assert row[:3] == ("d", "tag", 2)
    assert row[5] == pytest.approx(0.4 / scale)
    inside = {run[2]: run[-1] for run in all_scores(runs()).rows}
    assert inside == {
        "tag": None,
        "bpm": None,
        "bpm;tag": True,
        "bpm;year": False,
        "bpm;tag;year": True,
    }
    without = [run for run in runs() if run.strategy != "SS-R"]
    assert len(experiment_tables(without)) == 3  # strategies, numbers of sources, all scores
    with pytest.raises(LabelsError, match="two or more that differ"):
        with_best_source(runs()[:1])


def test_variability_is_that_of_repeats_as_a_share_of_the_data_sets() -> None:
    repeats = [ScoredRun("SS-R", ("tag",), "d", score) for score in (0.7, 0.9)]
    table = variability([*repeats, ScoredRun("SS-R", ("bpm",), "d", 0.2)])
    ((source, dataset, own, every, share),) = table.rows  # bpm was trained once
    assert (source, dataset) == ("tag", "d")
    assert own == pytest.approx(np.std([0.7, 0.9], ddof=1))
    assert every == pytest.approx(np.std([0.7, 0.9, 0.2], ddof=1))
    assert share == pytest.approx(own / every)
    assert f"below {share:.2f}" in table.note
    assert variability(runs()).rows == ()


def grid_report(features: str, score: float) -> ScoreReport:
    both = Scores("macro-F1", (score,)), Scores("log-loss", (2 - score,), higher_is_better=False)
    return ScoreReport("source-grid", features, both)


def test_combinations_and_wide_networks_beside_the_papers() -> None:
    single = [grid_report(name, 0.5) for name in ("genre", "mfcc", "genre+mfcc")]
    shared = [grid_report("genre+mfcc", 0.6), grid_report("genre+essentia", 0.7)]
    networks = {"STN": single, "MTN": shared}
    table = combination_table(networks)
    cells = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert list(cells) == ["genre", "mfcc", "genre+mfcc", "genre+essentia"]
    assert cells["genre"]["published STN log-loss"] == 0.8891
    assert cells["genre"]["MTN log-loss"] is cells["genre"]["published MTN log-loss"] is None
    assert cells["genre+mfcc"]["MTN macro-F1"] == 0.6
    assert cells["genre+mfcc"]["published MTN macro-F1"] == 0.6037
    wide = wide_table({2: grid_report("genre", 0.65)}, networks)
    loss, f1 = (dict(zip(wide.columns, row, strict=True)) for row in wide.rows)
    assert (loss["wSTN"], loss["STN"], loss["MTN"]) == pytest.approx((1.35, 1.5, 1.3))
    assert (f1["wSTN"], f1["STN"], f1["MTN"]) == (0.65, 0.5, 0.7)
    assert (f1["published wSTN"], loss["published MTN"]) == (0.6071, 0.8578)


@pytest.mark.parametrize("network", ["STN", "MTN"])
def test_averages_of_the_published_combinations_are_the_published_averages(network: str) -> None:
    reports = []
    for name, score in published_scores("kim2018", "combinations").items():
        letters, kind = name.split()
        if kind == network:
            loss = published_scores("kim2018", "combinations", "log-loss")[name]
            both = (Scores("macro-f1", (score,)), Scores("log-loss", (loss,)))
            reports.append(ScoreReport("source-grid", "+".join(LETTERS[k] for k in letters), both))
    main, by_size = source_tables(reports)
    printed = published_scores("kim2018", "averages")
    for row, words in zip(main.rows, ("with g", "without g"), strict=True):
        assert row[1] == pytest.approx(printed[f"{words} {network}"], abs=1.5e-4)
    assert sum(row[-1] for row in by_size.rows) == len(reports)
    assert by_size.rows[-1][0] == 5
    assert source_tables(reports[:1]) == ()


def sweep(origin: str, **scores: float) -> tuple[ScoreReport, ...]:
    names = {"all": "12345", "five": "5", "both": "12345+mfcc", "mfcc": "mfcc"}
    return tuple(
        ScoreReport("layer-sweep", names[key], (Scores("accuracy", (score,)),), origin=origin)
        for key, score in scores.items()
    )


def test_the_summary_has_the_best_layers_and_leaves_random_networks_out() -> None:
    real = sweep("choi2017 (msd)", all=0.9, five=0.8, both=0.95, mfcc=0.6)
    control = sweep("choi2017 (random)", all=0.99)
    table = task_summary({"gtzan-genre": Evaluation((*control, *real))})
    ((task, best, ours, published, both, _, mfcc, old, art),) = table.rows
    assert (task, best, ours, both, mfcc, art) == ("gtzan-genre", "12345", 0.9, 0.95, 0.6, 0.945)
    assert (published, old) == (pytest.approx(0.898), pytest.approx(0.66))
    found = pick((*control, *real), "12345")
    assert found is not None
    assert found.main.mean == 0.9
    assert pick(real, "135") is None


def test_accuracy_by_class_by_hand() -> None:
    truth = np.array([0, 0, 1, 1])
    made = {"12345": np.array([0, 0, 0, 1]), "5": np.array([0, 1, 1, 1])}
    first, second = (
        ScoreReport(
            "layer-sweep",
            name,
            (Scores("accuracy", (0.5,)),),
            predictions=Predictions(np.arange(4), truth, predicted, ("a", "b")),
        )
        for name, predicted in made.items()
    )
    assert per_class(first, second).rows == (("a", 1.0, 0.5, 0.5), ("b", 0.5, 1.0, -0.5))
    with pytest.raises(LabelsError, match="no predicted classes"):
        per_class(first, sweep("x", five=0.5)[0])


# -- the table of tables ----------------------------------------------------------------------


def _rows() -> list[tuple[str, str]]:
    """Tables and figures of docs/papers/tables.md, with the cell of their command."""
    text = (Path(__file__).parents[2] / "docs/papers/tables.md").read_text(encoding="utf-8")
    lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| ")]
    return [(cells[0].strip(), cells[2].strip()) for cells in lines if len(cells) == 3]


@pytest.mark.parametrize(("what", "cell"), _rows()[1:])
def test_every_command_of_the_table_of_tables_exists(
    what: str, cell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = re.findall(r"`mirfeat ([^`]+)`", cell)
    assert commands, f"{what}: {cell}"
    for command in commands:
        name, *rest = command.split()
        with pytest.raises(SystemExit) as ended:
            get_parser().parse_args([name, *(rest[:1] if name == "evaluate" else ()), "--help"])
        assert ended.value.code == 0
        known = capsys.readouterr().out
        for option in re.findall(r"--[a-z-]+", command):
            assert option in known, f"{what}: {command}"
        if name == "evaluate":
            assert rest[0] in {*PROTOCOLS, *OTHERS, *PAPERS}, f"{what}: {command}"
        if name == "reproduce":
            assert rest[0] in PLANS


def test_every_table_and_figure_is_there() -> None:
    counts = {
        "Choi 2017": (1, 9),
        "Hamel 2013": (5, 3),
        "Kim 2018": (5, 3),
        "Kim 2019": (6, 16),
    }
    for paper, (tables, figures) in counts.items():
        own = " ".join(what for what, _ in _rows() if what.startswith(paper))
        for kind, count in (("Table", tables), ("Fig.", figures)):
            for number in range(1, count + 1):
                assert re.search(rf"{re.escape(kind)} {number}\b", own), f"{paper}, {kind} {number}"
