"""Indexes of large stores, kept in the cache folder and mapped into memory when they are asked.

One folder for each store, metric and state of the store's files: a store that has changed has
another one, so that what is found is never out of date. It appears whole, under its name, or not at
all.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import time
from pathlib import Path
from typing import Any

import filelock
import numpy as np

from mirfeat.checkpoints.downloads import cache_folder
from mirfeat.errors import StoreError
from mirfeat.explore.approximate import ApproximateSearch, require_faiss
from mirfeat.explore.neighbours import Neighbours
from mirfeat.explore.placement import Metric, Placement, check_metric
from mirfeat.files import UNFINISHED, readable, sync_folder
from mirfeat.runs.progress import Shown
from mirfeat.store.reading import load_features, store_state

# Of what is in the files, and of how cells are made.
_VERSION = 1
_CELLS, _PLACEMENT, _IDS, _ABOUT = "cells.faiss", "placement.npz", "ids.json", "about.json"
_LEFTOVER_SECONDS = 24 * 3600


def open_index(
    folder: Path | str, metric: Metric = "cosine", *, progress: Shown = None
) -> Neighbours:
    """Approximate neighbours in a store, from an index that is kept in the cache folder.

    The first call makes the index, which takes minutes for a million clips and twice the memory of
    the table; later ones map it into memory in a second, whoever makes them, until the store
    changes. It is as large as the table, ``clips * dimension * 4`` bytes. Indexes of earlier states
    and of stores that are gone are deleted when one is made. Numbers are standardised over the
    store.

    >>> from mirfeat.explore.kept_index import open_index
    >>> report = extractor.extract_to("store", songs[:4], progress=False)
    >>> index = open_index("store", progress=False)
    >>> len(index), index.approximate
    (4, True)

    Args:
        folder: a store.
        metric: ``"cosine"`` or ``"l1"``.
        progress: how making it is shown.

    Raises:
        StoreError: not a store, or a cache folder that cannot be written.
        ConfigError: an empty store, or one with values that are not finite.
        OptionError: another metric.
        MissingPackageError: faiss is not installed.
    """
    check_metric(metric)
    require_faiss()
    folder, shelf = Path(folder), cache_folder() / "neighbours"
    key = _hash([_VERSION, os.path.realpath(folder), metric])
    place = shelf / f"{key}-{_hash(store_state(folder))}"
    if found := _read(place, metric):
        return found
    try:
        shelf.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(shelf / f"{key}.lock"):
            if found := _read(place, metric):
                return found
            made = Neighbours(load_features(folder), metric, approximate=True, progress=progress)
            _sweep(shelf, key)
            _keep(made, place, folder)
    except OSError as error:
        raise StoreError(
            f"{readable(shelf)}: the index of {readable(folder)} cannot be kept there: "
            f"{error.strerror or error}. The environment variable MIRFEAT_CACHE names another "
            "cache folder; the exact search needs none."
        ) from error
    # What was made takes memory; what is mapped does not.
    return _read(place, metric) or made


def _hash(record: Any) -> str:
    return hashlib.sha256(json.dumps(record).encode()).hexdigest()[:24]


def _read(place: Path, metric: Metric) -> Neighbours | None:
    """The index in a folder, if it is there and whole."""
    try:
        about = json.loads((place / _ABOUT).read_text(encoding="utf-8"))
        # A file that was cut short would end the program that maps it.
        if any((place / name).stat().st_size != size for name, size in about["bytes"].items()):
            return None
        ids = tuple(json.loads((place / _IDS).read_text(encoding="utf-8")))
        with np.load(place / _PLACEMENT, allow_pickle=False) as arrays:
            placement = Placement(metric, arrays["mean"], arrays["scale"])
        search = ApproximateSearch.read(place / _CELLS)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return Neighbours.of_search(ids, placement, search) if len(search) == len(ids) else None


def _keep(made: Neighbours, place: Path, store: Path) -> None:
    unfinished = place.with_name(f"{UNFINISHED}{secrets.token_hex(8)}")
    try:
        unfinished.mkdir()
        made.write_search(unfinished / _CELLS)
        np.savez(unfinished / _PLACEMENT, mean=made.placement.mean, scale=made.placement.scale)
        (unfinished / _IDS).write_text(json.dumps(made.ids), encoding="utf-8")
        sizes = {name: (unfinished / name).stat().st_size for name in (_CELLS, _PLACEMENT, _IDS)}
        about = {"store": os.path.realpath(store), "bytes": sizes}
        (unfinished / _ABOUT).write_text(json.dumps(about), encoding="utf-8")
        for path in unfinished.iterdir():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        _remove(place)  # one that is damaged
        unfinished.replace(place)
        sync_folder(place.parent)
    finally:
        _remove(unfinished)


def _sweep(shelf: Path, key: str) -> None:
    """Delete indexes of earlier states of a store, of stores that are gone, and leftovers."""
    for path in shelf.iterdir():
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            if path.name.startswith(UNFINISHED):
                if path.stat().st_mtime < time.time() - _LEFTOVER_SECONDS:
                    _remove(path)
            elif path.is_dir():
                about = json.loads((path / _ABOUT).read_text(encoding="utf-8"))
                if path.name.startswith(key) or not os.path.exists(about["store"]):
                    _remove(path)


def _remove(folder: Path) -> None:
    # On Windows one that somebody has open stays until it is swept.
    shutil.rmtree(folder, ignore_errors=True)
