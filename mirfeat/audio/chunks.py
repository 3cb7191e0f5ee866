"""Containers whose header tells the bytes of audio: WAV, RF64, W64, AIFF, AU, CAF.

What they announce is compared with what lies in the file. Sources: the RIFF and AIFF-C
specifications, EBU Tech 3306 (RF64), Sony's W64, the .au and the CAF specification.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from mirfeat.audio.opened import OpenedFile
from mirfeat.audio.tags import tag_length

# Encoders that write to a pipe cannot know the length and announce just under 2 or 4 GiB, or -1.
_UNKNOWN_BYTES = (
    range((1 << 31) - 65536, (1 << 31) + 1),
    range((1 << 32) - 65536, 1 << 32),
    range((1 << 63) - 1, 1 << 64),
)
_MPEG_TAGS = (0x50, 0x55)
_STARTS = (b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM", b"riff", b"caff", b".snd")
_PADDING = 1 << 16
# Bits a sample of the encodings of .au that have a fixed width.
_AU_BITS = {1: 8, 2: 8, 3: 16, 4: 24, 5: 32, 6: 32, 7: 64, 27: 8}


@dataclass
class ChunkFile:
    """Bytes of audio: ``announced`` by the header, ``found`` in the file.

    ``announced`` is None where the encoder could not know. ``unnamed`` bytes lie behind the audio
    and belong to no chunk and no tag; ``joined`` says that they begin another file.
    """

    container: str
    start: int = 0
    announced: int | None = 0
    found: int = 0
    per_second: float = 0.0
    unnamed: int = 0
    joined: bool = False
    mpeg: bool = False


class _Chunk(NamedTuple):
    name: bytes
    start: int
    size: int


def scan_chunks(file: OpenedFile, start: int) -> ChunkFile | None:
    """Read the chunks of a file; None where it is of another kind, or without audio."""
    head = file.read_at(start, 64)
    if head[:4] in (b"RIFF", b"RF64", b"BW64", b"RIFX") and head[8:12] == b"WAVE":
        return _riff(file, start, head[:4])
    if head[:4] == b"riff" and head[24:28] == b"wave":
        return _w64(file, start)
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return _aiff(file, start)
    if head[:4] == b"caff":
        return _caf(file, start)
    return _au(file, start, head) if head[:4] in (b".snd", b"dns.") else None


def _riff(file: OpenedFile, start: int, magic: bytes) -> ChunkFile | None:
    order = ">" if magic == b"RIFX" else "<"
    found = ChunkFile("WAV" if magic[:3] == b"RIF" else "RF64")
    long_size = None
    for chunk in _named(file, start + 12, order):
        body = file.read_at(chunk.start, min(chunk.size, 40))
        if chunk.name == b"ds64" and len(body) >= 16:
            long_size = struct.unpack(order + "Q", body[8:16])[0]
        elif chunk.name == b"fmt " and len(body) >= 12:
            tag, _, _, found.per_second = struct.unpack(order + "HHII", body[:12])
            found.mpeg = tag in _MPEG_TAGS
        elif chunk.name == b"data":
            size = chunk.size
            if size == 0xFFFFFFFF and long_size is not None:
                size = long_size
            return _with_audio(file, found, chunk.start, size, order)
    return None


def _with_audio(file: OpenedFile, found: ChunkFile, start: int, size: int, order: str) -> ChunkFile:
    """The audio has ``size`` bytes from ``start``; chunks may follow it."""
    _measure(file, found, start, size)
    if found.announced is not None and size <= file.size - start:
        position = start + size
        # Some writers forget the byte that makes it even.
        for padding in {size % 2, 0}:
            end = position + padding
            for chunk in _named(file, position + padding, order):
                end = chunk.start + chunk.size + chunk.size % 2
            if end > position + padding or padding == 0:
                break
        _leftover(file, found, end)
    return found


def _measure(file: OpenedFile, found: ChunkFile, start: int, size: int) -> None:
    room = max(0, file.size - start)
    unknown = size > room and any(size in sizes for sizes in _UNKNOWN_BYTES)
    found.start, found.found = start, min(room, size)
    found.announced = None if unknown else size


def _leftover(file: OpenedFile, found: ChunkFile, position: int) -> None:
    """Note what lies from ``position`` to the end of the file and has no name."""
    while length := tag_length(file, position, file.size):
        position += length
    rest = file.size - position
    if rest <= 0 or (rest <= _PADDING and not file.read_at(position, rest).strip(b"\0")):
        return
    found.unnamed = rest
    found.joined = file.read_at(position, 4) in _STARTS


def _named(file: OpenedFile, position: int, order: str) -> Iterator[_Chunk]:
    """Chunks, a name and a size of four bytes each, as long as the names are names."""
    while position + 8 <= file.size:
        name, size = struct.unpack(order + "4sI", file.read_at(position, 8))
        if not all(32 <= byte < 127 for byte in name) or name in _STARTS:
            return
        if name != b"data" and position + size > file.size:
            return
        if name[:3] in (b"ID3", b"TAG") and name not in (b"ID3 ", b"ID32"):
            return
        yield _Chunk(name, position + 8, size)
        position += 8 + size + size % 2


def _aiff(file: OpenedFile, start: int) -> ChunkFile | None:
    found, stated = ChunkFile("AIFF"), 0
    audio = None
    for chunk in _named(file, start + 12, ">"):
        body = file.read_at(chunk.start, min(chunk.size, 22))
        if chunk.name == b"COMM" and len(body) >= 18:
            channels, frames, bits = struct.unpack(">hIh", body[:8])
            rate = _extended(body[8:18])
            coding = body[18:22]
            if coding in (b"", b"NONE", b"sowt", b"twos", b"in24", b"in32", b"fl32", b"fl64"):
                frame = channels * ((bits + 7) // 8)
                stated, found.per_second = frames * frame, rate * frame
        elif chunk.name == b"SSND" and len(body) >= 8:
            # An offset may make room for alignment.
            audio = chunk._replace(
                start=chunk.start + 8 + int.from_bytes(body[:4], "big"),
                size=chunk.size - 8 - int.from_bytes(body[:4], "big"),
            )
            if chunk.start + chunk.size > file.size:
                break
    if audio is None:
        return _cut_before_audio(file, start, found)
    _with_audio(file, found, audio.start, max(0, audio.size), ">")
    if stated and found.announced is not None and stated < found.announced and not found.unnamed:
        found.unnamed, found.announced, found.found = found.announced - stated, stated, stated
    return found


def _cut_before_audio(file: OpenedFile, start: int, found: ChunkFile) -> ChunkFile | None:
    """A chunk of audio that does not fit into its file ends the search for chunks."""
    position = start + 12
    while position + 16 <= file.size:
        name, size = struct.unpack(">4sI", file.read_at(position, 8))
        if name == b"SSND":
            _measure(file, found, position + 16, max(0, size - 8))
            return found
        position += 8 + size + size % 2
    return None


def _extended(data: bytes) -> float:
    """A float of 80 bits."""
    exponent, mantissa = struct.unpack(">HQ", data)
    return float(mantissa * 2.0 ** (min(exponent & 0x7FFF, 16446) - 16446))


def _au(file: OpenedFile, start: int, head: bytes) -> ChunkFile | None:
    order = ">" if head[:4] == b".snd" else "<"
    if len(head) < 24:
        return None
    offset, size, encoding, rate, channels = struct.unpack(order + "5I", head[4:24])
    found = ChunkFile("AU", per_second=rate * channels * _AU_BITS.get(encoding, 0) / 8)
    _measure(file, found, start + offset, size)
    if found.announced is not None and size <= file.size - start - offset:
        _leftover(file, found, start + offset + size)
    return found


def _caf(file: OpenedFile, start: int) -> ChunkFile | None:
    found, position, has_audio = ChunkFile("CAF"), start + 8, False
    while position + 12 <= file.size:
        name, size = struct.unpack(">4sQ", file.read_at(position, 12))
        if name == b"desc" and size >= 32:
            body = file.read_at(position + 12, 32)
            rate, _, _, packet_bytes, packet_frames = struct.unpack(">d4sIII", body[:24])
            found.per_second = rate * packet_bytes / packet_frames if packet_frames else 0.0
        elif name == b"data":
            has_audio = True
            _measure(file, found, position + 16, size - 4 if size < 1 << 63 else size)
        elif has_audio and (not name.isascii() or not name.strip(b"\0") or name in _STARTS):
            break
        if size >= 1 << 63:
            return found if has_audio else None
        position += 12 + size
    if has_audio and position < file.size:
        _leftover(file, found, position)
    return found if has_audio else None


def _w64(file: OpenedFile, start: int) -> ChunkFile | None:
    found, position, has_audio = ChunkFile("W64"), start + 40, False
    while position + 24 <= file.size:
        name, _, size = struct.unpack("<4s12sQ", file.read_at(position, 24))
        if name == b"fmt ":
            found.per_second = struct.unpack("<I", file.read_at(position + 32, 4))[0]
        elif name == b"data":
            has_audio = True
            _measure(file, found, position + 24, max(0, size - 24))
        if size < 24 or name in _STARTS or (has_audio and name != b"data" and not name.isalpha()):
            break
        position += size + -size % 8
    if has_audio and position < file.size:
        _leftover(file, found, position)
    return found if has_audio else None
