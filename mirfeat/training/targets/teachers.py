"""Tables of what a teacher says over time: any extractor's store, or tables of any other tool.

A teacher is a folder. It is a store of embeddings (``mirfeat extract MUSIC -m NAME --embed -o
FOLDER``), whose blocks are its things to learn, or it has a table for each of them,
``FOLDER/NAME.parquet`` or ``.csv``, with the columns ``id``, ``start``, ``end`` (seconds) and a
number a column for everything else.
Letters in shapes: t stretches of time of one track, k numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mirfeat.errors import MissingPackageError, StoreError, TrainingError, did_you_mean
from mirfeat.files import sha256_of

_SUFFIXES = (".parquet", ".csv")
_TIMES = ("id", "start", "end")


class Said(NamedTuple):
    """What was said of one track: ``values`` float32 [t, k] from ``starts`` to ``ends`` [t], s."""

    id: str
    starts: np.ndarray
    ends: np.ndarray
    values: np.ndarray


class TeacherTable(NamedTuple):
    """One thing to learn: ``names`` of its k numbers, and what was said, track by track."""

    names: tuple[str, ...]
    tracks: Iterator[Said]


def split_source(source: str, teachers: Mapping[str, Path]) -> tuple[str, str] | None:
    """Teacher and thing of a source such as ``musicnn.tags``; None if it is no teacher's."""
    teacher, dot, thing = source.partition(".")
    return (teacher, thing) if dot and teacher in teachers else None


def open_teacher(folder: Path, thing: str) -> TeacherTable:
    """Open ``thing`` of the teacher in ``folder``.

    Raises:
        TrainingError: there is no such folder or thing, or the table is not as above.
        MissingPackageError: it is parquet and pandas or pyarrow is not installed.
    """
    if not folder.is_dir():
        raise TrainingError(
            f"{folder}: no such folder. A teacher is a store of embeddings (mirfeat extract MUSIC "
            "-m NAME --embed -o FOLDER), or a folder with a table for each thing it says."
        )
    if (path := _table_of(folder, thing)) is not None:
        return _read_table(path)
    return _read_store(folder, thing)


def renamed(table: TeacherTable, names: Mapping[str, str]) -> TeacherTable:
    """The table with the manifest's names of tracks; what is not in ``names`` is left out."""
    tracks = (said._replace(id=names[said.id]) for said in table.tracks if said.id in names)
    return table._replace(tracks=tracks)


def digest_of(folder: Path, thing: str) -> str:
    """sha256 of what :func:`open_teacher` reads; empty where it is no longer at hand."""
    if (path := _table_of(folder, thing)) is not None:
        return sha256_of(path)
    digest = hashlib.sha256()
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    for path in files:
        digest.update(f"{path.relative_to(folder).as_posix()} {sha256_of(path)}\n".encode())
    return digest.hexdigest() if files else ""


def _table_of(folder: Path, thing: str) -> Path | None:
    paths = (folder / f"{thing}{suffix}" for suffix in _SUFFIXES)
    return next((path for path in paths if path.is_file()), None)


# -- tables ---------------------------------------------------------------------------------------


def _read_table(path: Path) -> TeacherTable:
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingPackageError(
            f"{path}: reading a teacher's table needs pandas: pip install 'mirfeat[train]'"
        ) from error
    try:
        if path.suffix == ".parquet":
            frame = pd.read_parquet(path)
        else:
            frame = pd.read_csv(path, dtype={"id": str}, keep_default_na=True)
    except ImportError as error:
        raise MissingPackageError(f"{path}: reading parquet needs pyarrow.") from error
    except (OSError, ValueError) as error:  # damaged, or not such a file
        raise TrainingError(f"{path}: not a readable table: {error}") from error
    if missing := [name for name in _TIMES if name not in frame.columns]:
        raise TrainingError(
            f"{path}: no column {', '.join(map(repr, missing))}. A teacher's table has the columns "
            "id, start, end (seconds) and one for each number."
        )
    names = tuple(str(name) for name in frame.columns if name not in _TIMES)
    _check_numbers(path, frame, names)
    frame = frame.sort_values(["id", "start"], kind="stable")
    return TeacherTable(names, _tracks(frame, names))


def _check_numbers(path: Path, frame: object, names: tuple[str, ...]) -> None:
    import pandas as pd

    assert isinstance(frame, pd.DataFrame)
    if not names:
        raise TrainingError(f"{path}: no column beside id, start and end: nothing to learn.")
    for name in ("start", "end", *names):
        if not pd.api.types.is_numeric_dtype(frame[name]):
            raise TrainingError(f"{path}: the column {name!r} is not all numbers.")
    values = frame[["start", "end", *names]].to_numpy(np.float32)
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise TrainingError(
            f"{path}, row {row + 1}: {('start', 'end', *names)[column]} is {values[row, column]}. "
            "Leave out the rows of stretches of which nothing is known."
        )
    if len(bad := np.flatnonzero(values[:, 1] <= values[:, 0])):
        start, end = values[bad[0], :2]
        raise TrainingError(f"{path}, row {bad[0] + 1}: from {start:g} s to {end:g} s.")


def _tracks(frame: object, names: tuple[str, ...]) -> Iterator[Said]:
    import pandas as pd

    assert isinstance(frame, pd.DataFrame)
    ids, starts, ends = (frame[name].to_numpy() for name in _TIMES)
    values = frame[list(names)].to_numpy(np.float32)
    edges = np.flatnonzero(ids[1:] != ids[:-1]) + 1
    for rows in np.split(np.arange(len(ids)), edges):
        if len(rows):
            part = slice(rows[0], rows[-1] + 1)
            yield Said(
                str(ids[rows[0]]),
                starts[part].astype(np.float64),
                ends[part].astype(np.float64),
                values[part],
            )


# -- stores ---------------------------------------------------------------------------------------


def _read_store(folder: Path, thing: str) -> TeacherTable:
    from mirfeat.store.reading import load_embeddings

    tables = {path.stem for path in folder.iterdir() if path.suffix in _SUFFIXES}
    try:
        embeddings = load_embeddings(folder)
        first_id, first = next(embeddings, (None, None))
    except StoreError as error:
        known = ", ".join(sorted(tables)) or "nothing"
        raise TrainingError(
            f"{folder}: no table {thing}.parquet or {thing}.csv there (but {known}), and it is no "
            f"store of embeddings: {error}"
        ) from error
    if first is None or first_id is None:
        raise TrainingError(f"{folder}: the store is empty.")
    if thing not in first.blocks:
        guess = did_you_mean(thing, first.blocks)
        raise TrainingError(
            f"{folder}: no {thing!r} there.{guess} The store has {', '.join(first.blocks)}."
        )
    block = first.blocks[thing]

    def tracks() -> Iterator[Said]:
        yield Said(first_id, first.starts, first.ends, first.values[:, block])
        for id, embedding in embeddings:
            yield Said(id, embedding.starts, embedding.ends, embedding.values[:, block])

    return TeacherTable(tuple(first.row_names[block]), tracks())
