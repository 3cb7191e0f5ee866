"""Which crops a step learns from: a pure function of seed and step.

Nothing else is random about a batch, so a resumed run draws the same crops as one that was never
interrupted, and so do runs over any number of processes: they share one batch.
Letters in shapes: B crops, C channels, F mel bands, T frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mirfeat.training.config import Augmentation
from mirfeat.training.mel_cache import MelCache

# Streams of random numbers must not meet: each use has its own.
_CROPS, _SOURCES, _AUGMENTATION = 1, 2, 3
# Places at which a crop is tried again where it does not suit.
_TRIES = 12


def crop_stream(seed: int, step: int) -> np.random.Generator:
    """Random numbers of a step's crops."""
    return np.random.Generator(np.random.PCG64([seed, _CROPS, step]))


def source_stream(seed: int, step: int) -> np.random.Generator:
    """Random numbers of a step's choice of source."""
    return np.random.Generator(np.random.PCG64([seed, _SOURCES, step]))


def augmentation_seed(seed: int, step: int, process: int) -> int:
    """Seed of the changes that one process makes to its crops of a step."""
    state = np.random.SeedSequence([seed, _AUGMENTATION, step, process])
    return int(state.generate_state(1, np.uint64)[0] >> np.uint64(1))


@dataclass(frozen=True, eq=False)
class Batch:
    """Crops of a step: ``levels`` float16 [views, B, T, C, F], their tracks' ``rows`` [B].

    ``spans`` [views, B, 2]: where in its track a crop begins and ends, in seconds.
    """

    levels: np.ndarray
    rows: np.ndarray
    spans: np.ndarray


class CropSource:
    """Random crops of ``frames`` frames from the tracks of a manifest."""

    def __init__(
        self,
        cache: MelCache,
        ids: Sequence[str],
        frames: int,
        augmentation: Augmentation | None = None,
    ) -> None:
        """``ids`` are the tracks by row; ``augmentation`` gives stretch and shift."""
        self._cache, self._ids, self._frames = cache, ids, frames
        self._changes = augmentation or Augmentation()

    def draw(
        self,
        rows: np.ndarray,
        chances: np.ndarray,
        size: int,
        generator: np.random.Generator,
        *,
        views: int = 1,
        process: int = 0,
        processes: int = 1,
        suits: Callable[[int, tuple[float, float]], bool] | None = None,
    ) -> Batch:
        """``views`` crops each of ``size`` random tracks among ``rows``, this process's share.

        ``chances`` are the probabilities of the rows. Tracks of a batch differ as long as there
        are enough. The start of a crop is uniform over the track, or over those of its places that
        ``suits``, of row and span, agrees to; where a dozen do not, the last is taken.
        """
        enough = len(rows) >= size
        chosen = generator.choice(rows, size, replace=not enough, p=chances)
        # Drawn for the whole batch, whoever takes which part of it.
        numbers = generator.random((views, size, 3))
        again = generator.random((views, size, _TRIES))
        mine = slice(process, None, processes)
        chosen, numbers, again = chosen[mine], numbers[:, mine], again[:, mine]
        mel = self._cache.mel
        shape = (views, len(chosen), self._frames, mel.channels, mel.n_mels)
        levels, spans = np.empty(shape, np.float16), np.empty((views, len(chosen), 2))
        for view in range(views):
            for index, row in enumerate(chosen):
                place, rate, shift = numbers[view, index]
                places = [place, *again[view, index]] if suits is not None else [place]
                crop, span = self._crop(row, places, (rate, shift), suits)
                levels[view, index], spans[view, index] = crop, span
        return Batch(levels, chosen, spans)

    def spread(self, row: int, number: int) -> np.ndarray:
        """``number`` crops at even distances over a track, unchanged, [number, T, C, F]."""
        levels = self._cache.levels(self._ids[row])
        return np.stack([self._cut(levels, start, 1.0) for start in self._starts(row, number)])

    def spread_spans(self, row: int, number: int) -> np.ndarray:
        """Where the crops of :meth:`spread` begin and end, seconds [number, 2]."""
        return np.array([self._span(start, 1.0) for start in self._starts(row, number)])

    def _starts(self, row: int, number: int) -> list[int]:
        room = max(0, len(self._cache.levels(self._ids[row])) - self._frames)
        return [round(room * (index + 0.5) / number) for index in range(number)]

    def _span(self, start: float, rate: float) -> tuple[float, float]:
        mel = self._cache.mel
        seconds = mel.hop_samples / mel.sample_rate
        return start * seconds, (start + self._frames * rate) * seconds

    def _crop(
        self,
        row: int,
        places: Sequence[float],
        changes: tuple[float, float],
        suits: Callable[[int, tuple[float, float]], bool] | None,
    ) -> tuple[np.ndarray, tuple[float, float]]:
        """A crop at the first of ``places`` in [0, 1) that suits, stretched and shifted."""
        levels = self._cache.levels(self._ids[row])
        rate = 1.0 + self._changes.stretch * (2.0 * changes[0] - 1.0)
        room = max(0.0, len(levels) - 1 - (self._frames - 1) * rate)
        for place in places:
            start = room * place
            span = self._span(start, rate)
            if suits is None or suits(row, span):
                break
        crop = self._cut(levels, start, rate)
        shift = round(self._changes.shift_bands * (2.0 * changes[1] - 1.0))
        return (shifted(crop, shift) if shift else crop), span

    def _cut(self, levels: np.ndarray, start: float, rate: float) -> np.ndarray:
        """Frames from ``start`` on, every ``rate``-th; a short track is repeated."""
        if rate == 1.0 and start + self._frames <= len(levels):
            first = round(start)
            return levels[first : first + self._frames]
        frames = np.round(start + rate * np.arange(self._frames)).astype(np.int64)
        return levels[frames % len(levels)]


def shifted(levels: np.ndarray, bands: int) -> np.ndarray:
    """Levels [T, C, F] moved up by that many mel bands; the band at the edge is repeated."""
    kept = np.clip(np.arange(levels.shape[-1]) - bands, 0, levels.shape[-1] - 1)
    moved: np.ndarray = levels[..., kept]
    return moved
