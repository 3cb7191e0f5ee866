"""The experimental design of Kim et al. 2019: Algorithm 2, balance, aliases."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from mirfeat.errors import OptionError
from mirfeat.evaluation import design
from mirfeat.evaluation.design import (
    MULTIPLE,
    PlannedRun,
    alias_matrix,
    experimental_design,
    level_counts,
    sequential_design,
)

SOURCES = ("self", "bpm", "year", "taste", "tag", "lyrics", "cdr_tag", "artist")


@pytest.fixture(scope="module")
def paper() -> tuple[PlannedRun, ...]:
    return experimental_design(SOURCES)


def test_the_paper_has_425_runs_in_three_phases(paper: tuple[PlannedRun, ...]) -> None:
    assert [run.strategy for run in paper[:48]] == ["SS-R"] * 48
    assert set(Counter(run.sources for run in paper[:48]).values()) == {6}
    assert Counter(run.strategy for run in paper[48:73]) == dict.fromkeys(MULTIPLE, 5)
    assert {run.sources for run in paper[48:73]} == {SOURCES}
    rest = paper[73:]
    assert len(rest) == 352 == len(set(rest))
    assert {len(run.sources) for run in rest} == {2, 3, 4, 5, 6, 7}


def test_the_design_is_as_balanced_as_the_authors(paper: tuple[PlannedRun, ...]) -> None:
    # Counts of the first 352 lines of their design matrix: strategies 68 to 75, sources 187 to 190,
    # 35 runs of seven sources and 63 or 64 of each other number.
    rest = paper[73:]
    sizes = Counter(len(run.sources) for run in rest)
    assert abs(sizes.pop(7) - 35) <= 2
    assert set(sizes.values()) <= {61, 62, 63, 64, 65}
    for source in SOURCES:
        assert 182 <= sum(source in run.sources for run in rest) <= 192
    assert all(60 <= count <= 80 for count in Counter(run.strategy for run in rest).values())


def test_effects_are_less_aliased_than_in_a_random_design(paper: tuple[PlannedRun, ...]) -> None:
    def worst(runs: list[PlannedRun]) -> float:
        table = alias_matrix(runs, SOURCES)
        names = table.columns[1:]
        return max(
            row[1:][column]
            for place, row in enumerate(table.rows)
            for column, name in enumerate(names)
            if column != place and "number" not in name + row[0]
            if not {name, row[0]} <= set(MULTIPLE)
        )

    every = [
        PlannedRun(strategy, some)
        for count in range(2, 8)
        for some in combinations(SOURCES, count)
        for strategy in MULTIPLE
    ]
    assert len(every) == 1230  # the paper's number
    draw = np.random.default_rng(0)
    random = [[every[k] for k in draw.permutation(1230)[:352]] for _ in range(5)]
    assert worst(list(paper[73:])) < min(map(worst, random))


def test_aliases_are_correlations() -> None:
    runs = [
        PlannedRun("MS-CR@2", ("a", "b")),
        PlannedRun("MS-CR@2", ("a", "c")),
        PlannedRun("MSS-CR", ("b", "c")),
        PlannedRun("MSS-CR", ("a", "b", "c")),
        PlannedRun("SS-R", ("a",)),
    ]
    table = alias_matrix(runs, ("a", "b", "c"))
    assert table.columns == ("effect", "MS-CR@2", "MSS-CR", "a", "b", "c", "number of sources")
    cells = {row[0]: dict(zip(table.columns[1:], row[1:], strict=True)) for row in table.rows}
    first, a = [1, 1, 0, 0], [1, 1, 0, 1]
    assert cells["MS-CR@2"]["MSS-CR"] == pytest.approx(1.0)  # two levels: one says the other
    assert cells["MS-CR@2"]["a"] == pytest.approx(np.corrcoef(first, a)[0, 1])
    assert cells["a"]["number of sources"] == pytest.approx(np.corrcoef(a, [2, 2, 2, 3])[0, 1])
    assert cells["a"]["a"] == pytest.approx(1.0)
    constant = alias_matrix([PlannedRun("MSS-CR", ("a", x)) for x in "bc"], ("a", "b", "c"))
    assert dict(zip(constant.columns, constant.rows[1], strict=True))["b"] is None  # a never varies
    with pytest.raises(OptionError, match="0 runs with several sources"):
        alias_matrix(runs[-1:], ("a",))


def test_the_same_seed_gives_the_same_runs_and_more_runs_begin_with_fewer() -> None:
    few = sequential_design(SOURCES[:5], MULTIPLE, 20, seed=3)
    assert sequential_design(SOURCES[:5], MULTIPLE, 40, seed=3)[:20] == few
    assert sequential_design(SOURCES[:5], MULTIPLE, 20, seed=4) != few
    every = sequential_design(("a", "b", "c"), MULTIPLE[:2], 1000)
    assert len(every) == len(set(every)) == 6  # no more than there are
    assert sequential_design(("a", "b"), MULTIPLE, 10) == ()


def test_a_level_without_runs_left_does_not_count_as_unbalance() -> None:
    counts, factors = np.array([[5, 1, 3], [2, 2, 3]]), [slice(0, 3)]
    assert design._unbalance(counts, np.array([True, True, True]), factors).tolist() == [4, 1]
    assert design._unbalance(counts, np.array([True, False, True]), factors).tolist() == [2, 1]
    assert design._unbalance(counts, np.array([True, False, False]), factors).tolist() == [0, 0]


def test_runs_are_counted_by_strategy_and_number() -> None:
    table = level_counts(experimental_design(("a", "b", "c"), singles=2, complete=1, runs=3))
    assert table.columns == ("strategy", "1 source", "2 sources", "3 sources", "runs")
    assert table.rows[0] == ("SS-R", 6, 0, 0, 6)
    assert sum(row[2] for row in table.rows[1:]) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sources": ("a",)}, "two or more"),
        ({"sources": ("a", "a")}, "each once"),
        ({"strategies": ("SS-R",)}, "of MS-SR@FC"),
        ({"strategies": ("MSS-CR", "MSS-CR")}, "each once"),
        ({"runs": -1}, "0 or more"),
    ],
)
def test_what_cannot_be_designed(options: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        experimental_design(**{"sources": ("a", "b"), **options})
