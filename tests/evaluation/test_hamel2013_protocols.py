"""Protocols of Hamel et al.: regression on windows, similarity, near classes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirfeat.errors import LabelsError
from mirfeat.evaluation.folds import Folds, make_folds
from mirfeat.evaluation.hamel2013 import linear, nearest_classes, similarity
from mirfeat.evaluation.inputs import Features, Rows, one_row_each
from mirfeat.evaluation.records import Evaluation


def windows(labels: np.ndarray, size: int = 5, spread: float = 1.0, seed: int = 0) -> Rows:
    """One to four windows a clip that tell of its class; columns in other units, one constant."""
    random = np.random.default_rng(seed)
    numbers = np.unique(labels, return_inverse=True)[1]
    clips = np.repeat(np.arange(len(labels)), random.integers(1, 5, len(labels)))
    values = spread * random.standard_normal((len(clips), size))
    values += (numbers[clips, None] == np.arange(size)) * 1.0
    values *= 10.0 ** np.arange(size)
    values[:, -1] = 7.0
    return Rows("windows", {"a": values[:, :2], "b": values[:, 2:]}, clips, None)


def naive(rows: Rows, labels: np.ndarray, folds: Folds) -> tuple[list[float], dict[int, str]]:
    """Accuracy of each fold and the class of each clip: NumPy's least squares with a constant."""
    classes = sorted(set(labels))
    scores, found = [], {}
    for train, test in folds:
        inputs, targets = [], []
        for clip in train:
            for row in rows.values[rows.clips == clip]:
                inputs.append([*row, 1.0])
                targets.append([float(labels[clip] == name) for name in classes])
        scale = np.abs(inputs).max(axis=0)
        weights = np.linalg.lstsq(np.array(inputs) / scale, np.array(targets), rcond=1e-10)[0]
        for clip in test:
            outputs = [np.array([*r, 1]) / scale @ weights for r in rows.values[rows.clips == clip]]
            found[int(clip)] = classes[int(np.mean(outputs, axis=0).argmax())]
        scores.append(float(np.mean([found[clip] == labels[clip] for clip in test])))
    return scores, found


@pytest.fixture
def labels() -> np.ndarray:
    return np.random.default_rng(2).permutation(np.repeat(["blues", "jazz", "ü"], 12))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_linear_is_least_squares_on_windows_averaged_over_clips(
    labels: np.ndarray, seed: int
) -> None:
    rows, folds = windows(labels, seed=seed), make_folds(labels, count=4)
    report = linear(rows, labels, folds)
    scores, found = naive(rows, labels, folds)
    assert report.main.values == tuple(scores)
    assert 0.3 < report.main.mean < 1.0
    predictions = report.predictions
    assert predictions is not None
    for clip, truth, predicted in zip(
        predictions.rows, predictions.truth, predictions.predicted, strict=True
    ):
        assert predictions.classes[truth] == labels[clip]
        assert predictions.classes[predicted] == found[clip]
    assert sorted(predictions.rows) == list(range(36))
    assert report.settings["rows"] == len(rows.clips)
    assert report.settings["numbers"] == 5


def test_linear_has_the_smallest_solution_where_numbers_are_more_than_rows() -> None:
    labels = np.array(list("abc") * 4)
    random = np.random.default_rng(0)
    values = random.standard_normal((12, 40))
    rows = one_row_each(Features("f", {"a": values}))
    folds = make_folds(labels, count=2)
    expected = []
    for train, test in folds:
        mean, std = values[train].mean(axis=0), values[train].std(axis=0)
        targets = (labels[train][:, None] == np.array(list("abc"))).astype(float)
        weights = np.linalg.pinv((values[train] - mean) / std) @ (targets - targets.mean(axis=0))
        outputs = (values[test] - mean) / std @ weights + targets.mean(axis=0)
        expected.append(np.mean(np.array(list("abc"))[outputs.argmax(axis=1)] == labels[test]))
    assert linear(rows, labels, folds).main.values == tuple(expected)
    other_units = one_row_each(Features("f", {"a": values * 10.0 ** random.integers(-3, 4, 40)}))
    assert linear(other_units, labels, folds).main.values == tuple(expected)


def test_linear_learns_nothing_from_the_labels_of_test_clips(labels: np.ndarray) -> None:
    rows = windows(labels)
    folds = make_folds(labels, predefined=["train", "test", "train"] * 12)
    shuffled, test = labels.copy(), folds.splits[0][1]
    shuffled[test] = np.roll(shuffled[test], 1)
    found = [linear(rows, some, folds).predictions for some in (labels, shuffled)]
    assert found[0] is not None
    assert found[1] is not None
    np.testing.assert_array_equal(found[0].predicted, found[1].predicted)
    assert found[0].truth.tolist() != found[1].truth.tolist()


def test_a_clip_without_rows_cannot_be_tested(labels: np.ndarray) -> None:
    rows = windows(labels)
    some = rows.clips != 4
    rows = Rows("windows", {"a": rows.values[some]}, rows.clips[some], None)
    with pytest.raises(LabelsError, match="windows: a clip has no rows"):
        linear(rows, labels, make_folds(labels, count=3))


# -- similarity -----------------------------------------------------------------------------------


def distance(kind: str, one: np.ndarray, other: np.ndarray) -> float:
    if kind == "L1":
        return float(np.abs(one - other).sum())
    if kind == "Euclidean":
        return float(np.sqrt(((one - other) ** 2).sum()))
    return float(1 - one @ other / np.sqrt((one @ one) * (other @ other)))


def naive_precision(
    kind: str, vectors: np.ndarray, labels: np.ndarray, k: int, groups: list[str] | None
) -> float:
    shares = []
    for clip in range(len(labels)):
        others = [
            other
            for other in range(len(labels))
            if other != clip and not (groups and groups[clip] and groups[clip] == groups[other])
        ]
        others.sort(key=lambda other: distance(kind, vectors[clip], vectors[other]))
        shares.append(np.mean([labels[other] == labels[clip] for other in others[:k]]))
    return float(np.mean(shares))


def precisions(found: Evaluation) -> list[float]:
    return [scores.mean for scores in found.reports[0].scores]


@settings(max_examples=30)
@given(st.integers(0, 99), st.integers(1, 6), st.booleans())
def test_precision_is_that_of_a_double_loop(seed: int, k: int, grouped: bool) -> None:
    random = np.random.default_rng(seed)
    vectors = random.standard_normal((17, 3)).astype(np.float32)
    labels = random.choice(["a", "b", "ü"], 17)
    groups = [*random.choice(["", "x", "y", "-1", "0"], 17)] if grouped else None
    groups = groups and [str(name) for name in groups]
    if groups and 17 - max(groups.count(name) for name in set(groups) - {""} or "?") < k:
        with pytest.raises(LabelsError, match=f"precision at {k} needs {k} other clips"):
            similarity(vectors, labels, k=k, groups=groups)
        return
    found = similarity(vectors, labels, k=k, groups=groups)
    values = vectors.astype(np.float64)
    assert precisions(found) == pytest.approx(
        [naive_precision(kind, values, labels, k, groups) for kind in ("L1", "Euclidean", "cosine")]
    )
    (table,) = found.tables
    assert table.columns == ("k", "L1", "Euclidean", "cosine")
    assert [row[0] for row in table.rows] == list(range(1, k + 1))
    assert list(table.rows[-1][1:]) == precisions(found)
    for place, (number, *row) in enumerate(table.rows):
        assert row == pytest.approx(
            precisions(similarity(vectors, labels, k=number, groups=groups))
        )
        # Hits never get fewer, and by at most one a clip and step.
        before = np.array(table.rows[place - 1][1:]) * place if place else np.zeros(3)
        assert np.all(np.array(row) * number - before > -1e-9)
        assert np.all(np.array(row) * number - before < 1 + 1e-9)


def test_clips_of_the_same_artist_do_not_count() -> None:
    vectors, labels = np.array([[0.0], [0.1], [5.0], [5.2]]), np.array(list("aabb"))
    assert precisions(similarity(vectors, labels, k=1))[:2] == [1.0, 1.0]
    apart = similarity(vectors, labels, k=1, groups=["x", "x", "y", "y"])
    assert precisions(apart) == [0.0, 0.0, 0.0]
    assert apart.reports[0].settings["neighbours_of_the_same_group"] is False
    assert precisions(similarity(vectors, labels, k=1, groups=[""] * 4))[0] == 1.0


def test_a_clip_without_an_artist_is_not_of_one_with_a_number_for_a_name() -> None:
    vectors, labels = np.array([[0.0], [0.1], [5.0], [5.1]]), np.array(list("aabb"))
    groups = ["", "-1", "0", "-3"]
    assert precisions(similarity(vectors, labels, k=1, groups=groups))[0] == 1.0


def test_a_clip_is_not_its_own_neighbour_even_among_duplicates() -> None:
    vectors, labels = np.ones((4, 2)), np.array(list("abcd"))
    for k in (1, 2, 3):
        assert precisions(similarity(vectors, labels, k=k)) == [0.0, 0.0, 0.0]
    same = similarity(np.zeros((4, 2)), np.array(list("aaaa")), k=3)
    assert precisions(same) == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("k", [0, -1, 4])
def test_more_neighbours_than_clips_are_refused(k: int) -> None:
    with pytest.raises(LabelsError, match=f"precision at {k} needs {k} other.* there are 3"):
        similarity(np.eye(4), np.array(list("abab")), k=k)


def test_chunks_of_distances_do_not_change_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    import sklearn

    random = np.random.default_rng(0)
    vectors, labels = random.standard_normal((300, 2)), random.choice(list("abc"), 300)
    found = similarity(vectors, labels)
    whole = precisions(found)
    # The mean over clips of what each has by L1.
    (clips, mean) = (found.reports[0].clips, found.reports[0].main.mean)
    assert clips is not None
    assert clips.shape == (300,)
    assert clips.mean() == pytest.approx(mean)
    with sklearn.config_context(working_memory=0.02):
        assert precisions(similarity(vectors, labels)) == whole


# -- label embeddings -----------------------------------------------------------------------------


def test_nearest_classes_are_nearest_by_l1_and_never_the_class_itself() -> None:
    names = ["A/rock", "A/jazz", "B/rock", "B/ü"]
    vectors = np.array([[0.0, 0], [5, 0], [1, 1], [0, 2.5]], np.float32)
    table = nearest_classes(names, vectors, top=2)
    assert table.columns == ("class", "1", "distance 1", "2", "distance 2")
    assert table.rows == (
        ("A/rock", "B/rock", 2.0, "B/ü", 2.5),
        ("A/jazz", "A/rock", 5.0, "B/rock", 5.0),  # at 5 both: the first of them
        ("B/rock", "A/rock", 2.0, "B/ü", 2.5),
        ("B/ü", "A/rock", 2.5, "B/rock", 2.5),
    )
    assert nearest_classes(names[:2], vectors[:2]).rows == (
        ("A/rock", "A/jazz", 5.0),
        ("A/jazz", "A/rock", 5.0),
    )
    assert nearest_classes(names[:1], vectors[:1]).rows == (("A/rock",),)
