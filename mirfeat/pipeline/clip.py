"""One clip on its way: decoded once, cut for every unit of ``a+b``, its rows gathered.

Memory: one block of ten seconds and its segments; what stays of a clip are its moments, and its
rows where they are wanted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mirfeat.audio.clip import ClipFacts, Source, checked_blocks, open_clip
from mirfeat.audio.convert import Converter
from mirfeat.audio.reader import Reader
from mirfeat.audio.segments import Segment, Segmenter
from mirfeat.errors import NonFiniteFeatureError
from mirfeat.pipeline.unit import Unit
from mirfeat.results.embedding import Embedding
from mirfeat.results.moments import Moments


@dataclass(eq=False)
class ClipRows:
    """Rows of one clip and one unit: moments always, the rows themselves where wanted."""

    moments: Moments
    keep: bool
    count: int = 0
    rows: list[tuple[np.ndarray, np.ndarray, Segment]] = field(default_factory=list)

    def add(self, mean: np.ndarray, variance: np.ndarray, segment: Segment) -> None:
        """Take the next row in time."""
        self.moments.add(mean, variance, segment.weight)
        self.count += 1
        if self.keep:
            self.rows.append((mean.copy(), variance.copy(), segment))


@dataclass(eq=False)
class Clip:
    """One item on its way: its source, what was seen of it, its rows, or its error."""

    id: str
    source: Source
    rows: list[ClipRows]
    facts: ClipFacts = field(default_factory=ClipFacts)
    notes: list[str] = field(default_factory=list)
    error: Exception | None = None
    pending: int = 0
    decoded: bool = False

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.decoded and (self.pending == 0 or self.error is not None)


def new_clip(id: str, source: Source, units: Sequence[Unit], *, keep_rows: bool) -> Clip:
    """A clip that has not been touched yet."""
    return Clip(id, source, [ClipRows(Moments(unit.row_size), keep_rows) for unit in units])


def clip_segments(
    clip: Clip, units: Sequence[Unit], max_seconds: float | None
) -> Iterator[tuple[int, Segment]]:
    """Decode a clip and yield (index of unit, segment), each unit's in the order of time."""
    with open_clip(clip.source, max_seconds) as reader:
        cutters = [
            (
                Converter(reader, unit.spec.mel.sample_rate, unit.spec.mel.channels),
                Segmenter(
                    unit.segment,
                    unit.spec.mel.sample_rate,
                    reader.name,
                    refuse_short=unit.refuse_short,
                ),
            )
            for unit in units
        ]
        yield from cut(reader, clip.facts, cutters)
    clip.notes += _notes(clip.facts, reader, cutters)


def cut(
    reader: Reader, facts: ClipFacts, cutters: Sequence[tuple[Converter, Segmenter]]
) -> Iterator[tuple[int, Segment]]:
    """Read an opened clip once and yield (index of cutter, segment); ``facts`` is filled."""
    block = None
    for block in checked_blocks(reader, facts):
        for index, (converter, segmenter) in enumerate(cutters):
            for segment in segmenter.push(converter.convert(block)):
                yield index, segment
    assert block is not None  # an empty clip has raised
    for index, (converter, segmenter) in enumerate(cutters):
        for segment in segmenter.push(converter.flush(block)):
            yield index, segment
        for segment in segmenter.finish():
            yield index, segment


def _notes(
    facts: ClipFacts, reader: Reader, cutters: Sequence[tuple[Converter, Segmenter]]
) -> list[str]:
    notes = ["silent"] if facts.silent else []
    notes += [segmenter.note for _, segmenter in cutters if segmenter.note]
    if not facts.silent:
        notes += [note for converter, _ in cutters for note in converter.notes(facts.peak)]
    return list(dict.fromkeys([*notes, *reader.notes]))


def vector_of(clip: Clip, statistics: tuple[tuple[str, ...], ...]) -> np.ndarray:
    """Vector of a finished clip: its units one after the other, float32.

    Raises:
        NonFiniteFeatureError: a number of it is NaN or infinite.
    """
    vector = np.concatenate(
        [rows.moments.vector(chosen) for rows, chosen in zip(clip.rows, statistics, strict=True)]
    )
    return _finite(vector, clip.id)


def _finite(values: np.ndarray, name: str) -> np.ndarray:
    if broken := int((~np.isfinite(values)).sum()):
        raise NonFiniteFeatureError(
            f"{name}: {broken} of {values.size} numbers of its features are NaN or infinite, "
            "although its samples are not. Its levels or the network's weights are too large."
        )
    return values


def embedding_arrays(rows: ClipRows, sample_rate: int) -> dict[str, Any]:
    """The arrays of an :class:`~mirfeat.results.embedding.Embedding` from kept rows.

    Raises:
        NonFiniteFeatureError: a number of a row is NaN or infinite.
    """
    segments = [segment for _, _, segment in rows.rows]
    return {
        "values": _finite(np.stack([mean for mean, _, _ in rows.rows]), "audio"),
        "within_variance": _finite(np.stack([spread for _, spread, _ in rows.rows]), "audio"),
        "starts": np.array([segment.start for segment in segments]) / sample_rate,
        "ends": np.array([segment.end for segment in segments]) / sample_rate,
        "weights": np.array([segment.weight for segment in segments]),
    }


def embedding_of(rows: ClipRows, unit: Unit) -> Embedding:
    """All rows of a clip, which were kept, with their times and the blocks of a row."""
    return embedding_from(embedding_arrays(rows, unit.spec.mel.sample_rate), unit)


def embedding_from(arrays: Mapping[str, Any], unit: Unit) -> Embedding:
    """An embedding of these arrays, with the blocks of a row."""
    blocks, start = {}, 0
    for block, size in unit.model.block_sizes.items():
        blocks[block] = slice(start, start + size)
        start += size
    return Embedding(
        **arrays,
        blocks=blocks,
        row_names=unit.row_names,
        provenance=unit.provenance,
    )
