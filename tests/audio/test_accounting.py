"""What is announced, what lies in the file, what is decoded: all of it, or an error."""

import io
import os
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.testing import assert_allclose, assert_array_equal

import mirfeat
from mirfeat.audio import decode as decoding
from mirfeat.audio.clip import ClipFacts, checked_blocks, open_clip
from mirfeat.audio.convert import Converter
from mirfeat.audio.decode import open_encoded, open_file
from mirfeat.audio.headers import read_header
from mirfeat.audio.libsndfile import SoundFileDecoder
from mirfeat.audio.ogg import opus_at_48_khz
from mirfeat.errors import AudioError, DecodeError
from tests.audio.test_audit import (
    ID3V2,
    NOISE,
    decoded,
    ffm,
    likeness,
    original,
    snd,
)
from tests.support.sounds import decode, music, write

RATE = 44_100


def loud_then_quiet(seconds: float = 8.0) -> np.ndarray:
    """Music whose first frames need far more bits than the rest."""
    samples = music(seconds, RATE, 2)
    samples[:, RATE:] *= 1e-4
    return samples


def mp3(samples: np.ndarray, mode: str = "VARIABLE") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples.T, RATE, format="MP3", bitrate_mode=mode, compression_level=0.5)
    return file.getvalue()


def length(content: bytes) -> int:
    return decoded(content)[0].shape[1]


# MPEG audio


@pytest.mark.parametrize(
    ("field", "value"),
    [("flags", 0), ("frames", 0), ("frames", 20), ("flags", 4)],
    ids=["no flags", "count 0", "count too small", "other flags"],
)
def test_the_word_xing_is_no_length(field: str, value: int) -> None:
    samples = loud_then_quiet()
    whole = mp3(samples)
    at = max(whole.find(b"Xing"), whole.find(b"Info")) + (4 if field == "flags" else 8)
    false = whole[:at] + struct.pack(">I", value) + whole[at + 4 :]
    found, right = decoded(false)[0], decoded(whole)[0]
    assert abs(found.shape[1] - right.shape[1]) <= 3 * 1152
    assert likeness(found[0], right[0]) > 0.999


def test_a_false_count_moves_no_vector(tmp_path: Path) -> None:
    whole = mp3(loud_then_quiet())
    at = max(whole.find(b"Xing"), whole.find(b"Info")) + 8
    extractor = mirfeat.load_extractor("mfcc")
    right = extractor.extract(whole)
    found = extractor.extract(whole[:at] + bytes(4) + whole[at + 4 :])
    assert np.linalg.norm(found - right) < 0.01 * np.linalg.norm(right)


def test_files_joined_end_to_end_are_decoded_whole() -> None:
    whole = mp3(music(3.0, RATE, 2))
    assert abs(length(whole + whole + whole) - 9 * RATE) < 6 * 1152


def test_layer_two_may_change_its_bit_rate() -> None:
    fast, slow = ffm("mp2", "mp2")(), mp2(32_000, 6)
    total = length(fast) + length(slow)
    assert length(fast + slow) == total


def mp2(bit_rate: int, times: int) -> bytes:
    av = pytest.importorskip("av")
    file = io.BytesIO()
    with av.open(file, "w", format="mp2") as output:
        stream = output.add_stream("mp2", rate=48_000, layout="stereo")
        stream.bit_rate = bit_rate
        for index in range(times * 10):
            frame = av.AudioFrame(format="s16", layout="stereo", samples=1152)
            frame.sample_rate, frame.pts = 48_000, 1152 * index
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


def riff(mpeg: bytes, rate: int = RATE) -> bytes:
    """MPEG audio in a wave file."""
    form = struct.pack("<HHIIHHHHIHHH", 0x55, 2, rate, 16_000, 1, 0, 12, 1, 2, 417, 1, 1393)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form
    body += b"data" + struct.pack("<I", len(mpeg)) + mpeg
    return b"RIFF" + struct.pack("<I", len(body)) + body


def test_mpeg_audio_of_changing_bit_rate_in_a_wave_file() -> None:
    whole = mp3(loud_then_quiet())
    assert abs(length(riff(whole)) - length(whole)) <= 3 * 1152


def picture(size: int = 200_000) -> bytes:
    """Something like a JPEG: full of what looks like frames."""
    return np.random.default_rng(1).bytes(size - 2000) + b"\xff\xfb\x90\x44" * 500


def id3v2(content: bytes) -> bytes:
    size = len(content)
    return b"ID3\x03\0\0" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) + content


def ape(content: bytes) -> bytes:
    size = struct.pack("<I", len(content) + 32)
    ends = [
        b"APETAGEX" + b"\xd0\7\0\0" + size + b"\1\0\0\0" + flags + bytes(8)
        for flags in (b"\0\0\0\xa0", b"\0\0\0\x80")
    ]
    return ends[0] + content + ends[1]


WRAPPINGS: dict[str, Callable[[bytes], bytes]] = {
    "ape behind": lambda mpeg: mpeg + ape(picture()),
    "two id3v2 in front": lambda mpeg: id3v2(bytes(50)) + id3v2(picture()) + mpeg,
    "id3v2 behind": lambda mpeg: mpeg + id3v2(picture()),
    "zeros in front": lambda mpeg: bytes(4000) + mpeg,
    "tag and zeros in front": lambda mpeg: ID3V2 + bytes(4000) + mpeg,
    "text in front": lambda mpeg: b"no frames here " * 200 + mpeg,
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("header", [True, False])
def test_frames_are_not_counted_inside_tags(wrapping: str, header: bool) -> None:
    whole = mp3(music(3.0, RATE, 2), "CONSTANT")
    if not header:
        frame = read_header(whole)
        assert frame is not None
        whole = whole[frame.size :]
    right, found = decoded(whole)[0], decoded(WRAPPINGS[wrapping](whole))[0]
    assert right.shape == found.shape
    assert_allclose(found, right, atol=1e-5)


def test_a_stream_that_begins_in_a_frame_is_read_from_the_next_one() -> None:
    whole = mp3(music(3.0, RATE, 2), "CONSTANT")
    assert abs(length(whole[1501:]) - 3 * RATE) < 6 * 1152


def test_a_little_damage_is_told() -> None:
    whole = bytearray(mp3(music(6.0, RATE, 2), "CONSTANT"))
    middle = len(whole) // 2
    whole[middle : middle + 600] = bytes(600)
    reader = open_encoded(bytes(whole), "clip")
    list(reader.blocks())
    assert any(note.startswith("damaged: about 0.0") for note in reader.notes)


def test_libraries_print_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = mp3(music(2.0, RATE, 2), "CONSTANT")
    comments = [b"COMM" + struct.pack(">I", len(text)) + b"\0\0" + text for text in (b"\0", b"\1e")]
    files = [id3v2(b"".join(comments)) + whole, whole + NOISE, whole + ape(picture()), whole[1501:]]
    for index, content in enumerate(files):
        path = tmp_path / f"{index}.mp3"
        path.write_bytes(content)
        assert decode(path).shape[1] > RATE
        decoded(content)
    assert capfd.readouterr() == ("", "")


# Headers that announce less than there is


def announced(content: bytes, at: int, count: int, order: str = "<") -> bytes:
    return content[:at] + struct.pack(order + "I", count) + content[at + 4 :]


def test_a_wave_file_whose_length_was_never_filled_in_is_read_to_its_end() -> None:
    whole = snd("WAV", "PCM_16")()
    assert_array_equal(decoded(announced(whole, 40, 0))[0], decoded(whole)[0])


def test_a_wave_file_of_no_audio_and_other_chunks_is_empty() -> None:
    file = io.BytesIO()
    soundfile.write(file, np.zeros((0, 2)), RATE, format="WAV", subtype="PCM_16")
    with pytest.raises(AudioError, match="a header, but no samples"):
        open_encoded(file.getvalue() + b"LIST\4\0\0\0INFO", "clip")


def test_a_wave_file_beyond_4_gib_is_read_on(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    rate, frame = 48_000, 4
    seconds = 10.0 + (1 << 32) / (rate * frame)
    path.write_bytes(snd("WAV", "PCM_16")())
    content = path.read_bytes()
    path.write_bytes(announced(content, 40, 10 * rate * frame))
    with path.open("r+b") as file:  # zeros that take no room on the disk
        file.truncate(44 + 10 * rate * frame + (1 << 32))
    reader = open_file(path)
    assert reader.account.found == pytest.approx(seconds)
    blocks = reader.blocks()
    assert_array_equal(next(blocks)[:, : original(rate).shape[1]], decoded(content)[0])
    reader.close()


@pytest.mark.parametrize("format", ["WAV", "AIFF", "AU", "CAF", "W64"])
def test_more_than_is_announced_is_an_error_with_both_lengths(format: str) -> None:
    whole = snd(format, "PCM_16")()
    with pytest.raises(DecodeError, match=r"announces \d+ bytes .*more lie behind.*begin another"):
        decoded(whole + whole)


def test_a_stale_header_is_an_error_with_both_lengths() -> None:
    whole = announced(snd("WAV", "PCM_16")(), 40, 96_000)
    with pytest.raises(DecodeError, match=r"announces 96000 bytes .* \(0\.5 of 1\.2 s\)"):
        decoded(whole)


def test_flac_with_too_small_a_total_is_decoded_whole() -> None:
    whole = snd("FLAC", "PCM_16")()
    assert_array_equal(decoded(announced(whole, 22, 20_000, ">"))[0], decoded(whole)[0])


def test_flac_files_joined_are_an_error_with_both_lengths() -> None:
    whole = snd("FLAC", "PCM_16")()
    with pytest.raises(DecodeError, match=r"2 FLAC files .* 1\.2 s, all of them about 2\.4 s"):
        decoded(whole + whole)


# Ogg


def pages(content: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(content):
        segments = content[at + 26]
        size = 27 + segments + sum(content[at + 27 : at + 27 + segments])
        found.append(content[at : at + size])
        at += size
    return found


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_lost_pages_are_an_error(subtype: str) -> None:
    rate = 48_000
    file = io.BytesIO()
    soundfile.write(file, music(6.0, rate, 2).T, rate, format="OGG", subtype=subtype)
    parts = pages(file.getvalue())
    middle = len(parts) // 2
    lost = b"".join(parts[:middle] + parts[middle + 1 :])
    with pytest.raises(DecodeError, match="1 pages are missing"):
        decoded(lost)
    twice = b"".join(parts[: middle + 1] + parts[middle:])
    with pytest.raises(DecodeError, match="pages come twice"):
        decoded(twice)
    assert decoded(b"".join(parts))[0].shape[1] == 6 * rate


@pytest.mark.parametrize("mentioned", [0, 8000, 16_000, 44_100, 96_000])
def test_opus_is_48_khz_whatever_its_header_mentions(mentioned: int) -> None:
    whole = snd("OGG", "OPUS")()
    first, *others = pages(whole)
    at = first.find(b"OpusHead") + 12
    other = first[:at] + struct.pack("<I", mentioned) + first[at + 4 :]
    # The checksum of the page is made right again by the same means, then undone in the field.
    valid = page_with(other)
    found, rate = decoded(valid + b"".join(others))
    assert rate == 48_000
    assert_array_equal(found, decoded(whole)[0])
    assert opus_at_48_khz(valid) == opus_at_48_khz(first)


def page_with(page: bytes) -> bytes:
    """The page with the checksum that Ogg wants, bit by bit."""
    value = 0
    for byte in page[:22] + bytes(4) + page[26:]:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ 0x04C11DB7) & 0xFFFFFFFF if value >> 31 else value << 1
    return page[:22] + struct.pack("<I", value) + page[26:]


# Channels


def surround(rate: int) -> np.ndarray:
    """Six tones, in the order of wave files: FL FR FC LFE BL BR."""
    time = np.arange(rate) / rate
    tones = [0.3 * np.sin(2 * np.pi * hertz * time) for hertz in (300, 500, 700, 60, 1100, 1300)]
    return np.float32(tones)


def test_front_left_and_right_are_found_in_every_container(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    rate = 48_000
    clip = surround(rate)
    vorbis_order = clip[[0, 2, 1, 4, 5, 3]]
    files = [
        write(tmp_path / "a.wav", clip, rate, "WAVEX", "PCM_16"),
        write(tmp_path / "a.flac", clip, rate, "FLAC", "PCM_16"),
        write(tmp_path / "a.ogg", vorbis_order, rate, "OGG", "VORBIS"),
        write(tmp_path / "a.opus", vorbis_order, rate, "OGG", "OPUS"),
    ]
    with av.open(str(tmp_path / "a.m4a"), "w", format="ipod") as output:
        stream = output.add_stream("aac", rate=rate, layout="5.1")
        stream.bit_rate = 512_000
        frame = av.AudioFrame.from_ndarray(clip, format="fltp", layout="5.1")
        frame.sample_rate = rate
        output.mux([*stream.encode(frame), *stream.encode(None)])
    for path in [*files, tmp_path / "a.m4a"]:
        with open_clip(path, None) as reader:
            stereo = Converter(reader, rate, 2)
            both = np.concatenate([stereo.convert(block) for block in reader.blocks()], axis=1)
        assert likeness(both[0], clip[0]) > 0.97, path
        assert likeness(both[1], clip[1]) > 0.97, path


@pytest.mark.parametrize("channels", [9, 16, 24])
def test_more_than_eight_channels_through_ffmpeg(channels: int, tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    rate, samples = 48_000, np.int16(1000 * np.arange(1, channels + 1))
    path = tmp_path / "many.mka"
    with av.open(str(path), "w", format="matroska") as output:
        stream = output.add_stream("pcm_s16le", rate=rate, layout=f"{channels}C")
        frame = av.AudioFrame(format="s16", layout=f"{channels}C", samples=4800)
        frame.sample_rate, frame.pts = rate, 0
        frame.planes[0].update(np.tile(samples, 4800).tobytes())
        output.mux([*stream.encode(frame), *stream.encode(None)])
    found = decode(path)
    assert found.shape == (channels, 4800)
    assert_allclose(found, np.repeat(samples[:, None] / 32768, 4800, axis=1), atol=1e-4)


def notes_of(*channels: np.ndarray) -> tuple[str, ...]:
    samples = np.stack(channels)
    extractor = mirfeat.load_extractor("mfcc")
    (result,) = extractor.extract_many([("a", mirfeat.Audio(samples, RATE))])
    return result.notes


def test_channels_that_cancel_are_told() -> None:
    clip = music(1.0, RATE)[0]
    assert notes_of(clip, -clip) == ("channels cancel in the mono mix",)
    assert notes_of(clip, -0.95 * clip) == ("channels cancel in the mono mix",)
    assert notes_of(clip, clip) == ()
    assert notes_of(clip, np.zeros_like(clip)) == ()
    assert notes_of(*[clip] + 7 * [np.zeros_like(clip)]) == ()
    assert notes_of(np.zeros_like(clip), np.zeros_like(clip)) == ("silent",)


@pytest.mark.parametrize(("shift", "note"), [(0, "16-bit"), (8, "24-bit"), (16, None)])
def test_int32_of_fewer_bits_is_told(shift: int, note: str | None) -> None:
    clip = np.int32(music(1.0, RATE)[0] * 32767) << shift
    notes = notes_of(clip)
    assert (note is None) == (notes == ())
    assert note is None or f"looks like {note} samples" in notes[0]


# Only regular files, objects in memory, limits


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "link.wav").symlink_to(tmp_path / "pipe.wav")
    for name in ("pipe.wav", "link.wav"):
        with pytest.raises(DecodeError, match=r"is a named pipe\. Only regular files are read"):
            open_file(tmp_path / name)
    with pytest.raises(DecodeError, match="is a device"):
        open_file(Path("/dev/zero"))


@pytest.mark.parametrize("kind", ["wav", "mp3", "flac", "opus", "m4a", "mp2"])
def test_files_in_memory_give_the_vector_of_files(kind: str, tmp_path: Path) -> None:
    made = {
        "wav": snd("WAV", "PCM_16"),
        "mp3": lambda: mp3(music(1.2, RATE, 2)),
        "flac": snd("FLAC", "PCM_16"),
        "opus": snd("OGG", "OPUS"),
        "m4a": ffm("aac", "ipod"),
        "mp2": ffm("mp2", "mp2"),
    }
    content = made[kind]()
    path = tmp_path / "clip"
    path.write_bytes(content)
    extractor = mirfeat.load_extractor("mfcc")
    right = extractor.extract_file(path)
    stream = io.BytesIO(content)
    stream.seek(100)
    with path.open("rb") as file:
        for value in (content, bytearray(content), stream, file):
            assert_array_equal(extractor.extract(value), right)
            assert not getattr(value, "closed", False)
    (result,) = extractor.extract_many([("here", stream)])
    assert result.id == "here"
    assert_array_equal(result.vector, right)


def test_objects_that_hold_no_file_are_refused(tmp_path: Path) -> None:
    extractor = mirfeat.load_extractor("mfcc")
    with pytest.raises(AudioError, match=r"<StringIO>: is open as text"):
        extractor.extract(io.StringIO("text"))
    reading, writing = os.pipe()
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe, pytest.raises(AudioError, match=r"stream.read\(\)"):
        extractor.extract(pipe)
    closed = io.BytesIO(b"RIFF")
    closed.close()
    with pytest.raises(AudioError, match="closed file"):
        extractor.extract(closed)
    with pytest.raises(DecodeError, match="<bytes>: not a readable audio file"):
        extractor.extract(b"no music")


def test_a_playlist_opens_no_other_file(tmp_path: Path) -> None:
    other = write(tmp_path / "secret.wav", music(0.5, RATE), RATE, "WAV")
    lists = {
        "a.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{other}\n#EXT-X-ENDLIST\n",
        "a.txt": f"ffconcat version 1.0\nfile '{other}'\n",
    }
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(DecodeError, match="not a readable audio file"):
            open_file(tmp_path / name)


def test_a_very_long_clip_ends_with_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "LONGEST_SECONDS", 0.5)
    content, facts = snd("FLAC", "PCM_16")(), ClipFacts()
    reader = open_encoded(content, "clip")
    assert sum(block.shape[1] for block in checked_blocks(reader, facts)) == 24_000
    assert reader.notes == ["longer than 0.000138889 h: used the first 0.000138889 h"]
    with open_clip(content, 1.0) as longer:
        assert sum(block.shape[1] for block in longer.blocks()) == 48_000
        assert longer.notes == []


def test_an_error_inside_a_decoder_belongs_to_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("inside the library")

    monkeypatch.setattr(SoundFileDecoder, "_read", broken)
    with pytest.raises(DecodeError, match=r"clip: cannot be decoded \(ZeroDivisionError: inside"):
        decoded(snd("WAV", "PCM_16")())


@pytest.mark.skipif(os.name != "posix", reason="needs a limit of open files")
def test_a_lack_of_descriptors_is_seen_behind_the_error(tmp_path: Path) -> None:
    import errno
    import resource

    path = tmp_path / "clip.m4a"
    path.write_bytes(ffm("aac", "ipod")())
    decode(path)  # so that all modules are loaded
    kept, limits = [], resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(path, os.O_RDONLY)
    os.close(free)
    # Room for the file itself, none for FFmpeg's copy of its descriptor.
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, limits[1]))
    try:
        with pytest.raises(DecodeError) as raised:
            decode(path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    cause: BaseException | None = raised.value
    while cause is not None:
        kept.append(getattr(cause, "errno", None))
        cause = cause.__cause__
    assert errno.EMFILE in kept


def test_a_codec_that_nobody_knows_is_a_decode_error() -> None:
    unknown = ffm("libopus", "webm")().replace(b"A_OPUS", b"A_ZZZZ")
    with pytest.raises(DecodeError, match="clip: not readable as Matroska"):
        decoded(unknown)


def test_a_file_that_shrinks_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp2"
    path.write_bytes(40 * ffm("mp2", "mp2")())
    reader = open_file(path)
    blocks = reader.blocks()
    next(blocks)
    os.truncate(path, 5000)
    with pytest.raises(DecodeError):
        list(blocks)
    reader.close()


def test_files_are_decoded_in_threads_at_the_same_time(tmp_path: Path) -> None:
    path = tmp_path / "clip.m4a"
    path.write_bytes(ffm("aac", "ipod")())
    right, found = decode(path), []
    threads = [threading.Thread(target=lambda: found.append(decode(path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for other in found:
        assert_array_equal(other, right)
