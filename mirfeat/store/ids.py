"""Ids of clips as names of files below a store: what leads out of it is refused.

A store may come from anybody. Ids are checked where they are read, and no file is written or
deleted behind a link to a folder: nothing outside a store is ever touched.
"""

from __future__ import annotations

import os
from pathlib import Path

from mirfeat.errors import StoreError

_NO_PART = frozenset(("", ".", ".."))


def checked_id(id: str, where: Path) -> str:
    """An id that was read in the file ``where``.

    Raises:
        StoreError: it is no path below a folder.
    """
    # Where "\" separates folders, it does so in ids of a foreign store too.
    parts = (id if os.sep == "/" else id.replace(os.sep, "/")).split("/")
    if "\0" in id or not _NO_PART.isdisjoint(parts) or os.path.splitdrive(id)[0]:
        raise StoreError(
            f"{where}: the id {id!r} is no path below a folder, and mirfeat writes no such ids. "
            "Nothing was changed; do not use this folder if you do not know who made it."
        )
    return id


class Inside:
    """Looks whether the folders of ids are really below a store; each is looked at once."""

    def __init__(self, folder: Path) -> None:
        """Look below ``folder``, which itself may be anywhere."""
        self._folder = os.fspath(folder)
        self._known = {""}

    def check(self, below: str) -> None:
        """Look at the folder of an id, ``a/b`` for ``a/b/c.wav``.

        Raises:
            StoreError: it is a link, or below one.
        """
        if below in self._known:
            return
        self.check(below.rpartition("/")[0])
        path = os.path.join(self._folder, below)
        if os.path.islink(path):
            raise StoreError(
                f"{path}: is a link to {os.readlink(path)}, outside this folder of features. "
                "Nothing was changed there; put a folder in its place."
            )
        self._known.add(below)
