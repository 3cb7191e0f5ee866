"""Csv files that everybody reads the same way."""

import csv
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirfeat.csvfiles import join_csv, read_csv, read_records, write_csv
from mirfeat.errors import StoreError

HEADER = ("id", "error")
AWKWARD = ["a,b", 'say "no"', "two\nlines", "old\rmac", "dos\r\nend", "", " ", "ü/音.wav", "#x"]


def test_lines_are_plain_and_end_with_a_newline(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", HEADER, [["x", 1], ["y", "z"]])
    assert (tmp_path / "a.csv").read_bytes() == b"id,error\nx,1\ny,z\n"


@settings(deadline=None)
@given(
    rows=st.lists(
        st.tuples(*[st.text(st.characters(codec="utf-8", exclude_characters="\0"))] * 2)
    ).map(lambda rows: [*rows, ("last", "")])
)
def test_any_text_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    write_csv(path, HEADER, rows)
    assert list(map(tuple, read_csv(path, HEADER))) == rows


@pytest.mark.parametrize("text", AWKWARD)
def test_other_readers_agree(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.csv"
    write_csv(path, HEADER, [[text, "x"], ["next", text]])
    with path.open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file))[1:] == [[text, "x"], ["next", text]]
    frame = pd.read_csv(path, keep_default_na=False)
    assert frame["id"].tolist() == [text, "next"]
    assert frame["error"].tolist() == ["x", text]


def test_what_utf8_cannot_hold_is_escaped_and_costs_nothing(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", HEADER, [["caf\udce9.wav", "damaged"], ["b", "c"]])
    assert list(read_csv(tmp_path / "a.csv", HEADER)) == [[r"caf\udce9.wav", "damaged"], ["b", "c"]]


@pytest.mark.parametrize(
    "text",
    ["", "id\n", "error,id\nx,y\n", "id,error,more\nx,y,z\n", "id,error\nx\n", "id,error\n\n"],
)
def test_a_table_of_something_else_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(StoreError, match=r"a\.csv"):
        list(read_csv(tmp_path / "a.csv", HEADER))


def test_a_failing_writer_leaves_the_old_file(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", HEADER, [["x", "y"]])

    def lines() -> object:
        yield ["new", "line"]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_csv(tmp_path / "a.csv", HEADER, lines())  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
    assert list(read_csv(tmp_path / "a.csv", HEADER)) == [["x", "y"]]


def test_joining_keeps_valid_lines_in_order_and_removes_the_parts(tmp_path: Path) -> None:
    old, new = tmp_path / "all.csv", tmp_path / "part.csv"
    write_csv(old, HEADER, [["a", "old"], ["b", "old"]])
    write_csv(new, HEADER, [["c", "new"], ["a", "new"]])
    home = {"a": new, "b": old, "c": new}
    join_csv([old, new], "all.csv", HEADER, lambda id, path: home[id] == path)
    assert [path.name for path in tmp_path.iterdir()] == ["all.csv"]
    assert list(read_csv(old, HEADER)) == [["b", "old"], ["c", "new"], ["a", "new"]]


# A slow twin of read_records: the csv module takes everything apart.
def whole(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))[1:]


WIDE = ("id", "size", "notes", "x", "y", "z")
CELL = st.sampled_from([*AWKWARD, "a", '"', '""', ",", ",,", '",', '",\n"', "\r", "\n"])


@settings(deadline=None)
@given(
    rows=st.lists(
        st.tuples(CELL, CELL, CELL, *[st.sampled_from(["1.5", "-0.0", "nan", "a b"])] * 3)
    ),
    count=st.integers(1, 6),
)
def test_first_cells_are_those_of_the_csv_module(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]], count: int
) -> None:
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    write_csv(path, WIDE, rows)
    records = list(read_records(path, WIDE, count))
    assert [record.cells for record in records] == [line[:count] for line in whole(path)]
    header, written = b",".join(name.encode() for name in WIDE) + b"\n", path.read_bytes()
    assert header + b"".join(record.line for record in records) == written
    if count >= 3:
        rest = [record.rest.decode().rstrip("\n") for record in records]
        assert rest == [",".join(line[count:]) for line in whole(path)]


@pytest.mark.parametrize(
    "line",
    [
        "a,1,n,1,2",  # too few
        "a,1,n,1,2,3,4",
        '"a,1,n,1,2,3',  # never closed
        'a,1,n,"1,2",3',  # five cells that look like six
        "",
    ],
)
@pytest.mark.parametrize("count", [1, 3, 6])
def test_a_damaged_line_is_refused_however_little_is_read(
    tmp_path: Path, line: str, count: int
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(f"{','.join(WIDE)}\nok,1,n,1,2,3\n{line}\n".encode())
    with pytest.raises(StoreError, match=r"a\.csv"):
        list(read_records(path, WIDE, count))


@pytest.mark.parametrize("count", [1, 6])
def test_bytes_that_are_no_text_are_refused(tmp_path: Path, count: int) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(",".join(WIDE).encode() + b"\ncaf\xe9,1,n,1,2,3\n")
    with pytest.raises(StoreError, match=r"a\.csv: line 2"):
        list(read_records(path, WIDE, count))


def test_files_that_others_have_saved_again_are_read(tmp_path: Path) -> None:
    """With line ends of Windows, everything quoted, no newline at the end."""
    path = tmp_path / "a.csv"
    path.write_bytes(b'"id","error"\r\n"a","x"\r\nb,y\r\nc,z')
    assert list(read_csv(path, HEADER)) == [["a", "x"], ["b", "y"], ["c", "z"]]
    join_csv([path], "all.csv", HEADER, lambda id, _: id != "a")
    assert list(read_csv(tmp_path / "all.csv", HEADER)) == [["b", "y"], ["c", "z"]]
    assert not path.exists()


def test_joining_keeps_lines_to_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "part.csv"
    write_csv(path, HEADER, [[text, text] for text in AWKWARD])
    before = path.read_bytes()
    join_csv([path], "all.csv", HEADER, lambda *_: True)
    assert (tmp_path / "all.csv").read_bytes() == before
