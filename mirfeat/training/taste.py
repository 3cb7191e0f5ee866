"""Who listened to what: a table of user, item and count as a sparse matrix."""

from __future__ import annotations

import logging
import math
import os
from array import array
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

from mirfeat.errors import ManifestError
from mirfeat.training.tables import Chunk, TrackTable, open_table

logger = logging.getLogger("mirfeat")


def read_taste(path: str | os.PathLike[str], ids: Sequence[str]) -> csr_matrix:
    """Counts of a table with the columns ``user``, ``item``, ``count``: float32 [ids, users].

    Items are ids of tracks; those that are not among ``ids`` are left out, and a log message says
    how many lines that were. Users who have none of the tracks are no columns; the others come in
    the order of their names. Counts of a pair that comes twice are added.

    Raises:
        ManifestError: not readable, a column missing, a cell empty, a count that is no number
            above 0, or none of the items is a track.
        MissingPackageError: it is parquet and pyarrow is not installed.
    """
    table = open_table(Path(path), ("user", "item", "count"))
    row_of = {id: row for row, id in enumerate(ids)}
    user_of: dict[str, int] = {}
    rows, users, counts = array("q"), array("q"), array("f")
    total = 0
    for chunk in table.chunks:
        total += len(chunk.lines)
        _check(table, chunk)
        values = _counts(table, chunk)
        known = [row_of.get(item, -1) for item in chunk.columns["item"]]
        for row, user, value in zip(known, chunk.columns["user"], values, strict=True):
            if row >= 0:
                rows.append(row)
                users.append(user_of.setdefault(user, len(user_of)))
                counts.append(value)
    if not total:
        raise ManifestError(f"{path}: no rows; it needs one for each user and item.")
    if not rows:
        raise ManifestError(
            f"{path}: none of the items in its {total} rows is the id of a track. Items are ids as "
            "in the manifest."
        )
    if total > len(rows):
        logger.warning(
            "%s: %d of %d rows are not about these tracks", path, total - len(rows), total
        )
    place = np.empty(len(user_of), dtype=np.int64)
    place[[user_of[name] for name in sorted(user_of)]] = np.arange(len(user_of))
    columns = place[np.frombuffer(users, dtype=np.int64)]
    entries = (
        np.frombuffer(counts, dtype=np.float32),
        (np.frombuffer(rows, dtype=np.int64), columns),
    )
    matrix = csr_matrix(entries, shape=(len(ids), len(user_of)), dtype=np.float32)
    matrix.sum_duplicates()
    return matrix


def _check(table: TrackTable, chunk: Chunk) -> None:
    for column in ("user", "item"):
        cells = chunk.columns[column]
        if "" in cells:
            line = chunk.lines[cells.index("")]
            raise ManifestError(f"{table.path}, {table.unit} {line}, column {column!r}: empty.")


def _counts(table: TrackTable, chunk: Chunk) -> list[float]:
    counts = []
    for line, cell in zip(chunk.lines, chunk.columns["count"], strict=True):
        try:
            count = float(cell)
        except ValueError:
            count = math.nan
        if not 0.0 < count < math.inf:
            raise ManifestError(
                f"{table.path}, {table.unit} {line}, column 'count': {cell!r} is not a number "
                "above 0."
            )
        counts.append(count)
    return counts
