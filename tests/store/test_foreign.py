"""Folders of features that somebody else made: nothing outside them is ever touched."""

import csv
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mirfeat.csvfiles import write_csv
from mirfeat.errors import MirfeatError, StoreError
from mirfeat.store.claims import claim_shard
from mirfeat.store.jobarray import Shard
from mirfeat.store.reading import load_features
from mirfeat.store.record import FAILURE_COLUMNS
from mirfeat.store.writer import StoreWriter
from tests.support.stores import info, row

OUTSIDE = ("../victim/thesis", "a/../../victim/thesis", "/{}/victim/thesis", "./thesis", "a//b", "")


def victim(tmp_path: Path) -> Path:
    folder = tmp_path / "victim"
    folder.mkdir()
    path = folder / "thesis.npz"
    path.write_bytes(b"years of work")
    return path


def store_with_id(folder: Path, id: str, format: str) -> None:
    """A store whose only row has this id, as somebody would forge it."""
    with StoreWriter(folder, info(format), resume=True, overwrite=False) as store:  # type: ignore[arg-type]
        store.add(row("song"))
    if format == "parquet":
        pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        (path,) = folder.glob("rows/part-*.parquet")
        table = pq.read_table(path)
        ids = pa.array([id], table.schema.field("id").type)
        pq.write_table(table.set_column(0, table.schema.field("id"), ids), path)
        return
    path = folder / ("features.csv" if format == "csv" else "index.csv")
    with path.open(newline="", encoding="utf-8") as file:
        header, line = csv.reader(file)
    write_csv(path, header, [[id, *line[1:]]])


@pytest.mark.parametrize("id", OUTSIDE)
@pytest.mark.parametrize(
    ("format", "overwrite"),
    [("csv", False), ("parquet", False), ("npz", False), ("npz", True), ("npy", True)],
)
def test_an_id_that_leads_out_is_refused_and_nothing_is_deleted(
    tmp_path: Path, id: str, format: str, overwrite: bool
) -> None:
    path, folder = victim(tmp_path), tmp_path / "store"
    store_with_id(folder, id.format(tmp_path), format)
    before = sorted(folder.rglob("*"))
    with pytest.raises(StoreError, match="is no path below a folder"):
        load_features(folder)
    with pytest.raises(StoreError, match="is no path below a folder"):
        StoreWriter(folder, info(format), resume=True, overwrite=overwrite)  # type: ignore[arg-type]
    assert sorted(folder.rglob("*")) == before
    assert path.read_bytes() == b"years of work"


def test_an_id_of_a_failure_that_leads_out_is_refused(tmp_path: Path) -> None:
    path, folder = victim(tmp_path), tmp_path / "store"
    store_with_id(folder, "../victim/thesis", "npz")
    write_csv(
        folder / "failures.csv", FAILURE_COLUMNS, [["../victim/thesis", "DecodeError", "x", 1, 1]]
    )
    with pytest.raises(StoreError, match=r"failures\.csv: the id '../victim/thesis'"):
        StoreWriter(folder, info("npz"), resume=True, overwrite=False)
    assert path.exists()


def test_a_linked_sub_folder_is_not_written_through(tmp_path: Path) -> None:
    path, folder = victim(tmp_path), tmp_path / "store"
    with StoreWriter(folder, info("npz"), resume=True, overwrite=False) as store:
        store.add(row("song"))
    (folder / "rock").symlink_to(path.parent, target_is_directory=True)
    for id in ("rock/thesis", "rock/deeper/thesis"):
        store = StoreWriter(folder, info("npz"), resume=True, overwrite=False)
        store.add(row(id))
        with pytest.raises(StoreError, match=r"rock: is a link to .*victim, outside"):
            store.close()
    assert [*path.parent.iterdir()] == [path]
    assert path.read_bytes() == b"years of work"


def test_nothing_behind_a_linked_sub_folder_is_deleted(tmp_path: Path) -> None:
    path, folder = victim(tmp_path), tmp_path / "store"
    with StoreWriter(folder, info("npz"), resume=True, overwrite=False) as store:
        store.add(row("rock/thesis"))
    shutil.rmtree(folder / "rock")
    (folder / "rock").symlink_to(path.parent, target_is_directory=True)
    with pytest.raises(StoreError, match="is a link to"):
        StoreWriter(folder, info("npz"), resume=True, overwrite=True)
    assert path.read_bytes() == b"years of work"


def of_lock(folder: Path) -> Path:
    return folder / ".lock"


def of_list(folder: Path) -> Path:
    return folder / "failures.csv"


def of_record(folder: Path) -> Path:
    return folder / "store.json"


def of_matrix(folder: Path) -> Path:
    return folder / ".matrix.partial"


def of_matrix_lock(folder: Path) -> Path:
    return folder / ".matrix.lock"


@pytest.mark.parametrize("place", [of_lock, of_list, of_record, of_matrix, of_matrix_lock])
def test_a_link_in_place_of_a_file_of_the_store_leaves_its_target_alone(
    tmp_path: Path, place: Callable[[Path], Path]
) -> None:
    path, folder = victim(tmp_path), tmp_path / "store"
    with StoreWriter(folder, info("csv"), resume=True, overwrite=False) as store:
        store.add(row("song"))
    link = place(folder)
    content = link.read_bytes() if link.exists() else b"years of work"
    path.write_bytes(content)
    link.unlink(missing_ok=True)
    link.symlink_to(path)
    try:
        with StoreWriter(folder, info("csv"), resume=True, overwrite=False) as store:
            store.add(row("another"))
        load_features(folder, mmap=True)
    except MirfeatError:
        pass  # refused is as good
    assert path.read_bytes() == content


def test_a_linked_shard_is_not_written_through(tmp_path: Path) -> None:
    path = victim(tmp_path)
    parent = tmp_path / "store"
    parent.mkdir()
    (parent / "shard-001-of-002").symlink_to(path.parent, target_is_directory=True)
    with pytest.raises(StoreError, match="is a link to"):
        claim_shard(parent, Shard(1, 2), info("npz"), overwrite=False)
    assert os.listdir(path.parent) == ["thesis.npz"]
