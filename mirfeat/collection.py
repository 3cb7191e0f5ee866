"""Which files a run takes, and what they are called in its results."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from mirfeat.audio import PathLike
from mirfeat.errors import OptionError

logger = logging.getLogger("mirfeat")

# Endings looked for in folders. Files named one by one are taken whatever they are called.
# fmt: off
AUDIO_SUFFIXES = frozenset([
    ".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2", ".aif", ".aiff", ".aifc", ".au",
    ".snd", ".caf", ".w64", ".rf64", ".wv", ".m4a", ".m4b", ".mp4", ".aac", ".wma", ".webm", ".mka",
])
# fmt: on


def find_audio(inputs: Iterable[PathLike], *, recursive: bool = True) -> list[Path]:
    """Audio files among ``inputs``; see :func:`survey`."""
    return survey(inputs, recursive=recursive)[0]


def survey(inputs: Iterable[PathLike], *, recursive: bool = True) -> tuple[list[Path], Path]:
    """Audio files among ``inputs``, and the nearest folder that has all inputs below it.

    Files are taken as they are, folders searched by ending (sorted, without hidden files),
    ``@list.txt`` read line by line; ``@-`` is a list on standard input.

    Raises:
        OptionError: nothing was found in a folder or list.
    """
    found: list[Path] = []
    folders: list[Path] = []
    for item in inputs:
        given = os.fspath(item)
        if given.startswith("@"):
            more = _listed(given[1:])
            folders += (path.parent for path in more)
        elif os.path.isdir(given):
            more = sorted(_in_folder(given, recursive))
            folders.append(Path(given))
        else:
            more = [Path(given)]
            folders.append(more[0].parent)
        if not more:
            raise OptionError(f"{given}: no audio files ({', '.join(sorted(AUDIO_SUFFIXES))}).")
        found += more
    return found, common_folder(folders)


def _listed(name: str) -> list[Path]:
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise OptionError(f"@{name}: not a readable list of files: {error}") from error
    # Names need not be text: as the file system gives them.
    text = data.decode("utf-8-sig", "surrogateescape")
    if "\0" in text:
        raise OptionError(f"@{name}: not a list of files: it has one path a line, in UTF-8.")
    lines = text.replace("\r\n", "\n").split("\n")
    paths = [Path(line) for line in lines if line.strip()]
    if not paths:
        raise OptionError(f"@{name}: the list is empty.")
    return paths


def _in_folder(folder: str, recursive: bool) -> Iterator[Path]:
    def report(error: OSError) -> None:
        logger.warning("left out: %s (%s)", error.filename, error.strerror)

    for here, folders, names in os.walk(folder, onerror=report):
        folders[:] = [name for name in folders if recursive and not name.startswith(".")]
        for name in folders:
            if os.path.islink(path := os.path.join(here, name)):
                logger.warning("left out: %s (a link to a folder; give it by name)", path)
        for name in names:
            file = Path(here, name)
            if name.startswith(".") or file.suffix.lower() not in AUDIO_SUFFIXES:
                continue
            # A link that leads nowhere is taken, so that it is reported; a pipe would block.
            if file.is_file() or file.is_symlink():
                yield file


def common_folder(folders: Iterable[Path]) -> Path:
    """Nearest folder that has all ``folders`` in it, absolute."""
    absolute = [os.path.abspath(folder) for folder in folders]
    return Path(os.path.commonpath(absolute)) if absolute else Path.cwd()


def ids_of(paths: Sequence[Path], root: PathLike) -> list[str]:
    """Names in results: paths relative to ``root``, with ``/``; bytes that are no text are escaped.

    Raises:
        OptionError: a path outside ``root``, or the same file twice.
    """
    base = Path(os.path.abspath(root))
    ids: dict[str, Path] = {}
    for path in paths:
        absolute = Path(os.path.abspath(path))
        if not absolute.is_relative_to(base):
            raise OptionError(f"{path} is not below {base}, which ids are relative to.")
        id = os.fsencode(absolute.relative_to(base).as_posix()).decode("utf-8", "backslashreplace")
        if id in ids:
            raise OptionError(f"{path} was given twice.")
        ids[id] = absolute
    return list(ids)
