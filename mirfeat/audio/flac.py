"""FLAC: the total that its header announces, and where its last frame ends.

Source: RFC 9639.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from mirfeat.audio.opened import OpenedFile

_BLOCK = 1 << 20
_TAIL = 1 << 16
_BLOCK_SIZES = {1: 192, **{n: 576 << (n - 2) for n in range(2, 6)}}
_BLOCK_SIZES |= {n: 256 << (n - 8) for n in range(8, 16)}


@dataclass(frozen=True)
class FlacFile:
    """``announced`` samples per channel, 0 if unknown; ``found`` up to the end of the last frame.

    ``found`` is None where no frame was recognised. Frames begin at ``audio``.
    """

    rate: int
    announced: int
    found: int | None
    audio: int


class _Header(NamedTuple):
    fixed: bytes
    """Sync, rate and channels, which are those of all frames."""
    number: int
    block_size: int


def scan_flac(file: OpenedFile, start: int, end: int) -> FlacFile | None:
    """Read the header and the last frame; None where this is no FLAC."""
    head = file.read_at(start, 42)
    if head[:4] != b"fLaC" or len(head) < 42 or head[4] & 127:
        return None
    info = head[8:42]
    rate, announced = int.from_bytes(info[10:13], "big") >> 4, _total(info)
    longest = int.from_bytes(info[7:10], "big")
    audio = _behind_metadata(file, start + 4, end)
    first = _frame_header(file.read_at(audio, 32), 0)
    if first is None:
        return FlacFile(rate, announced, None, audio)
    size = max(_TAIL, 2 * longest)
    begin = max(audio, end - size)
    last = _last_header(file.read_at(begin, end - begin), first)
    found = None if last is None else _end_of(last, first)
    return FlacFile(rate, announced, found, audio)


def _total(info: bytes) -> int:
    """Samples per channel that a STREAMINFO block announces."""
    return int.from_bytes(info[13:18], "big") & ((1 << 36) - 1)


def _behind_metadata(file: OpenedFile, position: int, end: int) -> int:
    while position < end:
        head = file.read_at(position, 4)
        position += 4 + int.from_bytes(head[1:], "big")
        if len(head) < 4 or head[0] & 128:
            break
    return position


def _end_of(last: _Header, first: _Header) -> int:
    variable = first.fixed[1] & 1
    return (last.number if variable else last.number * first.block_size) + last.block_size


def _last_header(data: bytes, first: _Header) -> _Header | None:
    at = data.rfind(first.fixed[:2])
    while at >= 0:
        header = _frame_header(data, at)
        # Channels may change their coding from frame to frame, nothing else does.
        if header is not None and header.fixed == first.fixed:
            return header
        at = data.rfind(first.fixed[:2], 0, at + 1)
    return None


def _frame_header(data: bytes, at: int) -> _Header | None:
    """The frame header there, if its checksum is right."""
    head = data[at : at + 16]
    if len(head) < 6 or head[0] != 0xFF or head[1] & 0xFE != 0xF8 or head[3] & 1:
        return None
    length = max(1, 8 - (head[4] ^ 0xFF).bit_length())  # bytes of the number, as in UTF-8
    if length > 7:
        return None
    number = head[4] if length == 1 else head[4] & (0x7F >> length)
    for byte in head[5 : 4 + length]:
        number = number << 6 | byte & 0x3F
    end, code = 4 + length, head[2] >> 4
    extra = {6: 1, 7: 2}.get(code, 0)
    size = int.from_bytes(head[end : end + extra], "big") + 1 if extra else _BLOCK_SIZES.get(code)
    end += extra + {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
    if size is None or len(head) <= end or _crc8(head[:end]) != head[end]:
        return None
    return _Header(bytes((head[0], head[1], head[2] & 15, head[3] & 14)), number, size)


def _crc8(data: bytes) -> int:
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ 0x07) & 0xFF if value & 0x80 else value << 1
    return value


# The start of a file with its STREAMINFO, 18 bytes of which end in the total.
_START = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22(.{18})", re.DOTALL)


def totals_behind(file: OpenedFile, position: int, end: int) -> Iterator[int]:
    """Samples per channel that FLAC files announce which begin behind ``position``.

    All that lies there is read for it.
    """
    while position < end:
        data = file.read_at(position, min(_BLOCK, end - position))
        # Finding four bytes is many times faster than an expression.
        if b"fLaC" in data:
            yield from (_total(match[1]) for match in _START.finditer(data))
        if position + len(data) >= end or not data:
            return
        # So that a start across two blocks is seen, and seen once.
        position += len(data) - 25
