"""Duplicates between music files and repetition inside one, by a small spectral fingerprint.

A fingerprint is a row of log energies in 36 bands (100 to 4800 Hz) every quarter of a second, each
band with its mean over the track removed and scaled to unit deviation, each row then without its
mean and scaled to unit length; silence is zero. Two tracks are compared at every time shift at
once (cross-correlation by FFT): the similarity at a shift is the mean cosine of the rows that
overlap, below 0.5 for different music and 0.9 to 1 for the same recording in another encoding,
level or length.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf

FRAMES_PER_SECOND = 4
BANDS = 36
LOWEST_HZ, HIGHEST_HZ = 100.0, 4800.0
SAME_RECORDING = 0.70  # mean cosine; see open_weights/README.md for what was measured
SAME_PERIOD = 0.90
SHORTEST_OVERLAP_SECONDS = 20.0
SHORTEST_PERIOD_SECONDS = 25.0
SILENCE = 1e-6  # of the loudest row's energy: 60 dB below
VERSION = b"1"  # of the fingerprint, part of its file name


@dataclass(frozen=True)
class Match:
    """Two tracks share a recording: row numbers, mean cosine, shift and overlap in seconds."""

    first: int
    second: int
    similarity: float
    shift_seconds: float
    overlap_seconds: float


def _band_edges(rate: int, window: int) -> np.ndarray:
    """First FFT bin of each band, and the bin after the last; (BANDS + 1,) int64."""
    hertz = np.geomspace(LOWEST_HZ, min(HIGHEST_HZ, 0.45 * rate), BANDS + 1)
    edges: np.ndarray = np.round(hertz * window / rate).astype(np.int64)
    return edges


def _energies(file: Path) -> np.ndarray:
    """Band energies of the file, (frames, BANDS) float32; windows of half a second."""
    with sf.SoundFile(file) as sound:
        hop = sound.samplerate // FRAMES_PER_SECOND
        window = 2 * hop
        edges = _band_edges(sound.samplerate, window)
        shape = np.hanning(window).astype(np.float32)
        chunks = []
        # 64 windows at a time: an hour of music must not be in memory at once
        for block in sound.blocks(65 * hop, overlap=hop, dtype="float32", always_2d=True):
            mono = block.mean(axis=1)
            if len(mono) < window:
                continue
            windows = np.lib.stride_tricks.sliding_window_view(mono, window)[::hop]
            power = np.abs(np.fft.rfft(windows * shape)) ** 2
            chunks.append(np.add.reduceat(power, edges[:-1], axis=1).astype(np.float32))
    return np.concatenate(chunks) if chunks else np.zeros((0, BANDS), np.float32)


def sounding(energies: np.ndarray) -> np.ndarray:
    """Which rows are louder than SILENCE of the loudest; (frames,) bool."""
    total = energies.sum(axis=1)
    return np.asarray(total > SILENCE * max(float(total.max(initial=0.0)), 1e-12))


def normalise(energies: np.ndarray) -> np.ndarray:
    """Fingerprint of band energies: float32 of the same shape; silent rows zero, others length 1.

    Levels are cut 40 dB below a row's loudest band, and the mean over the bands is removed: what
    is left is the shape of the spectrum, without loudness and noise floor.
    """
    loud = sounding(energies)
    if not loud.any():
        return np.zeros(energies.shape, np.float32)
    floor = 1e-4 * energies.max(axis=1, keepdims=True) + 1e-12
    levels = np.log(energies.astype(np.float64) + floor)
    levels -= levels[loud].mean(axis=0)
    levels /= np.maximum(levels[loud].std(axis=0), 1e-3)
    levels -= levels.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(levels, axis=1, keepdims=True)
    rows: np.ndarray = np.where(loud[:, None], levels, 0.0) / np.maximum(lengths, 1e-6)
    return rows.astype(np.float32)


def sounding_seconds(rows: np.ndarray) -> float:
    """Seconds until a fingerprint's last row that is not silent."""
    loud = np.flatnonzero(rows.any(axis=1))
    return float(loud[-1] + 1) / FRAMES_PER_SECOND if len(loud) else 0.0


def fingerprint(file: Path, cache: Path | None = None) -> np.ndarray:
    """The file's fingerprint, (frames, BANDS) float32; kept in the folder ``cache``."""
    if cache is None:
        return normalise(_energies(file))
    state = file.stat()
    key = f"{file.resolve()}|{state.st_size}|{state.st_mtime_ns}".encode() + VERSION
    kept = cache / f"{hashlib.sha256(key).hexdigest()[:32]}.npy"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(".partial")
        with partial.open("wb") as out:
            np.save(out, _energies(file))
        partial.replace(kept)
    return normalise(np.load(kept))


def _spectrum(rows: np.ndarray, length: int) -> np.ndarray:
    return np.fft.rfft(rows, length, axis=0).astype(np.complex64)


def _power_of_two(at_least: int) -> int:
    return 1 << (max(at_least, 2) - 1).bit_length()


class Spectra:
    """Fourier transforms of fingerprints, each computed once for each length."""

    def __init__(self, prints: Sequence[np.ndarray]) -> None:
        self.prints = prints
        self._kept: dict[tuple[int, int], np.ndarray] = {}

    def __call__(self, track: int, length: int) -> np.ndarray:
        """(length // 2 + 1, BANDS) complex64."""
        if (track, length) not in self._kept:
            self._kept[track, length] = _spectrum(self.prints[track], length)
        return self._kept[track, length]


def mean_cosines(a: np.ndarray, b: np.ndarray, product: np.ndarray, length: int) -> np.ndarray:
    """Mean cosine at shifts -(len(b) - 1) ... len(a) - 1 of ``b``'s start on ``a``'s time axis.

    ``product`` is the sum over bands of ``a``'s spectrum times ``b``'s conjugated. Shifts with
    less than SHORTEST_OVERLAP_SECONDS in common, or less than half of the shorter track, get -1.
    """
    sums = np.fft.irfft(product, length)
    sums = np.concatenate([sums[length - (len(b) - 1) :], sums[: len(a)]])
    shifts = np.arange(-(len(b) - 1), len(a))
    overlap = np.minimum(len(a), shifts + len(b)) - np.maximum(0, shifts)
    shortest = max(SHORTEST_OVERLAP_SECONDS * FRAMES_PER_SECOND, 0.5 * min(len(a), len(b)))
    return np.where(overlap >= shortest, sums / np.maximum(overlap, 1), -1.0).astype(np.float32)


def compare(spectra: Spectra, first: int, second: int) -> Match:
    """The shift at which two tracks are most alike."""
    a, b = spectra.prints[first], spectra.prints[second]
    length = _power_of_two(len(a) + len(b))
    product = np.einsum("fb,fb->f", spectra(first, length), np.conj(spectra(second, length)))
    cosines = mean_cosines(a, b, product, length)
    best = int(cosines.argmax())
    shift = best - (len(b) - 1)
    overlap = min(len(a), shift + len(b)) - max(0, shift)
    return Match(
        first,
        second,
        float(cosines[best]),
        shift / FRAMES_PER_SECOND,
        overlap / FRAMES_PER_SECOND,
    )


def find_matches(
    prints: Sequence[np.ndarray], threshold: float = SAME_RECORDING
) -> Iterator[Match]:
    """All pairs whose similarity is ``threshold`` or more."""
    spectra = Spectra(prints)
    usable = [k for k, rows in enumerate(prints) if len(rows) > 0]
    for position, first in enumerate(usable):
        for second in usable[position + 1 :]:
            match = compare(spectra, first, second)
            if match.similarity >= threshold:
                yield match


def period_seconds(rows: np.ndarray, threshold: float = SAME_PERIOD) -> float | None:
    """Seconds after which the track only repeats itself; None where it does not.

    The shortest shift of SHORTEST_PERIOD_SECONDS or more at which all that follows is, with a mean
    cosine of ``threshold``, what came before; 20 s and a tenth of the track must follow.
    """
    length = _power_of_two(2 * len(rows))
    power = (np.abs(_spectrum(rows, length)) ** 2).sum(axis=1)
    sums = np.fft.irfft(power, length)[: len(rows)]
    shifts = np.arange(len(rows))
    cosines = sums / (len(rows) - shifts)
    follows = max(SHORTEST_OVERLAP_SECONDS * FRAMES_PER_SECOND, 0.1 * len(rows))
    allowed = (shifts >= SHORTEST_PERIOD_SECONDS * FRAMES_PER_SECOND) & (
        len(rows) - shifts >= follows
    )
    found = np.flatnonzero(allowed & (cosines >= threshold))
    if len(found) == 0:
        return None
    near = found[found <= found[0] + FRAMES_PER_SECOND]
    return float(near[cosines[near].argmax()]) / FRAMES_PER_SECOND
