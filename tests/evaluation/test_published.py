"""Published numbers, spot-checked against the text of the papers."""

import math

import pytest

from mirfeat.errors import ConfigError
from mirfeat.evaluation.published import published_errors, published_scores, published_tasks


@pytest.mark.parametrize(
    ("task", "features", "score"),
    [
        # Section 4.2 of the paper: "86.7% of accuracy", "89.8%", "78.1% and 66.0%" and so on.
        ("extended-ballroom", "123", 0.867),
        ("gtzan-genre", "12345", 0.898),
        ("gtzan-genre", "12345+mfcc", 0.781),
        ("gtzan-genre", "mfcc", 0.660),
    ],
)
def test_choi2017_has_the_numbers_of_the_paper(task, features, score):
    assert published_scores("choi2017", task)[features] == pytest.approx(score, abs=5e-4)


def test_choi2017_has_28_strategies_and_two_baselines_for_each_task():
    assert len(published_tasks("choi2017")) == 7
    for task in published_tasks("choi2017"):
        scores = published_scores("choi2017", task)
        assert len(scores) == 30
        assert {"1", "135", "12345", "mfcc", "12345+mfcc"} <= set(scores)


def test_choi2017_measures_emotions_by_r2_and_the_rest_by_accuracy():
    for task, metrics in published_tasks("choi2017").items():
        assert metrics == (("r2",) if task.startswith("emomusic") else ("accuracy",))


@pytest.mark.parametrize(
    ("task", "features", "accuracy", "error", "precision"),
    [
        ("homburg", "tag embedding", 0.584, 0.008, 0.40),
        ("1517-artists", "base features", 0.323, 0.010, 0.15),
        ("gtzan-genre", "genre embedding", 0.671, 0.014, 0.52),
        ("unique", "tag embedding", 0.666, 0.006, 0.54),
    ],
)
def test_hamel2013_has_tables_4_and_5(task, features, accuracy, error, precision):
    assert published_scores("hamel2013", task)[features] == accuracy
    assert published_errors("hamel2013", task)[features] == error
    assert published_scores("hamel2013", task, "precision at 10")[features] == precision


def test_kim2018_has_tables_3_to_5():
    assert published_scores("kim2018", "combinations")["gsedm STN"] == 0.6599
    assert published_scores("kim2018", "combinations", "log-loss")["gsedm MTN"] == 0.7727
    assert published_scores("kim2018", "averages")["with g MTN"] == 0.6155
    assert published_scores("kim2018", "best-by-count")["3 wSTN"] == 0.6629
    # 31 combinations; no multi-task network of a single task.
    assert len(published_scores("kim2018", "combinations")) == 31 + 26


def test_kim2018_averages_follow_from_its_combinations():
    scores = published_scores("kim2018", "combinations", "log-loss")
    with_genre = [
        score for name, score in scores.items() if "g" in name.split()[0] and name.endswith(" STN")
    ]
    printed = published_scores("kim2018", "averages", "log-loss")["with g STN"]
    assert sum(with_genre) / len(with_genre) == pytest.approx(printed, abs=1e-4)


def test_kim2019_has_table_6_and_the_statistics_of_its_text():
    assert published_scores("kim2019", "extended-ballroom")["bpm"] == 96
    assert published_scores("kim2019", "emomusic-valence")["bpm"] == 42
    assert published_scores("kim2019", "gtzan-genre")["self"] == 39
    assert math.isnan(published_scores("kim2019", "gtzan-genre")["bpm"])
    assert 0.38 in published_scores("kim2019", "statistics").values()


@pytest.mark.parametrize("paper", ["choi2017", "hamel2013", "kim2018", "kim2019"])
def test_all_numbers_of_a_paper_have_names_of_their_own(paper):
    # Keys that were there twice would have been lost.
    every = published_scores(paper)
    assert len(every) == sum(len(published_scores(paper, task)) for task in published_tasks(paper))


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("kim2020",), "choi2017, hamel2013"),
        (("choi2017", "gtzan"), "gtzan-genre"),
        (("choi2017", "gtzan-genre", "r2"), "accuracy"),
    ],
)
def test_unknown_names_are_answered_with_known_ones(arguments, match):
    with pytest.raises(ConfigError, match=match):
        published_scores(*arguments)
