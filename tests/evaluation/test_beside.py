"""Published numbers find the reports that they belong to."""

import pytest

from mirfeat.errors import ConfigError, OptionError
from mirfeat.evaluation.beside import with_published
from mirfeat.evaluation.records import Evaluation, ScoreReport, Scores


def report(protocol: str, features: str, metric: str, origin: str = "") -> ScoreReport:
    return ScoreReport(protocol, features, (Scores(metric, (0.5,)),), origin=origin)


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
    assert result.reports[1].published is None
    assert result.reports[0].scores == mine.scores


def test_curves_of_few_examples_and_other_k_have_no_published_number() -> None:
    few = report("few-shot", "hamel2013-base", "accuracy")
    other = report("similarity", "hamel2013-base", "P@5 L1")
    with pytest.raises(OptionError, match="numbers for base features"):
        with_published(Evaluation((few, other)), "hamel2013", "gtzan-genre")


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(ConfigError, match="no numbers for 'polka'"):
        with_published(Evaluation((report("mlp", "x", "accuracy"),)), "choi2017", "polka")
