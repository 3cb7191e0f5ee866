"""Pieces of files: the samples of the whole, wherever they begin."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

import mirfeat
from mirfeat.audio.libsndfile import SoundFileDecoder
from mirfeat.errors import DecodeError, EmptyAudioError, OptionError
from tests.test_contract import sound

KINDS = {
    "mp3": {"format": "MP3", "bitrate_mode": "VARIABLE"},
    "constant.mp3": {"format": "MP3", "bitrate_mode": "CONSTANT", "compression_level": 0.9},
    "flac": {"format": "FLAC"},
    "ogg": {"format": "OGG", "subtype": "VORBIS"},
    "opus": {"format": "OGG", "subtype": "OPUS"},
    "wav": {"format": "WAV", "subtype": "FLOAT"},
}


def written(folder: Path, kind: str, seconds: float = 20.0) -> Path:
    """A file of a swept tone with bursts, stereo."""
    rate = 48_000
    both = sound(seconds, rate, 2)
    both *= np.linspace(0.2, 1.5, both.shape[1], dtype=np.float32)
    path = folder / f"a.{kind}"
    soundfile.write(path, both.T, rate, **KINDS[kind])
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_a_piece_has_the_samples_of_the_whole(kind: str, tmp_path: Path) -> None:
    path = written(tmp_path, kind)
    whole = mirfeat.load_audio(path).samples
    for offset, duration in ((0.0, 1.0), (0.3, 0.5), (7.123456, 5.0), (12.0, None), (19.5, 9.0)):
        piece = mirfeat.load_audio(path, offset=offset, duration=duration)
        first = round(offset * 48_000)
        last = None if duration is None else first + round(duration * 48_000)
        np.testing.assert_array_equal(piece.samples, whole[:, first:last])
        assert piece.sample_rate == 48_000
    with pytest.raises(EmptyAudioError, match="offset=21 s"):
        mirfeat.load_audio(path, offset=21.0, duration=1.0)


def test_an_mp3_is_not_searched_for_a_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But where the first frame of the piece lets libmpg123 guess a length that is too short."""
    path = written(tmp_path, "mp3")
    whole, jumps = mirfeat.load_audio(path).samples, []
    jump = SoundFileDecoder.jump
    monkeypatch.setattr(SoundFileDecoder, "jump", lambda *a: jumps.append(a) or jump(*a))
    for offset in np.arange(1.5, 17.0, 1.37):
        piece = mirfeat.load_audio(path, offset=offset, duration=2.0).samples
        first = round(offset * 48_000)
        np.testing.assert_array_equal(piece, whole[:, first : first + 96_000])
    assert len(jumps) < 4


def test_what_lies_before_a_piece_is_not_decoded(tmp_path: Path) -> None:
    path = written(tmp_path, "flac")
    data = bytearray(path.read_bytes())
    data[len(data) // 4 : len(data) // 4 + 4000] = bytes(4000)
    path.write_bytes(data)
    with pytest.raises(DecodeError):
        mirfeat.load_audio(path)
    assert mirfeat.load_audio(path, offset=15.0, duration=2.0).seconds == 2.0


def test_bytes_and_containers_give_the_same_piece(tmp_path: Path) -> None:
    path = written(tmp_path, "mp3", 4.0)
    piece = mirfeat.load_audio(path, offset=2.0, duration=1.0)
    again = mirfeat.load_audio(path.read_bytes(), offset=2.0, duration=1.0)
    np.testing.assert_array_equal(again.samples, piece.samples)
    extractor = mirfeat.load_extractor("mfcc")
    expected = extractor.extract(piece.samples, 48_000)
    np.testing.assert_array_equal(extractor.extract(piece), expected)


@pytest.mark.parametrize("wrong", [{"offset": -1.0}, {"offset": np.nan}, {"duration": 0.0}])
def test_times_that_mean_nothing_are_refused(wrong: dict[str, float], tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="seconds"):
        mirfeat.load_audio(tmp_path / "a.wav", **wrong)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "." not in kind])
def test_blocks_join_without_a_seam(kind: str, tmp_path: Path) -> None:
    # soundfile's own read seeks after each block, and 30 ms of an mp3 were others then.
    path = written(tmp_path, kind, 25.0)
    at_once = soundfile.read(path, dtype="float32", always_2d=True)[0].T
    np.testing.assert_array_equal(mirfeat.load_audio(path).samples, at_once)
