"""Tags before and behind a stream: ID3v1, ID3v2, APE and Lyrics3.

Sources: id3.org (ID3v2.4 structure), the APEv2 and Lyrics3 v2 specifications.
"""

from __future__ import annotations

from mirfeat.audio.opened import OpenedFile


def id3v2_length(head: bytes) -> int:
    """Bytes of the ID3v2 tag that begins with ``head``; 0 if none does."""
    if len(head) < 10 or head[:3] != b"ID3" or head[3] == 0xFF or max(head[6:10]) > 127:
        return 0
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte
    return 20 + size if head[5] & 0x10 else 10 + size


def tag_length(file: OpenedFile, position: int, end: int) -> int:
    """Bytes of a tag that begins at ``position``; 0 if none does."""
    head = file.read_at(position, min(32, end - position))
    if length := id3v2_length(head):
        return min(length, end - position)
    if head[:8] == b"APETAGEX" and len(head) == 32 and head[23] & 0x20:  # its header comes first
        return min(32 + int.from_bytes(head[12:16], "little"), end - position)
    return 128 if head[:3] == b"TAG" and end - position == 128 else 0


def start_of_audio(file: OpenedFile) -> int:
    """Where the first thing begins that is no tag."""
    position = 0
    while length := tag_length(file, position, file.size):
        position += length
    return position


def end_of_audio(file: OpenedFile, start: int = 0) -> int:
    """Where tags at the end begin."""
    end = file.size
    while length := _length_before(file, end):
        if end - length < start:
            break
        end -= length
    return end


def _length_before(file: OpenedFile, end: int) -> int:
    """Bytes of a tag that ends at ``end``; 0 if none does."""
    begin = max(0, end - 355)
    tail = file.read_at(begin, end - begin)
    if tail[-128:-125] == b"TAG":
        return 355 if tail[:4] == b"TAG+" else 128
    if tail[-32:-24] == b"APETAGEX":
        size = int.from_bytes(tail[-20:-16], "little")
        return size + 32 if tail[-9] & 0x80 else size
    if tail[-9:] == b"LYRICS200" and tail[-15:-9].isdigit():
        return int(tail[-15:-9]) + 15
    if tail[-10:-7] == b"3DI":
        return id3v2_length(b"ID3" + tail[-7:])
    return 0
