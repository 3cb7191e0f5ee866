"""Where a page gets its sound from."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mirfeat.errors import OptionError
from mirfeat.explore import players
from mirfeat.explore.players import preview, sources
from tests.support.sounds import write_wav

RATE = 8000


def test_links_are_relative_to_the_page_and_escaped(tmp_path: Path) -> None:
    song = tmp_path / "music" / "a b#c?.wav"
    song.parent.mkdir()
    write_wav(song, np.zeros((1, 80), np.float32), RATE)
    gone, web, bucket = tmp_path / "gone.wav", "https://host/a.mp3", "s3://bucket/a.mp3"
    page = tmp_path / "pages" / "map.html"
    found = sources([song, gone, web, bucket], page, "link")
    assert found == ["../music/a%20b%23c%3F.wav", None, web, None]
    assert sources([song], page, "none") == [None]


@pytest.mark.parametrize(("seconds", "start"), [(4.0, 0.0), (25.0, 15.0), (90.0, 30.0)])
def test_a_preview_is_the_ten_seconds_from_thirty_on_or_the_last_ones(
    tmp_path: Path, seconds: float, start: float
) -> None:
    # Louder every second: the level says which second one hears.
    time = np.arange(round(seconds * RATE)) / RATE
    tone = np.sin(2 * np.pi * 440 * time) * (np.floor(time) + 1) / 100
    path = tmp_path / "song.wav"
    write_wav(path, np.stack([tone, tone]).astype(np.float32), RATE)
    sound, rate = soundfile.read(io.BytesIO(preview(path)), dtype="float32")
    assert sound.ndim == 1
    assert len(sound) / rate == pytest.approx(min(seconds, 10.0), abs=0.1)
    first = np.abs(sound[round(0.3 * rate) : round(0.7 * rate)]).max()
    assert first == pytest.approx((start + 1) / 100, rel=0.2)


def test_a_file_that_has_gone_bad_has_no_preview(tmp_path: Path) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_text("this is no audio")
    assert sources([bad, tmp_path / "gone.wav"], tmp_path / "map.html", "embed") == [None, None]


def test_a_page_that_would_be_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(players, "MOST_PREVIEWS", 2)
    with pytest.raises(OptionError, match=r"3 previews .* at most 2"):
        sources(["a", "b", "c"], tmp_path / "map.html", "embed")
    with pytest.raises(OptionError, match="'link', 'embed' or 'none'"):
        sources(["a"], tmp_path / "map.html", "loud")  # type: ignore[arg-type]
