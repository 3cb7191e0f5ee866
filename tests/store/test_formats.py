"""The files of a store: every format gives back exactly what it was given."""

import csv
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mirfeat.csvfiles import write_csv
from mirfeat.errors import MissingPackageError, StoreError
from mirfeat.store.clip_files import ClipFiles
from mirfeat.store.csv_rows import CsvRows
from mirfeat.store.formats import FORMATS, RowFiles
from mirfeat.store.parquet_rows import ParquetRows
from tests.support.stores import NAMES, assert_same, row

IDS = ["a.wav", "sub/ü 音.mp3", "sub/b.flac", 'odd/"q", \r and \n.ogg', "#1 + 50%.wav"]
# Text and back must be exact for these too.
EXTREME = np.array(
    [[0.1, -0.0, 1e-45], [3.4028235e38, 1.1754942e-38, 16777217], [np.pi, 1 / 3, -1e10]], np.float32
)


def shards_for(kind: str, folder: Path) -> RowFiles:
    if kind == "csv":
        return CsvRows(NAMES)
    return ParquetRows(len(NAMES)) if kind == "parquet" else ClipFiles(folder, kind)


@pytest.fixture(params=FORMATS)
def shards(request: pytest.FixtureRequest, tmp_path: Path) -> RowFiles:
    return shards_for(request.param, tmp_path)


def part(folder: Path, shards: RowFiles, number: int = 1) -> Path:
    return folder / f"part-{number:06d}{shards.suffix}"


def test_rows_are_read_back_exactly_and_in_order(tmp_path: Path, shards: RowFiles) -> None:
    vectors = [*EXTREME, *np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)]
    rows = [row(id, vector) for id, vector in zip(IDS, vectors, strict=True)]
    path = part(tmp_path, shards)
    shards.write(path, iter(rows))
    for one, other in zip(shards.read(path), rows, strict=True):
        assert_same(one, other)
    assert list(shards.seen(path)) == [(r.id, (r.size, r.mtime_ns)) for r in rows]


@settings(deadline=None)
@given(
    hnp.arrays(
        np.float32, (8, 3), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)
    )
)
def test_csv_text_is_the_exact_float32(
    tmp_path_factory: pytest.TempPathFactory, values: np.ndarray
) -> None:
    path, shards = tmp_path_factory.mktemp("csv") / "part-000001.csv", CsvRows(NAMES)
    shards.write(path, [row(str(index), vector) for index, vector in enumerate(values)])
    read = np.stack([found.vector for found in shards.read(path)])
    np.testing.assert_array_equal(read, values, strict=True)
    # And for a reader that knows nothing of float32.
    cells = [line[-3:] for line in csv.reader(path.read_text().splitlines()[1:])]
    np.testing.assert_array_equal(np.array(cells, np.float64).astype(np.float32), values)


def test_csv_is_one_column_a_fact_and_a_feature(tmp_path: Path) -> None:
    shards = CsvRows(NAMES)
    shards.write(tmp_path / "part-000001.csv", [row("a.wav", EXTREME[0])])
    assert (tmp_path / "part-000001.csv").read_text() == (
        "id,seconds,rows,notes,size,mtime_ns,x.a.0.mean,x.a.1.mean,x.a.0.std\n"
        f"a.wav,8.5,7,silent; tiled from 3.2 s,10000000007,{9**19},0.1,-0.0,1e-45\n"
    )


def test_parquet_is_readable_by_pandas(tmp_path: Path) -> None:
    path = tmp_path / "part-000001.parquet"
    ParquetRows(3).write(path, [row("a.wav"), row("b.wav", EXTREME[0])])
    frame = pd.read_parquet(path)
    assert list(frame.columns) == ["id", "seconds", "rows", "notes", "size", "mtime_ns", "vector"]
    np.testing.assert_array_equal(np.stack(frame["vector"]), [row("a.wav").vector, EXTREME[0]])


def test_npz_and_npy_are_one_file_a_clip_at_its_id(tmp_path: Path) -> None:
    vector = row("sub/a.wav").vector
    ClipFiles(tmp_path, "npz").write(tmp_path / "part-000001.csv", [row("sub/a.wav")])
    with np.load(tmp_path / "sub" / "a.wav.npz") as file:
        assert list(file) == ["vector"]
        np.testing.assert_array_equal(file["vector"], vector, strict=True)
    ClipFiles(tmp_path, "npy").write(tmp_path / "part-000002.csv", [row("sub/a.wav")])
    np.testing.assert_array_equal(np.load(tmp_path / "sub" / "a.wav.npy"), vector, strict=True)


def test_a_folder_named_like_a_partition_adds_no_column(tmp_path: Path) -> None:
    folder = tmp_path / "genre=rock"
    shards = ParquetRows(3)
    shards.write(folder / "part-000001.parquet", [row("a.wav")])
    assert_same(next(shards.read(folder / "part-000001.parquet")), row("a.wav"))


@pytest.mark.parametrize("name", ["x" * 251, "音" * 84, "x" * 255])
def test_a_clip_whose_name_leaves_no_room_for_the_ending_is_kept(tmp_path: Path, name: str) -> None:
    shards = ClipFiles(tmp_path, "npz")
    rows = [row(f"sub/{name}"), row(f"sub/{name[:-1]}y", number=8)]
    shards.write(tmp_path / "part-000001.csv", rows)
    for one, other in zip(shards.read(tmp_path / "part-000001.csv"), rows, strict=True):
        assert_same(one, other)
    assert len(list((tmp_path / "sub").iterdir())) == 2


@pytest.mark.parametrize("kind", ["npz", "npy"])
def test_a_clip_whose_file_is_gone_is_not_done(tmp_path: Path, kind: str) -> None:
    shards, path = ClipFiles(tmp_path, kind), tmp_path / "part-000001.csv"
    shards.write(path, [row("a.wav"), row("b.wav")])
    (tmp_path / f"a.wav.{kind}").unlink()
    assert [id for id, _ in shards.seen(path)] == ["b.wav"]
    assert [found.id for found in shards.read(path)] == ["b.wav"]


def test_clip_files_are_there_before_the_index_promises_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(path: Path, *_: object) -> None:
        assert (tmp_path / "a.wav.npz").exists()
        assert (tmp_path / "b.wav.npz").exists()
        written.append(path)

    written: list[Path] = []
    monkeypatch.setattr("mirfeat.store.clip_files.write_csv", check)
    ClipFiles(tmp_path, "npz").write(tmp_path / "part-000001.csv", [row("a.wav"), row("b.wav")])
    assert written == [tmp_path / "part-000001.csv"]


def other_columns(path: Path) -> None:
    if path.suffix == ".csv":
        write_csv(path, ("id", "x"), [["a", 1]])
    else:
        ParquetRows(2).write(path, [row("a", np.zeros(2, np.float32))])


def text(path: Path) -> None:
    path.write_text("PAR1, but no parquet file\n")


@pytest.mark.parametrize("spoil", [other_columns, text])
def test_files_of_something_else_are_refused(
    tmp_path: Path, shards: RowFiles, spoil: Callable[[Path], None]
) -> None:
    path = part(tmp_path, shards)
    spoil(path)
    for read in (shards.read, shards.seen):
        with pytest.raises(StoreError, match=re.escape(str(path))):
            list(read(path))


def test_parquet_without_pyarrow_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'mirfeat\[parquet\]'"):
        ParquetRows(3)


def test_tidying_drops_rows_that_are_not_valid_any_more(tmp_path: Path, shards: RowFiles) -> None:
    first, second, third = (part(tmp_path, shards, number) for number in (1, 2, 3))
    shards.write(first, [row("a.wav"), row("b.wav"), row("gone.wav")])
    shards.write(second, [row("lost.wav")])
    shards.write(third, [row("a.wav", number=9), row("c.wav")])
    homes = {"a.wav": third, "b.wav": first, "c.wav": third}
    shards.tidy([first, second, third], homes)
    files = [tmp_path / shards.joined] if shards.joined else [first, third]
    assert sorted(path for path in tmp_path.iterdir() if path.suffix == shards.suffix) == files
    found = [found for path in files for found in shards.read(path)]
    assert [one.id for one in found] == ["b.wav", "a.wav", "c.wav"]
    assert_same(found[1], row("a.wav", number=9))
    if isinstance(shards, ClipFiles):
        assert not any(tmp_path.glob("gone.wav.*"))


def test_a_part_that_cannot_be_written_whole_is_not_there(
    tmp_path: Path, shards: RowFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mirfeat.files.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        shards.write(part(tmp_path, shards), [row("a.wav")])
    assert list(tmp_path.iterdir()) == []


def test_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    shards = CsvRows(NAMES)
    path = tmp_path / "part-000001.csv"
    shards.write(path, [row("a.wav", EXTREME[0])])
    good = path.read_text()
    for bad in ("0.1,x,1e-45", "0.1,,1e-45", "0.1,-0.0,", ",-0.0,1e-45", "0.1,-0.0,1 2"):
        path.write_text(good.replace("0.1,-0.0,1e-45", bad))
        with pytest.raises(StoreError, match=r"part-000001\.csv"):
            list(shards.read(path))


def test_not_a_number_is_read_back(tmp_path: Path) -> None:
    shards = CsvRows(NAMES)
    path = tmp_path / "part-000001.csv"
    vector = np.array([np.nan, np.inf, -np.inf], np.float32)
    shards.write(path, [row("a.wav", vector)])
    np.testing.assert_array_equal(next(shards.read(path)).vector, vector)


def test_who_is_done_is_read_without_the_numbers(tmp_path: Path) -> None:
    """And so in a fraction of the time: resuming reads nothing else."""
    shards = CsvRows(NAMES)
    path = tmp_path / "part-000001.csv"
    shards.write(path, [row(id) for id in IDS])
    path.write_bytes(path.read_bytes().replace(b"2.3333333", b"what"))
    assert [id for id, _ in shards.seen(path)] == IDS
    with pytest.raises(StoreError, match="numbers"):
        list(shards.read(path))


@pytest.mark.parametrize("kind", ["npz", "npy"])
def test_announced_clips_are_done_in_no_state_of_theirs(tmp_path: Path, kind: str) -> None:
    shards, rows = ClipFiles(tmp_path, kind), [row("a.wav"), row("b.wav")]
    shards.write(tmp_path / "part-000001.csv", rows)
    shards.announce(tmp_path / "part-000002.csv", rows[:1])
    ((id, made_from),) = shards.seen(tmp_path / "part-000002.csv")
    assert id == "a.wav"
    # No file has a negative size; one that is not there counts as (-1, -1).
    assert made_from == (-2, -2)
    np.testing.assert_array_equal(
        next(shards.read(tmp_path / "part-000002.csv")).vector, rows[0].vector
    )


def test_tables_announce_nothing(tmp_path: Path) -> None:
    for shards in (CsvRows(NAMES), ParquetRows(len(NAMES))):
        shards.announce(part(tmp_path, shards), [row("a.wav")])
    assert list(tmp_path.iterdir()) == []
