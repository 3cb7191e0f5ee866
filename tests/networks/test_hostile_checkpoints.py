"""Checkpoints that somebody made to hurt, or that went wrong: refused by name, in seconds."""

import gzip
import json
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save

import mirfeat
from mirfeat.errors import CheckpointMismatchError
from mirfeat.networks import checkpoint, hamel2013, kim2018
from mirfeat.networks.checkpoint import Weights
from mirfeat.networks.kim2019_scaler import _Kind, _latin1, _Plain, _scalar, read_scaler
from tests.support.authors_kim2019 import SCALER, save_checkpoint, save_scaler

KEY = "network.embedding.weight"


@pytest.fixture(scope="module")
def tag() -> Weights:
    return replace(hamel2013.initialise("hamel2013-tag", 0), sha256="ab" * 32)


@pytest.fixture(scope="module")
def stn() -> Weights:
    return replace(kim2018.initialise("kim2018-stn", 0), sha256="ab" * 32)


def load(path: Path, weights: Weights, name: str = "hamel2013-tag") -> Any:
    checkpoint.write(path, weights)
    return mirfeat.load_extractor(name, checkpoint=path, device="cpu")


def with_value(tensor: torch.Tensor, value: float) -> torch.Tensor:
    changed = tensor.clone()
    changed.view(-1)[7] = value
    return changed


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda t: with_value(t, float("nan")), "has 1 of 20000 numbers that are NaN or infinite"),
        (lambda t: with_value(t, float("-inf")), "has 1 of 20000 numbers that are NaN or infinite"),
        # Finite as it stands, and not as float32.
        (lambda t: with_value(t.double(), 1e300), "has 1 of 20000 numbers that are NaN"),
        (lambda t: (100 * t).to(torch.int8), "is of type int8"),
        (lambda t: t > 0, "is of type bool"),
        (lambda t: t.to(torch.complex64), "is of type complex64"),
    ],
)
def test_tensors_that_give_wrong_numbers_are_refused_by_name(
    tmp_path: Path, tag: Weights, change: Callable[[torch.Tensor], torch.Tensor], found: str
) -> None:
    broken = replace(tag, tensors={**tag.tensors, KEY: change(tag.tensors[KEY])})
    with pytest.raises(CheckpointMismatchError, match=f"{KEY} {found}"):
        load(tmp_path / "x.safetensors", broken)


@pytest.mark.parametrize("ending", [".running_var", ".standardise.scale"])
def test_negative_variances_and_scales_are_refused(
    tmp_path: Path, stn: Weights, ending: str
) -> None:
    key = next(key for key in sorted(stn.tensors) if key.endswith(ending))
    broken = replace(stn, tensors={**stn.tensors, key: with_value(stn.tensors[key], -0.5)})
    with pytest.raises(CheckpointMismatchError, match=rf"{key} goes down to -0\.5"):
        load(tmp_path / "x.safetensors", broken, "kim2018-stn")


def test_float64_and_halves_are_still_taken(tmp_path: Path, tag: Weights) -> None:
    for kind in (torch.float64, torch.float16, torch.bfloat16):
        tensors = {key: tensor.to(kind) for key, tensor in tag.tensors.items()}
        load(tmp_path / "x.safetensors", replace(tag, tensors=tensors)).close()


def forged(path: Path, tensors: dict[str, torch.Tensor], record: str) -> Path:
    """A checkpoint with any text as its record, sealed as mirfeat seals."""
    header = {"mirfeat": record, "mirfeat_sha256": checkpoint._seal(record, tensors)}
    path.write_bytes(save(tensors, header))
    return path


GOOD = {"format": 1, "source_sha256": "", "extractor": "kim2018-stn"}
RECORDS = {
    "deep nesting": "[" * 100_000 + "]" * 100_000,
    "null": "null",
    "a list": "[]",
    "a number of 5000 digits": "9" * 5000,
    "no JSON": "{",
    "no format": json.dumps({"extractor": "kim2018-stn"}),
    "format null": json.dumps({**GOOD, "format": None}),
    "a long format": '{"format": ' + "9" * 4000 + "}",
    "no sources": json.dumps(GOOD),
    "sources null": json.dumps({**GOOD, "sources": None}),
    "sources a list": json.dumps({**GOOD, "sources": ["genre"]}),
    "a billion outputs": json.dumps({**GOOD, "sources": {"genre": 10**9}}),
    "outputs of 4000 digits": '{"format":1,"sources":{"genre":' + "9" * 4000 + "}}",
    "no outputs": json.dumps({**GOOD, "sources": {"genre": 0}}),
    "outputs true": json.dumps({**GOOD, "sources": {"genre": True}}),
    "half an output": json.dumps({**GOOD, "sources": {"genre": 1.5}}),
    "a million sources": json.dumps({**GOOD, "sources": {f"s{i}": 1 for i in range(10**5)}}),
    "a feature of a million": json.dumps({**GOOD, "sources": {"genre": 1}, "feature_size": 10**6}),
    "a feature of a half": json.dumps({**GOOD, "sources": {"genre": 1}, "feature_size": 0.5}),
    "a name with a dot": json.dumps({**GOOD, "sources": {"a.b": 1}}),
    "a name of torch's own": json.dumps({**GOOD, "sources": {"items": 1}}),
    "labels null": json.dumps({**GOOD, "labels": None}),
    "labels a text": json.dumps({**GOOD, "labels": {"tag": "rock"}}),
    "labels of numbers": json.dumps({**GOOD, "labels": {"tag": [1, 2]}}),
    "a licence that is none": json.dumps({**GOOD, "licence": {"a": 1}}),
    "an extractor that is none": json.dumps({**GOOD, "extractor": ["kim2018-stn"]}),
}


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_a_malformed_record_is_our_own_error(tmp_path: Path, record: str) -> None:
    path = forged(tmp_path / "x.safetensors", {"a": torch.zeros(4)}, record)
    with pytest.raises(CheckpointMismatchError, match=r"x\.safetensors") as caught:
        mirfeat.load_extractor("kim2018-stn", checkpoint=path)
    assert len(str(caught.value)) < 1000


# The authors' forms


def test_a_deflated_pth_is_not_unpacked(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, ["tag"], "2", legacy=False)
    packed = tmp_path / "packed.pth.tar"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
    with pytest.raises(CheckpointMismatchError, match=r"compressed .* Nothing was unpacked"):
        mirfeat.load_extractor("kim2019-ms-cr-2", checkpoint=packed)


class Call:
    def __reduce__(self) -> tuple:
        return (eval, ("1 + 1",))


def test_the_refusal_of_a_pickle_does_not_advise_to_switch_the_check_off(tmp_path: Path) -> None:
    path = tmp_path / "evil.pth.tar"
    for legacy in (True, False):
        torch.save({"tasks": Call()}, path, _use_new_zipfile_serialization=not legacy)
        with pytest.raises(CheckpointMismatchError, match="wants to run or build") as caught:
            mirfeat.load_extractor("kim2019-mss-cr", checkpoint=path)
        for advice in ("weights_only", "trust", "safe_globals", "still be loaded"):
            assert advice not in str(caught.value)


@pytest.mark.parametrize(
    "state", [[1], {1: torch.zeros(1)}, {"shared.0.conv.weight": "text"}, {"shared.0.x": None}]
)
def test_a_state_that_is_no_tensors_is_refused(tmp_path: Path, state: Any) -> None:
    path = save_checkpoint(tmp_path, ["tag"], "2")
    torch.save({**torch.load(path, weights_only=True), "state_dict": state}, path)
    with pytest.raises(CheckpointMismatchError, match="no dictionary of tensors"):
        mirfeat.load_extractor("kim2019-ms-cr-2", checkpoint=path)


def test_a_tensor_that_only_claims_its_size_is_not_made(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, ["tag"], "2")
    record = torch.load(path, weights_only=True)
    record["state_dict"]["shared.0.conv.weight"] = torch.zeros(1).expand(10**12)
    torch.save(record, path)
    with pytest.raises(CheckpointMismatchError, match=r"is \[1000000000000\] instead of"):
        mirfeat.load_extractor("kim2019-ms-cr-2", checkpoint=path)


def test_an_npz_scaler_that_inflates_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "scaler.npz"
    np.savez_compressed(path, mean=np.zeros(1 << 19), scale=np.ones(128))
    assert path.stat().st_size < 1 << 16
    with pytest.raises(CheckpointMismatchError, match="bytes inside, where 1048576 are more than"):
        read_scaler(path)


def state_of(function: str, module: str, state: bytes) -> bytes:
    """A pickle that gives a state to what it names, as an instance would get one."""
    return f"c{module}\n{function}\n".encode() + state + b"b."


SLOTS = b"(N(dS'__setstate__'\nS'changed'\nst"
ATTRIBUTES = b"(dS'mean_'\nS'changed'\ns"


@pytest.mark.parametrize("state", [SLOTS, ATTRIBUTES])
@pytest.mark.parametrize(
    ("module", "function"),
    [
        ("sklearn.preprocessing.data", "StandardScaler"),
        ("numpy", "dtype"),
        ("joblib.numpy_pickle", "NumpyArrayWrapper"),
        ("numpy.core.multiarray", "scalar"),
        ("_codecs", "encode"),
    ],
)
def test_a_pickle_cannot_change_what_stands_for_its_classes(
    tmp_path: Path, module: str, function: str, state: bytes
) -> None:
    known = (_Plain, _Kind, _scalar, _latin1)
    before = [dict(vars(one)) for one in known]
    with gzip.open(tmp_path / SCALER, "wb") as file:
        file.write(state_of(function, module, state))
    with pytest.raises(CheckpointMismatchError, match="a state for something that has none"):
        read_scaler(tmp_path / SCALER)
    assert [dict(vars(one)) for one in known] == before


def test_a_pickle_cannot_turn_the_types_of_the_program_around(tmp_path: Path) -> None:
    turned = b"cnumpy\ndtype\n(S'f8'\ntR(I3\nS'>'\nNNNI-1\nI-1\nI0\ntb."
    with gzip.open(tmp_path / SCALER, "wb") as file:
        file.write(turned)
    with pytest.raises(CheckpointMismatchError):
        read_scaler(tmp_path / SCALER)
    assert np.dtype("f8").isnative


def test_scalers_of_every_protocol_are_still_read(tmp_path: Path) -> None:
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        mean, _ = save_scaler(tmp_path / SCALER, protocol)
        np.testing.assert_array_equal(read_scaler(tmp_path / SCALER)["mean"], mean)


# hdf5


@pytest.fixture
def hdf5(tmp_path: Path) -> Path:
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "weights.hdf5"
    with h5py.File(path, "w") as file:
        group = file.create_group("ConvBNEluDr")
        for number in range(1, 6):
            shape = (32, 1 if number == 1 else 32, 3, 3)
            group[f"convolution2d_{number}_W"] = np.zeros(shape, np.float32)
            group[f"convolution2d_{number}_b"] = np.zeros(32, np.float32)
            for name in ("gamma", "beta", "running_mean", "running_std"):
                group[f"batchnormalization_{number}_{name}"] = np.ones(32, np.float32)
        file["dense_1/dense_1_W"] = np.zeros((32, 50), np.float32)
        file["dense_1/dense_1_b"] = np.zeros(50, np.float32)
    return path


def claiming_terabytes(file: Any, group: Any, name: str, secret: Path) -> None:
    group.create_dataset(name, (1 << 20, 1 << 20, 3, 3), np.float32, chunks=(64, 64, 3, 3))


def stored_elsewhere(file: Any, group: Any, name: str, secret: Path) -> None:
    group.create_dataset(name, (32, 1, 3, 3), "f4", external=[(str(secret), 0, 1152)])


def linked_elsewhere(file: Any, group: Any, name: str, secret: Path) -> None:
    import h5py

    group[name] = h5py.ExternalLink(str(secret), "/secret")


def virtual(file: Any, group: Any, name: str, secret: Path) -> None:
    import h5py

    layout = h5py.VirtualLayout((32, 1, 3, 3), "f4")
    layout[...] = h5py.VirtualSource(str(secret), "secret", (32, 1, 3, 3))
    group.create_virtual_dataset(name, layout)


def of_whole_numbers(file: Any, group: Any, name: str, secret: Path) -> None:
    group[name] = np.zeros((32, 1, 3, 3), np.int64)


def a_group(file: Any, group: Any, name: str, secret: Path) -> None:
    group.create_group(name)


@pytest.mark.parametrize(
    ("forge", "message"),
    [
        (claiming_terabytes, r"of shape \(1048576, 1048576, 3, 3\) instead of"),
        (stored_elsewhere, "kept in another file"),
        (linked_elsewhere, "is a link to somewhere else"),
        (virtual, "kept in another file"),
        (of_whole_numbers, "is int64"),
        (a_group, "kept in another file"),
    ],
)
def test_hdf5_that_claims_too_much_or_points_elsewhere_is_refused(
    tmp_path: Path, hdf5: Path, forge: Callable[..., None], message: str
) -> None:
    import h5py

    secret = tmp_path / "secret"
    secret.write_bytes(b"\1" * 4096)
    with h5py.File(hdf5, "r+") as file:
        group, name = file["ConvBNEluDr"], "convolution2d_1_W"
        del group[name]
        forge(file, group, name, secret)
    with pytest.raises(CheckpointMismatchError, match=message):
        mirfeat.load_extractor("choi2017", checkpoint=hdf5)
