"""Runs over many clips, into memory and into folders that are gone on with later."""

import itertools
import os
import random
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mirfeat
from mirfeat.audio.clip import Audio
from mirfeat.errors import (
    DecodeError,
    EmptyAudioError,
    ExtractionError,
    OptionError,
    ProvenanceError,
    StoreError,
)
from mirfeat.pipeline.forward import DirectLane
from mirfeat.results.outcomes import Result
from mirfeat.runs import progress
from mirfeat.runs import run as runs
from mirfeat.store.formats import FORMATS, Format
from mirfeat.store.reading import load_features
from mirfeat.store.record import StoreInfo
from mirfeat.store.writer import StoreWriter
from tests.support.sounds import music, write_wav

RATE = 12_000


@pytest.fixture(scope="module")
def mfcc() -> mirfeat.Extractor:
    return mirfeat.load_extractor("mfcc")


@pytest.fixture(params=FORMATS)
def format(request: pytest.FixtureRequest) -> Format:
    kind: Format = request.param
    return kind


@pytest.fixture
def clips(tmp_path: Path) -> list[Path]:
    """Six files in two folders."""
    names = ["a/1.wav", "a/2.wav", "a/3.wav", "b/1.wav", "b/ü 音.wav", 'b/z, "q".wav']
    return [sound(tmp_path / "music" / name, seed) for seed, name in enumerate(names)]


def sound(path: Path, seed: int, seconds: float = 0.5) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_wav(path, music(seconds, RATE, seed=seed), RATE)


def damage(path: Path) -> Path:
    path.write_text("this is no audio")
    return path


def decoders() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("mirfeat-worker")]


class Spy:
    """Notes which clips a run has taken up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ids: list[str] = []
        original = runs.run_many

        def spied(clips: Iterator[Any], *arguments: Any, **options: Any) -> Any:
            def noted() -> Iterator[Any]:
                for clip in clips:
                    self.ids.append(clip.id)
                    yield clip

            return original(noted(), *arguments, **options)

        monkeypatch.setattr(runs, "run_many", spied)

    def taken(self) -> list[str]:
        ids, self.ids = self.ids, []
        return ids


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    return Spy(monkeypatch)


# -- one result for each item ---------------------------------------------------------------------


def test_items_of_every_kind_give_the_same_numbers(tmp_path: Path, mfcc: mirfeat.Extractor) -> None:
    samples = music(1.0, RATE)[0]
    pcm = np.round(samples * 32768).astype(np.int16)
    path = write_wav(tmp_path / "a.wav", pcm[None].astype(np.float32) / 32768, RATE)
    items = [
        path,
        str(path),
        Audio(pcm, RATE, name="x"),
        (pcm, RATE),
        (torch.from_numpy(pcm), float(RATE)),
        ("one", path),
        ("two", (pcm[None], RATE)),
        ("three", Audio(pcm, RATE)),
    ]
    results = list(mfcc.extract_many(items))
    assert [result.id for result in results] == [
        *(str(path), str(path)),
        *("item 2", "item 3", "item 4"),
        *("one", "two", "three"),
    ]
    expected = mfcc.extract(path)
    for result in results:
        assert (result.status, result.seconds, result.rows, result.notes) == ("ok", 1.0, 1, ())
        assert result.vector is not None
        np.testing.assert_array_equal(result.vector, expected, strict=True)


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (np.zeros(9, np.float32), "item 1 is an array without a sample rate"),
        (torch.zeros(9), "item 1 is an array without a sample rate"),
        (("name", np.zeros(9, np.float32)), "name is an array without a sample rate"),
        (None, "item 1 is <class 'NoneType'>"),
        ((1, 2, 3), "item 1 is <class 'tuple'>"),
    ],
)
def test_an_item_that_means_nothing_ends_the_run(
    clips: list[Path], mfcc: mirfeat.Extractor, item: object, said: str
) -> None:
    with pytest.raises(OptionError, match=re.escape(said)):
        list(mfcc.extract_many([clips[0], item]))
    assert not decoders()


def test_bad_items_give_failed_results_in_their_places(
    clips: list[Path], mfcc: mirfeat.Extractor
) -> None:
    damage(clips[1])
    nan = np.full(RATE, np.nan, np.float32)
    items = [*clips[:3], (nan, RATE), (np.zeros(0, np.float32), RATE), (nan, -1), clips[3]]
    results = list(mfcc.extract_many(items))
    assert [result.status == "ok" for result in results] == [1, 0, 1, 0, 0, 0, 1]
    assert [result.error_type for result in results if result.vector is None] == [
        "DecodeError",
        "NonFiniteAudioError",
        "EmptyAudioError",
        "AudioError",
    ]
    assert "2.wav" in (results[1].error or "")
    assert "item 4" in (results[4].error or "")


def test_what_a_person_may_want_to_know_is_noted(mfcc: mirfeat.Extractor) -> None:
    silence = np.zeros((3, RATE), np.float32)
    (result,) = mfcc.extract_many([(silence, RATE)])
    assert result.notes == ("silent",)


def test_on_error_raise_ends_the_run_at_the_first_bad_item(
    clips: list[Path], mfcc: mirfeat.Extractor
) -> None:
    damage(clips[2])
    seen: list[Result] = []
    with pytest.raises(DecodeError, match=r"3\.wav"):
        seen.extend(mfcc.extract_many(clips, on_error="raise"))
    assert not decoders()
    (first, second) = itertools.islice(mfcc.extract_many(clips, on_error="raise"), 2)
    assert (first.status, second.status) == ("ok", "ok")


def test_a_run_in_which_everything_failed_is_an_error(
    clips: list[Path], mfcc: mirfeat.Extractor
) -> None:
    for path in clips[:3]:
        damage(path)
    with pytest.raises(ExtractionError, match=r"all 3 files failed.* .*1\.wav"):
        list(mfcc.extract_many(clips[:3]))
    with pytest.raises(ExtractionError, match=r"^no features: .*2\.wav"):
        mfcc.extract_files(clips[1:2])
    assert len(mfcc.extract_files(clips[2:])) == 3


def test_items_may_come_from_an_endless_stream(mfcc: mirfeat.Extractor) -> None:
    stream = ((f"{n}", (music(0.1, RATE, seed=n), RATE)) for n in itertools.count())
    some = list(itertools.islice(mfcc.extract_many(stream), 100))
    assert [result.id for result in some] == [str(n) for n in range(100)]


def test_giving_up_a_run_ends_its_threads(mfcc: mirfeat.Extractor) -> None:
    long = (music(60.0, RATE), RATE)
    running = mfcc.extract_many(itertools.repeat(long), workers=3)
    next(running)
    assert decoders()
    running.close()  # type: ignore[attr-defined]
    assert not decoders()


@pytest.mark.parametrize("wrong", [{"on_error": "ignore"}, {"workers": 0}, {"workers": -1}])
def test_options_that_there_are_not_are_refused(
    mfcc: mirfeat.Extractor, wrong: dict[str, Any]
) -> None:
    with pytest.raises(OptionError, match=next(iter(wrong))):
        mfcc.extract_many([], **wrong)


@pytest.mark.parametrize("one", ["music", Path("music"), Audio(np.zeros(9, np.float32), RATE)])
def test_one_item_in_place_of_a_list_is_refused(
    tmp_path: Path, mfcc: mirfeat.Extractor, one: Any
) -> None:
    for run in (
        lambda: next(mfcc.extract_many(one)),
        lambda: mfcc.extract_files(one),
        lambda: mfcc.extract_to(tmp_path / "feats", one),
    ):
        with pytest.raises(OptionError, match="is one item"):
            run()
    assert not (tmp_path / "feats").exists()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (99.9, "99.9 s"), (100, "1.7 min"), (5999, "100.0 min"), (6000, "1.7 h")],
)
def test_times_are_written_for_people(seconds: float, text: str) -> None:
    assert progress.duration(seconds) == text


def test_progress_is_shown_when_asked_for_and_silent_otherwise(
    clips: list[Path], mfcc: mirfeat.Extractor, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(clips[0])
    list(mfcc.extract_many(clips))  # not a terminal
    list(mfcc.extract_many(clips, progress=False))
    assert capsys.readouterr() == ("", "")
    list(mfcc.extract_many(clips, progress=True))
    shown = capsys.readouterr()
    assert shown.out == ""
    for text in ("mfcc", "6/6", "2.5 s of audio", "x real time", "1 failed"):
        assert text in shown.err


# -- a table --------------------------------------------------------------------------------------


def test_a_table_has_a_row_for_each_good_file(clips: list[Path], mfcc: mirfeat.Extractor) -> None:
    damage(clips[1])
    table = mfcc.extract_files(clips)
    assert table.ids == ("a/1.wav", "a/3.wav", "b/1.wav", "b/ü 音.wav", 'b/z, "q".wav')
    assert [(failure.id, failure.error_type) for failure in table.failures] == [
        ("a/2.wav", "DecodeError")
    ]
    assert table.feature_names == mfcc.feature_names
    assert table.provenance == mfcc.provenance
    good = [path for path in clips if path != clips[1]]
    np.testing.assert_array_equal(table.values, np.stack([mfcc.extract(path) for path in good]))


def test_ids_of_a_table_are_relative_to_the_root(
    clips: list[Path], mfcc: mirfeat.Extractor
) -> None:
    assert mfcc.extract_files(clips[:2]).ids == ("1.wav", "2.wav")
    root = clips[0].parents[2]
    assert mfcc.extract_files(clips[:2], root=root).ids == ("music/a/1.wav", "music/a/2.wav")
    with pytest.raises(OptionError, match="is not below"):
        mfcc.extract_files(clips, root=clips[0].parent)


def test_a_path_given_twice_is_one_row(
    tmp_path: Path, clips: list[Path], mfcc: mirfeat.Extractor
) -> None:
    twice = [*clips[:2], clips[0]]
    table = mfcc.extract_files(twice)
    assert table.ids == mfcc.extract_files(clips[:2]).ids
    report = mfcc.extract_to(tmp_path / "store", twice)
    assert (report.done, report.failed) == (len(table), len(table.failures))
    with pytest.raises(OptionError, match="row i belongs to path i"):
        mfcc.extract_files(twice, on_error="nan")


def test_no_files_are_an_empty_table(mfcc: mirfeat.Extractor) -> None:
    table = mfcc.extract_files([])
    assert (table.values.shape, table.values.dtype) == ((0, 120), np.float32)


# -- a folder -------------------------------------------------------------------------------------


def assert_complete(store: Path, extractor: mirfeat.Extractor, paths: list[Path]) -> None:
    """The folder has exactly what a run over these files gives."""
    table, expected = load_features(store), extractor.extract_files(paths)
    assert sorted(table.ids) == sorted(expected.ids)
    np.testing.assert_array_equal(table.aligned(expected.ids), expected.values, strict=True)


def test_every_format_gives_the_same_numbers_back(
    tmp_path: Path, clips: list[Path], mfcc: mirfeat.Extractor, format: Format
) -> None:
    report = mfcc.extract_to(tmp_path / "feats", clips, format=format)
    assert (report.done, report.skipped, report.failed, report.audio_seconds) == (6, 0, 0, 3.0)
    assert report.wall_seconds > 0
    table, expected = load_features(tmp_path / "feats"), mfcc.extract_files(clips)
    assert table.ids == expected.ids
    np.testing.assert_array_equal(table.values, expected.values, strict=True)
    assert table.feature_names == expected.feature_names
    assert table.provenance.to_dict() == expected.provenance.to_dict()


@pytest.mark.parametrize("kind", ["npz", "npy"])
def test_embeddings_are_stored_row_by_row(tmp_path: Path, clips: list[Path], kind: Format) -> None:
    extractor = mirfeat.load_extractor("mfcc", hop_seconds=10)
    clips.append(sound(clips[0].with_name("long.wav"), 9, seconds=66.0))
    extractor.extract_to(tmp_path / "rows", clips, format=kind, embed=True)
    for path in clips:
        embedding = extractor.embed(path)
        file = tmp_path / "rows" / path.parent.name / f"{path.name}.{kind}"
        with file.open("rb") as opened:
            data = np.load(opened, allow_pickle=False)
            if kind == "npy":
                np.testing.assert_array_equal(data, embedding.values, strict=True)
                continue
            fields = ["values", "within_variance", "starts", "ends", "weights"]
            assert sorted(data) == sorted(fields)
            for field in fields:
                np.testing.assert_array_equal(data[field], getattr(embedding, field), strict=True)
    assert len(extractor.embed(clips[-1])) > 3


def test_embeddings_and_tables_do_not_go_together(
    tmp_path: Path, clips: list[Path], mfcc: mirfeat.Extractor
) -> None:
    with pytest.raises(OptionError, match="npz or npy"):
        mfcc.extract_to(tmp_path / "feats", clips, embed=True)
    assert not (tmp_path / "feats").exists()


def test_a_second_run_computes_nothing(
    tmp_path: Path, clips: list[Path], mfcc: mirfeat.Extractor, format: Format, spy: Spy
) -> None:
    mfcc.extract_to(tmp_path / "feats", clips, format=format)
    assert len(spy.taken()) == 6
    report = mfcc.extract_to(tmp_path / "feats", clips, format=format)
    assert (report.done, report.skipped, report.failed) == (0, 6, 0)
    assert spy.taken() == []
    assert_complete(tmp_path / "feats", mfcc, clips)


def test_earlier_files_are_not_forgotten_when_the_last_one_is_done_already(
    tmp_path: Path, clips: list[Path], mfcc: mirfeat.Extractor, format: Format, spy: Spy
) -> None:
    # Segments of pending files wait for a full batch; nothing after them may be taken as the end.
    store, root = tmp_path / "feats", clips[0].parents[1]
    mfcc.extract_to(store, clips[-1:], format=format, root=root)
    spy.taken()
    report = mfcc.extract_to(store, clips, format=format)
    assert (report.done, report.skipped) == (5, 1)
    assert len(spy.taken()) == 5
    assert_complete(store, mfcc, clips)


def test_only_what_is_new_or_has_changed_is_computed(
    tmp_path: Path, clips: list[Path], mfcc: mirfeat.Extractor, format: Format, spy: Spy
) -> None:
    store = tmp_path / "feats"
    mfcc.extract_to(store, clips, format=format)
    spy.taken()
    sound(clips[0], 50, seconds=0.7)  # another size
    before = clips[1].stat()
    sound(clips[1], 51)  # the same size
    os.utime(clips[1], ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    clips.append(sound(clips[0].with_name("new.wav"), 52))
    report = mfcc.extract_to(store, clips, format=format)
    assert (report.done, report.skipped) == (3, 4)
    assert spy.taken() == ["a/1.wav", "a/2.wav", "a/new.wav"]
    assert_complete(store, mfcc, clips)


def test_bad_files_are_listed_and_tried_again(
    tmp_path: Path, clips: list[Path], mfcc: mirfeat.Extractor, format: Format, spy: Spy
) -> None:
    store = tmp_path / "feats"
    damage(clips[0])
    clips[4].write_bytes(b"")
    report = mfcc.extract_to(store, clips, format=format)
    assert (report.done, report.failed) == (4, 2)
    assert [failure.id for failure in report.failures] == ["a/1.wav", "b/ü 音.wav"]
    assert load_features(store).failures == report.failures
    assert_complete(store, mfcc, clips)
    spy.taken()
    sound(clips[0], 0)
    report = mfcc.extract_to(store, clips, format=format)
    assert spy.taken() == ["a/1.wav", "b/ü 音.wav"]
    assert (report.done, report.skipped, report.failed) == (1, 4, 1)
    assert [failure.id for failure in load_features(store).failures] == ["b/ü 音.wav"]
    assert_complete(store, mfcc, clips)


def test_a_good_file_that_has_become_bad_leaves_no_old_numbers(
    tmp_path: Path, clips: list[Path], mfcc: mirfeat.Extractor, format: Format
) -> None:
    mfcc.extract_to(tmp_path / "feats", clips, format=format)
    damage(clips[0])
    report = mfcc.extract_to(tmp_path / "feats", clips, format=format)
    assert (report.done, report.skipped, report.failed) == (0, 5, 1)
    assert "a/1.wav" not in load_features(tmp_path / "feats").ids
    assert_complete(tmp_path / "feats", mfcc, clips)


def test_files_that_are_not_in_this_run_keep_their_rows(
    tmp_path: Path, clips: list[Path], mfcc: mirfeat.Extractor, format: Format
) -> None:
    mfcc.extract_to(tmp_path / "feats", clips, format=format)
    report = mfcc.extract_to(tmp_path / "feats", clips[:1], format=format)
    assert (report.done, report.skipped) == (0, 1)
    assert_complete(tmp_path / "feats", mfcc, clips)


def test_a_file_that_vanishes_is_a_failure(
    tmp_path: Path, clips: list[Path], mfcc: mirfeat.Extractor
) -> None:
    clips[2].unlink()
    report = mfcc.extract_to(tmp_path / "feats", clips)
    assert [failure.id for failure in report.failures] == ["a/3.wav"]
    assert "no such file" in report.failures[0].error


@pytest.mark.skipif(sys.platform != "linux", reason="needs names of any bytes")
def test_a_name_that_is_no_text_costs_no_other_file_anything(
    tmp_path: Path, clips: list[Path], mfcc: mirfeat.Extractor, format: Format
) -> None:
    for name, content in ((b"caf\xe9.wav", clips[0].read_bytes()), (b"bad\xe9.wav", b"none")):
        clips.append(clips[0].with_name(os.fsdecode(name)))
        clips[-1].write_bytes(content)
    report = mfcc.extract_to(tmp_path / "feats", clips, format=format)
    assert (report.done, report.failed) == (7, 1)
    table = load_features(tmp_path / "feats")
    assert r"a/caf\xe9.wav" in table.ids
    assert [failure.id for failure in table.failures] == [r"a/bad\xe9.wav"]
    assert mfcc.extract_to(tmp_path / "feats", clips, format=format).skipped == 7


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_seconds": 0.3}, "max_seconds: 0.3 here, None there"),
        ({"statistics": ("mean",)}, r"statistics: \['mean'\] here, \['mean', 'std'\] there"),
        ({"hop_seconds": 7.0}, "hop_seconds: 7.0 here, 29.0 there"),
    ],
)
def test_other_parameters_are_refused_before_anything_is_computed(
    tmp_path: Path,
    clips: list[Path],
    mfcc: mirfeat.Extractor,
    spy: Spy,
    options: dict[str, Any],
    said: str,
) -> None:
    store = tmp_path / "feats"
    mfcc.extract_to(store, clips[:3])
    spy.taken()
    other = mirfeat.load_extractor("mfcc", **options)
    with pytest.raises(ProvenanceError, match=said):
        other.extract_to(store, clips[:3])
    assert spy.taken() == []
    assert_complete(store, mfcc, clips[:3])
    report = other.extract_to(store, clips[:3], overwrite=True)
    assert (report.done, report.skipped) == (3, 0)
    assert_complete(store, other, clips[:3])


def test_without_resume_a_folder_of_features_is_refused(
    tmp_path: Path, clips: list[Path], mfcc: mirfeat.Extractor
) -> None:
    mfcc.extract_to(tmp_path / "feats", clips, resume=False)
    with pytest.raises(StoreError, match="holds features already"):
        mfcc.extract_to(tmp_path / "feats", clips, resume=False)


def test_ids_stay_the_same_when_the_run_takes_other_files(
    tmp_path: Path, clips: list[Path], mfcc: mirfeat.Extractor
) -> None:
    # Of files in a/ alone the common folder is a/; in this store they are called a/1.wav already.
    store = tmp_path / "feats"
    mfcc.extract_to(store, clips)
    report = mfcc.extract_to(store, clips[:2])
    assert (report.done, report.skipped) == (0, 2)
    assert StoreInfo.read(store).root == str(clips[0].parents[1])


def test_files_outside_the_root_of_a_folder_are_refused_with_advice(
    tmp_path: Path, clips: list[Path], mfcc: mirfeat.Extractor
) -> None:
    store = tmp_path / "feats"
    mfcc.extract_to(store, clips[:3])
    with pytest.raises(OptionError, match=r"b/1\.wav is not below .*a, which .* --root"):
        mfcc.extract_to(store, clips)
    assert_complete(store, mfcc, clips[:3])


def test_a_collection_that_has_moved_goes_on_under_its_new_root(
    tmp_path: Path, clips: list[Path], mfcc: mirfeat.Extractor, spy: Spy
) -> None:
    store, moved = tmp_path / "feats", tmp_path / "moved"
    mfcc.extract_to(store, clips)
    spy.taken()
    clips[0].parents[1].rename(moved)
    paths = [moved / path.parent.name / path.name for path in clips]
    report = mfcc.extract_to(store, paths, root=moved)
    assert (report.done, report.skipped) == (0, 6)
    paths.append(sound(moved / "c" / "9.wav", 9))
    assert mfcc.extract_to(store, paths, root=moved).done == 1
    assert mfcc.extract_to(store, paths).skipped == 7
    assert_complete(store, mfcc, paths)


def test_notes_are_counted_by_kind(tmp_path: Path, clips: list[Path]) -> None:
    for number in range(2):
        clips.append(clips[0].with_name(f"silent {number}.wav"))
        write_wav(clips[-1], np.zeros((1, RATE + number * 100), np.float32), RATE)
    tiling = mirfeat.load_extractor("choi2017", checkpoint="random", layers="1")
    report = tiling.extract_to(tmp_path / "feats", clips)
    assert report.notes == {"tiled": 8, "silent": 2}


def test_everything_failing_is_an_error_and_is_listed(
    tmp_path: Path, clips: list[Path], mfcc: mirfeat.Extractor
) -> None:
    for path in clips:
        damage(path)
    with pytest.raises(ExtractionError, match=r"all 6 files failed .*failures\.csv"):
        mfcc.extract_to(tmp_path / "feats", clips)
    assert len(load_features(tmp_path / "feats").failures) == 6


def test_on_error_raise_keeps_what_is_done(
    tmp_path: Path, clips: list[Path], mfcc: mirfeat.Extractor
) -> None:
    damage(clips[3])
    with pytest.raises(DecodeError):
        mfcc.extract_to(tmp_path / "feats", clips, on_error="raise")
    assert len(load_features(tmp_path / "feats")) == 3
    sound(clips[3], 3)
    assert mfcc.extract_to(tmp_path / "feats", clips, on_error="raise").skipped == 3
    assert_complete(tmp_path / "feats", mfcc, clips)


class Interrupt:
    """Ends a run from outside while it takes its ``number``-th row."""

    def __init__(self, error: BaseException, number: int) -> None:
        self._error, self._left, self._add = error, number, StoreWriter.add

    def __call__(self, store: StoreWriter, row: Any) -> None:
        self._left -= 1
        if not self._left:
            raise self._error
        self._add(store, row)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ZeroDivisionError("a bug"), SystemExit(1)])
def test_an_interrupted_run_keeps_what_is_done_and_leaves_no_thread(
    tmp_path: Path,
    clips: list[Path],
    mfcc: mirfeat.Extractor,
    format: Format,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
) -> None:
    store, interrupt = tmp_path / "feats", Interrupt(error, 4)
    with monkeypatch.context() as patch:
        patch.setattr(StoreWriter, "add", lambda *arguments: interrupt(*arguments))
        with pytest.raises(type(error)) as caught:
            mfcc.extract_to(store, clips, format=format, workers=2)
    # While the traceback still holds every frame.
    assert caught.tb is not None
    assert not decoders()
    table = load_features(store)
    assert table.ids == ("a/1.wav", "a/2.wav", "a/3.wav")
    report = mfcc.extract_to(store, clips, format=format)
    assert (report.done, report.skipped) == (3, 3)
    assert_complete(store, mfcc, clips)


def test_ctrl_c_in_the_middle_of_the_network_keeps_what_is_done(
    tmp_path: Path,
    clips: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    extractor, runs = mirfeat.load_extractor("mfcc", batch_size=2), 0
    network, add, written = DirectLane.launch, StoreWriter.add, threading.Event()
    # A shell starts background jobs with the signal ignored, and Python then leaves it so.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))

    def interrupted(self: DirectLane, segments: list[np.ndarray]) -> Any:
        nonlocal runs
        runs += 1
        if runs == 3:
            assert written.wait(20)
            signal.raise_signal(signal.SIGINT)
        return network(self, segments)

    def noted(self: StoreWriter, row: Any) -> None:
        add(self, row)
        if row.id == "a/2.wav":
            written.set()

    with monkeypatch.context() as patch:
        patch.setattr(DirectLane, "launch", interrupted)
        patch.setattr(StoreWriter, "add", noted)
        with pytest.raises(KeyboardInterrupt):
            extractor.extract_to(tmp_path / "feats", clips, workers=1)
    assert not decoders()
    assert len(load_features(tmp_path / "feats")) == 2
    assert extractor.extract_to(tmp_path / "feats", clips).skipped == 2


@pytest.mark.parametrize("cut", range(0, 7, 2))
def test_going_on_from_any_point_gives_the_same_table(
    tmp_path: Path, clips: list[Path], mfcc: mirfeat.Extractor, cut: int
) -> None:
    some = random.Random(cut).sample(clips, cut)
    mfcc.extract_to(tmp_path / "feats", some, root=clips[0].parents[1])
    report = mfcc.extract_to(tmp_path / "feats", clips)
    assert (report.done, report.skipped) == (6 - cut, cut)
    assert_complete(tmp_path / "feats", mfcc, clips)


def test_a_full_disk_ends_the_run_and_the_next_one_goes_on(
    tmp_path: Path, clips: list[Path], mfcc: mirfeat.Extractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_up(commit: Callable[[StoreWriter], None]) -> Callable[[StoreWriter], None]:
        def once(store: StoreWriter) -> None:
            patch.setattr("mirfeat.files.os.fsync", full)
            commit(store)

        return once

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    mfcc.extract_to(tmp_path / "feats", clips[:2], root=clips[0].parents[1])
    with monkeypatch.context() as patch:
        patch.setattr(StoreWriter, "commit", fill_up(StoreWriter.commit))
        with pytest.raises(StoreError, match="No space left on device"):
            mfcc.extract_to(tmp_path / "feats", clips)
    assert not decoders()
    assert len(load_features(tmp_path / "feats")) == 2
    mfcc.extract_to(tmp_path / "feats", clips)
    assert_complete(tmp_path / "feats", mfcc, clips)


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
import mirfeat
from mirfeat.store import writer
from mirfeat.store.csv_rows import CsvRows

torch.set_num_threads(1)  # as in these tests: the last digits depend on it
store, *clips = map(Path, sys.argv[1:])
writer.MOST_ROWS = 2
replace, parts = Path.replace, 0

def replace_or_die(self, target):
    global parts
    parts += target.name.startswith("part-")
    if parts == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, target)

Path.replace = replace_or_die
mirfeat.load_extractor("mfcc").extract_to(store, clips)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_run_killed_while_it_writes_goes_on_from_the_last_complete_part(
    tmp_path: Path, clips: list[Path], mfcc: mirfeat.Extractor
) -> None:
    store = tmp_path / "feats"
    command = [sys.executable, "-c", KILLED, str(store), *map(str, clips)]
    process = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert process.returncode == -9, process.stderr.decode()
    assert sorted(path.name for path in store.glob("part-*")) == [
        "part-000001.csv",
        "part-000002.csv",
    ]
    assert list(store.glob(".writing-*"))
    assert len(load_features(store)) == 4
    report = mfcc.extract_to(store, clips)
    assert (report.done, report.skipped) == (2, 4)
    assert not list(store.glob(".writing-*"))
    assert not list(store.glob("part-*"))
    text = (store / "features.csv").read_text(encoding="utf-8")
    assert text.count("\n") == 7
    assert_complete(store, mfcc, clips)


def test_a_joined_extractor_decodes_once_and_stores_both_vectors(
    tmp_path: Path, clips: list[Path], mfcc: mirfeat.Extractor
) -> None:
    joined = mirfeat.concatenate(mfcc, mirfeat.load_extractor("mfcc", hop_seconds=0.5))
    joined.extract_to(tmp_path / "feats", clips)
    assert load_features(tmp_path / "feats").values.shape == (6, 240)
    with pytest.raises(EmptyAudioError):
        joined.extract(np.zeros(0, np.float32), RATE)
