"""Few training clips: what is drawn, what is fitted, and that more of them do not harm."""

import warnings
from itertools import pairwise

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mirfeat.errors import LabelsError, OptionError
from mirfeat.evaluation.classifiers import PENALTIES, STEPS, logistic_outputs
from mirfeat.evaluation.few_shot import few_shot
from mirfeat.evaluation.folds import make_folds
from mirfeat.evaluation.hamel2013 import linear
from mirfeat.evaluation.inputs import Features, Rows, one_row_each
from tests.evaluation.test_hamel2013_protocols import windows

EASY = np.random.default_rng(2).permutation(np.repeat(["blues", "jazz", "ü"], 12))


def test_examples_are_drawn_for_each_class_and_nested(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = EASY[3:]  # classes of other sizes
    rows, folds = windows(labels), make_folds(labels, count=3)
    draws: list[np.ndarray] = []
    whole = rows.of

    def spy(self: Rows, clips: np.ndarray) -> Rows:
        draws.append(clips)
        return whole(clips)

    monkeypatch.setattr(Rows, "of", spy)
    calls: list[int] = []
    reports = few_shot(
        rows,
        labels,
        folds,
        examples=(5, 1, 9, 200, 5),
        draws=4,
        seed=4,
        progress=lambda: calls.append(1),
    )
    counts = [report.settings["examples_per_class"] for report in reports]
    most = max(max(np.unique(labels[train], return_counts=True)[1]) for train, _ in folds)
    assert counts == [count for count in (1, 5, 9) if count <= most]
    assert len(calls) == 4 * len(counts)
    trainings = [draws[k : k + 8 : 2] for k in range(0, len(draws), 8)]  # test rows between them
    splits = [*folds, folds.splits[0]]
    for count, drawn in zip(counts, trainings, strict=True):
        for (train, _), chosen in zip(splits, drawn, strict=True):
            assert len(set(chosen)) == len(chosen)
            assert set(chosen) <= set(train)
            for name in set(labels):
                there = int((labels[train] == name).sum())
                assert int((labels[chosen] == name).sum()) == min(count, there)
    for fewer, more in pairwise(trainings):
        for some, others in zip(fewer, more, strict=True):
            assert set(some) < set(others)
    assert set(trainings[0][0]) != set(trainings[0][3])  # the same fold, drawn again


def test_all_examples_with_the_papers_solver_are_the_whole_training() -> None:
    rows, folds = windows(EASY), make_folds(EASY, count=4)
    (report,) = few_shot(rows, EASY, folds, examples=[9], draws=4, solver="paper")
    assert report.scores == linear(rows, EASY, folds).scores


def test_the_default_is_scikit_learns_logistic_regression_on_mean_rows() -> None:
    rows = windows(EASY, spread=1.5)
    train, test = make_folds(EASY, count=3, seed=1).splits[0]
    numbers = np.unique(EASY, return_inverse=True)[1]
    means = np.array([rows.values[rows.clips == clip].mean(axis=0) for clip in range(len(EASY))])
    inner = StratifiedKFold(5, shuffle=True, random_state=0)
    theirs = make_pipeline(
        StandardScaler(), LogisticRegressionCV(Cs=PENALTIES, cv=inner, max_iter=STEPS)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that will change in scikit-learn
        expected = theirs.fit(means[train], numbers[train]).decision_function(means[test])
    outputs = logistic_outputs(rows, numbers, train, test, 3)
    np.testing.assert_allclose(outputs, expected, atol=1e-6)


def test_more_clips_do_not_harm_where_rows_are_as_many_as_numbers() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat(["a", "b"], 60)
    values = random.standard_normal((120, 40)) + 0.45 * (labels == "b")[:, None]
    rows = one_row_each(Features("f", {"a": values}))
    folds = make_folds(labels, count=5, seed=0)
    some = few_shot(rows, labels, folds, examples=(5, 20, 40))
    assert some[0].main.mean < some[1].main.mean <= some[2].main.mean + 0.02
    paper = few_shot(rows, labels, folds, examples=(5, 20, 40), solver="paper")
    # The peak of least squares: 40 rows of 40 numbers.
    assert paper[1].main.mean < min(paper[0].main.mean, paper[2].main.mean)
    noted = [[note for note in report.notes if "peak" in note] for report in (*some, *paper)]
    assert [bool(notes) for notes in noted] == [False, False, False, False, True, True]


def test_a_class_without_training_clips_is_never_predicted() -> None:
    rows = windows(EASY)
    numbers = np.unique(EASY, return_inverse=True)[1]
    two = np.flatnonzero(numbers < 2)
    outputs = logistic_outputs(rows, numbers, two[::2], np.arange(len(EASY)), 3)
    assert set(outputs.argmax(axis=1)) == {0, 1}


def test_draws_depend_on_the_seed_alone() -> None:
    rows, folds = windows(EASY, spread=2.0), make_folds(EASY, count=4)
    values = [
        [r.main.values for r in few_shot(rows, EASY, folds, examples=(1, 2), draws=4, seed=seed)]
        for seed in (0, 0, 1)
    ]
    assert values[0] == values[1] != values[2]
    alone = few_shot(rows, EASY, folds, examples=[2], draws=4)
    assert alone[0].main.values == values[0][1]


def test_draws_of_a_single_split_say_that_they_share_their_test() -> None:
    folds = make_folds(EASY, predefined=["train", "test", "train"] * 12)
    (report,) = few_shot(windows(EASY), EASY, folds, examples=[2], draws=3)
    assert len(report.main.values) == 3
    assert "tested on the same clips" in " ".join(report.notes)
    low, high = report.main.interval
    assert low <= report.main.mean <= high


@pytest.mark.parametrize(
    ("options", "message"),
    [
        *(({"examples": some}, r"examples=.*1 or more") for some in ((), (0, 5), (-1,))),
        ({"examples": (1000,)}, "no class has more than 9"),
        ({"draws": 0}, "draws=0: 1 or more"),
        ({"solver": "lasso"}, "solver='lasso': it is one of logistic, paper"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        few_shot(windows(EASY), EASY, make_folds(EASY, count=4), **options)  # type: ignore[arg-type]


def test_a_clip_without_rows_is_refused() -> None:
    rows = windows(EASY)
    some = rows.clips != 4
    rows = Rows("windows", {"a": rows.values[some]}, rows.clips[some], None)
    with pytest.raises(LabelsError, match="windows: a clip has no rows"):
        few_shot(rows, EASY, make_folds(EASY, count=3), examples=[8])
