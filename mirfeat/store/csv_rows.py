"""Rows in csv: one file for many clips, and what an index of clips' files has in common with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from mirfeat.csvfiles import join_csv, read_records, write_csv
from mirfeat.errors import StoreError
from mirfeat.store.formats import FACTS, Homes, Row, Seen
from mirfeat.store.ids import checked_id


class CsvRows:
    """Comma-separated values, UTF-8, one column a feature, shortest exact float32 text."""

    suffix, joined, folder = ".csv", "features.csv", ""

    def __init__(self, feature_names: Sequence[str]) -> None:
        """Columns are the facts, then ``feature_names``."""
        self._header = [*FACTS, *feature_names]

    def announce(self, path: Path, rows: Sequence[Row]) -> None:
        """Nothing: a row of before stays as it is until the new one is there."""

    def write(self, path: Path, rows: Iterable[Row]) -> None:
        """Write one file of rows."""
        write_csv(path, self._header, ([*row.facts(), *map(str, row.vector)] for row in rows))

    def read(self, path: Path) -> Iterator[Row]:
        """Rows of one file, in order."""
        count = len(self._header) - len(FACTS)
        for record in read_records(path, self._header, len(FACTS)):
            yield row_of(record.cells, _numbers(record.rest, count, path), path)

    def seen(self, path: Path) -> Iterator[Seen]:
        """Which clips one file holds, without their vectors."""
        for record in read_records(path, self._header, len(FACTS)):
            yield seen_of(record.cells, path)

    def tidy(self, files: Sequence[Path], homes: Homes) -> None:
        """One ``features.csv``; the others go once it is complete."""
        join_csv(files, self.joined, self._header, lambda id, path: homes.get(id) == path)


def _numbers(text: bytes, count: int, path: Path) -> np.ndarray:
    """float32 (count,) of numbers with commas between them."""
    try:
        # Of nothing at the end NumPy would make a number.
        if not text.rstrip().endswith(b","):
            values = np.fromstring(text, dtype=np.float32, sep=",")
            if len(values) == count:
                return values
    except (ValueError, DeprecationWarning):
        pass
    raise StoreError(f"{path}: holds a line with something else than {count} numbers.")


def row_of(cells: Sequence[str], vector: np.ndarray, path: Path) -> Row:
    """A row from a line's facts and its vector."""
    id, seconds, rows, notes, size, mtime_ns = cells
    try:
        numbers = float(seconds), int(rows), notes, int(size), int(mtime_ns)
    except ValueError as error:
        raise _no_number(id, path) from error
    return Row(checked_id(id, path), *numbers, vector)


def seen_of(cells: Sequence[str], path: Path) -> Seen:
    """Which clip a line is of, and of which state of its file."""
    try:
        return checked_id(cells[0], path), (int(cells[4]), int(cells[5]))
    except ValueError as error:
        raise _no_number(cells[0], path) from error


def _no_number(id: str, path: Path) -> StoreError:
    return StoreError(f"{path}: the line of {id[:200]!r} has something else where numbers belong.")
