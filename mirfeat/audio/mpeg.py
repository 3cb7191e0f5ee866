"""Length of MPEG audio: what its first frame announces, beside the frames that are there.

The first frame of an MP3 may be a Xing, Info or VBRI header, which holds no music. Its words are
no length: flags say which fields it has, and an encoder that could not seek leaves them empty.
"""

from __future__ import annotations

from dataclasses import dataclass

from mirfeat.audio.frames import FrameStream
from mirfeat.audio.opened import OpenedFile

# Samples by which every MP3 decoder is late.
DECODER_DELAY = 529
# Where the side information of a layer III frame ends, by version 1 and mono.
_SIDE_INFO = {(True, False): 32, (True, True): 17, (False, False): 17, (False, True): 9}
_VBRI_OFFSET = 36


@dataclass(frozen=True)
class LengthFrame:
    """What the first frame says: the number of frames, and samples to trim at both ends.

    Of ``size``, the bytes of all frames, also at which place of the file it stands.
    """

    frames: int | None = None
    delay: int = 0
    padding: int = 0
    size: int = 0
    size_at: int = 0


def read_length_frame(file: OpenedFile, stream: FrameStream) -> LengthFrame | None:
    """The header in the first frame; None where that frame is music."""
    if stream.kind.codec != "mp3":
        return None
    head = file.read_at(stream.first, 256)
    if head[_VBRI_OFFSET : _VBRI_OFFSET + 4] == b"VBRI":
        return LengthFrame(
            int.from_bytes(head[_VBRI_OFFSET + 14 : _VBRI_OFFSET + 18], "big") or None
        )
    first, mono = head[1] >> 3 & 3 == 3, head[3] >> 6 == 3
    at = 4 + _SIDE_INFO[first, mono]
    for start in (at, at + 2):  # behind a checksum, if the encoder counts it
        if head[start : start + 4] in (b"Xing", b"Info"):
            return _xing(head[start:], stream.first + start)
    return None


def _xing(head: bytes, place: int) -> LengthFrame:
    flags, at = int.from_bytes(head[4:8], "big"), 8
    frames, size, size_at = None, 0, 0
    if flags & 1:
        frames = int.from_bytes(head[at : at + 4], "big") or None
        at += 4
    if flags & 2:
        size, size_at = int.from_bytes(head[at : at + 4], "big"), place + at
        at += 4
    at += (100 if flags & 4 else 0) + (4 if flags & 8 else 0)
    # Behind it, LAME and others write nine bytes of name and, twelve bytes on, two times 12 bits.
    trim = head[at + 21 : at + 24]
    if head[at : at + 4] not in (b"LAME", b"Lavf", b"Lavc", b"GOGO", b"L3.9") or len(trim) < 3:
        return LengthFrame(frames, size=size, size_at=size_at)
    delay, padding = trim[0] << 4 | trim[1] >> 4, (trim[1] & 15) << 8 | trim[2]
    return LengthFrame(frames, delay, padding, size, size_at)
