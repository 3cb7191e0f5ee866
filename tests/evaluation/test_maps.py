"""The map of clips and its strongest topics."""

import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from mirfeat.errors import ConfigError, OptionError
from mirfeat.evaluation.maps import strongest_topics, tsne_map


def three_groups(per_group: int = 20, size: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """Vectors [n, size] around three centres on scales that differ by 1e6, and their group [n]."""
    generator = np.random.default_rng(0)
    group = np.repeat(np.arange(3), per_group)
    centres = generator.normal(0, 5, (3, size))
    scales = 10 ** generator.uniform(-3, 3, size)
    return (centres[group] + generator.normal(0, 1, (len(group), size))) * scales, group


def test_groups_stay_together_whatever_the_scale_of_dimensions() -> None:
    vectors, group = three_groups()
    positions = tsne_map(vectors)
    assert positions.shape == (60, 2)
    assert positions.dtype == np.float32
    assert silhouette_score(positions, group) > 0.5


def test_seed_decides_the_map() -> None:
    vectors, _ = three_groups(5)
    np.testing.assert_array_equal(tsne_map(vectors, seed=1), tsne_map(vectors, seed=1))
    assert not np.array_equal(tsne_map(vectors, seed=1), tsne_map(vectors, seed=2))


@pytest.mark.parametrize("shape", [(5, 1), (5, 400), (7, 3)])
def test_few_clips_get_a_map(shape: tuple[int, int]) -> None:
    vectors = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    assert np.isfinite(tsne_map(vectors)).all()


def test_constant_dimensions_do_not_matter() -> None:
    vectors, _ = three_groups(4, 6)
    with_constant = np.hstack([vectors, np.full((12, 1), 7.0)])
    np.testing.assert_allclose(tsne_map(with_constant), tsne_map(vectors), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("vectors", "options", "words"),
    [
        (np.zeros((4, 8)), {}, "5 clips or more"),
        (np.zeros((8, 0)), {}, "5 clips or more"),
        (np.zeros(8), {}, "table of finite numbers"),
        (np.full((8, 2), np.nan), {}, "table of finite numbers"),
        (np.zeros((8, 2)), {"perplexity": 0.5}, "perplexity=0.5"),
        (np.zeros((8, 2)), {"perplexity": np.nan}, "perplexity=nan"),
        (np.zeros((8, 2)), {"components": 0}, "components=0"),
    ],
)
def test_maps_that_cannot_be(vectors: np.ndarray, options: dict[str, float], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        tsne_map(vectors, **options)


SHARES = np.array([[0.7, 0.1, 0.2], [0.6, 0.1, 0.3], [0.0, 0.1, 0.9], [0.5, 0.1, 0.4]])
POSITIONS = np.array([[0.0, 0.0], [2.0, 4.0], [9.0, 9.0], [1.0, 8.0]])


def test_strongest_topics_and_where_they_are() -> None:
    topics = strongest_topics(SHARES, ["rock", "never", "jazz"], POSITIONS, top=3)
    assert topics.names == ("rock", "jazz", "never")
    np.testing.assert_allclose(topics.shares, [0.45, 0.45, 0.1])
    np.testing.assert_array_equal(topics.strongest, [0, 0, 2, 0])
    np.testing.assert_array_equal(topics.counts, [3, 1, 0])
    np.testing.assert_array_equal(topics.centres, [[1, 4], [9, 9], [np.nan, np.nan]])
    assert topics.table().rows[2] == ("never", pytest.approx(0.1), 0, None, None)


def test_top_cuts_the_list_but_not_the_colours() -> None:
    topics = strongest_topics(SHARES, ["rock", "never", "jazz"], POSITIONS, top=1)
    assert topics.names == ("rock",)
    np.testing.assert_array_equal(topics.strongest, [0, 0, 2, 0])
    assert topics.table().rows == (("rock", pytest.approx(0.45), 3, 1.0, 4.0),)


def test_more_topics_asked_than_there_are() -> None:
    assert len(strongest_topics(SHARES, ["a", "b", "c"], POSITIONS, top=9).names) == 3


@pytest.mark.parametrize(
    ("shares", "names", "positions", "words"),
    [
        (SHARES, ["a", "b"], POSITIONS, "2 names"),
        (SHARES, ["a", "b", "c"], POSITIONS[:3], "positions"),
        (SHARES, ["a", "b", "c"], np.zeros((4, 3)), "positions"),
        (SHARES[:0], ["a", "b", "c"], POSITIONS[:0], "one clip or more"),
        (SHARES - 0.2, ["a", "b", "c"], POSITIONS, "softmax"),
        (np.full((4, 3), np.inf), ["a", "b", "c"], POSITIONS, "finite"),
    ],
)
def test_topics_that_do_not_fit(
    shares: np.ndarray, names: list[str], positions: np.ndarray, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        strongest_topics(shares, names, positions)


def test_top_must_be_positive() -> None:
    with pytest.raises(OptionError, match="top=0"):
        strongest_topics(SHARES, ["a", "b", "c"], POSITIONS, top=0)
