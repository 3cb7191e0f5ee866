"""Neighbours: nearest first, the clip itself left out, the same whoever asks with it."""

import numpy as np
import pytest

from mirfeat.errors import ConfigError, OptionError
from mirfeat.explore.neighbours import Neighbours
from tests.support.tables import table_of

VALUES = np.random.default_rng(0).standard_normal((30, 6)).astype(np.float32)


@pytest.mark.parametrize("metric", ["cosine", "l1"])
def test_neighbours_are_those_of_the_definition(metric: str) -> None:
    index = Neighbours(table_of(VALUES), metric)  # type: ignore[arg-type]
    scaled = ((VALUES - VALUES.mean(0)) / VALUES.std(0)).astype(np.float64)
    if metric == "cosine":
        unit = scaled / np.linalg.norm(scaled, axis=1, keepdims=True)
        expected = unit @ unit[3]
        order = np.argsort(-expected)
    else:
        expected = np.abs(scaled - scaled[3]).sum(axis=1)
        order = np.argsort(expected)
    order = order[order != 3][:5]
    found = index.nearest_to("clip3", 5)
    assert [near.id for near in found] == [f"clip{row}" for row in order]
    np.testing.assert_allclose([near.value for near in found], expected[order], atol=1e-5)


def test_a_vector_of_the_table_finds_itself_first() -> None:
    index = Neighbours(table_of(VALUES))
    first, second = index.nearest(VALUES[7], 2)
    assert first.id == "clip7"
    assert first.value == pytest.approx(1.0, abs=1e-6)
    assert second == pytest.approx(index.nearest_to("clip7", 1)[0])


def test_copies_of_a_clip_are_its_neighbours_and_it_is_not() -> None:
    values = np.concatenate([VALUES[:5], np.repeat(VALUES[:1], 4, axis=0)])
    index = Neighbours(table_of(values))
    for row in (0, 5, 8):
        near = index.among([row], 4)
        assert sorted(near.rows[0]) == sorted({0, 5, 6, 7, 8} - {row})


def test_as_many_queries_as_one_likes_get_the_same_answers() -> None:
    index = Neighbours(table_of(VALUES))
    together = index.search(VALUES, 4)
    for row, vector in enumerate(VALUES):
        alone = index.search(vector[None], 4)
        np.testing.assert_array_equal(alone.rows[0], together.rows[row])
        np.testing.assert_allclose(alone.values[0], together.values[row], atol=1e-6)


def test_numbers_that_are_large_or_constant_do_not_decide() -> None:
    scale = np.array([1, 1e4, 1, 1, 1e-3, 1], dtype=np.float32)
    scaled = np.concatenate([VALUES * scale + 3, np.full((30, 1), 7, np.float32)], axis=1)
    plain, other = Neighbours(table_of(VALUES)), Neighbours(table_of(scaled))
    assert [n.id for n in plain.nearest_to("clip1")] == [n.id for n in other.nearest_to("clip1")]
    raw = Neighbours(table_of(scaled), "l1", standardise=False)
    by_second = np.argsort(np.abs(VALUES[:, 1] - VALUES[1, 1]))
    assert raw.nearest_to("clip1", 1)[0].id == f"clip{by_second[1]}"


def test_what_cannot_be_answered_is_refused() -> None:
    index = Neighbours(table_of(VALUES))
    with pytest.raises(OptionError, match="top=0"):
        index.nearest(VALUES[0], 0)
    with pytest.raises(OptionError, match="this table has 6 numbers"):
        index.nearest(VALUES[0, :4])
    with pytest.raises(OptionError, match="'nowhere' is not in this table of 30"):
        index.nearest_to("nowhere")
    with pytest.raises(OptionError, match="'cosine' or 'l1'"):
        Neighbours(table_of(VALUES), "euclid")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="finite"):
        Neighbours(table_of(np.full((2, 3), np.nan, np.float32)))
    assert len(index.nearest(VALUES[0], 100)) == 30
    assert len(index.nearest_to("clip0", 100)) == 29
