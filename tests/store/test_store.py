"""What a folder of features records, and how it is read."""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mirfeat.csvfiles import write_csv
from mirfeat.errors import MissingPackageError, OptionError, StoreError
from mirfeat.results.outcomes import Failure
from mirfeat.store.formats import FORMATS, Format
from mirfeat.store.reading import data_files, load_features
from mirfeat.store.record import FAILURE_COLUMNS, StoreInfo, check_format, is_store, read_failures
from tests.support.stores import NAMES, PROVENANCE, info, row, write_embeddings


@pytest.fixture(params=FORMATS)
def format(request: pytest.FixtureRequest) -> Format:
    kind: Format = request.param
    return kind


def fill(folder: Path, record: StoreInfo, *parts: list[Any]) -> None:
    """A store with one part for each list of rows."""
    folder.mkdir(exist_ok=True)
    record.write(folder)
    row_files = record.row_files(folder)
    for number, rows in enumerate(parts, 1):
        row_files.write(folder / f"part-{number:06d}{row_files.suffix}", rows)


def test_the_record_is_read_back_and_is_plain_json(tmp_path: Path) -> None:
    earlier = replace(PROVENANCE, mirfeat_version="0.0.9")
    record = info("npz", embed=True, root="/m/ü", earlier=(earlier,))
    record.write(tmp_path)
    read = StoreInfo.read(tmp_path)
    assert (read.format, read.embed, read.root) == ("npz", True, "/m/ü")
    assert read.feature_names == NAMES
    assert read.provenance.to_dict() == PROVENANCE.to_dict()
    assert [item.to_dict() for item in read.earlier] == [earlier.to_dict()]
    plain = json.loads((tmp_path / "store.json").read_text(encoding="utf-8"))
    assert plain["dimension"] == 3
    assert plain["provenance"]["checkpoint_sha256"] == "ab" * 32
    assert plain["provenance"]["options"]["layers"] == "12"


def test_a_root_that_is_no_text_is_recorded(tmp_path: Path) -> None:
    root = os.fsdecode(b"/music/caf\xe9")
    info(root=root).write(tmp_path)
    assert StoreInfo.read(tmp_path).root == root


def absent(path: Path) -> None:
    path.unlink()


def no_json(path: Path) -> None:
    path.write_text("{")


def a_list(path: Path) -> None:
    path.write_text("[]")


def no_fields(path: Path) -> None:
    path.write_text('{"version": 1}')


def another_version(path: Path) -> None:
    path.write_text(path.read_text().replace('"version": 1', '"version": 99'))


@pytest.mark.parametrize("spoil", [absent, no_json, a_list, no_fields, another_version])
def test_what_is_no_store_is_refused(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    info().write(tmp_path)
    spoil(tmp_path / "store.json")
    with pytest.raises(StoreError, match=tmp_path.name):
        load_features(tmp_path)


def test_another_version_is_named(tmp_path: Path) -> None:
    info().write(tmp_path)
    another_version(tmp_path / "store.json")
    with pytest.raises(StoreError, match="version 99, this mirfeat reads 1"):
        StoreInfo.read(tmp_path)


def test_all_parts_are_one_table(tmp_path: Path, format: Format) -> None:
    rows = [row(f"{name}.wav", number=number) for number, name in enumerate("abcd")]
    fill(tmp_path, info(format), rows[:3], rows[3:])
    table = load_features(str(tmp_path))
    assert table.ids == ("a.wav", "b.wav", "c.wav", "d.wav")
    np.testing.assert_array_equal(table.values, [r.vector for r in rows], strict=True)
    assert (table.feature_names, table.failures) == (NAMES, ())
    assert table.provenance.differences(PROVENANCE) == []


def test_of_a_clip_that_was_made_anew_the_last_row_counts(tmp_path: Path, format: Format) -> None:
    fill(tmp_path, info(format), [row("a.wav"), row("b.wav")], [row("a.wav", number=9)])
    table = load_features(tmp_path)
    assert sorted(table.ids) == ["a.wav", "b.wav"]
    np.testing.assert_array_equal(
        table.aligned(["a.wav", "b.wav"]), [row("", number=9).vector, row("").vector]
    )


def test_a_clip_that_has_failed_since_has_no_row(tmp_path: Path, format: Format) -> None:
    fill(tmp_path, info(format), [row("a.wav"), row("b.wav")])
    write_csv(
        tmp_path / "failures.csv", FAILURE_COLUMNS, [["a.wav", "DecodeError", "cut\noff", 7, 8]]
    )
    table = load_features(tmp_path)
    assert table.ids == ("b.wav",)
    assert table.failures == (Failure("a.wav", "DecodeError", "cut\noff"),)
    assert np.isnan(table.aligned(["a.wav"])).all()


def test_an_empty_store_is_an_empty_table(tmp_path: Path, format: Format) -> None:
    fill(tmp_path, info(format))
    table = load_features(tmp_path)
    assert (table.values.shape, table.values.dtype, table.ids) == ((0, 3), np.float32, ())


def test_files_of_others_are_not_taken_for_parts(tmp_path: Path, format: Format) -> None:
    fill(tmp_path, info(format), [row("a.wav")])
    for name in ("part-000001 (copy)", "part-old", "other"):
        (tmp_path / f"{name}.csv").write_text("x\n")
        (tmp_path / f"{name}.parquet").write_text("x\n")
    assert load_features(tmp_path).ids == ("a.wav",)


def test_data_files_are_oldest_first(tmp_path: Path) -> None:
    fill(tmp_path, info(), [row("a.wav")], [row("b.wav")])
    row_files = info().row_files(tmp_path)
    assert [p.name for p in data_files(tmp_path, row_files)] == [
        "part-000001.csv",
        "part-000002.csv",
    ]
    (tmp_path / "features.csv").touch()
    assert data_files(tmp_path, row_files)[0].name == "features.csv"


def test_a_table_of_embeddings_is_the_summary_of_each(tmp_path: Path) -> None:
    clips = {"b": np.array([[1.0, 2, 3], [3, 4, 8]]), "a": np.ones((1, 3)), "c": np.ones((1, 3))}
    table = load_features(write_embeddings(tmp_path, clips, failed=["c"]))
    assert (table.ids, [failure.id for failure in table.failures]) == (("b", "a"), ["c"])
    np.testing.assert_array_equal(
        table.values, np.array([[2, 3, 5.5], [1, 1, 1]], np.float32), strict=True
    )
    empty = load_features(write_embeddings(tmp_path / "empty", {}))
    assert (empty.values.shape, empty.values.dtype, empty.ids) == ((0, 3), np.float32, ())


def test_embeddings_without_weights_are_no_table(tmp_path: Path) -> None:
    folder = write_embeddings(tmp_path, {"a": np.ones((1, 3))}, "npy")
    with pytest.raises(StoreError, match=r"holds no embeddings with times.*--embed --format npz"):
        load_features(folder)


@pytest.mark.parametrize("kind", ["npz", "npy"])
def test_a_damaged_file_of_a_clip_is_named(tmp_path: Path, kind: Format) -> None:
    fill(tmp_path, info(kind), [row("a.wav"), row("b.wav")])
    path = tmp_path / f"b.wav.{kind}"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(StoreError, match=rf"b\.wav\.{kind}: not a readable file of this store"):
        load_features(tmp_path)


def test_without_a_list_nothing_has_failed(tmp_path: Path) -> None:
    assert read_failures(tmp_path) == []


def test_a_folder_is_a_store_by_its_record(tmp_path: Path) -> None:
    assert not is_store(tmp_path / "nowhere")
    assert not is_store(tmp_path)
    info().write(tmp_path)
    assert is_store(tmp_path)


@pytest.mark.parametrize(
    ("format", "embed", "message"),
    [
        ("hdf5", False, "csv, parquet, npz, npy"),
        ("", True, "csv, parquet, npz, npy"),
        ("csv", True, "npz or npy"),
        ("parquet", True, "npz or npy"),
    ],
)
def test_formats_that_there_are_not_are_refused(format: str, embed: bool, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        check_format(format, embed)


def test_formats_that_there_are_are_taken(format: Format) -> None:
    check_format(format, False)
    check_format("npz", True)
    check_format("npy", True)


def test_parquet_is_refused_at_once_without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'mirfeat\[parquet\]'"):
        check_format("parquet", False)
