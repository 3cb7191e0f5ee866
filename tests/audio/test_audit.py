"""Containers × codecs × faults: the same samples within the codec's rounding, or an error.

Every row is a file made here, decoded by mirfeat and compared with what lies in it: the samples
that went in, and the number of them that another count finds.
"""

import io
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest

from mirfeat.audio.decode import open_encoded
from mirfeat.errors import AudioError, DecodeError
from tests.support.encoded import by_ffmpeg, by_libsndfile, without_length_frame
from tests.support.sounds import music

av = pytest.importorskip("av")

SECONDS = 1.2
# Encoders add a frame or two at the ends, and tell decoders of it or not.
SLACK = 3600


class Kind(NamedTuple):
    """How a file is made, and which faults nobody could see in it."""

    make: Callable[[], bytes]
    rate: int = 48_000
    likeness: float = 0.95
    blind: frozenset[str] = frozenset()


@cache
def original(rate: int, channels: int = 2) -> np.ndarray:
    """The music of all rows: it never repeats itself."""
    clip = music(SECONDS, rate, channels)
    return (clip * np.linspace(0.3, 1.0, clip.shape[1])).astype(np.float32)


def snd(format: str, subtype: str, **options: object) -> Callable[[], bytes]:
    return lambda: by_libsndfile(original(48_000), 48_000, format, subtype, **options)


def ffm(codec: str, container: str, rate: int = 48_000, **options: str) -> Callable[[], bytes]:
    return lambda: by_ffmpeg(original(rate), rate, codec, container, **options)


# Other samples are samples too.
PCM = frozenset({"overwritten"})
# Frames that follow one another make a stream, however many they are.
STREAM = frozenset({"cut", "cut at the end", "hole"})

KINDS = {
    "wav 8": Kind(snd("WAV", "PCM_U8"), blind=PCM),
    "wav 16": Kind(snd("WAV", "PCM_16"), blind=PCM),
    "wav 24": Kind(snd("WAV", "PCM_24"), blind=PCM),
    "wav float": Kind(snd("WAV", "FLOAT"), blind=PCM),
    "wavex 16": Kind(snd("WAVEX", "PCM_16"), blind=PCM),
    "wav µ-law": Kind(snd("WAV", "ULAW"), blind=PCM),
    "wav adpcm": Kind(snd("WAV", "MS_ADPCM"), blind=PCM),
    "rf64": Kind(snd("RF64", "PCM_16"), blind=PCM),
    "w64": Kind(snd("W64", "PCM_16"), blind=PCM),
    "aiff": Kind(snd("AIFF", "PCM_16"), blind=PCM),
    "aiff float": Kind(snd("AIFF", "FLOAT"), blind=PCM),
    "au": Kind(snd("AU", "PCM_16"), blind=PCM),
    "caf": Kind(snd("CAF", "PCM_16"), blind=PCM),
    "caf alac": Kind(ffm("alac", "caf")),
    "flac": Kind(snd("FLAC", "PCM_16")),
    "flac 24": Kind(snd("FLAC", "PCM_24")),
    "vorbis": Kind(snd("OGG", "VORBIS")),
    "opus": Kind(snd("OGG", "OPUS")),
    "flac in ogg": Kind(ffm("flac", "ogg")),
    "mp3 cbr": Kind(snd("MP3", "MPEG_LAYER_III", bitrate_mode="CONSTANT", compression_level=0.3)),
    "mp3 vbr": Kind(snd("MP3", "MPEG_LAYER_III", bitrate_mode="VARIABLE", compression_level=0.3)),
    "mp3 without length": Kind(
        lambda: without_length_frame(snd("MP3", "MPEG_LAYER_III")()), blind=STREAM
    ),
    "mp2": Kind(ffm("mp2", "mp2"), blind=STREAM),
    "mp3 in wav": Kind(ffm("libmp3lame", "wav")),
    "mp2 in wav": Kind(ffm("mp2", "wav")),
    "ac3 in wav": Kind(ffm("ac3", "wav")),
    "aac": Kind(ffm("aac", "adts"), blind=STREAM),
    "ac3": Kind(ffm("ac3", "ac3"), blind=STREAM),
    "eac3": Kind(ffm("eac3", "eac3"), blind=STREAM),
    "m4a aac": Kind(ffm("aac", "ipod")),
    "m4a alac": Kind(ffm("alac", "ipod")),
    "mp4 in fragments": Kind(ffm("aac", "mp4", movflags="frag_keyframe+empty_moov")),
    "mov": Kind(ffm("aac", "mov")),
    "mov pcm": Kind(ffm("pcm_s16be", "mov"), blind=PCM),
    "webm": Kind(ffm("libopus", "webm")),
    "mka flac": Kind(ffm("flac", "matroska")),
    "mka pcm": Kind(ffm("pcm_s16le", "matroska"), blind=PCM),
    "wma": Kind(ffm("wmav2", "asf")),
    "wavpack": Kind(ffm("wavpack", "wv")),
    "tta": Kind(ffm("tta", "tta")),
    "avi": Kind(ffm("libmp3lame", "avi")),
    "flv": Kind(ffm("aac", "flv"), blind=STREAM),
    "mpeg-ts": Kind(ffm("mp2", "mpegts"), blind=STREAM),
}

FRAMES = b"\xff\xfb\x90\x44" * 499
ID3V2 = b"ID3\x03\0\0\0\0\x0f\x56" + b"APIC" + b"\0\0\x07\xcc" + b"\0\0" + FRAMES
ID3V1 = b"TAG" + b"title".ljust(125)
APE_ITEM = b"\x60\0\0\0\0\0\0\0Title\0" + b"\xff\xfb\x90\x44" * 24


def ape(flags: int) -> bytes:
    size = (len(APE_ITEM) + 32).to_bytes(4, "little")
    return b"APETAGEX" + b"\xd0\7\0\0" + size + b"\1\0\0\0" + flags.to_bytes(4, "little") + bytes(8)


APE = ape(0xA0000000) + APE_ITEM + ape(0x80000000)
NOISE = np.random.default_rng(3).bytes(60_000)


def part_overwritten(whole: bytes) -> bytes:
    start, end = len(whole) * 2 // 5, len(whole) * 3 // 5
    return whole[:start] + NOISE[: end - start].ljust(end - start, b"\x5a") + whole[end:]


# What a fault makes of a file, and what may come of it besides an error.
FAULTS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "healthy": (lambda whole: whole, "must be all"),
    "tag behind": (lambda whole: whole + APE + ID3V1, "must be all"),
    "tag in front": (lambda whole: ID3V2 + whole, "must be all"),
    "zeros behind": (lambda whole: whole + bytes(1000), "all"),
    "zeros in front": (lambda whole: bytes(3000) + whole, "all"),
    "noise behind": (lambda whole: whole + NOISE, "all"),
    "joined": (lambda whole: whole + whole, "twice"),
    "cut": (lambda whole: whole[: len(whole) * 3 // 5], "nothing"),
    "cut at the end": (lambda whole: whole[:-200], "almost all"),
    "hole": (lambda whole: whole[: len(whole) * 2 // 5] + whole[len(whole) * 3 // 5 :], "nothing"),
    "overwritten": (part_overwritten, "nothing"),
}


@cache
def made(kind: str) -> bytes:
    try:
        return KINDS[kind].make()
    except (av.FFmpegError, ValueError) as error:
        pytest.skip(f"this build does not write {kind}: {error}")


def decoded(content: bytes) -> tuple[np.ndarray, int]:
    reader = open_encoded(content, "clip")
    try:
        return np.concatenate(list(reader.blocks()), axis=1), reader.sample_rate
    finally:
        reader.close()


def likeness(found: np.ndarray, expected: np.ndarray) -> float:
    """Correlation of two clips where it is best, moved by up to SLACK samples."""
    found, expected = np.float32(found), np.float32(expected)
    size = 1 << (len(found) + len(expected)).bit_length()
    spectrum = np.fft.rfft(found, size) * np.conj(np.fft.rfft(expected, size))
    moved = np.fft.irfft(spectrum, size)
    best = max(moved[:SLACK].max(), moved[-SLACK:].max())
    return float(best / np.sqrt((found**2).sum() * (expected**2).sum()))


def is_that(found: np.ndarray, expected: np.ndarray, least: float) -> bool:
    return abs(found.shape[1] - expected.shape[1]) <= SLACK and all(
        likeness(a[::2], b[::2]) >= least for a, b in zip(found, expected, strict=True)
    )


def is_twice(found: np.ndarray, expected: np.ndarray, least: float) -> bool:
    """Delays lie between the two, so that each is compared for itself."""
    half = found.shape[1] // 2
    return all(is_that(part, expected, least) for part in (found[:, :half], found[:, half:]))


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", KINDS)
def test_all_samples_or_an_error(kind: str, fault: str) -> None:
    rate, least, blind = KINDS[kind].rate, KINDS[kind].likeness, KINDS[kind].blind
    change, may_give = FAULTS[fault]
    music_in = original(rate)
    try:
        found, found_rate = decoded(change(made(kind)))
    except AudioError:
        if may_give.startswith("must"):
            raise
        return
    assert found_rate == rate
    assert len(found) == len(music_in)
    if fault in blind:
        return
    if may_give == "twice":
        assert is_twice(found, music_in, least), found.shape
    else:
        assert may_give in ("all", "must be all", "almost all"), found.shape
        assert is_that(found, music_in, least), found.shape


def test_the_table_is_long_enough() -> None:
    rows = sum(len(FAULTS) - len(kind.blind) for kind in KINDS.values())
    assert rows >= 150


@pytest.mark.parametrize("kind", KINDS)
def test_another_count_agrees(kind: str) -> None:
    content = made(kind)
    found, _ = decoded(content)
    with av.open(io.BytesIO(content)) as handle:
        counted = sum(frame.samples for frame in handle.decode(audio=0))
    assert abs(found.shape[1] - counted) <= SLACK


@pytest.mark.parametrize("kind", ["m4a aac", "mov", "webm", "wma", "tta", "avi", "flac"])
def test_two_recordings_in_one_file_are_told_with_both_lengths(kind: str) -> None:
    first = made(kind)
    with pytest.raises(DecodeError) as caught:
        decoded(first * 2)
    expected = ["1.2 s", "2.4 s"] if kind == "flac" else [f"{len(first)} ", f"{2 * len(first)}."]
    assert all(length in str(caught.value) for length in expected), str(caught.value)


def test_decode_errors_are_the_files_own() -> None:
    with pytest.raises(DecodeError, match="clip: "):
        decoded(made("flac")[:-5000])
