"""Clips in, rows out: decoding, segments, batches across files, moments per file.

A clip is decoded once and cut for every part of ``a+b``. Segments of many clips share batches;
rows reach their clip in the order of time, so batch size, workers and the order of files do not
change a result beyond float rounding. Memory does not depend on the length or number of files:
per decoding thread one block of ten seconds and its segments, a bounded queue, one batch.
"""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import torch

from mirfeat.audio import Audio, ClipFacts, Converter, PathLike, checked_blocks, open_clip
from mirfeat.errors import MirfeatError
from mirfeat.features import Moments
from mirfeat.networks.blocks import Rows
from mirfeat.segments import Segment, Segmenter
from mirfeat.spec import ExtractorSpec, SegmentSpec

# A decoder may start a clip only when it is this close to the oldest unfinished one.
MAX_AHEAD = 64
OnError = Literal["record", "raise"]
Source: TypeAlias = PathLike | Audio


@dataclass(frozen=True, eq=False)
class Part:
    """One extractor of a pipeline, ready to run.

    ``run`` maps float32 segments [B, C, N] on ``device`` to rows.
    """

    spec: ExtractorSpec
    segment: SegmentSpec
    run: Callable[[torch.Tensor], Rows]
    row_size: int
    device: torch.device
    batch_size: int
    refuse_short: bool


@dataclass(eq=False)
class PartRows:
    """Rows of one clip and one part: moments always, the rows themselves where wanted."""

    moments: Moments
    keep: bool
    count: int = 0
    rows: list[tuple[np.ndarray, np.ndarray, Segment]] = field(default_factory=list)

    def add(self, mean: np.ndarray, variance: np.ndarray, segment: Segment) -> None:
        """Take the next row in time."""
        self.moments.add(mean, variance, segment.weight)
        self.count += 1
        if self.keep:
            # Without its audio: an hour of rows is small, an hour of audio is not.
            bare = Segment(segment.audio[:, :0], segment.start, segment.end, segment.weight)
            self.rows.append((mean.copy(), variance.copy(), bare))


@dataclass(eq=False)
class Clip:
    """One item on its way: its source, what was seen of it, its rows, or its error."""

    id: str
    source: Source
    parts: list[PartRows]
    facts: ClipFacts = field(default_factory=ClipFacts)
    notes: list[str] = field(default_factory=list)
    error: Exception | None = None
    pending: int = 0
    decoded: bool = False

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.decoded and (self.pending == 0 or self.error is not None)


def new_clip(id: str, source: Source, parts: list[Part], *, keep_rows: bool) -> Clip:
    """A clip that has not been touched yet."""
    return Clip(id, source, [PartRows(Moments(part.row_size), keep_rows) for part in parts])


def clip_segments(
    clip: Clip, parts: list[Part], max_seconds: float | None
) -> Iterator[tuple[int, Segment]]:
    """Decode a clip and yield (index of part, segment), each part's in the order of time."""
    with open_clip(clip.source, max_seconds) as reader:
        converters = [
            Converter(reader, part.spec.mel.sample_rate, part.spec.mel.channels) for part in parts
        ]
        segmenters = [
            Segmenter(
                part.segment, part.spec.mel.sample_rate, reader.name, refuse_short=part.refuse_short
            )
            for part in parts
        ]
        block = None
        for block in checked_blocks(reader, clip.facts):
            for index, converter in enumerate(converters):
                for segment in segmenters[index].push(converter.convert(block)):
                    yield index, segment
        assert block is not None  # an empty clip has raised
        for index, converter in enumerate(converters):
            for segment in segmenters[index].push(converter.flush(block)):
                yield index, segment
            for segment in segmenters[index].finish():
                yield index, segment
    clip.notes += _notes(clip.facts, parts, segmenters)


def _notes(facts: ClipFacts, parts: list[Part], segmenters: list[Segmenter]) -> list[str]:
    notes = ["silent"] if facts.silent else []
    notes += [segmenter.note for segmenter in segmenters if segmenter.note]
    if facts.channels > 2 and any(part.spec.mel.channels == 2 for part in parts):
        notes.append(f"{facts.channels} channels: used the first 2")
    return list(dict.fromkeys(notes))


class Batcher:
    """Gathers segments of equal length into batches and hands rows back to their clips."""

    def __init__(self, parts: list[Part]) -> None:
        """Batches for each of ``parts``."""
        self._parts = parts
        self._waiting: list[list[tuple[Clip, Segment]]] = [[] for _ in parts]

    def add(self, clip: Clip, index: int, segment: Segment) -> None:
        """Take a segment for the part with this index; run the batch when it is full."""
        waiting = self._waiting[index]
        if waiting and waiting[0][1].audio.shape != segment.audio.shape:
            self._run(index)
        clip.pending += 1
        self._waiting[index].append((clip, segment))
        if len(self._waiting[index]) >= self._parts[index].batch_size:
            self._run(index)

    def flush(self) -> None:
        """Run what is waiting."""
        for index in range(len(self._parts)):
            self._run(index)

    def _run(self, index: int) -> None:
        waiting, self._waiting[index] = self._waiting[index], []
        if not waiting:
            return
        part = self._parts[index]
        batch = torch.from_numpy(np.stack([segment.audio for _, segment in waiting]))
        with torch.inference_mode():
            mean, variance = part.run(batch.to(part.device))
        means, variances = mean.cpu().numpy(), variance.cpu().numpy()
        for row, (clip, segment) in enumerate(waiting):
            clip.parts[index].add(means[row], variances[row], segment)
            clip.pending -= 1


def run_one(clip: Clip, parts: list[Part], max_seconds: float | None) -> Clip:
    """Take one clip through the pipeline in this thread; its error is raised."""
    batcher = Batcher(parts)
    for index, segment in clip_segments(clip, parts, max_seconds):
        batcher.add(clip, index, segment)
    batcher.flush()
    return clip


def default_workers(device: torch.device) -> int:
    """Decoding threads: the cores, half of them where the network needs them too, at most 8."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return min(8, cores) if device.type == "cuda" else max(1, min(8, cores // 2))


def run_many(
    clips: Iterable[Clip], parts: list[Part], max_seconds: float | None, workers: int
) -> Iterator[Clip]:
    """Take clips through the pipeline, decoding ahead in threads; yield them in input order.

    An error that belongs to a clip is left in it; any other one is a bug and stops the run.
    """
    messages: queue.Queue[_Message] = queue.Queue(
        maxsize=2 * max(part.batch_size for part in parts)
    )
    stop = threading.Event()
    with ThreadPoolExecutor(workers, thread_name_prefix="mirfeat-decode") as decoders:
        try:
            yield from _drive(iter(clips), parts, max_seconds, decoders, messages, stop)
        finally:
            stop.set()
            decoders.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True, eq=False)
class _Message:
    """From a decoder: a segment, or the end of its clip with what went wrong there."""

    clip: Clip
    index: int = 0
    segment: Segment | None = None
    error: BaseException | None = None


def _drive(
    clips: Iterator[Clip],
    parts: list[Part],
    max_seconds: float | None,
    decoders: ThreadPoolExecutor,
    messages: queue.Queue[_Message],
    stop: threading.Event,
) -> Iterator[Clip]:
    batcher, unfinished, decoding = Batcher(parts), deque[Clip](), 0
    exhausted = False
    while True:
        while not exhausted and len(unfinished) < MAX_AHEAD:
            clip = next(clips, None)
            if clip is None:
                exhausted = True
                break
            unfinished.append(clip)
            if not clip.finished:  # its source may have been bad from the start
                decoders.submit(_decode, clip, parts, max_seconds, messages, stop)
                decoding += 1
        if not unfinished:
            return
        if decoding == 0:
            # Nobody will fill the last batches any more, or not before the oldest clip is out.
            batcher.flush()
        else:
            message = messages.get()
            if message.segment is not None:
                batcher.add(message.clip, message.index, message.segment)
            else:
                decoding -= 1
                _end(message)
        while unfinished and unfinished[0].finished:
            yield unfinished.popleft()


def _end(message: _Message) -> None:
    error = message.error
    if error is not None and not isinstance(error, MirfeatError | OSError):
        raise error
    assert error is None or isinstance(error, Exception)
    message.clip.error = error
    message.clip.decoded = True


def _decode(
    clip: Clip,
    parts: list[Part],
    max_seconds: float | None,
    messages: queue.Queue[_Message],
    stop: threading.Event,
) -> None:
    """Body of a decoding thread for one clip."""
    error: BaseException | None = None
    try:
        for index, segment in clip_segments(clip, parts, max_seconds):
            if not _put(messages, _Message(clip, index, segment), stop):
                return
    except BaseException as caught:
        error = caught
    _put(messages, _Message(clip, error=error), stop)


def _put(messages: queue.Queue[_Message], message: _Message, stop: threading.Event) -> bool:
    """Put, unless the run is over; a blocked put must notice that too."""
    while not stop.is_set():
        try:
            messages.put(message, timeout=0.1)
        except queue.Full:
            continue
        return True
    return False


def vector_of(clip: Clip, statistics: tuple[tuple[str, ...], ...]) -> np.ndarray:
    """Vector of a finished clip: its parts one after the other, float32."""
    return np.concatenate(
        [rows.moments.vector(chosen) for rows, chosen in zip(clip.parts, statistics, strict=True)]
    )


def embedding_arrays(rows: PartRows, sample_rate: int) -> dict[str, Any]:
    """The arrays of an :class:`~mirfeat.features.Embedding` from kept rows."""
    segments = [segment for _, _, segment in rows.rows]
    return {
        "values": np.stack([mean for mean, _, _ in rows.rows]),
        "within_variance": np.stack([variance for _, variance, _ in rows.rows]),
        "starts": np.array([segment.start for segment in segments]) / sample_rate,
        "ends": np.array([segment.end for segment in segments]) / sample_rate,
        "weights": np.array([segment.weight for segment in segments]),
    }
