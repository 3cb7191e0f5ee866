"""Reading a folder of extracted vectors, also while it is written and after a run was killed."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from mirfeat.audio.ids import is_gone
from mirfeat.errors import OptionError, StoreError
from mirfeat.results.embedding import Embedding
from mirfeat.results.table import FeatureTable
from mirfeat.store import matrix
from mirfeat.store.clip_files import ClipFiles
from mirfeat.store.contents import ChangedError, Contents, data_files
from mirfeat.store.jobarray import is_plain_store, shard_folders
from mirfeat.store.record import StoreInfo, read_failures, shard_stores, stores_in

logger = logging.getLogger("mirfeat")

# A writer that tidies up takes files away under a reader, who then looks again.
_LOOKS, _SECONDS_BETWEEN_LOOKS = 5, 0.5


def _warn_of_missing(folder: Path) -> None:
    if is_plain_store(folder) or not (stores := shard_stores(folder)):
        return
    there = {shard for shard, path in shard_folders(folder).items() if path in stores}
    count = next(iter(there)).total
    missing = sorted({*range(1, count + 1)} - {shard.number for shard in there})
    if missing:
        names = ", ".join(map(str, missing[:20])) + (", …" if len(missing) > 20 else "")
        logger.warning(
            "%s: %d of %d shards are there; missing: %s", folder, len(there), count, names
        )


def load_features(
    folder: Path | str, *, mmap: bool = False, present_only: bool = False
) -> FeatureTable:
    """All vectors of a store as one table; of an interrupted run what is complete.

    Of a store of embeddings (npz) the vectors are computed from their rows. With ``mmap`` they are
    written to ``matrix.npy`` in the folder once, and ``values`` is that file mapped into memory,
    read-only: for tables that do not fit. It is used again until the store changes. With
    ``present_only`` clips are left out whose file is no longer where it was (their rows are copied,
    so it does not go together with ``mmap``); of files at URLs nobody asks.

    >>> report = extractor.extract_to("store", songs[:2], progress=False)
    >>> mirfeat.load_features("store")
    FeatureTable(2 clips x 320 of choi2017)

    Raises:
        StoreError: not a store, embeddings as npy, which have no weights, or with ``mmap`` a folder
            that cannot be written.
        ProvenanceError: shards of a job array that were made in different ways.
        OptionError: ``mmap`` and ``present_only``.
    """
    if mmap and present_only:
        raise OptionError("present_only copies rows; take mmap=False, or --prune the folder.")
    folder = Path(folder)
    _warn_of_missing(folder)
    for _ in range(_LOOKS - 1):
        with suppress(ChangedError):
            return _chosen(folder, mmap, present_only)
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    return _chosen(folder, mmap, present_only)


def _chosen(folder: Path, mmap: bool, present_only: bool) -> FeatureTable:
    table = _load(folder, mmap)
    if not present_only:
        return table
    root = StoreInfo.read(folder).root
    rows = [row for row, id in enumerate(table.ids) if not is_gone(id, root)]
    return replace(
        table,
        values=table.values[rows],
        ids=tuple(table.ids[row] for row in rows),
        failures=tuple(failure for failure in table.failures if not is_gone(failure.id, root)),
    )


def _load(folder: Path, mmap: bool) -> FeatureTable:
    info, stores = StoreInfo.read(folder), stores_in(folder)

    def state() -> list[list[Any]]:
        return _state(folder, info, stores)

    def material() -> matrix.MatrixSource:
        return _material(info, [_contents(store, info) for store in stores])

    if mmap:
        ids, values = matrix.mapped(folder, state, material)
    else:
        found = material()
        ids = tuple(found.ids)
        # Once: a list of rows and then their stack would need twice the memory.
        values = np.empty((len(ids), found.dimension), np.float32)
        for row, vector in enumerate(found.vectors):
            if vector.shape != (found.dimension,):
                raise StoreError(
                    f"{folder}: the row of {ids[row]!r} has shape {vector.shape}, where "
                    f"{found.dimension} numbers belong."
                )
            values[row] = vector
    there = set(ids)
    # One that has failed since the rows were looked at.
    failures = tuple(failure for failure in read_failures(folder) if failure.id not in there)
    return FeatureTable(values, ids, info.feature_names, info.provenance, failures)


def store_state(folder: Path) -> list[list[Any]]:
    """Name, size in bytes and time of change of each file that decides which vectors there are.

    Raises:
        StoreError: not a store.
        ProvenanceError: shards of a job array that were made in different ways.
    """
    return _state(folder, StoreInfo.read(folder), stores_in(folder))


def _state(folder: Path, info: StoreInfo, stores: Sequence[Path]) -> list[list[Any]]:
    return matrix.state_of((path for store in stores for path in _files_of(store, info)), folder)


def _contents(store: Path, info: StoreInfo) -> Contents:
    # Before the rows: a clip that works at last is listed as failed until its row is there.
    failures = read_failures(store)
    row_files = _clips_of(store, info) if info.embed else info.row_files(store)
    return Contents.of(store, row_files, failures)


def _material(info: StoreInfo, contents: Sequence[Contents]) -> matrix.MatrixSource:
    statistics = info.provenance.options["statistics"] if info.embed else None
    return matrix.MatrixSource(
        [id for one in contents for id in one.ids],
        len(info.feature_names),
        chain.from_iterable(one.vectors(statistics) for one in contents),
    )


def _files_of(store: Path, info: StoreInfo) -> list[Path]:
    """Files that decide which vectors a store has."""
    names = ("store.json", "failures.csv")
    return [*(store / name for name in names), *data_files(store, info.row_files(store))]


def load_embeddings(folder: Path | str) -> Iterator[tuple[str, Embedding]]:
    """Id and embedding of each clip in a store made with ``embed`` as npz, one at a time.

    >>> report = extractor.extract_to("rows", songs[:1], embed=True, format="npz", progress=False)
    >>> for id, rows in mirfeat.load_embeddings("rows"):
    ...     print(id, rows.values.shape)
    electronic_coherence.opus (1, 160)

    Raises:
        StoreError: not a store, or one of another kind.
        ProvenanceError: shards of a job array that were made in different ways.
    """
    folder = Path(folder)
    _warn_of_missing(folder)
    info = StoreInfo.read(folder)
    blocks: dict[str, slice] = {}
    for column, name in enumerate(info.row_names):
        block = name.split(".")[1]
        start = blocks[block].start if block in blocks else column
        blocks[block] = slice(start, column + 1)
    for store in stores_in(folder):
        clips = _clips_of(store, info)
        for id in Contents.of(store, clips, read_failures(store)).ids:
            yield (
                id,
                Embedding(
                    **clips.arrays(id),
                    blocks=blocks,
                    row_names=info.row_names,
                    provenance=info.provenance,
                ),
            )


def _clips_of(store: Path, info: StoreInfo) -> ClipFiles:
    shards = info.row_files(store)
    if not info.embed or info.format != "npz" or not isinstance(shards, ClipFiles):
        raise StoreError(
            f"{store}: holds no embeddings with times. Extract with --embed --format npz."
        )
    return shards
