"""Streams of frames that begin with a sync word, chained from header to header.

The header of each frame tells where the next one begins. So look-alikes inside pictures are never
counted, and what lies between chains is known: tags, which are passed over, or junk, which is
damage. Read in blocks, so that memory does not depend on the file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from mirfeat.audio.headers import (
    HEADER_BYTES,
    LONGEST_FRAME,
    Kind,
    frame_size,
    mpeg_sizes,
    padding_of,
    read_header,
)
from mirfeat.audio.opened import OpenedFile
from mirfeat.audio.tags import tag_length

_BLOCK = 1 << 20
# So many headers, each where the one before it says, are no accident.
_SURE = 3
# Behind more junk than this in front, a file is something else.
JUNK_IN_FRONT = 1 << 16
_SYNC = re.compile(rb"\xff[\xe0-\xff]|\x0b\x77|\x7f\xfe\x80\x01")


@dataclass
class FrameStream:
    """The frames of a file. ``runs`` are stretches without anything between frames."""

    kind: Kind
    free_format: int = 0
    runs: list[tuple[int, int]] = field(default_factory=list)
    count: int = 0
    junk: int = 0
    complete: bool = True
    """Whether all of the file was looked at, and not only as much as is wanted."""
    becomes: Kind | None = None

    @property
    def first(self) -> int:
        """Where the first frame begins."""
        return self.runs[0][0]

    @property
    def samples(self) -> int:
        """Samples per channel in all frames."""
        return self.count * self.kind.samples

    @property
    def lost(self) -> int:
        """Samples per channel for which there is junk instead of frames."""
        audio = sum(end - start for start, end in self.runs)
        return round(self.junk / max(1, audio) * self.samples)


def scan_frames(
    file: OpenedFile, start: int, end: int, most: int | None = None
) -> FrameStream | None:
    """The frames between two positions of a file; None where there are none.

    ``most`` samples per channel are enough; what lies behind them is not looked at.
    """
    walk = _Walk(file, end)
    found = walk.sync(start, min(end, start + JUNK_IN_FRONT))
    if found is None:
        return None
    position: int | None = found[0]
    stream = FrameStream(*found[1:])
    while position is not None:
        stop, count = walk.chain(position, stream)
        stream.runs.append((position, stop))
        stream.count += count
        if most is not None and stream.samples > most:
            stream.complete = False
            return stream
        position = walk.behind(stop, stream)
    return stream


def frames_of(file: OpenedFile, stream: FrameStream, skip: int = 0) -> Iterator[bytes]:
    """The frames of a stream that was scanned, one after the other, without the first ``skip``."""
    walk = _Walk(file, stream.runs[-1][1])
    for position, stop in stream.runs:
        while position < stop:
            size = walk.size(position, stream)
            if skip:
                skip -= 1
            else:
                data, at = walk.at(position, size)
                yield data[at : at + size]
            position += size


def frame_at(file: OpenedFile, stream: FrameStream, number: int) -> int | None:
    """Where frame ``number`` begins; None where the stream is not one chain with so many."""
    if len(stream.runs) > 1 or not 0 <= number < stream.count:
        return None
    walk, position = _Walk(file, stream.runs[0][1]), stream.first
    while number:
        data, at = walk.at(position, LONGEST_FRAME)
        stop, count, _ = _step(data, at, stream, number)
        if not count:
            raise EOFError("the file changed while it was read")
        position, number = position + stop - at, number - count
    return position


class _Walk:
    """Reads a file forwards in blocks, up to ``end``."""

    def __init__(self, file: OpenedFile, end: int) -> None:
        self.file, self.end = file, end
        self._start, self._data = 0, b""

    def at(self, position: int, count: int) -> tuple[bytes, int]:
        """A block with ``count`` bytes from there, fewer at the end; and where they lie in it."""
        offset = position - self._start
        if offset < 0 or offset + min(count, self.end - position) > len(self._data):
            wanted = min(max(_BLOCK, count), max(0, self.end - position))
            self._start, self._data = position, self.file.read_at(position, wanted)
            offset = 0
        return self._data, offset

    def size(self, position: int, stream: FrameStream) -> int:
        """Bytes of the frame of a known chain that begins there."""
        data, at = self.at(position, HEADER_BYTES)
        size = frame_size(data, at, stream.kind, stream.free_format)
        if not size:
            raise EOFError("the file changed while it was read")
        return size

    def chain(self, position: int, stream: FrameStream) -> tuple[int, int]:
        """Where the chain ends that begins there, and its number of whole frames."""
        count = 0
        while True:
            data, at = self.at(position, LONGEST_FRAME)
            stop, more, last = _step(data, at, stream)
            if more and self._start + stop > self.end:  # the last frame is cut
                return self._start + last, count + more - 1
            position, count = self._start + stop, count + more
            if not more or position >= self.end:
                return position, count

    def behind(self, position: int, stream: FrameStream) -> int | None:
        """Where frames go on behind tags and junk; None where nothing comes any more."""
        start = position
        while length := tag_length(self.file, position, self.end):
            position += length
        # The rest of a cut frame holds no other one.
        if position == start and read_header(self.file.read_at(position, HEADER_BYTES)):
            position += 1
        if position + HEADER_BYTES > self.end or (found := self.sync(position, self.end)) is None:
            return None
        if found[1] != stream.kind:
            stream.becomes = found[1]
            return None
        stream.junk += found[0] - position
        return found[0]

    def sync(self, position: int, last: int) -> tuple[int, Kind, int] | None:
        """The first place up to ``last`` where frames chain: position, kind, free format."""
        while position < last:
            data, at = self.at(position, LONGEST_FRAME)
            base = position - at
            for match in _SYNC.finditer(data, at, min(len(data), at + last - position)):
                if (found := self._certain(base + match.start())) is not None:
                    return base + match.start(), *found
            position = max(position + 1, base + len(data) - HEADER_BYTES)
            if base + len(data) >= self.end:
                return None
        return None

    def _certain(self, position: int) -> tuple[Kind, int] | None:
        """Kind and free format of frames that chain there."""
        data, at = self.at(position, HEADER_BYTES)
        if (frame := read_header(data, at)) is None:
            return None
        if frame.size:
            return (frame.kind, 0) if self._chains(position, frame.kind, 0) else None
        # Without a bit rate, a frame reaches to the next header that makes a chain.
        data, at = self.at(position, LONGEST_FRAME)
        here, padding = data[at : at + 3], data[at + 2] >> 1 & 1
        for match in re.finditer(re.escape(here[:2]), data[at + 24 : at + LONGEST_FRAME]):
            free = match.start() + 24 - padding * padding_of(frame.kind)
            if self._chains(position, frame.kind, free, needed=_SURE + 1):
                return frame.kind, free
        return None

    def _chains(self, position: int, kind: Kind, free: int, needed: int = _SURE) -> bool:
        seen = 0
        while seen < needed and position + HEADER_BYTES <= self.end:
            data, at = self.at(position, HEADER_BYTES)
            if not (size := frame_size(data, at, kind, free)):
                # A stream may end sooner, where a tag follows.
                return seen > 0 and tag_length(self.file, position, self.end) > 0
            position += size
            seen += 1
        return seen >= needed or position == self.end or (position > self.end and seen > 1)


def _step(
    data: bytes, at: int, stream: FrameStream, most: float = math.inf
) -> tuple[int, int, int]:
    """Follow a chain through a block: where it leads, the frames passed, the last one's start."""
    count, last, room = 0, at, len(data) - HEADER_BYTES
    kind, free = stream.kind, stream.free_format
    if kind.codec.startswith("mp") and not free:
        size_of = mpeg_sizes(kind).get
        while at <= room and count < most:
            size = size_of(data[at : at + 3])
            if size is None:
                break
            last = at
            at += size
            count += 1
        return at, count, last
    while at <= room and count < most and (size := frame_size(data, at, kind, free)):
        last = at
        at += size
        count += 1
    return at, count, last
