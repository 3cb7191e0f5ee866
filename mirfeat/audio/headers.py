"""Headers of frames that begin with a sync word: MPEG audio, AAC (ADTS), AC-3, DTS.

Sources: ISO/IEC 11172-3 2.4.1.3 and 13818-3 (MPEG), 14496-3 1.A.2 (ADTS), ETSI TS 102 366 (AC-3),
ETSI TS 102 114 (DTS).
"""

from __future__ import annotations

import itertools
from functools import cache
from typing import NamedTuple

_KBPS_V1 = {
    1: (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    2: (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
_KBPS_V2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_KBPS_V2_LAYER_1 = (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256)
_MPEG_RATES = (44100, 48000, 32000)
_ADTS_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
_AC3_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
_AC3_RATES = (48000, 44100, 32000)
_DTS_RATES = (0, 8000, 16000, 32000, 0, 0, 11025, 22050, 44100, 0, 0, 12000, 24000, 48000)

HEADER_BYTES = 9
# No frame of these streams is longer.
LONGEST_FRAME = 1 << 14

_WORDS = {"mp1": "MPEG layer I", "mp2": "MPEG layer II", "mp3": "MP3", "aac": "AAC"}
_WORDS |= {"ac3": "AC-3", "eac3": "E-AC-3", "dca": "DTS"}


class Kind(NamedTuple):
    """What all frames of a stream have in common: rate in Hz, samples per channel in a frame."""

    codec: str
    rate: int
    samples: int

    @property
    def word(self) -> str:
        """The codec's name."""
        return _WORDS[self.codec]

    def __str__(self) -> str:
        """For messages."""
        return f"{self.word} at {self.rate} Hz"


class Frame(NamedTuple):
    """One header read: the stream it belongs to and the bytes of the frame, 0 in free format."""

    kind: Kind
    size: int


def read_header(data: bytes, at: int = 0) -> Frame | None:
    """The frame that begins there, if one does."""
    header = data[at : at + HEADER_BYTES]
    if len(header) < HEADER_BYTES:
        return None
    if header[0] == 0xFF and header[1] & 0xE0 == 0xE0:
        return _adts(header) if header[1] & 0xF6 == 0xF0 else _mpeg(header[1], header[2])
    if header[:2] == b"\x0b\x77":
        return _ac3(header)
    return _dts(header) if header[:4] == b"\x7f\xfe\x80\x01" else None


@cache
def _mpeg(second: int, third: int) -> Frame | None:
    version, layer = second >> 3 & 3, 4 - (second >> 1 & 3)
    rate_index, bits = third >> 2 & 3, third >> 4
    if version == 1 or layer == 4 or rate_index == 3 or bits == 15:
        return None
    first = version == 3
    rate = _MPEG_RATES[rate_index] // {3: 1, 2: 2, 0: 4}[version]
    samples = 384 if layer == 1 else 1152 if first or layer == 2 else 576
    kind, padding = Kind(f"mp{layer}", rate, samples), third >> 1 & 1
    if bits == 0:
        return Frame(kind, 0)
    table = _KBPS_V1[layer] if first else _KBPS_V2_LAYER_1 if layer == 1 else _KBPS_V2
    if layer == 1:
        return Frame(kind, (12_000 * table[bits] // rate + padding) * 4)
    return Frame(kind, samples // 8 * table[bits] * 1000 // rate + padding)


@cache
def mpeg_sizes(kind: Kind) -> dict[bytes, int]:
    """Bytes of a frame of this kind by the first three bytes of its header; not in free format."""
    sizes = {}
    for second, third in itertools.product(range(0xE0, 0x100), range(0x100)):
        frame = _mpeg(second, third)
        if frame is not None and frame.kind == kind and frame.size:
            sizes[bytes((0xFF, second, third))] = frame.size
    return sizes


def frame_size(data: bytes, at: int, kind: Kind, free_format: int) -> int:
    """Bytes of the frame of this kind that begins there, 0 if none does.

    ``free_format`` are the bytes of a frame without a bit rate, before padding.
    """
    frame = read_header(data, at)
    if frame is None or frame.kind != kind:
        return 0
    if frame.size or not free_format:
        return frame.size
    return free_format + (data[at + 2] >> 1 & 1) * padding_of(kind)


def padding_of(kind: Kind) -> int:
    """Bytes by which MPEG frames are padded."""
    return 4 if kind.codec == "mp1" else 1


def _adts(header: bytes) -> Frame | None:
    index = header[2] >> 2 & 15
    size = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    if index >= len(_ADTS_RATES) or size < 8:
        return None
    return Frame(Kind("aac", _ADTS_RATES[index], 1024 * ((header[6] & 3) + 1)), size)


def _ac3(header: bytes) -> Frame | None:
    rate_index, version = header[4] >> 6, header[5] >> 3
    if rate_index == 3 or version > 16:
        return None
    rate, code = _AC3_RATES[rate_index], header[4] & 63
    if version > 10:
        size, blocks = ((header[2] & 7) << 8 | header[3]) * 2 + 2, header[4] >> 4 & 3
        # Frames beside the first substream add channels, not time.
        if header[2] >> 3 or size < 8:
            return None
        return Frame(Kind("eac3", rate, 256 * (1, 2, 3, 6)[blocks]), size)
    if code >= 2 * len(_AC3_KBPS) or version > 8:
        return None
    words = _AC3_KBPS[code >> 1] * 96_000 // rate + (code & 1 if rate == 44100 else 0)
    return Frame(Kind("ac3", rate, 1536), 2 * words)


def _dts(header: bytes) -> Frame | None:
    blocks = (header[4] & 1) << 6 | header[5] >> 2
    size = ((header[5] & 3) << 12 | header[6] << 4 | header[7] >> 4) + 1
    index = header[8] >> 2 & 15
    rate = _DTS_RATES[index] if index < len(_DTS_RATES) else 0
    if blocks < 5 or size < 96 or not rate:
        return None
    return Frame(Kind("dca", rate, 32 * (blocks + 1)), size)
