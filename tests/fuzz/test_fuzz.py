"""Mutated files: whatever stands in them, an error of ours comes out, or a result that is finite.

A few seconds in the default tests; ``make fuzz`` takes as many inputs as FUZZ_INPUTS says.
"""

import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mirfeat
from benchmarks.mutated_files import FFMPEG, FINE, LIBSNDFILE, input_of, mutated, outcome
from mirfeat.errors import CheckpointError, MirfeatError
from mirfeat.networks import checkpoint, hamel2013
from mirfeat.store.reading import load_features
from tests.support.stores import write_store

INPUTS = int(os.environ.get("FUZZ_INPUTS", "60"))
fuzz = settings(
    max_examples=INPUTS,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
SEEDS = st.integers(0, 2**62)


@pytest.fixture(scope="module")
def sounds() -> list[tuple[str, bytes]]:
    return [(kind, make()) for kind, make in {**LIBSNDFILE, **FFMPEG}.items()]


@pytest.fixture(scope="module")
def mfcc() -> mirfeat.Extractor:
    return mirfeat.load_extractor("mfcc", device="cpu", max_seconds=2.0)


@fuzz
@given(seed=SEEDS)
def test_mutated_audio_is_a_vector_or_an_error_of_the_file(
    seed: int, sounds: list[tuple[str, bytes]], mfcc: mirfeat.Extractor, tmp_path: Path
) -> None:
    draw = random.Random(seed)
    kind, data = draw.choice(sounds)
    path = tmp_path / "mutated"
    path.write_bytes(input_of(kind, data, draw))
    assert outcome(mfcc, path) in FINE


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("weights") / "x.safetensors"
    checkpoint.write(path, hamel2013.initialise("hamel2013-tag", 0))
    return path.read_bytes()


@fuzz
@given(seed=SEEDS)
def test_a_mutated_checkpoint_is_refused_or_the_same(
    seed: int, weights: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(mutated(weights, random.Random(seed)))
    try:
        tensors = checkpoint.read(path).tensors
    except CheckpointError:
        return
    expected = hamel2013.initialise("hamel2013-tag", 0).tensors
    assert checkpoint.digest(tensors) == checkpoint.digest(expected)


def table(folder: Path) -> Path:
    block = np.arange(12, dtype=np.float32).reshape(4, 3)
    return write_store(folder, {"a": block}, [f"{n}.wav" for n in range(4)], "csv")


def clips(folder: Path) -> Path:
    block = np.arange(6, dtype=np.float32).reshape(2, 3)
    return write_store(folder, {"a": block}, ["1.wav", "b/2.wav"], "npz")


@pytest.mark.parametrize("make", [table, clips])
@fuzz
@given(seed=SEEDS)
def test_a_mutated_folder_is_a_table_or_an_error_of_ours(
    seed: int, make: Callable[[Path], Path], tmp_path: Path
) -> None:
    draw = random.Random(seed)
    folder = make(tmp_path / "store")
    path = draw.choice(sorted(path for path in folder.rglob("*") if path.is_file()))
    path.write_bytes(mutated(path.read_bytes(), draw))
    try:
        found = load_features(folder)
    except MirfeatError:
        return
    assert found.values.shape == (len(found.ids), len(found.feature_names))
