"""The grid of support vector machines against scikit-learn's own grid search."""

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

from mirfeat.errors import LabelsError, OptionError
from mirfeat.evaluation.choi2017 import _first_of_best, _Judged, steps_needed, svm_grid
from mirfeat.evaluation.folds import Folds, make_folds
from mirfeat.evaluation.models import svm
from mirfeat.evaluation.models.svm import GAMMAS, PENALTIES, GridSearch, Point, Scaling, Trial, grid
from mirfeat.evaluation.records import ScoreReport


def blocks_of(labels: np.ndarray, seed: int = 0, noise: float = 1.0) -> dict[str, np.ndarray]:
    """Two blocks of other scales that tell a little about the labels, float32."""
    random = np.random.default_rng(seed)
    numbers = np.unique(labels, return_inverse=True)[1]
    first = random.standard_normal((len(labels), 4)) + 1.2 * numbers[:, None]
    second = 3 * random.standard_normal((len(labels), 3)) + 5 + numbers[:, None]
    return {"a": (noise * first).astype(np.float32), "b": (noise * second).astype(np.float32)}


@pytest.fixture
def labels() -> np.ndarray:
    return np.random.default_rng(5).permutation(np.repeat(["blues", "jazz", "ü"], 15))


@pytest.fixture(params=["kernels", "columns"])
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Either way that clips reach libsvm."""
    if request.param == "columns":
        monkeypatch.setattr(svm, "KERNEL_CLIPS", 10)
    return str(request.param)


def parameters(scaling: Scaling = "both") -> list[dict[str, Any]]:
    """The grid in the words of scikit-learn, written down anew."""
    kernels: list[dict[str, Any]] = [{"svm__kernel": "rbf", "svm__gamma": g} for g in GAMMAS]
    kernels += [{"svm__kernel": "rbf", "svm__gamma": "auto"}, {"svm__kernel": "linear"}]
    scalers = {"never": ["passthrough"], "always": [StandardScaler()]}
    scalers["both"] = scalers["never"] + scalers["always"]
    return [
        {"scaler": scaler, **kernel, "svm__C": penalty}
        for scaler in scalers[scaling]
        for kernel in kernels
        for penalty in (0.1, 2.0, 8.0, 32.0)
    ]


def model(regression: bool = False) -> Pipeline:
    return Pipeline([("scaler", "passthrough"), ("svm", SVR() if regression else SVC())])


def reference(
    values: np.ndarray, labels: np.ndarray, splits: Any, scaling: Scaling = "both"
) -> np.ndarray:
    """Scores of scikit-learn, [folds, points]."""
    points = [{name: [value] for name, value in point.items()} for point in parameters(scaling)]
    search = GridSearchCV(model(labels.dtype.kind == "f"), points, cv=list(splits), refit=False)
    results = search.fit(values.astype(np.float64), labels).cv_results_
    return np.array([results[f"split{k}_test_score"] for k in range(len(list(splits)))])


def first_of_best(means: np.ndarray) -> int:
    return int(np.flatnonzero(np.isclose(means, means.max(), rtol=0, atol=1e-9))[0])


def trials(blocks: dict[str, np.ndarray], labels: np.ndarray, folds: Folds) -> np.ndarray:
    """Our scores, [folds, points]."""
    regression = labels.dtype.kind == "f"
    numbers = labels if regression else np.unique(labels, return_inverse=True)[1]
    trainings = [(train, (test,)) for train, test in folds]
    done = GridSearch(regression).run(blocks, numbers, trainings, [tuple(blocks)])
    return np.array([combinations[0][0].scores for combinations in done])


def test_every_point_of_the_grid_scores_as_in_scikit_learn(labels: np.ndarray, size: str) -> None:
    blocks, folds = blocks_of(labels), make_folds(labels, count=3)
    values = np.concatenate([*blocks.values()], axis=1)
    expected = reference(values, labels, folds)
    assert expected.shape == (3, 64)
    assert len(np.unique(expected.mean(axis=0))) > 10
    np.testing.assert_array_equal(trials(blocks, labels, folds), expected)
    report = svm_grid(blocks, labels, folds, nested=False)
    assert report.main.mean == pytest.approx(expected.mean(axis=0).max(), abs=1e-12)
    best = first_of_best(expected.mean(axis=0))
    assert report.main.values == tuple(expected[:, best])
    assert report.settings["chosen"] == grid("both")[best].to_dict()
    assert report.main.metric == "accuracy"
    assert report.settings["numbers"] == 7


def test_every_point_of_a_regression_scores_as_in_scikit_learn(size: str) -> None:
    random = np.random.default_rng(1)
    values = random.random(30)
    blocks = {"a": (values[:, None] + 0.3 * random.standard_normal((30, 3))).astype(np.float32)}
    folds = make_folds(values, count=3, regression=True, seed=None)
    expected = reference(blocks["a"], values, folds)
    # Rounding moves libsvm within its tolerance of 0.001.
    np.testing.assert_allclose(trials(blocks, values, folds), expected, atol=5e-4)
    report = svm_grid(blocks, values, folds, search=GridSearch(True), nested=False)
    assert report.main.metric == "r2"
    assert report.main.mean == pytest.approx(expected.mean(axis=0).max(), abs=5e-4)


@pytest.mark.parametrize("seed", [0, 2])  # where weights of folds matter, to either score
def test_the_nested_score_chooses_for_a_fold_without_it(seed: int) -> None:
    labels = np.random.default_rng(seed).choice(["x", "y", "z"], 32)
    blocks = blocks_of(labels, seed)
    values = np.concatenate([*blocks.values()], axis=1)
    sizes = [3, 10, 19]
    names = np.repeat(["1", "2", "3"], sizes)
    folds = make_folds(labels, predefined=names)
    whole = reference(values, labels, folds, "never")
    expected = []
    for fold, (train, _) in enumerate(folds):
        # The other folds in turn, each tested on a training without it and without this fold.
        others = [np.flatnonzero(names == name) for name in "123" if name != "123"[fold]]
        inner = [(np.setdiff1d(train, other), other) for other in others]
        means = np.average(
            reference(values, labels, inner, "never"), axis=0, weights=[len(o) for o in others]
        )
        expected.append(whole[fold, first_of_best(means)])
    report = svm_grid(blocks, labels, folds, search=GridSearch(scaling="never"))
    assert report["accuracy, nested"].values == pytest.approx(expected, abs=1e-12)
    assert report["accuracy, nested"].mean == pytest.approx(np.average(expected, weights=sizes))
    assert report.main.mean == pytest.approx(np.average(whole, axis=0, weights=sizes).max())


def test_the_nested_score_of_a_single_split_chooses_on_its_training_clips(
    labels: np.ndarray,
) -> None:
    blocks = blocks_of(labels)
    values = np.concatenate([*blocks.values()], axis=1)
    folds = make_folds(labels, predefined=["train", "valid", "train", "test", "train"] * 9)
    whole = reference(values, labels, folds, "never")
    scores = reference(values, labels, folds.inner[0], "never")
    means = np.average(scores, axis=0, weights=[len(test) for _, test in folds.inner[0]])
    best = first_of_best(means)
    report = svm_grid(blocks, labels, folds, search=GridSearch(scaling="never"))
    assert report["accuracy, nested"].values == (whole[0, best],)
    assert report.main.values == (whole.max(),)
    assert np.isnan(report.main.std)


def test_a_split_too_small_to_be_split_again_has_no_nested_score() -> None:
    values = np.linspace(0, 1, 6)
    folds = make_folds(values, predefined=["train"] * 3 + ["test"] * 3, regression=True)
    search = GridSearch(True, "always")
    with pytest.raises(LabelsError, match=r"too few training clips.*--no-nested"):
        svm_grid(values[:, None], values, folds, search=search)
    report = svm_grid(values[:, None], values, folds, search=search, nested=False)
    assert [scores.metric for scores in report.scores] == ["r2"]


def scores_of(report: ScoreReport) -> dict[str, tuple[float, ...]]:
    return {scores.metric: scores.values for scores in report.scores}


def test_the_unscaled_half_stands_beside_the_whole_grid(labels: np.ndarray) -> None:
    blocks, folds = blocks_of(labels, noise=40.0), make_folds(labels, count=3)
    both = scores_of(svm_grid(blocks, labels, folds, nested=False))
    half: dict[Scaling, Any] = {
        scaling: scores_of(
            svm_grid(blocks, labels, folds, search=GridSearch(scaling=scaling), nested=False)
        )
        for scaling in ("never", "always")
    }
    assert both["accuracy, never scaled"] == half["never"]["accuracy"]
    assert both["accuracy"] == max(
        half["never"]["accuracy"], half["always"]["accuracy"], key=np.mean
    )
    # Otherwise this test could not fail.
    assert np.mean(half["always"]["accuracy"]) > np.mean(half["never"]["accuracy"])
    assert set(half["never"]) == set(half["always"]) == {"accuracy"}


def test_the_grid_is_that_of_the_paper() -> None:
    both = grid("both")
    assert len(both) == len(set(both)) == 64
    assert grid("never") + grid("always") == both
    assert {point.standardise for point in grid("never")} == {False}
    assert GAMMAS == (2**-3, 2**-5, 2**-7, 2**-9, 2**-11, 2**-13)
    assert {point.gamma for point in both} == {*GAMMAS, 0.0, None}
    assert {point.penalty for point in both} == set(PENALTIES) == {0.1, 2.0, 8.0, 32.0}
    assert Point(True, None, 2.0).to_dict() == {"standardise": True, "kernel": "linear", "C": 2.0}
    assert Point(False, 0.0, 8.0).to_dict()["gamma"] == "1/features"
    assert Point(False, 0.5, 8.0).to_dict()["gamma"] == 0.5
    with pytest.raises(OptionError, match=r"scaling='sometimes': .*both, never, always"):
        grid("sometimes")  # type: ignore[arg-type]


def test_of_equal_means_the_first_counts_whatever_rounding_does() -> None:
    assert _first_of_best(np.array([0.2, 0.3, 0.1 + 0.2, 0.25])) == 1


def test_fits_that_would_not_end_are_stopped_and_told(labels: np.ndarray) -> None:
    blocks, folds = blocks_of(labels, noise=1e4), make_folds(labels, count=3)
    numbers = np.unique(labels, return_inverse=True)[1]
    search = GridSearch(scaling="never", steps=300)
    trainings = [(train, (test,)) for train, test in folds]
    stopped = []
    for (train, _), ((trial,),) in zip(
        folds, search.run(blocks, numbers, trainings, [("a",)]), strict=True
    ):
        for place, point in enumerate(grid("never")):
            if point.gamma is None:
                machine = SVC(C=point.penalty, kernel="linear", max_iter=int(300 / point.penalty))
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ConvergenceWarning)
                    machine.fit(blocks["a"][train].astype(np.float64), numbers[train])
                assert trial.stopped[place] == machine.fit_status_
            elif point.penalty == 0.1:  # the budget of 3000 steps is enough for kernels
                assert not trial.stopped[place]
        stopped.extend(trial.stopped)
    assert 0 < np.mean(stopped) < 1
    report = svm_grid(blocks["a"], labels, folds, search=search, nested=False)
    said = f"{np.sum(stopped)} of {len(stopped)} fits ran out of steps"
    assert report.settings["stopped_fits"] == said
    assert report.notes[0].startswith(said)
    calm = svm_grid(blocks_of(labels), labels, folds, nested=False)
    assert (calm.notes, calm.settings["stopped_fits"][:5]) == ((), "0 of ")


def test_a_chosen_point_that_was_stopped_is_told(labels: np.ndarray) -> None:
    search = GridSearch(steps=1)
    report = svm_grid(blocks_of(labels), labels, make_folds(labels, count=3), search=search)
    (note,) = report.notes
    assert "those of the chosen point are among them" in note


@pytest.mark.parametrize(
    ("lead", "words"), [(0.2, "0.200 below it, so the score stands"), (0.0, "might be the chosen")]
)
def test_stopped_fits_of_other_points_say_whether_they_matter(
    labels: np.ndarray, lead: float, words: str
) -> None:
    folds = make_folds(labels, count=3)
    scores = np.full(32, 0.5)
    scores[0] += lead
    stopped = np.zeros(32, dtype=bool)
    stopped[31] = True
    trials = [[Trial(scores, np.tile(labels[test], (32, 1)), stopped)] for _, test in folds]
    judged = _Judged(GridSearch(scaling="never"), folds, trials, [[]] * 3)
    (note,) = judged.notes()
    assert note.startswith("3 of 96 fits ran out of steps: none is of the chosen point")
    assert words in note


def test_workers_and_the_order_of_blocks_change_nothing(labels: np.ndarray) -> None:
    blocks, folds = blocks_of(labels), make_folds(labels, count=3)
    first = scores_of(svm_grid(blocks, labels, folds, search=GridSearch(workers=1)))
    for workers, order in ((1, "ab"), (3, "ba")):
        some = {name: blocks[name] for name in order}
        search = GridSearch(workers=workers)
        assert scores_of(svm_grid(some, labels, folds, search=search)) == first
    assert set(first) == {"accuracy", "accuracy, nested", "accuracy, never scaled"}


def test_labels_may_be_numbers_or_words(labels: np.ndarray) -> None:
    blocks, folds = blocks_of(labels), make_folds(labels, count=3)
    numbers = np.unique(labels, return_inverse=True)[1] * 10**12
    words = svm_grid(blocks, labels, folds, nested=False)
    assert scores_of(words) == scores_of(svm_grid(blocks, numbers, folds, nested=False))
    assert words.predictions is not None
    assert words.predictions.classes == ("blues", "jazz", "ü")


def test_predictions_belong_to_their_clips(labels: np.ndarray) -> None:
    values = np.unique(labels, return_inverse=True)[1][:, None] * 10.0
    folds = make_folds(labels, count=4, seed=1)
    swapped = labels.copy()
    swapped[7] = "jazz" if labels[7] != "jazz" else "ü"
    report = svm_grid(values, swapped, folds, nested=False)
    found = report.predictions
    assert found is not None
    assert found.rows.tolist() == np.concatenate([test for _, test in folds]).tolist()
    names = np.array(found.classes)
    assert names[found.truth].tolist() == swapped[found.rows].tolist()
    assert names[found.predicted].tolist() == labels[found.rows].tolist()
    assert np.mean(found.truth == found.predicted) == pytest.approx(report.main.mean)


def test_constant_features_and_one_class_without_two_folds_are_scored() -> None:
    labels = np.array(list("abaabb"))
    folds = make_folds(labels, predefined=list("112233"))
    report = svm_grid(np.zeros((6, 2)), labels, folds)
    assert all(np.isfinite(scores.mean) for scores in report.scores)
    constant = GridSearch().run(
        {"f": np.eye(6)}, np.zeros(6, int), [(np.arange(3), [np.arange(6)])], "f"
    )
    assert constant[0][0][0].predicted.tolist() == [[0] * 6] * 64


@pytest.mark.parametrize(("nested", "trainings"), [(False, 4), (True, 10)])
def test_progress_is_called_as_often_as_announced(
    labels: np.ndarray, nested: bool, trainings: int
) -> None:
    folds, calls = make_folds(labels, count=4), []
    search = GridSearch(scaling="never")
    svm_grid(
        blocks_of(labels),
        labels,
        folds,
        search=search,
        nested=nested,
        progress=lambda: calls.append(1),
    )
    assert len(calls) == steps_needed(folds, nested) == trainings
