"""A store's vectors as one file that is mapped into memory, for tables larger than it.

``matrix.npy`` is written in one pass over the rows and kept beside them; ``matrix.json`` says which
clips its rows are, and from which files, in which state, they came. While those have not changed,
the matrix is used again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import filelock
import numpy as np

from mirfeat.errors import StoreError
from mirfeat.files import replacing, sync_folder
from mirfeat.store.clip_files import MATRIX

_RECORD, _UNFINISHED, _LOCK = "matrix.json", ".matrix.partial", ".matrix.lock"
FILES = (MATRIX, _UNFINISHED, _RECORD)
"""All files that are made here; the record goes last, because it says that the others are ours."""


class MatrixSource(NamedTuple):
    """What a matrix is made of: a vector (dimension,) for each of ``ids``."""

    ids: Sequence[str]
    dimension: int
    vectors: Iterable[np.ndarray]


def state_of(paths: Iterable[Path], folder: Path) -> list[list[Any]]:
    """Name, size in bytes and time of change of files below ``folder``, for the record."""
    found = []
    for path in paths:
        try:
            facts = path.stat()
        except FileNotFoundError:
            continue
        found.append([path.relative_to(folder).as_posix(), facts.st_size, facts.st_mtime_ns])
    return found


def mapped(
    folder: Path, state: Callable[[], list[list[Any]]], read: Callable[[], MatrixSource]
) -> tuple[tuple[str, ...], np.ndarray]:
    """Ids and their vectors, a read-only float32 ``np.memmap`` [n, dimension].

    ``state`` says how the files are that ``read`` reads; the matrix is made anew when that changed.
    Of several processes that want it one makes it, and the others wait.

    Raises:
        StoreError: the folder cannot be written, or has a matrix.npy that is not ours.
    """
    if found := _there(folder, state()):
        return found
    try:
        with filelock.FileLock(folder / _LOCK):
            # Before the rows are read: what changes meanwhile shows next time.
            now = state()
            if found := _there(folder, now):
                return found
            _make(folder, now, read())
            found = _there(folder, now)
    except OSError as error:
        raise StoreError(
            f"{folder}: {MATRIX} cannot be written ({error.strerror or error}). Use mmap=False, "
            "which reads the vectors into memory."
        ) from error
    if not found:
        raise StoreError(f"{folder}: {MATRIX} was changed by somebody else. Try again.")
    return found


def discard(folder: Path) -> None:
    """Delete the matrix of a folder, if it has one; whoever has it mapped keeps it."""
    if (folder / _RECORD).exists():
        for name in FILES:
            (folder / name).unlink(missing_ok=True)


def _there(folder: Path, state: list[list[Any]]) -> tuple[tuple[str, ...], np.ndarray] | None:
    """The matrix, if it is of this state."""
    try:
        record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        if record["state"] != state or record["matrix"] is None:
            return None
        with (folder / MATRIX).open("rb") as file:
            # Of the open file: by its name it may be another one by now.
            facts = os.fstat(file.fileno())
            if [facts.st_size, facts.st_mtime_ns] != record["matrix"]:
                return None
            np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            values: np.ndarray = np.memmap(file, dtype, "r", file.tell(), shape)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return tuple(record["ids"]), values


def _make(folder: Path, state: list[list[Any]], material: MatrixSource) -> None:
    path, unfinished = folder / MATRIX, folder / _UNFINISHED
    if path.exists() and not (folder / _RECORD).exists():
        raise StoreError(f"{path}: is not one that mirfeat made. Move it, or use mmap=False.")
    # So that whatever is left if this is cut short is known to be ours.
    _write_record(folder, state, None, ())
    shape = (len(material.ids), material.dimension)
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    try:
        # A link of that name would be written through.
        unfinished.unlink(missing_ok=True)
        with unfinished.open("xb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for vector in material.vectors:
                file.write(np.ascontiguousarray(vector, "<f4").data)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        sync_folder(folder)
    finally:
        unfinished.unlink(missing_ok=True)
    facts = path.stat()
    _write_record(folder, state, [facts.st_size, facts.st_mtime_ns], material.ids)


def _write_record(
    folder: Path, state: list[list[Any]], matrix: list[int] | None, ids: Sequence[str]
) -> None:
    record = {"state": state, "matrix": matrix, "ids": list(ids)}
    with replacing(folder / _RECORD) as temporary:
        temporary.write_text(json.dumps(record), encoding="utf-8")
