"""Lists of files: one path or URL a line, or a playlist (m3u)."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from mirfeat.audio.addresses import is_url
from mirfeat.errors import OptionError

# In names that are separated by NULs a file that is no list would have some of these.
_CONTROL = re.compile("[\x01-\x08\x0e-\x1f]")
PLAYLIST_SUFFIXES = (".m3u", ".m3u8")


def read_list(name: str) -> list[str]:
    """The paths and URLs in a list; ``-`` is standard input.

    One a line, where ``#`` and a space begin a comment; or with a NUL after each, as ``find
    -print0`` writes them, where every character belongs to a name.

    Raises:
        OptionError: not readable, not text, or empty.
    """
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise OptionError(f"@{name}: not a readable list of files: {error}") from error
    # Names need not be text: as the file system gives them.
    text = data.decode("utf-8-sig", "surrogateescape")
    paths = _between_nuls(name, text) if "\0" in text else _lines(text)
    if name.lower().endswith(PLAYLIST_SUFFIXES):
        paths = _entries(paths, os.path.dirname(name))
    if not paths:
        raise OptionError(f"@{name}: the list is empty.")
    return paths


def _between_nuls(name: str, text: str) -> list[str]:
    paths = [path for path in text.split("\0") if path.strip()]
    wide = text.startswith(("\udcff\udcfe", "\udcfe\udcff"))  # the mark of UTF-16
    if not text.endswith("\0") or wide or any(_CONTROL.search(path) for path in paths):
        raise OptionError(
            f"@{name}: not a list of files: it has one path a line, in UTF-8, or a NUL after each "
            "path as of find -print0."
        )
    return paths


def _lines(text: str) -> list[str]:
    """Lines that are neither empty nor comments; a name may begin with ``#`` alone."""
    lines = text.replace("\r\n", "\n").split("\n")
    return [line for line in lines if line.strip() and not line.lstrip().startswith("# ")]


def _entries(lines: list[str], folder: str) -> list[str]:
    """What a playlist in ``folder`` names."""
    entries = [line.strip() for line in lines if not line.lstrip().startswith("#")]
    return [entry if is_url(entry) else os.path.join(folder, entry) for entry in entries]
