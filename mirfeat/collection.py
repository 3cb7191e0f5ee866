"""Which files a run takes, and what they are called in its results."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from mirfeat.audio import PathLike
from mirfeat.errors import OptionError

# Endings looked for in folders. Files named one by one are taken whatever they are called.
AUDIO_SUFFIXES = frozenset(
    [
        ".wav",
        ".flac",
        ".ogg",
        ".oga",
        ".opus",
        ".mp3",
        ".mp2",
        ".aif",
        ".aiff",
        ".aifc",
        ".au",
        ".snd",
        ".caf",
        ".w64",
        ".rf64",
        ".wv",
        ".m4a",
        ".m4b",
        ".mp4",
        ".aac",
        ".wma",
        ".webm",
        ".mka",
    ]
)


def find_audio(inputs: Iterable[PathLike], *, recursive: bool = True) -> list[Path]:
    """Audio files among ``inputs``: files as they are, folders by ending, ``@list.txt`` by line.

    Folders are listed in sorted order; hidden files are left out.

    Raises:
        OptionError: nothing was found in a folder or list.
    """
    found: list[Path] = []
    for item in inputs:
        given = os.fspath(item)
        path = Path(given)
        if given.startswith("@"):
            more = list(_listed(Path(given[1:])))
        elif path.is_dir():
            more = sorted(_in_folder(path, recursive))
        else:
            more = [path]
        if not more:
            raise OptionError(f"{given}: no audio files ({', '.join(sorted(AUDIO_SUFFIXES))}).")
        found += more
    return found


def _listed(path: Path) -> Iterator[Path]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"@{path}: not a readable list of files: {error}") from error
    yield from (Path(line) for line in lines if line.strip())


def _in_folder(folder: Path, recursive: bool) -> Iterator[Path]:
    for path in folder.rglob("*") if recursive else folder.glob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in AUDIO_SUFFIXES and not hidden and path.is_file():
            yield path


def ids_of(paths: Sequence[Path], root: PathLike | None = None) -> list[str]:
    """Names in results: paths relative to ``root`` (default: their common folder), with ``/``.

    Raises:
        OptionError: a path outside ``root``, or the same file twice.
    """
    absolute = [Path(os.path.abspath(path)) for path in paths]
    if root is not None:
        base = Path(os.path.abspath(root))
    else:
        base = Path(os.path.commonpath([path.parent for path in absolute])) if paths else Path()
    ids: dict[str, Path] = {}
    for path in absolute:
        if not path.is_relative_to(base):
            raise OptionError(f"{path} is not below root={str(base)!r}.")
        id = path.relative_to(base).as_posix()
        if id in ids:
            raise OptionError(f"{path} was given twice.")
        ids[id] = path
    return list(ids)
