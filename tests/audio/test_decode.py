"""Files as they come: every format, wrong names, cut short, damaged, only in part."""

import os
import re
import struct
import sys
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.testing import assert_allclose, assert_array_equal

import mirfeat
from mirfeat.audio.decode import open_file
from mirfeat.audio.ffmpeg import ContainerDecoder
from mirfeat.audio.libsndfile import SoundFileDecoder
from mirfeat.errors import DecodeError, EmptyAudioError, MissingPackageError
from mirfeat.extractor import Extractor
from tests.support.sounds import (
    cut,
    decode,
    drop_length_frame,
    encode,
    music,
    overwrite_middle,
    write,
)

RATE = 44_100

LOSSLESS = [
    ("WAV", "PCM_U8"),
    ("WAV", "PCM_16"),
    ("WAV", "PCM_24"),
    ("WAV", "PCM_32"),
    ("WAV", "FLOAT"),
    ("WAV", "DOUBLE"),
    ("WAVEX", "PCM_24"),
    ("RF64", "PCM_16"),
    ("W64", "PCM_16"),
    ("FLAC", "PCM_16"),
    ("FLAC", "PCM_24"),
    ("AIFF", "PCM_S8"),
    ("AIFF", "PCM_24"),
    ("AIFF", "FLOAT"),
    ("AU", "PCM_16"),
    ("AU", "FLOAT"),
    ("CAF", "PCM_24"),
    ("CAF", "ALAC_16"),
]
LOSSY = [
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"),
    ("WAV", "ULAW"),
    ("WAV", "MS_ADPCM"),
]
# What each lossless kind of file holds, as an array that mirfeat takes.
ARRAYS = {"FLOAT": "float32", "DOUBLE": "float64", "PCM_U8": "int16", "PCM_S8": "int16"}
ARRAYS |= {"PCM_16": "int16", "ALAC_16": "int16", "PCM_24": "int32", "PCM_32": "int32"}

# name, codec and container for PyAV, samples by which the codec shifts, smallest correlation
CONTAINERS = {
    "aac in m4a": ("aac", "ipod", 0, 0.99),
    "aac in mp4, index first": ("aac", "mp4", 0, 0.99),
    "alac in m4a": ("alac", "ipod", 0, 0.99999),
    "raw aac": ("aac", "adts", 1024, 0.99),
    "wma": ("wmav2", "asf", 2048, 0.99),
    "opus in webm": ("libopus", "webm", 0, 0.99),
    "flac in matroska": ("flac", "matroska", 0, 0.99999),
}


@pytest.fixture(scope="module")
def mfcc() -> Extractor:
    return mirfeat.load_extractor("mfcc")


def write_container(path: Path, kind: str, channels: int = 1, seconds: float = 3.0) -> np.ndarray:
    """Write a file of one of CONTAINERS; return its samples, or skip where PyAV cannot do it."""
    av = pytest.importorskip("av")
    codec, container, _, _ = CONTAINERS[kind]
    try:
        av.Codec(codec, "w")
    except av.error.FFmpegError:
        pytest.skip(f"this build of PyAV does not write {codec}")
    samples = music(seconds, rate_of(kind), channels)
    options = {"movflags": "faststart"} if "index first" in kind else {}
    encode(path, samples, rate_of(kind), codec, container, **options)
    return samples


def rate_of(kind: str) -> int:
    return 48_000 if "opus" in kind.lower() else RATE


def announce_bytes(path: Path, position: int, count: int, order: str = "<") -> Path:
    """Overwrite the four bytes in which a header tells the length of the audio."""
    content = bytearray(path.read_bytes())
    content[position : position + 4] = struct.pack(f"{order}I", count)
    path.write_bytes(content)
    return path


def announce_flac_samples(path: Path, count: int) -> Path:
    """Overwrite the lower 32 bits of the total in a FLAC header; the upper four are 0 here."""
    content = bytearray(path.read_bytes())
    assert content[:4] == b"fLaC"
    content[22:26] = struct.pack(">I", count)
    path.write_bytes(content)
    return path


def forget_flac_length(path: Path) -> Path:
    """Announce nothing, as an encoder that writes to a pipe does."""
    return announce_flac_samples(path, 0)


# Every format


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("kind", LOSSLESS + LOSSY, ids="-".join)
def test_files_decode_to_what_soundfile_reads(
    kind: tuple[str, str], channels: int, tmp_path: Path
) -> None:
    format, subtype = kind
    if channels > 2 and subtype in ("MPEG_LAYER_III", "MS_ADPCM"):
        pytest.skip(f"{subtype} has at most two channels")
    rate = rate_of(subtype)
    # More than one block, so that the seams are in it.
    samples = music(11.0 if channels == 1 else 1.0, rate, channels)
    path = write(tmp_path / "clip", samples, rate, format, subtype)
    expected, file_rate = soundfile.read(path, dtype="float32", always_2d=True)
    decoded = decode(path)
    assert decoded.dtype == np.float32
    assert file_rate == rate
    if format == "MP3":  # whose decoder rounds differently after a seek
        assert_allclose(decoded, expected.T, rtol=0, atol=5e-7)
    elif subtype == "OPUS" and channels > 2:  # left to FFmpeg, which orders channels as wav does
        assert_allclose(decoded, expected.T[[0, 2, 1, 5, 3, 4]], rtol=0, atol=1e-2)
    else:
        assert_array_equal(decoded, expected.T)
    assert abs(decoded.shape[1] - samples.shape[1]) < 2500  # compressed blocks come whole


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kind", LOSSLESS, ids="-".join)
def test_a_lossless_file_gives_exactly_the_vector_of_its_array(
    kind: tuple[str, str], channels: int, tmp_path: Path, mfcc: Extractor
) -> None:
    format, subtype = kind
    path = write(tmp_path / "clip", music(1.5, RATE, channels), RATE, format, subtype)
    array, rate = soundfile.read(path, dtype=ARRAYS[subtype])
    assert_array_equal(mfcc.extract(array.T, rate), mfcc.extract_file(path))


def test_two_encodings_of_the_same_samples_give_the_same_vector(
    tmp_path: Path, mfcc: Extractor
) -> None:
    samples = np.round(music(12.0, RATE, 2) * 32767) / 32768
    formats = [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("AIFF", "PCM_24"), ("CAF", "ALAC_16")]
    paths = [write(tmp_path / name, samples, RATE, name, kind) for name, kind in formats]
    first, *others = (mfcc.extract_file(path) for path in paths)
    for other in others:
        assert_array_equal(other, first)


@pytest.mark.parametrize(
    ("format", "subtype", "name"),
    [
        ("MP3", "MPEG_LAYER_III", "clip.wav"),
        ("WAV", "PCM_16", "clip.txt"),
        ("WAV", "PCM_16", "clip.raw"),
        ("FLAC", "PCM_16", "clip.mp3"),
        ("WAV", "PCM_16", "clip.gsm"),
        ("AIFF", "PCM_16", "clip.m4a"),
        ("OGG", "VORBIS", "clip"),
    ],
)
def test_the_name_does_not_decide_on_the_format(
    format: str, subtype: str, name: str, tmp_path: Path
) -> None:
    samples = music(1.0, RATE)
    right = write(tmp_path / "right", samples, RATE, format, subtype)
    wrong = tmp_path / name
    wrong.write_bytes(right.read_bytes())
    assert_array_equal(decode(wrong), decode(right))


# Not audio


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("text.mp3", b"Dear diary, no music today.\n" * 50),
        ("text.m4a", b"Dear diary, no music today.\n" * 50),
        ("text.raw", b"Dear diary, no music today.\n" * 50),
        ("zeros.wav", bytes(4096)),
        ("picture.jpg", b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(range(256)) * 8),
        ("page.flac", b"<!DOCTYPE html><html><body>404 Not Found</body></html>"),
        ("short.wav", b"RIFF"),
        ("tag.mp3", b"ID3\x04\x00\x00\x00\x00\x00\x0a" + bytes(10)),
        ("boxes.m4a", b"\x00\x00\x00\x18ftypM4A " + bytes(3000)),
    ],
)
def test_what_is_not_audio_is_refused_by_name(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DecodeError, match=re.escape(f"{path}: not ")) as error:
        open_file(path)
    assert "descriptor" not in str(error.value)


def test_refused_files_leave_no_descriptor_behind_and_close_no_other(tmp_path: Path) -> None:
    path = tmp_path / "text.wav"
    path.write_bytes(b"no music " * 100)
    other = os.open(path, os.O_RDONLY)
    free = os.open(path, os.O_RDONLY)
    os.close(free)
    for _ in range(3):
        with pytest.raises(DecodeError):
            open_file(path)
    assert os.fstat(other)
    assert os.open(path, os.O_RDONLY) == free
    os.close(free)
    os.close(other)


def test_no_bytes_and_no_samples_are_empty(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.wav"
    nothing.touch()
    with pytest.raises(EmptyAudioError, match=r"nothing\.wav: the file has 0 bytes"):
        open_file(nothing)
    for format in ("WAV", "AU", "AIFF"):
        header = write(tmp_path / f"header {format}", np.zeros((2, 0)), RATE, format)
        with pytest.raises(EmptyAudioError, match="a header, but no samples"):
            open_file(header)


def test_paths_that_are_no_files_say_so(tmp_path: Path) -> None:
    with pytest.raises(DecodeError, match="there is no such file"):
        open_file(tmp_path / "missing.wav")
    with pytest.raises(DecodeError, match="is a directory"):
        open_file(tmp_path)
    file = write(tmp_path / "clip.wav", music(0.1, RATE), RATE, "WAV")
    with pytest.raises(DecodeError, match="there is no such file"):
        open_file(file / "below")
    with pytest.raises(DecodeError, match="name too long"):
        open_file(tmp_path / ("x" * 300))


@pytest.mark.parametrize("rate", [1, 999, 1_000_001, 2_000_000_000])
def test_a_nonsensical_rate_in_the_header_is_refused(rate: int, tmp_path: Path) -> None:
    path = write(tmp_path / "clip.wav", music(0.1, RATE), RATE, "WAV", "PCM_16")
    announce_bytes(path, 24, rate)
    with pytest.raises(DecodeError, match=f"its header says {rate} Hz"):
        open_file(path)


# Cut short

# What the message has to say about a file of 4 s of which 60 % are left.
CUT = {
    ("WAV", "PCM_16"): r"announces 352800 bytes of audio, the file has 211\d\d\d",
    ("WAV", "FLOAT"): r"announces 705600 bytes of audio, the file has 423\d\d\d",
    ("WAVEX", "PCM_24"): r"announces 529200 bytes of audio, the file has 317\d\d\d",
    ("RF64", "PCM_16"): r"announces 352800 bytes of audio, the file has 211\d\d\d",
    ("W64", "PCM_16"): r"announces 352800 bytes of audio, the file has 211\d\d\d",
    ("AIFF", "PCM_16"): r"announces 3528\d\d bytes of audio, the file has 211\d\d\d",
    ("AU", "PCM_16"): r"announces 352800 bytes of audio, the file has 211\d\d\d",
    ("FLAC", "PCM_16"): r"stopped at 2\.\d s of about 4.0 s \(libsndfile: .*lost sync\)",
    ("MP3", "MPEG_LAYER_III"): r"stopped at 2\.\d s of about 4.0 s \(the stream ends there\)",
    ("CAF", "PCM_16"): r"announces 352800 bytes of audio, the file has 210\d\d\d",
    ("OGG", "VORBIS"): r"an Ogg stream without an end after [12]\.\d s. It is truncated",
    ("OGG", "OPUS"): r"an Ogg stream without an end after [12]\.\d s. It is truncated",
}


@pytest.mark.parametrize(("kind", "message"), CUT.items(), ids=map("-".join, CUT))
def test_a_file_cut_short_fails_and_says_how_much_is_there(
    kind: tuple[str, str], message: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "clip", music(4.0, rate_of(kind[1])), rate_of(kind[1]), *kind)
    whole = decode(path)
    cut(path, 0.6)
    with pytest.raises(DecodeError, match=f"^{re.escape(str(path))}: .*{message}"):
        decode(path)
    if kind[0] != "CAF":  # which libsndfile does not even open
        assert_array_equal(decode(path, 0.5), whole[:, : whole.shape[1] // 8])


@pytest.mark.parametrize("share", [0.999, 0.95, 0.2])
def test_any_loss_in_a_lossless_file_fails(share: float, tmp_path: Path) -> None:
    for format in ("WAV", "FLAC", "AIFF"):
        path = cut(write(tmp_path / format, music(2.0, RATE, 2), RATE, format, "PCM_16"), share)
        with pytest.raises(DecodeError):
            decode(path)


def test_a_lossless_stream_must_have_every_sample_announced(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.flac", music(2.0, RATE), RATE, "FLAC", "PCM_16")
    announce_flac_samples(path, 2 * RATE + 50)
    with pytest.raises(DecodeError, match="decoding stopped at"):
        decode(path)


def test_the_truncated_part_counts_as_soon_as_it_is_wanted(tmp_path: Path) -> None:
    path = cut(write(tmp_path / "clip.wav", music(4.0, RATE), RATE, "WAV", "PCM_16"), 0.5)
    available = (path.stat().st_size - 44) // 2
    assert decode(path, available / RATE).shape == (1, available)
    with pytest.raises(DecodeError, match="truncated"):
        decode(path, (available + 1) / RATE)


def test_headers_of_encoders_that_wrote_to_a_pipe_are_taken_as_unknown(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.wav", music(1.0, RATE), RATE, "WAV", "PCM_16")
    whole = decode(path)
    for size in (0xFFFFFFFF, 0xFFFFFFFF - 36, 0xFFFF8000, 0x7FFFFFFF, 0x80000000, 0x7FFFF000):
        announce_bytes(announce_bytes(path, 4, 0xFFFFFFFF), 40, size)
        assert_array_equal(decode(path), whole)
    path = write(tmp_path / "clip.au", music(1.0, RATE), RATE, "AU", "PCM_16")
    assert_array_equal(decode(announce_bytes(path, 8, 0xFFFFFFFF, ">")), whole)


def test_a_large_file_that_was_cut_is_not_taken_for_a_pipe(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.wav", music(1.0, RATE), RATE, "WAV", "PCM_16")
    announce_bytes(path, 40, 3_000_000_000)
    with pytest.raises(DecodeError, match="announces 3000000000 bytes of audio"):
        open_file(path)


def test_tags_and_other_chunks_behind_the_audio_do_not_matter(tmp_path: Path) -> None:
    samples = music(1.0, RATE)
    tag = b"TAG" + "Motörhead".encode("latin-1").ljust(125)
    for format in ("WAV", "OGG", "MP3", "FLAC"):
        path = write(tmp_path / format, samples, RATE, format)
        whole = decode(path)
        path.write_bytes(path.read_bytes() + tag)
        assert_array_equal(decode(path), whole)


def test_an_ogg_stream_that_was_cut_between_pages_is_taken_as_a_recording(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.ogg", music(4.0, RATE), RATE, "OGG", "VORBIS")
    content = path.read_bytes()
    path.write_bytes(content[: content.rfind(b"OggS")])
    assert RATE < decode(path).shape[1] < 4 * RATE


def test_flac_of_unknown_length_is_read_to_its_end(tmp_path: Path) -> None:
    pytest.importorskip("av")
    path = write(tmp_path / "clip.flac", music(1.5, RATE, 2), RATE, "FLAC", "PCM_16")
    whole = decode(path)
    forget_flac_length(path)
    assert_array_equal(decode(path), whole)
    assert_array_equal(decode(path, 0.5), whole[:, : RATE // 2])


# Damaged


@pytest.mark.parametrize("damage", [3, 3000])
def test_damage_in_the_middle_of_a_checked_format_fails(damage: int, tmp_path: Path) -> None:
    for kind in (("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS")):
        rate = rate_of(kind[1])
        path = write(tmp_path / kind[1], music(8.0, rate), rate, *kind)
        beginning = decode(path, 1.0)
        overwrite_middle(path, damage)
        with pytest.raises(DecodeError, match="The file is damaged; no feature was made"):
            decode(path)
        assert_array_equal(decode(path, 1.0), beginning)


def test_the_time_of_flac_damage_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.flac", music(30.0, RATE), RATE, "FLAC", "PCM_16")
    overwrite_middle(path, 500)
    with pytest.raises(DecodeError, match=r"stopped at 1[45]\.\d s of about 30.0 s \(libsndfile"):
        decode(path)


def test_an_mp3_loses_a_few_damaged_frames_but_not_many(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.mp3", music(20.0, RATE), RATE, "MP3")
    whole = decode(path)
    overwrite_middle(path, 300)
    assert_allclose(decode(path).shape[1], whole.shape[1], atol=0.5 * RATE)
    overwrite_middle(path, path.stat().st_size // 5)
    with pytest.raises(DecodeError, match="The file is damaged"):
        decode(path)


# Only what is needed


def test_no_more_than_the_seconds_needed_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    read = SoundFileDecoder._read

    def spy(decoder: SoundFileDecoder, count: int) -> np.ndarray:
        asked.append(count)
        return read(decoder, count)

    monkeypatch.setattr(SoundFileDecoder, "_read", spy)
    path = write(tmp_path / "clip.wav", music(25.0, 8000), 8000, "WAV")
    assert decode(path, 12.0).shape[1] == sum(asked) == 96_000
    asked.clear()
    assert decode(path).shape[1] == sum(asked) == 200_000


def test_no_more_than_the_seconds_needed_are_decoded_by_pyav(tmp_path: Path) -> None:
    path = tmp_path / "clip.m4a"
    write_container(path, "aac in m4a", seconds=25.0)
    reader = open_file(path, 12.0)
    assert isinstance(reader.decoder, ContainerDecoder)
    sizes = [block.shape[1] for block in reader.blocks()]
    assert sum(sizes) == 12 * RATE
    # The decoder still has the other half before it.
    assert next(reader.decoder._handle.decode(audio=0)).time == pytest.approx(12.0, abs=0.1)
    reader.close()


# What PyAV reads


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kind", CONTAINERS)
def test_containers_decode_to_their_length_and_content(
    kind: str, channels: int, tmp_path: Path
) -> None:
    path = tmp_path / "clip"
    samples = write_container(path, kind, channels)
    decoded = decode(path)
    _, _, shift, correlation = CONTAINERS[kind]
    assert decoded.dtype == np.float32
    assert decoded.shape[0] == channels
    assert abs(decoded.shape[1] - samples.shape[1]) <= 2048
    for expected, found in zip(samples, decoded, strict=True):
        assert best_correlation(expected, found, shift) > correlation


def best_correlation(expected: np.ndarray, found: np.ndarray, shift: int) -> float:
    """Largest correlation of one second when ``found`` moves by up to ``shift`` samples."""
    part = expected[RATE : 2 * RATE]
    shifts = range(-shift, shift + 1, max(shift, 1))
    return max(float(np.corrcoef(part, found[RATE + s : 2 * RATE + s])[0, 1]) for s in shifts)


def test_a_lossless_container_gives_exactly_the_vector_of_the_samples(
    tmp_path: Path, mfcc: Extractor
) -> None:
    samples = (music(1.5, RATE, 2) * 32767).astype(np.int16)
    path = tmp_path / "clip.m4a"
    pytest.importorskip("av")
    encode(path, np.float32(samples) / np.float32(32768), RATE, "alac", "ipod")
    assert_array_equal(mfcc.extract_file(path), mfcc.extract(samples, RATE))


def test_blocks_of_containers_are_about_ten_seconds(tmp_path: Path) -> None:
    path = tmp_path / "clip.m4a"
    write_container(path, "aac in m4a", seconds=23.0)
    reader = open_file(path)
    sizes = [block.shape[1] for block in reader.blocks()]
    reader.close()
    assert len(sizes) == 3
    assert all(10 * RATE <= size <= 10 * RATE + 4096 for size in sizes[:2])


@pytest.mark.parametrize("kind", ["aac in mp4, index first", "opus in webm", "flac in matroska"])
def test_a_container_cut_short_fails_but_its_beginning_can_be_used(
    kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "clip"
    write_container(path, kind, seconds=6.0)
    whole = decode(path)
    cut(path, 0.6)
    with pytest.raises(DecodeError, match=r"decoding stopped at [23]\.\d s of about 6\.0 s"):
        decode(path)
    assert_array_equal(decode(path, 1.0), whole[:, : rate_of(kind)])


def test_a_stream_without_a_stated_length_is_taken_as_it_is(tmp_path: Path) -> None:
    pytest.importorskip("av")
    path = tmp_path / "clip.webm"
    encode(path, music(3.0, 48_000), 48_000, "libopus", "webm", live="1")
    assert decode(path).shape[1] == pytest.approx(3 * 48_000, abs=2048)


def test_an_m4a_whose_index_is_lost_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "clip.m4a"
    write_container(path, "aac in m4a")
    with pytest.raises(DecodeError, match=r"clip.m4a: not readable .*\(FFmpeg: "):
        decode(cut(path, 0.6))


def test_raw_aac_may_begin_with_a_tag(tmp_path: Path) -> None:
    path = tmp_path / "clip.aac"
    write_container(path, "raw aac")
    whole = decode(path)
    path.write_bytes(b"ID3\x03\x00\x00\x00\x00\x00\x0a" + bytes(10) + path.read_bytes())
    assert_array_equal(decode(path), whole)


@pytest.mark.parametrize(
    ("channels", "rate", "message"),
    [
        (2, RATE, "44100 Hz mono becomes 44100 Hz stereo"),
        (1, 22_050, "AAC at 44100 Hz becomes AAC at 22050 Hz"),
    ],
)
def test_a_stream_that_changes_its_format_fails(
    channels: int, rate: int, message: str, tmp_path: Path
) -> None:
    pytest.importorskip("av")
    first = encode(tmp_path / "1.aac", music(2.0, RATE), RATE, "aac", "adts")
    second = encode(tmp_path / "2.aac", music(2.0, rate, channels), rate, "aac", "adts")
    first.write_bytes(first.read_bytes() + second.read_bytes())
    with pytest.raises(DecodeError, match=rf"stopped at 2\.\d s .*\({message} there\)"):
        decode(first)


def test_a_colon_in_a_relative_name_is_not_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_container(tmp_path / "clip.m4a", "aac in m4a")
    name = "01: intro.m4a" if os.name == "posix" else "01 intro.m4a"
    (tmp_path / "clip.m4a").rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert decode(Path(name)).shape[1] == pytest.approx(3 * RATE, abs=2048)


def test_a_file_with_only_a_picture_has_no_audio(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w", format="mp4") as output:
        stream = output.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for _ in range(5):
            output.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        output.mux(stream.encode(None))
    with pytest.raises(DecodeError, match=r"film\.mp4: .*there is no audio in this file"):
        open_file(path)


def without_pyav(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\x00\x00\x00\x20ftypM4A ", "MPEG-4 or QuickTime audio"),
        (b"\xff\xf1\x50\x80\x02\x1f\xfc" + bytes(9), "AAC"),
        (b"wvpk", "WavPack"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media audio"),
        (b"\x1a\x45\xdf\xa3\x01", "Matroska or WebM audio"),
    ],
)
def test_without_pyav_its_containers_name_the_package_to_install(
    head: bytes, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_pyav(monkeypatch)
    path = tmp_path / "clip"
    path.write_bytes(3 * head if name == "AAC" else head + bytes(200))
    with pytest.raises(MissingPackageError, match=re.escape(f"{path}: is {name}")) as error:
        open_file(path)
    assert "pip install av" in str(error.value)


@pytest.mark.parametrize(
    ("prepare", "format", "reason"),
    [
        (drop_length_frame, "MP3", r"is MP3, of which libsndfile would read \d\.\d of 12\.\d s"),
        (forget_flac_length, "FLAC", "FLAC of unannounced length"),
    ],
)
def test_without_pyav_what_libsndfile_reads_only_in_part_is_refused(
    prepare: Callable[[Path], Path],
    format: str,
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    samples = music(12.0, RATE)
    samples[:, 2 * RATE :] *= 1e-5
    options = {"bitrate_mode": "VARIABLE"} if format == "MP3" else {}
    path = prepare(write(tmp_path / "clip", samples, RATE, format, **options))
    without_pyav(monkeypatch)
    with pytest.raises(MissingPackageError, match=reason):
        open_file(path)


def test_without_pyav_all_else_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_pyav(monkeypatch)
    for format in ("WAV", "MP3", "OGG", "FLAC"):
        path = write(tmp_path / format, music(0.5, RATE), RATE, format)
        reader = open_file(path)
        reader.close()
        assert isinstance(reader.decoder, SoundFileDecoder)


def test_files_of_the_standard_library_decode_exactly(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    samples = (music(0.5, RATE, 2) * 32767).astype("<i2")
    with wave.open(str(path), "wb") as output:
        output.setparams((2, 2, RATE, 0, "NONE", ""))
        output.writeframes(samples.T.tobytes())
    assert_array_equal(decode(path), samples / np.float32(32768))
