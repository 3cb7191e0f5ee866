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
    """An opened clip. ``name`` is for messages; rate in Hz.

    ``layout`` names the channels in order (FL, FR, FC, LFE, …); it is empty where nobody said.
    ``notes`` are worth telling; they are complete once all blocks were read.
    """

    name: str
    sample_rate: int
    channels: int
    layout: tuple[str, ...]
    notes: list[str]

    def blocks(self) -> Blocks:
        """The samples as float32 [C, n] blocks, in order."""
        ...

    def close(self) -> None:
        """Release the file."""
        ...


class Decoder(Protocol):
    """A library at work on one file; what it gives is not checked yet."""

    sample_rate: int
    channels: int
    layout: tuple[str, ...]
    samples: int | None
    """Samples per channel that it says it will give; None where it does not know."""

    def blocks(self, most: int) -> Blocks:
        """At most ``most`` samples per channel as float32 [C, n]; Damaged where it stops early."""
        ...

    def close(self) -> None:
        """Release what it holds."""
        ...


class RefusedError(Exception):
    """A decoder cannot read this file, or not all of it; the text says why."""


class DamagedError(Exception):
    """Decoding broke off; the text says why. ``done`` samples came before, if it is known."""

    def __init__(self, reason: str, done: int = 0) -> None:
        """Decoding stopped for ``reason``."""
        super().__init__(reason)
        self.done = done


def block_samples(sample_rate: float, channels: int) -> int:
    """Samples per channel in one block: ten seconds, less for very many channels."""
    return max(1, min(int(BLOCK_SECONDS * sample_rate), _BLOCK_VALUES // channels))


def limit_samples(max_seconds: float | None, sample_rate: float) -> int:
    """Samples per channel in ``max_seconds``; the largest number for None."""
    return sys.maxsize if max_seconds is None else math.ceil(max_seconds * sample_rate - 1e-6)


def damaged(name: str, seconds: float, total: float | None, reason: str) -> DecodeError:
    """The error for a clip that ends after so many seconds; ``total`` where it is known."""
    of = "" if total is None else f" of about {total:.1f} s"
    return DecodeError(
        f"{name}: decoding stopped at {seconds:.1f} s{of} ({reason}). "
        "The file is damaged; no feature was made."
    )
