"""An opened clip as a stream of blocks: what readers of files and of arrays have in common."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from typing import Protocol, TypeAlias

import numpy as np

from mirfeat.errors import DecodeError

Blocks: TypeAlias = Iterator[np.ndarray]

MIN_RATE_HZ, MAX_RATE_HZ = 1000, 1_000_000
BLOCK_SECONDS = 10.0
# Bounds a block of a many-channel file to 16 MiB as well.
_BLOCK_VALUES = 1 << 22


class Reader(Protocol):
    """An opened clip. ``name`` is for messages; rate in Hz."""

    name: str
    sample_rate: int
    channels: int

    def blocks(self) -> Blocks:
        """The samples as float32 [C, n] blocks, in order."""
        ...

    def close(self) -> None:
        """Release the file."""
        ...


def block_samples(sample_rate: float, channels: int) -> int:
    """Samples per channel in one block: ten seconds, less for very many channels."""
    return max(1, min(int(BLOCK_SECONDS * sample_rate), _BLOCK_VALUES // channels))


def limit_samples(max_seconds: float | None, sample_rate: float) -> int:
    """Samples per channel in ``max_seconds``; the largest number for None."""
    return sys.maxsize if max_seconds is None else math.ceil(max_seconds * sample_rate - 1e-6)


def damaged(reader: Reader, done: int, total: float | None, reason: str) -> DecodeError:
    """The error for a clip that ends after ``done`` samples; ``total`` seconds if known."""
    of = "" if total is None else f" of about {total:.1f} s"
    return DecodeError(
        f"{reader.name}: decoding stopped at {done / reader.sample_rate:.1f} s{of} ({reason}). "
        "The file is damaged; no feature was made."
    )


def check_rate(reader: Reader) -> None:
    """DecodeError where a header says what no audio has; libsndfile believes it."""
    if not MIN_RATE_HZ <= reader.sample_rate <= MAX_RATE_HZ:
        raise DecodeError(
            f"{reader.name}: its header says {reader.sample_rate} Hz, which is not audio."
        )
