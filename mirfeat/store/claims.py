"""Whether a folder may become a store of this run, and what is cleared away before."""

from __future__ import annotations

import os
from pathlib import Path

from mirfeat.errors import ProvenanceError, StoreError
from mirfeat.files import UNFINISHED
from mirfeat.store.jobarray import Shard, is_plain_store, shard_folders
from mirfeat.store.record import StoreInfo, is_store, stores_in

LOCK = ".lock"


def claim_shard(parent: Path, shard: Shard, info: StoreInfo, overwrite: bool) -> None:
    """Make the folder of a shard, below that of a job array.

    Raises:
        StoreError: the folder holds something else than shards of this total.
        ProvenanceError: other shards were made in another way, and this one is new.
    """
    folder = shard.claim(parent)
    if overwrite or is_plain_store(folder) or not is_store(parent):
        return
    other = stores_in(parent)[0]
    if lines := info.differences(StoreInfo.read(other)):
        raise ProvenanceError(
            f"{other} was made in another way ({'; '.join(lines)}). Use another folder, or "
            "--overwrite for all shards."
        )


def refuse_foreign(folder: Path) -> None:
    """Leave what is not ours alone.

    Raises:
        StoreError: shards of a job array, or files that are no store.
    """
    if not folder.exists() or is_plain_store(folder):
        return
    if shards := shard_folders(folder):
        count = next(iter(shards)).total
        raise StoreError(
            f"{folder}: holds shards of a job array. Go on with --shard 1/{count} to "
            f"{count}/{count}, or choose another folder."
        )
    foreign = any(not name.startswith((LOCK, UNFINISHED)) for name in os.listdir(folder))
    # Looked at again: another process may have begun one just now.
    if foreign and not is_plain_store(folder):
        raise StoreError(
            f"{folder}: is not empty and not a folder of features. Choose another one."
        )


def remove_leftovers(folder: Path) -> None:
    """Delete what killed runs have half written; clips' files lie in folders below."""
    for here, _, names in os.walk(folder):
        for name in names:
            if name.startswith(UNFINISHED):
                Path(here, name).unlink(missing_ok=True)
