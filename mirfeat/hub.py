"""Where checkpoint files are: in the package, in the cache folder, at a published address.

Downloads go to a temporary file, are hashed, and take their name only when the hash is right; so
two processes may fetch the same file, and a failure leaves nothing behind.
"""

from __future__ import annotations

import http.client
import logging
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import platformdirs

from mirfeat.errors import CheckpointError, CheckpointUnavailableError, ChecksumError
from mirfeat.files import replacing, sha256_of
from mirfeat.spec import Checkpoint

logger = logging.getLogger("mirfeat")

TRIES = 3
PAUSE_SECONDS = 0.5
TIMEOUT_SECONDS = 30.0
_CHUNK_BYTES = 1 << 16


def cache_folder() -> Path:
    """``MIRFEAT_CACHE``, or mirfeat's folder among the user's caches. Not created here."""
    chosen = os.environ.get("MIRFEAT_CACHE")
    return (
        Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("mirfeat", False))
    )


def offline() -> bool:
    """Whether the user forbids network access (``HF_HUB_OFFLINE``, the Hub's own switch)."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def packaged(extractor: str) -> Path | None:
    """The open checkpoint that ships inside mirfeat, if this extractor has one."""
    path = Path(str(resources.files("mirfeat"))) / "weights" / f"{extractor}.safetensors"
    return path if path.is_file() else None


def fetch(checkpoint: Checkpoint) -> Path:
    """Verified local copy of a published file, downloaded unless it is in the cache folder.

    Raises:
        CheckpointUnavailableError: not cached, and offline, not to be had or not to be stored.
        ChecksumError: the bytes are not the published ones.
    """
    target = cache_folder() / checkpoint.filename
    try:
        if target.exists():
            _check(target, checkpoint, f"{target}: ", "Delete the file to have it fetched again.")
        else:
            _store(checkpoint, target)
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointUnavailableError(
            f"{target} cannot be used: {error.strerror or error}. The environment variable "
            "MIRFEAT_CACHE names another cache folder."
        ) from error
    return target


def by_hand(checkpoint: Checkpoint) -> str:
    """What to do without a network."""
    return (
        f"Fetch {checkpoint.location} elsewhere and put it into {cache_folder()} as "
        f"{checkpoint.filename}, or run 'mirfeat download' there and copy that folder."
    )


def _store(checkpoint: Checkpoint, target: Path) -> None:
    if offline():
        raise CheckpointUnavailableError(
            f"checkpoint {checkpoint.name!r} is not cached and HF_HUB_OFFLINE is set. "
            + by_hand(checkpoint)
        )
    logger.info("downloading %s (%.1f MB)", checkpoint.location, checkpoint.size_bytes / 1e6)
    with replacing(target) as temporary:
        _download(checkpoint, temporary)
        _check(
            temporary,
            checkpoint,
            f"{checkpoint.location}: ",
            "The download was deleted; the file may have changed at its source.",
        )


def _check(path: Path, checkpoint: Checkpoint, where: str, advice: str) -> None:
    if (found := sha256_of(path)) != checkpoint.sha256:
        raise ChecksumError(
            f"{where}sha256 is {found}, expected {checkpoint.sha256} "
            f"({path.stat().st_size} bytes, expected {checkpoint.size_bytes}). {advice}"
        )


class _BrokenOffError(Exception):
    """A try to download failed; ``final``: the next one would fail in the same way."""

    def __init__(self, problem: str, final: bool = False) -> None:
        super().__init__(problem)
        self.final = final


def _download(checkpoint: Checkpoint, temporary: Path) -> None:
    """Write the file, going on where the last try broke off."""
    with temporary.open("wb") as file:
        for attempt in range(TRIES):
            if attempt:
                time.sleep(PAUSE_SECONDS * 2.0 ** (attempt - 1))
            problem, final = "the connection was closed", False
            try:
                for start, chunk in _chunks(checkpoint, file.tell()):
                    file.seek(start)
                    file.write(chunk)
                    if file.tell() > checkpoint.size_bytes:
                        raise _other_size(checkpoint, f"more than {checkpoint.size_bytes}")
            except _BrokenOffError as error:
                problem, final = str(error), error.final
            if file.tell() == checkpoint.size_bytes:
                return
            if final:
                break
        raise CheckpointUnavailableError(
            f"checkpoint {checkpoint.name!r} could not be downloaded: {problem} "
            f"({file.tell()} of {checkpoint.size_bytes} bytes came). " + by_hand(checkpoint)
        )


def _chunks(checkpoint: Checkpoint, have: int) -> Iterator[tuple[int, bytes]]:
    """What comes after the first ``have`` bytes, in pieces, each with its place in the file.

    Errors of the network become :class:`_BrokenOffError`; whoever writes the pieces sees those of
    the disk as they are.
    """
    headers = {"Range": f"bytes={have}-"} if have else {}
    request = urllib.request.Request(checkpoint.location, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
            # 200 instead of 206: the server sends everything again.
            start = have if response.status == 206 else 0
            if response.length is not None and start + response.length != checkpoint.size_bytes:
                raise _other_size(checkpoint, start + response.length)
            while chunk := response.read(_CHUNK_BYTES):
                yield start, chunk
                start += len(chunk)
    except urllib.error.HTTPError as error:
        error.close()
        # Trying again does not make a missing file appear.
        final = error.code < 500 and error.code not in (408, 429)
        raise _BrokenOffError(f"HTTP {error.code} {error.reason}", final) from error
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenOffError(str(getattr(error, "reason", None) or error)) from error


def _other_size(checkpoint: Checkpoint, found: int | str) -> ChecksumError:
    return ChecksumError(
        f"{checkpoint.location}: the server has {found} bytes, expected {checkpoint.size_bytes}. "
        "Nothing was kept; the file may have changed at its source, or a proxy answered for it."
    )
