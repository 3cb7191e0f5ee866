"""Manifests: what is read from a table of tracks, what is refused, who is in validation."""

import csv
import hashlib
import logging
import math
import random
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirfeat.errors import ManifestError, MirfeatWarning, MissingPackageError
from mirfeat.training.manifest import (
    Manifest,
    read_manifest,
    read_taste,
    write_manifest,
)
from mirfeat.training.splits import complete_split


def written(tmp_path: Path, text: str | bytes, name: str = "tracks.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(tmp_path: Path, text: str | bytes, **options: Any) -> Manifest:
    return read_manifest(written(tmp_path, text), **options)


def parquet(tmp_path: Path, columns: dict[str, Any], name: str = "tracks.parquet") -> Path:
    pq.write_table(pa.table(columns), tmp_path / name)
    return tmp_path / name


def same(values: np.ndarray, expected: list[float]) -> None:
    np.testing.assert_array_equal(values, np.array(expected))
    assert values.dtype == np.float64


SMALL = "id,path,artist,bpm,year,tags\na,x/a.mp3,Ann,120.5,1999,rock:3;jazz\nb,/b.mp3,,,,\n"


# -- reading --------------------------------------------------------------------------------------


@pytest.mark.parametrize("bom", ["", "\ufeff"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_table_is_read_whatever_program_wrote_it(tmp_path: Path, bom: str, newline: str) -> None:
    text = bom + SMALL.replace("\n", newline)
    manifest = read(tmp_path, text)
    assert len(manifest) == 2
    assert manifest.ids == ("a", "b")
    assert manifest.files == (tmp_path / "x" / "a.mp3", Path("/b.mp3"))
    assert manifest.path == tmp_path / "tracks.csv"
    assert manifest.sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert manifest.artists() == manifest.texts("artist") == ["Ann", None]
    same(manifest.numbers("bpm"), [120.5, math.nan])
    same(manifest.numbers("year"), [1999.0, math.nan])
    assert manifest.bags("tags") == [{"rock": 3.0, "jazz": 1.0}, None]
    assert manifest.columns["tags"] == ("rock:3;jazz", "")


def test_a_column_that_is_not_there_is_empty(tmp_path: Path) -> None:
    manifest = read(tmp_path, "id,path,genre\na,a.mp3, \nb,b.mp3,\n")
    same(manifest.numbers("bpm"), [math.nan, math.nan])
    assert manifest.texts("album") == manifest.bags("tags") == [None, None]
    assert not manifest.has("album")
    assert not manifest.has("genre")
    assert manifest.has("id")


def test_relative_paths_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, SMALL)
    monkeypatch.chdir(tmp_path)
    manifest = read_manifest("tracks.csv")
    assert manifest.path == tmp_path / "tracks.csv"
    assert manifest.files[0] == tmp_path / "x" / "a.mp3"


def test_other_columns_are_kept_as_text(tmp_path: Path) -> None:
    manifest = read(tmp_path, 'id,path,mood,\na,a.mp3,"dark, slow\n2",7\n')
    assert manifest.texts("mood") == ["dark, slow\n2"]
    same(manifest.numbers(""), [7.0])


def test_audio_is_not_looked_at(tmp_path: Path) -> None:
    assert len(read(tmp_path, "id,path\na,a.mp3\nb,b.mp3\n")) == 2


def test_a_table_of_many_rows_is_read_in_parts(tmp_path: Path) -> None:
    count = 25_000
    lines = "".join(f"{k},{k}.mp3,{k % 3}\n" for k in range(count))
    manifest = read(tmp_path, "id,path,artist\n" + lines)
    assert manifest.ids == tuple(map(str, range(count)))
    assert manifest.columns["artist"] == tuple(str(k % 3) for k in range(count))
    with pytest.raises(ManifestError, match="line 25003: 2 cells"):
        read(tmp_path, "id,path,artist\n" + lines + "\nx,y\n")


@pytest.mark.parametrize(
    ("cell", "bag"),
    [
        ("rock", {"rock": 1.0}),
        (" rock : 2.5 ;; jazz ; ", {"rock": 2.5, "jazz": 1.0}),
        ("rock;rock:2", {"rock": 3.0}),
        ("a:b", {"a:b": 1.0}),
        ("a:b:2", {"a:b": 2.0}),
        (":3", {":3": 1.0}),
        ("a:", {"a:": 1.0}),
        ("a:nan;b:inf;c:1_0", {"a:nan": 1.0, "b:inf": 1.0, "c:1_0": 1.0}),
        ("a:0;b:1e2", {"b": 100.0}),
        ("a:0", None),
        (";", None),
    ],
)
def test_bags_of_words(tmp_path: Path, cell: str, bag: dict[str, float] | None) -> None:
    assert read(tmp_path, f"id,path,lyrics\na,a.mp3,{cell}\n").bags("lyrics") == [bag]


# -- parquet --------------------------------------------------------------------------------------


def test_parquet_is_known_by_its_content_and_may_have_lists_maps_and_numbers(
    tmp_path: Path,
) -> None:
    pair = pa.struct([("count", pa.int64()), ("word", pa.string())])
    columns = {
        "id": [7, 8],
        "path": ["a.mp3", "b.mp3"],
        "bpm": pa.array([120.5, None]),
        "year": pa.array([1999.0, math.nan], pa.float32()),
        "tags": [["rock", "a:3", None], None],
        "cdr_tags": pa.array([[("rock", 0.1)], []], pa.map_(pa.string(), pa.float64())),
        "lyrics": pa.array([[{"count": 2, "word": "love:1"}], []], pa.list_(pair)),
        "subgenres": [{"metal": 1.5, "doom": None}, {"metal": None, "doom": 1.0}],
        "artist": pa.array(["Ann", None]).dictionary_encode(),
        "album": pa.array([b"Best", None]),
    }
    manifest = read_manifest(parquet(tmp_path, columns, "tracks"))
    assert manifest.ids == ("7", "8")
    same(manifest.numbers("bpm"), [120.5, math.nan])
    same(manifest.numbers("year"), [1999.0, math.nan])
    assert manifest.bags("tags") == [{"rock": 1.0, "a": 3.0}, None]
    assert manifest.bags("cdr_tags") == [{"rock": 0.1}, None]
    assert manifest.bags("lyrics") == [{"love:1": 2.0}, None]
    assert manifest.bags("subgenres") == [{"metal": 1.5}, {"doom": 1.0}]
    assert manifest.artists() == ["Ann", None]
    assert manifest.texts("album") == ["Best", None]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"tags": [["ok"], ["a;b"]]}, "row 2, column 'tags': 'a;b' holds ';'"),
        ({"tags": [[1.5], []]}, "row 1, column 'tags': 1.5 is neither a word nor"),
        ({"tags": [[["a", "b"]], []]}, r"row 1, column 'tags': \['a', 'b'\] is neither"),
        ({"bpm": [100.0, 1e6]}, "row 2, column 'bpm': 1000000.0; 20 to 400"),
        ({"artist": ["a\0", ""]}, "row 1, column 'artist': a NUL"),
        ({"artist": [b"\xff", b""]}, "row 1, column 'artist': .*utf-8"),
        ({"id": ["x", "x"]}, "row 2, column 'id': 'x' was already in row 1"),
    ],
)
def test_errors_of_parquet_name_row_and_column(
    tmp_path: Path, columns: dict[str, Any], message: str
) -> None:
    path = parquet(tmp_path, {"id": ["a", "b"], "path": ["a", "b"]} | columns)
    with pytest.raises(ManifestError, match=message):
        read_manifest(path)


def test_damaged_parquet(tmp_path: Path) -> None:
    whole = parquet(tmp_path, {"id": ["a" * 999], "path": ["a"]}).read_bytes()
    for name, data in (("cut", whole[:-9]), ("x", whole[:40] + b"\xff" * 60 + whole[100:])):
        with pytest.raises(ManifestError, match=r"not a readable parquet|damaged"):
            read_manifest(written(tmp_path, data, name))
    with pytest.raises(ManifestError, match="called parquet, but its content is not"):
        read_manifest(written(tmp_path, SMALL, "t.parquet"))


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = parquet(tmp_path, {"id": ["a"], "path": ["a"]})
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MissingPackageError, match=r"mirfeat\[parquet\]"):
        read_manifest(path)


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"tracks.csv: empty"),
        ("\n\n", r"tracks.csv: empty"),
        ("id,path\n", "no rows"),
        ("id\na\n", "no column 'path'; the columns are 'id'"),
        ("ids,paths\na,b\n", "no column 'id' and no column 'path'.*mean 'ids'.*mean 'paths'"),
        ("id;path\na;b\n", "separated by semicolons"),
        ("id\tpath\na\tb\n", "separated by tabs"),
        ("id,path,bpm,bpm\na,b,1,1\n", "two columns are called 'bpm'"),
        ("id,path\na,b\nc\n", "line 3: 1 cells, but the header has 2"),
        ('id,path\n"a\n2",b\n\nc,d,e\n', "line 5: 3 cells, but the header has 2"),
        ("id,path\na,b\na,c\n", "line 3, column 'id': 'a' was already in line 2"),
        ("id,path\na,b\nc,./b\n", "line 3, column 'path': './b' was already in line 2"),
        ("id,path\na,b\n ,c\n", "line 3, column 'id': empty"),
        ("id,path\na,\n", "line 2, column 'path': empty"),
        ("id,path,bpm\na,b,12O\n", "line 2, column 'bpm': '12O' is not a number"),
        ("id,path,bpm\na,b,\nc,d,19.9\n", "line 3, column 'bpm': 19.9; 20 to 400"),
        ("id,path,bpm\na,b,400.1\n", "column 'bpm': 400.1"),
        ("id,path,bpm\na,b,inf\n", "column 'bpm': inf"),
        ("id,path,bpm\na,b,0\n", "column 'bpm': 0; .*Leave unknown ones empty"),
        ("id,path,year\na,b,0\n", "column 'year': 0; 1000 to 2100"),
        ("id,path,year\na,b,1999-05-01\n", "column 'year': '1999-05-01' is not a number"),
        ("id,path,seconds\na,b,-1\n", "column 'seconds': -1"),
        ("id,path,split\na,b,trian\n", "line 2, column 'split': 'trian'.*Did you mean 'train"),
        ("id,path,split\na,b,1\n", "'1'; it is train, valid or test"),
        ('id,path\na,"b\nc,d\n', "line 2: not CSV from here on"),
        ('id,path\na,"b"c\n', "line 2: not CSV from here on"),
        (b"id,path\na,b\nc\0,d\n", "line 3: a NUL"),
        (b"id,path\na,b\n\xe9,d\n", r"line 3: not UTF-8 \(byte 0xe9\)"),
        ("id,path\na,b\n".encode("utf-16"), r"line 1: not UTF-8 \(byte 0xff\)"),
    ],
)
def test_errors_say_where_and_what(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(ManifestError, match=message) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(str(tmp_path / "tracks.csv"))


def test_numbers_at_the_ends_of_what_is_allowed(tmp_path: Path) -> None:
    manifest = read(tmp_path, "id,path,bpm,year\na,b, 20 ,1000\nc,d,400,2100\ne,f, ,nan\n")
    same(manifest.numbers("bpm"), [20.0, 400.0, math.nan])
    same(manifest.numbers("year"), [1000.0, 2100.0, math.nan])


@pytest.mark.parametrize("columns", [1001, 10**6])
def test_a_table_of_a_thousand_columns_is_no_table_of_tracks(tmp_path: Path, columns: int) -> None:
    header = ",".join(["id", "path", *map(str, range(columns - 2))])
    text = f"{header}\n{',' * (columns - 1)}\n"
    with pytest.raises(ManifestError, match=f"{columns} columns; a table of tracks has up to 1000"):
        read(tmp_path, text)


@pytest.mark.parametrize("cell", ["9" * 5000, "-" + "9" * 5000, "0x" + "f" * 5000, "x" * 5000])
def test_a_number_of_5000_digits_is_refused_in_a_short_message(tmp_path: Path, cell: str) -> None:
    manifest = read(tmp_path, f"id,path,mood\na,b,{cell}\nc,d,1\n")
    with pytest.raises(ManifestError, match="line 2, column 'mood'") as caught:
        manifest.numbers("mood")
    assert len(str(caught.value)) < 500


def test_errors_of_columns_that_are_read_later(tmp_path: Path) -> None:
    manifest = read(tmp_path, '\n"id",path,loud,tags\n\na,b,x,rock\nc,d,1,rock:-1\n')
    with pytest.raises(ManifestError, match="line 4, column 'loud': 'x' is not a number"):
        manifest.numbers("loud")
    with pytest.raises(ManifestError, match="line 5, column 'tags': 'rock:-1'"):
        manifest.bags("tags")
    with pytest.raises(ManifestError, match="split 'dev'"):
        manifest.rows("dev")


def test_what_is_no_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(ManifestError, match="not a readable table"):
            read_manifest(path)


def test_names_that_are_almost_those_of_columns_are_told(tmp_path: Path) -> None:
    for wrong, right in [("artists", "artist"), ("BPM", "bpm"), ("license", "licence")]:
        with pytest.warns(MirfeatWarning, match=f"'{wrong}' is kept.*mean '{right}'"):
            read(tmp_path, f"id,path,{wrong}\na,b,100\n")
    # Warnings are errors here.
    read(tmp_path, "id,path,artist,artists,date,mood,user_id\na,b,c,d,e,f,g\n")


# -- splits ---------------------------------------------------------------------------------------


def grouped(tmp_path: Path, order: list[int], **options: Any) -> Manifest:
    lines = [f"t{k},{k}.mp3,{'' if k % 5 == 0 else f'artist {k % 97}'}\n" for k in order]
    return read(tmp_path, "id,path,artist\n" + "".join(lines), **options)


def test_an_artist_is_on_one_side_whatever_the_order_of_rows(tmp_path: Path) -> None:
    order = list(range(1000))
    manifest = grouped(tmp_path, order)
    split = dict(zip(manifest.ids, manifest.split.tolist(), strict=True))
    sides: dict[str, set[str]] = {}
    for artist, side in zip(manifest.artists(), manifest.split.tolist(), strict=True):
        sides.setdefault(artist or "", set()).add(side)
    assert sides.pop("") == {"train", "valid"}
    assert all(len(side) == 1 for side in sides.values())
    assert len(manifest.rows("valid")) == pytest.approx(100, abs=5)
    assert manifest.rows("test").size == 0
    np.testing.assert_array_equal(np.flatnonzero(manifest.split == "train"), manifest.rows("train"))
    random.Random(1).shuffle(order)
    other = grouped(tmp_path, order)
    assert dict(zip(other.ids, other.split.tolist(), strict=True)) == split
    another = grouped(tmp_path, order, seed=1)
    assert dict(zip(another.ids, another.split.tolist(), strict=True)) != split


def test_names_of_artists_are_compared_without_case_and_never_with_ids(tmp_path: Path) -> None:
    text = "id,path,artist\n" + "".join(
        f"{k},{k},{'Ann' if k % 2 else ' ANN '}\n" for k in range(6)
    )
    for seed in range(5):
        manifest = read(tmp_path, text + "ann,x,\nb,y,\n", valid=0.25, seed=seed)
        assert set(manifest.split[:6].tolist()) == {"train"}
        assert set(manifest.split[6:].tolist()) == {"valid"}


def test_a_split_that_is_given_is_kept_and_takes_the_rest_of_its_artist(tmp_path: Path) -> None:
    text = (
        "id,path,artist,split\na,a,X,Test\nb,b,X,\nc,c,Y,dev\nd,d,Z,training\ne,e,Z,\nf,f,,TRAIN\n"
    )
    assert read(tmp_path, text).split.tolist() == [*["test"] * 2, "valid", *["train"] * 3]


def test_an_artist_in_two_given_splits_is_told(tmp_path: Path) -> None:
    text = "id,path,artist,split\na,a,X,train\nb,b,X,test\nc,c,,train\nd,d,,test\n"
    with pytest.warns(MirfeatWarning, match=r"1 values of 'artist'.*\(x\)"):
        manifest = read(tmp_path, text)
    assert manifest.split.tolist() == ["train", "test", "train", "test"]


def test_splitting_by_another_column(tmp_path: Path) -> None:
    text = "id,path,album\n" + "".join(f"{k},{k},{k % 10}\n" for k in range(100))
    valid = read(tmp_path, text, split_by="album").rows("valid")
    assert len(valid) == 10
    assert len(set(valid % 10)) == 1
    with pytest.raises(
        ManifestError, match=r"no column 'albums' to split by. Did you mean 'album'"
    ):
        read(tmp_path, text, split_by="albums")
    for share in (-0.1, 1.0, math.nan):
        with pytest.raises(ManifestError, match="valid="):
            read(tmp_path, text, valid=share)


@given(
    sizes=st.lists(st.integers(1, 9), min_size=2, max_size=40),
    valid=st.floats(0.01, 0.99),
    seed=st.integers(0, 9),
)
@settings(max_examples=60)
def test_both_sides_have_a_group_and_validation_its_share(
    sizes: list[int], valid: float, seed: int
) -> None:
    groups = [str(g) for g, size in enumerate(sizes) for _ in range(size)]
    split = complete_split([None] * len(groups), groups, valid=valid, seed=seed)
    count = int((split == "valid").sum())
    assert 0 < count < len(groups)
    # No group could be left out or taken that is larger than what is wrong.
    assert abs(count - valid * len(groups)) <= max(sizes)


def test_nothing_for_validation(tmp_path: Path) -> None:
    assert set(grouped(tmp_path, list(range(50)), valid=0.0).split.tolist()) == {"train"}
    assert read(tmp_path, "id,path\na,b\n").split.tolist() == ["train"]


def test_a_manifest_says_what_it_is(tmp_path: Path) -> None:
    text = repr(grouped(tmp_path, list(range(100))))
    assert text.endswith("tracks.csv', 100 tracks: 90 train, 10 valid, 0 test)")


# -- writing --------------------------------------------------------------------------------------


def test_what_is_written_is_read(tmp_path: Path) -> None:
    rows = [
        {"path": 'a, "b"\r.mp3', "id": "ü", "bpm": 120.25, "tags": {"rock": 3, "a:2": 1, "b": 0.1}},
        {
            "id": "2",
            "path": "c",
            "year": 1999,
            "bpm": None,
            "mood": "x\ny",
            "tags": ["jazz", "b:2"],
        },
    ]
    write_manifest(tmp_path / "new" / "t.csv", iter(rows))
    manifest = read_manifest(tmp_path / "new" / "t.csv")
    assert list(manifest.columns) == ["id", "path", "bpm", "year", "tags", "mood"]
    assert manifest.ids == ("ü", "2")
    assert manifest.columns["path"] == ('a, "b"\r.mp3', "c")
    same(manifest.numbers("bpm"), [120.25, math.nan])
    same(manifest.numbers("year"), [math.nan, 1999.0])
    assert manifest.bags("tags") == [{"rock": 3.0, "a:2": 1.0, "b": 0.1}, {"jazz": 1.0, "b": 2.0}]
    assert manifest.texts("mood") == [None, "x\ny"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = written(tmp_path, SMALL)

    def failing() -> Iterator[dict[str, str]]:
        yield {"id": "a", "path": "b"}
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        write_manifest(path, failing())
    for rows, message in [
        ([], "needs rows"),
        ([{"id": "a"}], "with id and path"),
        ([{"id": "a", "path": "b"}, {"id": "a", "path": "b", "tags": ["x;y"]}], "track 2.*'x;y'"),
        ([{"id": "a", "path": "b", "tags": [{1, 2}]}], "track 1.*neither"),
    ]:
        with pytest.raises(ManifestError, match=message):
            write_manifest(path, rows)
    with pytest.raises(ManifestError, match=r"CSV.*\.csv"):
        write_manifest(tmp_path / "t.parquet", [{"id": "a", "path": "b"}])
    assert path.read_bytes() == SMALL.encode()
    assert [file.name for file in tmp_path.iterdir()] == ["tracks.csv"]


# -- taste ----------------------------------------------------------------------------------------

TASTE = "user,item,count\nzoe,a,2\nann,b,1.5\nann,a,1\nbob,none,9\nann,b,1\n"


def test_taste_is_a_matrix_of_tracks_and_users(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path, TASTE, "taste.csv")
    table = list(csv.DictReader(TASTE.splitlines()))
    with caplog.at_level(logging.WARNING, "mirfeat"):
        matrix = read_taste(path, ["b", "c", "a"])
    assert "1 of 5 rows" in caplog.text
    expected = np.zeros((3, 2), dtype=np.float32)
    for row in table:
        if row["item"] != "none":
            expected["bca".index(row["item"]), ["ann", "zoe"].index(row["user"])] += float(
                row["count"]
            )
    np.testing.assert_array_equal(matrix.toarray(), expected)
    assert matrix.dtype == np.float32
    assert matrix.nnz == 3


def test_taste_from_parquet_without_a_message_where_all_is_known(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = parquet(tmp_path, {"user": [2, 1], "item": ["a", "a"], "count": [3, 4]})
    np.testing.assert_array_equal(read_taste(path, ["a"]).toarray(), [[4.0, 3.0]])
    assert not caplog.records


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user,item\na,b\n", "no column 'count'"),
        ("user,item,count\n", "no rows"),
        ("user,item,count\nu,b,1\n", "none of the items in its 1 rows"),
        ("user,item,count\nu,a,1\n,a,1\n", "line 3, column 'user': empty"),
        ("user,item,count\nu,,1\n", "line 2, column 'item': empty"),
        ("user,item,count\nu,a,x\n", "line 2, column 'count': 'x' is not"),
        ("user,item,count\nu,a,\n", "line 2, column 'count': '' is not"),
        ("user,item,count\nu,a,1\nu,a,0\n", "line 3, column 'count': '0' is not"),
        ("user,item,count\nu,a,inf\n", "line 2, column 'count': 'inf' is not"),
        ("user,item,count\nu,a,nan\n", "line 2, column 'count': 'nan' is not"),
    ],
)
def test_errors_of_taste(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        read_taste(written(tmp_path, text), ["a"])


def test_warnings_point_to_the_caller(tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read_manifest(written(tmp_path, "id,path,Artist,split\na,b,c,train\n"))
        read_manifest(written(tmp_path, "id,path,artist,split\na,b,c,train\nd,e,c,test\n"))
    assert [warning.filename for warning in caught] == [__file__, __file__]
