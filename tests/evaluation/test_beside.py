"""Published numbers stand beside the same system alone."""

import pytest

from mirfeat.errors import ConfigError
from mirfeat.evaluation.beside import with_published
from mirfeat.evaluation.records import Evaluation, ScoreReport, Scores, System

MSD = System("choi2017", "msd", ("mean",))


def report(
    protocol: str, features: str, metric: str, origin: str = "", systems: tuple[System, ...] = ()
) -> ScoreReport:
    return ScoreReport(
        protocol, features, (Scores(metric, (0.5,)),), origin=origin, systems=systems
    )


@pytest.mark.parametrize(
    ("paper", "task", "given", "published"),
    [
        ("choi2017", "gtzan-genre", ("layer-sweep", "12345", "accuracy"), 0.898),
        ("choi2017", "gtzan-genre", ("layer-sweep", "12345+mfcc", "accuracy"), 0.781),
        ("hamel2013", "homburg", ("linear", "hamel2013-tag (x)", "accuracy"), 0.584),
        ("hamel2013", "homburg", ("linear", "hamel2013-base", "accuracy"), 0.580),
        ("hamel2013", "homburg", ("similarity", "hamel2013-genre (x)", "P@10 L1"), 0.41),
        (
            "kim2018",
            "combinations",
            ("source-grid", "mfcc+genre", "macro-F1", "kim2018-mtn (x)"),
            0.6037,
        ),
        ("kim2018", "combinations", ("source-grid", "genre", "macro-F1", "kim2018-stn"), 0.5963),
    ],
)
def test_every_paper_by_its_own_names(
    paper: str, task: str, given: tuple[str, ...], published: float
) -> None:
    mine, stranger = report(*given), report(given[0], "my own", *given[2:])
    result = with_published(Evaluation((mine, stranger)), paper, task)
    assert result.reports[0].published == pytest.approx(published)
    assert "arrays do not say what made them" in result.reports[0].notes[0]
    assert result.reports[1].published is None
    assert result.reports[0].scores == mine.scores


@pytest.mark.parametrize(
    ("systems", "beside"),
    [
        ((MSD,), True),
        ((MSD, System("mfcc", None, ("mean", "std"))), True),
        ((System("choi2017", "open", ("mean",)),), False),
        ((System("choi2017", "msd", ("mean", "std")),), False),
        ((MSD, System("kim2018-stn", "open", ("mean",))), False),
    ],
)
def test_other_weights_or_statistics_stand_under_another_heading(
    systems: tuple[System, ...], beside: bool
) -> None:
    mine = report("layer-sweep", "12345", "accuracy", systems=systems)
    result = with_published(Evaluation((mine,)), "choi2017", "gtzan-genre")
    assert (result.reports[0].published is not None) == beside
    assert not result.reports[0].notes
    assert len(result.tables) == (0 if beside else 1)
    if not beside:
        (table,) = result.tables
        assert table.title == "Published by choi2017 for gtzan-genre, with its own systems"
        assert ("12345", "accuracy", pytest.approx(0.898)) in table.rows
        assert systems[-1].extractor in table.note


def test_base_features_of_hamel_have_no_weights_and_embeddings_have_others() -> None:
    reports = tuple(
        report("linear", name, "accuracy", systems=(System(name, weights, ("mean",)),))
        for name, weights in (("hamel2013-base", None), ("hamel2013-tag", "open"))
    )
    result = with_published(Evaluation(reports), "hamel2013", "homburg")
    assert [one.published for one in result.reports] == [0.580, None]
    (table,) = result.tables
    assert table.columns[-1] == "± s.e."
    assert ("tag embedding", "accuracy", 0.584, 0.008) in table.rows


def test_curves_of_few_examples_and_other_k_have_no_number_beside_them() -> None:
    few = report("few-shot", "hamel2013-base", "accuracy")
    other = report("similarity", "hamel2013-base", "P@5 L1")
    result = with_published(Evaluation((few, other)), "hamel2013", "gtzan-genre")
    assert [one.published for one in result.reports] == [None, None]
    assert len(result.tables) == 1


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(ConfigError, match="no numbers for 'polka'"):
        with_published(Evaluation((report("mlp", "x", "accuracy"),)), "choi2017", "polka")


def test_the_state_of_the_art_of_the_paper_stands_in_each_report() -> None:
    reports = Evaluation(
        (report("layer-sweep", "12345", "accuracy"), report("layer-sweep", "5", "r2"))
    )
    for task, best in (("gtzan-genre", 0.945), ("jamendo-vocal", None)):
        found = with_published(reports, "choi2017", task).reports
        assert [one.state_of_the_art for one in found] == [best, best]
    assert with_published(reports, "hamel2013", "gtzan-genre").reports[0].state_of_the_art is None
