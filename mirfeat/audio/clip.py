"""Clips of audio: what is accepted, and the checks that all of it passes.

Files and arrays go through the same blocks, so the same samples give the same features. Arrays
are (N,) or (C, N), channels first as in librosa.
"""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from mirfeat.audio.addresses import Remote, located
from mirfeat.audio.decode import open_encoded, open_file
from mirfeat.audio.opened import FileLike, is_file_like, name_of
from mirfeat.audio.reader import (
    MAX_RATE_HZ,
    MIN_RATE_HZ,
    Blocks,
    Reader,
    block_samples,
    limit_samples,
)
from mirfeat.audio.remote import fetched
from mirfeat.errors import AudioError, EmptyAudioError, NonFiniteAudioError, OptionError

PathLike: TypeAlias = str | os.PathLike[str]

MAX_CHANNELS = 32
# Bare samples of more channels are taken for a batch of clips.
_CLIPS_FROM = 8
# Music as floats lies in [-1, 1], with some headroom; integers that were only cast lie far above.
_MAX_PEAK = 10.0
_SILENT_PEAK = 1e-6
# Full scale and zero of the integer types that audio comes in.
_INTEGERS = {"uint8": (128.0, 128.0), "int8": (128.0, 0.0), "int16": (32768.0, 0.0)}
_INTEGERS["int32"] = (2147483648.0, 0.0)


@dataclass(frozen=True, eq=False)
class Audio:
    """Samples and their rate.

    ``samples``: array or CPU tensor, (N,) or (C, N) with at most 32 channels; floats around
    [-1, 1] or 8, 16 or 32-bit integers. ``sample_rate`` in Hz. ``name`` is used in messages.

    >>> mirfeat.Audio(np.zeros((2, 22050), "float32"), 44100).seconds
    0.5

    Raises:
        AudioError: another shape or type, or a rate outside 1 kHz … 1 MHz.
        EmptyAudioError: no samples.
    """

    samples: Any
    sample_rate: float
    name: str = "array"

    def __post_init__(self) -> None:
        """Check type, shape and rate; samples become (C, N) without a copy."""
        object.__setattr__(self, "samples", _as_channels(self.samples, self.name))
        object.__setattr__(self, "sample_rate", _checked_rate(self.sample_rate, self.name))

    @property
    def seconds(self) -> float:
        """Duration."""
        return float(self.samples.shape[1] / self.sample_rate)


AudioLike: TypeAlias = Any
"""A path, a URL, an :class:`Audio`, an array, a CPU tensor; or an audio file as ``bytes`` or as an
open binary file, which is read from its start."""

Source: TypeAlias = PathLike | Audio | FileLike | bytes


@dataclass
class ClipFacts:
    """What was seen while a clip went by."""

    seconds: float = 0.0
    channels: int = 0
    peak: float = 0.0

    @property
    def silent(self) -> bool:
        """Whether no sample reached -120 dB."""
        return self.peak < _SILENT_PEAK


class ArrayReader:
    """An array as a stream of blocks, like a file."""

    def __init__(self, audio: Audio, max_seconds: float | None) -> None:
        """Read at most ``max_seconds`` of ``audio``."""
        self.name, self.sample_rate = audio.name, int(audio.sample_rate)
        self.channels = audio.samples.shape[0]
        self.layout: tuple[str, ...] = ()
        self.notes: list[str] = []
        self._samples = audio.samples[:, : limit_samples(max_seconds, self.sample_rate)]

    def blocks(self) -> Blocks:
        """Blocks of about ten seconds as float32 [C, n]."""
        size, peak = block_samples(self.sample_rate, self.channels), 0
        for start in range(0, self._samples.shape[1], size):
            block = self._samples[:, start : start + size]
            if block.dtype == np.int32:
                peak = max(peak, int(block.max()), -int(block.min()))
            yield _as_float32(block)
        bits = next((bits for bits in (16, 24) if peak <= 1 << (bits - 1)), None)
        if peak and bits is not None:
            self.notes.append(
                f"int32 up to {peak} of 2147483648: looks like {bits}-bit samples, which "
                f"samples << {32 - bits} would scale"
            )

    def close(self) -> None:
        """Nothing to release."""


def needs_rate(audio: AudioLike) -> bool:
    """Whether this is samples, which do not say at which rate they are."""
    return not (isinstance(audio, str | os.PathLike | Audio) or is_file_like(audio))


def source_of(audio: AudioLike, sample_rate: int | None) -> Source:
    """What a caller gave, as something that can be opened.

    Raises:
        OptionError: a rate for something that has its own.
        AudioError: no such samples.
    """
    if needs_rate(audio):
        return samples_of(audio, sample_rate)
    if sample_rate is not None:
        raise OptionError(f"sample_rate={sample_rate} was given for something that has its own.")
    source: Source = audio
    return source


def samples_of(samples: Any, sample_rate: Any, name: str = "array") -> Audio:
    """Bare samples as one clip.

    Raises:
        AudioError: no such samples, or so many channels that they may be clips.
    """
    audio = Audio(samples, sample_rate, name)
    if (channels := len(audio.samples)) > _CLIPS_FROM:
        raise AudioError(
            f"{name}: shape {tuple(samples.shape)} would be one clip of {channels} channels. If "
            "these are clips: extract_batch(samples, sample_rate). If it is one clip: pass "
            "mirfeat.Audio(samples, sample_rate)."
        )
    return audio


def batch_of(samples: Any, sample_rate: Any) -> list[Audio]:
    """The clips of an array or tensor (B, N) or (B, C, N).

    Raises:
        AudioError: another shape, or clips that cannot be used.
    """
    if getattr(samples, "ndim", 0) not in (2, 3) or not len(samples):
        found = f"shape {tuple(samples.shape)}" if hasattr(samples, "shape") else type(samples)
        raise AudioError(
            f"extract_batch: {found}; it takes an array (clips, samples) or "
            "(clips, channels, samples)."
        )
    return [Audio(clip, sample_rate, f"clip {index}") for index, clip in enumerate(samples)]


@contextmanager
def open_clip(source: Source, max_seconds: float | None) -> Iterator[Reader]:
    """Open a path, a URL, an :class:`Audio` or a file object for its first ``max_seconds``."""
    with ExitStack() as opened:
        if isinstance(source, Audio):
            reader: Reader = ArrayReader(source, max_seconds)
        elif not isinstance(source, str | os.PathLike):
            reader = open_encoded(source, name_of(source), max_seconds)
        elif isinstance(place := located(source), Remote):
            copy = opened.enter_context(fetched(place))
            reader = open_file(copy, max_seconds, name=str(place))
        else:
            reader = open_file(place, max_seconds)
        opened.callback(reader.close)
        yield reader


def checked_blocks(reader: Reader, facts: ClipFacts) -> Blocks:
    """Blocks of a clip, each checked; ``facts`` is filled on the way.

    Raises:
        NonFiniteAudioError: NaN or infinity, with the time of the first one.
        AudioError: floats that look like integers.
        EmptyAudioError: the clip ended without a sample.
    """
    samples, facts.channels = 0, reader.channels
    for block in reader.blocks():
        peak = max(float(block.max()), -float(block.min()))
        if not math.isfinite(peak):
            first = samples + int(np.argmin(np.isfinite(block).all(axis=0)))
            raise NonFiniteAudioError(
                f"{reader.name}: NaN or infinite sample at {first / reader.sample_rate:.3f} s. "
                "Repair the audio or cut that part out."
            )
        if peak > _MAX_PEAK:
            raise AudioError(
                f"{reader.name}: floats up to {peak:.4g}, expected about -1 to 1. It looks like "
                "integers turned into floats: divide by 32768 for 16-bit audio, or pass int16."
            )
        samples += block.shape[1]
        facts.peak = max(facts.peak, peak)
        facts.seconds = samples / reader.sample_rate
        yield block
    if samples == 0:
        raise EmptyAudioError(f"{reader.name}: no samples.")


def _checked_rate(rate: Any, name: str) -> int:
    value = float(rate) if isinstance(rate, numbers.Real) else math.nan
    if not (MIN_RATE_HZ <= value <= MAX_RATE_HZ and value == int(value)):
        raise AudioError(
            f"{name}: sample_rate={rate!r}. It is a whole number of Hz from {MIN_RATE_HZ} to "
            f"{MAX_RATE_HZ}, for example 44100."
        )
    return int(value)


def _as_channels(samples: Any, name: str) -> np.ndarray:
    """Array (C, N) of a supported type, from an array or CPU tensor (N,) or (C, N)."""
    if hasattr(samples, "detach"):
        try:
            # Lazy negation is resolved: NumPy has no such thing.
            samples = samples.detach().cpu().resolve_neg().numpy()
        # Sparse, bfloat16, meta, quantised, inside vmap: each has an error of its own.
        except Exception as error:
            raise AudioError(f"{name}: this tensor has no NumPy form: {error}") from error
    if not isinstance(samples, np.ndarray):
        raise AudioError(
            f"{name}: {type(samples).__name__} is not audio. Give a path, an audio file as bytes "
            "or opened with 'rb', a NumPy array, a torch tensor or "
            "mirfeat.Audio(samples, sample_rate)."
        )
    if samples.dtype.kind != "f" and samples.dtype.name not in _INTEGERS:
        raise AudioError(
            f"{name}: samples of type {samples.dtype} have no known full scale. Use float32 in "
            "-1 to 1, or int16, int32, int8 or uint8."
        )
    if samples.ndim not in (1, 2):
        raise AudioError(
            f"{name}: shape {samples.shape}, expected (samples,) or (channels, samples)."
        )
    if samples.size == 0:
        raise EmptyAudioError(f"{name}: shape {samples.shape} has no samples.")
    channels = samples if samples.ndim == 2 else samples[None]
    if len(channels) > MAX_CHANNELS or len(channels) > channels.shape[1]:
        raise AudioError(
            f"{name}: shape {samples.shape} looks like (samples, channels); pass x.T, "
            f"(channels, samples) with at most {MAX_CHANNELS} channels."
        )
    return channels


def _as_float32(block: np.ndarray) -> np.ndarray:
    if block.dtype.kind == "f":
        # What overflows becomes infinite and is reported as such.
        with np.errstate(over="ignore"):
            return block.astype(np.float32, copy=False)
    full_scale, zero = _INTEGERS[block.dtype.name]
    if block.dtype == np.int32:
        # Through float64 and rounded once, as libsndfile does for 24 and 32-bit files.
        return (block / full_scale).astype(np.float32)
    return (block.astype(np.float32) - np.float32(zero)) / np.float32(full_scale)
