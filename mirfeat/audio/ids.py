"""What files are called in results: their paths below a root, each of them once."""

from __future__ import annotations

import itertools
import logging
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from mirfeat.audio.addresses import Location, Remote, is_url, shown
from mirfeat.audio.clip import PathLike
from mirfeat.errors import OptionError
from mirfeat.files import readable

logger = logging.getLogger("mirfeat")


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


def folder_of_all(files: Iterable[PathLike]) -> Location:
    """Nearest folder that has all ``files`` in it."""
    return common_folder(set(map(folder_of, files)))


def ids_of(paths: Sequence[PathLike], root: PathLike) -> list[str]:
    """Names in results: paths relative to ``root``, with ``/``; bytes that are no text are escaped.

    Raises:
        OptionError: a path outside ``root``.
    """
    start, ids = _start(root), list[str]()
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
        ids.append(os.fsencode(relative).decode("utf-8", "backslashreplace"))
    return ids


def named(files: Sequence[Location], root: PathLike) -> dict[str, Location]:
    """Every file once, by its id; one that comes again is left out, and the log says so.

    Raises:
        OptionError: a path outside ``root``.
    """
    kept = once(files, {os.path.abspath(file) for file in files if _is_link(file)})
    found: dict[str, Location] = {}
    for id, file in zip(ids_of(kept, root), kept, strict=True):
        if id in found:
            _leave_out(file, "it would have the id of", found[id])
        else:
            found[id] = file
    return found


def _is_link(file: Location) -> bool:
    # A name with a NUL is none; why it cannot be opened is said later.
    return isinstance(file, Path) and "\0" not in str(file) and os.path.islink(file)


def once(files: Sequence[Location], links: set[str]) -> list[Location]:
    """Every file once, by its own name rather than by one of ``links`` to it."""
    names = [
        os.fspath(file) if isinstance(file, Remote) else os.path.abspath(file) for file in files
    ]
    real, taken, kept = set(names) - links, dict[str, str](), []
    for file, name in zip(files, names, strict=True):
        target = os.path.realpath(name) if name in links else name
        # Ids escape what is no text, and another name may hold that very escape.
        key = os.fsencode(target).decode("utf-8", "backslashreplace")
        # A link whose own file is taken too waits for it, wherever that stands.
        known = taken.get(key, target if target != name and target in real else None)
        if known is not None:
            why = "the same file as" if known == target else "it would have the id of"
            _leave_out(file, why, known)
            continue
        taken[key] = target
        kept.append(file)
    return kept


def _leave_out(file: Location, why: str, other: PathLike) -> None:
    logger.warning("left out: %s (%s %s)", readable(shown(file)), why, readable(shown(other)))


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


def folder_of(path: PathLike) -> str:
    """What a file or URL lies in, as text."""
    text = shown(path)
    if is_url(text):
        start, _, rest = text.partition("?")[0].partition("://")
        return f"{start}://{rest.rpartition('/')[0]}"
    return os.path.dirname(text)
