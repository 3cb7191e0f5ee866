"""What people feed to an extractor: each case alone, and all of them in one run."""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.testing import assert_allclose, assert_array_equal

import mirfeat
from mirfeat import errors
from mirfeat.audio.segments import Segmenter
from mirfeat.extractor import Extractor
from mirfeat.pipeline.threads import MAX_AHEAD
from mirfeat.results.outcomes import Result
from tests.support.sounds import cut, music, overwrite_middle, write, write_wav

RATE = 44_100
# Rows of other files in the same batch move a vector by rounding only.
BATCH = 1e-5


@pytest.fixture(scope="module")
def mfcc() -> Extractor:
    return mirfeat.load_extractor("mfcc", device="cpu")


@pytest.fixture(scope="module")
def choi2017() -> Extractor:
    return mirfeat.load_extractor("choi2017", checkpoint="random", layers="1", device="cpu")


@pytest.fixture(params=["mfcc", "choi2017"])
def extractor(request: pytest.FixtureRequest) -> Extractor:
    loaded: Extractor = request.getfixturevalue(request.param)
    return loaded


def close(actual: np.ndarray | None, expected: np.ndarray) -> None:
    assert actual is not None
    assert_allclose(actual, expected, rtol=BATCH, atol=BATCH)


# What cannot be used


@dataclass(frozen=True)
class Bad:
    """A source that fails: what makes it in a folder, and how it fails."""

    make: Callable[[Path], Path]
    error: type[errors.AudioError]
    message: str


def with_content(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def as_floats(path: Path, samples: np.ndarray) -> Path:
    return write(path, samples, RATE, "WAV", "FLOAT")


def with_nan(path: Path) -> Path:
    samples = music(12.0, RATE, 2)
    samples[1, 11 * RATE :] = np.nan
    return as_floats(path, samples)


def a_song(folder: Path, format: str) -> Path:
    return write(folder / f"song.{format.lower()}", music(6.0, RATE), RATE, format)


def header_only(path: Path) -> Path:
    return with_content(path, write_wav(path, music(1.0, RATE), RATE).read_bytes()[:44])


def a_directory(path: Path) -> Path:
    path.mkdir()
    return path


BAD = {
    "no bytes": Bad(
        lambda folder: with_content(folder / "nothing.wav", b""),
        errors.EmptyAudioError,
        "the file has 0 bytes",
    ),
    "text": Bad(
        lambda folder: with_content(folder / "notes.mp3", b"Dear diary.\n" * 100),
        errors.DecodeError,
        r"not a readable audio file \(libsndfile: Format not recognised; FFmpeg: Invalid data",
    ),
    "truncated mp3": Bad(
        lambda folder: cut(a_song(folder, "MP3"), 0.5),
        errors.DecodeError,
        r"stopped at [23]\.\d s of about 6.0 s \(the stream ends there\)",
    ),
    "truncated flac": Bad(
        lambda folder: cut(a_song(folder, "FLAC"), 0.5),
        errors.DecodeError,
        r"stopped at [23]\.\d s of about 6.0 s \(libsndfile: .*\). The file is damaged",
    ),
    "truncated wav": Bad(
        lambda folder: cut(a_song(folder, "WAV"), 0.5),
        errors.DecodeError,
        r"announces 529200 bytes of audio, the file has 2\d+\. It is truncated",
    ),
    "truncated ogg": Bad(
        lambda folder: cut(a_song(folder, "OGG"), 0.5), errors.DecodeError, "It is truncated"
    ),
    "damaged flac": Bad(
        lambda folder: overwrite_middle(a_song(folder, "FLAC"), 200),
        errors.DecodeError,
        "The file is damaged; no feature was made",
    ),
    "header only": Bad(
        lambda folder: header_only(folder / "header.wav"),
        errors.DecodeError,
        "announces 88200 bytes of audio, the file has 0. It is truncated",
    ),
    "NaN in the second block": Bad(
        lambda folder: with_nan(folder / "nan.wav"),
        errors.NonFiniteAudioError,
        r"NaN or infinite sample at 11\.000 s",
    ),
    "integers as floats": Bad(
        lambda folder: as_floats(folder / "ints.wav", 32767 * music(1.0, RATE)),
        errors.AudioError,
        "looks like integers turned into floats",
    ),
    "directory": Bad(
        lambda folder: a_directory(folder / "album.wav"), errors.DecodeError, "is a directory"
    ),
    "missing": Bad(
        lambda folder: folder / "missing.wav", errors.DecodeError, "there is no such file"
    ),
    "zero byte in the name": Bad(
        lambda folder: folder / "s\0o\0n\0g", errors.DecodeError, "there is no such file"
    ),
    "below a file": Bad(
        lambda folder: write_wav(folder / "clip.wav", music(0.1, RATE), RATE) / "clip.wav",
        errors.DecodeError,
        "there is no such file",
    ),
    "no permission": Bad(
        lambda folder: write_wav(folder / "locked.wav", music(1.0, RATE), RATE),
        errors.DecodeError,
        "no permission to read it",
    ),
    "name too long": Bad(
        lambda folder: folder / ("x" * 300 + ".wav"), errors.DecodeError, "name too long"
    ),
}


@pytest.fixture(autouse=True)
def _locked_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse files called "locked"; a mode of 0 would not keep root out."""
    really_open = os.open

    def opened(path: Any, *args: Any, **options: Any) -> int:
        if os.path.basename(os.fsdecode(path)).startswith("locked"):
            raise PermissionError(13, "Permission denied", os.fsdecode(path))
        return really_open(path, *args, **options)

    monkeypatch.setattr(os, "open", opened)


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_bad_file_fails_by_its_name_and_reason(
    bad: Bad, extractor: Extractor, tmp_path: Path
) -> None:
    path = bad.make(tmp_path)
    message = f"^{re.escape(str(path))}: .*{bad.message}"
    with pytest.raises(bad.error, match=message) as error:
        extractor.extract_file(path)
    assert type(error.value) is bad.error
    with pytest.raises(bad.error, match=message):
        list(extractor.extract_many([path], on_error="raise", workers=1))


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_bad_file_between_good_ones_is_recorded(
    bad: Bad, extractor: Extractor, tmp_path: Path
) -> None:
    path = bad.make(tmp_path)
    sounds = [(music(1.0, 12_000, seed=seed), 12_000) for seed in (1, 2)]
    before, failed, after = extractor.extract_many([sounds[0], path, sounds[1]], workers=2)
    assert (failed.id, failed.status, failed.error_type) == (
        str(path),
        "failed",
        bad.error.__name__,
    )
    assert re.search(bad.message, failed.error or "")
    assert failed.vector is None
    for result, sound in zip((before, after), sounds, strict=True):
        assert result.status == "ok"
        close(result.vector, extractor.extract(*sound))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads anything")
def test_a_file_without_read_permission_says_so(mfcc: Extractor, tmp_path: Path) -> None:
    path = write_wav(tmp_path / "clip.wav", music(1.0, RATE), RATE)
    path.chmod(0)
    with pytest.raises(errors.DecodeError, match="no permission to read it"):
        mfcc.extract_file(path)


@pytest.mark.parametrize("samples", [1, 120])
def test_less_than_one_frame_is_too_short_except_for_mfcc(
    samples: int, mfcc: Extractor, choi2017: Extractor, tmp_path: Path
) -> None:
    path = write_wav(tmp_path / "blip.wav", np.full((1, samples), 0.5), 12_000)
    vector = mfcc.extract_file(path)
    assert np.isfinite(vector).all()
    with pytest.raises(errors.AudioTooShortError, match=r"blip\.wav: \S+ s, .* takes 0\.\d+ s"):
        choi2017.extract_file(path)
    song = (music(1.0, 12_000), 12_000)
    assert [result.status for result in mfcc.extract_many([path, song])] == ["ok", "ok"]
    failed, _ = choi2017.extract_many([path, song])
    assert failed.error_type == "AudioTooShortError"


def test_a_sample_that_resampling_swallows_is_too_short(
    mfcc: Extractor, choi2017: Extractor
) -> None:
    for extractor in (mfcc, choi2017):
        with pytest.raises(errors.AudioTooShortError, match="array: 0 s"):
            extractor.extract(np.full(1, 0.5), 192_000)


# What looks odd and is fine


def test_silence_is_a_valid_clip_with_a_note(extractor: Extractor, tmp_path: Path) -> None:
    path = write_wav(tmp_path / "silence.wav", np.zeros((2, 30 * RATE)), RATE)
    (result,) = extractor.extract_many([path])
    assert result.status == "ok"
    assert result.notes == ("silent",)
    assert result.vector is not None
    assert np.isfinite(result.vector).all()
    assert_array_equal(extractor.extract_file(path), result.vector)


def test_a_constant_is_finite_and_not_silent(extractor: Extractor, tmp_path: Path) -> None:
    path = write_wav(tmp_path / "dc.wav", np.full((1, 30 * RATE), 0.5), RATE)
    (result,) = extractor.extract_many([path])
    assert result.notes == ()
    assert result.vector is not None
    assert np.isfinite(result.vector).all()


def test_full_scale_is_neither_wrapped_nor_refused(extractor: Extractor, tmp_path: Path) -> None:
    square = np.where(np.sin(np.arange(2 * RATE) / 20) < 0, -32768, 32767).astype(np.int16)[None]
    path = write(tmp_path / "loud.wav", square, RATE, "WAV", "PCM_16")
    vector = extractor.extract_file(path)
    assert_array_equal(extractor.extract(square / 32768, RATE), vector)
    quieter = extractor.extract(0.99 * square / 32768, RATE)
    # A sample that wrapped would be an error of full scale.
    assert np.corrcoef(vector, quieter)[0, 1] > 0.999


def test_floats_beyond_full_scale_are_not_clipped(mfcc: Extractor, tmp_path: Path) -> None:
    samples = 2.0 * music(2.0, 12_000)
    assert np.abs(samples).max() > 1.0
    path = write(tmp_path / "hot.wav", samples, 12_000, "WAV", "FLOAT")
    vector = mfcc.extract_file(path)
    assert np.abs(vector - mfcc.extract(samples.clip(-1, 1), 12_000)).max() > 0.01
    assert_array_equal(vector, mfcc.extract(samples, 12_000))


@pytest.mark.parametrize("rate", [8000, 192_000])
def test_unusual_rates_give_the_features_of_the_same_music(
    rate: int, mfcc: Extractor, choi2017: Extractor, tmp_path: Path
) -> None:
    def melody(rate: int) -> np.ndarray:
        """The same sound at any rate: broadband up to 3 kHz, as a sum of partials."""
        time = np.arange(2 * rate) / rate
        partials = [np.sin(2 * np.pi * 150 * k * time + k * k) / k for k in range(1, 20)]
        return (0.1 * np.sum(partials, axis=0) * (1.1 + np.sin(8 * time)))[None]

    path = write(tmp_path / "clip.wav", melody(rate), rate, "WAV", "FLOAT")
    usual = write(tmp_path / "usual.wav", melody(48_000), 48_000, "WAV", "FLOAT")
    for extractor in (mfcc, choi2017):
        vector, expected = extractor.extract_file(path), extractor.extract_file(usual)
        assert np.corrcoef(vector, expected)[0, 1] > 0.99


def test_six_channels_are_averaged_for_a_mono_extractor(
    extractor: Extractor, tmp_path: Path
) -> None:
    samples = music(2.0, RATE, 6)
    path = write(tmp_path / "surround.wav", samples, RATE, "WAV", "FLOAT")
    first, mean = extractor.extract_many([path, (samples.mean(axis=0), RATE)])
    assert first.status == "ok"
    assert not any("channels" in note for note in first.notes)
    assert first.vector is not None
    assert_allclose(first.vector, mean.vector, rtol=1e-4, atol=1e-4)


def test_a_short_clip_is_tiled_with_a_note_except_for_mfcc(
    mfcc: Extractor, choi2017: Extractor
) -> None:
    song = (music(3.2, 12_000), 12_000)
    assert next(mfcc.extract_many([song])).notes == ()
    assert next(choi2017.extract_many([song])).notes == ("tiled from 3.2 s",)


@pytest.mark.parametrize(
    "name",
    [
        "Sigur Rós – 夢 🎵.wav",
        "x" * 246 + ".wav",
        " leading and trailing .wav ",
        "quote ' \" and % {0} $HOME *.wav",
        "new\nline.wav",
        "-rf.wav",
        "wav",
    ],
    ids=["unicode", "long", "spaces", "quotes", "newline", "dash", "no ending"],
)
def test_any_name_the_disk_takes_is_fine(name: str, mfcc: Extractor, tmp_path: Path) -> None:
    try:
        path = write_wav(tmp_path / name, music(0.5, 12_000), 12_000)
    except (OSError, RuntimeError):
        pytest.skip("this file system does not take the name")
    vector = mfcc.extract_file(path)
    (result,) = mfcc.extract_many([path])
    assert result.id == str(path)
    assert result.vector is not None
    assert_array_equal(result.vector, vector)
    assert mfcc.extract_files([path], root=tmp_path).ids == (name,)


@pytest.mark.skipif(os.name != "posix", reason="names are bytes only there")
def test_a_name_that_is_no_text_is_fine(mfcc: Extractor, tmp_path: Path) -> None:
    path = write_wav(tmp_path / "clip.wav", music(0.5, 12_000), 12_000)
    try:
        odd = path.rename(tmp_path / os.fsdecode(b"caf\xe9.wav"))
    except OSError:
        pytest.skip("this file system does not take the name")
    assert np.isfinite(mfcc.extract_file(odd)).all()
    with pytest.raises(errors.DecodeError, match="no such file"):
        mfcc.extract_file(tmp_path / os.fsdecode(b"gone\xe9.wav"))


# Everything in one run


@dataclass(frozen=True)
class Mixture:
    """Good and bad files in one order, and what each good one gives alone."""

    root: Path
    paths: list[Path]
    expected: dict[Path, np.ndarray]
    failing: dict[Path, Bad]


def mix(extractor: Extractor, root: Path, good: int) -> Mixture:
    """All bad files, and good ones of different formats, lengths, rates and channels."""
    failing = {}
    for index, bad in enumerate(BAD.values()):
        folder = root / str(index)
        folder.mkdir()
        failing[bad.make(folder)] = bad
    songs = []
    kinds = [("wav", 8000, 1), ("flac", 44_100, 2), ("mp3", 32_000, 1), ("ogg", 48_000, 2)]
    for seed in range(good):
        ending, rate, channels = kinds[seed % len(kinds)]
        sound = music(0.3 + 0.4 * (seed % 5), rate, channels, seed)
        songs.append(write(root / f"song {seed}.{ending}", sound, rate, ending.upper()))
    expected = {path: extractor.extract_file(path) for path in songs}
    paths = [*songs, *failing]
    order = np.random.default_rng(0).permutation(len(paths))
    return Mixture(root, [paths[index] for index in order], expected, failing)


def check_results(mixture: Mixture, results: Iterator[Result]) -> None:
    for path, result in zip(mixture.paths, results, strict=True):
        assert result.id == str(path)
        if path in mixture.expected:
            assert (result.status, result.error, result.error_type) == ("ok", None, None)
            close(result.vector, mixture.expected[path])
        else:
            bad = mixture.failing[path]
            assert (result.status, result.error_type) == ("failed", bad.error.__name__)
            assert re.search(bad.message, result.error or "")
            assert str(path) in (result.error or "")


@pytest.fixture(scope="module")
def mixture(mfcc: Extractor, tmp_path_factory: pytest.TempPathFactory) -> Mixture:
    """More than may wait for the oldest file, so that results have to leave on the way."""
    mixture = mix(mfcc, tmp_path_factory.mktemp("mixture"), good=MAX_AHEAD)
    assert len({vector.tobytes() for vector in mixture.expected.values()}) == MAX_AHEAD
    return mixture


@pytest.mark.parametrize("workers", [1, 4])
def test_in_a_mixed_run_every_good_file_keeps_its_own_vector(
    workers: int, mixture: Mixture, mfcc: Extractor
) -> None:
    check_results(mixture, mfcc.extract_many(mixture.paths, workers=workers))


def test_a_mixed_run_of_batched_segments_keeps_every_vector(
    choi2017: Extractor, tmp_path: Path
) -> None:
    mixture = mix(choi2017, tmp_path, good=9)
    check_results(mixture, choi2017.extract_many(mixture.paths, workers=3))


def test_a_table_of_a_mixed_run_has_the_good_rows_and_the_reasons(
    mixture: Mixture, mfcc: Extractor
) -> None:
    table = mfcc.extract_files(mixture.paths, root=mixture.root)
    ids = {path.relative_to(mixture.root).as_posix(): path for path in mixture.paths}
    good = [id for id, path in ids.items() if path in mixture.expected]
    assert list(table.ids) == good
    for row, id in zip(table.values, good, strict=True):
        close(row, mixture.expected[ids[id]])
    assert [failure.id for failure in table.failures] == [id for id in ids if id not in good]
    for failure in table.failures:
        assert re.search(mixture.failing[ids[failure.id]].message, failure.error)


def test_the_first_bad_file_ends_a_run_that_is_to_raise(mixture: Mixture, mfcc: Extractor) -> None:
    good = next(index for index, path in enumerate(mixture.paths) if path in mixture.failing)
    results = mfcc.extract_many(mixture.paths, on_error="raise", workers=2)
    for path in mixture.paths[:good]:
        assert next(results).id == str(path)
    with pytest.raises(errors.AudioError, match=re.escape(str(mixture.paths[good]))):
        next(results)
    assert list(results) == []


def test_bad_arrays_are_recorded_under_their_ids(mfcc: Extractor) -> None:
    song = music(1.0, 12_000)
    broken = song.copy()
    broken[0, 6000] = np.inf
    items = [
        ("song", song, 12_000),
        ("empty", song[:, :0], 12_000),
        ("transposed", song.T, 12_000),
        ("int64", song.astype(np.int64), 12_000),
        ("rate", song, 0),
        ("inf", broken, 12_000),
        ("song again", song, 12_000),
    ]
    results = list(mfcc.extract_many((id, (samples, rate)) for id, samples, rate in items))
    assert [result.id for result in results] == [id for id, _, _ in items]
    kinds = [result.error_type for result in results]
    assert kinds == [None, "EmptyAudioError", *["AudioError"] * 3, "NonFiniteAudioError", None]
    assert "at 0.500 s" in (results[5].error or "")
    for result in (results[0], results[-1]):
        close(result.vector, mfcc.extract(song, 12_000))


def test_a_run_of_nothing_but_bad_files_says_so(mfcc: Extractor, tmp_path: Path) -> None:
    paths = [with_content(tmp_path / f"{index}.wav", b"text") for index in range(4)]
    with pytest.raises(errors.ExtractionError, match="all 4 files failed") as error:
        list(mfcc.extract_many(paths))
    assert str(paths[0]) in str(error.value)


# Hours


@pytest.mark.slow
def test_three_hours_stream_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    psutil = pytest.importorskip("psutil")
    rate, seconds = 8000, 3 * 3600
    generator = np.random.default_rng(0)
    path = tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", rate, 1, "PCM_U8", format="WAV") as output:
        for _ in range(seconds // 60):
            output.write(0.1 * generator.standard_normal(60 * rate))

    process, used = psutil.Process(), []
    push = Segmenter.push

    def measured(segmenter: Segmenter, block: np.ndarray) -> Iterator[object]:
        used.append(process.memory_info().rss)
        return push(segmenter, block)

    monkeypatch.setattr(Segmenter, "push", measured)
    # One segment in a batch: what the allocator keeps of large ones would hide a leak.
    mfcc = mirfeat.load_extractor("mfcc", device="cpu", batch_size=1)
    (result,) = mfcc.extract_many([path], workers=1)
    assert result.seconds == seconds
    assert result.rows == 372  # 10800 / 29, what is left is less than half a segment
    assert len(used) > seconds / 10
    # At the extractor's rate all of it would take 518 MB.
    assert max(used) - used[0] < 100e6
