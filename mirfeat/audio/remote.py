"""Audio at a URL: s3://, gs://, az://, https://, hf://, through fsspec. Its only importer.

Kinds of addresses are allowed by name, since some of fsspec's run commands or read other files, and
a list of URLs may come from anybody. What is secret in an address, passwords and signatures, is
used and never shown or stored. A file is fetched whole to a temporary one while it is decoded, so
that every check of local files holds for it. Disk needed: one file per decoding thread.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from mirfeat.audio.addresses import Remote, protocol_of, public, without_secrets
from mirfeat.audio.web import FetchLimits, GivenUpError, client
from mirfeat.errors import DecodeError, MissingPackageError, OptionError, on_a_line

T = TypeVar("T")

logger = logging.getLogger("mirfeat")

TRIES, _PAUSE_SECONDS = 3, 0.5
# Questions about single files wait for the network, not for this machine.
_ASKING_THREADS = 16
_TEMPORARY = "mirfeat-remote-"
# Folders without music, and the files that macOS puts beside others on foreign disks.
TRASH, RESOURCE_FORK = (".trash", ".git", ".cache"), "._"
_LEFTOVER_SECONDS = 24 * 3600
_OF_THIS_MACHINE = (errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.ENOMEM)
# What tells that an object has changed, best first; the names are those of fsspec's file systems.
_CHANGE_MARKS = (
    *("ETag", "etag", "md5Hash", "content_md5"),
    *("mtime", "LastModified", "last_modified", "updated", "modified", "timeModified", "created"),
)
# Kinds of addresses that are taken; others by name in this environment variable.
PROTOCOLS = ("s3", "gs", "az", "http", "https", "hf")
ALLOWED = "MIRFEAT_PROTOCOLS"


@contextmanager
def fetched(remote: Remote) -> Iterator[Path]:
    """A local copy of a remote file, deleted in the end whatever happens.

    Raises:
        DecodeError: not there, not readable, or not to be had in three tries.
        MissingPackageError, OptionError: nothing here knows this kind of address.
    """
    _sweep()
    system, path = _open_system(remote.url)
    descriptor, name = tempfile.mkstemp(prefix=_TEMPORARY)
    os.close(descriptor)
    try:
        _retried(remote.url, lambda: _copy(system, path, name, remote))
        yield Path(name)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)


def _copy(system: Any, path: str, target: str, remote: Remote) -> None:
    from fsspec.callbacks import Callback  # there, or there were no system

    limits = FetchLimits(os.path.dirname(target))
    system.get_file(path, target, callback=Callback(hooks={"limits": limits.check}))
    found = os.stat(target).st_size
    # Servers close connections early without saying so.
    if remote.size >= 0 and found != remote.size:
        raise OSError(f"{found} bytes came, {remote.size} were listed")


def _retried(address: str, action: Callable[[], T]) -> T:
    """What ``action`` gives, tried again where that may help."""
    url = public(address)
    for remaining in reversed(range(TRIES)):
        try:
            return action()
        except FileNotFoundError as error:
            raise DecodeError(f"{url}: there is no such file.") from error
        except PermissionError as error:
            reason = on_a_line(without_secrets(str(error))).rstrip(". ")
            raise DecodeError(f"{url}: no permission to read it ({reason}).") from error
        # fsspec makes a folder of the file that a folder is copied to.
        except (IsADirectoryError, FileExistsError) as error:
            raise DecodeError(f"{url}: is a folder. Use 'mirfeat extract URL'.") from error
        except GivenUpError as error:
            raise DecodeError(f"{url}: {error}") from error
        except OSError as error:
            if error.errno in _OF_THIS_MACHINE:  # of the copy, and no try helps
                raise
            _again(url, error, remaining)
        # Each service has errors of its own, without a class in common.
        except Exception as error:
            _again(url, error, remaining)
        time.sleep(_PAUSE_SECONDS * 2 ** (TRIES - 1 - remaining))
    raise AssertionError  # the last try returns or raises


def _again(url: str, error: Exception, remaining: int) -> None:
    """Say that a try failed; raise after the last one."""
    reason = on_a_line(without_secrets(f"{type(error).__name__}: {error}")).rstrip(". ")
    if not remaining:
        raise DecodeError(f"{url}: cannot be fetched, tried {TRIES} times ({reason}).") from error
    logger.debug("%s: %s, trying again", url, reason)


def files_in(url: str, suffixes: frozenset[str], *, recursive: bool) -> list[Remote] | None:
    """Files below a remote folder with one of these endings, sorted; None if it is no folder.

    What macOS keeps beside files, and trash, is left out with a word. Sizes and stamps come with
    the listing.

    Raises:
        DecodeError: it cannot be listed.
        MissingPackageError, OptionError: nothing here knows this kind of address.
    """
    system, path = _open_system(url)
    system.invalidate_cache()
    try:
        if _retried(url, lambda: system.info(path))["type"] != "directory":
            return None
    except DecodeError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None  # said when it is read, as of a local file
        raise
    depth = None if recursive else 1
    facts = _retried(url, lambda: system.find(path, maxdepth=depth, detail=True))
    base = path.rstrip("/")
    found = []
    for name, info in facts.items():
        parts = name[len(base) :].lstrip("/").split("/")
        if info["type"] != "file":
            continue
        trash = any(part.lower().startswith(TRASH) for part in parts[:-1])
        if trash or parts[-1].startswith(RESOURCE_FORK):
            logger.warning("left out: %s (trash, or what macOS keeps beside a file)", name)
            continue
        if os.path.splitext(parts[-1])[1].lower() in suffixes:
            found.append((parts, info))
    found.sort(key=lambda item: item[0])
    start = url if url.endswith("://") else url.rstrip("/") + "/"
    return [_known(start + "/".join(parts), info) for parts, info in found]


def asked(remotes: Sequence[Remote]) -> list[Remote]:
    """The same with size and stamp; those that cannot be had stay -1.

    Raises:
        MissingPackageError, OptionError: nothing here knows this kind of address.
    """
    unknown = [remote for remote in remotes if remote.size < 0]
    for _, url in {protocol_of(remote.url): remote.url for remote in unknown}.items():
        _open_system(url)[0].invalidate_cache()
    with ThreadPoolExecutor(_ASKING_THREADS) as pool:
        answers = dict(zip(unknown, pool.map(_ask, unknown), strict=True))
    return [answers.get(remote, remote) for remote in remotes]


def _ask(remote: Remote) -> Remote:
    system, path = _open_system(remote.url)
    try:
        return _known(remote.url, _retried(remote.url, lambda: system.info(path)))
    except DecodeError:
        return remote  # fetching it will say why


def _known(url: str, info: dict[str, Any]) -> Remote:
    mark = next((info[name] for name in _CHANGE_MARKS if info.get(name) is not None), "")
    if isinstance(mark, datetime):  # one call gives a date where another gives its number
        mark = mark.timestamp()
    digest = hashlib.sha256(str(mark).strip('"').encode()).digest()
    return Remote(url, int(info.get("size") or 0), int.from_bytes(digest[:7], "big"))


def _open_system(url: str) -> tuple[Any, str]:
    """The file system that an address belongs to, and its path there.

    Raises:
        OptionError: an address of a kind that is not allowed, or a chain of several.
        MissingPackageError: a package is needed for it.
    """
    protocol = protocol_of(url)
    others = os.environ.get(ALLOWED, "").replace(",", " ").split()
    if "::" in url:  # wherever it stands, fsspec takes what follows for another address
        raise OptionError(
            f"{public(url)}: a chain of addresses ('::') is not taken, since its parts may read "
            "any file or run a command. Name the file itself."
        )
    if protocol not in (*PROTOCOLS, *others):
        raise OptionError(
            f"{protocol}:// is no kind of address that is taken: {', '.join(PROTOCOLS)}. Others "
            f"that fsspec knows are allowed by name in the environment variable {ALLOWED}."
        )
    return _system(protocol)(url)


@cache
def _system(protocol: str) -> Callable[[str], tuple[Any, str]]:
    try:
        import fsspec  # an extra: most music is on a disk
        from fsspec.registry import known_implementations
    except ImportError as error:
        raise MissingPackageError(
            f"{protocol}:// needs fsspec: pip install 'mirfeat[remote]'"
        ) from error
    if protocol not in fsspec.available_protocols():
        raise OptionError(f"{protocol}:// is no kind of address that fsspec knows.")
    try:
        fsspec.get_filesystem_class(protocol)
    except ImportError as error:
        # fsspec's own words name the package, which is often called like its module.
        module = known_implementations[protocol]["class"].partition(".")[0]
        line = "" if module == "fsspec" else f": pip install {module}"
        raise MissingPackageError(f"{protocol}:// needs another package ({error}){line}") from error
    options = {"get_client": client} if protocol in ("http", "https") else {}
    return lambda url: fsspec.core.url_to_fs(url, **options)


@cache
def _sweep() -> None:
    """Once: delete what a killed process left in the folder of temporary files."""
    oldest = time.time() - _LEFTOVER_SECONDS
    for path in Path(tempfile.gettempdir()).glob(f"{_TEMPORARY}*"):
        with suppress(OSError):
            if path.stat().st_mtime < oldest:
                path.unlink()
