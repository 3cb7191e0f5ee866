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
from importlib import resources
from pathlib import Path

import platformdirs

from mirfeat.errors import CheckpointUnavailableError, ChecksumError
from mirfeat.files import replacing, sha256_of
from mirfeat.spec import Checkpoint

logger = logging.getLogger("mirfeat")

TRIES = 3
TIMEOUT_SECONDS = 30.0
_CHUNK_BYTES = 1 << 16


def cache_folder() -> Path:
    """``MIRFEAT_CACHE``, or mirfeat's folder among the user's caches. Not created here."""
    chosen = os.environ.get("MIRFEAT_CACHE")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("mirfeat", False))


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
        CheckpointUnavailableError: not cached, and offline or not to be had.
        ChecksumError: the bytes are not the published ones.
    """
    target = cache_folder() / checkpoint.filename
    if target.exists():
        _check(target, checkpoint, f"{target}: ", "Delete the file to have it fetched again.")
        return target
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
    return target


def by_hand(checkpoint: Checkpoint) -> str:
    """What to do without a network."""
    return (
        f"Fetch {checkpoint.location} elsewhere and put it into {cache_folder()} as "
        f"{checkpoint.filename}, or run 'mirfeat download' there and copy that folder."
    )


def _check(path: Path, checkpoint: Checkpoint, where: str, advice: str) -> None:
    if (found := sha256_of(path)) != checkpoint.sha256:
        raise ChecksumError(
            f"{where}sha256 is {found}, expected {checkpoint.sha256} "
            f"({path.stat().st_size} bytes, expected {checkpoint.size_bytes}). {advice}"
        )


def _download(checkpoint: Checkpoint, temporary: Path) -> None:
    """Write the file, going on where the last try broke off."""
    problem = ""
    for attempt in range(TRIES):
        if attempt:
            time.sleep(2.0 ** (attempt - 1) / 2)
        try:
            _append(checkpoint.location, temporary)
        except urllib.error.HTTPError as error:
            problem = f"HTTP {error.code} {error.reason}"
            if error.code < 500 and error.code != 429:
                break  # trying again does not make a missing file appear
            continue
        except (OSError, http.client.HTTPException) as error:
            problem = f"{getattr(error, 'reason', None) or error}"
            continue
        size = temporary.stat().st_size
        if size >= checkpoint.size_bytes:
            return
        problem = f"{size} of {checkpoint.size_bytes} bytes came"
    raise CheckpointUnavailableError(
        f"checkpoint {checkpoint.name!r} could not be downloaded: {problem}. " + by_hand(checkpoint)
    )


def _append(address: str, path: Path) -> None:
    """Fetch what ``path`` does not have yet."""
    have = path.stat().st_size
    request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
        # 200 instead of 206: the server sends everything again.
        mode = "ab" if response.status == 206 else "wb"
        with path.open(mode) as file:
            while chunk := response.read(_CHUNK_BYTES):
                file.write(chunk)
