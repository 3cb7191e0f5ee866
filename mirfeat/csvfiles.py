"""Comma-separated values: UTF-8, one header, written whole or not at all."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TextIO

from mirfeat.errors import StoreError
from mirfeat.files import replacing

_CELL = rb'("[^"]*(?:""[^"]*)*"|[^",\r\n]*)'


class _UnixLines:
    """Lines of a csv writer with a bare newline at their end.

    The writer itself must believe in CRLF: it quotes a carriage return only then, and an unquoted
    one, which file names may contain, would break the line for every reader.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, line: str) -> None:
        self._file.write(line.removesuffix("\r\n") + "\n")


def write_csv(path: Path, header: Sequence[str], lines: Iterable[Iterable[Any]]) -> None:
    """Write a csv file, whole or not at all; what UTF-8 cannot hold is written as an escape."""
    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        _write_lines(file, [header])
        _write_lines(file, lines)


def _write_lines(file: TextIO, lines: Iterable[Iterable[Any]]) -> None:
    csv.writer(_UnixLines(file), lineterminator="\r\n").writerows(lines)


def join_csv(
    files: Sequence[Path], name: str, header: Sequence[str], valid: Callable[[str, Path], bool]
) -> None:
    """Make ``files`` of one folder, oldest first, one file; they go once it is complete.

    Of a line that begins with ``id`` in the file ``path``, ``valid(id, path)`` says if it is kept.
    """
    joined = files[0].with_name(name)
    with replacing(joined) as temporary:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            _write_lines(file, [header])
        with temporary.open("ab") as bytes_file:
            for path in files:
                for record in read_records(path, header, 1):
                    if valid(record.cells[0], path):
                        bytes_file.write(record.line)
    # Oldest first, so that of a clip that was made anew the last row stays the valid one.
    for path in files:
        if path != joined:
            path.unlink()


def read_csv(path: Path, header: Sequence[str], earlier: Sequence[str] = ()) -> Iterator[list[str]]:
    """Lines of a csv file that must have exactly this header, or the ``earlier`` one.

    Raises:
        StoreError: another header, or a line with more or fewer cells.
    """
    if earlier:
        with path.open("rb") as file:
            found, _ = _Lines(path, file).take(file.readline())
        header = earlier if found == list(earlier) else header
    for record in read_records(path, header, len(header)):
        yield record.cells


class Record(NamedTuple):
    """A line of a csv file: its first cells, the text after their comma, and all its bytes."""

    cells: list[str]
    rest: bytes
    line: bytes


def read_records(path: Path, header: Sequence[str], count: int) -> Iterator[Record]:
    """Lines of a csv file, of which only the first ``count`` cells are taken apart.

    Tables of features have hundreds of columns; who needs the id alone need not wait for them.
    The cells of ``rest`` are those of the file where nothing in it is quoted, and numbers are not.

    Raises:
        StoreError: another header, or a line with more or fewer cells.
    """
    with path.open("rb") as file:
        lines = _Lines(path, file)
        found, _ = lines.take(next(lines, b""))
        if found != list(header):
            raise StoreError(f"{path}: the columns are not those of this store.")
        start = re.compile(b",".join([_CELL] * count) + rb"(?=[,\r\n]|\Z)")
        for line in lines:
            quick = _first_cells(start.match(line), line, len(header) - count)
            if quick is not None:
                yield quick
                continue
            # A name with a line break in it, a quoted cell further on, or a damaged line.
            cells, whole = lines.take(line)
            if len(cells) != len(header):
                raise StoreError(f"{path}: line {lines.number} does not fit the columns.")
            yield Record(cells[:count], ",".join(cells[count:]).encode(), _ended(whole))


def _first_cells(match: re.Match[bytes] | None, line: bytes, more: int) -> Record | None:
    """A line whose first cells match, and ``more`` unquoted ones follow; None if it is no such."""
    if not match or line.find(b'"', match.end()) >= 0 or line.count(b",", match.end()) != more:
        return None
    try:
        cells = [_plain(cell) for cell in match.groups()]
    except UnicodeDecodeError:
        return None
    return Record(cells, line[match.end() + 1 :], _ended(line))


class _Lines:
    """Lines of an open file, counted."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path, self._file, self.number = path, file, 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        line = next(self._file)
        self.number += 1
        return line

    def take(self, first: bytes) -> tuple[list[str], bytes]:
        """Cells of the row that begins with this line, and all bytes that it takes."""
        taken: list[bytes] = []

        def text() -> Iterator[str]:
            for line in chain([first], self):
                taken.append(line)
                yield line.decode("utf-8")

        try:
            return next(csv.reader(text()), []), b"".join(taken)
        except (UnicodeDecodeError, csv.Error) as error:
            raise StoreError(f"{self._path}: line {self.number}: {error}.") from error


def _plain(cell: bytes) -> str:
    if cell.startswith(b'"'):
        cell = cell[1:-1].replace(b'""', b'"')
    return cell.decode()


def _ended(line: bytes) -> bytes:
    return line if line.endswith(b"\n") else line + b"\n"
