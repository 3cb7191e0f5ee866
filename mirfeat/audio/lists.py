"""Lists of files: one path or URL a line, or a playlist (m3u)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mirfeat.audio.addresses import is_url
from mirfeat.errors import OptionError

PLAYLIST_SUFFIXES = (".m3u", ".m3u8")


def read_list(name: str) -> list[str]:
    """The paths and URLs in a list; ``-`` is standard input.

    Raises:
        OptionError: not readable, not text, or empty.
    """
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise OptionError(f"@{name}: not a readable list of files: {error}") from error
    # Names need not be text: as the file system gives them.
    text = data.decode("utf-8-sig", "surrogateescape")
    if "\0" in text:
        raise OptionError(f"@{name}: not a list of files: it has one path a line, in UTF-8.")
    lines = text.replace("\r\n", "\n").split("\n")
    paths = [line for line in lines if line.strip()]
    if name.lower().endswith(PLAYLIST_SUFFIXES):
        paths = _entries(paths, os.path.dirname(name))
    if not paths:
        raise OptionError(f"@{name}: the list is empty.")
    return paths


def _entries(lines: list[str], folder: str) -> list[str]:
    """What a playlist in ``folder`` names."""
    entries = [line.strip() for line in lines if not line.lstrip().startswith("#")]
    return [entry if is_url(entry) else os.path.join(folder, entry) for entry in entries]
