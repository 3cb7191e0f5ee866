"""The benchmark against peers: clips, environments, runs and their limits, ratios, tables."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks import peer_runs, peers
from benchmarks.peer_runs import Limits, Outcome
from benchmarks.peer_tables import per_file, print_clips, print_long, ratio
from benchmarks.peer_tools import (
    BASELINE,
    ENVIRONMENTS,
    REFERENCE,
    TOOLS,
    TORCH,
    Tool,
    build,
    select,
)
from mirfeat.errors import OptionError

LIMITS = Limits(60.0, 8e9)
PEER_STEPS = ENVIRONMENTS["torch"]


def outcome(seconds: float | None, files: int = 2, failure: str = "") -> Outcome:
    return Outcome(files, 1.5, seconds, seconds, 2e6, 88, {"Python": "3"}, failure)


def test_every_tool_has_its_worker_and_environment():
    folder = Path(peers.__file__).parent / "peer_workers"
    for tool in TOOLS:
        assert (folder / f"{tool.worker}.py").is_file()
        assert tool.environment in ("", *ENVIRONMENTS)


def test_selection_keeps_what_others_are_compared_with():
    assert [tool.name for tool in select(["panns"])] == [
        BASELINE,
        REFERENCE,
        "panns_inference Cnn14",
    ]
    assert select([""]) == list(TOOLS)
    with pytest.raises(OptionError, match=r"--tools nosuch.*musicnn"):
        select(["nosuch"])


@pytest.mark.parametrize("bad", [("--clips", "0"), ("--rounds", "-1"), ("--long-rounds", "-1")])
def test_impossible_numbers_are_refused(bad):
    with pytest.raises(OptionError, match=f"{bad[0]} {bad[1]}"):
        peers.parse(["--environments", "x", *bad])


def test_clips_are_stereo_mp3_that_differ(tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "CLIP_SECONDS", 0.5)
    clips, long_path = peers.make_clips(tmp_path, count=3, minutes=0.02, workers=1)
    sounds = []
    for path in clips:
        assert soundfile.info(path).format == "MP3"
        samples, rate = soundfile.read(path)
        assert rate == 44_100
        assert samples.shape == (22_050, 2)
        sounds.append(samples / np.abs(samples).max())
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(sounds[one] - sounds[other]).max() > 0.1
    assert soundfile.info(long_path).duration == pytest.approx(1.2, abs=0.01)


def test_ratio_pairs_rounds_and_skips_failed_ones():
    mine = [outcome(4.0), outcome(None, failure="stopped"), outcome(30.0)]
    other = [outcome(2.0), outcome(1.0), outcome(10.0), outcome(7.0)]
    # Rounds 1 and 3: 2 and 3. The ratio of the medians would be 17 / 4.5.
    assert ratio(mine, other, per_file) == pytest.approx(2.5)
    assert ratio(mine[1:2], other, per_file) is None


def test_tables_have_numbers_and_what_happened():
    tools = [Tool(REFERENCE, "run_mirfeat"), Tool("slow", "run_slow", note="its note")]
    tools.append(Tool("short only", "run_short", long_file=False))
    outcomes = {
        REFERENCE: [outcome(2.0), outcome(4.0)],
        "slow": [outcome(None, failure="stopped after 5 s")],
        "short only": [outcome(6.0)],
    }
    text = io.StringIO()
    with redirect_stdout(text):
        print_clips(tools, outcomes)
    lines = {
        line.split("|")[1].strip(): line for line in text.getvalue().splitlines() if "|" in line
    }
    assert "| 88 | 2 x 2 | 1.500 (1.000 to 2.000) | 1.00 | 1.500 | 2 | 1.5 |" in lines[REFERENCE]
    assert lines["slow"].endswith("| stopped after 5 s; its note |")
    assert "| 3.000 | 3.00 |" in lines["short only"]
    assert len({line.count("|") for line in lines.values()}) == 1
    with redirect_stdout(long_text := io.StringIO()):
        print_long(tools, outcomes, 10.0)
    assert "10 minutes" in long_text.getvalue()
    assert "stopped after 5 s" in long_text.getvalue()
    assert "short only" not in long_text.getvalue()


def script(folder: Path, name: str, body: str) -> Tool:
    """A worker beside the real ones in another package of the same names."""
    (folder / f"{name}.py").write_text(body, encoding="utf-8")
    return Tool(name, name)


@pytest.fixture
def workers(tmp_path, monkeypatch) -> Path:
    package = tmp_path / "fake_workers"
    package.mkdir()
    (package / "__init__.py").write_text("")
    real = Path(peers.__file__).parent / "peer_workers" / "protocol.py"
    (package / "protocol.py").write_text(real.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(peer_runs, "ROOT", tmp_path)
    monkeypatch.setattr(peer_runs, "WORKERS", "fake_workers")
    return package


GOOD = """
import sys, time, os, subprocess
import numpy as np
from fake_workers.protocol import serve
def load(options):
    print("tools print")
    def vectors(paths):
        subprocess.run(["echo", "their children too"])
        time.sleep(0.1 * len(paths))
        return [np.zeros((4, 7)) for _ in paths]
    return vectors
serve(load, ("numpy",))
"""


def test_a_run_reports_times_memory_and_versions(workers):
    found = peer_runs.run(script(workers, "good", GOOD), workers, [Path("a"), Path("b")], LIMITS, 1)
    assert found.failure == ""
    assert found.numbers == 7
    assert found.versions["numpy"] == np.__version__
    assert 0.2 <= found.seconds < 1.0
    assert found.cold_seconds >= 0.1
    # An interpreter with NumPy.
    assert 1e7 < found.peak_bytes < 2e8


def test_a_run_that_fails_says_how(workers):
    body = GOOD.replace("time.sleep(", "if paths[1:]: raise MemoryError('no | room')\n        (")
    found = peer_runs.run(script(workers, "bad", body), workers, [Path("a"), Path("b")], LIMITS, 1)
    assert found.seconds is None
    assert found.cold_seconds is not None
    assert found.failure == "MemoryError: no / room"


def test_a_run_is_stopped_at_its_limits_with_its_children(workers):
    parent = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', {child!r}])\n"
    slow = script(workers, "slow", parent.format(child="import time; time.sleep(60)"))
    found = peer_runs.run(slow, workers, [Path("a")], Limits(0.5, 8e9), None)
    assert found.failure.startswith("stopped after")
    assert found.peak_bytes > 1e6
    hungry = "import time; x = bytearray(b'x' * 200_000_000); time.sleep(60)"
    big = script(workers, "big", parent.format(child=hungry))
    found = peer_runs.run(big, workers, [Path("a")], Limits(30.0, 1e8), None)
    assert "GB of memory" in found.failure
    assert found.peak_bytes > 1e8


def test_threads_are_the_tools_choice_unless_told(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert "OMP_NUM_THREADS" not in peer_runs._variables(None, None)
    assert peer_runs._variables(None, 1)["OMP_NUM_THREADS"] == "1"
    assert peer_runs._variables(Path("/env"), None)["HOME"] == str(Path("/env") / "home")


def test_an_environment_that_cannot_be_built_is_a_remark(tmp_path):
    failures = build(tmp_path, ["signal"], "torch", str(tmp_path / "no-python"))
    assert failures["signal"].startswith("not installed: ")
    assert "no-python" in failures["signal"]


def test_a_finished_environment_is_kept_while_its_steps_are_the_same(tmp_path):
    steps = [["torch==2" if word == TORCH else word for word in step] for step in PEER_STEPS]
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "built.json").write_text(json.dumps(steps))
    assert build(tmp_path, ["torch"], "torch==2", "no-python") == {}
    assert "torch" in build(tmp_path, ["torch"], "torch==3", "no-python")


def test_the_memory_of_a_killed_process_is_named():
    assert "memory" in peer_runs.failure(-9, "")
    assert peer_runs.failure(-11, "first\nlast\n") == "signal 11: last"
    assert peer_runs.failure(1, "") == "(silent)"
