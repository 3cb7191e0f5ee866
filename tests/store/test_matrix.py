"""A store's vectors as one file mapped into memory."""

import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mirfeat.errors import StoreError
from mirfeat.results.outcomes import Failure
from mirfeat.store import matrix
from mirfeat.store.claims import claim_shard
from mirfeat.store.contents import ChangedError
from mirfeat.store.formats import FORMATS, Format, Row
from mirfeat.store.jobarray import Shard
from mirfeat.store.reading import load_features
from mirfeat.store.writer import StoreWriter
from tests.support.stores import info, row, write_embeddings

FILES = {"matrix.npy", "matrix.json", ".matrix.lock"}


def write(folder: Path, *rows: Row, format: Format = "csv", overwrite: bool = False) -> None:
    with StoreWriter(folder, info(format), resume=True, overwrite=overwrite) as store:
        for item in rows:
            store.add(item)


def interrupted(folder: Path, *rows: Row) -> None:
    store = StoreWriter(folder, info(), resume=True, overwrite=False)
    for item in rows:
        store.add(item)
    store.close(tidy=False)


def names(folder: Path) -> set[str]:
    return set(os.listdir(folder))


def assert_same_as_in_memory(folder: Path) -> None:
    mapped, read = load_features(folder, mmap=True), load_features(folder)
    assert isinstance(mapped.values, np.memmap)
    assert not mapped.values.flags.writeable
    assert (mapped.ids, mapped.failures) == (read.ids, read.failures)
    assert mapped.feature_names == read.feature_names
    np.testing.assert_array_equal(np.asarray(mapped.values), read.values, strict=True)


@pytest.mark.parametrize("format", FORMATS)
def test_a_mapped_table_is_the_table(tmp_path: Path, format: Format) -> None:
    rows = [row(f"{name}.wav", number=number) for number, name in enumerate("abcd")]
    write(tmp_path, *rows, format=format)
    assert_same_as_in_memory(tmp_path)
    np.testing.assert_array_equal(np.load(tmp_path / "matrix.npy"), [r.vector for r in rows])


@pytest.mark.parametrize("format", FORMATS)
def test_rows_that_do_not_count_are_not_in_it(tmp_path: Path, format: Format) -> None:
    write(tmp_path, row("a.wav"), row("b.wav"), row("f.wav"), format=format)
    store = StoreWriter(tmp_path, info(format), resume=True, overwrite=False)
    store.add(row("a.wav", number=9))
    store.fail(Failure("f.wav", "DecodeError", "damaged"))
    store.close(tidy=False)
    assert_same_as_in_memory(tmp_path)
    table = load_features(tmp_path, mmap=True)
    assert table.ids == ("b.wav", "a.wav")
    np.testing.assert_array_equal(table.values[1], row("", number=9).vector)


def test_an_empty_store_is_an_empty_matrix(tmp_path: Path) -> None:
    write(tmp_path)
    assert_same_as_in_memory(tmp_path)
    assert load_features(tmp_path, mmap=True).values.shape == (0, 3)


def test_vectors_of_embeddings_are_mapped_too(tmp_path: Path) -> None:
    clips = {"b": np.array([[1.0, 2, 3], [3, 4, 8]]), "a": np.ones((1, 3))}
    assert_same_as_in_memory(write_embeddings(tmp_path, clips, failed=["c"]))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Folders of matrices that are made from now on."""
    folders: list[Path] = []
    make = matrix._make

    def noted(folder: Path, state: list[list[object]], material: matrix.MatrixSource) -> None:
        folders.append(folder)
        make(folder, state, material)

    monkeypatch.setattr(matrix, "_make", noted)
    return folders


def test_it_is_made_once(tmp_path: Path, made: list[Path]) -> None:
    write(tmp_path, row("a.wav"))
    for _ in range(3):
        load_features(tmp_path, mmap=True)
    assert made == [tmp_path]


def more_rows(folder: Path) -> None:
    interrupted(folder, row("b.wav"))


def another_state(folder: Path) -> None:
    interrupted(folder, row("a.wav", number=9))


def a_failure(folder: Path) -> None:
    store = StoreWriter(folder, info(), resume=True, overwrite=False)
    store.fail(Failure("a.wav", "DecodeError", "damaged"))
    store.close(tidy=False)


def touched(folder: Path) -> None:
    os.utime(folder / "features.csv", ns=(1, 1))


def no_record(folder: Path) -> None:
    (folder / "matrix.json").write_text("{")


def another_matrix(folder: Path) -> None:
    np.save(folder / "matrix.npy", np.zeros((1, 3), np.float32))


def no_matrix(folder: Path) -> None:
    (folder / "matrix.npy").unlink()


def cut(folder: Path) -> None:
    path = folder / "matrix.npy"
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    "change",
    [more_rows, another_state, a_failure, touched, no_record, another_matrix, no_matrix, cut],
)
def test_it_is_made_anew_when_anything_has_changed(
    tmp_path: Path, made: list[Path], change: Callable[[Path], None]
) -> None:
    write(tmp_path, row("a.wav"), row("z.wav"))
    before = np.array(load_features(tmp_path, mmap=True).values)
    change(tmp_path)
    assert_same_as_in_memory(tmp_path)
    assert len(made) == 2
    assert len(before) == 2


def test_a_change_while_the_rows_are_read_shows_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, row("a.wav"))
    make = matrix._make

    def slow(folder: Path, state: list[list[object]], material: matrix.MatrixSource) -> None:
        make(folder, state, material)
        interrupted(tmp_path, row("b.wav"))

    with monkeypatch.context() as patch:
        patch.setattr(matrix, "_make", slow)
        assert load_features(tmp_path, mmap=True).ids == ("a.wav",)
    assert load_features(tmp_path, mmap=True).ids == ("a.wav", "b.wav")


def test_one_that_is_mapped_stays_as_it_is(tmp_path: Path) -> None:
    write(tmp_path, row("a.wav"))
    table = load_features(tmp_path, mmap=True)
    write(tmp_path, row("a.wav", number=9), overwrite=True)
    load_features(tmp_path, mmap=True)
    np.testing.assert_array_equal(table.values, [row("a.wav").vector])


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_run_that_changes_the_store_removes_it(tmp_path: Path, overwrite: bool) -> None:
    write(tmp_path, row("a.wav"))
    load_features(tmp_path, mmap=True)
    assert names(tmp_path) >= FILES
    write(tmp_path, row("b.wav"), overwrite=overwrite)
    assert names(tmp_path) & FILES == {".matrix.lock"}


def test_a_run_that_changes_nothing_keeps_it(tmp_path: Path) -> None:
    write(tmp_path, row("a.wav"))
    load_features(tmp_path, mmap=True)
    write(tmp_path)
    assert names(tmp_path) >= FILES


def test_a_failure_alone_removes_it_if_its_clip_had_a_row(tmp_path: Path) -> None:
    write(tmp_path, row("a.wav"))
    load_features(tmp_path, mmap=True)
    with StoreWriter(tmp_path, info(), resume=True, overwrite=False) as store:
        store.fail(Failure("a.wav", "DecodeError", "damaged"))
    assert names(tmp_path) & FILES == {".matrix.lock"}


def test_a_shard_that_changes_removes_that_of_all(tmp_path: Path) -> None:
    for number in (1, 2):
        claim_shard(tmp_path, Shard(number, 2), info(), overwrite=False)
        write(Shard(number, 2).folder(tmp_path), row(f"{number}.wav"))
    assert_same_as_in_memory(tmp_path)
    assert names(tmp_path) >= FILES
    claim_shard(tmp_path, Shard(1, 2), info(), overwrite=False)
    write(Shard(1, 2).folder(tmp_path), row("new.wav"))
    assert names(tmp_path) & FILES == {".matrix.lock"}
    assert_same_as_in_memory(tmp_path)


def test_what_a_killed_process_left_is_replaced_and_removed(tmp_path: Path) -> None:
    write(tmp_path, row("a.wav"))

    class KilledError(BaseException):
        pass

    def vectors() -> list[np.ndarray]:
        raise KilledError

    state = lambda: []  # noqa: E731
    with pytest.raises(KilledError):
        matrix.mapped(
            tmp_path, state, lambda: matrix.MatrixSource(["a"], 3, (vectors() for _ in range(1)))
        )
    (tmp_path / ".matrix.partial").write_text("half")
    assert_same_as_in_memory(tmp_path)
    assert ".matrix.partial" not in names(tmp_path)
    (tmp_path / ".matrix.partial").write_text("half")
    write(tmp_path, row("b.wav"))
    assert names(tmp_path) & {*FILES, ".matrix.partial"} == {".matrix.lock"}


def test_a_matrix_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    write(tmp_path, row("a.wav"))
    (tmp_path / "matrix.npy").write_text("mine")
    with pytest.raises(StoreError, match=r"not one that mirfeat made.*mmap=False"):
        load_features(tmp_path, mmap=True)
    write(tmp_path, row("b.wav"), overwrite=True)
    assert (tmp_path / "matrix.npy").read_text() == "mine"


def test_a_clip_called_matrix_is_not_overwritten(tmp_path: Path) -> None:
    write(tmp_path, row("matrix"), row("sub/matrix", number=8), format="npy")
    assert_same_as_in_memory(tmp_path)
    assert_same_as_in_memory(tmp_path)
    write(tmp_path, row("b.wav"), format="npy")
    assert sorted(load_features(tmp_path).ids) == ["b.wav", "matrix", "sub/matrix"]


def test_a_folder_that_cannot_be_written_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, row("a.wav"))

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr("mirfeat.store.matrix.filelock.FileLock", refuse)
        with pytest.raises(StoreError, match=r"Permission denied.*mmap=False"):
            load_features(tmp_path, mmap=True)
        assert not names(tmp_path) & FILES
    load_features(tmp_path, mmap=True)
    monkeypatch.setattr("mirfeat.store.matrix.filelock.FileLock", refuse)
    # What is there can be used all the same.
    assert load_features(tmp_path, mmap=True).ids == ("a.wav",)


def test_a_full_disk_leaves_nothing_that_would_be_taken_for_a_matrix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, row("a.wav"))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("mirfeat.store.matrix.os.fsync", full)
        with pytest.raises(StoreError, match=r"No space left.*mmap=False"):
            load_features(tmp_path, mmap=True)
    assert not names(tmp_path) & {"matrix.npy", ".matrix.partial"}
    assert_same_as_in_memory(tmp_path)


def test_files_that_go_while_they_are_read_are_looked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that joins parts takes them away under a reader."""
    interrupted(tmp_path, row("a.wav"))
    monkeypatch.setattr("mirfeat.store.reading._SECONDS_BETWEEN_LOOKS", 0.0)
    tidied: list[bool] = []
    seen = type(info().row_files(tmp_path)).seen

    def tidied_meanwhile(self: object, path: Path) -> object:
        found = list(seen(self, path))  # type: ignore[arg-type]
        if not tidied:
            tidied.append(True)
            monkeypatch.setattr("mirfeat.store.csv_rows.CsvRows.seen", seen)
            write(tmp_path, row("b.wav"))
        return found

    monkeypatch.setattr("mirfeat.store.csv_rows.CsvRows.seen", tidied_meanwhile)
    assert load_features(tmp_path).ids == ("a.wav", "b.wav")
    assert tidied


def test_who_never_gets_a_whole_look_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, row("a.wav"))
    monkeypatch.setattr("mirfeat.store.reading._SECONDS_BETWEEN_LOOKS", 0.0)
    monkeypatch.setattr("mirfeat.store.csv_rows.CsvRows.read", lambda *_: iter(()))
    with pytest.raises(ChangedError, match="Try again"):
        load_features(tmp_path)


@pytest.mark.parametrize(("mmap", "least", "most"), [(False, 1.0, 1.3), (True, 0.0, 0.3)])
def test_a_table_is_held_once_and_a_mapped_one_not_at_all(
    tmp_path: Path, mmap: bool, least: float, most: float
) -> None:
    wide = tuple(f"x.a.{column}.mean" for column in range(4000))
    vector = np.random.default_rng(0).standard_normal(len(wide)).astype(np.float32)
    record = info(feature_names=wide)
    with StoreWriter(tmp_path, record, resume=True, overwrite=False) as store:
        for number in range(300):
            store.add(row(f"{number}.wav", vector))
    load_features(tmp_path)  # what is imported and compiled stays
    tracemalloc.start()
    try:
        table = load_features(tmp_path, mmap=mmap)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert table.values.nbytes == 300 * 4000 * 4
    assert least * table.values.nbytes <= peak < most * table.values.nbytes


def test_the_record_says_from_what_it_was_made(tmp_path: Path) -> None:
    write(tmp_path, row("a.wav"))
    load_features(tmp_path, mmap=True)
    record = json.loads((tmp_path / "matrix.json").read_text(encoding="utf-8"))
    assert record["ids"] == ["a.wav"]
    facts = (tmp_path / "features.csv").stat()
    assert ["features.csv", facts.st_size, facts.st_mtime_ns] in record["state"]
    assert [name for name, *_ in record["state"]] == ["store.json", "failures.csv", "features.csv"]
