"""Broken files and killed runs: the drill of benchmarks/fault_drill.py, small."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import mirfeat
from benchmarks import broken_files, fault_drill
from mirfeat.csvfiles import write_csv
from mirfeat.results.outcomes import Failure
from mirfeat.results.table import FeatureTable
from mirfeat.store.record import FAILURE_COLUMNS
from tests.support.stores import NAMES, PROVENANCE, write_store


@pytest.mark.slow
@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_killed_runs_end_like_one_that_nobody_disturbed(tmp_path: Path, format: str) -> None:
    broken = len(broken_files.faults_here())
    found = fault_drill.drill(tmp_path, files=40, kills=3, format=format, broken=broken)
    assert found.problems == []
    assert found.kills == 3
    assert len(found.failures) == broken


def test_every_fault_is_reported_and_nothing_else(tmp_path: Path) -> None:
    kinds = broken_files.faults_here()
    assert len(kinds) >= 15
    made = broken_files.make_files(tmp_path, len(kinds) + 8, 1, len(kinds))
    assert sorted(fault for fault in made.values() if fault) == sorted(kinds)
    with mirfeat.load_extractor("mfcc", device="cpu") as extractor:
        table = extractor.extract_files([tmp_path / id for id in made], root=tmp_path)
    failed = {failure.id for failure in table.failures}
    assert {id: id in failed for id in made} == {id: bool(fault) for id, fault in made.items()}
    assert all(failure.error for failure in table.failures)


def test_the_same_seed_makes_the_same_files(tmp_path: Path) -> None:
    one = broken_files.make_files(tmp_path / "one", 30, 3, 10)
    assert broken_files.make_files(tmp_path / "other", 30, 3, 10) == one
    for id, fault in one.items():
        # In others libsndfile writes the time of day or a random number.
        if not fault and not id.endswith(".ogg"):
            data = (tmp_path / "one" / id).read_bytes()
            assert (tmp_path / "other" / id).read_bytes() == data
    assert broken_files.make_files(tmp_path / "third", 30, 4, 10) != one


# That it would notice


TABLE = FeatureTable(
    np.arange(6, dtype=np.float32).reshape(2, 3),
    ("a", "b"),
    NAMES,
    PROVENANCE,
    (Failure("f", "DecodeError", "damaged"),),
)


def test_equal_tables_do_not_differ() -> None:
    order = [1, 0]
    assert fault_drill.differences(TABLE, TABLE) == []
    other = replace(TABLE, values=TABLE.values[order], ids=("b", "a"))
    assert fault_drill.differences(TABLE, other) == []


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (replace(TABLE, values=np.nextafter(TABLE.values, np.float32(9))), "another vector"),
        (replace(TABLE, values=TABLE.values[:1], ids=("a",)), "b: there is no vector"),
        (replace(TABLE, ids=("a", "c")), "c: a vector too many"),
        (replace(TABLE, failures=()), "f: failed with None"),
        (replace(TABLE, failures=(Failure("f", "DecodeError", "cut"),)), "f: failed with"),
        (replace(TABLE, failures=(*TABLE.failures, Failure("g", "X", "x"))), "g: failed with"),
    ],
)
def test_any_difference_is_a_problem(other: FeatureTable, said: str) -> None:
    assert any(said in problem for problem in fault_drill.differences(TABLE, other))


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_rows_and_failures_are_counted_in_the_files(tmp_path: Path, format: str) -> None:
    blocks = {"a": np.zeros((3, 2), np.float32)}
    write_store(tmp_path, blocks, ["a", "a", "lost"], format, failed=["f"])  # type: ignore[arg-type]
    if format == "csv":
        (tmp_path / "part-000001.csv").rename(tmp_path / "features.csv")
    lines = [["f", "DecodeError", "x"]] * 2
    write_csv(tmp_path / "failures.csv", FAILURE_COLUMNS, lines)
    faults = {"a": "", "b": "", "f": "text", "c": "text"}
    assert fault_drill._listed_once(tmp_path, format, faults) == [
        "a (good): 2 rows and 0 failures",
        "b (good): 0 rows and 0 failures",
        "f (text): 0 rows and 2 failures",
        "c (text): 0 rows and 0 failures",
        "lost: unknown",
    ]
    assert fault_drill._listed_once(tmp_path, format, {}) != []


def test_leftovers_are_found(tmp_path: Path) -> None:
    for name in ("store.json", ".lock", "failures.csv", "features.csv", "part-000001.csv"):
        (tmp_path / name).touch()
    (tmp_path / ".writing-0.csv").touch()
    assert sorted(fault_drill._leftovers(tmp_path, "csv")) == [
        ".writing-0.csv: left over",
        "part-000001.csv: left over",
    ]
