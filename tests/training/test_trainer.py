"""Training from end to end: checkpoints, resuming to the same bytes, what is refused."""

import json
import logging
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mirfeat import load_extractor
from mirfeat.cli import main
from mirfeat.csvfiles import read_csv
from mirfeat.errors import (
    CheckpointMismatchError,
    ConfigError,
    MissingPackageError,
    TrainingError,
)
from mirfeat.files import sha256_of
from mirfeat.networks import checkpoint
from mirfeat.training import loop, preparation, runlog, state, trainer
from mirfeat.training.config import TrainConfig
from mirfeat.training.crops import CropSource, crop_stream
from mirfeat.training.manifest import read_manifest, write_manifest
from mirfeat.training.mel_cache import MelCache
from mirfeat.training.preparation import Hardware
from mirfeat.training.state import RunState
from mirfeat.training.trainer import train
from tests.conftest import REPOSITORY
from tests.support.training_data import config_of, rows, write_config, write_corpus

pytestmark = pytest.mark.usefixtures("small_runs")
# One extractor of each family, with everything random switched on in two of them.
CHANGES = {
    "gain_db": 6, "equaliser_db": 6, "shift_bands": 3, "stretch": 0.1, "swap": 0.5, "mono": 0.3,
    "lowpass": 0.5, "mix": 0.5, "mask": 0.5,
}  # fmt: skip
CASES: dict[str, dict[str, Any]] = {
    "hamel2013-tag": {
        "sources": {"names": ["tags"]},
        "optimiser": {"batch": 4, "steps": 4},
    },
    "kim2018-mtn": {
        "sources": {"names": ["genre", "mfcc"], "factors": 3},
        "optimiser": {"batch": 4, "steps": 4, "schedule": "cosine", "warmup": 2},
        "augmentation": CHANGES,
    },
    "kim2019-ms-cr-2": {
        "sources": {"names": ["self", "tag"], "factors": 3, "order": "together"},
        "optimiser": {"batch": 2, "steps": 2},
        "augmentation": CHANGES,
    },
    "choi2017": {
        "sources": {"factors": 4},
        "optimiser": {"batch": 2, "steps": 2},
        "validation": {"crops": 1},
    },
}
# The cheapest network that has everything a state must hold: batch norm, dropout, Adam, a
# learning rate that depends on the step, several sources.
QUICK: dict[str, Any] = {
    "cache": "../cache",
    "sources": {"names": ["genre", "tag"], "factors": 3},
    "optimiser": {"batch": 4, "steps": 5, "schedule": "cosine", "warmup": 2},
    "augmentation": CHANGES,
    "validation": {"every": 1, "crops": 2},
}
CPU = Hardware(device="cpu")
SAVE_ALWAYS = replace(CPU, save_seconds=-1.0)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the corpus; runs of this module share its cache."""
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder)
    return folder


Quick = Callable[..., TrainConfig]


@pytest.fixture
def quick(corpus: Path, tmp_path: Path) -> Quick:
    """A short run of kim2018-mtn with its own output folder; sections given are added."""

    def make(name: str = "run", **values: Any) -> TrainConfig:
        sections = {key: dict(value) for key, value in QUICK.items() if isinstance(value, dict)}
        for key, value in values.items():
            if isinstance(value, dict):
                sections[key] = {**sections.get(key, {}), **value}
            else:
                sections[key] = value
        config = config_of(tmp_path / f"{name}.toml", "kim2018-mtn", **sections)
        return replace(config, manifest=corpus / "tracks.csv", cache=corpus / "cache")

    return make


Contents = tuple[str, dict[str, Any]]


def run(config: TrainConfig, hardware: Hardware = CPU, **options: Any) -> Contents:
    """Train; what the checkpoint holds."""
    return contents(train(config, hardware, progress=False, **options))


def contents(path: Path) -> Contents:
    """Hash of all tensors, and the record."""
    weights = checkpoint.read(path)
    return checkpoint.digest(weights.tensors), dict(weights.metadata)


DRAW = runlog.RunLog.draw


def log_of(config: TrainConfig) -> list[list[str]]:
    return list(read_csv(config.output / "log.csv", runlog.HEADER))


def steps_of(config: TrainConfig) -> list[int]:
    """Steps in the log, one for each validation."""
    return [int(line[0]) for line in log_of(config) if line[2] == runlog.MEAN]


def interrupt_at(
    monkeypatch: pytest.MonkeyPatch, step: int, error: type[BaseException] = KeyboardInterrupt
) -> None:
    """Have the step of this number never happen."""
    real = loop.Training.step

    def interrupted(self: Any, learner: Any, levels: Any, rows: Any, number: int) -> Any:
        if number == step:
            raise error
        return real(self, learner, levels, rows, number)

    monkeypatch.setattr(loop.Training, "step", interrupted)


# -- from a table of tracks to vectors ------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_function_and_command_train_the_same_checkpoint_that_gives_vectors(
    name: str, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_of(corpus / f"{name}-api.toml", name, **CASES[name])
    path = train(config, CPU, progress=False)
    assert path == config.output / f"{name}.safetensors"
    toml = write_config(corpus / f"{name}-cli.toml", name, **CASES[name])
    assert main(["train", str(toml), "--device", "cpu", "--quiet"]) == 0
    said = Path(capsys.readouterr().out.strip())
    assert said == corpus / f"{name}-cli" / f"{name}.safetensors"
    assert contents(said) == contents(path)
    with load_extractor(name, checkpoint=str(path)) as extractor:
        vectors = [extractor.extract(corpus / "audio" / f"t{i:02d}.wav") for i in (0, 4)]
        if name == "choi2017":  # as many tags as there were, by the names they had
            tags = extractor.tags(corpus / "audio" / "t00.wav", top=9)
            assert {tag.name for tag in tags} == {"calm", "high", "loud", "low"}
    assert all(np.isfinite(vector).all() and vector.any() for vector in vectors)
    assert not np.allclose(*vectors)


def test_the_record_says_how_the_weights_were_made(corpus: Path, quick: Quick) -> None:
    config = quick(licence="CC0-1.0", seed=3)
    weights = checkpoint.read(train(config, CPU, progress=False))
    record = weights.metadata
    assert record["extractor"] == "kim2018-mtn"
    assert record["licence"] == "CC0-1.0"
    assert record["training_data"] == "9 tracks, 0.01 hours, 3 artists."
    assert record["sources"] == {"genre": 3, "tag": 3}
    training = record["training"]
    assert training["config"] == json.loads(json.dumps(config.to_dict()))
    assert training["corpus"]["tracks"] == 9
    assert training["corpus"]["hours_by_licence"] == {"CC0-1.0": 0.01}
    assert training["corpus"]["tracks_by_source"] == {"genre": 9, "tag": 9}
    assert training["factor_words"]["genre"] == ["beeps", "drone", "noise"]
    assert training["manifest_sha256"] == read_manifest(corpus / "tracks.csv").sha256
    assert (training["steps"], training["torch_version"]) == (5, str(torch.__version__))
    assert str(corpus) not in json.dumps(record)
    assert json.loads((config.output / "run.json").read_text()) == record
    dtypes = {key: tensor.dtype for key, tensor in weights.tensors.items()}
    assert set(dtypes.values()) == {torch.float32}  # read as float32, matrices stored as half
    kernel = weights.tensors["network.trunk.0.conv.weight"]
    assert torch.equal(kernel, kernel.half().float())


def test_the_last_validation_of_each_source_is_logged(quick: Quick) -> None:
    config = quick(validation={"every": 2})
    run(config)
    assert steps_of(config) == [2, 4, 5]
    lines = log_of(config)
    scores = [line for line in lines if line[2] in ("genre", "tag")]
    assert all(float(line[4]) <= 1.0 for line in scores if line[4])
    assert {line[2] for line in lines if line[3]} <= {"genre", "tag"}
    assert all(float(line[3]) > 0 for line in lines if line[3])


def test_held_out_tracks_that_tell_nothing_do_not_stop_a_run(tmp_path: Path) -> None:
    write_corpus(tmp_path, rows()[:10])  # one of them is held out
    config = config_of(
        tmp_path / "run.toml",
        "kim2019-ms-cr-6",
        sources={"names": ["self", "tag"], "factors": 2},
        optimiser={"batch": 2, "steps": 1},
        validation={"crops": 2},
    )
    run(config)
    assert [line[4] for line in log_of(config)][-1] == "nan"
    written = json.loads((config.output / "run.json").read_text())
    assert written["training"]["validation_score"] is None
    assert written["training"]["chosen_step"] == 1


def test_more_crops_than_a_pass_holds_are_validated(quick: Quick) -> None:
    config = quick(validation={"crops": 101, "every": 0}, optimiser={"steps": 1})
    run(config)
    assert steps_of(config) == [1]


# -- the same, again ------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 3, 4])
def test_an_interrupted_run_ends_with_the_same_bytes(
    step: int, quick: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(quick("whole"))
    config = quick("parts")
    with monkeypatch.context() as patch:
        interrupt_at(patch, step)
        with pytest.raises(KeyboardInterrupt):
            run(config, SAVE_ALWAYS)
    assert not (config.output / "kim2018-mtn.safetensors").exists()
    saved = torch.load(config.output / "state.pt", weights_only=True)
    assert saved["step"] == step
    assert run(config) == whole
    assert steps_of(config) == [1, 2, 3, 4, 5]


def test_what_was_logged_after_the_last_save_is_logged_once(
    quick: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(quick("whole"))
    config = quick("parts")
    real = RunState.save

    def killed_in_step_4(self: RunState) -> None:
        if self.step == 4:
            raise KeyboardInterrupt
        real(self)

    with monkeypatch.context() as patch:
        patch.setattr(RunState, "save", killed_in_step_4)
        with pytest.raises(KeyboardInterrupt):
            run(config, SAVE_ALWAYS)
    assert steps_of(config) == [1, 2, 3, 4]  # step 4 is lost
    assert run(config) == whole
    assert steps_of(config) == [1, 2, 3, 4, 5]


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_a_killed_process_is_continued_to_the_same_bytes(quick: Quick, tmp_path: Path) -> None:
    long = {"optimiser": {"steps": 30}, "validation": {"every": 10}}
    whole = run(quick("whole", **long))
    config = quick("killed", **long)
    script = f"""
import sys, torch
from pathlib import Path
torch.set_num_threads(1)
from dataclasses import replace
from mirfeat.training import loop, preparation, trainer
from mirfeat.training.config import read_config
from mirfeat.training.recipes import DEFAULTS
loop._SAMPLE = 8
config = read_config(Path({str(tmp_path / "killed.toml")!r}), DEFAULTS)
config = replace(config, manifest=Path({str(config.manifest)!r}), cache=Path({str(config.cache)!r}))
trainer.train(config, preparation.Hardware(device="cpu", save_seconds=-1.0), progress=False)
"""
    process = subprocess.Popen([sys.executable, "-c", script])
    saved = config.output / "state.pt"
    deadline = time.monotonic() + 300
    while not saved.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    step = torch.load(saved, weights_only=True)["step"]
    assert 0 < step < 30
    assert run(config) == whole
    assert steps_of(config) == [10, 20, 30]


def test_same_seed_same_bytes_other_seed_others(quick: Quick) -> None:
    first, again = quick("first"), quick("again")
    assert run(first) == run(again)
    files = [config.output / "kim2018-mtn.safetensors" for config in (first, again)]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert run(quick("other", seed=1)) != contents(files[0])


@pytest.mark.parametrize("workers", [1, 2])
def test_processes_that_read_ahead_change_nothing(workers: int, quick: Quick) -> None:
    assert run(quick("ahead"), replace(CPU, workers=workers)) == run(quick("plain"))


def test_a_finished_run_is_not_trained_again(quick: Quick, monkeypatch: pytest.MonkeyPatch) -> None:
    config = quick()
    whole = run(config)
    (config.output / "kim2018-mtn.safetensors").unlink()
    for step in range(5):
        interrupt_at(monkeypatch, step, AssertionError)
    assert run(config) == whole
    assert steps_of(config) == [1, 2, 3, 4, 5]


def test_overwrite_begins_anew(quick: Quick, monkeypatch: pytest.MonkeyPatch) -> None:
    config = quick()
    whole = run(config)
    with monkeypatch.context() as patch:
        interrupt_at(patch, 0)
        with pytest.raises(KeyboardInterrupt):
            run(config, overwrite=True)
    assert run(config, overwrite=True) == whole
    assert steps_of(config) == [1, 2, 3, 4, 5]
    other = quick(seed=1)
    assert run(other, overwrite=True) != whole


def test_the_best_step_is_chosen_or_the_last(quick: Quick, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = iter([0.1, 0.8, 0.8, 0.2, 0.3] * 2)
    monkeypatch.setattr(loop.Validator, "scores", lambda self: {"genre": next(planted), "tag": 0.0})
    constant = {"schedule": "constant"}
    best, last = quick("best", optimiser=constant), quick("last", optimiser=constant)
    last = replace(last, validation=replace(last.validation, choose="last"))
    chosen = {name: checkpoint.read(train(config, CPU, progress=False))
              for name, config in (("best", best), ("last", last))}  # fmt: skip
    assert chosen["best"].metadata["training"]["chosen_step"] == 3  # the later of two equal ones
    assert chosen["best"].metadata["training"]["validation_score"] == 0.4
    planted = iter([0.1] * 3)
    short = quick("short", optimiser={**constant, "steps": 3}, validation={"choose": "last"})
    after_3 = checkpoint.read(train(short, CPU, progress=False))
    assert same_tensors(chosen["best"], after_3)
    assert not same_tensors(chosen["last"], after_3)


def same_tensors(first: checkpoint.Weights, second: checkpoint.Weights) -> bool:
    assert first.tensors.keys() == second.tensors.keys()
    return all(torch.equal(first.tensors[key], second.tensors[key]) for key in first.tensors)


def test_the_best_weights_survive_an_interruption(
    quick: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = {1: 0.1, 2: 0.9, 3: 0.2, 4: 0.3, 5: 0.4}
    made: list[loop.Validator] = []

    def planted(self: loop.Validator) -> dict[str, float]:
        made.append(self)
        return {"genre": scores[len(made)]}

    monkeypatch.setattr(loop.Validator, "scores", planted)
    whole = run(quick("whole"))
    made.clear()
    config = quick("parts")
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            run(config, SAVE_ALWAYS)
    assert run(config) == whole
    record = json.loads((config.output / "run.json").read_text())["training"]
    assert (record["chosen_step"], record["validation_score"]) == (2, 0.9)


@pytest.fixture
def scaled(monkeypatch: pytest.MonkeyPatch) -> list[torch.amp.GradScaler]:
    """Have ``16-mixed`` run on the processor, where Fabric takes bfloat16; scalers made so far."""
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.precision import MixedPrecision

    scalers, real = [], trainer._fabric

    def fabric(hardware: Hardware) -> Any:
        if hardware.precision != "16-mixed":
            return real(hardware)
        # The first steps overflow at this scale and are skipped, until it is low enough.
        scalers.append(torch.amp.GradScaler("cpu", init_scale=2.0**16))
        plugin = MixedPrecision("16-mixed", "cpu", scalers[-1])
        made = Fabric(accelerator="cpu", devices=1, plugins=[plugin])
        made.launch()
        return made

    monkeypatch.setattr(trainer, "_fabric", fabric)
    return scalers


MIXED = replace(CPU, precision="16-mixed")


def test_an_interrupted_run_in_float16_goes_on_with_the_scale_it_had(
    quick: Quick, scaled: list[torch.amp.GradScaler], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, config = run(quick("whole"), MIXED), quick("parts")
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            run(config, replace(MIXED, save_seconds=-1.0))
    assert run(config, MIXED) == whole
    uninterrupted, first, second = scaled
    assert first.get_scale() < 2.0**16  # or this shows nothing
    assert second.state_dict() == uninterrupted.state_dict()
    assert second.state_dict()["_growth_tracker"] > first.state_dict()["_growth_tracker"]


@pytest.mark.parametrize(("before", "after"), [(CPU, MIXED), (MIXED, CPU)])
def test_precision_may_change_on_the_way(
    before: Hardware,
    after: Hardware,
    quick: Quick,
    scaled: list[torch.amp.GradScaler],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = quick()
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            run(config, replace(before, save_seconds=-1.0))
    saved = torch.load(config.output / "state.pt", weights_only=True)["precision"]
    assert bool(saved) == (before is MIXED)
    run(config, after)
    assert steps_of(config) == [1, 2, 3, 4, 5]
    assert len(scaled) == 1


def test_half_precision_on_the_processor(quick: Quick) -> None:
    config = quick()
    half = run(config, replace(CPU, precision="bf16-mixed"))
    assert half != run(quick("whole"))
    weights = checkpoint.read(config.output / "kim2018-mtn.safetensors")
    assert all(tensor.isfinite().all() for tensor in weights.tensors.values())


# -- what is refused ------------------------------------------------------------------------------


def test_another_configuration_in_the_same_folder_is_refused(quick: Quick) -> None:
    before = run(quick())
    with pytest.raises(ConfigError, match=r"another configuration.*--overwrite"):
        run(quick(optimiser={"rate": 0.5}))
    assert contents(quick().output / "kim2018-mtn.safetensors") == before


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "pickle", "other"])
def test_a_damaged_state_is_an_error_that_says_what_to_do(
    damage: str, quick: Quick, tmp_path: Path
) -> None:
    config = quick()
    whole = run(config)
    path = config.output / "state.pt"
    trap = tmp_path / "executed"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-1000])
    elif damage == "pickle":
        path.write_bytes(pickle.dumps(Trap(trap)))
    elif damage == "other":
        torch.save({"weights": torch.zeros(3)}, path)
    else:
        path.write_text("no state" if damage == "text" else "")
    with pytest.raises(ConfigError, match=r"state\.pt: not a readable state.*--overwrite"):
        run(config)
    assert not trap.exists()
    assert run(config, overwrite=True) == whole


class Trap:
    """Touches a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


@pytest.fixture
def own(corpus: Path, tmp_path: Path) -> Quick:
    """A short run with a manifest, counts and an ``initial`` that a test may change."""
    table = [{**row, "path": str(corpus / row["path"])} for row in rows()]
    write_manifest(tmp_path / "tracks.csv", table)
    counts = [f"u{k % 3},t{k:02d},{k + 1}" for k in range(12)]
    (tmp_path / "counts.csv").write_text("\n".join(["user,item,count", *counts]) + "\n")

    def make(**sources: Any) -> TrainConfig:
        sections: dict[str, Any] = {**QUICK, "cache": str(corpus / "cache")}
        sections["sources"] = {**sections["sources"], **sources}
        sections["optimiser"] = {"batch": 4, "steps": 2}
        return config_of(tmp_path / "run.toml", "kim2018-mtn", **sections)

    return make


def with_initial(config: TrainConfig) -> TrainConfig:
    """The same run, beginning with weights beside it that an earlier one made."""
    initial = config.manifest.with_name("initial.safetensors")
    initial.write_bytes(train(config, CPU, progress=False).read_bytes())
    return replace(config, output=config.output.with_name("second"), initial=initial)


def digits(path: Path) -> str:
    return sha256_of(path)[:12]


def test_another_manifest_is_refused_by_its_hash(own: Quick) -> None:
    config = own()
    whole, before = run(config), config.manifest.read_bytes()
    then = digits(config.manifest)
    # As many labels as there were: the network would fit.
    config.manifest.write_bytes(before.replace(b",noise,", b",drone,", 1))
    assert config.manifest.read_bytes() != before
    with pytest.raises(ConfigError) as caught:
        run(config)
    assert str(caught.value) == (
        f"{config.output} has a run with other data: 'manifest', {config.manifest}, has changed "
        f"(sha256 {digits(config.manifest)}…, it was {then}…). Put back what it was begun with, "
        "choose another output folder, or begin anew with --overwrite."
    )
    assert contents(config.output / "kim2018-mtn.safetensors") == whole
    elsewhere = config.manifest.with_name("moved.csv")
    elsewhere.write_bytes(before)
    assert run(replace(config, manifest=elsewhere)) == whole
    assert run(config, overwrite=True) != whole
    assert run(config)


def test_other_listening_counts_are_refused_where_they_are_learnt(own: Quick) -> None:
    config = own(names=["tag", "taste"], taste="counts.csv")
    whole, path = run(config), config.manifest.with_name("counts.csv")
    before = path.read_text()
    path.write_text(before.replace("u0,t00,1\n", "u0,t00,9\n"))
    with pytest.raises(ConfigError, match=rf"other data: 'taste', .+counts.csv, .*{digits(path)}"):
        run(config)
    path.write_text(before)
    assert run(config) == whole
    unused = own(taste="counts.csv")
    whole = run(unused, overwrite=True)
    path.unlink()
    assert run(unused) == whole


def test_another_initial_is_refused_if_its_tensors_are_others(own: Quick) -> None:
    config = with_initial(own())
    whole, path = run(config), config.initial
    weights = checkpoint.read(path)
    checkpoint.write(path, replace(weights, metadata={**weights.metadata, "licence": "MIT"}))
    assert run(config) == whole
    key, tensor = next(iter(weights.tensors.items()))
    checkpoint.write(path, replace(weights, tensors={**weights.tensors, key: tensor + 1}))
    with pytest.raises(ConfigError, match=r"'initial', .+initial.safetensors, .*--overwrite"):
        run(config)
    assert run(config, overwrite=True) != whole


def test_an_initial_that_came_or_went_is_refused(own: Quick) -> None:
    config = with_initial(own())
    without = replace(config, initial=Path())
    run(config)
    with pytest.raises(ConfigError, match="begun with 'initial', which is not used now"):
        run(without)
    run(without, overwrite=True)
    with pytest.raises(ConfigError, match=r"begun without 'initial', now .+initial.safetensors"):
        run(config)


def test_an_initial_that_is_gone_is_missed_at_the_start_alone(
    own: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = with_initial(own())
    with monkeypatch.context() as patch:
        interrupt_at(patch, 1)
        with pytest.raises(KeyboardInterrupt):
            run(config, SAVE_ALWAYS)
    weights = checkpoint.read(config.initial)
    config.initial.unlink()
    whole = run(config)
    with pytest.raises(CheckpointMismatchError, match=r"initial\.safetensors"):
        run(replace(config, output=config.output.with_name("third")))
    # The run that could not see it has not forgotten which it was.
    checkpoint.write(config.initial, replace(weights, tensors={}))
    with pytest.raises(ConfigError, match="other data: 'initial'"):
        run(config)
    checkpoint.write(config.initial, weights)
    assert run(config) == whole


def with_state_of(config: TrainConfig, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change what is saved of a run."""
    path = config.output / "state.pt"
    saved = torch.load(path, weights_only=True)
    del saved["sha256"]
    change(saved)
    torch.save({**saved, "sha256": state.seal_of(saved)}, path)


def of_earlier_mirfeat(state: dict[str, Any]) -> None:
    del state["inputs"], state["precision"]


def test_a_flipped_bit_in_a_state_is_noticed_or_changes_nothing(quick: Quick) -> None:
    config = quick()
    run(config)
    path = config.output / "state.pt"
    good = path.read_bytes()
    expected = state.seal_of(torch.load(path, weights_only=True))
    refused = 0
    draw = np.random.default_rng(0)
    for place in draw.integers(0, len(good), 40):
        damaged = bytearray(good)
        damaged[place] ^= 1 << int(draw.integers(8))
        path.write_bytes(damaged)
        earlier = RunState(config, {"manifest": sha256_of(config.manifest)})
        try:
            assert earlier.load()
        except ConfigError:
            refused += 1
        else:
            # In what the archive says of itself, or in the space between its parts.
            assert state.seal_of(torch.load(path, weights_only=True)) == expected
    assert refused > 20


@pytest.mark.skipif(os.name != "posix", reason="needs limits of processes")
def test_a_state_that_does_not_fit_the_disk_says_so_and_the_one_before_stays(quick: Quick) -> None:
    import resource

    config = quick()
    run(config)
    path = config.output / "state.pt"
    before = path.read_bytes()
    steps = replace(config, optimiser=replace(config.optimiser, steps=6))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    path.unlink()
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(TrainingError, match=r"state\.pt: cannot be written \(File too large\)"):
            run(steps, SAVE_ALWAYS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [item.name for item in config.output.glob(".writing-*")] == []


def test_an_interrupted_run_keeps_the_steps_it_has_made(
    quick: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was saved before: Ctrl-C comes in the middle of step 3, twice, and waits."""
    whole = run(quick("whole"))
    config = quick("parts")
    real = loop.Training.step

    def step(self: Any, learner: Any, levels: Any, rows: Any, number: int) -> Any:
        if number == 2:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        return real(self, learner, levels, rows, number)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Training, "step", step)
        with pytest.raises(KeyboardInterrupt):
            run(config)
    assert torch.load(config.output / "state.pt", weights_only=True)["step"] == 3
    assert run(config) == whole


def test_a_run_that_an_earlier_mirfeat_began_goes_on_and_is_checked_from_then_on(
    quick: Quick, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    whole, config = run(quick("whole")), quick("parts")
    with monkeypatch.context() as patch:
        interrupt_at(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            run(config, SAVE_ALWAYS)
    with_state_of(config, of_earlier_mirfeat)
    assert not caplog.records
    assert run(config) == whole
    (record,) = caplog.records
    assert "did not note the sha256 of manifest" in record.getMessage()
    saved = torch.load(config.output / "state.pt", weights_only=True)
    assert saved["inputs"] == {"manifest": sha256_of(config.manifest)}


def test_a_state_of_other_labels_is_refused(own: Quick) -> None:
    config = own()
    run(config)
    with_state_of(config, of_earlier_mirfeat)  # later ones name the table that differs
    text = config.manifest.read_text()
    config.manifest.write_text(text.replace(",drone,", ",fanfare,", 1))
    with pytest.raises(ConfigError, match=r"other tracks or labels.*--overwrite"):
        run(config)
    assert run(config, overwrite=True)


def test_a_loss_that_is_not_finite_stops_the_run_before_it_does_harm(
    quick: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = quick()
    real = loop.Augmenter.__call__
    calls: list[int] = []

    def spoilt(self: Any, levels: torch.Tensor, seed: int, **options: Any) -> Any:
        calls.append(seed)
        return real(self, levels * float("nan" if len(calls) == 3 else 1), seed, **options)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Augmenter, "__call__", spoilt)
        with pytest.raises(TrainingError, match=r"step 2: the loss of \w+ is nan.*optimiser\.rate"):
            run(config, SAVE_ALWAYS)
    assert run(config) == run(quick("whole"))


def test_ctrl_c_is_no_crash_and_the_run_goes_on(
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    values = {"manifest": str(corpus / "tracks.csv"), "cache": str(corpus / "cache")}
    toml = write_config(tmp_path / "run.toml", "kim2018-mtn", **{**QUICK, **values})
    with monkeypatch.context() as patch:
        interrupt_at(patch, 2)
        assert main(["train", str(toml), "--device", "cpu"]) == 130
    assert "mirfeat: interrupted" in capsys.readouterr().err
    assert main(["train", str(toml), "--device", "cpu", "--quiet"]) == 0


def test_training_needs_lightning_fabric(quick: Quick, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'mirfeat\[train\]'"):
        run(quick())


def test_files_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    for name in ("t00", "t05", "t11"):
        (tmp_path / "audio" / f"{name}.wav").write_text("no audio")
    (tmp_path / "audio" / "t03.wav").unlink()
    sections = {key: value for key, value in QUICK.items() if key != "cache"}
    config = config_of(tmp_path / "run.toml", "kim2018-mtn", **sections)
    prepared = preparation.prepare(config, CPU, progress=False)
    assert [failure.id for failure in prepared.failures] == ["t00", "t03", "t05", "t11"]
    run(config)
    record = json.loads((config.output / "run.json").read_text())["training"]
    assert record["corpus"]["tracks"] == 6
    for path in (tmp_path / "audio").iterdir():
        path.write_text("no audio")
    config = replace(config, cache=tmp_path / "elsewhere")
    with pytest.raises(TrainingError, match="not one of 12 files could be read"):
        run(config, overwrite=True)


def test_a_source_needs_two_tracks(tmp_path: Path) -> None:
    table = rows()
    for row in table[1:9]:
        row["bpm"] = None
    write_corpus(tmp_path, table)
    config = config_of(
        tmp_path / "run.toml", "kim2019-ms-cr-2", sources={"names": ["bpm"]},
        optimiser={"batch": 2, "steps": 1},
    )  # fmt: skip
    with pytest.raises(TrainingError, match="1 training tracks for the source 'bpm'; it takes 2"):
        run(config)


# -- several processes ----------------------------------------------------------------------------


def test_a_batch_is_divided_evenly_or_not_at_all() -> None:
    trainer._check_batch(6, 3)
    for batch, processes in ((7, 3), (3, 3)):
        with pytest.raises(ConfigError, match=rf"batch = {batch} for 3 processes.*6 or more"):
            trainer._check_batch(batch, processes)


TWO = """
import json, sys, torch
from pathlib import Path
torch.set_num_threads(1)
from mirfeat.cli import main
from mirfeat.training import crops, loop
loop._SAMPLE = 8
real = crops.CropSource.draw
def draw(self, rows, chances, size, generator, **options):
    batch = real(self, rows, chances, size, generator, **options)
    with open(Path(sys.argv[-1]) / f"rows-{options['process']}", "a") as file:
        file.write(json.dumps([options["processes"], size, batch.rows.tolist()]) + "\\n")
    return batch
crops.CropSource.draw = draw
if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:-1]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs gloo")
def test_two_processes_share_the_batches_of_one(corpus: Path, tmp_path: Path) -> None:
    values = {"manifest": str(corpus / "tracks.csv"), "cache": str(corpus / "cache")}
    toml = write_config(tmp_path / "two.toml", "kim2018-mtn", **{**QUICK, **values})
    script = tmp_path / "script.py"
    script.write_text(TWO)
    command = ["train", toml, "--device", "cpu", "--devices", 2, "--quiet", "--json", tmp_path]
    done = subprocess.run(
        [sys.executable, script, *map(str, command)],
        capture_output=True, text=True, timeout=300, check=False,
        cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": "."},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    path = tmp_path / "two" / "kim2018-mtn.safetensors"
    assert json.loads(done.stdout) == {"checkpoint": str(path)}  # said once
    weights = checkpoint.read(path)
    assert all(tensor.isfinite().all() for tensor in weights.tensors.values())
    shares = [
        [json.loads(line) for line in (tmp_path / f"rows-{process}").read_text().splitlines()]
        for process in (0, 1)
    ]
    manifest = read_manifest(corpus / "tracks.csv")
    cache = MelCache(corpus / "cache", load_spec("kim2018-mtn").mel)
    crops = CropSource(cache, manifest.ids, 43)
    assert len(shares[0]) == len(shares[1]) == 5
    for step, (even, odd) in enumerate(zip(*shares, strict=True)):
        rows = np.arange(9)
        whole = crops.draw(rows, np.full(9, 1 / 9), 4, crop_stream(0, step))
        assert even == [2, 4, whole.rows[0::2].tolist()]
        assert odd == [2, 4, whole.rows[1::2].tolist()]
    assert [line[0] for line in read_csv(tmp_path / "two" / "log.csv", runlog.HEADER)][-1] == "5"
    assert torch.load(tmp_path / "two" / state.FILE, weights_only=True)["step"] == 5


def load_spec(name: str) -> Any:
    from mirfeat.networks.registry import get_spec

    return get_spec(name)


def test_the_log_is_drawn_and_its_lines_are_told(
    quick: Quick, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runlog.RunLog, "draw", DRAW)
    config = quick()
    train(config, CPU, progress="json")
    said = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line[0] == "{"]
    told = [one for one in said if "held_out" in one]
    assert [one["step"] for one in told] == steps_of(config)
    logged = [line for line in log_of(config) if line[2] != runlog.MEAN and line[4]]
    assert told[-1]["held_out"] == {
        line[2]: pytest.approx(float(line[4]), rel=1e-4)
        for line in logged
        if int(line[0]) == told[-1]["step"]
    }
    assert (config.output / "log.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_nothing_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "mirfeat")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    log = runlog.RunLog(tmp_path, active=True, tensorboard=False)
    log.truncate(0)
    log.add(10, {"tag": 0.5}, {"tag": 0.25}, 0.25)
    DRAW(log)
    assert not (tmp_path / "log.png").exists()
    assert "no learning curve" in caplog.text


def test_tensorboard_gets_the_numbers_of_the_log(tmp_path: Path) -> None:
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    log = runlog.RunLog(tmp_path, active=True, tensorboard=True)
    log.add(10, {"tag": 0.5}, {"tag": 0.125}, 0.125)
    log.add(20, {"tag": 0.25}, {"tag": 0.25}, 0.25)
    events = reading.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    points = {
        name: [(at.step, at.value) for at in events.Scalars(name)]
        for name in ("loss/tag", "score/tag")
    }
    assert points == {
        "loss/tag": [(10, 0.5), (20, 0.25)],
        "score/tag": [(10, 0.125), (20, 0.25)],
    }


def test_without_tensorboard_the_message_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingPackageError, match="pip install tensorboard"):
        runlog.RunLog(tmp_path, active=True, tensorboard=True)
