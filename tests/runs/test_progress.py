"""What a run shows while it goes."""

import time

import pytest

from mirfeat.pipeline.profile import Profile
from mirfeat.runs import progress
from mirfeat.runs.progress import Progress


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.rpartition("\r")[2]


def test_the_bar_follows_bytes_and_counts_files_audio_and_failures(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sizes = {"small": 100, "large": 900}
    with Progress("choi2017", sizes, total=4, there=2, shown=True) as bar:
        bar.add("small", 30.0, failed=False, waiting_on="decode")
        bar._bar.refresh()
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
        bar._bar.refresh()
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
        assert not shown_there._bar.disable
