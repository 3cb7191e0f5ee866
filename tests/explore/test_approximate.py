"""The approximate search finds what the exact one does, but for a few."""

import sys

import numpy as np
import pytest

from benchmarks.neighbours import vectors
from mirfeat.errors import MissingPackageError
from mirfeat.explore.neighbours import Neighbours
from mirfeat.explore.placement import Metric
from tests.support.tables import table_of

VALUES = vectors(4000, size=24)


@pytest.mark.parametrize("metric", ["cosine", "l1"])
def test_nearly_all_neighbours_are_found_with_their_distances(metric: Metric) -> None:
    table = table_of(VALUES)
    exact = Neighbours(table, metric).among(range(50), 10)
    near = Neighbours(table, metric, approximate=True).among(range(50), 10)
    pairs = list(zip(exact.rows, near.rows, strict=True))
    assert np.mean([len({*a} & {*b}) / 10 for a, b in pairs]) > 0.95
    same = exact.rows == near.rows
    np.testing.assert_allclose(near.values[same], exact.values[same], atol=2e-3)
    assert not any(row in rows for row, rows in enumerate(near.rows))


def test_more_are_asked_for_than_the_cells_hold() -> None:
    near = Neighbours(table_of(VALUES[:200]), approximate=True).among([0], 150)
    assert len(set(near.rows[0].tolist())) == 150
    assert near.rows.min() >= 0


def test_the_same_table_gives_the_same_answers() -> None:
    first, second = (Neighbours(table_of(VALUES), approximate=True) for _ in range(2))
    np.testing.assert_array_equal(first.among([5], 20).rows, second.among([5], 20).rows)


def test_without_faiss_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'mirfeat\[index\]'"):
        Neighbours(table_of(VALUES[:50]), approximate=True)
