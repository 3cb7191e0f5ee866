"""A clip as segments of fixed length, the unit of batching.

Segments start at 0, hop, 2·hop, … and hold real audio only. When at least half a hop is left
uncovered, one more segment ends at the end of the clip and weighs what it adds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from mirfeat.errors import AudioTooShortError


@dataclass(frozen=True)
class SegmentSpec:
    """How a clip is cut: lengths in samples at the extractor's rate, and batch sizes per device.

    ``short`` says what happens to a clip of less than one segment: ``tile`` repeats it to a whole
    segment, ``keep`` takes it as it is (zero-padded to ``pad_samples``). ``lead_samples`` zeros
    stand before the clip, for networks that know the frames of a centred transform of whole clips.
    """

    samples: int
    hop_samples: int
    min_samples: int
    short: Literal["tile", "keep"]
    batch_cpu: int
    batch_gpu: int
    pad_samples: int = 0
    lead_samples: int = 0

    @property
    def whole_samples(self) -> int:
        """The shortest clip that fills a segment."""
        return self.samples - self.lead_samples


@dataclass(frozen=True, eq=False)
class Segment:
    """One stretch of audio.

    ``audio`` is float32 [C, N] at the extractor's rate; ``start`` and ``end`` are the samples of
    the clip it stands for (a tiled segment is longer than that); ``weight`` is at most 1.
    """

    audio: np.ndarray
    start: int
    end: int
    weight: float

    def without_audio(self) -> Segment:
        """The same of no samples: audio need not be kept until its row is there."""
        return replace(self, audio=np.empty((len(self.audio), 0), np.float32))


class Segmenter:
    """Cut a stream of blocks into segments; memory is at most one of those, two hops and blocks."""

    def __init__(
        self, spec: SegmentSpec, sample_rate: int, name: str, *, refuse_short: bool
    ) -> None:
        """Cut as ``spec`` says; with ``refuse_short`` a clip below one segment is an error."""
        self._spec, self._rate, self._name = spec, sample_rate, name
        self._refuse_short, self._lead = refuse_short, spec.lead_samples
        # Blocks stay apart until a segment needs them: joining copies.
        self._kept: list[np.ndarray] = []
        self._kept_start = self._next_start = self._total = self._covered = 0
        self.note: str | None = None

    def push(self, block: np.ndarray) -> Iterator[Segment]:
        """Take the next block [C, n] and yield the segments that it completes."""
        if self._lead and not self._kept:
            self._kept.append(np.zeros((len(block), self._lead), np.float32))
            self._total = self._lead
        self._total += block.shape[1]
        self._kept.append(block)
        while self._total - self._next_start >= self._spec.samples:
            yield self._cut(self._next_start, 1.0)
            self._covered = self._next_start + self._spec.samples
            # The tail may reach back to the start of this segment, not further.
            self._drop_before(self._next_start)
            self._next_start += self._spec.hop_samples

    def finish(self) -> Iterator[Segment]:
        """Yield the tail, or the only segment of a short clip, after the last block.

        Raises:
            AudioTooShortError: below the extractor's minimum, or short where that is refused.
        """
        if self._total < self._spec.samples:
            yield self._short_clip()
            return
        uncovered = self._total - self._covered
        if 2 * uncovered >= self._spec.hop_samples:
            start = self._total - self._spec.samples
            yield self._cut(start, uncovered / self._spec.hop_samples)

    def _joined(self) -> np.ndarray:
        """What is kept, as one array [C, n]."""
        if len(self._kept) > 1:
            self._kept = [np.concatenate(self._kept, axis=1)]
        return self._kept[0]

    def _cut(self, start: int, weight: float) -> Segment:
        first = start - self._kept_start
        audio = self._joined()[:, first : first + self._spec.samples]
        # Of what comes before the clip no time is told.
        begins, ends = max(0, start - self._lead), start - self._lead + self._spec.samples
        return Segment(np.ascontiguousarray(audio), begins, ends, weight)

    def _drop_before(self, start: int) -> None:
        self._kept = [self._joined()[:, start - self._kept_start :]]
        self._kept_start = start

    def _short_clip(self) -> Segment:
        heard = max(0, self._total - self._lead)
        seconds = heard / self._rate
        minimum = self._spec.whole_samples if self._refuse_short else self._spec.min_samples
        if not heard or heard < minimum:
            long_enough = heard >= self._spec.min_samples
            hint = " short='tile' would repeat it." if long_enough else ""
            raise AudioTooShortError(
                f"{self._name}: {seconds:.4g} s, this extractor takes {minimum / self._rate:.4g} s "
                f"or more.{hint}"
            )
        audio = self._joined()
        if self._spec.short == "keep":
            if (missing := self._spec.pad_samples - self._total) > 0:
                audio = np.pad(audio, ((0, 0), (0, missing)))
        else:
            self.note = f"tiled from {seconds:.3g} s"
            times = -(-self._spec.whole_samples // heard)
            tiled = np.tile(audio[:, self._lead :], times)[:, : self._spec.whole_samples]
            audio = np.concatenate([audio[:, : self._lead], tiled], axis=1)
        return Segment(np.ascontiguousarray(audio), 0, heard, 1.0)
