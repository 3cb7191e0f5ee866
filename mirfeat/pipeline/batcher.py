"""Segments of many clips in batches of equal length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from mirfeat.audio.segments import Segment
from mirfeat.pipeline.clip import Clip
from mirfeat.pipeline.forward import Forward, lane_to
from mirfeat.pipeline.profile import Profile
from mirfeat.pipeline.unit import Unit


class Batcher:
    """Gathers segments of equal length into batches and hands rows back to their clips."""

    def __init__(self, units: Sequence[Unit], profile: Profile | None = None) -> None:
        """Batches for each of ``units``; ``profile`` counts the time of their networks."""
        self._units, self._profile = units, profile or Profile()
        self._waiting: list[list[tuple[Clip, Segment]]] = [[] for _ in units]
        self._forward: list[Forward[tuple[Clip, Segment]]] = [
            Forward(unit.spec.name, lane_to(unit.device, unit.run), unit.batch_size)
            for unit in units
        ]

    def add(self, clip: Clip, index: int, segment: Segment) -> None:
        """Take a segment for the unit with this index; run the batch when it is full."""
        waiting = self._waiting[index]
        if waiting and waiting[0][1].audio.shape != segment.audio.shape:
            self._run(index)
        clip.pending += 1
        self._waiting[index].append((clip, segment))
        if len(self._waiting[index]) >= self._forward[index].batch_size:
            self._run(index)

    def flush(self) -> None:
        """Run what is waiting, and wait for it."""
        for index, forward in enumerate(self._forward):
            self._run(index)
            with self._profile.spent("network"):
                self._give(index, forward.drain())

    def _run(self, index: int) -> None:
        waiting, self._waiting[index] = self._waiting[index], []
        with self._profile.spent("network"):
            segments = [segment.audio for _, segment in waiting]
            owners = [(clip, segment.without_audio()) for clip, segment in waiting]
            del waiting
            self._give(index, self._forward[index].push(segments, owners))

    def _give(
        self,
        index: int,
        rows: Iterator[tuple[tuple[Clip, Segment], np.ndarray, np.ndarray]],
    ) -> None:
        for (clip, segment), mean, variance in rows:
            clip.rows[index].add(mean, variance, segment)
            clip.pending -= 1
