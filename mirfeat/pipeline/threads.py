"""Many clips: each in a thread of its own, or decoded in threads for batches across clips.

On processors a thread takes a clip all the way: as many clips at a time as there are cores, with
nothing to wait for in between, and batches within the clip. On a GPU threads decode ahead, and
segments of many clips share batches. Rows reach their clip in the order of time and clips come in
the order of input, so batch size, workers and the order of files do not change a result beyond
float rounding. Memory does not depend on the length or number of files: per thread one block of
ten seconds and its segments; on a processor a batch a thread, on a GPU a bounded queue, the batch
that is filled and those on their way.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TypeAlias

import torch

from mirfeat.audio.addresses import shown
from mirfeat.audio.segments import Segment
from mirfeat.errors import MachineError
from mirfeat.pipeline.batcher import Batcher
from mirfeat.pipeline.clip import Clip, clip_segments
from mirfeat.pipeline.faults import Faults
from mirfeat.pipeline.profile import Profile
from mirfeat.pipeline.unit import Unit
from mirfeat.pipeline.workers import Threads, after_fork, keep_freed_memory

# A decoder may start a clip only when it is this close to the oldest unfinished one, or two
# batches, which clips of one segment could not fill otherwise.
MAX_AHEAD = 64
Watch: TypeAlias = Callable[[str], AbstractContextManager[None]]
"""Notes that a clip, by its id, is being decoded during a block; from any thread."""


def unwatched(id: str) -> AbstractContextManager[None]:
    """Note nothing."""
    return nullcontext()


def run_one(
    clip: Clip,
    units: Sequence[Unit],
    max_seconds: float | None,
    profile: Profile | None = None,
    stop: threading.Event | None = None,
) -> Clip:
    """Take one clip through the pipeline in this thread; its error is raised.

    ``stop`` ends it between two segments.
    """
    after_fork()
    batcher = Batcher(units, profile)
    for index, segment in clip_segments(clip, units, max_seconds):
        batcher.add(clip, index, segment)
        if stop is not None and stop.is_set():
            return clip
    batcher.flush()
    return clip


def run_many(
    clips: Iterable[Clip],
    units: Sequence[Unit],
    max_seconds: float | None,
    workers: int,
    profile: Profile | None = None,
    *,
    shared_batches: bool | None = None,
    watch: Watch = unwatched,
) -> Generator[Clip, None, None]:
    """Take clips through the pipeline in ``workers`` threads; yield them in input order.

    ``shared_batches`` are batches across clips; by default where a device is no processor.

    An error that belongs to a clip is left in it; one of the machine stops the run, and any other
    one is a bug and does so too. ``watch`` notes which clips are being decoded.
    Closing the generator ends its threads. ``profile`` counts what the time went to.
    """
    after_fork()
    if shared_batches is None:
        shared_batches = any(unit.device.type != "cpu" for unit in units)
    messages: queue.Queue[_Message] = queue.Queue(
        maxsize=2 * max(unit.batch_size for unit in units)
    )
    line = _Line(units, max_seconds, messages, threading.Event(), profile or Profile(), watch)
    work = _drive if shared_batches else _side_by_side
    keep_freed_memory()
    with Threads(workers) as threads:
        try:
            yield from work(iter(clips), line, threads)
        except torch.OutOfMemoryError as error:
            raise MachineError(
                f"the device has no memory left ({str(error).splitlines()[0]}). Take a smaller "
                "--batch-size, or end other programs that use it."
            ) from error
        finally:
            line.stop.set()
            threads.shutdown(wait=True, cancel_futures=True)


def _side_by_side(
    clips: Iterator[Clip], line: _Line, threads: ThreadPoolExecutor
) -> Iterator[Clip]:
    """Every clip from file to rows in one thread."""
    running = deque[tuple[Clip, Future[BaseException | None] | None]]()
    while True:
        while len(running) < MAX_AHEAD and (clip := next(clips, None)) is not None:
            # Its source may have been bad from the start.
            running.append((clip, None if clip.finished else threads.submit(_whole, clip, line)))
        if not running:
            return
        clip, whole = running.popleft()
        if whole is not None:
            _end(clip, whole.result(), line)
        yield clip


def _whole(clip: Clip, line: _Line) -> BaseException | None:
    """Body of a thread that takes a clip all the way."""
    started, own = time.monotonic(), Profile()
    try:
        with line.watch(clip.id):
            run_one(clip, line.units, line.max_seconds, own, line.stop)
    except BaseException as error:
        return error
    finally:
        network = own.seconds.get("network", 0.0)
        line.profile.add("network", network)
        line.profile.add("decode", time.monotonic() - started - network)
    return None


@dataclass(frozen=True, eq=False)
class _Message:
    """From a decoder: a segment, or the end of its clip with what went wrong there."""

    clip: Clip
    index: int = 0
    segment: Segment | None = None
    error: BaseException | None = None


@dataclass(frozen=True, eq=False)
class _Line:
    """What the driver and its decoders share."""

    units: Sequence[Unit]
    max_seconds: float | None
    messages: queue.Queue[_Message]
    stop: threading.Event
    profile: Profile
    watch: Watch
    faults: Faults = field(default_factory=Faults)

    def put(self, message: _Message) -> bool:
        """Put, unless the run is over; a blocked put must notice that too."""
        while not self.stop.is_set():
            try:
                self.messages.put(message, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def get(self) -> _Message:
        """Next message, waited for."""
        with self.profile.spent("wait"):
            return self.messages.get()


def _drive(clips: Iterator[Clip], line: _Line, decoders: ThreadPoolExecutor) -> Iterator[Clip]:
    batcher, unfinished, decoding = Batcher(line.units, line.profile), deque[Clip](), 0
    ahead = max(MAX_AHEAD, 2 * max(unit.batch_size for unit in line.units))
    exhausted = False
    while True:
        while not exhausted and len(unfinished) < ahead:
            clip = next(clips, None)
            if clip is None:
                exhausted = True
                break
            unfinished.append(clip)
            if not clip.finished:  # its source may have been bad from the start
                decoders.submit(_decode, clip, line)
                decoding += 1
        if not unfinished:
            return
        if decoding == 0:
            # Nobody will fill the last batches any more, or not before the oldest clip is out.
            batcher.flush()
        else:
            message = line.get()
            if message.segment is not None:
                batcher.add(message.clip, message.index, message.segment)
            else:
                decoding -= 1
                _end(message.clip, message.error, line)
        while unfinished and unfinished[0].finished:
            yield unfinished.popleft()


def _end(clip: Clip, error: BaseException | None, line: _Line) -> None:
    name = shown(clip.source) if isinstance(clip.source, str | os.PathLike) else clip.id
    clip.error, clip.decoded = line.faults.of_clip(name, error), True


def _decode(clip: Clip, line: _Line) -> None:
    """Body of a decoding thread for one clip."""
    error: BaseException | None = None
    started, blocked = time.monotonic(), 0.0
    try:
        with line.watch(clip.id):
            for index, segment in clip_segments(clip, line.units, line.max_seconds):
                full = time.monotonic()
                if not line.put(_Message(clip, index, segment)):
                    return
                blocked += time.monotonic() - full
    except BaseException as caught:
        error = caught
    line.profile.add("decode", time.monotonic() - started - blocked)
    line.put(_Message(clip, error=error))
