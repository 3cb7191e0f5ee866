"""MP3 streams whose length no header announces."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mirfeat.audio.decode import open_file
from mirfeat.audio.ffmpeg import PacketDecoder
from mirfeat.audio.frames import scan_frames
from mirfeat.audio.libsndfile import SoundFileDecoder
from mirfeat.audio.mpeg import read_length_frame
from mirfeat.audio.opened import open_path
from mirfeat.audio.tags import end_of_audio, id3v2_length, start_of_audio
from mirfeat.errors import DecodeError, MissingPackageError
from tests.support.sounds import decode, drop_length_frame, music, overwrite_middle, write

RATE = 44_100
SECONDS = 12.0
# MPEG-1, MPEG-2 and MPEG-2.5; a frame has 1152 samples in the first and 576 in the others.
RATES = [48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 11_025, 8000]


def write_mp3(path: Path, samples: np.ndarray, rate: int = RATE, mode: str = "VARIABLE") -> Path:
    # libsndfile takes the mode only together with a level.
    return write(path, samples, rate, "MP3", bitrate_mode=mode, compression_level=0.5)


def loud_then_quiet(channels: int = 1) -> np.ndarray:
    """A clip whose first frames need far more bits than the rest."""
    samples = music(SECONDS, RATE, channels)
    samples[:, 2 * RATE :] *= 1e-5
    return samples


def unannounced_samples(path: Path) -> int | None:
    """Samples per channel in all frames; None if a header announces them, or there are none."""
    file = open_path(path, str(path))
    try:
        start = start_of_audio(file)
        stream = scan_frames(file, start, end_of_audio(file, start))
        if stream is None or read_length_frame(file, stream) is not None:
            return None
        return stream.samples
    finally:
        file.close()


def id3v2(content: bytes) -> bytes:
    """A tag with this content in front; its size has seven bits a byte."""
    size = len(content)
    return b"ID3\x04\x00\x00" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) + content


@pytest.mark.parametrize("mode", ["CONSTANT", "AVERAGE", "VARIABLE"])
@pytest.mark.parametrize("rate", RATES)
def test_frames_add_up_to_the_length(rate: int, mode: str, tmp_path: Path) -> None:
    samples = music(3.0, rate, 2)
    path = write_mp3(tmp_path / "clip.mp3", samples, rate, mode)
    assert unannounced_samples(path) is None
    counted = unannounced_samples(drop_length_frame(path))
    frame = 1152 if rate >= 32_000 else 576
    assert counted is not None
    assert counted % frame == 0
    # Encoders add their delay of about a frame in front and fill up the last frame.
    assert samples.shape[1] < counted <= samples.shape[1] + 3 * frame


def test_a_tag_in_front_is_passed_over(tmp_path: Path) -> None:
    path = drop_length_frame(write_mp3(tmp_path / "clip.mp3", music(2.0, RATE)))
    bare = path.read_bytes()
    counted = unannounced_samples(path)
    # A cover picture may hold what looks like frames.
    picture = bare[:5000] + bytes(3000)
    path.write_bytes(id3v2(picture) + bare)
    assert id3v2_length(path.read_bytes()[:10]) == 10 + len(picture)
    assert unannounced_samples(path) == counted


def test_the_length_frame_is_found_behind_a_tag(tmp_path: Path) -> None:
    path = write_mp3(tmp_path / "clip.mp3", music(2.0, RATE))
    path.write_bytes(id3v2(bytes(300)) + path.read_bytes())
    assert unannounced_samples(path) is None


def test_a_tag_behind_the_audio_is_not_counted(tmp_path: Path) -> None:
    path = drop_length_frame(write_mp3(tmp_path / "clip.mp3", music(2.0, RATE)))
    counted = unannounced_samples(path)
    path.write_bytes(path.read_bytes() + b"TAG" + b"\xfftitle".ljust(125))
    assert unannounced_samples(path) == counted


def test_damage_costs_only_the_frames_it_hits(tmp_path: Path) -> None:
    path = drop_length_frame(write_mp3(tmp_path / "clip.mp3", music(5.0, RATE)))
    counted = unannounced_samples(path)
    assert counted is not None
    damaged = unannounced_samples(overwrite_middle(path, 1000))
    assert damaged == pytest.approx(counted, abs=10 * 1152)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"\xff\xfb\x90",
        b"ID3",
        b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f",
        bytes(5000),
        b"\xff" * 5000,
        b"Dear diary, no music today.\n" * 100,
    ],
)
def test_what_is_no_mp3_has_no_length(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp3"
    path.write_bytes(content)
    assert unannounced_samples(path) is None


def test_random_bytes_do_not_stop_the_count(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp3"
    path.write_bytes(np.random.default_rng(0).bytes(200_000))
    counted = unannounced_samples(path)
    assert counted is None or counted % 576 == 0


@pytest.mark.parametrize("channels", [1, 2])
def test_pyav_reads_what_libsndfile_would_silently_cut(channels: int, tmp_path: Path) -> None:
    pytest.importorskip("av")
    samples = loud_then_quiet(channels)
    path = drop_length_frame(write_mp3(tmp_path / "clip.mp3", samples))
    # The fault this is about: a third of the music without a word.
    assert soundfile.info(path).frames < samples.shape[1] / 2
    reader = open_file(path)
    assert isinstance(reader.decoder, PacketDecoder)
    reader.close()
    decoded = decode(path)
    assert decoded.shape == (channels, unannounced_samples(path))
    # The same music, later by the encoder's and the decoder's delay of 1105 samples.
    part, later = samples[0, RATE : 2 * RATE], decoded[0, RATE + 1105 : 2 * RATE + 1105]
    assert np.corrcoef(part, later)[0, 1] > 0.99


def test_without_pyav_it_is_refused_with_both_lengths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    path = drop_length_frame(write_mp3(tmp_path / "clip.mp3", loud_then_quiet()))
    guessed = f"{soundfile.info(path).frames / RATE:.1f}"
    with pytest.raises(
        MissingPackageError,
        match=rf"is MP3, of which libsndfile would read {guessed} of 12\.\d s",
    ):
        open_file(path)


def test_a_beginning_that_libsndfile_reads_needs_no_pyav(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    path = drop_length_frame(write_mp3(tmp_path / "clip.mp3", loud_then_quiet()))
    seconds = 0.9 * soundfile.info(path).duration
    assert decode(path, seconds).shape[1] == int(np.ceil(seconds * RATE))


@pytest.mark.parametrize("max_seconds", [None, SECONDS + 5.0])
def test_a_quiet_beginning_is_not_taken_for_truncation(
    max_seconds: float | None, tmp_path: Path
) -> None:
    samples = music(SECONDS, RATE)
    samples[:, : 2 * RATE] = 0.0
    path = drop_length_frame(write_mp3(tmp_path / "clip.mp3", samples))
    # libsndfile guesses from the first frame, which here is a small one.
    assert soundfile.info(path).duration > SECONDS + 5.0
    assert decode(path, max_seconds).shape[1] == pytest.approx(samples.shape[1], abs=3 * 1152)


def test_a_constant_bit_rate_needs_no_length_header(tmp_path: Path) -> None:
    path = drop_length_frame(
        write_mp3(tmp_path / "clip.mp3", music(SECONDS, RATE), mode="CONSTANT")
    )
    reader = open_file(path)
    reader.close()
    assert isinstance(reader.decoder, SoundFileDecoder)
    assert decode(path).shape[1] == pytest.approx(SECONDS * RATE, abs=3 * 1152)


def test_tags_in_another_encoding_do_not_matter_to_pyav(tmp_path: Path) -> None:
    pytest.importorskip("av")
    path = drop_length_frame(write_mp3(tmp_path / "clip.mp3", loud_then_quiet()))
    whole = decode(path)
    path.write_bytes(path.read_bytes() + b"TAG" + "Motörhead".encode("latin-1").ljust(125))
    assert decode(path).shape == whole.shape


def test_an_mp3_that_announces_more_than_it_has_fails(tmp_path: Path) -> None:
    path = write_mp3(tmp_path / "clip.mp3", music(SECONDS, RATE))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    message = rf"{re.escape(str(path))}: decoding stopped at [56]\.\d s of about 12.0 s"
    with pytest.raises(DecodeError, match=message):
        decode(path)


def test_layer_two_is_left_to_libsndfile(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    path = tmp_path / "clip.mp2"
    with av.open(str(path), "w", format="mp2") as output:
        stream = output.add_stream("mp2", rate=RATE, layout="mono")
        samples = (music(2.0, RATE) * 32767).astype(np.int16)
        for start in range(0, samples.shape[1] - 1151, 1152):
            part = np.ascontiguousarray(samples[:, start : start + 1152])
            frame = av.AudioFrame.from_ndarray(part, format="s16", layout="mono")
            frame.sample_rate = RATE
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    assert decode(path).shape[1] == pytest.approx(2 * RATE, abs=2 * 1152)
