"""Checkpoint files: what is written is read, and what was not written by mirfeat is refused."""

import errno
import json
import os
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save, save_file
from torch import nn

from mirfeat.errors import CheckpointError, CheckpointMismatchError, ChecksumError
from mirfeat.files import sha256_of
from mirfeat.networks import checkpoint
from mirfeat.networks.checkpoint import Weights

TENSORS = {
    "a.weight": torch.arange(6.0).reshape(2, 3),
    "a.bias": torch.tensor([1.5, -2.5]),
    "scalar": torch.tensor(27.25),
}
METADATA = {"extractor": "x", "labels": {"tag": ["rock", "Musik für Köln"]}, "hours": 1.5}
WEIGHTS = Weights(TENSORS, METADATA)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.safetensors"


def assert_same(found: Any, expected: Any) -> None:
    assert found.keys() == expected.keys()
    for key in expected:
        assert found[key].dtype == expected[key].dtype, key
        assert torch.equal(found[key], expected[key]), key


def test_what_is_written_is_read(path: Path) -> None:
    checkpoint.write(path, WEIGHTS)
    found = checkpoint.read(path)
    assert_same(found.tensors, TENSORS)
    assert found.metadata == METADATA
    assert found.name == str(path)
    assert found.sha256 == sha256_of(path)


def test_writing_again_what_was_read_gives_the_same_record(path: Path) -> None:
    checkpoint.write(path, replace(WEIGHTS, sha256="ab" * 32))
    first = checkpoint.read(path)
    checkpoint.write(path, first)
    assert checkpoint.read(path).metadata == first.metadata
    # Changed tensors are another checkpoint: nothing of the old hash may stay behind.
    checkpoint.write(path, replace(first, tensors={}, sha256=""))
    assert checkpoint.read(path).sha256 == sha256_of(path)


def test_equal_checkpoints_are_equal_bytes(path: Path) -> None:
    many = {f"layer.{k}.größe": torch.full((k % 3,), float(k)) for k in range(20)}
    tensors = {**TENSORS, **many, "Half": torch.ones(3).half(), "n": torch.tensor([1 << 40])}
    metadata = {**METADATA, **{f"key {k}": k for k in range(20)}}
    checkpoint.write(path, Weights(tensors, metadata))
    first = path.read_bytes()
    turned = Weights(dict(reversed(tensors.items())), dict(reversed(metadata.items())))
    for number in range(20):  # chance has two orders of two keys
        again = path.with_name(f"{number}.safetensors")
        checkpoint.write(again, turned if number % 2 else Weights(tensors, metadata))
        assert again.read_bytes() == first
    checkpoint.write(path, Weights(tensors, {**metadata, "hours": 2}))
    assert path.read_bytes() != first


def test_the_order_within_an_entry_is_kept(path: Path) -> None:
    # Blocks of a feature vector come in the order of the sources.
    checkpoint.write(path, Weights(TENSORS, {"sources": {"tag": 2, "artist": 1}}))
    assert list(checkpoint.read(path).metadata["sources"]) == ["tag", "artist"]


@pytest.mark.parametrize("length", range(8))
def test_the_file_is_what_the_format_says_and_the_library_reads_it(path: Path, length: int) -> None:
    tensors = {**TENSORS, "größe": torch.ones(3, dtype=torch.uint8), "Half": torch.ones(5).half()}
    checkpoint.write(path, Weights(tensors, {"note": "x" * length}))
    written, theirs = path.read_bytes(), save(tensors)
    end, their_end = (8 + int.from_bytes(data[:8], "little") for data in (written, theirs))
    header = json.loads(written[8:end])
    assert end % 8 == 0
    assert written[8:end].rstrip(b" ").endswith(b"}")
    assert list(header) == sorted(["__metadata__", *tensors])
    assert list(header["__metadata__"]) == ["mirfeat", "mirfeat_sha256"]
    # Tensors are where the library puts them.
    assert {key: header[key] for key in tensors} == json.loads(theirs[8:their_end])
    assert written[end:] == theirs[their_end:]
    assert_same(load_file(path), tensors)
    with safe_open(path, framework="pt") as file:
        assert json.loads(file.metadata()["mirfeat"])["note"] == "x" * length


def test_the_hash_of_the_source_is_kept(path: Path) -> None:
    checkpoint.write(path, replace(WEIGHTS, sha256="ab" * 32))
    assert checkpoint.read(path).sha256 == "ab" * 32


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_becomes_float32(path: Path, dtype: torch.dtype) -> None:
    half = torch.tensor([1.0, -0.333, 1e-3]).to(dtype)
    checkpoint.write(path, Weights({"half": half, "whole": torch.tensor([1 << 40])}))
    assert_same(
        checkpoint.read(path).tensors, {"half": half.float(), "whole": torch.tensor([1 << 40])}
    )


def test_any_layout_in_memory_is_written(path: Path) -> None:
    image = torch.arange(2.0 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    tensors = {
        "turned": torch.arange(6.0).reshape(2, 3).T,
        "channels_last": image.to(memory_format=torch.channels_last),
        "slice": image[:, 1],
        "empty": torch.zeros(0, 3),
        "parameter": nn.Parameter(torch.ones(2)),
    }
    checkpoint.write(path, Weights(tensors))
    expected = {key: tensor.detach().contiguous() for key, tensor in tensors.items()}
    assert_same(checkpoint.read(path).tensors, expected)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
def test_a_checkpoint_may_be_read_by_whom_the_umask_says(path: Path) -> None:
    before = os.umask(0o022)
    try:
        checkpoint.write(path, WEIGHTS)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644


def test_no_byte_with_a_flipped_bit_goes_unnoticed(path: Path) -> None:
    checkpoint.write(path, WEIGHTS)
    whole = path.read_bytes()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"x\.safetensors"):
            checkpoint.read(path)


def test_a_flipped_bit_in_a_tensor_names_both_hashes(path: Path) -> None:
    checkpoint.write(path, WEIGHTS)
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with safe_open(path, framework="pt") as file:
        said = file.metadata()["mirfeat_sha256"]
    with pytest.raises(
        ChecksumError, match=rf"[0-9a-f]{{64}}, the file says {said}. It is damaged"
    ):
        checkpoint.read(path)


def test_a_shortened_file_is_refused_at_every_length(path: Path) -> None:
    checkpoint.write(path, WEIGHTS)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointMismatchError, match="not a readable safetensors file"):
            checkpoint.read(path)


class Bomb:
    """Something that acts when it is unpickled."""

    def __init__(self, sign: Path) -> None:
        self.sign = sign

    def __reduce__(self) -> Any:
        return Path.touch, (self.sign,)


@pytest.mark.parametrize("save", ["pickle", "torch", "torch-legacy"])
def test_a_disguised_pickle_does_not_run(path: Path, save: str) -> None:
    bomb = Bomb(path.with_name("it-ran"))
    if save == "pickle":
        path.write_bytes(pickle.dumps(bomb))
    else:
        torch.save(bomb, path, _use_new_zipfile_serialization=save == "torch")
    with pytest.raises(CheckpointMismatchError, match="not a readable safetensors file"):
        checkpoint.read(path)
    assert not bomb.sign.exists()
    # The bomb is real: whoever unpickles the file sets it off.
    with path.open("rb") as file:
        pickle.load(file) if save == "pickle" else torch.load(file, weights_only=False)
    assert bomb.sign.exists()


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_somebody_elses_safetensors_file_is_refused(path: Path, metadata: Any) -> None:
    save_file(TENSORS, path, metadata)
    with pytest.raises(CheckpointMismatchError, match="without mirfeat's metadata"):
        checkpoint.read(path)


def test_a_record_without_a_hash_is_refused(path: Path) -> None:
    save_file(TENSORS, path, {"mirfeat": json.dumps({"extractor": "x", "format": 1})})
    with pytest.raises(ChecksumError, match="the file says None"):
        checkpoint.read(path)


def test_a_later_format_is_refused_by_its_number(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "FORMAT", 2)
    checkpoint.write(path, WEIGHTS)
    monkeypatch.undo()
    with pytest.raises(CheckpointMismatchError, match="format 2, this mirfeat reads 1"):
        checkpoint.read(path)


@pytest.mark.parametrize("place", ["absent", "folder"])
def test_what_is_no_file_is_refused(path: Path, place: str) -> None:
    if place == "folder":
        path.mkdir()
    with pytest.raises(CheckpointMismatchError, match="not a readable safetensors file"):
        checkpoint.read(path)


def test_a_failure_while_writing_leaves_the_old_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.write(path, WEIGHTS)
    before = path.read_bytes()
    real = Path.write_bytes

    def half(self: Path, data: bytes) -> int:
        real(self, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.write(path, Weights({"other": torch.zeros(1000)}))
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_record_that_is_no_json_leaves_the_old_file(path: Path) -> None:
    checkpoint.write(path, WEIGHTS)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        checkpoint.write(path, Weights(TENSORS, {"labels": {1, 2}}))
    assert path.read_bytes() == before


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.norm = nn.BatchNorm2d(2)


def state(module: nn.Module) -> dict[str, torch.Tensor]:
    """Its tensors under the prefix ``net``, filled with other numbers."""
    return {
        f"net.{key}": torch.full_like(tensor, 0.5)
        for key, tensor in module.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }


def test_fill_copies_every_tensor() -> None:
    layer = Layer()
    weights = Weights({**state(layer), "head.weight": torch.ones(1, 2), "head.bias": torch.ones(1)})
    head = nn.Linear(2, 1)
    checkpoint.fill({"net": layer, "head": head}, weights)
    for name, tensor in layer.state_dict().items():
        assert name.endswith("num_batches_tracked") or (tensor == 0.5).all(), name
    assert (head.weight == 1).all()


def test_fill_lists_everything_that_does_not_fit() -> None:
    tensors = state(Layer())
    del tensors["net.conv.bias"], tensors["net.norm.running_mean"]
    tensors["net.conv.weight"] = torch.zeros(2, 1, 5, 5)
    tensors["net.norm.bias"] = torch.zeros(1)
    tensors["net.extra"] = tensors["elsewhere.weight"] = torch.zeros(1)
    layer = Layer()
    before = layer.conv.weight.clone()
    with pytest.raises(CheckpointMismatchError) as caught:
        checkpoint.fill({"net": layer}, Weights(tensors, name="mine.safetensors"))
    assert str(caught.value) == (
        "mine.safetensors: does not fit this extractor: missing net.conv.bias; "
        "missing net.norm.running_mean; unexpected elsewhere.weight; unexpected net.extra; "
        "net.conv.weight is [2, 1, 5, 5] instead of [2, 1, 3, 3]; "
        "net.norm.bias is [1] instead of [2]."
    )
    assert torch.equal(layer.conv.weight, before)


@pytest.mark.parametrize("given", [True, False])
def test_fill_leaves_alone_what_is_not_used(given: bool) -> None:
    tensors = state(Layer())
    if not given:
        del tensors["net.norm.running_mean"], tensors["net.norm.running_var"]
    layer = Layer()
    checkpoint.fill({"net": layer}, Weights(tensors), unused=("running_mean", "running_var"))
    found = layer.norm.state_dict()
    assert (found["running_mean"] == 0).all()
    assert (found["running_var"] == 1).all()
    assert (found["weight"] == 0.5).all()


@pytest.mark.parametrize(
    "other",
    [
        {"b": torch.zeros(2, 3)},
        {"a": torch.zeros(3, 2)},
        {"a": torch.zeros(2, 3, dtype=torch.int32)},
        {"a": torch.tensor([[0, 0, 0], [0, 0, 1e-30]])},
        {"a": torch.zeros(2, 3), "b": torch.zeros(0)},
    ],
)
def test_the_digest_sees_names_shapes_types_and_values(other: dict[str, torch.Tensor]) -> None:
    zeros = {"a": torch.zeros(2, 3)}
    assert checkpoint.digest(zeros) != checkpoint.digest(other)


def test_the_digest_does_not_see_the_layout_in_memory() -> None:
    numbers = torch.arange(6.0)
    for tensor in (numbers[::2], numbers.reshape(2, 3).T, numbers.requires_grad_()):
        copy = torch.tensor(tensor.tolist())
        assert checkpoint.digest({"a": tensor}) == checkpoint.digest({"a": copy})


def test_the_digest_does_not_depend_on_the_order() -> None:
    turned = dict(reversed(TENSORS.items()))
    assert checkpoint.digest(TENSORS) == checkpoint.digest(turned)
