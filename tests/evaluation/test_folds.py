"""Who is tested on whom: every clip once, never beside its own group."""

import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

from mirfeat.errors import LabelsError, MirfeatWarning
from mirfeat.evaluation.folds import Folds, leaks, make_folds

ABC = np.array(list("abcabcabcabcabc"))


def assert_each_clip_is_tested_once(folds: Folds, clips: int) -> None:
    tested = np.concatenate([test for _, test in folds])
    assert sorted(tested) == list(range(clips))
    for train, test in folds:
        assert len(test) > 0
        assert sorted([*train, *test]) == list(range(clips))


def clips_tested(folds: Folds) -> list[list[int]]:
    return [test.tolist() for _, test in folds]


@st.composite
def classes(draw: st.DrawFn) -> tuple[np.ndarray, int]:
    """Labels in any order, and a number of folds that the smallest class allows."""
    sizes = draw(st.lists(st.integers(2, 12), min_size=2, max_size=4))
    names = draw(st.permutations([f"ü{k}" for k, size in enumerate(sizes) for _ in range(size)]))
    return np.array(names), draw(st.integers(2, min(sizes)))


@settings(max_examples=50)
@given(classes(), st.none() | st.integers(0, 5))
def test_stratified_folds_test_each_clip_once_and_deal_classes_out_evenly(
    task: tuple[np.ndarray, int], seed: int | None
) -> None:
    labels, count = task
    folds = make_folds(labels, count=count, seed=seed)
    assert len(folds) == count
    assert_each_clip_is_tested_once(folds, len(labels))
    for name in set(labels):
        share = [(labels[test] == name).sum() for _, test in folds]
        assert max(share) - min(share) <= 1
    assert folds.test_sizes == tuple(map(len, clips_tested(folds)))


@settings(max_examples=100)
@given(classes(), st.data())
def test_groups_never_cross_and_clips_without_one_stand_alone(
    task: tuple[np.ndarray, int], data: st.DataObject
) -> None:
    labels, count = task
    names = st.sampled_from(["", "é", "b", "0", "-1", "c", "d", "e"])
    groups = data.draw(st.lists(names, min_size=len(labels), max_size=len(labels)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no leak, and no words of scikit-learn
        if len(set(groups) - {""}) + groups.count("") < count:
            with pytest.raises(LabelsError, match="as many groups"):
                make_folds(labels, count=count, groups=groups)
            return
        try:
            folds = make_folds(labels, count=count, groups=groups)
        except LabelsError as error:  # a group that has all clips but those of one class
            assume("only clips of the class" not in str(error))
            raise
    assert_each_clip_is_tested_once(folds, len(labels))
    assert leaks(folds.splits, groups, "artist") == ""
    for train, test in folds:
        assert not {groups[k] for k in train} & {groups[k] for k in test} - {""}


@settings(max_examples=50)
@given(st.integers(4, 40), st.integers(2, 6), st.data())
def test_folds_of_a_regression_have_at_least_two_clips_to_score(
    clips: int, count: int, data: st.DataObject
) -> None:
    groups = data.draw(st.none() | st.lists(st.sampled_from("abcdefg"), min_size=clips))
    groups = groups and groups[:clips]
    values = np.linspace(0, 1, clips)
    sizes = [clips // count] if groups is None else [groups.count(name) for name in set(groups)]
    try:
        folds = make_folds(values, count=count, regression=True, groups=groups)
    except LabelsError:
        assert len(sizes) < count or min(sizes) < 2
        return
    assert_each_clip_is_tested_once(folds, clips)
    assert min(folds.test_sizes) >= 2
    for splits in folds.inner:
        assert all(len(test) >= 2 for _, test in splits)


def test_folds_are_those_of_scikit_learn_in_order() -> None:
    labels = np.repeat(["b", "a", "c"], [11, 10, 13])
    ours = make_folds(labels, seed=None)
    theirs = StratifiedKFold(10).split(labels, labels)
    for (train, test), (other_train, other_test) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(train, other_train)
        np.testing.assert_array_equal(test, other_test)
    assert ours.description == "10 folds, stratified, in order"


def test_folds_of_a_regression_are_those_of_scikit_learn_in_order() -> None:
    values = np.random.default_rng(0).random(47)
    ours = make_folds(values, count=7, regression=True, seed=None)
    assert clips_tested(ours) == [test.tolist() for _, test in KFold(7).split(values)]
    assert ours.description == "7 folds, in order"


@pytest.mark.parametrize("regression", [False, True])
def test_folds_with_groups_are_those_of_scikit_learn(regression: bool) -> None:
    random = np.random.default_rng(1)
    groups = [f"g{k}" for k in random.integers(0, 9, 45)]
    labels = random.random(45) if regression else random.choice(list("abc"), 45)
    kind = GroupKFold if regression else StratifiedGroupKFold
    ours = make_folds(
        labels, count=4, groups=groups, group_name="artist", regression=regression, seed=None
    )
    assert clips_tested(ours) == [
        test.tolist() for _, test in kind(4).split(labels, labels, groups)
    ]
    assert "disjoint in 'artist'" in ours.description


def test_a_clip_without_a_group_is_in_none_that_has_a_number_for_a_name() -> None:
    labels = np.array(list("ababab"))
    folds = make_folds(labels, count=3, groups=["", "0", "0", "-1", "-1", "-1"])
    assert sorted(map(sorted, clips_tested(folds))) == [[0], [1, 2], [3, 4, 5]]


def test_a_seed_shuffles_and_repeats() -> None:
    labels = np.repeat(["a", "b"], 20)
    first, again = make_folds(labels, count=5, seed=3), make_folds(labels, count=5, seed=3)
    assert clips_tested(first) == clips_tested(again)
    assert clips_tested(first) != clips_tested(make_folds(labels, count=5, seed=4))
    assert clips_tested(first) != clips_tested(make_folds(labels, count=5))
    assert first.description == "5 folds, stratified, shuffled with seed 3"


def test_folds_of_the_labels_are_taken_as_they_are() -> None:
    names = ["10", "2", "1"] * 5
    folds = make_folds(ABC[[0, 1] * 7 + [0]], predefined=names)
    assert clips_tested(folds) == [
        [k for k, name in enumerate(names) if name == fold] for fold in ("1", "2", "10")
    ]
    assert_each_clip_is_tested_once(folds, 15)
    assert folds.description == "3 folds as the labels say"
    assert folds.inner == ()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["train", "valid", "test"], [2, 5, 8, 11, 14]),
        (["Training", "VAL", "Eval"], [2, 5, 8, 11, 14]),
        (["dev", "test", "evaluation"], [1, 2, 4, 5, 7, 8, 10, 11, 13, 14]),
    ],
)
def test_the_names_of_a_split_are_understood(names: list[str], expected: list[int]) -> None:
    folds = make_folds(np.repeat(["a", "b", "c"], 5), predefined=names * 5)
    assert clips_tested(folds) == [expected]
    assert folds.splits[0][0].tolist() == [k for k in range(15) if k not in expected]
    assert folds.description.startswith("the split of the labels")


def test_folds_that_share_artists_warn_and_say_so() -> None:
    groups = ["x", "x", "y", "", "", "z"]
    labels = np.array(list("ababab"))
    with pytest.warns(MirfeatWarning, match=r"1 of 3 values of 'artist' .* \(x\): .* too high"):
        folds = make_folds(
            labels, predefined=list("121122"), groups=groups, group_name="artist", count=2
        )
    assert any("too high" in note for note in folds.notes)


def test_many_shared_artists_are_cut_short() -> None:
    split = ((np.arange(6), np.arange(6, 12)),)
    assert "6 of 6 values of 'g' are in training and test at once (a, b, c, …)" in leaks(
        split, list("abcdef") * 2, "g"
    )


def test_a_class_that_is_tested_and_not_trained_is_told() -> None:
    labels = np.array(["a", "b", "a", "b", "c", "c"])
    folds = make_folds(labels, predefined=["1", "1", "2", "2", "3", "3"])
    assert folds.notes == ("in some folds a class is tested that is not in training: c",)
    assert make_folds(ABC, count=5).notes == ()


@settings(max_examples=50)
@given(classes(), st.booleans(), st.data())
def test_a_single_split_has_inner_folds_of_its_training_clips(
    task: tuple[np.ndarray, int], grouped: bool, data: st.DataObject
) -> None:
    labels = task[0]
    split = data.draw(
        st.lists(st.sampled_from(["train", "test"]), min_size=len(labels), max_size=len(labels))
    )
    groups = [f"{name}{k % 4}" for k, name in enumerate(split)] if grouped else None
    train = [k for k, name in enumerate(split) if name == "train"]
    assume("test" in split and len(set(labels[train])) > 1)
    (inner,) = make_folds(labels, predefined=split, groups=groups).inner
    assert sorted(np.concatenate([test for _, test in inner])) == train
    for part, test in inner:
        assert sorted([*part, *test]) == train


def test_inner_folds_keep_groups_apart() -> None:
    labels = np.array(list("ab") * 10)
    groups = [f"g{k // 2}" for k in range(20)]
    split = ["train"] * 16 + ["test"] * 4
    (inner,) = make_folds(labels, predefined=split, groups=groups).inner
    assert len(inner) == 5
    assert leaks(inner, groups, "g") == ""


def test_inner_folds_of_one_group_or_of_a_tiny_class_only_choose_settings() -> None:
    labels = np.array(list("abababbb"))
    folds = make_folds(labels, count=2, groups=list("xxxxyyyy"))
    for (train, _), splits in zip(folds, folds.inner, strict=True):
        assert sorted(np.concatenate([test for _, test in splits])) == train.tolist()
    tiny = np.array(list("aaaab" + "ab"))
    (inner,) = make_folds(tiny, predefined=["train"] * 5 + ["test"] * 2).inner
    assert sorted(np.concatenate([test for _, test in inner])) == [0, 1, 2, 3, 4]
    (none,) = make_folds(
        np.arange(5.0), predefined=["train"] * 3 + ["test"] * 2, regression=True
    ).inner
    assert none == ()


@pytest.mark.parametrize("count", [1, 0, -3, 6])
def test_more_folds_than_clips_of_a_class_are_refused(count: int) -> None:
    with pytest.raises(LabelsError, match=rf"{count} folds .*smallest class; there are 5"):
        make_folds(ABC, count=count)


def test_more_folds_than_groups_are_refused() -> None:
    with pytest.raises(LabelsError, match=r"4 folds disjoint in 'artist'.*there are 3"):
        make_folds(ABC, count=4, groups=list("xyz") * 5, group_name="artist")


def test_more_grouped_folds_than_clips_of_any_class_are_refused_in_our_words() -> None:
    groups = [f"g{k}" for k in range(15)]
    with pytest.raises(LabelsError, match=r"10 folds .* largest class; there are 5.*fewer folds"):
        make_folds(ABC, count=10, groups=groups)


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (["a"], {}, "1 clips: nothing to train"),
        ([], {}, "0 clips: nothing to train"),
        (["a"] * 20, {}, "all 20 clips are of the class a"),
        (["a", "b"] * 2, {"predefined": ["test"] * 4}, "says test and nothing else"),
        (["a", "b"] * 2, {"predefined": ["1"] * 4}, "folds '1': .* train, valid and test"),
        (["a", "b"] * 2, {"predefined": ["1", "2", "", "2"]}, "every clip needs one"),
        (["a", "b"] * 2, {"predefined": ["train", "", "test", "test"]}, "every clip needs one"),
        (["a", "b"] * 2, {"predefined": ["1", "2"] * 2}, "fold 1 of 2 has only clips of the class"),
        (["a", "b"] * 2, {"groups": ["x", "y"] * 2, "count": 2}, "only clips of the class"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(
    labels: list[str], options: dict[str, object], message: str
) -> None:
    with pytest.raises(LabelsError, match=message):
        make_folds(np.array(labels), **options)  # type: ignore[arg-type]


def test_a_single_clip_has_no_r2() -> None:
    with pytest.raises(LabelsError, match="fold 1 of 3 has 1 clips to test; r² needs 2"):
        make_folds(np.arange(3.0), count=3, regression=True)


def test_without_a_test_split_the_validation_split_is_tested() -> None:
    folds = make_folds(np.array(list("abababab")), predefined=["train"] * 4 + ["Valid"] * 4)
    (train, test), *more = folds.splits
    assert not more
    assert (train.tolist(), test.tolist()) == ([0, 1, 2, 3], [4, 5, 6, 7])
    assert "tested on valid" in folds.description
    with pytest.raises(LabelsError, match="says train and nothing else"):
        make_folds(np.array(["a", "b"]), predefined=["train", "train"])
