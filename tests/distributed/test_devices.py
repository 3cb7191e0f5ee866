"""A process for each device; here the devices are processors."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mirfeat
from mirfeat.distributed import devices
from mirfeat.distributed.devices import extract_on_devices
from mirfeat.errors import DecodeError, ExtractionError, OptionError
from mirfeat.store.in_hand import left_in_hand
from mirfeat.store.reading import load_features
from tests.support.killers import killing
from tests.support.sounds import music, write_wav

RATE = 12_000
posix = pytest.mark.skipif(os.name != "posix", reason="needs signals")


@pytest.fixture
def clips(tmp_path: Path) -> list[Path]:
    (tmp_path / "music").mkdir()
    paths = [tmp_path / "music" / f"{index:02d}.wav" for index in range(9)]
    for seed, path in enumerate(paths):
        write_wav(path, music(0.5, RATE, seed=seed), RATE)
    paths[4].write_text("this is no audio")
    return paths


def test_two_processes_fill_one_folder_like_one(tmp_path: Path, clips: list[Path]) -> None:
    mfcc = mirfeat.load_extractor("mfcc", device="cpu")
    first = mfcc.extract_to(tmp_path / "both", clips[:2], root=tmp_path)
    assert first.done == 2
    report = extract_on_devices(clips, tmp_path / "both", "mfcc", ["cpu", "cpu"], workers=1)
    assert (report.done, report.skipped, report.failed) == (6, 2, 1)
    table, alone = load_features(tmp_path / "both"), mfcc.extract_files(clips, root=tmp_path)
    np.testing.assert_array_equal(table.aligned(alone.ids), alone.values)
    assert sorted(table.ids) == sorted(alone.ids)
    assert [(f.id, f.error_type) for f in table.failures] == [("music/04.wav", "DecodeError")]
    again = extract_on_devices(clips[:4], tmp_path / "both", "mfcc", ["cpu", "cpu"])
    assert (again.done, again.skipped) == (0, 4)


def test_the_first_bad_file_ends_a_run_that_is_to_be_ended(
    tmp_path: Path, clips: list[Path]
) -> None:
    with pytest.raises(DecodeError, match=r"04\.wav"):
        extract_on_devices(clips, tmp_path / "feats", "mfcc", ["cpu"], on_error="raise")


def test_a_process_that_is_killed_is_reported_and_not_waited_for(
    tmp_path: Path, clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = devices._next

    def killing(results: Any, processes: Any) -> Any:
        os.kill(processes[0].pid, signal.SIGKILL)
        return original(results, processes)

    monkeypatch.setattr(devices, "_next", killing)
    with pytest.raises(ExtractionError, match="exit codes"):
        extract_on_devices(clips, tmp_path / "feats", "mfcc", ["cpu"])
    monkeypatch.undo()
    report = extract_on_devices(clips, tmp_path / "feats", "mfcc", ["cpu"])
    assert report.done + report.skipped == 8


@posix
def test_a_file_that_kills_a_process_of_several_is_left_out_by_the_next_run(
    tmp_path: Path, clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, folder = tmp_path / "feats", clips[0].parent
    paths = [write_wav(folder / "killer.wav", music(0.5, RATE), RATE), *clips]
    with killing(tmp_path, monkeypatch):
        with pytest.raises(ExtractionError, match=r"exit codes .*-11.*without the file that"):
            extract_on_devices(paths, store, "mfcc", ["cpu", "cpu"], workers=1)
        assert left_in_hand(store) == ("killer.wav",)
        mfcc = mirfeat.load_extractor("mfcc", device="cpu")
        report = mfcc.extract_to(store, paths)
    assert "killed its process (SIGSEGV)" in report.failures[0].error
    table = load_features(store)
    assert sorted(table.ids) == [path.name for path in clips if path.name != "04.wav"]
    kinds = {failure.id: failure.error_type for failure in table.failures}
    assert kinds == {"killer.wav": "KilledProcessError", "04.wav": "DecodeError"}
    assert left_in_hand(store) == ()
    assert not list(store.glob(".in-hand*"))


# Its workers would wait for ever: nobody takes their second result.
ORPHANS = """
import os, signal, sys
from mirfeat.distributed import devices
def killed(results, processes):
    os.kill(os.getpid(), signal.SIGKILL)
devices._next, devices._WAITING_RESULTS = killed, 1
devices.extract_on_devices(sys.argv[2:], sys.argv[1], "mfcc", ["cpu"])
"""


@posix
def test_processes_of_a_run_that_was_killed_end_with_it(tmp_path: Path, clips: list[Path]) -> None:
    command = [sys.executable, "-c", ORPHANS, str(tmp_path / "feats"), *map(str, clips)]
    # Waits for everybody who could write, not for the process that it starts alone.
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL


def test_what_goes_wrong_in_a_process_is_raised_here(
    tmp_path: Path, clips: list[Path], capfd: pytest.CaptureFixture[str]
) -> None:
    # Torch knows such devices, in a process that asks for one it has none.
    with pytest.raises(OptionError, match="device='xpu:77' is not to be had"):
        extract_on_devices(clips, tmp_path / "feats", "mfcc", ["xpu:77"])
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("wrong", [["gpu"], ["cpu", "cpu:x"]])
def test_no_such_device(tmp_path: Path, clips: list[Path], wrong: list[str]) -> None:
    with pytest.raises(OptionError, match="not a device"):
        extract_on_devices(clips, tmp_path / "feats", "mfcc", wrong)


@pytest.mark.parametrize("there", [0, 2])
def test_a_cuda_device_too_many_is_refused_before_anything_is_made(
    tmp_path: Path, clips: list[Path], monkeypatch: pytest.MonkeyPatch, there: int
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: there)
    with pytest.raises(OptionError, match=rf"'cuda:2': there are {there} CUDA devices here"):
        extract_on_devices(clips, tmp_path / "feats", "mfcc", ["cpu", "cuda:2"])
    assert not (tmp_path / "feats").exists()


def test_all_devices_where_there_are_none(
    tmp_path: Path, clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(OptionError, match="no CUDA device"):
        extract_on_devices(clips, tmp_path / "feats", "mfcc")


@pytest.mark.gpu
def test_every_gpu_there_is(tmp_path: Path, clips: list[Path]) -> None:
    assert extract_on_devices(clips, tmp_path / "feats", "choi2017").done == 8
