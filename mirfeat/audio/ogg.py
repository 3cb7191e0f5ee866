"""Ogg pages: every one has a number and a checksum, so that nothing can be lost unseen.

Source: RFC 3533 (pages), RFC 7845 (Opus), the Vorbis I specification, the Ogg FLAC mapping.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from mirfeat.audio.opened import OpenedFile

_BLOCK = 1 << 20
_HEADER = 27
_LONGEST_PAGE = _HEADER + 255 + 255 * 255
# Ogg's checksum is the one of zlib with all bits in the other order.
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_LONGEST_PAGE_SECONDS = 10
_NO_GRANULE = -1
OPUS_RATE = 48_000


class OggPage(NamedTuple):
    """One page. ``granule`` counts samples up to its end; None where no packet ends in it."""

    serial: int
    number: int
    granule: int | None
    first: bool
    last: bool
    body: bytes
    size: int
    intact: bool


@dataclass
class Logical:
    """One stream of packets in the file."""

    codec: str
    rate: int
    channels: int
    skip: int = 0
    """Samples in front that belong to no music (Opus)."""
    header_rate: int = 0
    """The rate that the header of Opus mentions, which is not the one it is decoded at."""
    first_page: int = 0
    """Bytes of its first page."""
    family: int = 0
    pages: int = 0
    next_number: int = 0
    first_granule: int = 0
    last_granule: int = 0
    ended: bool = False

    @property
    def samples(self) -> int:
        """Samples per channel up to its last page."""
        # A recording of a broadcast goes on counting where the broadcast was.
        start = self.skip
        # One that was cut out of a longer one may begin below 0.
        if self.first_granule < 0 or self.first_granule > _LONGEST_PAGE_SECONDS * self.rate:
            start = self.first_granule
        return max(0, self.last_granule - start)


def opus_at_48_khz(page: bytes) -> bytes:
    """The first page of Opus, saying that its input had the rate that it is decoded at."""
    at = page.find(b"OpusHead") + 12
    changed = page[:at] + OPUS_RATE.to_bytes(4, "little") + page[at + 4 :]
    return changed[:22] + checksum(changed) + changed[26:]


@dataclass
class OggFile:
    """What the pages of a file say."""

    streams: list[Logical] = field(default_factory=list)
    damaged_at: float | None = None
    """Seconds at which a page fails its checksum or is missing."""
    why: str = ""
    cut: bool = False
    """Whether the last page is not whole."""
    complete: bool = True
    chained: bool = False
    """Whether several recordings follow one another."""


def scan_ogg(file: OpenedFile, start: int, most_seconds: float | None = None) -> OggFile | None:
    """Read all pages, up to ``most_seconds`` of the first stream; None where this is no Ogg."""
    if file.read_at(start, 4) != b"OggS":
        return None
    found, by_serial = OggFile(), dict[int, Logical]()
    for page in _pages(file, start, found):
        if not page.intact:
            _damage(found, "a page fails its checksum")
            return found
        stream = by_serial.get(page.serial)
        if page.first:
            if (stream := _identify(page.body)) is None:
                continue  # pictures, text
            found.chained |= any(other.last_granule for other in found.streams)
            by_serial[page.serial], stream.first_page = stream, page.size
            found.streams.append(stream)
        if stream is None:
            continue
        if stream.pages and page.number != stream.next_number:
            count = page.number - stream.next_number
            _damage(found, f"{count} pages are missing" if count > 0 else "pages come twice")
            return found
        stream.pages, stream.next_number = stream.pages + 1, page.number + 1
        stream.ended |= page.last
        if page.granule is not None:
            stream.first_granule = stream.first_granule or page.granule
            stream.last_granule = max(stream.last_granule, page.granule)
        if most_seconds is not None and stream.samples > (most_seconds + 1.0) * stream.rate:
            found.complete = False
            return found
    return found


def _damage(found: OggFile, why: str) -> None:
    found.why = why
    found.damaged_at = sum(stream.samples / stream.rate for stream in found.streams)


def _pages(file: OpenedFile, position: int, found: OggFile) -> Iterator[OggPage]:
    base, data = position, file.read_at(position, _BLOCK)
    at = 0
    while True:
        if at + _LONGEST_PAGE > len(data) and base + len(data) < file.size:
            base, at = base + at, 0
            data = file.read_at(base, _BLOCK)
        if at >= len(data):
            return
        page = _page(data, at)
        if page is None:
            at, cut = _resume(file, base, data, at)
            if at < 0:
                # Behind the last page there may be tags or padding; a page that is cut is a loss.
                found.cut = cut
                return
            yield OggPage(0, 0, None, False, False, b"", 0, intact=False)
            continue
        yield page
        at += page.size


def _page(data: bytes, at: int) -> OggPage | None:
    """The page that begins there, if it lies there whole."""
    if data[at : at + 4] != b"OggS" or at + _HEADER > len(data):
        return None
    segments = data[at + 26]
    body = at + _HEADER + segments
    size = _HEADER + segments + sum(data[at + _HEADER : body])
    if at + size > len(data):
        return None
    whole = data[at : at + size]
    granule = int.from_bytes(whole[6:14], "little", signed=True)
    return OggPage(
        serial=int.from_bytes(whole[14:18], "little"),
        number=int.from_bytes(whole[18:22], "little"),
        granule=None if granule == _NO_GRANULE else granule,
        first=bool(whole[5] & 2),
        last=bool(whole[5] & 4),
        body=whole[_HEADER + segments :],
        size=size,
        intact=checksum(whole) == whole[22:26],
    )


def checksum(page: bytes) -> bytes:
    """Checksum of a page, whose own field counts as zeros; least significant byte first."""
    zeroed = (page[:22] + bytes(4) + page[26:]).translate(_REVERSED)
    # An initial value of all ones is what zlib makes an empty register of.
    return (zlib.crc32(zeroed, 0xFFFFFFFF) ^ 0xFFFFFFFF).to_bytes(4, "big").translate(_REVERSED)


def _resume(file: OpenedFile, base: int, data: bytes, at: int) -> tuple[int, bool]:
    """Where the next whole page begins in this block, or -1; and whether a page is cut here."""
    following = data.find(b"OggS", at + 1)
    while following >= 0:
        if _page(data, following) is not None:
            return following, False
        following = data.find(b"OggS", following + 1)
    rest = file.size - base - at
    return -1, data[at : at + 4] == b"OggS" or (rest < 4 and b"OggS".startswith(data[at:]))


def _identify(body: bytes) -> Logical | None:
    """The stream that begins with this page; None where it holds no audio."""
    if body[:7] == b"\x01vorbis" and len(body) >= 30:
        return Logical("vorbis", int.from_bytes(body[12:16], "little") or 1, body[11])
    if body[:8] == b"OpusHead" and len(body) >= 19:
        skip, rate = int.from_bytes(body[10:12], "little"), int.from_bytes(body[12:16], "little")
        return Logical("opus", OPUS_RATE, body[9], skip, rate, body[18])
    if body[:5] == b"\x7fFLAC" and len(body) >= 51:
        rate = int.from_bytes(body[27:30], "big") >> 4
        return Logical("flac", rate or 1, (body[29] >> 1 & 7) + 1)
    if body[:8] == b"Speex   " and len(body) >= 52:
        rate, channels = int.from_bytes(body[36:40], "little"), body[48]
        return Logical("speex", rate or 1, channels)
    return None
