"""The cache of mel spectrograms: what is in it, and what survives kills and bad files."""

import os
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mirfeat.audio.decode import open_file
from mirfeat.networks.frontend import Frontend, MelSpec, Standardise
from mirfeat.networks.registry import get_spec
from mirfeat.networks.scaling import DecibelScale, LogScale
from mirfeat.store import interrupts
from mirfeat.store.jobarray import Shard
from mirfeat.training import mel_cache
from mirfeat.training.mel_cache import MelCache, build, folder_of
from mirfeat.training.mel_frames import Track
from tests.support.sounds import decode, music, write_wav

RATE = 8000
CENTRED = MelSpec(
    sample_rate=RATE, channels=2, n_fft=256, hop_samples=64, n_mels=20, fmax_hz=4000.0,
    scaling=DecibelScale("unity"), pad_mode="reflect", standardise=True,
)  # fmt: skip
MELS = {
    "reflect": CENTRED,
    "constant": replace(CENTRED, pad_mode="constant", scaling=DecibelScale("checkpoint")),
    "not centred": replace(CENTRED, centred=False, channels=1),
    "logarithm": replace(CENTRED, centred=False, power=1, scaling=LogScale(1e-5)),
}


def whole(samples: np.ndarray, mel: MelSpec) -> np.ndarray:
    """Levels [T, C, F] of a waveform [C, N] in one piece, at the file's own rate."""
    return Frontend(mel).levels(torch.from_numpy(samples)[None])[0].permute(2, 0, 1).numpy()


def tracks_of(folder: Path, number: int = 5) -> list[Track]:
    folder.mkdir(parents=True, exist_ok=True)
    tracks = []
    for index in range(number):
        path = write_wav(folder / f"{index}.wav", music(0.3 + 0.1 * index, RATE, 2, index), RATE)
        tracks.append(Track(str(index), path, None))
    return tracks


def filled(folder: Path, tracks: list[Track], mel: MelSpec = CENTRED) -> MelCache:
    assert build(tracks, folder, mel, progress=False) == []
    return MelCache(folder, mel)


@pytest.mark.parametrize("samples", [129, 255, 256, 257, 300, 1024, 8001, 12345])
@pytest.mark.parametrize("name", MELS)
def test_levels_are_those_of_the_whole_waveform(name: str, samples: int, tmp_path: Path) -> None:
    mel = MELS[name]
    if not mel.centred and samples < mel.n_fft:
        pytest.skip("shorter than one frame")
    path = write_wav(tmp_path / "a.wav", music(2.0, RATE, 2)[:, :samples], RATE)
    clip = decode(path)
    audio = clip.mean(0, keepdims=True, dtype=np.float32) if mel.channels == 1 else clip
    cache = filled(tmp_path / "cache", [Track("a", path, None)], mel)
    levels, expected = cache.levels("a"), whole(audio, mel)
    assert levels.dtype == np.float16
    assert levels.shape == expected.shape == (mel.frames(samples), mel.channels, mel.n_mels)
    assert len(cache.levels("a")) == mel.frames(samples)
    # float16 has 11 bits: levels below 128 are within 1/32.
    np.testing.assert_allclose(levels.astype(np.float32), expected, atol=0.032)
    assert np.mean(levels != expected.astype(np.float16)) < 0.02  # on the edge of two float16


@pytest.mark.parametrize("name", ["choi2017", "kim2018-stn", "kim2019-mss-cr", "hamel2013-tag"])
def test_crops_of_the_extractors_are_their_segments(name: str, tmp_path: Path) -> None:
    """What a network sees in training is what its extractor makes of the same stretch."""
    spec = get_spec(name)
    mel, first = spec.mel, 5
    seconds = spec.segment.samples / mel.sample_rate + 0.5
    path = write_wav(
        tmp_path / "a.wav", music(seconds, mel.sample_rate, mel.channels), mel.sample_rate
    )
    cache = filled(tmp_path / "cache", [Track("a", path, None)], mel)
    frames = mel.frames(spec.segment.samples)
    crop = torch.from_numpy(cache.levels("a")[first : first + frames].astype(np.float32))
    start = first * mel.hop_samples
    segment = torch.from_numpy(decode(path)[:, start : start + spec.segment.samples])
    frontend = Frontend(mel)
    if isinstance(frontend.standardise, Standardise):
        frontend.standardise.scale.fill_(10.0)
    image = frontend(segment[None])
    trained = frontend.scale(crop.permute(1, 2, 0)[None])
    assert trained.shape == image.shape
    # The edges of a centred segment are padded, where a crop knows the music around it.
    edge = -(-mel.n_fft // 2 // mel.hop_samples) if mel.centred else 0
    inner = slice(edge, image.shape[-1] - edge)
    torch.testing.assert_close(trained[..., inner], image[..., inner], atol=0.04, rtol=0)


def test_a_scale_is_fitted_band_by_band_and_leaves_a_still_band() -> None:
    images = torch.randn(6, 2, 20, 30, generator=torch.Generator().manual_seed(0)) * 7 - 40
    images[:, :, 3] = -100.0
    standardise = Standardise(20)
    standardise.fit(images)
    scaled = standardise(images).transpose(0, 2).flatten(1)
    torch.testing.assert_close(scaled.mean(1), torch.zeros(20), atol=1e-3, rtol=0)
    others = [band for band in range(20) if band != 3]
    torch.testing.assert_close(scaled[others].std(1), torch.ones(19), atol=1e-3, rtol=0)
    assert not scaled[3].any()


def test_seconds_and_names(tmp_path: Path) -> None:
    tracks = tracks_of(tmp_path / "audio")
    cache = filled(tmp_path / "cache", tracks)
    assert [cache.seconds(track.id) for track in tracks] == [0.3, 0.4, 0.5, 0.6, 0.7]
    assert "4" in cache
    assert "5" not in cache
    for track in tracks:
        np.testing.assert_allclose(
            cache.levels(track.id).astype(np.float32),
            whole(decode(track.file), CENTRED),
            atol=0.032,
        )


def test_a_limit_of_seconds_is_that_of_the_audio(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", music(2.0, RATE, 2), RATE)
    cache = filled(tmp_path / "cache", [Track("a", path, 0.5)])
    assert cache.seconds("a") == 0.5
    expected = whole(decode(path)[:, : RATE // 2], CENTRED)
    np.testing.assert_allclose(cache.levels("a").astype(np.float32), expected, atol=0.032)


def test_other_rates_are_converted(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", music(1.0, 2 * RATE, 1), 2 * RATE)
    cache = filled(tmp_path / "cache", [Track("a", path, None)])
    assert len(cache.levels("a")) == CENTRED.frames(RATE)
    levels = cache.levels("a")
    np.testing.assert_array_equal(levels[:, 0], levels[:, 1])


def test_long_tracks_come_in_blocks(tmp_path: Path) -> None:
    samples = music(25.0, RATE, 2)
    path = write_wav(tmp_path / "a.wav", samples, RATE)
    reader = open_file(path, None)
    assert len(list(reader.blocks())) > 1  # or this shows nothing
    reader.close()
    cache = filled(tmp_path / "cache", [Track("a", path, None)])
    expected = whole(decode(path), CENTRED)
    assert len(cache.levels("a")) == len(expected)
    np.testing.assert_allclose(cache.levels("a").astype(np.float32), expected, atol=0.032)


@pytest.mark.parametrize("samples", [1, 128, 200])
def test_what_is_shorter_than_a_frame_fails(samples: int, tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", music(1.0, RATE, 2)[:, :samples], RATE)
    for name, mel in MELS.items():
        if mel.centred and samples > mel.n_fft // 2:
            continue
        (failure,) = build([Track("a", path, None)], tmp_path / name, mel, progress=False)
        assert failure.id == "a"
        assert "shorter than one frame" in failure.error


def test_bad_files_are_named_and_the_others_kept(tmp_path: Path) -> None:
    tracks = tracks_of(tmp_path / "audio")
    tracks[1].file.write_text("no audio")
    tracks[3].file.unlink()
    failures = build(tracks, tmp_path / "cache", CENTRED, progress=False)
    assert [failure.id for failure in failures] == ["1", "3"]
    assert all(str(tracks[int(f.id)].file) in f.error for f in failures)
    cache = MelCache(tmp_path / "cache", CENTRED)
    assert [id in cache for id in "01234"] == [True, False, True, False, True]
    # They are tried again, and only they.
    write_wav(tracks[1].file, music(0.4, RATE, 2, 1), RATE)
    for track in (tracks[0], tracks[2], tracks[4]):
        track.file.unlink()
    again = build(tracks, tmp_path / "cache", CENTRED, progress=False)
    assert [failure.id for failure in again] == ["3"]
    assert "1" in MelCache(tmp_path / "cache", CENTRED)


def test_nothing_to_do_writes_nothing(tmp_path: Path) -> None:
    assert build([], tmp_path / "cache", CENTRED, progress=False) == []
    assert not (tmp_path / "cache").exists()
    tracks = tracks_of(tmp_path / "audio", 2)
    cache = filled(tmp_path / "cache", tracks)
    before = sorted(cache.folder.iterdir())
    filled(tmp_path / "cache", tracks)
    assert sorted(cache.folder.iterdir()) == before


def bytes_of_one(mel: MelSpec = CENTRED) -> int:
    return 2 * mel.channels * mel.n_mels * mel.frames(int(0.3 * RATE))


def test_a_killed_build_goes_on_with_whole_volumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracks = tracks_of(tmp_path / "audio")
    monkeypatch.setattr(mel_cache, "VOLUME_BYTES", bytes_of_one())  # a track is a volume
    taken: list[str] = []
    real = mel_cache.track_levels

    def noted(track: Track, *rest: object) -> object:
        taken.append(track.id)
        return real(track, *rest)

    monkeypatch.setattr(mel_cache, "track_levels", noted)
    real_write, calls = mel_cache.write_csv, []

    def killed(*arguments: object) -> None:
        calls.append(arguments)
        if len(calls) >= 3:  # levels of the third volume are there, its table is not
            raise KeyboardInterrupt
        real_write(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(mel_cache, "write_csv", killed)
        with pytest.raises(KeyboardInterrupt):
            build(tracks, tmp_path / "cache", CENTRED, progress=False)
    cache = MelCache(tmp_path / "cache", CENTRED)
    assert len(list(cache.folder.glob("*.f16"))) == 3
    assert [id in cache for id in "01234"] == [True, True, False, False, False]
    taken.clear()
    cache = filled(tmp_path / "cache", tracks)
    assert sorted(taken) == ["2", "3", "4"]
    assert all(id in cache for id in "01234")
    assert len(list(cache.folder.glob("*.f16"))) == len(list(cache.folder.glob("*.csv"))) == 5
    assert not list(cache.folder.glob(".*"))
    for track in tracks:
        np.testing.assert_allclose(
            cache.levels(track.id).astype(np.float32),
            whole(decode(track.file), CENTRED),
            atol=0.032,
        )


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
@pytest.mark.parametrize("number", interrupts.SIGNALS)
def test_a_build_that_is_told_to_end_keeps_what_it_has_however_often_it_is_told(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracks = tracks_of(tmp_path / "audio")
    real_add, real_write, taken = mel_cache._Volume.add, mel_cache.write_csv, []

    def added(volume: Any, track: Track, *rest: Any) -> None:
        real_add(volume, track, *rest)
        if track.id == "2":
            signal.raise_signal(number)

    def written(*arguments: Any) -> None:
        signal.raise_signal(number)  # the second, while the first is obeyed
        real_write(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(mel_cache._Volume, "add", added)
        patch.setattr(mel_cache, "write_csv", written)
        with pytest.raises(KeyboardInterrupt) as caught, interrupts.all_like_ctrl_c():
            build(tracks, tmp_path / "cache", CENTRED, progress=False)
    assert interrupts.exit_code(caught.value) == 128 + number
    cache = MelCache(tmp_path / "cache", CENTRED)
    assert [id in cache for id in "01234"] == [True, True, True, False, False]
    assert not list(cache.folder.glob(".*"))
    real = mel_cache.track_levels
    monkeypatch.setattr(mel_cache, "track_levels", lambda *a: taken.append(a[0].id) or real(*a))
    cache = filled(tmp_path / "cache", tracks)
    assert sorted(taken) == ["3", "4"]
    for track in tracks:
        np.testing.assert_allclose(
            cache.levels(track.id).astype(np.float32),
            whole(decode(track.file), CENTRED),
            atol=0.032,
        )


def test_a_build_that_fails_keeps_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracks = tracks_of(tmp_path / "audio")
    real = mel_cache.track_levels

    def levels(track: Track, *rest: Any) -> Any:
        if track.id == "3":
            raise ZeroDivisionError
        return real(track, *rest)

    monkeypatch.setattr(mel_cache, "track_levels", levels)
    with pytest.raises(ZeroDivisionError):
        build(tracks, tmp_path / "cache", CENTRED, progress=False)
    assert [id in MelCache(tmp_path / "cache", CENTRED) for id in "0123"] == [True] * 3 + [False]


def test_shards_share_the_tracks(tmp_path: Path) -> None:
    tracks = tracks_of(tmp_path / "audio", 7)
    for number in (2, 1, 3):
        build(tracks, tmp_path / "cache", CENTRED, shard=Shard(number, 3), progress=False)
        there = MelCache(tmp_path / "cache", CENTRED)
        assert all(track.id in there for track in tracks if Shard(number, 3).has(track.id))
    cache = MelCache(tmp_path / "cache", CENTRED)
    tables = sorted(path.name for path in cache.folder.glob("*.csv"))
    assert tables == [f"volume-{number}of3-00000.csv" for number in (1, 2, 3)]
    single = filled(tmp_path / "single", tracks)
    for track in tracks:
        np.testing.assert_array_equal(cache.levels(track.id), single.levels(track.id))


@pytest.mark.parametrize("workers", [1, 4])
def test_workers_change_nothing(workers: int, tmp_path: Path) -> None:
    tracks = tracks_of(tmp_path / "audio")
    reference = filled(tmp_path / "reference", tracks)
    before = torch.get_num_threads()
    build(tracks, tmp_path / "cache", CENTRED, workers=workers, progress=False)
    assert torch.get_num_threads() == before
    cache = MelCache(tmp_path / "cache", CENTRED)
    for file in reference.folder.iterdir():
        assert (cache.folder / file.name).read_bytes() == file.read_bytes()


def test_folders_differ_with_what_is_kept_and_only_with_that(tmp_path: Path) -> None:
    same = [
        CENTRED,
        replace(CENTRED, standardise=False),
        replace(CENTRED, scaling=DecibelScale("maximum", floor_db=60.0)),
    ]
    assert len({folder_of(tmp_path, mel) for mel in same}) == 1
    others = [
        CENTRED,
        replace(CENTRED, scaling=DecibelScale("unity", amin=1e-8)),
        replace(CENTRED, scaling=LogScale(1e-10)),
        replace(CENTRED, scaling=LogScale(1e-5)),
        replace(CENTRED, n_fft=512),
        replace(CENTRED, hop_samples=128),
        replace(CENTRED, pad_mode="constant"),
        replace(CENTRED, centred=False),
        replace(CENTRED, power=1),
        replace(CENTRED, fmin_hz=20.0),
        replace(CENTRED, channels=1),
    ]
    assert len({folder_of(tmp_path, mel) for mel in others}) == len(others)


@dataclass(frozen=True)
class Root:
    """A scaling of somebody else."""

    degree: float


def test_folders_of_other_scalings_differ_with_whatever_these_hold(tmp_path: Path) -> None:
    mels = [replace(CENTRED, scaling=Root(degree)) for degree in (2.0, 4.0, 4.0)]  # type: ignore[arg-type]
    assert len({folder_of(tmp_path, mel) for mel in mels}) == 2


def test_an_empty_folder_is_an_empty_cache(tmp_path: Path) -> None:
    assert "a" not in MelCache(tmp_path / "nowhere", CENTRED)
