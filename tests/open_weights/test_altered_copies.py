"""Altered copies: what each change does, which tracks are copied, and that a run goes on."""

from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import soundfile as sf

from mirfeat.errors import ConfigError
from mirfeat.training.manifest import read_manifest
from open_weights import altered_copies as copies
from open_weights.altered_copies import RATE, Recipe
from tests.support.training_data import rows, write_corpus

PLAIN = Recipe((0,), (0.0,), 0.0, None, None, None, None, False, 0.5, 0)


def tone(hertz: float, seconds: float = 0.5) -> np.ndarray:
    """The same sine on both channels, [N, 2]."""
    wave = 0.2 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)
    return np.stack([wave, wave], axis=1).astype(np.float32)


def level(audio: np.ndarray, hertz: float) -> float:
    """Amplitude of a sine in the later half of the first channel."""
    later = audio[len(audio) // 2 :, 0]
    times = (np.arange(len(later)) + len(audio) // 2) / RATE
    return float(2 * np.abs((later * np.exp(-2j * np.pi * hertz * times)).mean()))


def test_without_a_change_a_copy_is_the_excerpt_at_its_peak() -> None:
    audio = tone(440.0)
    np.testing.assert_allclose(copies.altered([audio], PLAIN), audio * 2.5, atol=1e-3)


def test_a_mixture_has_both_tracks_at_the_level_asked_for() -> None:
    first, second = tone(440.0), 3.0 * tone(1000.0, 0.3)
    audio = copies.altered([first, second], replace(PLAIN, level=-6.0))
    assert len(audio) == len(second)
    assert level(audio, 1000.0) / level(audio, 440.0) == pytest.approx(10 ** (-6 / 20), rel=0.02)


def test_speed_changes_duration_and_pitch() -> None:
    audio = copies.altered([tone(440.0)], replace(PLAIN, speed=1.1))
    assert len(audio) == pytest.approx(0.5 * RATE / 1.1, abs=2)
    assert level(audio, 484.0) > 0.45
    assert level(audio, 440.0) < 0.1


def test_a_band_is_kept_and_a_bell_raises_its_centre() -> None:
    both = tone(100.0) + tone(2000.0)
    audio = copies.altered([both], replace(PLAIN, bands=(400.0, 10_000.0)))
    assert level(audio, 100.0) < 0.1 * level(audio, 2000.0)
    audio = copies.altered([both], replace(PLAIN, bell=(2000.0, 6.0)))
    assert level(audio, 2000.0) / level(audio, 100.0) == pytest.approx(10 ** (6 / 20), rel=0.03)


def test_drive_makes_overtones_and_mono_is_one_channel() -> None:
    audio = copies.altered([tone(440.0)], replace(PLAIN, drive=20.0))
    assert level(audio, 1320.0) > 0.05
    wide = tone(440.0) * np.array([1.0, 0.2], np.float32)
    audio = copies.altered([wide], replace(PLAIN, mono=True))
    np.testing.assert_array_equal(audio[:, 0], audio[:, 1])


@pytest.mark.parametrize("codec", range(len(copies.CODECS)))
def test_every_codec_can_be_read_again(codec: int, tmp_path: Path) -> None:
    path = copies.write_copy(tmp_path, 7, tone(440.0, 2.0), codec)
    audio, rate = sf.read(path, always_2d=True)
    assert rate == copies.CODECS[codec][2]
    assert len(audio) / rate == pytest.approx(2.0, abs=0.1)
    assert np.abs(audio).max() == pytest.approx(0.2, abs=0.05)


def test_only_what_is_learnt_from_is_copied_and_a_stopped_run_goes_on(tmp_path: Path) -> None:
    table = [
        {
            **row,
            "artist": "",
            "split": ("train", "valid", "test", "train")[number % 4],
            "licence": f"L{number}",
        }
        for number, row in enumerate(rows())
    ]
    manifest = read_manifest(write_corpus(tmp_path / "music", table))
    held_out = {f"L{n}" for n in range(len(table)) if n % 4 in (1, 2)}
    folder = tmp_path / "copies"
    folder.mkdir()
    hours = 8 * copies.SECONDS / 3600
    first = copies.make(manifest, folder, hours, seed=0)
    assert len(first) == 8
    assert {row["split"] for row in first} == {"train"}
    used = {name for row in first for name in row["licence"].split(" AND ")}
    assert used
    assert not used & held_out
    kept = (folder / first[0]["path"]).read_bytes()
    times = {row["path"]: (folder / row["path"]).stat().st_mtime_ns for row in first[:-1]}
    (folder / first[-1]["path"]).unlink()
    assert copies.make(manifest, folder, hours, seed=0) == first
    assert (folder / first[0]["path"]).read_bytes() == kept
    for path, time in times.items():
        assert (folder / path).stat().st_mtime_ns == time


def test_a_mixture_needs_two_tracks(tmp_path: Path) -> None:
    table = [{**row, "split": "valid"} for row in rows()]
    manifest = read_manifest(write_corpus(tmp_path, table))
    with pytest.raises(ConfigError, match="two tracks of split train"):
        copies.make(manifest, tmp_path, 1.0, seed=0)


def test_every_second_of_music_is_as_likely() -> None:
    draw = Random(0)
    drawn = [copies.draw_recipe(draw, {3: 10.0, 5: 90.0, 8: 100.0}).tracks for _ in range(600)]
    assert {len(tracks) for tracks in drawn} == {1, 2}
    assert all(len(set(tracks)) == len(tracks) for tracks in drawn)
    first = [tracks[0] for tracks in drawn]
    assert 0.02 < first.count(3) / 600 < 0.09
    assert 0.38 < first.count(5) / 600 < 0.52


def test_licences_of_a_mixture_all_hold() -> None:
    assert copies.licence_of(["CC-BY-3.0", "GPL-2"]) == "CC-BY-3.0 AND GPL-2"
    assert copies.licence_of(["GPL-2", "GPL-2"]) == "GPL-2"
    assert copies.licence_of(["", "GPL-2"]) == "GPL-2"
