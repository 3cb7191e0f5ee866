"""What ``checkpoint=`` takes, with weights in exactly the layout of the authors' file."""

import json
import logging
import pickle
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.signal import convolve2d

import mirfeat
from mirfeat.checkpoints import downloads, transfer
from mirfeat.checkpoints.sources import load_weights
from mirfeat.errors import (
    CheckpointMismatchError,
    CheckpointUnavailableError,
    ChecksumError,
    MissingPackageError,
    OptionError,
)
from mirfeat.files import sha256_of
from mirfeat.networks import checkpoint, choi2017, registry
from mirfeat.networks.checkpoint import Weights
from mirfeat.networks.registry import get_spec
from mirfeat.networks.spec import Checkpoint, ExtractorSpec
from tests.support.local_server import Handler, LocalServer, cut, status, whole

CONVERTED, NOTED = "choi2017-msd-v1.safetensors", "choi2017-msd-v1.json"
STATISTICS = [{"mean": [k + 0.25] * 32, "variance": [k + 1.5] * 32} for k in range(5)]
SOUND = mirfeat.Audio(np.sin(np.arange(24_000) / 7).astype(np.float32), 12_000)


def authors_arrays() -> dict[str, np.ndarray]:
    """Arrays named and shaped as the authors' are, of random numbers."""
    generator = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {"dense_1/dense_1_W": (32, 50), "dense_1/dense_1_b": (50,)}
    for k, channels in enumerate([1, 32, 32, 32, 32], start=1):
        shapes[f"ConvBNEluDr/convolution2d_{k}_W"] = (32, channels, 3, 3)
        shapes[f"ConvBNEluDr/convolution2d_{k}_b"] = (32,)
        for name in ("beta", "gamma", "running_mean", "running_std"):
            shapes[f"ConvBNEluDr/batchnormalization_{k}_{name}"] = (32,)
    arrays = {name: generator.standard_normal(shape) for name, shape in shapes.items()}
    # The front end of their framework, which nobody needs.
    arrays["melgram/param_2"] = generator.random((257, 96))
    return {name: array.astype(np.float32) for name, array in arrays.items()}


ARRAYS = authors_arrays()


def write_hdf5(path: Path, arrays: dict[str, Any]) -> Path:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
        file.attrs["layer_names"] = [b"melgram", b"ConvBNEluDr", b"flatten_1", b"dense_1"]
        file.create_group("flatten_1")
    return path


@pytest.fixture(scope="session")
def hdf5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_hdf5(tmp_path_factory.mktemp("authors") / "weights.hdf5", ARRAYS)


@pytest.fixture
def server(hdf5: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    """Publishes the file of random numbers."""
    monkeypatch.setattr(transfer, "PAUSE_SECONDS", 0.0)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    with LocalServer(whole(hdf5.read_bytes())) as server:
        yield server


@pytest.fixture
def record(server: LocalServer, hdf5: Path) -> Checkpoint:
    return server.record(hdf5.read_bytes())


@pytest.fixture
def spec(record: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> ExtractorSpec:
    """choi2017 with its ``msd`` on the local server."""
    spec = replace(get_spec("choi2017"), checkpoints=(record,))
    monkeypatch.setitem(registry._SPECS, "choi2017", spec)
    return spec


@pytest.fixture
def known(hdf5: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Makes mirfeat ship population statistics for the file of random numbers."""
    shipped = {"checkpoint_sha256": sha256_of(hdf5), "db_reference": 21.5, "layers": STATISTICS}
    (tmp_path / "package" / "weights").mkdir(parents=True)
    path = tmp_path / "package" / "weights" / "choi2017-msd.statistics.json"
    path.write_text(json.dumps(shipped))
    monkeypatch.setattr("importlib.resources.files", lambda _: tmp_path / "package")


def load(spec: ExtractorSpec, checkpoint: Any = "msd") -> Weights:
    weights = load_weights(spec, checkpoint)
    assert weights is not None
    return weights


def assert_same(found: Weights, expected: Weights) -> None:
    """Same tensors, record and identity; the name is what was asked for."""
    assert found.sha256 == expected.sha256
    assert found.metadata == expected.metadata
    assert checkpoint.digest(found.tensors) == checkpoint.digest(expected.tensors)


def flip(path: Path) -> None:
    """Damage one bit of a tensor."""
    data = bytearray(path.read_bytes())
    data[-1000] ^= 4
    path.write_bytes(data)


# Conversion


@pytest.mark.parametrize("layer", [1, 2, 5])
def test_converted_kernels_do_what_the_authors_convolution_did(hdf5: Path, layer: int) -> None:
    kernels = ARRAYS[f"ConvBNEluDr/convolution2d_{layer}_W"]
    image = np.random.default_rng(1).standard_normal((kernels.shape[1], 7, 9)).astype(np.float32)
    expected = [
        sum(
            convolve2d(channel, kernel, mode="same")
            for channel, kernel in zip(image, kernels[out], strict=True)
        )
        for out in range(32)
    ]
    tensors = load(get_spec("choi2017"), hdf5).tensors
    kernel = tensors[f"network.layers.{layer - 1}.conv.weight"]
    found = F.conv2d(torch.from_numpy(image)[None], kernel, padding=1)[0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def test_everything_else_is_copied_to_its_place(hdf5: Path) -> None:
    weights = load(get_spec("choi2017"), hdf5)
    for k in range(5):
        for ours, theirs in (
            ("conv.bias", f"convolution2d_{k + 1}_b"),
            ("norm.weight", f"batchnormalization_{k + 1}_gamma"),
            ("norm.bias", f"batchnormalization_{k + 1}_beta"),
        ):
            found = weights.tensors[f"network.layers.{k}.{ours}"]
            np.testing.assert_array_equal(found, ARRAYS[f"ConvBNEluDr/{theirs}"])
    head = weights.tensors["network.head.weight"], weights.tensors["network.head.bias"]
    np.testing.assert_array_equal(head[0], ARRAYS["dense_1/dense_1_W"].T)
    np.testing.assert_array_equal(head[1], ARRAYS["dense_1/dense_1_b"])
    assert weights.metadata["extractor"] == "choi2017"
    assert weights.metadata["labels"]["tag"][:2] == ["rock", "pop"]
    assert weights.sha256 == sha256_of(hdf5)


def test_statistics_go_to_the_file_they_were_made_for(hdf5: Path, known: None) -> None:
    weights = load(get_spec("choi2017"), hdf5)
    for k, statistics in enumerate(STATISTICS):
        norm = f"network.layers.{k}.norm"
        np.testing.assert_array_equal(weights.tensors[f"{norm}.running_mean"], statistics["mean"])
        np.testing.assert_array_equal(
            weights.tensors[f"{norm}.running_var"], statistics["variance"]
        )
    assert weights.tensors["frontend.scaling.reference"] == 21.5
    extractor = mirfeat.load_extractor("choi2017", checkpoint=hdf5)
    assert np.isfinite(extractor.extract(SOUND)).all()


def test_statistics_go_to_no_other_file(known: None, tmp_path: Path) -> None:
    other = {**ARRAYS, "dense_1/dense_1_b": ARRAYS["dense_1/dense_1_b"] + 1}
    weights = load(get_spec("choi2017"), write_hdf5(tmp_path / "other.hdf5", other))
    # The authors' own are 0 and 1 and were never used.
    assert not [name for name in weights.tensors if "running" in name or "reference" in name]


def test_clip_needs_no_statistics_and_population_says_what_to_do(hdf5: Path) -> None:
    extractor = mirfeat.load_extractor("choi2017", checkpoint=hdf5, batch_norm="clip")
    assert np.isfinite(extractor.extract(SOUND)).all()
    with pytest.raises(CheckpointMismatchError) as caught:
        mirfeat.load_extractor("choi2017", checkpoint=hdf5)
    for word in (str(hdf5), "mirfeat calibrate", "batch_norm='clip'"):
        assert word in str(caught.value)


def test_a_missing_h5py_is_named_with_the_command_that_installs_it(
    hdf5: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingPackageError, match=r"h5py: pip install 'mirfeat\[msd\]'"):
        load(get_spec("choi2017"), hdf5)


def test_a_download_is_kept_until_h5py_is_there(
    spec: ExtractorSpec, server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "h5py", None)
        with pytest.raises(MissingPackageError, match="pip install"):
            load(spec)
    load(spec)
    assert server.ranges == [None]


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"something": np.zeros(3)},
        {name: array for name, array in ARRAYS.items() if name != "dense_1/dense_1_b"},
        {**ARRAYS, "ConvBNEluDr/convolution2d_2_W": np.zeros((32, 32, 5, 5), np.float32)},
    ],
    ids=["empty", "unrelated", "incomplete", "misshaped"],
)
def test_somebody_elses_hdf5_file_is_refused(tmp_path: Path, arrays: dict[str, Any]) -> None:
    path = write_hdf5(tmp_path / "other.hdf5", arrays)
    with pytest.raises(CheckpointMismatchError, match=r"other\.hdf5: not the choi2017 weight file"):
        load(get_spec("choi2017"), path)


@pytest.mark.parametrize("kept", [16, 1000, -1])
def test_a_shortened_hdf5_file_is_refused(tmp_path: Path, hdf5: Path, kept: int) -> None:
    (tmp_path / "short.hdf5").write_bytes(hdf5.read_bytes()[:kept])
    with pytest.raises(CheckpointMismatchError, match=r"short\.hdf5: not the choi2017 weight file"):
        load(get_spec("choi2017"), tmp_path / "short.hdf5")


# Published checkpoints and their cache


def test_a_published_checkpoint_is_downloaded_and_converted_once(
    spec: ExtractorSpec,
    server: LocalServer,
    hdf5: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = load(spec)
    assert first.name == "msd"
    assert first.sha256 == sha256_of(hdf5)
    assert "licence a licence; trained on random numbers" in caplog.text
    names = sorted(path.name for path in downloads.cache_folder().iterdir())
    assert names == [NOTED, CONVERTED, "weights.hdf5"]
    # From now on neither the network nor the original nor its reader is needed.
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setitem(sys.modules, "h5py", None)
    (downloads.cache_folder() / "weights.hdf5").unlink()
    caplog.clear()
    assert_same(load(spec), first)
    assert server.ranges == [None]
    assert not caplog.records


def test_an_extractor_runs_on_the_published_checkpoint(
    spec: ExtractorSpec, hdf5: Path, known: None
) -> None:
    extractor = mirfeat.load_extractor("choi2017", checkpoint="msd")
    assert extractor.provenance.checkpoint_name == "msd"
    assert extractor.provenance.checkpoint_sha256 == sha256_of(hdf5)
    by_path = mirfeat.load_extractor("choi2017", checkpoint=hdf5)
    np.testing.assert_array_equal(extractor.extract(SOUND), by_path.extract(SOUND))
    assert extractor.provenance.differences(by_path.provenance) == []


def test_a_new_version_of_an_extractor_converts_again(
    spec: ExtractorSpec, server: LocalServer
) -> None:
    load(spec)
    load(replace(spec, version=2))
    assert (downloads.cache_folder() / "choi2017-msd-v2.safetensors").exists()
    assert server.ranges == [None]


def test_a_published_file_may_be_one_of_mirfeats_own(
    spec: ExtractorSpec,
    server: LocalServer,
    hdf5: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    weights = replace(load(spec, hdf5), sha256="ab" * 32)
    checkpoint.write(tmp_path / "ours", weights)
    data = (tmp_path / "ours").read_bytes()
    server.answers = [whole(data)]
    spec = replace(spec, checkpoints=(server.record(data, "ours.safetensors", name="ours"),))
    first = load(spec, "ours")
    assert first.sha256 == spec.checkpoints[0].sha256
    caplog.clear()
    assert_same(load(spec, "ours"), first)
    assert not caplog.records


@pytest.mark.parametrize("damage", [flip, lambda path: path.write_bytes(b"")])
def test_a_damaged_conversion_is_made_again_from_the_cached_original(
    spec: ExtractorSpec, server: LocalServer, caplog: pytest.LogCaptureFixture, damage: Any
) -> None:
    first = load(spec)
    damage(downloads.cache_folder() / CONVERTED)
    caplog.clear()
    assert_same(load(spec), first)
    (warning, _) = caplog.records
    assert warning.levelno == logging.WARNING
    assert f"the cached {CONVERTED} is of no use and is made again" in warning.getMessage()
    caplog.clear()
    assert_same(load(spec), first)
    assert not caplog.records
    assert server.ranges == [None]


def test_a_damaged_conversion_without_its_original_is_fetched_again(
    spec: ExtractorSpec, server: LocalServer
) -> None:
    first = load(spec)
    flip(downloads.cache_folder() / CONVERTED)
    (downloads.cache_folder() / "weights.hdf5").unlink()
    assert_same(load(spec), first)
    assert server.ranges == [None, None]


def test_a_damaged_conversion_without_its_original_is_an_error_offline(
    spec: ExtractorSpec, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    load(spec)
    flip(downloads.cache_folder() / CONVERTED)
    (downloads.cache_folder() / "weights.hdf5").unlink()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(CheckpointUnavailableError, match=r"as weights\.hdf5"):
        load(spec)
    assert "is not the file" in caplog.text


def test_a_damaged_conversion_with_a_damaged_original_is_never_used(spec: ExtractorSpec) -> None:
    load(spec)
    flip(downloads.cache_folder() / CONVERTED)
    flip(downloads.cache_folder() / "weights.hdf5")
    with pytest.raises(ChecksumError, match=r"weights\.hdf5: sha256 is"):
        load(spec)


def test_a_conversion_of_another_file_is_made_again(
    spec: ExtractorSpec, caplog: pytest.LogCaptureFixture
) -> None:
    first = load(spec)
    checkpoint.write(
        downloads.cache_folder() / CONVERTED, replace(first, tensors={}, sha256="ab" * 32)
    )
    assert_same(load(spec), first)
    assert "it is not the file that was made from the published one" in caplog.text


def test_a_conversion_that_cannot_be_kept_is_used_all_the_same(
    spec: ExtractorSpec, hdf5: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (downloads.cache_folder() / CONVERTED).mkdir()
    assert_same(load(spec), load(spec, hdf5))
    assert f"{CONVERTED}: not kept" in caplog.text
    names = sorted(path.name for path in downloads.cache_folder().iterdir())
    assert names == [CONVERTED, "weights.hdf5"]


def test_a_broken_download_is_finished_and_converted(
    spec: ExtractorSpec, server: LocalServer, hdf5: Path
) -> None:
    server.answers = [cut(hdf5.read_bytes(), 70_000), status(503), whole(hdf5.read_bytes())]
    assert_same(load(spec), load(spec, hdf5))
    assert server.ranges == [None, "bytes=70000-", "bytes=70000-"]


def test_a_download_that_fails_leaves_nothing(spec: ExtractorSpec, server: LocalServer) -> None:
    server.answers = [status(404)]
    with pytest.raises(CheckpointUnavailableError, match="HTTP 404"):
        load(spec)
    assert list(downloads.cache_folder().iterdir()) == []


def test_two_may_download_and_convert_at_once(
    spec: ExtractorSpec, server: LocalServer, hdf5: Path
) -> None:
    both_are_here = threading.Barrier(2)

    def answer(request: Handler) -> None:
        both_are_here.wait(60)
        whole(hdf5.read_bytes())(request)

    server.answers = [answer]
    with ThreadPoolExecutor(2) as pool:
        for weights in pool.map(lambda _: load(spec), range(2)):
            assert_same(weights, load(spec, hdf5))
    names = sorted(path.name for path in downloads.cache_folder().iterdir())
    assert names == [NOTED, CONVERTED, "weights.hdf5"]
    assert_same(load(spec), load(spec, hdf5))


def test_a_file_put_into_the_cache_by_hand_is_verified_converted_and_used(
    spec: ExtractorSpec, server: LocalServer, hdf5: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (downloads.cache_folder() / "weights.hdf5").write_bytes(hdf5.read_bytes())
    assert_same(load(spec), load(spec, hdf5))
    assert (downloads.cache_folder() / CONVERTED).exists()
    assert server.ranges == []


def test_offline_and_not_cached_says_what_to_put_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(CheckpointUnavailableError) as caught:
        mirfeat.load_extractor("choi2017", checkpoint="msd")
    message = str(caught.value)
    assert choi2017.MSD.location in message
    assert str(downloads.cache_folder()) in message
    assert "as weights_layer4_theano.hdf5" in message
    assert list(downloads.cache_folder().iterdir()) == []


def test_a_forged_conversion_is_not_believed(
    spec: ExtractorSpec, server: LocalServer, hdf5: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It says that it was made from the published file, with tensors that were not."""
    expected = load(spec)
    forged = {key: tensor + 1 for key, tensor in expected.tensors.items()}
    checkpoint.write(downloads.cache_folder() / CONVERTED, replace(expected, tensors=forged))
    assert_same(load(spec), expected)
    assert "it is not the file that was made from the published one" in caplog.text
    assert_same(load(spec), expected)


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", "[" * 100_000, '{"sha256": 1}'])
def test_a_conversion_without_a_note_is_made_again(
    spec: ExtractorSpec, server: LocalServer, hdf5: Path, text: str
) -> None:
    expected = load(spec)
    (downloads.cache_folder() / NOTED).write_text(text)
    assert_same(load(spec), expected)
    (downloads.cache_folder() / NOTED).unlink()
    assert_same(load(spec), expected)


# Files


def test_our_own_file_gives_what_the_authors_gave(hdf5: Path, tmp_path: Path) -> None:
    spec = get_spec("choi2017")
    first = load(spec, hdf5)
    checkpoint.write(tmp_path / "mine.safetensors", first)
    again = load(spec, str(tmp_path / "mine.safetensors"))
    assert_same(again, first)
    assert again.name == str(tmp_path / "mine.safetensors")


def test_a_folder_stands_for_the_file_of_this_extractor(hdf5: Path, tmp_path: Path) -> None:
    spec = get_spec("choi2017")
    checkpoint.write(tmp_path / "choi2017.safetensors", load(spec, hdf5))
    assert_same(load(spec, tmp_path), load(spec, tmp_path / "choi2017.safetensors"))
    (tmp_path / "choi2017.safetensors").unlink()
    with pytest.raises(CheckpointUnavailableError, match=r"choi2017\.safetensors' is neither"):
        load(spec, tmp_path)


def test_the_ending_of_a_name_does_not_matter(hdf5: Path, tmp_path: Path) -> None:
    spec = get_spec("choi2017")
    (tmp_path / "weights.safetensors").write_bytes(hdf5.read_bytes())
    checkpoint.write(tmp_path / "weights.hdf5", load(spec, hdf5))
    assert_same(load(spec, tmp_path / "weights.hdf5"), load(spec, hdf5))
    assert_same(load(spec, tmp_path / "weights.safetensors"), load(spec, hdf5))


def test_a_checkpoint_of_another_extractor_is_refused(hdf5: Path, tmp_path: Path) -> None:
    spec = get_spec("choi2017")
    path = tmp_path / "other.safetensors"
    checkpoint.write(path, replace(load(spec, hdf5), metadata={"extractor": "kim2018-stn"}))
    with pytest.raises(CheckpointMismatchError, match="for 'kim2018-stn', not for 'choi2017'"):
        load(spec, path)
    checkpoint.write(path, replace(load(spec, hdf5), metadata={}))
    with pytest.raises(CheckpointMismatchError, match="for None, not for 'choi2017'"):
        load(spec, path)


def test_a_checkpoint_that_does_not_fit_lists_what_is_wrong(hdf5: Path, tmp_path: Path) -> None:
    weights = load(get_spec("choi2017"), hdf5)
    tensors = {**weights.tensors, "network.extra": torch.zeros(1)}
    del tensors["network.head.bias"]
    path = tmp_path / "mine.safetensors"
    checkpoint.write(path, replace(weights, tensors=tensors))
    with pytest.raises(CheckpointMismatchError) as caught:
        mirfeat.load_extractor("choi2017", checkpoint=path, batch_norm="clip")
    for text in (str(path), "missing network.head.bias", "unexpected network.extra"):
        assert text in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a zip", b"text", b"\x80\x04K\x01."])
def test_a_file_of_another_kind_is_told_by_its_first_bytes(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(CheckpointMismatchError) as caught:
        load(get_spec("choi2017"), tmp_path / "x.safetensors")
    message = str(caught.value)
    assert f"starts with {content[:8]!r}; choi2017 reads" in message
    assert "safetensors" in message
    assert "choi2017-hdf5" in message


def test_a_pickle_disguised_as_safetensors_does_not_run(tmp_path: Path) -> None:
    sign, path = tmp_path / "it-ran", tmp_path / "x.safetensors"
    # Opcodes that call os.mkdir(sign); the ninth byte passes for the start of a header.
    path.write_bytes(b"(dp0\nS'a{'\n" + f"cos\nmkdir\n(S'{sign}'\ntR.".encode())
    with pytest.raises(CheckpointMismatchError, match="not a readable safetensors file"):
        load(get_spec("choi2017"), path)
    assert not sign.exists()
    pickle.loads(path.read_bytes())
    assert sign.exists()


def test_what_is_neither_file_nor_name_is_answered_with_all_names(tmp_path: Path) -> None:
    with pytest.raises(CheckpointUnavailableError) as caught:
        load(get_spec("choi2017"), "mds")
    assert str(caught.value) == (
        "checkpoint 'mds' is neither a file nor 'open' nor one of 'msd', 'random'."
    )


@pytest.mark.parametrize("name", ["open", "random", "msd"])
def test_a_path_object_is_a_path_even_with_the_name_of_a_checkpoint(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hdf5: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointUnavailableError, match=f"{name!r} is neither a file"):
        load(get_spec("choi2017"), Path(name))
    Path(name).write_bytes(hdf5.read_bytes())
    assert load(get_spec("choi2017"), Path(name)).sha256 == sha256_of(hdf5)


def test_a_file_that_may_not_be_read_is_named(hdf5: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path, *_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(CheckpointUnavailableError, match=r"weights\.hdf5 cannot be read: Perm"):
        load(get_spec("choi2017"), hdf5)


@pytest.mark.parametrize("value", [7, b"msd", 1.5, ["msd"]])
def test_what_is_neither_name_nor_path_is_refused(value: Any) -> None:
    with pytest.raises(OptionError, match="it is a name or the path of a file"):
        load_weights(get_spec("choi2017"), value)


# Open and random ones, and none at all


def test_open_weights_are_the_default(
    hdf5: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spec = get_spec("choi2017")
    path = tmp_path / "choi2017.safetensors"
    checkpoint.write(path, load(spec, hdf5))
    monkeypatch.setattr(downloads, "packaged", lambda name: path if name == "choi2017" else None)
    assert_same(load(spec, None), load(spec, path))
    assert load(spec, None).name == load(spec, "open").name == "open"


def test_where_no_open_weights_are_shipped_the_others_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(downloads, "packaged", lambda name: None)
    with pytest.raises(CheckpointUnavailableError) as caught:
        load(get_spec("choi2017"), None)
    assert str(caught.value) == (
        "choi2017: this version of mirfeat ships no open weights for it. "
        "checkpoint= also takes 'msd', 'random' or the path of a file."
    )


@pytest.fixture(scope="module")
def drawn() -> dict[str, Weights]:
    names = ("random", "random:0", "random:1")
    return {name: load(get_spec("choi2017"), name) for name in names}


def test_one_seed_gives_the_same_bytes(drawn: dict[str, Weights]) -> None:
    assert_same(drawn["random"], drawn["random:0"])
    assert [drawn[name].name for name in drawn] == list(drawn)


def test_another_seed_gives_other_bytes(drawn: dict[str, Weights]) -> None:
    one, other = drawn["random:0"], drawn["random:1"]
    assert one.sha256 != other.sha256
    assert one.tensors.keys() == other.tensors.keys()
    # Biases of convolutions and the affine part of batch norms start at 0 and 1.
    for name in one.tensors:
        if name.endswith(("conv.weight", "head.weight", "running_mean", "running_var")):
            assert not torch.equal(one.tensors[name], other.tensors[name]), name


def test_the_identity_of_random_weights_does_not_depend_on_the_processor() -> None:
    """Statistics calibrated at load do, in the last digits; seed and version do not."""
    spec = get_spec("choi2017")

    def initialise(seed: int) -> Weights:
        return Weights({"network.x": torch.rand(3)})

    def identity(spec: ExtractorSpec, name: str) -> str:
        return load(replace(spec, initialise=initialise), name).sha256

    first = identity(spec, "random:7")
    assert first == identity(spec, "random:7")
    assert first != identity(spec, "random:8")
    assert first != identity(replace(spec, version=99), "random:7")
    assert first != identity(replace(spec, name="other"), "random:7")


@pytest.mark.parametrize("seed", ["x", "", "-1", "1.5", " 1", "1:2", "٣"])
def test_a_seed_is_a_whole_number(seed: str) -> None:
    with pytest.raises(OptionError, match="the seed is a whole number, as in 'random:7'"):
        load(get_spec("choi2017"), f"random:{seed}")


def test_an_extractor_without_weights_takes_no_checkpoint() -> None:
    assert load_weights(get_spec("mfcc"), None) is None
    for given in ("open", "random", "msd", "file.safetensors"):
        with pytest.raises(OptionError, match=f"mfcc has no weights.*{given!r}"):
            load_weights(get_spec("mfcc"), given)


# The authors' own file


@pytest.mark.shared
def test_the_authors_file_is_read_by_its_path(choi2017_data: Path) -> None:
    path = choi2017_data / choi2017.MSD.filename
    assert path.stat().st_size == choi2017.MSD.size_bytes
    weights = load(get_spec("choi2017"), path)
    assert weights.sha256 == choi2017.MSD.sha256
    assert (weights.tensors["network.layers.0.norm.weight"] < 0).any()
    assert weights.tensors["network.layers.4.norm.running_var"].min() > 0
    for batch_norm in ("population", "clip"):
        extractor = mirfeat.load_extractor("choi2017", checkpoint=path, batch_norm=batch_norm)
        assert extractor.extract(SOUND).std() > 0


@pytest.mark.shared
def test_the_authors_file_is_used_from_the_cache_folder(
    choi2017_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    path = choi2017_data / choi2017.MSD.filename
    cached = downloads.cache_folder() / choi2017.MSD.filename
    cached.write_bytes(path.read_bytes())
    published = load(get_spec("choi2017"), "msd")
    assert_same(published, load(get_spec("choi2017"), path))
    cached.unlink()
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert_same(load(get_spec("choi2017"), "msd"), published)
    extractor = mirfeat.load_extractor("choi2017", checkpoint="msd")
    assert extractor.provenance.checkpoint_sha256 == choi2017.MSD.sha256
