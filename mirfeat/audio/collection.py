"""Which files a run takes, and what they are called in its results.

A run over a million files asks each of them as little as possible: paths stay text here.
"""

from __future__ import annotations

import itertools
import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from mirfeat.audio.clip import PathLike
from mirfeat.audio.remote import Location, Remote, asked, files_in, is_url, located, shown
from mirfeat.errors import OptionError, did_you_mean

logger = logging.getLogger("mirfeat")

# Beside a mistyped one; near ones are looked for among them.
_MOST_NAMES = 10_000
# Endings looked for in folders. Files named one by one are taken whatever they are called.
# fmt: off
AUDIO_SUFFIXES = frozenset([
    ".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2", ".aif", ".aiff", ".aifc", ".au",
    ".snd", ".caf", ".w64", ".rf64", ".wv", ".m4a", ".m4b", ".mp4", ".aac", ".wma", ".webm", ".mka",
])
# fmt: on


def find_audio(inputs: Iterable[PathLike], *, recursive: bool = True) -> list[Location]:
    """Audio files among ``inputs``; see :func:`survey`."""
    return survey(inputs, recursive=recursive)[0]


def survey(
    inputs: Iterable[PathLike], *, recursive: bool = True
) -> tuple[list[Location], Location]:
    """Audio files among ``inputs``, and the nearest folder that has all inputs below it.

    Files are taken as they are, folders searched by ending (sorted, without hidden files),
    ``@list.txt`` read line by line; ``@-`` is a list on standard input. Files and folders may be
    URLs.

    Raises:
        OptionError: nothing was found in a folder or list, or inputs are on disk and elsewhere.
        DecodeError: a remote folder cannot be listed.
    """
    found: list[Location] = []
    folders: list[PathLike] = []
    for item in inputs:
        more, holding = _taken(os.fspath(item), recursive)
        if not more:
            raise OptionError(
                f"{shown(item)}: no audio files ({', '.join(sorted(AUDIO_SUFFIXES))})."
            )
        found += more
        folders += holding
    return found, common_folder(folders)


def _taken(given: str, recursive: bool) -> tuple[list[Location], Iterable[PathLike]]:
    """The files that one input means, and the folders that hold them."""
    if given.startswith("@"):
        listed = _listed(given[1:])
        return [located(line) for line in listed], set(map(_folder_of, listed))
    if is_url(given):
        remote = files_in(given, AUDIO_SUFFIXES, recursive=recursive)
        return ([Remote(given)], [_folder_of(given)]) if remote is None else ([*remote], [given])
    if os.path.isdir(given):
        return [*_in_folder(given, recursive)], [given]
    # A file that is not there is listed as failed, so that one of many does not end a run.
    if not (os.path.lexists(given) or os.path.splitext(given)[1].lower() in AUDIO_SUFFIXES):
        raise OptionError(_nothing_there(given))
    return [Path(given)], [_folder_of(given)]


def _nothing_there(given: str) -> str:
    """What to say of a name that a person has mistyped, probably."""
    kind = "folder" if given.endswith((os.sep, "/")) or not os.path.splitext(given)[1] else "file"
    parent, name = os.path.split(given.rstrip("/" + os.sep))
    try:
        beside = os.listdir(parent or ".")
    except OSError:
        beside = []
    return f"{given}: there is no such {kind}.{did_you_mean(name, beside[:_MOST_NAMES])}"


def _listed(name: str) -> list[str]:
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
    if not paths:
        raise OptionError(f"@{name}: the list is empty.")
    return paths


def _in_folder(folder: str, recursive: bool) -> Iterator[Path]:
    """Audio files in a folder, in the order of their paths."""
    try:
        with os.scandir(folder) as scanned:
            entries = sorted(scanned, key=lambda entry: entry.name)
    except OSError as error:
        logger.warning("left out: %s (%s)", error.filename, error.strerror)
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if _is_folder(entry):
            if recursive and entry.is_symlink():
                logger.warning("left out: %s (a link to a folder; give it by name)", entry.path)
            elif recursive:
                yield from _in_folder(entry.path, recursive)
        elif os.path.splitext(entry.name)[1].lower() in AUDIO_SUFFIXES and _is_file(entry):
            yield Path(entry.path)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads in circles
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    """A link that leads nowhere is taken, so that it is reported; a pipe would block."""
    return entry.is_symlink() or entry.is_file()


def only_local(locations: Iterable[Location]) -> list[Path]:
    """Paths on disk, for what cannot do without.

    Raises:
        OptionError: one of them is a URL.
    """
    paths = list(locations)
    for path in paths:
        if isinstance(path, Remote):
            raise OptionError(f"{path}: files on disk are needed here. Copy it to one first.")
    return [path for path in paths if isinstance(path, Path)]


def stamps(files: Sequence[Location]) -> list[tuple[int, int]]:
    """Size and time of change (of URLs any mark of change); -1 for a file that is not there."""
    remote = iter(asked([file for file in files if isinstance(file, Remote)]))
    return [
        ((known := next(remote)).size, known.stamp) if isinstance(file, Remote) else _stamp(file)
        for file in files
    ]


def _stamp(path: Path) -> tuple[int, int]:
    try:
        facts = os.stat(path)
    except (OSError, ValueError):  # a name with a NUL
        return -1, -1
    return facts.st_size, facts.st_mtime_ns


def folder_of_all(files: Iterable[PathLike]) -> Location:
    """Nearest folder that has all ``files`` in it."""
    return common_folder(set(map(_folder_of, files)))


def common_folder(folders: Iterable[PathLike]) -> Location:
    """Nearest folder that has all ``folders`` in it, absolute.

    Raises:
        OptionError: some are on disk and some are URLs, or URLs of different kinds.
    """
    names = [shown(folder) for folder in folders]
    kinds = {name.partition("://")[0] if is_url(name) else "" for name in names}
    if not kinds:
        return Path.cwd()
    if len(kinds) > 1:
        places = " and ".join(sorted(f"{kind}://" if kind else "the disk" for kind in kinds))
        raise OptionError(
            f"files from {places} have no folder in common that ids could be relative to. Run once "
            "for each, with its --root; both may go into one folder of features."
        )
    if not (kind := kinds.pop()):
        return Path(os.path.commonpath(list(map(os.path.abspath, names))))
    parts = [name.partition("://")[2].rstrip("/").split("/") for name in names]
    first, last = min(parts), max(parts)
    pairs = zip(first, last, strict=False)
    shared = itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)
    return Remote(f"{kind}://{'/'.join(part for part, _ in shared)}")


def _folder_of(path: PathLike) -> str:
    text = shown(path)
    if is_url(text):
        start, _, rest = text.partition("?")[0].partition("://")
        return f"{start}://{rest.rpartition('/')[0]}"
    return os.path.dirname(text)


def ids_of(paths: Sequence[PathLike], root: PathLike) -> list[str]:
    """Names in results: paths relative to ``root``, with ``/``; bytes that are no text are escaped.

    Raises:
        OptionError: a path outside ``root``, or the same file twice.
    """
    start = _start(root)
    ids: dict[str, None] = {}
    for path in paths:
        absolute = _absolute(path)
        if not absolute.startswith(start):
            base = start.rstrip("/\\") or start
            raise OptionError(f"{shown(path)} is not below {base}, which ids are relative to.")
        relative = absolute[len(start) :]
        if is_url(absolute):
            relative = _as_file_name(relative)
        elif os.sep != "/":
            relative = relative.replace(os.sep, "/")
        id = os.fsencode(relative).decode("utf-8", "backslashreplace")
        if id in ids:
            raise OptionError(f"{shown(path)} was given twice.")
        ids[id] = None
    return list(ids)


def is_gone(id: str, root: PathLike) -> bool:
    """Whether there is no file of this id below ``root``; of URLs nobody asks."""
    start = _start(root)
    if is_url(start) or os.path.lexists(start + id):
        return False
    # The escapes of bytes that are no text, as :func:`ids_of` writes them.
    plain = re.sub(r"\\x([0-9a-f]{2})", lambda match: chr(0xDC00 + int(match[1], 16)), id)
    try:
        return not os.path.lexists(start + plain)
    except (OSError, ValueError):
        return True


def _as_file_name(key: str) -> str:
    """A key of an object so that it can be a file below a folder: it may hold ``//`` and ``..``."""
    parts = key.lstrip("/").split("/")
    return "/".join({"": "%2F", ".": "%2E", "..": "%2E%2E"}.get(part, part) for part in parts)


def outside(paths: Iterable[PathLike], root: PathLike) -> PathLike | None:
    """The first of ``paths`` that is not below ``root``, if there is one."""
    start = _start(root)
    return next((path for path in paths if not _absolute(path).startswith(start)), None)


def _absolute(path: PathLike) -> str:
    text = shown(path)
    # Text outside this machine is left alone: keys of objects may hold "//" and "..".
    return text if is_url(text) else os.path.abspath(text)


def _start(root: PathLike) -> str:
    """What everything below ``root`` begins with."""
    text = _absolute(root)
    if is_url(text):
        return text if text.endswith("://") else text.rstrip("/") + "/"
    return text if text.endswith(os.sep) else text + os.sep
