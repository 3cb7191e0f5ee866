"""Targets that change within a track, averaged over each crop by how much they overlap it.

Letters in shapes: n tracks of the manifest, N stretches of time of all tracks, k numbers,
B crops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mirfeat.training.objectives import Kind
from mirfeat.training.targets.teachers import TeacherTable

# Below this, a number hardly changes over the training tracks and there is nothing to learn in it.
_STILL = 1e-6
# A crop learns of what covers so much of it, or of a stretch of which it holds so much.
_ENOUGH = 0.75
_ROUNDING = 1e-6  # seconds
# What a ranking takes for a label: a number so many standard deviations above its mean.
_STANDS_OUT = 1.0


@dataclass(frozen=True, eq=False)
class TimedTargets:
    """What is said of each stretch of each track.

    ``values`` float32 [N, k]; ``starts`` and ``ends`` float64 [N] in seconds; ``first`` [n + 1]:
    the stretches of track ``row`` are those from ``first[row]`` on, up to ``first[row + 1]``.
    ``kind``: ``probabilities`` of labels, or a ``vector`` of standardised numbers.
    """

    values: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    first: np.ndarray
    names: tuple[str, ...]
    kind: Kind

    @property
    def size(self) -> int:
        """Numbers k of a target."""
        return int(self.values.shape[1])

    @property
    def known(self) -> np.ndarray:
        """Tracks of which something is said, bool [n]."""
        known: np.ndarray = np.diff(self.first) > 0
        return known

    def crops(self, rows: np.ndarray, spans: np.ndarray) -> np.ndarray:
        """Targets float32 [B, k] of crops of tracks ``rows`` [B], ``spans`` [B, 2] in seconds.

        What overlaps a crop is averaged with the seconds of overlap for weights; NaN where that is
        too little (:meth:`covers`).
        """
        targets = np.full((len(rows), self.size), np.nan, np.float32)
        for index, (row, span) in enumerate(zip(rows, spans, strict=True)):
            mine, weights = self._overlap(row, span)
            if self._enough(mine, weights, span):
                targets[index] = (weights / weights.sum()).astype(np.float32) @ self.values[mine]
        return targets

    def covers(self, row: int, span: Sequence[float]) -> bool:
        """Whether enough is said of a crop of the track ``row`` for it to learn from.

        Three quarters of the crop, of all that was said; or the crop holds three quarters of one
        stretch. What is said of 3 s tells little of a crop that touches their end.
        """
        mine, weights = self._overlap(row, span)
        return self._enough(mine, weights, span)

    def _overlap(self, row: int, span: Sequence[float]) -> tuple[slice, np.ndarray]:
        """Stretches of a track, and the seconds that each shares with a crop."""
        mine = slice(self.first[row], self.first[row + 1])
        shared = np.minimum(self.ends[mine], span[1]) - np.maximum(self.starts[mine], span[0])
        return mine, np.maximum(shared, 0.0)

    def _enough(self, mine: slice, weights: np.ndarray, span: Sequence[float]) -> bool:
        if weights.sum() >= _ENOUGH * (span[1] - span[0]) - _ROUNDING:
            return True
        held = weights >= _ENOUGH * (self.ends[mine] - self.starts[mine]) - _ROUNDING
        return bool(held.any())


def timed_targets(
    table: TeacherTable, ids: list[str], train: np.ndarray, components: int, *, ranked: bool
) -> TimedTargets:
    """Targets from a teacher's table, for the tracks ``ids`` [n]; ``train``: bool [n].

    Numbers that all lie in [0, 1] are probabilities and stay as they are. All others are
    standardised over the training tracks, and with ``components`` above 0 replaced by so many
    principal components (as many as there are, if those are fewer), scaled so that their mean
    square stays 1. ``ranked``: everything becomes labels with weights instead, the standard
    deviations by which a number is above its mean where that is more than one, else 0.
    """
    values, starts, ends, first = _collected(table, ids)
    learnt = np.repeat(train, np.diff(first))
    sample = values[learnt]
    if not len(sample):
        return TimedTargets(values, starts, ends, first, table.names, "vector")
    if ranked:
        deviations = _standardised(values, sample)
        weights = np.where(deviations > _STANDS_OUT, deviations, 0.0).astype(np.float32)
        return TimedTargets(weights, starts, ends, first, table.names, "probabilities")
    if sample.min() >= 0.0 and sample.max() <= 1.0:
        return TimedTargets(values, starts, ends, first, table.names, "probabilities")
    values, names = _standardised(values, sample), table.names
    if components:
        values, names = _principal(values, learnt, components), ()
    return TimedTargets(values, starts, ends, first, names, "vector")


def _collected(
    table: TeacherTable, ids: list[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Values, starts, ends and first stretch of each track; tracks not in ``ids`` are left out."""
    wanted = set(ids)
    said = {track.id: track for track in table.tracks if track.id in wanted}
    present = [said[id] for id in ids if id in said]
    first = np.cumsum([0, *(len(said[id].starts) if id in said else 0 for id in ids)])
    if not present:
        nothing = np.empty(0)
        return np.empty((0, len(table.names)), np.float32), nothing, nothing, first
    return (
        np.concatenate([track.values for track in present]).astype(np.float32, copy=False),
        np.concatenate([track.starts for track in present]),
        np.concatenate([track.ends for track in present]),
        first,
    )


def _standardised(values: np.ndarray, sample: np.ndarray) -> np.ndarray:
    mean, deviation = sample.mean(0, dtype=np.float64), sample.std(0, dtype=np.float64)
    scale = np.where(deviation > _STILL, 1.0 / np.maximum(deviation, _STILL), 0.0)
    scaled: np.ndarray = ((values - mean) * scale).astype(np.float32)
    return scaled


def _principal(values: np.ndarray, learnt: np.ndarray, components: int) -> np.ndarray:
    sample = values[learnt].astype(np.float64)
    _, axes = np.linalg.eigh(sample.T @ sample / len(sample))  # in ascending order
    kept = axes[:, ::-1][:, :components]
    # The sign of an axis is arbitrary: its largest number becomes positive.
    largest = np.abs(kept).argmax(0)
    kept = kept * np.sign(kept[largest, np.arange(kept.shape[1])])
    power = np.square(sample @ kept).mean()
    projected: np.ndarray = (values @ kept / np.sqrt(max(power, _STILL))).astype(np.float32)
    return projected
