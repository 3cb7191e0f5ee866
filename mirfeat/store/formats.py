"""Files of a store: how rows are written and read back, one class a format.

A row is a :class:`Row`; every file appears whole or not at all. Rows arrive in parts,
``part-000001`` and so on. Table formats hold many rows a part, the others one file a clip and
parts that list them. At a clean end csv parts become one file.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol, TypeAlias

import numpy as np

from mirfeat.csvfiles import join_csv, read_csv, read_records, write_csv
from mirfeat.errors import MissingPackageError, StoreError
from mirfeat.files import replacing
from mirfeat.store.ids import Inside, checked_id

Format = Literal["csv", "parquet", "npz", "npy"]
FORMATS: tuple[Format, ...] = ("csv", "parquet", "npz", "npy")
# What file systems take. A clip whose name leaves no room for ".npz" gets a shortened one.
_NAME_MAX_BYTES = 255
_FACTS = ("id", "seconds", "rows", "notes", "size", "mtime_ns")
MATRIX = "matrix.npy"
"""What ``load_features(mmap=True)`` keeps in a folder: no clip's file."""
_ARRAYS = frozenset(("vector", "values", "within_variance", "starts", "ends", "weights"))
# Of archives NumPy and zipfile raise all of these: NotImplementedError for a way of packing.
_MALFORMED = (
    *(OSError, ValueError, EOFError, MemoryError, KeyError, RuntimeError, NotImplementedError),
    *(SyntaxError, zipfile.BadZipFile, zlib.error),
)
_BEING_REPLACED = (-2, -2)  # size and time of change that no file has


@dataclass(frozen=True, eq=False)
class Row:
    """One clip as stored. ``vector`` is float32 (dimension,); size and mtime are the file's.

    ``arrays`` holds the rows of the clip where an embedding was asked for.
    """

    id: str
    seconds: float
    rows: int
    notes: str
    size: int
    mtime_ns: int
    vector: np.ndarray
    arrays: Mapping[str, np.ndarray] | None = None

    def facts(self) -> list[Any]:
        """Everything but the vector, as columns."""
        return [self.id, self.seconds, self.rows, self.notes, self.size, self.mtime_ns]


Seen: TypeAlias = tuple[str, tuple[int, int]]
"""Id of a clip, and (size, mtime_ns) of the file it was made from."""

Homes: TypeAlias = Mapping[str, Path]
"""For each clip the file that has its valid row: the last one, and none once it has failed."""


class Shards(Protocol):
    """What a format must offer."""

    @property
    def suffix(self) -> str:
        """Ending of parts."""
        ...

    @property
    def joined(self) -> str | None:
        """Name of the one file that parts become at a clean end, if they do."""
        ...

    def announce(self, path: Path, rows: Sequence[Row]) -> None:
        """Before ``write(path, …)``: these clips have a row already, of another state of theirs."""
        ...

    def write(self, path: Path, rows: Iterable[Row]) -> None:
        """Write one file of rows."""
        ...

    def read(self, path: Path) -> Iterator[Row]:
        """Rows of one file, in order."""
        ...

    def seen(self, path: Path) -> Iterator[Seen]:
        """Which clips one file holds, without their vectors."""
        ...

    def tidy(self, files: Sequence[Path], homes: Homes) -> None:
        """Drop rows that are not valid any more from ``files``, and join those where that is done.

        Killed at any point, what is on disk still reads the same.
        """
        ...


class CsvShards:
    """Comma-separated values, UTF-8, one column a feature, shortest exact float32 text."""

    suffix, joined = ".csv", "features.csv"

    def __init__(self, feature_names: Sequence[str]) -> None:
        """Columns are the facts, then ``feature_names``."""
        self._header = [*_FACTS, *feature_names]

    def announce(self, path: Path, rows: Sequence[Row]) -> None:
        """Nothing: a row of before stays as it is until the new one is there."""

    def write(self, path: Path, rows: Iterable[Row]) -> None:
        """Write one file of rows."""
        write_csv(path, self._header, ([*row.facts(), *map(str, row.vector)] for row in rows))

    def read(self, path: Path) -> Iterator[Row]:
        """Rows of one file, in order."""
        count = len(self._header) - len(_FACTS)
        for record in read_records(path, self._header, len(_FACTS)):
            yield _row(record.cells, _numbers(record.rest, count, path), path)

    def seen(self, path: Path) -> Iterator[Seen]:
        """Which clips one file holds, without their vectors."""
        for record in read_records(path, self._header, len(_FACTS)):
            yield _seen(record.cells, path)

    def tidy(self, files: Sequence[Path], homes: Homes) -> None:
        """One ``features.csv``; the parts go once it is complete."""
        join_csv(files, self.joined, self._header, lambda id, path: homes.get(id) == path)


class ParquetShards:
    """Parquet with the vector as a fixed-size list of float32 (extra ``mirfeat[parquet]``)."""

    suffix, joined = ".parquet", None

    def __init__(self, dimension: int) -> None:
        """Vectors of ``dimension`` numbers."""
        try:
            import pyarrow as pa  # an extra: large, and only this format needs it
            import pyarrow.parquet as pq
        except ImportError as error:
            raise MissingPackageError(
                "parquet needs pyarrow: pip install 'mirfeat[parquet]'"
            ) from error
        self._pa: Any = pa
        self._pq: Any = pq
        types = (pa.string(), pa.float64(), pa.int64(), pa.string(), pa.int64(), pa.int64())
        fields = [*zip(_FACTS, types, strict=True), ("vector", pa.list_(pa.float32(), dimension))]
        self._schema = pa.schema(fields)

    def announce(self, path: Path, rows: Sequence[Row]) -> None:
        """Nothing: a row of before stays as it is until the new one is there."""

    def write(self, path: Path, rows: Iterable[Row]) -> None:
        """Write one file of rows."""
        rows = list(rows)
        columns = list(zip(*(row.facts() for row in rows), strict=True))
        arrays = [
            self._pa.array(column, type=field.type)
            for column, field in zip(columns, self._schema, strict=False)
        ]
        flat = self._pa.array(np.concatenate([row.vector for row in rows]))
        size = len(rows[0].vector)
        arrays.append(self._pa.FixedSizeListArray.from_arrays(flat, size))
        table = self._pa.Table.from_arrays(arrays, schema=self._schema)
        with replacing(path) as temporary:
            self._pq.write_table(table, temporary)

    def read(self, path: Path) -> Iterator[Row]:
        """Rows of one file, in order."""
        table = self._table(path)
        vectors = table["vector"].combine_chunks().flatten().to_numpy()
        vectors = vectors.reshape(len(table), -1)
        for facts, vector in zip(table.select(_FACTS).to_pylist(), vectors, strict=True):
            checked_id(facts["id"], path)
            yield Row(**facts, vector=vector)

    def seen(self, path: Path) -> Iterator[Seen]:
        """Which clips one file holds, without their vectors."""
        columns = self._table(path, ["id", "size", "mtime_ns"]).to_pydict()
        for id, size, mtime_ns in zip(*columns.values(), strict=True):
            yield checked_id(id, path), (size, mtime_ns)

    def tidy(self, files: Sequence[Path], homes: Homes) -> None:
        """Rewrite the files that hold rows of clips that were made anew since."""
        for path in files:
            valid = [homes.get(id) == path for id, _ in self.seen(path)]
            if not any(valid):
                path.unlink()
            elif not all(valid):
                rows = zip(self.read(path), valid, strict=True)
                self.write(path, [row for row, keep in rows if keep])

    def _table(self, path: Path, columns: list[str] | None = None) -> Any:
        try:
            # Not pq.read_table: it would take a folder named "genre=rock" for a column.
            with self._pq.ParquetFile(path) as file:
                if not file.schema_arrow.equals(self._schema):
                    raise StoreError(f"{path}: the columns are not those of this store.")
                return file.read(columns)
        except FileNotFoundError:
            raise  # joined or made anew by a writer since it was listed
        except (OSError, ValueError, self._pa.ArrowException) as error:
            raise StoreError(f"{path}: not a readable part of this store: {error}") from error


class ClipFiles:
    """One ``.npz`` or ``.npy`` a clip at ``<id>.npz``, and an index of csv shards.

    npz holds ``vector``, or with an embedding its arrays; npy the bare vector or values.
    """

    suffix, joined = ".csv", "index.csv"

    def __init__(self, folder: Path, kind: str) -> None:
        """Clip files below ``folder``."""
        self._folder, self._kind, self._inside = folder, kind, Inside(folder)

    def announce(self, path: Path, rows: Sequence[Row]) -> None:
        """List these clips as made from a state that no file has.

        Otherwise a run that is killed after it has replaced a clip's file would leave a list that
        says what the file before it was made from.
        """
        size, mtime_ns = _BEING_REPLACED
        changed = [replace(row, size=size, mtime_ns=mtime_ns) for row in rows]
        write_csv(path, _FACTS, (row.facts() for row in changed))

    def write(self, path: Path, rows: Iterable[Row]) -> None:
        """Write the clips' files, then the index, so that the index never promises too much."""
        rows = list(rows)
        for row in rows:
            with replacing(Path(self._path(row.id))) as temporary, temporary.open("wb") as file:
                arrays = row.arrays or {"vector": row.vector}
                if self._kind == "npz":
                    np.savez(file, **arrays)  # type: ignore[arg-type]
                else:
                    np.save(file, arrays.get("values", row.vector))
        write_csv(path, _FACTS, (row.facts() for row in rows))

    def read(self, path: Path) -> Iterator[Row]:
        """Rows of one index file; a clip whose file is gone is left out."""
        for cells in read_csv(path, _FACTS):
            if os.path.exists(clip := self._path(checked_id(cells[0], path))):
                arrays = _arrays(Path(clip))
                yield _row(cells, arrays["vector" if "vector" in arrays else "values"], path)

    def seen(self, path: Path) -> Iterator[Seen]:
        """Which clips one index lists and the folder has."""
        for cells in read_csv(path, _FACTS):
            if os.path.exists(self._path(checked_id(cells[0], path))):
                yield _seen(cells, path)

    def tidy(self, files: Sequence[Path], homes: Homes) -> None:
        """One ``index.csv``; files of clips that have failed since go."""
        for path in files:
            self.delete(path, keep=homes)
        join_csv(files, self.joined, _FACTS, lambda id, path: homes.get(id) == path)

    def delete(self, path: Path, keep: Homes) -> None:
        """Delete the clips' files that one index lists, but for those in ``keep``."""
        for cells in read_csv(path, _FACTS):
            if (id := checked_id(cells[0], path)) not in keep:
                Path(self._path(id)).unlink(missing_ok=True)

    def arrays(self, id: str) -> dict[str, np.ndarray]:
        """Everything in a clip's npz file of an embedding.

        Raises:
            StoreError: it is damaged, or something else.
        """
        path = Path(self._path(id))
        arrays = _arrays(path)
        values = arrays.get("values", np.empty(0))
        times = values.shape[:1]
        shapes = {"values": values.shape, "within_variance": values.shape}
        shapes |= {"starts": times, "ends": times, "weights": times}
        if values.ndim != 2 or {key: array.shape for key, array in arrays.items()} != shapes:
            raise StoreError(f"{path}: its arrays are not those of an embedding.")
        return arrays

    def _path(self, id: str) -> str:
        """Where a clip's file is; text, because a Path costs more than to look for the file."""
        folder, _, name = id.rpartition("/")
        self._inside.check(folder)
        long = len(os.fsencode(name)) + len(f".{self._kind}") > _NAME_MAX_BYTES
        if long or f"{id}.{self._kind}" == MATRIX:
            name = f"{name[:50]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
        return os.path.join(self._folder, folder, f"{name}.{self._kind}")


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """What a clip's file holds; a bare array is its ``values``."""
    try:
        # Opened here, because NumPy leaves a damaged file open.
        with path.open("rb") as file:
            _refuse_inflating(file)
            data = np.load(file, allow_pickle=False)
            arrays = {"values": data} if isinstance(data, np.ndarray) else dict(data)
        if not arrays.keys() <= _ARRAYS or any(a.dtype.kind != "f" for a in arrays.values()):
            raise ValueError(f"it holds {', '.join(sorted(arrays))[:200]}")
        if "vector" not in arrays and "values" not in arrays:
            raise ValueError("it holds neither a vector nor values")
        return arrays
    except FileNotFoundError:
        raise  # deleted by a writer since it was listed
    except _MALFORMED as error:
        raise StoreError(f"{path}: not a readable file of this store: {error}") from error


def _refuse_inflating(file: BinaryIO) -> None:
    """What mirfeat writes is stored as it is; what is compressed may be of any size inside."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise ValueError("it is compressed, which mirfeat never does")
    file.seek(0)


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


def _row(cells: Sequence[str], vector: np.ndarray, path: Path) -> Row:
    id, seconds, rows, notes, size, mtime_ns = cells
    try:
        numbers = float(seconds), int(rows), notes, int(size), int(mtime_ns)
    except ValueError as error:
        raise _no_number(id, path) from error
    return Row(checked_id(id, path), *numbers, vector)


def _seen(cells: Sequence[str], path: Path) -> Seen:
    try:
        return checked_id(cells[0], path), (int(cells[4]), int(cells[5]))
    except ValueError as error:
        raise _no_number(cells[0], path) from error


def _no_number(id: str, path: Path) -> StoreError:
    return StoreError(f"{path}: the line of {id[:200]!r} has something else where numbers belong.")
