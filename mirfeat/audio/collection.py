"""Which files a run takes, and what they are called in its results.

A run over a million files asks each of them as little as possible: paths stay text here.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from mirfeat.audio.addresses import Location, Remote, is_url, located, shown
from mirfeat.audio.clip import PathLike
from mirfeat.audio.ids import common_folder, folder_of, once
from mirfeat.audio.lists import read_list
from mirfeat.audio.remote import RESOURCE_FORK, TRASH, asked, files_in
from mirfeat.errors import OptionError, did_you_mean
from mirfeat.files import readable

logger = logging.getLogger("mirfeat")

# Beside a mistyped one; near ones are looked for among them.
# What a list of files is called, and no audio.
_LIST_SUFFIXES = (".txt", ".lst", ".m3u", ".m3u8", ".csv", ".tsv")
_MOST_NAMES = 10_000
# Endings looked for in folders. Files named one by one are taken whatever they are called.
# fmt: off
AUDIO_SUFFIXES = frozenset([
    ".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2", ".aif", ".aiff", ".aifc", ".au",
    ".snd", ".caf", ".w64", ".rf64", ".wv", ".m4a", ".m4b", ".mp4", ".aac", ".wma", ".webm", ".mka",
    ".tta", ".ape", ".ac3", ".eac3", ".dts", ".mpc", ".spx",
])
# fmt: on
# How the files begin that macOS puts beside others on foreign disks.
_RESOURCE_MAGIC = b"\x00\x05\x16\x07"


def find_audio(inputs: Iterable[PathLike], *, recursive: bool = True) -> list[Location]:
    """Audio files among ``inputs``; see :func:`survey`.

    Files as they are, folders searched by ending, lists as ``@list.txt``.

    >>> len(mirfeat.find_audio([song.parent]))
    32
    """
    return survey(inputs, recursive=recursive)[0]


def survey(
    inputs: Iterable[PathLike], *, recursive: bool = True
) -> tuple[list[Location], Location]:
    """Audio files among ``inputs``, and the nearest folder that has all inputs below it.

    Files are taken as they are, folders searched by ending (sorted), ``@list.txt`` read line by
    line; ``@-`` is a list on standard input. Lists in m3u may have comments, and what they name is
    relative to them. Files and folders may be URLs. A file that comes twice, under one name or by a
    link, is taken once; that and whatever else is left out is said in the log.

    Raises:
        OptionError: nothing was found in a folder or list, or inputs are on disk and elsewhere.
        DecodeError: a remote folder cannot be listed.
    """
    found: list[Location] = []
    folders: list[PathLike] = []
    links = set[str]()
    for item in inputs:
        more, holding = _taken(os.fspath(item), recursive, links)
        if not more:
            raise OptionError(
                f"{shown(item)}: no audio files ({', '.join(sorted(AUDIO_SUFFIXES))})."
            )
        found += more
        folders += holding
    return once(found, links), common_folder(folders)


def _taken(
    given: str, recursive: bool, links: set[str]
) -> tuple[list[Location], Iterable[PathLike]]:
    """The files that one input means, and the folders that hold them; ``links`` are noted."""
    # A shell writes @x.wav where it expands *.wav.
    if given.startswith("@") and not os.path.isfile(given):
        listed = read_list(given[1:])
        links |= {os.path.abspath(name) for name in listed if os.path.islink(name)}
        return [located(line) for line in listed], set(map(folder_of, listed))
    if is_url(given):
        remote = files_in(given, AUDIO_SUFFIXES, recursive=recursive)
        return ([Remote(given)], [folder_of(given)]) if remote is None else ([*remote], [given])
    _refuse_unmarked_list(given)
    if os.path.isdir(given):
        return [*_in_folder(given, recursive, links)], [given]
    # A file that is not there is listed as failed, so that one of many does not end a run.
    if not (os.path.lexists(given) or os.path.splitext(given)[1].lower() in AUDIO_SUFFIXES):
        raise OptionError(_nothing_there(given))
    if os.path.islink(given):
        links.add(os.path.abspath(given))
    return [Path(given)], [folder_of(given)]


def _refuse_unmarked_list(given: str) -> None:
    """OptionError for a list of files that is given as if it were audio."""
    if given == "-" and not os.path.lexists(given):
        raise OptionError("-: a list of files on standard input is written @-.")
    if given.lower().endswith(_LIST_SUFFIXES) and os.path.isfile(given):
        raise OptionError(f"{given}: a list of files is written @{given}.")


def _nothing_there(given: str) -> str:
    """What to say of a name that a person has mistyped, probably."""
    kind = "folder" if given.endswith((os.sep, "/")) or not os.path.splitext(given)[1] else "file"
    parent, name = os.path.split(given.rstrip("/" + os.sep))
    try:
        beside = os.listdir(parent or ".")
    except OSError:
        beside = []
    return f"{given}: there is no such {kind}.{did_you_mean(name, beside[:_MOST_NAMES])}"


def _in_folder(folder: str, recursive: bool, links: set[str]) -> Iterator[Path]:
    """Audio files in a folder, in the order of their paths; ``links`` among them are noted."""
    try:
        with os.scandir(folder) as scanned:
            entries = sorted(scanned, key=lambda entry: entry.name)
    except OSError as error:
        logger.warning("left out: %s (%s)", readable(error.filename), error.strerror)
        return
    for entry in entries:
        if _is_folder(entry):
            if entry.name.lower().startswith(TRASH):
                logger.warning(
                    "left out: %s (give it by name if there is music in it)", readable(entry.path)
                )
            elif recursive and entry.is_symlink():
                logger.warning(
                    "left out: %s (a link to a folder; give it by name)", readable(entry.path)
                )
            elif recursive:
                yield from _in_folder(entry.path, recursive, links)
        elif os.path.splitext(entry.name)[1].lower() in AUDIO_SUFFIXES and _is_file(entry):
            if entry.name.startswith(RESOURCE_FORK) and _is_resource_fork(entry.path):
                logger.warning(
                    "left out: %s (what macOS keeps beside a file)", readable(entry.path)
                )
                continue
            if entry.is_symlink():
                links.add(os.path.abspath(entry.path))
            yield Path(entry.path)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads in circles
        return False


def _is_resource_fork(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(4) == _RESOURCE_MAGIC
    except OSError:
        return False  # decoding it will say why


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
