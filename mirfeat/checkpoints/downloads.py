"""Where checkpoint files are: in the package, in the cache folder, at a published address.

Downloads go to a temporary file, are hashed, and take their name only when the hash is right; so
two processes may fetch the same file, and a failure leaves nothing behind.
"""

from __future__ import annotations

import atexit
import logging
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from mirfeat.checkpoints import transfer, wheels
from mirfeat.checkpoints.transfer import BrokenOffError, Limits, answer, pause
from mirfeat.errors import CheckpointError, CheckpointUnavailableError, ChecksumError
from mirfeat.files import UNFINISHED, hash_of, replacing

if TYPE_CHECKING:
    from mirfeat.networks.spec import Checkpoint  # with PyTorch, which a folder's name needs not

logger = logging.getLogger("mirfeat")

_LEFTOVER_SECONDS = 24 * 3600


@dataclass(frozen=True)
class PublishedFile:
    """A published file: its address, its size, its hash and its place in the cache folder.

    ``name`` is the checkpoint that a message speaks of.
    """

    name: str
    location: str
    filename: str
    size_bytes: int
    digest: str
    algorithm: str = "sha256"


def cache_folder() -> Path:
    """``MIRFEAT_CACHE``, or mirfeat's folder among the user's caches. Not created here."""
    if chosen := os.environ.get("MIRFEAT_CACHE"):
        return Path(chosen).expanduser()
    import platformdirs  # 0.02 s, for those who download only

    return Path(platformdirs.user_cache_dir("mirfeat", False))


def offline() -> bool:
    """Whether the user forbids network access (``HF_HUB_OFFLINE``, the Hub's own switch)."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def packaged(extractor: str) -> Path | None:
    """The open checkpoint that ships inside mirfeat, if this extractor has one.

    Inside a zip application it is unpacked to a temporary file, once and until the program ends.
    """
    item = resources.files("mirfeat").joinpath("weights", f"{extractor}.safetensors")
    if isinstance(item, Path):
        return item if item.is_file() else None
    return _unpacked(extractor) if item.is_file() else None


@cache
def _unpacked(extractor: str) -> Path:
    unpacking = ExitStack()
    atexit.register(unpacking.close)
    item = resources.files("mirfeat").joinpath("weights", f"{extractor}.safetensors")
    return unpacking.enter_context(resources.as_file(item))


def fetch(checkpoint: Checkpoint) -> Path:
    """Verified local copy of published weights; as :func:`fetch_file`."""
    return fetch_file(
        PublishedFile(
            checkpoint.name,
            checkpoint.location,
            checkpoint.filename,
            checkpoint.size_bytes,
            checkpoint.sha256,
        )
    )


def fetch_file(remote: PublishedFile) -> Path:
    """Verified local copy of a published file, downloaded unless it is in the cache folder.

    Raises:
        CheckpointUnavailableError: not cached, and offline, not to be had or not to be stored.
        ChecksumError: the bytes are not the published ones.
    """
    target = cache_folder() / remote.filename
    with cache_errors(target):
        if target.exists():
            _check(target, remote, f"{target}: ", "Delete the file to have it fetched again.")
        else:
            _store(remote, target)
    return target


@contextmanager
def cache_errors(target: Path) -> Iterator[None]:
    """Errors of the disk become :class:`CheckpointUnavailableError` with advice."""
    try:
        yield
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointUnavailableError(
            f"{target} cannot be used: {error.strerror or error}. The environment variable "
            "MIRFEAT_CACHE names another cache folder."
        ) from error


def fetch_small(address: str, limit: int, accept: str = "*/*") -> bytes:
    """What an address answers, in memory: at most ``limit`` bytes, nothing to check them with.

    Raises:
        CheckpointUnavailableError: offline, no answer, or a longer one.
    """
    if offline():
        raise CheckpointUnavailableError(
            f"{address} is needed once, and HF_HUB_OFFLINE is set. Load the checkpoint on a "
            f"machine with a network and copy its cache folder to {cache_folder()}."
        )
    problem, limits = "", Limits()
    for attempt in range(transfer.TRIES):
        pause(attempt)
        try:
            with answer(address, {"Accept": accept}) as response:
                content = b""
                for chunk in limits.chunks(response):
                    content += chunk
                    if len(content) > limit:
                        raise BrokenOffError(f"more than {limit} bytes came", final=True)
                if response.length:
                    raise BrokenOffError("the connection was closed")
                return content
        except BrokenOffError as error:
            problem = str(error)
            if error.final:
                break
    raise CheckpointUnavailableError(f"{address}: no answer of use: {problem}.")


def by_hand(remote: PublishedFile) -> str:
    """What to do without a network."""
    what = remote.location
    if what.startswith(wheels.SCHEME):
        what = f"{remote.filename} with 'pip download --no-deps {wheels.requirement(what)}'"
    return (
        f"Fetch {what} elsewhere and put it into {cache_folder()} as "
        f"{remote.filename}, or run 'mirfeat download' there and copy that folder."
    )


def _store(remote: PublishedFile, target: Path) -> None:
    if offline():
        raise CheckpointUnavailableError(
            f"checkpoint {remote.name!r} is not cached and HF_HUB_OFFLINE is set. "
            + by_hand(remote)
        )
    _sweep()
    logger.info("downloading %s (%.1f MB)", remote.location, remote.size_bytes / 1e6)
    with replacing(target) as temporary:
        if remote.location.startswith(wheels.SCHEME):
            _by_pip(remote, temporary)
        else:
            _download(remote, temporary)
        _check(
            temporary,
            remote,
            f"{remote.location}: ",
            "The download was deleted; the file may have changed at its source.",
        )


def _sweep() -> None:
    """Delete what killed downloads left in the cache folder; one that goes on is written to."""
    oldest = time.time() - _LEFTOVER_SECONDS
    for path in cache_folder().rglob(f"{UNFINISHED}*"):
        with suppress(OSError):
            if path.lstat().st_mtime < oldest:
                path.unlink()


def _by_pip(remote: PublishedFile, temporary: Path) -> None:
    try:
        wheels.download(remote.location, temporary)
    except CheckpointUnavailableError as error:
        raise CheckpointUnavailableError(
            f"checkpoint {remote.name!r}: {error}. {by_hand(remote)}"
        ) from error


def _check(path: Path, remote: PublishedFile, where: str, advice: str) -> None:
    if (found := hash_of(path, remote.algorithm)) != remote.digest:
        raise ChecksumError(
            f"{where}{remote.algorithm} is {found}, expected {remote.digest} "
            f"({path.stat().st_size} bytes, expected {remote.size_bytes}). {advice}"
        )


def _download(remote: PublishedFile, temporary: Path) -> None:
    """Write the file, going on where the last try broke off."""
    limits = Limits()
    with temporary.open("wb") as file:
        for attempt in range(transfer.TRIES):
            pause(attempt)
            problem, final = "the connection was closed", False
            try:
                for start, chunk in _chunks(remote, file.tell(), limits):
                    file.seek(start)
                    file.write(chunk)
                    if file.tell() > remote.size_bytes:
                        raise _other_size(remote, f"more than {remote.size_bytes}")
            except BrokenOffError as error:
                problem, final = str(error), error.final
            if file.tell() == remote.size_bytes:
                return
            if final:
                break
        raise CheckpointUnavailableError(
            f"checkpoint {remote.name!r} could not be downloaded: {problem} "
            f"({file.tell()} of {remote.size_bytes} bytes came). " + by_hand(remote)
        )


def _chunks(remote: PublishedFile, have: int, limits: Limits) -> Iterator[tuple[int, bytes]]:
    """What comes after the first ``have`` bytes, in pieces, each with its place in the file."""
    with answer(remote.location, {"Range": f"bytes={have}-"} if have else {}) as response:
        # 200 instead of 206: the server sends everything again.
        start = have if response.status == 206 else 0
        if response.length is not None and start + response.length != remote.size_bytes:
            raise _other_size(remote, start + response.length)
        for chunk in limits.chunks(response):
            yield start, chunk
            start += len(chunk)


def _other_size(remote: PublishedFile, found: int | str) -> ChecksumError:
    return ChecksumError(
        f"{remote.location}: the server has {found} bytes, expected {remote.size_bytes}. "
        "Nothing was kept; the file may have changed at its source, or a proxy answered for it."
    )
