"""Containers that FFmpeg reads: how they are recognised, and whether a file holds two of them.

FFmpeg reads the first recording in a file and says nothing of another one behind it, nor of a file
that is shorter than its header says.
"""

from __future__ import annotations

import re

from mirfeat.audio.opened import OpenedFile
from mirfeat.errors import DecodeError

_BLOCK = 1 << 20
_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
# Packets of a transport stream have 188 bytes, each with this one in front.
_TS_PACKET, _TS_SYNC = 188, b"\x47"
HEAD_BYTES = 3 * _TS_PACKET
MP4 = "MPEG-4 or QuickTime audio (m4a, mp4, mov)"

_MAGIC = {
    b"\x30\x26\xb2\x75": "Windows Media audio (wma)",
    b"\x1a\x45\xdf\xa3": "Matroska or WebM audio",
    b"wvpk": "WavPack",
    b"TTA1": "True Audio (tta)",
    b"MAC ": "Monkey's Audio (ape)",
    b"MPCK": "Musepack",
    b"MP+": "Musepack",
    b"FLV\x01": "Flash video",
    b"#!AMR": "AMR",
    b".RMF": "RealMedia",
    b"DSD ": "DSF",
    b"tBaK": "TAK",
    b"\0\0\1\xba": "an MPEG program stream",
}
# How another recording begins, long enough to be no accident, and its first bytes.
_AGAIN = {
    "Windows Media audio (wma)": re.compile(
        rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c"
    ),
    "Matroska or WebM audio": re.compile(rb"\x1a\x45\xdf\xa3.{1,40}?(?:webm|matroska)", re.DOTALL),
    "True Audio (tta)": re.compile(rb"TTA1[\x01\x02]\x00"),
    "Flash video": re.compile(rb"FLV\x01[\x01\x04\x05]\x00\x00\x00\x09"),
    "Monkey's Audio (ape)": re.compile(rb"MAC [\x80-\xff]\x0f\x00\x00"),
}
_LONGEST_START = 64


def container_of(head: bytes) -> str | None:
    """Name of the container that only FFmpeg reads, from a file's first bytes."""
    if head[4:8] in _BOXES:
        return MP4
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "AVI"
    if all(head[at : at + 1] == _TS_SYNC for at in range(0, HEAD_BYTES, _TS_PACKET)):
        return "an MPEG transport stream"
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)


def check_container(file: OpenedFile, container: str, start: int) -> None:
    """Refuse what FFmpeg would read only in part without a word.

    Raises:
        DecodeError: another recording follows, or the file is shorter than its header says.
    """
    if container == "AVI":
        _check_avi(file, start)
    elif container == MP4:
        if (second := _second_movie(file, start)) is not None:
            raise _two(file, container, second - start)
    elif (second := _again(file, start + 1, container)) is not None:
        raise _two(file, container, second - start)


def _two(file: OpenedFile, container: str, first: int) -> DecodeError:
    return DecodeError(
        f"{file.name}: another recording follows the first one in this file ({container}): the "
        f"first has {first} bytes, the file {file.size}. No decoder reads both; no feature was "
        "made. Split it."
    )


def _check_avi(file: OpenedFile, start: int) -> None:
    end = start + 8 + int.from_bytes(file.read_at(start + 4, 4), "little")
    if end > file.size:
        raise DecodeError(
            f"{file.name}: the header announces {end - start} bytes, the file has "
            f"{file.size - start}. It is truncated; no feature was made."
        )
    following = file.read_at(end + end % 2, 12)
    if following[:4] == b"RIFF" and following[8:] == b"AVI ":  # large ones go on with AVIX
        raise _two(file, "AVI", end - start)


def _second_movie(file: OpenedFile, position: int) -> int | None:
    """Where a second index or type lies among the boxes of the file."""
    seen = set[bytes]()
    while position + 8 <= file.size:
        head = file.read_at(position, 16)
        size, name = int.from_bytes(head[:4], "big"), head[4:8]
        if size == 1:
            size = int.from_bytes(head[8:], "big")
        if name in (b"ftyp", b"moov"):
            if name in seen:
                return position
            seen.add(name)
        if size < 8:
            return None
        position += size
    return None


def _again(file: OpenedFile, position: int, container: str) -> int | None:
    """Where another recording of the container begins, if that can be known."""
    if (pattern := _AGAIN.get(container)) is None:
        return None
    while position < file.size:
        data = file.read_at(position, _BLOCK)
        if match := pattern.search(data):
            return position + match.start()
        if len(data) < _BLOCK:
            return None
        position += len(data) - _LONGEST_START
    return None
