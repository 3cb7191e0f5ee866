"""Protocols of Kim et al.: a head on segments with mean probabilities, and a perceptron."""

import warnings
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import f1_score, r2_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler

from mirfeat.errors import LabelsError, OptionError
from mirfeat.evaluation import kim2018
from mirfeat.evaluation.folds import make_folds
from mirfeat.evaluation.inputs import Rows
from mirfeat.evaluation.kim2018 import HeadTraining, source_combinations, source_grid, transfer_head
from mirfeat.evaluation.kim2019 import mlp
from mirfeat.evaluation.records import Predictions, ScoreReport

SMALL = HeadTraining(hidden=16, epochs=30, rate=0.02)
LABELS = np.random.default_rng(1).permutation(np.repeat(["blues", "jazz", "ü"], 10))
SPLIT = make_folds(LABELS, predefined=["train", "train", "test"] * 10)


def segments(labels: np.ndarray = LABELS, noise: float = 0.3, blocks: int = 1) -> Rows:
    """One to four segments a track, near the corner of its class."""
    random = np.random.default_rng(0)
    numbers = np.unique(labels, return_inverse=True)[1]
    clips = np.repeat(np.arange(len(labels)), random.integers(1, 5, len(labels)))
    corners = 2.0 * np.eye(3)[numbers[clips]]
    named = {
        f"s{k}": (corners + noise * random.standard_normal(corners.shape)).astype(np.float32)
        for k in range(blocks)
    }
    return Rows("segments", named, clips, None)


def predictions(report: ScoreReport) -> Predictions:
    assert report.predictions is not None
    return report.predictions


# -- the head -------------------------------------------------------------------------------------


def test_the_head_learns_what_can_be_learned() -> None:
    report = transfer_head(segments(), LABELS, SPLIT, training=SMALL)
    assert [scores.metric for scores in report.scores] == ["macro-F1", "log-loss", "accuracy"]
    assert (report["macro-F1"].mean, report["accuracy"].mean) == (1.0, 1.0)
    assert report["log-loss"].mean < 0.2
    assert [scores.higher_is_better for scores in report.scores] == [True, False, True]
    found = predictions(report)
    assert found.rows.tolist() == SPLIT.splits[0][1].tolist()
    names = np.array(found.classes)
    assert names[found.truth].tolist() == names[found.predicted].tolist()
    assert names[found.truth].tolist() == LABELS[found.rows].tolist()
    assert found.probabilities is not None
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1.0, atol=1e-6)


def test_the_head_learns_nothing_from_the_labels_of_test_tracks() -> None:
    shuffled, test = LABELS.copy(), SPLIT.splits[0][1]
    shuffled[test] = np.roll(LABELS[test], 1)
    rows = segments(noise=2.0)
    one, other = (
        predictions(transfer_head(rows, labels, SPLIT, training=SMALL))
        for labels in (LABELS, shuffled)
    )
    np.testing.assert_array_equal(one.probabilities, other.probabilities)
    assert one.truth.tolist() != other.truth.tolist()


class Lookup(torch.nn.Module):
    """Logits are the features."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values


def test_probabilities_of_segments_are_averaged_over_a_track(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kim2018, "_train_head", lambda *_: Lookup())
    rows, (_, test) = segments(noise=1.5), SPLIT.splits[0]
    report = transfer_head(rows, LABELS, SPLIT)
    expected = []
    for clip in test:
        logits = rows.values[rows.clips == clip].astype(np.float64)
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        expected.append(shares.mean(axis=0))
    found = predictions(report)
    assert found.probabilities is not None
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-6)
    truth = np.array(["blues", "jazz", "ü"])[np.argmax(expected, axis=1)]
    assert report["macro-F1"].mean == f1_score(LABELS[test], truth, average="macro")
    assert report["accuracy"].mean == np.mean(truth == LABELS[test]) < 1
    losses = [
        -np.log(e[found.classes.index(LABELS[c])]) for e, c in zip(expected, test, strict=True)
    ]
    assert report["log-loss"].mean == pytest.approx(np.mean(losses), abs=1e-5)


def test_the_log_loss_of_a_certain_mistake_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kim2018, "_train_head", lambda *_: Lookup())
    labels = np.array(list("abab"))
    values = np.array([[9, 0], [0, 9], [500, -500], [500, -500]], np.float32)
    rows = Rows("r", {"a": values}, np.arange(4), None)
    folds = make_folds(labels, predefined=["train", "train", "test", "test"])
    report = transfer_head(rows, labels, folds)
    assert report["log-loss"].mean == pytest.approx((0 - np.log(1e-8)) / 2)
    # Of the class that is never predicted F1 is 0, without a warning.
    assert report["macro-F1"].mean == pytest.approx((2 / 3 + 0) / 2)


def test_seeds_repeat_and_leave_the_callers_alone() -> None:
    rows = segments(noise=2.0)
    shares = []
    for seed in (0, 0, 1):
        torch.manual_seed(99)
        training = HeadTraining(hidden=8, epochs=2, seed=seed)
        shares.append(predictions(transfer_head(rows, LABELS, SPLIT, training=training)))
        after = torch.rand(3)
        torch.manual_seed(99)
        assert torch.equal(after, torch.rand(3))
    np.testing.assert_array_equal(shares[0].probabilities, shares[1].probabilities)
    assert not np.array_equal(shares[0].probabilities, shares[2].probabilities)  # type: ignore[arg-type]


def test_the_defaults_of_the_head_are_the_papers_and_reported() -> None:
    assert vars(HeadTraining()) == {
        "hidden": 1024,
        "dropout": 0.5,
        "rate": 1e-3,
        "batch": 64,
        "epochs": 50,
        "seed": 0,
        "device": "cpu",
    }
    calls: list[int] = []
    training = HeadTraining(hidden=4, epochs=3)
    folds = make_folds(LABELS, count=3)
    rows = segments()
    report = transfer_head(rows, LABELS, folds, training=training, progress=lambda: calls.append(1))
    assert len(calls) == 3 * 3
    assert report.settings["epochs"] == 3
    assert (report.settings["rows"], report.settings["numbers"]) == (len(rows.clips), 3)
    assert sorted(predictions(report).rows) == list(range(30))


def test_a_class_without_training_tracks_is_never_the_answer() -> None:
    labels = np.array(list("aabbc"))
    folds = make_folds(labels, predefined=["train", "train", "train", "train", "test"])
    report = transfer_head(segments(labels), labels, folds, training=SMALL)
    assert report["accuracy"].mean == 0.0
    assert "not in training: c" in report.notes[0]


@pytest.mark.parametrize("device", ["gpu", "", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    with pytest.raises(OptionError, match=f"device='{device}' is not to be had here"):
        transfer_head(segments(), LABELS, SPLIT, training=HeadTraining(device=device))


def test_a_track_without_segments_cannot_be_tested() -> None:
    rows = segments()
    some = rows.clips != SPLIT.splits[0][1][0]
    rows = Rows("segments", {"a": rows.values[some]}, rows.clips[some], None)
    with pytest.raises(LabelsError, match="segments: a clip has no rows"):
        transfer_head(rows, LABELS, SPLIT, training=SMALL)


def test_five_sources_give_31_combinations() -> None:
    names = ["genre", "subgenre", "essentia", "dmfcc", "mfcc"]
    every = source_combinations(names)
    assert every == [some for size in (1, 2, 3, 4, 5) for some in combinations(names, size)]
    assert len(every) == 31
    rows = segments(noise=2.0, blocks=5)
    training = HeadTraining(hidden=2, epochs=1)
    calls: list[int] = []
    reports = source_grid(rows, LABELS, SPLIT, training=training, progress=lambda: calls.append(1))
    assert [r.features for r in reports] == [
        "+".join(n) for n in source_combinations(list(rows.blocks))
    ]
    assert [report.settings["numbers"] for report in reports] == [3 * len(c) for c in every]
    assert len(calls) == 31
    assert {report.protocol for report in reports} == {"source-grid"}


def test_sources_are_combined_as_asked() -> None:
    rows = segments(noise=2.0, blocks=3)
    reports = source_grid(rows, LABELS, SPLIT, sources=["s2", "s0"], training=SMALL)
    assert [report.features for report in reports] == ["s2", "s0", "s2+s0"]
    blocks = {name: rows.blocks[name] for name in ("s2", "s0")}
    alone = transfer_head(Rows("x", blocks, rows.clips, None), LABELS, SPLIT, training=SMALL)
    assert reports[2].scores == alone.scores != reports[0].scores
    with pytest.raises(OptionError, match=r"no blocks \['s9'\].*\['s0', 's1', 's2'\]"):
        source_grid(rows, LABELS, SPLIT, sources=["s0", "s9"])
    with pytest.raises(OptionError, match=r"sources \['s0', 's0'\]: each once"):
        source_grid(rows, LABELS, SPLIT, sources=["s0", "s0"])


# -- the perceptron -------------------------------------------------------------------------------


def vectors(noise: float = 1.0, labels: np.ndarray = LABELS) -> np.ndarray:
    numbers = np.unique(labels, return_inverse=True)[1]
    random = np.random.default_rng(3)
    return (noise * random.standard_normal((len(labels), 4)) + numbers[:, None]).astype(np.float32)


def fitted(network: Any, inputs: np.ndarray, targets: np.ndarray) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return network.fit(inputs, targets)


@pytest.mark.parametrize("standardise", [False, True])
def test_the_perceptron_is_that_of_scikit_learn(standardise: bool) -> None:
    inputs, folds = vectors(), make_folds(LABELS, count=2)
    report = mlp(inputs, LABELS, folds, standardise=standardise, seed=7)
    found, scores, unfinished = predictions(report), [], 0
    assert found.probabilities is not None
    for place, (train, test) in enumerate(folds):
        values = inputs.astype(np.float64)
        if standardise:
            values = StandardScaler().fit(values[train]).transform(values)
        network = MLPClassifier(hidden_layer_sizes=(256, 256), max_iter=200, random_state=7 + place)
        fitted(network, values[train], LABELS[train])
        scores.append(network.score(values[test], LABELS[test]))
        unfinished += network.n_iter_ == 200
        mine = found.probabilities[np.isin(found.rows, test)]
        np.testing.assert_allclose(mine, network.predict_proba(values[test]), atol=1e-9)
    assert report.main.values == tuple(scores)
    assert report.main.metric == "accuracy"
    note = f"{unfinished} of 2 fits used all 200 iterations"
    assert report.notes == ((note,) if unfinished else ())
    assert np.array(found.classes)[found.truth].tolist() == LABELS[found.rows].tolist()
    assert report.settings["standardise"] is standardise


def test_the_perceptron_of_a_regression_is_that_of_scikit_learn() -> None:
    inputs = vectors()
    values = inputs[:, 0].astype(np.float64) ** 2 * 10
    folds = make_folds(values, count=2, regression=True)
    report = mlp(inputs, values, folds, regression=True)
    scores, unfinished = [], 0
    for place, (train, test) in enumerate(folds):
        network = MLPRegressor(hidden_layer_sizes=(256, 256), max_iter=200, random_state=place)
        fitted(network, inputs[train].astype(np.float64), values[train])
        unfinished += network.n_iter_ == 200
        scores.append(r2_score(values[test], network.predict(inputs[test].astype(np.float64))))
    assert report.main.metric == "r2"
    assert report.main.values == pytest.approx(scores, abs=1e-9)
    found = predictions(report)
    assert found.truth.tolist() == values[found.rows].tolist()
    assert (found.probabilities, found.classes) == (None, ())
    (note,) = report.notes
    assert note.startswith(f"{unfinished} of 2 fits used all 200 iterations, where the protocol")
    assert unfinished == 2


def test_repeats_of_a_single_split_differ_by_their_seed_alone() -> None:
    inputs, calls = vectors(2.0), []
    three = mlp(inputs, LABELS, SPLIT, repeats=3, progress=lambda: calls.append(1))
    assert len(three.main.values) == len(calls) == three.settings["fits"] == 3
    last = mlp(inputs, LABELS, SPLIT, repeats=1, seed=2, workers=1)
    assert predictions(three).rows.tolist() == 3 * SPLIT.splits[0][1].tolist()
    shares = predictions(three).probabilities
    assert shares is not None
    np.testing.assert_array_equal(shares[20:], predictions(last).probabilities)
    assert not np.array_equal(shares[:10], shares[10:20])
    folds = mlp(inputs, LABELS, make_folds(LABELS, count=2), repeats=3)
    assert len(folds.main.values) == 2


def test_a_class_without_training_clips_has_no_probability() -> None:
    labels = np.array(list("aabbc") * 2)
    folds = make_folds(labels, predefined=["train", "train", "train", "train", "test"] * 2)
    report = mlp(vectors(labels=labels), labels, folds, repeats=1)
    shares = predictions(report).probabilities
    assert shares is not None
    assert shares.shape == (2, 3)
    assert shares[:, 2].tolist() == [0, 0]
    assert report.main.values == (0.0,)
    assert report.notes[0] == "in some folds a class is tested that is not in training: c"
