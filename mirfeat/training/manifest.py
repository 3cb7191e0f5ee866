"""The table of tracks that a network is trained on: a file of audio, and what is known of it.

One row is one track. Cells may be empty: a track takes part in what it has labels for.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mirfeat.csvfiles import write_csv
from mirfeat.errors import ManifestError, MirfeatWarning, did_you_mean
from mirfeat.files import sha256_of
from mirfeat.training.splits import SPLITS, complete_split, crossing_groups
from mirfeat.training.tables import (
    TrackTable,
    cell_text,
    open_table,
    split_weight,
    warn_of_near_misses,
)
from mirfeat.training.taste import read_taste as read_taste

REQUIRED = ("id", "path")
COLUMNS = (
    *REQUIRED,
    *("split", "artist", "album", "title", "bpm", "year", "tags", "cdr_tags", "lyrics", "genre"),
    *("subgenres", "dataset", "licence", "corpus", "seconds"),
)
# Allowed values of number columns, ends included.
RANGES = {"bpm": (20.0, 400.0), "year": (1000.0, 2100.0), "seconds": (1e-3, float("inf"))}


@dataclass(frozen=True, eq=False, repr=False)
class Manifest:
    """Tracks and their labels.

    ``path``: the table; ``ids``: [n]; ``files``: [n], absolute; ``split``: [n] of "train", "valid"
    and "test"; ``columns``: text of every cell by column, empty where there is none; ``lines``:
    [n], where each row begins in the file, counted in ``unit`` ("line" as in an editor, or "row");
    ``digest``: sha256 of the file, which :attr:`sha256` reads if it is not given.
    """

    path: Path
    ids: tuple[str, ...]
    files: tuple[Path, ...]
    split: np.ndarray
    columns: Mapping[str, tuple[str, ...]]
    lines: Sequence[int] = ()
    unit: str = "line"
    digest: str = ""

    def __len__(self) -> int:
        """Number of tracks."""
        return len(self.ids)

    def __repr__(self) -> str:
        """The table, and how many tracks each split has."""
        splits = Counter(self.split.tolist())
        counts = ", ".join(f"{splits[name]} {name}" for name in ("train", "valid", "test"))
        return f"Manifest({str(self.path)!r}, {len(self)} tracks: {counts})"

    @property
    def sha256(self) -> str:
        """sha256 of the bytes that were read."""
        return self.digest or sha256_of(self.path)

    def has(self, column: str) -> bool:
        """Whether some track has a value in this column."""
        return any(cell.strip() for cell in self.columns.get(column, ()))

    def rows(self, split: str) -> np.ndarray:
        """Rows of "train", "valid" or "test", int64, ascending.

        Raises:
            ManifestError: another split.
        """
        if split not in ("train", "valid", "test"):
            raise ManifestError(f"split {split!r}; it is one of train, valid and test.")
        return np.flatnonzero(self.split == split)

    def texts(self, column: str) -> list[str | None]:
        """Text of a column, without spaces around; None where there is none."""
        if column not in self.columns:
            return [None] * len(self)
        return [cell.strip() or None for cell in self.columns[column]]

    def artists(self) -> list[str | None]:
        """Artist of each track; None where not known."""
        return self.texts("artist")

    def numbers(self, column: str) -> np.ndarray:
        """Numbers of a column, float64 [n]; NaN where there is none.

        Raises:
            ManifestError: something that is no number, or not in the range of the column.
        """
        if column not in self.columns:
            return np.full(len(self), np.nan)
        cells = self.columns[column]
        try:
            values = np.array([float(cell) if cell else np.nan for cell in cells])
        except ValueError:
            values = np.array([self._number(row, column) for row in range(len(self))])
        low, high = RANGES.get(column, (-np.inf, np.inf))
        wrong = np.flatnonzero(np.isinf(values) | (values < low) | (values > high))
        if len(wrong):
            row = int(wrong[0])
            allowed = f"{low:g} to {high:g}" if column in RANGES else "finite numbers"
            raise self.error(
                row,
                column,
                f"{cells[row].strip()[:80]}; {allowed} is allowed. Leave unknown ones empty.",
            )
        return values

    def _number(self, row: int, column: str) -> float:
        cell = self.columns[column][row].strip()
        try:
            return float(cell) if cell else np.nan
        except ValueError:
            raise self.error(
                row,
                column,
                f"{cell[:80]!r} is not a number such as 120.5. Leave unknown ones empty.",
            ) from None

    def bags(self, column: str) -> list[dict[str, float] | None]:
        """Words and weights of a column, ``rock:3;jazz`` as {"rock": 3.0, "jazz": 1.0}.

        Weights of a word that comes twice are added, words of weight 0 left out; None where
        nothing is left. A part behind a colon that is no number belongs to the word.

        Raises:
            ManifestError: a negative weight.
        """
        if column not in self.columns:
            return [None] * len(self)
        return [self._bag(row, column, cell) for row, cell in enumerate(self.columns[column])]

    def _bag(self, row: int, column: str, cell: str) -> dict[str, float] | None:
        bag: dict[str, float] = {}
        for part in cell.split(";"):
            if text := part.strip():
                word, weight = split_weight(text)
                if weight < 0:
                    raise self.error(row, column, f"{text[:80]!r}: a weight is 0 or more.")
                if weight:
                    bag[word] = bag.get(word, 0.0) + weight
        return bag or None

    def error(self, row: int, column: str, what: str) -> ManifestError:
        """An error that names the file, the line and the column."""
        line = self.lines[row] if len(self.lines) else row + 2
        return ManifestError(f"{self.path}, {self.unit} {line}, column {column!r}: {what}")


def read_manifest(
    path: str | os.PathLike[str], *, valid: float = 0.1, seed: int = 0, split_by: str = "artist"
) -> Manifest:
    """Read a manifest: CSV in UTF-8 or parquet, one row a track, columns as in :data:`COLUMNS`.

    ``id`` and ``path`` (relative to the table's folder, or absolute) are required and unique; other
    columns are kept as text. Tracks without a ``split`` are divided: about the share ``valid`` of
    them is for validation, all tracks of one value of ``split_by`` on one side. That depends on
    ``seed`` and names, not on the order of rows. Audio files are not looked at.

    Raises:
        ManifestError: not readable, not UTF-8, empty; a column missing or twice, a row of another
            length, an id or file missing or twice, a bad number or split; ``valid`` outside [0, 1).
        MissingPackageError: it is parquet and pyarrow is not installed.
    """
    path = Path(os.path.abspath(path))
    if not 0.0 <= valid < 1.0:
        raise ManifestError(f"valid={valid}; it is the share of tracks for validation, 0 to < 1.")
    digest = sha256_of(path) if path.is_file() else ""
    table = open_table(path, REQUIRED)
    warn_of_near_misses(table, COLUMNS)
    if split_by not in ("artist", *table.header):
        hint = did_you_mean(split_by, table.header)
        raise ManifestError(f"{path}: no column {split_by!r} to split by.{hint}")
    lines, columns = _read_columns(table)
    ids = columns["id"]
    folder = path.parent
    files = tuple([folder / cell for cell in columns["path"]])
    manifest = Manifest(path, ids, files, np.empty(0), columns, lines, table.unit, digest)
    _check(manifest)
    given = [_split_word(manifest, row, cell) for row, cell in enumerate(manifest.texts("split"))]
    groups = _groups(manifest, split_by)
    _warn_of_leaks(manifest, given, groups, split_by)
    return replace(manifest, split=complete_split(given, groups, valid=valid, seed=seed))


def _read_columns(table: TrackTable) -> tuple[Sequence[int], dict[str, tuple[str, ...]]]:
    lines: list[int] = []
    cells: dict[str, list[str]] = {name: [] for name in table.header}
    # Equal cells share memory: artists and genres come many times.
    shared: dict[str, dict[str, str]] = {name: {} for name in table.header if name not in REQUIRED}
    for chunk in table.chunks:
        lines.extend(chunk.lines)
        for name, column in chunk.columns.items():
            if name in shared:
                column = list(map(shared[name].setdefault, column, column))
            cells[name].extend(column)
    if not lines:
        raise ManifestError(f"{table.path}: no rows; it needs one for each track.")
    return np.array(lines), {name: tuple(cells.pop(name)) for name in table.header}  # type: ignore[return-value]


def _check(manifest: Manifest) -> None:
    for column in REQUIRED:
        cells = manifest.columns[column]
        for row, cell in enumerate(cells):
            if not cell.strip():
                raise manifest.error(row, column, "empty; every track needs one.")
    _check_unique(manifest, "id", manifest.ids)
    _check_unique(manifest, "path", manifest.files)
    for column in RANGES:
        manifest.numbers(column)


def _check_unique(manifest: Manifest, column: str, values: Sequence[Any]) -> None:
    if len(set(values)) == len(values):
        return
    first: dict[Any, int] = {}
    for row, value in enumerate(values):
        if (before := first.setdefault(value, row)) != row:
            raise manifest.error(
                row,
                column,
                f"{manifest.columns[column][row]!r} was already in {manifest.unit} "
                f"{manifest.lines[before]}. Every track needs one of its own.",
            )


def _groups(manifest: Manifest, split_by: str) -> list[str]:
    """Who each track belongs with; one without an artist is a group of its own."""
    pairs = zip(manifest.texts(split_by), manifest.ids, strict=True)
    # An id may be the name of an artist.
    return [f"={name.casefold()}" if name else f"#{id}" for name, id in pairs]


def _split_word(manifest: Manifest, row: int, cell: str | None) -> str | None:
    if cell is None:
        return None
    if word := SPLITS.get(cell.lower()):
        return word
    hint = did_you_mean(cell, SPLITS) or " Leave it empty to have the track divided by artist."
    raise manifest.error(row, "split", f"{cell!r}; it is train, valid or test.{hint}")


def _warn_of_leaks(
    manifest: Manifest, given: Sequence[str | None], groups: Sequence[str], split_by: str
) -> None:
    crossing = [group[1:] for group in crossing_groups(given, groups)]
    if crossing:
        few = ", ".join(crossing[:3]) + (", …" if len(crossing) > 3 else "")
        warnings.warn(
            f"{manifest.path}: {len(crossing)} values of {split_by!r} are in more than one split "
            f"({few}): scores on tracks that are held out will be too high.",
            MirfeatWarning,
            stacklevel=3,
        )


# -- beside the table -----------------------------------------------------------------------------


def write_manifest(path: str | os.PathLike[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a manifest as CSV, whole or not at all.

    ``rows``: a mapping from column to value for each track: text, a number, a list of words, words
    to weights, or None.

    Raises:
        ManifestError: no rows, a word with ``;``, which separates words, or a name in .parquet.
    """
    if Path(path).suffix.lower() == ".parquet":
        raise ManifestError(f"{path}: a manifest is written as CSV. Call it .csv.")
    rows = list(rows)
    named = dict.fromkeys(name for row in rows for name in row)
    if not rows or any(name not in named for name in REQUIRED):
        raise ManifestError(f"{path}: a manifest needs rows with {' and '.join(REQUIRED)}.")
    header = [name for name in COLUMNS if name in named]
    header += [name for name in named if name not in header]
    lines = []
    for number, row in enumerate(rows, start=1):
        try:
            lines.append([cell_text(row.get(name)) for name in header])
        except (TypeError, ValueError) as error:
            raise ManifestError(f"{path}, track {number}: {error}") from error
    write_csv(Path(path), header, lines)
