"""Paired verdicts: their numbers by hand, their words, and how often they are wrong by chance."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from mirfeat.evaluation.records import (
    Evaluation,
    Pairing,
    Predictions,
    ScoreReport,
    Scores,
)
from mirfeat.evaluation.verdicts import compare, verdicts

TEN = Pairing("k", 1 / 9)


def report(name: str, *values: float, **more: Any) -> ScoreReport:
    scores = Scores(more.pop("metric", "accuracy"), values, higher_is_better=more.pop("up", True))
    fields = {"pairing": TEN, **more}
    return ScoreReport(fields.pop("protocol", "linear"), name, (scores,), **fields)


def test_the_corrected_t_test_by_hand() -> None:
    ours, theirs = (0.70, 0.75, 0.80, 0.72), (0.60, 0.70, 0.72, 0.71)
    differences = np.subtract(ours, theirs)
    error = math.sqrt((1 / 4 + 1 / 9) * differences.var(ddof=1))
    verdict = compare(report("a", *ours), report("b", *theirs))
    assert verdict is not None
    assert verdict.difference == pytest.approx(differences.mean())
    # Critical value of t with 3 degrees of freedom, from a printed table: 3.182.
    assert verdict.high - verdict.difference == pytest.approx(3.182 * error, abs=1e-4)
    assert verdict.p == pytest.approx(2 * stats.t.sf(differences.mean() / error, 3))
    assert not verdict.told_apart
    assert str(verdict).startswith("a and b cannot be told apart: 0.060 (-0.0")
    # The plain paired t-test takes folds that share training clips for independent.
    assert stats.ttest_rel(ours, theirs).pvalue < verdict.p


def test_the_better_one_is_named_first_and_losses_are_better_low() -> None:
    a = report("a", 0.5, 0.51, 0.49, 0.5, metric="log-loss", up=False)
    b = report("b", 0.9, 0.92, 0.9, 0.91, metric="log-loss", up=False)
    for pair in ((a, b), (b, a)):
        assert str(compare(*pair)).startswith("a beats b by 0.408 (0.3")


def test_equal_scores_are_not_told_apart() -> None:
    verdict = compare(report("a", 0.5, 0.6), report("b", 0.5, 0.6))
    assert verdict is not None
    assert (verdict.difference, verdict.p, verdict.told_apart) == (0.0, 1.0, False)


def test_a_single_split_is_judged_by_the_clips_that_one_gets_right() -> None:
    truth = np.zeros(40, dtype=int)
    right, wrong = np.zeros(40, dtype=int), np.zeros(40, dtype=int)
    right[:2], wrong[2:16] = 1, 1  # 2 and 14 mistakes, none of them shared
    reports = [
        report(name, 0.5, predictions=Predictions(np.arange(40), truth, made, ("x", "y")))
        for name, made in (("a", right), ("b", wrong))
    ]
    verdict = compare(*reports)
    assert verdict is not None
    assert verdict.difference == pytest.approx(12 / 40)
    assert verdict.p == pytest.approx(2 * sum(math.comb(16, k) for k in range(3)) / 2**16)
    assert 0 < verdict.low < 0.3 < verdict.high <= 16 / 40
    assert compare(report("a", 0.5), report("b", 0.5)) is None


def test_scores_of_other_clips_or_folds_are_no_pair() -> None:
    with pytest.raises(ValueError, match="not of the same clips and folds"):
        compare(report("a", 0.5, 0.6), report("b", 0.5, 0.6, pairing=Pairing("other", 1 / 9)))
    lone = report("b", 0.5, 0.6, pairing=Pairing("other", 1 / 9))
    assert verdicts(Evaluation((report("a", 0.5, 0.6), lone))) == ()
    assert verdicts(Evaluation((report("a", 0.5, 0.6, pairing=None),) * 2)) == ()


def test_several_comparisons_share_an_error_and_words_agree_with_p() -> None:
    random = np.random.default_rng(0)
    reports = [
        report(name, *(0.5 + 0.02 * k + 0.02 * random.standard_normal(10)))
        for k, name in enumerate("abcd")
    ]
    words, numbers = verdicts(Evaluation(tuple(reports)))
    assert words.title == "Verdicts, linear: accuracy"
    assert len(words.rows) == len(numbers.rows) == 6
    assert numbers.detail
    assert "all 6 comparisons at once" in words.note
    for (sentence, p), row in zip(words.rows, numbers.rows, strict=True):
        assert ("beats" in sentence) == (p < 0.05) == (row[3] > 0)
        alone = compare(*(r for name in row[:2] for r in reports if r.features == name))
        assert alone is not None
        assert row[5] == pytest.approx(min(1, 6 * alone.p))


def test_of_many_the_best_is_held_against_the_others_in_a_line() -> None:
    random = np.random.default_rng(0)
    reports = [
        report(f"f{k}", *(0.4 + 0.06 * k + 0.01 * random.standard_normal(10))) for k in range(7)
    ]
    reports.append(report("g", *(value + 0.001 for value in reports[-1].main.values[::-1])))
    words, numbers = verdicts(Evaluation(tuple(reports)))
    assert words.rows == (("g beats 6 of 7 others; it cannot be told apart from f6", None),)
    assert len(numbers.rows) == 7


def test_nested_scores_are_compared_where_there_are_any_and_numbers_of_clips_apart() -> None:
    best = Scores("accuracy", (0.9, 0.9, 0.9))
    pairs = []
    for name, values in (("a", (0.5, 0.52, 0.5)), ("b", (0.8, 0.81, 0.8))):
        nested = Scores("accuracy, nested", values)
        pairs.append(ScoreReport("svm-grid", name, (best, nested), pairing=TEN))
    words, _ = verdicts(Evaluation(tuple(pairs)))
    assert words.title == "Verdicts, svm-grid: accuracy, nested"
    assert words.rows[0][0].startswith("b beats a by 0.297")
    few = [
        report(name, 0.5, 0.6, 0.7, settings={"examples_per_class": count}, protocol="few-shot")
        for name in "ab"
        for count in (1, 5)
    ]
    words, _ = verdicts(Evaluation(tuple(few)))
    assert [row[0].partition(":")[0] for row in words.rows] == ["1 a class", "5 a class"]


def test_chance_is_called_a_difference_in_at_most_one_case_of_twenty() -> None:
    """Two useless sets of features on ten real folds, many times."""
    random = np.random.default_rng(1)
    told = 0
    for _ in range(200):
        labels = random.permutation(np.repeat([0, 1], 50))
        guesses = random.integers(0, 2, (2, 100))
        values = [(row == labels).reshape(10, 10).mean(axis=1) for row in guesses]
        verdict = compare(report("a", *values[0]), report("b", *values[1]))
        assert verdict is not None
        told += verdict.told_apart
    assert told <= 0.05 * 200


def test_without_folds_the_scores_of_clips_are_paired() -> None:
    first, second = np.array([1.0, 0.5, 0.75, 1.0, 0.5]), np.array([0.5, 0.5, 0.5, 1.0, 0.25])
    pair = Pairing("clips", 0.0)
    reports = [
        ScoreReport(
            "similarity",
            name,
            (Scores("P@4 L1", (float(clips.mean()),)),),
            clips=clips,
            pairing=pair,
        )
        for name, clips in (("a", first), ("b", second))
    ]
    verdict = compare(*reports)
    assert verdict is not None
    assert verdict.difference == pytest.approx(0.2)
    assert verdict.p == pytest.approx(stats.ttest_rel(first, second).pvalue)
    (table, _) = verdicts(Evaluation(tuple(reports)))
    assert table.title == "Verdicts, similarity: P@4 L1"
