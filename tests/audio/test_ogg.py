"""Ogg pages by hand: what a file says of its length."""

import io

import pytest

from mirfeat.audio.ogg import checksum, scan_ogg
from mirfeat.audio.opened import open_object

# The first packet of Vorbis: one channel, 44 100 Hz.
VORBIS = b"\x01vorbis" + bytes(4) + b"\x01" + (44_100).to_bytes(4, "little") + bytes(14)


def page(number: int, granule: int, flags: int, body: bytes) -> bytes:
    head = b"OggS\0" + bytes([flags]) + granule.to_bytes(8, "little", signed=True)
    head += (7).to_bytes(4, "little") + number.to_bytes(4, "little") + bytes(4)
    whole = head + bytes([1, len(body)]) + body
    return whole[:22] + checksum(whole) + whole[26:]


@pytest.mark.parametrize(
    ("granules", "samples"),
    [
        ([4_096, 88_200], 88_200),
        # It was cut out of a longer one: its first page ends before the music begins.
        ([-104, 4_096, 88_200], 88_304),
        # Of a broadcast that was on for a minute.
        ([2_646_000, 2_734_200], 88_200),
        # No packet ends in the second page.
        ([4_096, -1, 88_200], 88_200),
    ],
)
def test_samples_are_counted_from_the_first_page(granules: list[int], samples: int) -> None:
    pages = [page(0, 0, 2, VORBIS)]
    pages += [page(n, granule, 0, b"music") for n, granule in enumerate(granules, start=1)]
    found = scan_ogg(open_object(io.BytesIO(b"".join(pages)), "song.ogg"), 0)
    assert found is not None
    assert not found.why
    assert [stream.samples for stream in found.streams] == [samples]
