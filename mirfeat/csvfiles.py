"""Comma-separated values: UTF-8, one header, written whole or not at all."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from mirfeat.errors import StoreError
from mirfeat.files import replacing


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
        writer = csv.writer(_UnixLines(file), lineterminator="\r\n")
        writer.writerow(header)
        writer.writerows(lines)


def join_csv(
    files: Sequence[Path], name: str, header: Sequence[str], valid: Callable[[str, Path], bool]
) -> None:
    """Make ``files`` of one folder, oldest first, one file; they go once it is complete.

    Of a line that begins with ``id`` in the file ``path``, ``valid(id, path)`` says if it is kept.
    """
    joined = files[0].with_name(name)
    lines = (cells for path in files for cells in read_csv(path, header) if valid(cells[0], path))
    write_csv(joined, header, lines)
    # Oldest first, so that of a clip that was made anew the last row stays the valid one.
    for path in files:
        if path != joined:
            path.unlink()


def read_csv(path: Path, header: Sequence[str]) -> Iterator[list[str]]:
    """Lines of a csv file that must have exactly this header.

    Raises:
        StoreError: another header, or a line with more or fewer cells.
    """
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        if next(reader, None) != list(header):
            raise StoreError(f"{path}: the columns are not those of this store.")
        for cells in reader:
            if len(cells) != len(header):
                raise StoreError(f"{path}: line {reader.line_num} does not fit the columns.")
            yield cells
