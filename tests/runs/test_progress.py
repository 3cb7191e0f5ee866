"""What a run shows while it goes."""

import json
import time

import pytest

from mirfeat.pipeline.profile import Profile
from mirfeat.runs import progress
from mirfeat.runs.progress import Progress, Steps, counted


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.rpartition("\r")[2]


def test_the_bar_follows_bytes_and_counts_files_audio_and_failures(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sizes = {"small": 100, "large": 900}
    with Progress("choi2017", sizes, total=4, there=2, shown=True) as bar:
        bar.add("small", 30.0, failed=False, waiting_on="decode")
        bar._display.bar.refresh()
        line = shown(capsys)
        assert " 10%" in line
        assert "3/4 files, 30.0 s of audio" in line
        assert "waiting on decode" in line
        bar.add("large", 0.0, failed=True)
    line = shown(capsys)
    assert "100%" in line
    assert "4/4 files" in line
    assert "1 failed" in line


def test_files_of_unknown_size_count_one_each(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("mfcc", None, total=2, shown=True) as bar:
        bar.add("a", 1.0, failed=False)
        bar._display.bar.refresh()
        assert " 50%" in shown(capsys)


def test_missing_files_do_not_break_the_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("mfcc", {"gone": -1, "empty": 0}, total=2, shown=True) as bar:
        bar.add("gone", 0.0, failed=True)
        bar.add("empty", 0.0, failed=True)
    assert "100%" in shown(capsys)


def test_endless_runs_have_no_end(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("mfcc", None, total=None, shown=True) as bar:
        bar.add("a", 90.0, failed=False)
    line = shown(capsys)
    assert "1 files, 90.0 s of audio" in line
    assert "%" not in line


@pytest.mark.parametrize(("total", "there", "shown_"), [(5, 5, True), (5, 0, False), (5, 0, None)])
def test_nothing_is_shown_where_nothing_is_to_do_or_nobody_looks(
    capsys: pytest.CaptureFixture[str], total: int, there: int, shown_: bool | None
) -> None:
    with Progress("mfcc", None, total=total, there=there, shown=shown_) as bar:
        bar.add("a", 1.0, failed=False)
    assert capsys.readouterr().err == ""


def test_a_profile_adds_up_and_says_what_is_waited_for() -> None:
    profile = Profile()
    assert profile.waiting_on == ""
    with profile.spent("wait"):
        time.sleep(0.01)
    profile.add("network", 0.005)
    profile.add("decode", 1.0)
    assert profile.waiting_on == "decode"
    profile.add("network", 3600.0)
    assert profile.waiting_on == "network"
    assert profile.seconds["decode"] == 1.0
    assert profile.seconds["network"] == pytest.approx(3600.005)


def test_off_a_terminal_a_line_comes_every_half_a_minute(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with Progress("mfcc", None, total=100, there=10) as bar:
        for _ in range(90):
            now[0] += 1.0
            bar.add("a", 2.0, failed=False)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "mfcc: 40/100 files, 60.0 s of audio, 2x real time",
        "mfcc: 70/100 files, 2.0 min of audio, 2x real time",
        "mfcc: 100/100 files, 3.0 min of audio, 2x real time",
    ]


def test_in_a_notebook_there_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not progress._in_notebook()
    bar = type("tqdm", (progress.tqdm,), {"__module__": "tqdm.notebook"})
    monkeypatch.setattr(progress, "tqdm", bar)
    assert progress._in_notebook()
    with Progress("mfcc", None, total=2) as shown_there:
        assert not shown_there._display.bar.disable


def test_machines_get_an_object_a_second_and_the_last(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with Progress("mfcc", None, total=5, shown="json") as bar:
        for failed in (False, False, True, False, False):
            now[0] += 0.5
            bar.add("a", 0.0 if failed else 2.0, failed=failed)
    objects = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(one["files"], one["failed"], one["seconds"]) for one in objects] == [
        (2, 0, 1.0),
        (4, 1, 2.0),
        (5, 1, 2.5),
    ]
    assert objects[-1] == {
        "progress": "mfcc",
        **{"files": 5, "of": 5, "failed": 1, "audio_seconds": 8.0, "seconds": 2.5},
    }


def test_steps_say_how_many_and_how_long_off_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    steps = Steps("svm-grid", 100, "trainings", done=20)
    for _ in range(80):
        now[0] += 1.0
        steps()
    steps.tell("held-out tag 0.500")
    assert capsys.readouterr().err.splitlines() == [
        "svm-grid: 50/100 trainings, about 50.0 s left",
        "svm-grid: 80/100 trainings, about 20.0 s left",
        "svm-grid: held-out tag 0.500",
    ]


def test_steps_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(counted("ab", "cache", 2, "tracks", "json")) == ["a", "b"]
    (line,) = capsys.readouterr().err.splitlines()
    record = json.loads(line)
    assert record.pop("seconds") >= 0
    assert record == {"progress": "cache", "done": 2, "of": 2, "unit": "tracks"}
    steps = Steps("train", 4, "steps", "json", done=2)
    steps.tell("words", held_out={"tag": 0.5})
    record = json.loads(capsys.readouterr().err)
    assert (record["done"], record["held_out"]) == (2, {"tag": 0.5})


def test_steps_that_are_not_shown_say_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    steps = Steps("train", 1, "steps", False)
    steps.tell("words")
    steps()
    assert list(counted([], "cache", 0, "tracks", True)) == []
    assert capsys.readouterr().err == ""
