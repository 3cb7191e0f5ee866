"""Job arrays: many processes, each with its share of the files, fill one folder.

Shard ``i`` of ``n`` writes into ``shard-003-of-020/``, a complete store with a lock of its own, so
that no two processes ever write to the same file, on network disks too. Which shard a clip belongs
to follows from its id alone: it stays the same when a folder of music grows.
"""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from mirfeat.errors import OptionError, StoreError

_NAME = re.compile(r"shard-(\d{3,})-of-(\d{3,})")


class Shard(NamedTuple):
    """Share ``number`` of ``total``, counted from 1."""

    number: int
    total: int

    @classmethod
    def check(cls, number: int, total: int) -> Shard:
        """A shard that can be.

        Raises:
            OptionError: not 1 <= number <= total.
        """
        if not 1 <= number <= total:
            raise OptionError(
                f"shard {number} of {total}: shards are counted from 1, so that of 20 jobs the "
                "first is 1/20 and the last 20/20."
            )
        return cls(number, total)

    @classmethod
    def parse(cls, text: str) -> Shard:
        """The shard that is written ``3/20``.

        Raises:
            OptionError: something else is.
        """
        match = re.fullmatch(r"(\d+)/(\d+)", text)
        if not match:
            raise OptionError(f"--shard {text}: write I/N, for example 3/20 for job 3 of 20.")
        return cls.check(int(match[1]), int(match[2]))

    def has(self, id: str) -> bool:
        """Whether a clip belongs to this shard: sha256 of its id, modulo ``total``."""
        digest = hashlib.sha256(id.encode("utf-8", "backslashreplace")).digest()
        return int.from_bytes(digest, "big") % self.total == self.number - 1

    def folder(self, parent: Path) -> Path:
        """Where this shard's store is."""
        return parent / f"shard-{self.number:03d}-of-{self.total:03d}"

    def claim(self, parent: Path) -> Path:
        """The folder of this shard, made if need be.

        Raises:
            StoreError: the folder above holds something else: features of a run without shards,
                shards of another total, or what is not ours.
        """
        self._check(parent)
        folder = self.folder(parent)
        if folder.is_symlink():
            raise StoreError(
                f"{folder}: is a link to {os.readlink(folder)}, outside {parent}. Nothing was "
                "changed there; put a folder in its place."
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{folder}: cannot be made ({error.strerror or error}).") from error
        try:
            # Again: a job with another total may have begun since.
            self._check(parent)
        except StoreError:
            with suppress(OSError):  # not empty: it has features, and they stay
                folder.rmdir()
            raise
        return folder

    def _check(self, parent: Path) -> None:
        if not parent.exists():
            return
        if not parent.is_dir():
            raise StoreError(f"{parent}: is a file, not a folder. Choose another one.")
        if is_plain_store(parent):
            raise StoreError(
                f"{parent}: was filled without --shard. Go on without it, or choose another folder."
            )
        found = shard_folders(parent)
        for other in found:
            if other.total != self.total:
                raise StoreError(
                    f"{parent}: holds shards of {other.total}, not of {self.total}. Go on with "
                    f"--shard {min(self.number, other.total)}/{other.total}, or choose another "
                    "folder."
                )
        if not found and any(parent.iterdir()):
            raise StoreError(
                f"{parent}: is not empty and not a folder of features. Choose another one."
            )


def is_plain_store(folder: Path) -> bool:
    """Whether the folder itself is a store, not one of shards."""
    return (folder / "store.json").exists()


def shard_folders(parent: Path) -> dict[Shard, Path]:
    """Folders of shards that have been begun, in order; empty where there are none."""
    found: dict[Shard, Path] = {}
    # Names first: beside them there may be 100 000 files of clips.
    for name in os.listdir(parent) if parent.is_dir() else []:
        match = _NAME.fullmatch(name)
        if match and 1 <= int(match[1]) <= int(match[2]) and (parent / name).is_dir():
            found[Shard(int(match[1]), int(match[2]))] = parent / name
    return dict(sorted(found.items()))


def parent_of(folder: Path) -> Path | None:
    """The folder that a shard's folder is in; None for any other."""
    return folder.parent if _NAME.fullmatch(folder.name) else None
