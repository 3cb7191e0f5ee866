"""Tables as columns of text, a part at a time: CSV in UTF-8, and parquet.

Lists and maps of a parquet file become the text that a CSV file would hold, ``rock:3;jazz``.
"""

from __future__ import annotations

import csv
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from mirfeat.errors import ManifestError, MirfeatWarning, MissingPackageError, did_you_mean

_CHUNK_ROWS = 10_000
_MOST_COLUMNS = 1000
_PARQUET_MAGIC = b"PAR1"
# Column names this similar to a known one are probably meant to be that one.
_NEAR = 0.82
_OTHER_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some rows of a table.

    ``lines``: for each row the line it begins in as an editor counts them, or for parquet the row,
    from 1; ``columns``: text of each cell by column, empty where there is none.
    """

    lines: Sequence[int]
    columns: dict[str, Sequence[str]]


@dataclass(frozen=True, eq=False)
class TrackTable:
    """A table that is being read: its columns, and its rows in chunks, which come once.

    ``unit`` is what rows are counted in: "line" or "row".
    """

    path: Path
    unit: str
    header: tuple[str, ...]
    chunks: Iterator[Chunk]


def open_table(path: Path, required: Iterable[str]) -> TrackTable:
    """Open a CSV or parquet file, known by its content, that must have the ``required`` columns.

    Raises:
        ManifestError: not there, not readable, not UTF-8, a NUL; no header, a column twice or
            missing. While chunks are read: a line with more or fewer cells than the header.
        MissingPackageError: it is parquet and pyarrow is not installed.
    """
    try:
        with path.open("rb") as file:
            is_parquet = file.read(len(_PARQUET_MAGIC)) == _PARQUET_MAGIC
    except OSError as error:
        raise ManifestError(f"{path}: not a readable table: {error.strerror or error}.") from error
    if path.suffix.lower() == ".parquet" and not is_parquet:
        raise ManifestError(f"{path}: called parquet, but its content is not. CSV ends in .csv.")
    table = _open_parquet(path) if is_parquet else _open_csv(path)
    _check_header(table, required)
    return table


def _check_header(table: TrackTable, required: Iterable[str]) -> None:
    if len(table.header) > _MOST_COLUMNS:
        raise ManifestError(
            f"{table.path}: {len(table.header)} columns; a table of tracks has up to "
            f"{_MOST_COLUMNS}. Is it a table of features?"
        )
    seen: set[str] = set()
    for name in table.header:
        if name in seen:
            raise ManifestError(
                f"{table.path}: two columns are called {name[:80]!r}. Rename or remove one of them."
            )
        seen.add(name)
    missing = [name for name in required if name not in seen]
    if not missing:
        return
    hint = "".join(did_you_mean(name, sorted(seen)) for name in missing)
    if len(table.header) == 1:
        for character, name in _OTHER_DELIMITERS.items():
            if character in table.header[0]:
                hint = f" Cells seem to be separated by {name}; save the table with commas."
    raise ManifestError(
        f"{table.path}: no column {' and no column '.join(map(repr, missing))}; the columns are "
        f"{', '.join(repr(name[:80]) for name in table.header[:20])}.{hint}"
    )


# -- CSV ------------------------------------------------------------------------------------------


def _open_csv(path: Path) -> TrackTable:
    records = _records(path)
    _, cells = next(records, (0, []))
    if not cells:
        raise ManifestError(f"{path}: empty; it needs a line of column names and a line each row.")
    header = tuple(cell.strip() for cell in cells)
    return TrackTable(path, "line", header, _csv_chunks(path, header, records))


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line in which each record begins, and its cells; empty lines are left out."""
    line = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(_checked_lines(file, path), strict=True)
            for cells in reader:
                if cells:
                    yield line, cells
                line = reader.line_num + 1
    except UnicodeDecodeError as error:
        raise _not_utf8(path) from error
    except csv.Error as error:
        raise ManifestError(
            f"{path}, line {line}: not CSV from here on ({error}). Cells with quotes, commas or "
            'line breaks stand in quotes, and a quote in them is doubled: "a ""b"" c".'
        ) from error
    except OSError as error:
        raise ManifestError(f"{path}: not a readable table: {error.strerror or error}.") from error


def _checked_lines(file: TextIO, path: Path) -> Iterator[str]:
    for number, line in enumerate(file, start=1):
        if "\0" in line:
            raise ManifestError(
                f"{path}, line {number}: a NUL character. The file is damaged or not UTF-8; save "
                "it as CSV in UTF-8."
            )
        yield line


def _not_utf8(path: Path) -> ManifestError:
    """The error for a file that is no UTF-8, with the line of the first wrong byte."""
    data = path.read_bytes()
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return ManifestError(
            f"{path}, line {line}: not UTF-8 (byte 0x{data[error.start]:02x}). Save the table as "
            "CSV in UTF-8."
        )
    return ManifestError(f"{path}: not UTF-8. Save the table as CSV in UTF-8.")


def _csv_chunks(
    path: Path, header: Sequence[str], records: Iterator[tuple[int, list[str]]]
) -> Iterator[Chunk]:
    width = len(header)
    while block := list(islice(records, _CHUNK_ROWS)):
        for line, cells in block:
            if len(cells) != width:
                raise ManifestError(
                    f"{path}, line {line}: {len(cells)} cells, but the header has {width}. A cell "
                    "with a comma stands in quotes."
                )
        columns = zip(*(cells for _, cells in block), strict=True)
        yield Chunk([line for line, _ in block], dict(zip(header, columns, strict=True)))


# -- parquet --------------------------------------------------------------------------------------


def _open_parquet(path: Path) -> TrackTable:
    try:
        import pyarrow as pa  # an extra: large, and only this format needs it
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingPackageError(
            f"{path}: parquet needs pyarrow: pip install 'mirfeat[parquet]'"
        ) from error

    def chunks(file: Any) -> Iterator[Chunk]:
        row = 1
        try:
            for batch in file.iter_batches(_CHUNK_ROWS):
                rows = range(row, row + batch.num_rows)
                columns = zip(batch.schema.names, batch.columns, strict=True)
                yield Chunk(rows, {n: _texts(path, rows, n, c.to_pylist()) for n, c in columns})
                row = rows.stop
        except (pa.ArrowException, OSError) as error:
            raise ManifestError(f"{path}: damaged after row {row - 1}: {error}") from error
        finally:
            file.close()

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise ManifestError(f"{path}: not a readable parquet file: {error}") from error
    return TrackTable(path, "row", tuple(file.schema_arrow.names), chunks(file))


def _texts(path: Path, rows: range, column: str, cells: Sequence[Any]) -> list[str]:
    """Cells of a parquet column as text."""
    texts = []
    for row, cell in zip(rows, cells, strict=True):
        try:
            text = cell_text(cell)
        except (TypeError, ValueError) as error:
            raise ManifestError(f"{path}, row {row}, column {column!r}: {error}") from error
        if "\0" in text:
            raise ManifestError(f"{path}, row {row}, column {column!r}: a NUL character.")
        texts.append(text)
    return texts


def cell_text(cell: Any) -> str:
    """A value as the text of a cell: nothing, text, a number, a list of words or words to weights.

    Raises:
        ValueError: a word with ``;``, which separates words.
        TypeError: another type.
    """
    if isinstance(cell, str):
        return cell
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    if isinstance(cell, bytes):
        return cell.decode("utf-8")
    if isinstance(cell, dict):
        # Of a struct, fields without a value are words of other rows.
        return _bag_text((word, weight) for word, weight in cell.items() if weight is not None)
    if isinstance(cell, (list, tuple)):
        return _bag_text(map(_word_and_weight, (item for item in cell if item is not None)))
    return str(cell)


def _bag_text(bag: Iterable[tuple[str, float]]) -> str:
    parts = []
    for word, weight in bag:
        if ";" in word:
            raise ValueError(f"{word!r} holds ';', which separates words. Write another character.")
        # A word that ends like a weight gets one, so that it is read back as it is.
        plain = weight == 1 and split_weight(word)[0] == word
        parts.append(word if plain else f"{word}:{_short(weight)}")
    return ";".join(parts)


def _short(weight: float) -> str:
    return repr(float(weight)).removesuffix(".0")


def _word_and_weight(item: Any) -> tuple[str, float]:
    """A word of a list: text, a pair (of a map), or a struct of a text and a number."""
    if isinstance(item, str):
        # Lists may hold weights as CSV does.
        return split_weight(item)
    values = list(item.values()) if isinstance(item, dict) else item
    if isinstance(values, (list, tuple)) and len(values) == 2:
        word, weight = values if isinstance(values[0], str) else reversed(values)
        if isinstance(word, str) and isinstance(weight, (int, float)):
            return word, float(weight)
    raise TypeError(f"{item!r} is neither a word nor a word with a number.")


def split_weight(text: str) -> tuple[str, float]:
    """``rock:3`` as ("rock", 3.0); a part behind a colon that is no number belongs to the word."""
    word, colon, number = text.rpartition(":")
    if not colon or not word or "_" in number:
        return text, 1.0
    try:
        weight = float(number)
    except ValueError:
        return text, 1.0
    return (word.rstrip(), weight) if math.isfinite(weight) else (text, 1.0)


def warn_of_near_misses(table: TrackTable, known: Sequence[str]) -> None:
    """Warn of columns that are almost, but not, one of ``known``."""
    unused = [name for name in known if name not in table.header]
    for column in table.header:
        if column in known:
            continue
        near = [name for name in unused if _similarity(column, name) >= _NEAR]
        if near:
            warnings.warn(
                f"{table.path}: the column {column!r} is kept as text and not used."
                f"{did_you_mean(column, near)}",
                MirfeatWarning,
                stacklevel=3,
            )


def _similarity(column: str, known: str) -> float:
    return SequenceMatcher(None, column.lower(), known).ratio()
