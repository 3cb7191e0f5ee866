"""Many clips: decoding ahead in threads, batches across clips, results in input order.

Segments of many clips share batches; rows reach their clip in the order of time, so batch size,
workers and the order of files do not change a result beyond float rounding. Memory does not
depend on the length or number of files: per decoding thread one block of ten seconds and its
segments, a bounded queue, one batch.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from mirfeat.clips import Clip, Part, clip_segments
from mirfeat.errors import MirfeatError
from mirfeat.segments import Segment

logger = logging.getLogger("mirfeat")

# A decoder may start a clip only when it is this close to the oldest unfinished one.
MAX_AHEAD = 64
OnError = Literal["record", "raise"]


class Batcher:
    """Gathers segments of equal length into batches and hands rows back to their clips."""

    def __init__(self, parts: list[Part]) -> None:
        """Batches for each of ``parts``."""
        self._parts = parts
        self._sizes = [part.batch_size for part in parts]
        self._waiting: list[list[tuple[Clip, Segment]]] = [[] for _ in parts]

    def add(self, clip: Clip, index: int, segment: Segment) -> None:
        """Take a segment for the part with this index; run the batch when it is full."""
        waiting = self._waiting[index]
        if waiting and waiting[0][1].audio.shape != segment.audio.shape:
            self._run(index)
        clip.pending += 1
        self._waiting[index].append((clip, segment))
        if len(self._waiting[index]) >= self._sizes[index]:
            self._run(index)

    def flush(self) -> None:
        """Run what is waiting."""
        for index in range(len(self._parts)):
            self._run(index)

    def _run(self, index: int) -> None:
        waiting, self._waiting[index] = self._waiting[index], []
        if not waiting:
            return
        means, variances = self._rows(index, np.stack([segment.audio for _, segment in waiting]))
        for row, (clip, segment) in enumerate(waiting):
            clip.parts[index].add(means[row], variances[row], segment)
            clip.pending -= 1

    def _rows(self, index: int, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means and variances [B, D] of segments [B, C, N]; fewer at a time if memory runs out."""
        part, means, variances = self._parts[index], [], []
        while len(batch):
            some = batch[: self._sizes[index]]
            try:
                with torch.inference_mode():
                    mean, variance = part.run(torch.from_numpy(some).to(part.device))
                means.append(mean.cpu().numpy())
                variances.append(variance.cpu().numpy())
                batch = batch[len(some) :]
            except torch.cuda.OutOfMemoryError:
                if len(some) == 1:
                    raise
                self._sizes[index] = -(-len(some) // 2)
                logger.warning(
                    "%s: %d segments do not fit into the memory of %s; going on with %d at a time",
                    *(part.spec.name, len(some), part.device, self._sizes[index]),
                )
        return np.concatenate(means), np.concatenate(variances)


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
) -> Generator[Clip, None, None]:
    """Take clips through the pipeline, decoding ahead in threads; yield them in input order.

    An error that belongs to a clip is left in it; any other one is a bug and stops the run.
    Closing the generator ends its threads.
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
