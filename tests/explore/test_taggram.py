"""Tags over time, as numbers and as a figure."""

import numpy as np
import pytest

import mirfeat
from mirfeat.errors import OptionError
from mirfeat.explore.taggram import mel_levels, taggram
from tests.support.sounds import music

RATE = 12_000


@pytest.fixture(scope="module")
def choi() -> mirfeat.Extractor:
    return mirfeat.load_extractor("choi2017", layers="5")


@pytest.fixture(scope="module")
def clip() -> np.ndarray:
    return music(64.0, RATE)


def test_without_overlap_the_average_over_time_is_what_tags_says(
    choi: mirfeat.Extractor, clip: np.ndarray
) -> None:
    over_time = choi.tags_over_time(clip[:, : 58 * RATE], RATE, top=50, hop_seconds=29.0)
    tags = dict(choi.tags(clip[:, : 58 * RATE], RATE, top=50))
    assert list(over_time.names) == list(tags)
    np.testing.assert_allclose(over_time.starts, [0, 29])
    np.testing.assert_allclose(over_time.ends, [29, 58])
    average = over_time.probabilities.mean(axis=0)
    np.testing.assert_allclose(average, list(tags.values()), atol=1e-6)


def test_segments_are_those_that_stand_alone(choi: mirfeat.Extractor, clip: np.ndarray) -> None:
    over_time = choi.tags_over_time(clip, RATE, top=3)
    np.testing.assert_allclose(np.diff(over_time.starts)[:-1], 3.0, atol=0.01)
    alone = dict(choi.tags(clip[:, 6 * RATE : 35 * RATE], RATE, top=50))
    expected = [alone[name] for name in over_time.names]
    np.testing.assert_allclose(over_time.probabilities[2], expected, atol=1e-5)
    assert repr(over_time).startswith("TagsOverTime(")


def test_a_hop_longer_than_a_segment_and_networks_without_tags_are_refused(
    choi: mirfeat.Extractor, clip: np.ndarray
) -> None:
    with pytest.raises(OptionError, match="at most a segment, which has 29"):
        choi.tags_over_time(clip, RATE, hop_seconds=30)
    with pytest.raises(OptionError, match="hop_seconds=0"):
        choi.tags_over_time(clip, RATE, hop_seconds=0)
    with pytest.raises(OptionError, match="cannot name tags"):
        mirfeat.load_extractor("mfcc").tags_over_time(clip, RATE)


def test_a_figure_has_the_numbers_with_it(choi: mirfeat.Extractor, clip: np.ndarray) -> None:
    drawing = taggram(choi, clip, RATE, top=4, title="a song")
    over_time = choi.tags_over_time(clip, RATE, top=4)
    assert drawing.data.columns == ("start", "end", *over_time.names)
    assert len(drawing.data.rows) == len(over_time)
    assert drawing.png(50).startswith(b"\x89PNG")
    assert all(name in drawing.svg() for name in over_time.names)
    assert drawing.png(50) == taggram(choi, clip, RATE, top=4, title="a song").png(50)


def test_mel_levels_cover_the_clip_once(choi: mirfeat.Extractor) -> None:
    whole = mel_levels(choi, music(58.0, RATE), RATE)
    assert [(round(part.start), round(part.end)) for part in whole] == [(0, 29), (29, 58)]
    assert whole[0].levels.shape == (96, 200)
    (short,) = mel_levels(choi, music(14.5, RATE), RATE)
    assert short.levels.shape == (96, 100)
