"""What goes wrong in a run: files that kill, a machine without more, files that are gone."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mirfeat
from mirfeat.cli import main
from mirfeat.csvfiles import read_csv, write_csv
from mirfeat.errors import (
    DecodeError,
    ExtractionError,
    MachineError,
    NonFiniteFeatureError,
    OutOfMemoryError,
)
from mirfeat.files import UNFINISHED
from mirfeat.networks import checkpoint, hamel2013
from mirfeat.pipeline import clip
from mirfeat.pipeline.faults import Faults
from mirfeat.runs import probe
from mirfeat.store import in_hand
from mirfeat.store.formats import FORMATS, Format
from mirfeat.store.in_hand import InHand, discard, left_in_hand
from mirfeat.store.reading import load_features
from mirfeat.store.record import read_failures
from tests.support.killers import killing
from tests.support.sounds import music, write_wav

RATE = 12_000
posix = pytest.mark.skipif(os.name != "posix", reason="needs signals")


@pytest.fixture(scope="module")
def mfcc() -> mirfeat.Extractor:
    return mirfeat.load_extractor("mfcc", device="cpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six short files."""
    folder = tmp_path / "music"
    folder.mkdir()
    for number in range(6):
        write_wav(folder / f"{number}.wav", music(0.2, RATE, seed=number), RATE)
    return folder


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


# Files that end the process that decodes them


def command(folder: Path, store: Path, *options: str) -> subprocess.CompletedProcess[str]:
    line = ["extract", str(folder), "-m", "mfcc", "-o", str(store), "--workers", "2", *options]
    return subprocess.run(
        [sys.executable, "-m", "mirfeat", *line], capture_output=True, text=True, check=False
    )


@posix
def test_a_file_that_kills_its_process_is_listed_by_the_next_run_which_goes_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    write_wav(folder / "killer.wav", music(0.2, RATE, seed=9), RATE)
    with killing(tmp_path, monkeypatch):
        assert command(folder, store).returncode == -signal.SIGSEGV
        second = command(folder, store)
        assert second.returncode == 1, second.stderr
        assert "killer.wav: killed its process (SIGSEGV) while it was decoded" in second.stderr
        # Known by now, and not tried again.
        third = command(folder, store)
        assert third.returncode == 0, third.stderr
    table = load_features(store)
    assert sorted(table.ids) == [f"{number}.wav" for number in range(6)]
    assert [(f.id, f.error_type) for f in table.failures] == [("killer.wav", "KilledProcessError")]
    assert not (store / in_hand.NAME).exists()
    # Decoders get better: where it kills no more, it is a file like any other.
    assert command(folder, store, "--retry-failed").returncode == 0
    assert len(load_features(store).ids) == 7


@posix
def test_only_what_kills_a_process_of_its_own_is_blamed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "text.wav").write_text("no audio")
    for name in ("killer.wav", "second-killer.wav"):
        write_wav(folder / name, music(0.2, RATE), RATE)
    names = ["0.wav", "killer.wav", "text.wav", "gone.wav", "second-killer.wav", "1.wav"]
    with killing(tmp_path, monkeypatch):
        found = list(probe.killers([folder / name for name in names], None))
    assert found == [(1, "SIGSEGV"), (4, "SIGSEGV")]


@posix
@pytest.mark.parametrize("code", ["0", "1", "signal.SIGTERM", "signal.SIGINT"])
def test_a_probe_that_cannot_work_blames_nobody(
    code: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = f"os.kill(os.getpid(), {code})" if "signal" in code else f"os._exit({code})"
    program = f"import os, signal\nsignal.signal(2, 0)\n{end}\n"
    with killing(tmp_path, monkeypatch, program):
        assert list(probe.killers([folder / "0.wav"], None)) == []


def test_a_note_says_what_was_begun_and_not_ended(tmp_path: Path) -> None:
    note = InHand(tmp_path)
    assert left_in_hand(tmp_path) == ()
    with note.holding("a"), note.holding('b\n"ü'):
        assert left_in_hand(tmp_path) == ("a", 'b\n"ü')
    assert left_in_hand(tmp_path) == ()
    note.end()
    assert os.listdir(tmp_path) == []


def test_every_worker_has_a_note_of_its_own(tmp_path: Path) -> None:
    notes = [InHand(tmp_path, worker) for worker in ("", "0", "node.new-7")]
    with ExitStack() as stack:
        for note, id in zip(notes, "abc", strict=True):
            stack.enter_context(note.holding(id))
        assert sorted(left_in_hand(tmp_path)) == ["a", "b", "c"]
        notes[0].end()
        assert left_in_hand(tmp_path) == ("b", "c")
        InHand(tmp_path, "0").end()  # another process, which has noted nothing
        assert left_in_hand(tmp_path) == ("b", "c")
        discard(tmp_path, "0")
        assert left_in_hand(tmp_path) == ("c",)
        discard(tmp_path)
        assert os.listdir(tmp_path) == []


def test_a_note_that_nobody_has_looked_at_survives_an_interrupted_start(
    folder: Path, tmp_path: Path, mfcc: mirfeat.Extractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    mfcc.extract_to(store, files(folder)[:1], root=folder)
    (store / in_hand.NAME).write_text('+"1.wav"\n')

    def interrupted(*arguments: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(probe, "killers", interrupted)
        with pytest.raises(KeyboardInterrupt):
            mfcc.extract_to(store, files(folder), root=folder)
    assert left_in_hand(store) == ("1.wav",)
    assert mfcc.extract_to(store, files(folder), root=folder).done == 5
    assert left_in_hand(store) == ()


def test_a_note_stays_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_hand, "_MOST_LINES", 10)
    note = InHand(tmp_path)
    with note.holding("long"):
        for number in range(100):
            with note.holding(str(number)):
                assert left_in_hand(tmp_path) == ("long", str(number))
        assert (tmp_path / in_hand.NAME).stat().st_size < 200
    note.end()


@pytest.mark.parametrize("content", [b"", b"+", b'+"a"\n+"b', b"\xff\n+[1]\n+null\n", b"+" * 999])
def test_a_damaged_note_is_no_obstacle(tmp_path: Path, content: bytes) -> None:
    (tmp_path / in_hand.NAME).write_bytes(content)
    assert left_in_hand(tmp_path) == (("a",) if b'"a"' in content else ())


@posix
def test_what_is_no_file_is_no_note(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / in_hand.NAME)  # reading it would never end
    (tmp_path / f"{in_hand.NAME}-0").symlink_to("/dev/zero")
    (tmp_path / f"{in_hand.NAME}-1").mkdir()
    assert left_in_hand(tmp_path) == ()
    discard(tmp_path)
    assert os.listdir(tmp_path) == [f"{in_hand.NAME}-1"]


def test_a_note_is_not_written_through_a_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("years of work")
    for name in (in_hand.NAME, f"{UNFINISHED}{in_hand.NAME}"):
        (tmp_path / name).symlink_to(victim)
    with InHand(tmp_path).holding("a"):
        assert victim.read_text() == "years of work"


# Whose fault it is


def failing(monkeypatch: pytest.MonkeyPatch, errors: dict[str, Callable[[], Exception]]) -> None:
    """Have decoding these files raise."""
    real = clip.open_clip

    @contextmanager
    def opened(source: Any, max_seconds: float | None) -> Iterator[Any]:
        if (error := errors.get(Path(source).name)) is not None:
            raise error()
        with real(source, max_seconds) as reader:
            yield reader

    monkeypatch.setattr(clip, "open_clip", opened)


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.ENOMEM])
@pytest.mark.parametrize("wrapped", [False, True])
def test_an_error_of_the_machine_ends_the_run_and_is_put_on_no_file(
    code: int,
    wrapped: bool,
    mfcc: mirfeat.Extractor,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def error() -> Exception:
        cause = OSError(code, os.strerror(code))
        if not wrapped:
            return cause
        outer = DecodeError("not readable")
        outer.__cause__ = cause
        return outer

    failing(monkeypatch, {"3.wav": error})
    with pytest.raises(MachineError, match=f"^{errno.errorcode[code]}: .*No file is at fault"):
        mfcc.extract_to(tmp_path / "store", files(folder), workers=1)
    table = load_features(tmp_path / "store")
    assert list(table.ids) == ["0.wav", "1.wav", "2.wav"]
    assert table.failures == ()


def test_an_error_of_reading_is_the_files(
    mfcc: mirfeat.Extractor, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, {"3.wav": lambda: OSError(errno.EIO, "Input/output error")})
    report = mfcc.extract_to(tmp_path / "store", files(folder))
    assert (report.done, report.failed) == (5, 1)


@pytest.mark.parametrize(
    "error", [MemoryError, lambda: RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_a_clip_without_memory_is_listed_and_two_in_a_row_end_the_run(
    error: Callable[[], Exception],
    mfcc: mirfeat.Extractor,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        failing(patch, {"1.wav": error, "3.wav": error})
        report = mfcc.extract_to(tmp_path / "store", files(folder), workers=1)
    assert [(f.id, f.error_type) for f in report.failures] == [
        ("1.wav", "OutOfMemoryError"),
        ("3.wav", "OutOfMemoryError"),
    ]
    failing(monkeypatch, {"2.wav": error, "3.wav": error})
    with pytest.raises(MachineError, match=r"no memory for .*3\.wav, nor for the file before"):
        mfcc.extract_to(tmp_path / "other", files(folder), workers=1)
    assert len(load_features(tmp_path / "other").ids) == 2


def test_what_is_nobodys_fault_is_a_bug() -> None:
    with pytest.raises(KeyError):
        Faults().of_clip("a", KeyError("x"))
    with pytest.raises(KeyboardInterrupt):
        Faults().of_clip("a", KeyboardInterrupt())
    assert Faults().of_clip("a", None) is None
    assert isinstance(Faults().of_clip("a", MemoryError()), OutOfMemoryError)


def test_a_vector_that_is_not_finite_is_a_failure(folder: Path, tmp_path: Path) -> None:
    weights = hamel2013.initialise("hamel2013-tag", 0)
    large = {key: torch.full_like(tensor, 3e38) for key, tensor in weights.tensors.items()}
    path = tmp_path / "large.safetensors"
    checkpoint.write(path, replace(weights, tensors=large))
    extractor = mirfeat.load_extractor("hamel2013-tag", checkpoint=path, device="cpu")
    with pytest.raises(NonFiniteFeatureError, match="numbers of its features are NaN or infinite"):
        extractor.extract(files(folder)[0])
    with pytest.raises(NonFiniteFeatureError):
        extractor.embed(files(folder)[0])
    with pytest.raises(NonFiniteFeatureError):
        list(extractor.extract_many(files(folder), on_error="raise"))
    with pytest.raises(ExtractionError, match="all 6 files failed"):
        extractor.extract_to(tmp_path / "store", files(folder))
    assert {f.error_type for f in read_failures(tmp_path / "store")} == {"NonFiniteFeatureError"}


# Files that are gone


@pytest.mark.parametrize("format", FORMATS)
def test_rows_of_files_that_are_gone_are_named_and_dropped_on_demand(
    format: Format, mfcc: mirfeat.Extractor, folder: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    (folder / "6.wav").write_text("no audio")
    assert mfcc.extract_to(store, files(folder), format=format).gone == ()
    (folder / "2.wav").rename(folder / "two.wav")
    (folder / "4.wav").unlink()
    (folder / "6.wav").unlink()
    report = mfcc.extract_to(store, files(folder), root=folder, format=format)
    assert report.gone == ("2.wav", "4.wav", "6.wav")
    assert len(load_features(store).ids) == 7
    present = load_features(store, present_only=True)
    assert sorted(present.ids) == ["0.wav", "1.wav", "3.wav", "5.wav", "two.wav"]
    assert present.values.shape == (5, mfcc.dimension)
    assert present.failures == ()
    # A run over a part of the music says nothing of the rest of it.
    assert mfcc.extract_to(store, files(folder)[:1], root=folder, format=format, prune=True).gone
    assert sorted(load_features(store).ids) == ["0.wav", "1.wav", "3.wav", "5.wav", "two.wav"]
    assert read_failures(store) == []
    if format in ("npz", "npy"):
        assert sorted(p.stem for p in store.glob(f"*.{format}")) == sorted(
            Path(name).name for name in ("0.wav", "1.wav", "3.wav", "5.wav", "two.wav")
        )
    assert mfcc.extract_to(store, files(folder), root=folder, format=format).gone == ()


@posix
def test_a_file_whose_name_is_no_text_is_not_gone(
    mfcc: mirfeat.Extractor, folder: Path, tmp_path: Path
) -> None:
    path = folder / os.fsdecode(b"l\xfc\xff.wav")
    path.write_bytes((folder / "0.wav").read_bytes())
    (folder / "a\\xfcb.wav").write_bytes((folder / "0.wav").read_bytes())
    mfcc.extract_to(tmp_path / "store", files(folder), root=folder)
    report = mfcc.extract_to(tmp_path / "store", [folder / "0.wav"], root=folder)
    assert report.gone == ()
    path.unlink()
    report = mfcc.extract_to(tmp_path / "store", [folder / "0.wav"], root=folder)
    assert report.gone == ("l\\xfc\\xff.wav",)


# Files that are known to fail


def extract(folder: Path, store: Path, *options: str) -> int:
    line = ["extract", folder, "-m", "mfcc", "-o", store, "-q", *options]
    return main([str(part) for part in line])


def test_failures_that_are_known_are_no_news(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, bad = tmp_path / "store", folder / "bad.wav"
    bad.write_text("no audio")
    assert extract(folder, store) == 1
    for options in ((), ("--retry-failed",), ("--keep-failed",)):
        assert extract(folder, store, *options) == 0, options
    capsys.readouterr()
    assert extract(folder, store, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["failed"], report["known"], report["kept"]) == (1, 1, 0)
    assert extract(folder, store, "--json", "--keep-failed") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["failed"], report["known"], report["kept"]) == (1, 1, 1)
    # Another content is another file, and another failure is news.
    bad.write_text("still no audio")
    assert extract(folder, store, "--keep-failed") == 1
    (folder / "worse.wav").write_text("")
    assert extract(folder, store) == 1
    assert extract(folder, store) == 0
    # What works at last is a row.
    bad.write_bytes((folder / "0.wav").read_bytes())
    assert extract(folder, store, "--keep-failed") == 0
    assert "bad.wav" in load_features(store).ids
    assert [failure.id for failure in read_failures(store)] == ["worse.wav"]


def test_a_list_of_failures_of_an_earlier_mirfeat_is_read_and_its_files_are_tried(
    folder: Path, tmp_path: Path
) -> None:
    store, bad = tmp_path / "store", folder / "bad.wav"
    bad.write_text("no audio")
    assert extract(folder, store) == 1
    (failure,) = read_failures(store)
    columns = ("id", "error_type", "error")
    write_csv(store / "failures.csv", columns, [[failure.id, "DecodeError", "of before"]])
    assert [found.error for found in read_failures(store)] == ["of before"]
    assert extract(folder, store, "--keep-failed") == 1  # nobody knows which state failed
    assert extract(folder, store, "--keep-failed") == 0
    ((*_, size, mtime_ns),) = read_csv(store / "failures.csv", (*columns, "size", "mtime_ns"))
    assert (int(size), int(mtime_ns)) == (bad.stat().st_size, bad.stat().st_mtime_ns)


# Signals

SLOW = """
import sys, time
from mirfeat.cli import main
from mirfeat.store.writer import StoreWriter
write, add = StoreWriter._write_rows, StoreWriter.add
def slowly(self, rows):
    print("writing", flush=True)
    time.sleep(0.4)
    write(self, rows)
def added(self, row):
    add(self, row)
    print("added", flush=True)
    time.sleep(0.05)
StoreWriter._write_rows, StoreWriter.add = slowly, added
sys.exit(main(sys.argv[1:]))
"""


@posix
@pytest.mark.parametrize(
    ("signals", "code"),
    [
        ((signal.SIGINT, signal.SIGINT, signal.SIGINT), 130),
        ((signal.SIGTERM, signal.SIGTERM), 143),
        ((signal.SIGHUP,), 129),
    ],
    ids=["SIGINT", "SIGTERM", "SIGHUP"],
)
def test_signals_keep_what_is_done_however_often_they_come(
    signals: tuple[int, ...], code: int, folder: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    for number in range(6, 60):
        (folder / f"{number}.wav").write_bytes((folder / "0.wav").read_bytes())
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, "extract", str(folder), "-m", "mfcc", "-o", str(store), "-q"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        for _ in range(3):
            # The wrapper writes to stdout itself, which commands hand to stderr.
            assert process.stderr is not None
            assert re.match("added|writing", process.stdout.readline())
        for number in signals:
            process.send_signal(number)
            time.sleep(0.04)
        assert process.wait(60) == code
    done = len(load_features(store).ids)
    assert 3 <= done < 60
    assert np.isfinite(load_features(store).values).all()
    assert extract(folder, store) == 0
    assert len(load_features(store).ids) == 60
