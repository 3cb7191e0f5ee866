"""Audio at a URL: s3://, gs://, az://, https://, hf://, through fsspec. Its only importer.

Kinds of addresses are allowed by name, since some of fsspec's run commands or read other files, and
a list of URLs may come from anybody. What is secret in an address, passwords and signatures, is
used and never shown or stored. A file is fetched whole to a temporary one while it is decoded, so
that every check of local files holds for it. Disk needed: one file per decoding thread.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import ipaddress
import logging
import os
import re
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from mirfeat.errors import DecodeError, MissingPackageError, OptionError

T = TypeVar("T")

logger = logging.getLogger("mirfeat")

# One letter is a drive of Windows.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
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
# Set to 1: a public address may lead to a host of this network.
PRIVATE = "MIRFEAT_PRIVATE_REDIRECTS"
# Parts of a query that are no part of a name: signatures, and what comes with them.
_SECRET = re.compile(
    r"(x-(amz|goog|ms|oss|bce)-.*|.*(sig|token|secret|passw|credential|auth|signature|access-?key)"
    r".*|.*api_?-?key.*|key|key-pair-id|policy|expires|googleaccessid|awsaccesskeyid|hdnts|hdnea"
    r"|s[evprt]|sip|spr|sr|skoid|sktid|skt|ske|sks|skv|response-content-.*|response-cache-.*)",
    re.IGNORECASE,
)
_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://[^\s'\"<>]+")


def public(url: str) -> str:
    """A URL without user, password and signature: what may be shown, and what ids are made of.

    Other parts of a query stay, as they may say which file is meant.
    """
    start, _, rest = url.partition("://")
    place, question, query = rest.partition("?")
    host, slash, path = place.partition("/")
    host = host.rpartition("@")[2]
    if question:
        query = query.partition("#")[0]
        kept = [part for part in query.split("&") if not _is_secret(part)]
        query = "?" + "&".join(kept) if kept and kept != [""] else ""
    elif _protocol(url) in ("http", "https"):
        path = path.partition("#")[0]
    return f"{start}://{host}{slash}{path}{query}"


def _is_secret(part: str) -> bool:
    return _SECRET.fullmatch(part.partition("=")[0]) is not None


def without_secrets(text: str) -> str:
    """A message of somebody else's with the URLs in it as :func:`public` has them."""
    return _IN_TEXT.sub(lambda match: public(match[0]), text)


@dataclass(frozen=True)
class Remote(os.PathLike[str]):
    """A file or folder at a URL, which a ``Path`` cannot hold: it would make one slash of two.

    ``size`` in bytes and ``stamp``, a number that differs when the content does, are -1 as long
    as nobody asked.
    """

    url: str = field(repr=False)
    size: int = field(default=-1, compare=False)
    stamp: int = field(default=-1, compare=False)

    def __str__(self) -> str:
        """The URL without secrets."""
        return public(self.url)

    def __repr__(self) -> str:
        """The same."""
        return f"Remote({str(self)!r})"

    def __fspath__(self) -> str:
        """The URL as it was given."""
        return self.url

    @property
    def name(self) -> str:
        """Its last part."""
        return str(self).partition("?")[0].rstrip("/").rpartition("/")[2]


Location: TypeAlias = Path | Remote
"""Where a file or folder is."""


def is_url(path: str | os.PathLike[str]) -> bool:
    """Whether this is an address and not a path."""
    if isinstance(path, str):
        return _URL.match(path) is not None
    return not isinstance(path, Path) and is_url(os.fspath(path))


def located(path: str | os.PathLike[str]) -> Location:
    """A path or an address, from what a caller gave."""
    if isinstance(path, Remote | Path):
        return path
    return Remote(os.fspath(path)) if is_url(path) else Path(path)


def shown(path: str | os.PathLike[str]) -> str:
    """A path as it is, or a URL without its secrets."""
    text = os.fspath(path)
    return public(text) if is_url(text) else text


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
    system.get_file(path, target)
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
            reason = without_secrets(str(error))
            raise DecodeError(f"{url}: no permission to read it ({reason}).") from error
        # fsspec makes a folder of the file that a folder is copied to.
        except (IsADirectoryError, FileExistsError) as error:
            raise DecodeError(f"{url}: is a folder. Use 'mirfeat extract URL'.") from error
        except PrivateRedirectError as error:
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
    reason = without_secrets(f"{type(error).__name__}: {error}").rstrip(". ")
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
    for _, url in {_protocol(remote.url): remote.url for remote in unknown}.items():
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


def _protocol(url: str) -> str:
    return url.partition("://")[0].lower()


def _open_system(url: str) -> tuple[Any, str]:
    """The file system that an address belongs to, and its path there.

    Raises:
        OptionError: an address of a kind that is not allowed, or a chain of several.
        MissingPackageError: a package is needed for it.
    """
    protocol = _protocol(url)
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
    options = {"get_client": _client} if protocol in ("http", "https") else {}
    return lambda url: fsspec.core.url_to_fs(url, **options)


class PrivateRedirectError(Exception):
    """A web server sends us to a host that only this network can reach."""


async def _client(loop: Any = None, **options: Any) -> Any:
    """A web client that looks where it is sent: a list of URLs must not open this network."""
    import aiohttp  # what fsspec speaks http with

    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(_check_redirect)
    return aiohttp.ClientSession(trace_configs=[trace], **options)


async def _check_redirect(session: Any, context: Any, parameters: Any) -> None:
    place = next(filter(None, map(parameters.response.headers.get, ("Location", "URI"))), "")
    target = parameters.url.join(type(parameters.url)(place))
    if target.host == parameters.url.host or os.environ.get(PRIVATE) == "1":
        return
    if not await asyncio.to_thread(is_public, str(target.host)):
        raise PrivateRedirectError(
            f"the server sends us on to {target.host}, which is a host of this network. Where that "
            f"is meant, set the environment variable {PRIVATE}=1."
        )


def is_public(host: str) -> bool:
    """Whether all addresses of a host are for everybody; one without any is not reached."""
    try:
        found = {str(facts[4][0]) for facts in socket.getaddrinfo(host, None)}
    except OSError:
        return True
    return all(_is_global(address.partition("%")[0]) for address in found)


def _is_global(address: str) -> bool:
    found = ipaddress.ip_address(address)
    inside = getattr(found, "ipv4_mapped", None) or found
    return inside.is_global and not inside.is_multicast


@cache
def _sweep() -> None:
    """Once: delete what a killed process left in the folder of temporary files."""
    oldest = time.time() - _LEFTOVER_SECONDS
    for path in Path(tempfile.gettempdir()).glob(f"{_TEMPORARY}*"):
        with suppress(OSError):
            if path.stat().st_mtime < oldest:
                path.unlink()
