"""Length of an MP3 stream from its own frames.

libsndfile takes the length of an MP3 from the Xing, Info or VBRI frame. Without one it guesses
from the file size and the first bit rate, and stops reading there: of a variable-bit-rate stream
that can silently be a third. Counting the frames tells. Source: ISO/IEC 11172-3, 2.4.1.3.
"""

from __future__ import annotations

import mmap
from pathlib import Path

_KBPS_V1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBPS_V2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATE_V1 = (44100, 48000, 32000)
_LENGTH_TAGS = (b"Xing", b"Info", b"VBRI")


def unannounced_samples(path: Path) -> int | None:
    """Samples per channel in an MP3 whose length no header announces.

    None if a header does announce it, or if there is no layer III frame.
    """
    if path.stat().st_size == 0:
        return None
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return _count_samples(data)


def _count_samples(data: mmap.mmap) -> int | None:
    position, total = after_id3(data[:10]), 0
    while (position := data.find(b"\xff", position)) >= 0:
        frame = _frame(data[position : position + 4])
        if frame is None:
            position += 1
            continue
        size, samples = frame
        # The tag, where there is one, lies in the first frame, which then holds no music.
        if total == 0 and any(tag in data[position : position + 200] for tag in _LENGTH_TAGS):
            return None
        position += size
        total += samples
    return total or None


def after_id3(head: bytes) -> int:
    """Start of the audio behind an ID3v2 tag, whose pictures may hold look-alike frames."""
    header = head[:10]
    if header[:3] != b"ID3" or len(header) < 10:
        return 0
    size = 0
    for byte in header[6:]:
        size = size << 7 | byte & 0x7F
    return 10 + size


def _frame(header: bytes) -> tuple[int, int] | None:
    """Size in bytes and samples per channel of the layer III frame with this header."""
    if len(header) < 4 or header[1] & 0xE6 != 0xE2:
        return None
    version, rate_index = header[1] >> 3 & 3, header[2] >> 2 & 3
    if version == 1 or rate_index == 3 or header[2] >> 4 in (0, 15):
        return None
    mpeg1 = version == 3
    rate = _RATE_V1[rate_index] // {3: 1, 2: 2, 0: 4}[version]
    kbps = (_KBPS_V1 if mpeg1 else _KBPS_V2)[header[2] >> 4]
    size = (144 if mpeg1 else 72) * kbps * 1000 // rate + (header[2] >> 1 & 1)
    return size, 1152 if mpeg1 else 576
