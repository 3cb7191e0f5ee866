"""Tags: which clips have them, what is learned of them, and how predictions are scored."""

import json
from pathlib import Path

import numpy as np
import pytest

from mirfeat.errors import LabelsError
from mirfeat.evaluation.folds import make_folds
from mirfeat.evaluation.labels import LabelTable
from mirfeat.evaluation.tagging import (
    read_predictions,
    score_predictions,
    tag_matrix,
    tagging,
    tags_table,
)


def table(**columns: tuple[str, ...]) -> LabelTable:
    return LabelTable("l.csv", columns)


def test_words_lose_weights_and_a_clip_may_have_none() -> None:
    cells = ("rock:3; live:0.5", "a:b", ";", "", "jazz")
    found = tags_table(table(id=tuple("12345"), tags=cells)).columns
    assert found["tags"] == ("rock;live", "a:b", ";", "", "jazz")
    assert found["id"] == tuple("12345")


def test_columns_of_0_and_1_are_tags() -> None:
    both = table(
        id=tuple("123"), rock=("1", "0", "0"), live=("1", "1", "0"), artist=("1", "2", "3")
    )
    assert tags_table(both).columns["tags"] == ("rock;live", "live", ";")
    assert tags_table(both, "live,rock").columns["tags"] == ("live;rock", "live", ";")
    with pytest.raises(LabelsError, match="'artist' holds '2'"):
        tags_table(both, "rock,artist")
    with pytest.raises(LabelsError, match=r"no tags.*Columns: id, mood"):
        tags_table(table(id=("1",), mood=("a",)))


def test_rare_tags_are_left_out_and_the_rest_is_sorted_by_frequency() -> None:
    labels = ["a;b", "a", "a;c", "b", ";", "b;a;d"]
    truth, names = tag_matrix(labels, 2)
    assert names == ("a", "b")
    np.testing.assert_array_equal(truth[:, 0], [1, 1, 1, 0, 0, 1])
    with pytest.raises(LabelsError, match="4 tags of 6 clips, and none that 5"):
        tag_matrix(labels, 5)


def clips(strength: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = random.random((120, 3)) < (0.5, 0.3, 0.2)
    values = random.standard_normal((120, 8))
    values[:, :3] += strength * truth
    return values * 10.0 ** np.arange(8), truth


def test_what_features_know_of_tags_is_found_and_chance_is_a_half() -> None:
    names, folds = ("a", "b", "c"), make_folds(np.arange(120.0), count=4, regression=True)
    scores = {}
    for strength in (0.0, 3.0):
        found = tagging(*clips(strength), names, folds)
        (report,) = found.reports
        assert len(report.main.values) == 4
        scores[strength] = (report["AUC-ROC"].mean, report["AP"].mean)
        (tags,) = found.tables
        assert [row[0] for row in tags.rows] == list(names)
        assert np.mean([row[2] for row in tags.rows]) == pytest.approx(report.main.mean, abs=1e-9)
    assert scores[0.0][0] == pytest.approx(0.5, abs=0.12)
    assert scores[0.0][1] == pytest.approx(1 / 3, abs=0.12)
    assert min(scores[3.0]) > 0.9


def test_labels_of_test_clips_teach_nothing() -> None:
    values, truth = clips(1.0)
    folds = make_folds(
        np.arange(120.0), predefined=["train", "test", "train"] * 40, regression=True
    )
    (_, test), names = folds.splits[0], ("a", "b", "c")
    other = truth.copy()
    other[test] = ~other[test]
    area = [tagging(values, some, names, folds).reports[0].main.mean for some in (truth, other)]
    assert area[1] == pytest.approx(1 - area[0])


def test_predictions_are_scored_by_hand() -> None:
    truth = np.array([[1, 0], [0, 0], [1, 1], [0, 1]], dtype=bool)
    shares = np.array([[0.9, 0.1], [0.5, 0.2], [0.4, 0.9], [0.1, 0.8]])
    (report,) = score_predictions(shares, truth, ("a", "b")).reports
    # Of the 4 pairs of "a" 3 are in order, of "b" all; AP of "a" is (1 + 2/3) / 2.
    assert report["AUC-ROC"].values == (pytest.approx((0.75 + 1) / 2),)
    assert report["AP"].values == (pytest.approx(((1 + 2 / 3) / 2 + 1) / 2),)


def test_predictions_of_a_tagger_are_read_by_clip_and_tag(tmp_path: Path) -> None:
    path = tmp_path / "tags.json"
    path.write_text(json.dumps({"b.wav": {"live": 0.5}, "a.wav": {"rock": 0.9, "live": 0.1}}))
    found = read_predictions(path, ["a.wav", "b.wav"], ["rock", "live"])
    np.testing.assert_array_equal(found, [[0.9, 0.1], [0.0, 0.5]])
    text = tmp_path / "tags.csv"
    text.write_text("id,live,rock\nb.wav,0.5,0\na.wav,0.1,0.9\n")
    np.testing.assert_array_equal(
        read_predictions(text, ["a.wav", "b.wav"], ["rock", "live"]), found
    )
    for file in (path, text):
        with pytest.raises(LabelsError, match="no predictions of 1 of 2 tags, first 'jazz'"):
            read_predictions(file, ["a.wav"], ["rock", "jazz"])
        with pytest.raises(LabelsError, match=r"no predictions for 1 clips, first 'c\.wav'"):
            read_predictions(file, ["c.wav"], ["rock"])
    path.write_text("[1]")
    with pytest.raises(LabelsError, match=r"not \{clip: \{tag: probability\}\}"):
        read_predictions(path, ["a.wav"], ["rock"])
