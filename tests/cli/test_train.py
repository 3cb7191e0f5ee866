"""The commands manifest, cache, targets and train: what they print, and their exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from mirfeat.training.manifest import read_manifest
from tests.support.commands import Mirfeat, in_process
from tests.support.training_data import write_config, write_corpus

pytestmark = pytest.mark.usefixtures("small_runs")
SECTIONS: dict[str, Any] = {
    "sources": {"names": ["genre", "tag"], "factors": 3},
    "optimiser": {"batch": 4, "steps": 2},
}


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Mirfeat:
    """Run a command in this process."""
    return in_process(capsys)


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    """Configuration of a corpus of its own."""
    write_corpus(tmp_path)
    return write_config(tmp_path / "run.toml", "kim2018-mtn", **SECTIONS)


def test_a_manifest_of_a_folder(run: Mirfeat, toml: Path, tmp_path: Path) -> None:
    output = tmp_path / "found.csv"
    done = run("manifest", tmp_path / "audio", "-o", output)
    assert done.code == 0
    assert done.out == f"{output}\n"
    assert "12 tracks" in done.err
    assert len(read_manifest(output)) == 12
    done = run("manifest", tmp_path / "audio", "-o", output, "--json", "--quiet")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out) == {"tracks": 12, "failures": []}


def test_files_that_are_no_audio_are_named(run: Mirfeat, toml: Path, tmp_path: Path) -> None:
    bad = tmp_path / "audio" / "t04.wav"
    bad.write_text("no audio")
    done = run("manifest", tmp_path / "audio", "-o", tmp_path / "found.csv", "--json")
    assert done.code == 1
    record = json.loads(done.out)
    assert record["tracks"] == 11
    assert len(record["failures"]) == 1
    assert "t04.wav" in done.err


def test_a_cache_is_filled_once(run: Mirfeat, toml: Path, tmp_path: Path) -> None:
    done = run("cache", toml)
    assert done.code == 0
    folder = Path(done.out.strip())
    assert folder.parent == tmp_path / "cache"
    assert list(folder.glob("volume-*.f16"))
    assert "12 tracks" in done.err
    done = run("cache", toml, "--json", "--quiet")
    assert json.loads(done.out) == {"folder": str(folder), "tracks": 12, "failures": 0}
    assert done.err == ""


def test_a_cache_is_filled_by_several_jobs(run: Mirfeat, toml: Path) -> None:
    tracks = [json.loads(run("cache", toml, "--json", "--shard", f"{number}/5").out)["tracks"]
              for number in range(1, 6)]  # fmt: skip
    assert 0 < tracks[0] < tracks[-1] == 12
    assert tracks == sorted(tracks)


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "1/", "/2", "a/b", "1/2/3", "-1/2", "1/0"])
def test_shards_that_cannot_be(shard: str, run: Mirfeat, toml: Path) -> None:
    done = run("cache", toml, f"--shard={shard}")
    assert done.code == 2
    assert "3/20 for job 3 of 20" in done.err or "shards are counted from 1" in done.err
    assert done.out == ""


def test_a_cache_without_the_files_that_fail(run: Mirfeat, toml: Path, tmp_path: Path) -> None:
    (tmp_path / "audio" / "t04.wav").write_text("no audio")
    done = run("cache", toml, "--json")
    assert done.code == 1
    assert json.loads(done.out)["tracks"] == 11
    assert json.loads(done.out)["failures"] == 1


def test_targets_are_shown_before_a_long_run(run: Mirfeat, toml: Path) -> None:
    done = run("targets", toml)
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0].split(maxsplit=1) == ["genre", "3 numbers, 9 of 9 tracks"]
    assert [line.strip() for line in lines[1:4]] == ["beeps", "drone", "noise"]
    assert lines[4].startswith("tag ")
    record = json.loads(run("targets", toml, "--json").out)
    assert record["genre"] == {
        "size": 3, "tracks": 9, "of": 9, "names": ["beeps", "drone", "noise"],
    }  # fmt: skip
    assert list(record) == ["genre", "tag"]


def test_training_prints_where_the_checkpoint_is(run: Mirfeat, toml: Path, tmp_path: Path) -> None:
    path = tmp_path / "run" / "kim2018-mtn.safetensors"
    done = run("train", toml, "--device", "cpu", "--json", "--quiet")
    assert done.code == 0
    assert json.loads(done.out) == {"checkpoint": str(path)}
    assert path.is_file()
    assert run("train", toml, "--device", "cpu", "--quiet").out == f"{path}\n"
    done = run("info", "kim2018-mtn", "--checkpoint", path)
    assert done.code == 0


def test_errors_are_one_line_and_code_2(run: Mirfeat, toml: Path, tmp_path: Path) -> None:
    for command in ("cache", "targets", "train"):
        done = run(command, tmp_path / "nowhere.toml")
        assert done.code == 2
        assert "nowhere.toml: cannot be read" in done.err
        bad = write_config(tmp_path / "bad.toml", "kim2018-mtn", optimiser={"lr": 1.0})
        done = run(command, bad)
        assert done.code == 2
        assert "unknown key 'lr'" in done.err
        assert "Traceback" not in done.err
    other = write_config(tmp_path / "other.toml", "kim2018-mtn", manifest="nowhere.csv")
    done = run("train", other)
    assert done.code == 2
    assert "nowhere.csv" in done.err
    untrained = write_config(tmp_path / "mfcc.toml", "mfcc")
    done = run("train", untrained, "--device", "cpu")
    assert done.code == 2
    assert "mfcc is not trained" in done.err
    assert "Traceback" not in done.err


def test_another_run_in_the_folder_is_refused_until_overwrite(
    run: Mirfeat, toml: Path, tmp_path: Path
) -> None:
    assert run("train", toml, "--device", "cpu", "--quiet").code == 0
    write_config(toml, "kim2018-mtn", **{**SECTIONS, "seed": 5})
    done = run("train", toml, "--device", "cpu")
    assert done.code == 2
    assert "another configuration" in done.err
    assert run("train", toml, "--device", "cpu", "--quiet", "--overwrite").code == 0


def test_a_precision_that_is_none(run: Mirfeat, toml: Path) -> None:
    done = run("train", toml, "--device", "cpu", "--precision", "7-bit")
    assert done.code == 2
    assert "7-bit" in done.err
    assert "Traceback" not in done.err


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_device_that_is_not_there(run: Mirfeat, toml: Path) -> None:
    done = run("train", toml, "--device", "cuda")
    assert done.code == 2
    assert "training on Hardware(device='cuda'" in done.err
    assert "Traceback" not in done.err
