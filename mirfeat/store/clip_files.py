"""Rows in files of their own: one npz or npy a clip, and csv files that list them."""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from mirfeat.csvfiles import join_csv, read_csv, write_csv
from mirfeat.errors import StoreError
from mirfeat.files import replacing
from mirfeat.store.csv_rows import row_of, seen_of
from mirfeat.store.formats import FACTS, Homes, Row, Seen
from mirfeat.store.ids import Inside, checked_id

# What file systems take. A clip whose name leaves no room for ".npz" gets a shortened one.
_NAME_MAX_BYTES = 255
MATRIX = "matrix.npy"
"""What ``load_features(mmap=True)`` keeps in a folder: no clip's file."""
_ARRAYS = frozenset(("vector", "values", "within_variance", "starts", "ends", "weights"))


# Of archives NumPy and zipfile raise all of these: NotImplementedError for a way of packing.
_MALFORMED = (
    *(OSError, ValueError, EOFError, MemoryError, KeyError, RuntimeError, NotImplementedError),
    *(SyntaxError, zipfile.BadZipFile, zlib.error),
)
_BEING_REPLACED = (-2, -2)  # size and time of change that no file has


class ClipFiles:
    """One ``.npz`` or ``.npy`` a clip at ``<id>.npz``, and an index in csv.

    npz holds ``vector``, or with an embedding its arrays; npy the bare vector or values.
    """

    suffix, joined, folder = ".csv", "index.csv", ""

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
        write_csv(path, FACTS, (row.facts() for row in changed))

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
        write_csv(path, FACTS, (row.facts() for row in rows))

    def read(self, path: Path) -> Iterator[Row]:
        """Rows of one index file; a clip whose file is gone is left out."""
        for cells in read_csv(path, FACTS):
            if os.path.exists(clip := self._path(checked_id(cells[0], path))):
                arrays = _arrays(Path(clip))
                yield row_of(cells, arrays["vector" if "vector" in arrays else "values"], path)

    def seen(self, path: Path) -> Iterator[Seen]:
        """Which clips one index lists and the folder has."""
        for cells in read_csv(path, FACTS):
            if os.path.exists(self._path(checked_id(cells[0], path))):
                yield seen_of(cells, path)

    def tidy(self, files: Sequence[Path], homes: Homes) -> None:
        """One ``index.csv``; files of clips that have failed since go."""
        for path in files:
            self.delete(path, keep=homes)
        join_csv(files, self.joined, FACTS, lambda id, path: homes.get(id) == path)

    def delete(self, path: Path, keep: Homes) -> None:
        """Delete the clips' files that one index lists, but for those in ``keep``."""
        for cells in read_csv(path, FACTS):
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
