"""Files that appear whole or not at all, and their hashes."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UNFINISHED = ".writing-"
"""What names of files begin with that are not whole yet."""


def sha256_of(path: Path) -> str:
    """sha256 of a file's bytes."""
    return hash_of(path, "sha256")


def hash_of(path: Path, algorithm: str) -> str:
    """Hash of a file's bytes by the name of the algorithm, such as "md5"."""
    hasher = hashlib.new(algorithm, usedforsecurity=algorithm != "md5")
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            hasher.update(chunk)
    return hasher.hexdigest()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Temporary file beside ``path`` that takes its place when the block ends without an error.

    A reader sees the old file or the new one, whole; a failure leaves nothing behind. Once the
    block is left, the new one is there after a loss of power too.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{UNFINISHED}{secrets.token_hex(8)}{path.suffix}")
    # Not tempfile: its files are private. These follow the user's umask, which cannot be read
    # without changing it for all threads.
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk, before anything that relies on them is changed."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return  # Windows, or a folder that may be written but not listed
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network disks know no such thing; a full or broken disk is a failure.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF):
            raise
    finally:
        os.close(descriptor)


def readable(name: object) -> str:
    """A name for a message: bytes that are no text are escaped, as nobody could print them."""
    return str(name).encode("utf-8", "backslashreplace").decode("utf-8")
