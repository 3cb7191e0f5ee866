"""Rows in parquet: one file for many clips."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mirfeat.errors import MissingPackageError, StoreError
from mirfeat.files import replacing
from mirfeat.store.formats import FACTS, Homes, Row, Seen
from mirfeat.store.ids import checked_id


class ParquetRows:
    """Parquet with the vector as a fixed-size list of float32 (extra ``mirfeat[parquet]``).

    The files lie in a folder of their own, which other libraries open as one table. ``about`` is
    kept in each file's schema, as JSON under the key ``mirfeat``.
    """

    suffix, joined, folder = ".parquet", None, "rows"

    def __init__(self, dimension: int, about: Mapping[str, Any] | None = None) -> None:
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
        fields = [*zip(FACTS, types, strict=True), ("vector", pa.list_(pa.float32(), dimension))]
        about_all = {"mirfeat": json.dumps(about)} if about else None
        self._schema = pa.schema(fields, metadata=about_all)

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
        for facts, vector in zip(table.select(FACTS).to_pylist(), vectors, strict=True):
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
            raise StoreError(f"{path}: not a readable file of this store: {error}") from error
