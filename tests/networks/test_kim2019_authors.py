"""The authors' checkpoints and scalers of Kim 2019, in their format."""

import contextlib
import gzip
import pickle
import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mirfeat
from mirfeat.errors import CheckpointMismatchError, CheckpointUnavailableError
from mirfeat.networks import kim2019
from mirfeat.networks.kim2019_authors import read_authors
from mirfeat.networks.kim2019_scaler import check_published, read_scaler
from tests.support.authors_kim2019 import SCALER, save_checkpoint, save_scaler, state_dict

ALL = ["self_", "bpm", "year", "taste", "tag", "lyrics", "cdr_tag", "artist"]
BRANCHES = {
    "null": "kim2019-mss-cr",
    "2": "kim2019-ms-cr-2",
    "4": "kim2019-ms-cr-4",
    "6": "kim2019-ms-cr-6",
    "fc": "kim2019-ms-sr-fc",
}


@pytest.fixture
def audio() -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal((2, 55_125)).astype(np.float32)


@pytest.mark.parametrize("legacy", [True, False], ids=["torch 0.4", "torch 2"])
@pytest.mark.parametrize("branch_at", BRANCHES)
def test_every_branch_point_loads_into_its_extractor(
    branch_at: str, legacy: bool, tmp_path: Path, audio: np.ndarray
) -> None:
    path = save_checkpoint(tmp_path, ALL, branch_at, legacy=legacy)
    extractor = mirfeat.load_extractor(BRANCHES[branch_at], checkpoint=path)
    embedding = extractor.embed(audio, 22_050)
    expected = ["shared"] if branch_at == "fc" else [*kim2019.SOURCES]
    assert list(embedding.blocks) == expected
    assert np.isfinite(embedding.values).all()
    assert list(extractor.factors(audio, 22_050)) == [*kim2019.SOURCES[1:]]


def test_features_are_those_of_their_network(tmp_path: Path, audio: np.ndarray) -> None:
    """Their module tree, filled with their keys by torch itself."""
    tasks, branch_at = ["tag", "self_"], "4"
    path = save_checkpoint(tmp_path, tasks, branch_at)
    mean, scale = read_scaler(tmp_path / SCALER).values()
    theirs = torch.nn.ModuleDict(
        {
            "shared": torch.nn.Sequential(*kim2019.stages()[:3]),
            "branches_feature": torch.nn.ModuleList(
                [torch.nn.Sequential(*kim2019.stages()[3:]) for _ in tasks]
            ),
        }
    )
    features = {
        key: value
        for key, value in state_dict(tasks, branch_at).items()
        if not key.startswith("branches_infer")
    }
    theirs.load_state_dict(features, strict=False)
    theirs.eval()
    extractor = mirfeat.load_extractor("kim2019-ms-cr-4", checkpoint=path)
    frontend = extractor._units[0].model.frontend
    with torch.no_grad():
        level = frontend.scaling(frontend.mel(torch.from_numpy(audio)[None]))
        image = ((level.numpy() - mean[:, None]) / scale[:, None]).transpose(0, 1, 3, 2)
        shared = theirs["shared"](torch.from_numpy(image).float())
        expected = torch.cat([branch(shared) for branch in theirs["branches_feature"]], 1)  # type: ignore[union-attr]
    ours = extractor.embed(audio, 22_050)
    assert list(ours.blocks) == ["tag", "self"]
    np.testing.assert_allclose(ours.values, expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("branch_at", ["null", "2", "fc"])
def test_a_network_of_one_task_is_an_ss_r_wherever_it_branches(
    branch_at: str, tmp_path: Path, audio: np.ndarray
) -> None:
    path = save_checkpoint(tmp_path, ["lyrics"], branch_at)
    extractor = mirfeat.load_extractor("kim2019-ss-r", checkpoint=path)
    assert extractor.feature_names[0] == "kim2019-ss-r.lyrics.000.mean"
    assert np.isfinite(extractor.extract(audio, 22_050)).all()


def test_the_wrong_extractor_is_told_the_right_one(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, ALL, "2")
    with pytest.raises(CheckpointMismatchError, match="load it as 'kim2019-ms-cr-2'"):
        mirfeat.load_extractor("kim2019-mss-cr", checkpoint=path)


def test_the_scaler_is_needed_and_named(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, ALL, "2")
    (tmp_path / SCALER).unlink()
    with pytest.raises(CheckpointUnavailableError, match=r"sclr_dbmel\.dat\.gz"):
        mirfeat.load_extractor("kim2019-ms-cr-2", checkpoint=path)
    # The numbers of the authors' scaler as plain npz will do as well.
    np.savez(tmp_path / "sclr_dbmel.npz", mean=np.zeros(128), scale=np.ones(128))
    mirfeat.load_extractor("kim2019-ms-cr-2", checkpoint=path)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_the_scalers_numbers_come_through_the_pickle(protocol: int, tmp_path: Path) -> None:
    mean, scale = save_scaler(tmp_path / SCALER, protocol)
    found = read_scaler(tmp_path / SCALER)
    np.testing.assert_array_equal(found["mean"], mean)
    np.testing.assert_array_equal(found["scale"], scale)


def test_a_scaler_of_2018_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """joblib inside scikit-learn, no padding before arrays, a NumPy number among the values."""
    kind = "joblib.numpy_pickle.NumpyArrayWrapper"
    monkeypatch.setattr(f"{kind}.safe_get_numpy_array_alignment_bytes", lambda self: None)

    def old_state(self: Any) -> dict:
        names = ("subclass", "shape", "order", "dtype", "allow_mmap")
        return {name: vars(self)[name] for name in names}

    monkeypatch.setattr(f"{kind}.__getstate__", old_state, raising=False)
    mean, _ = save_scaler(tmp_path / SCALER, n_samples_seen_=np.int64(356_427_874))
    content = gzip.decompress((tmp_path / SCALER).read_bytes())
    content = content.replace(b"cjoblib.", b"csklearn.externals.joblib.")
    content = content.replace(b"cnumpy._core.", b"cnumpy.core.")
    assert b"numpy.core.multiarray\nscalar" in content
    (tmp_path / SCALER).write_bytes(gzip.compress(content))
    np.testing.assert_array_equal(read_scaler(tmp_path / SCALER)["mean"], mean)
    check_published(tmp_path / SCALER)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    """Bytes changed anywhere: read all the same, or refused with mirfeat's error."""
    draw = random.Random(0)
    checkpoint = save_checkpoint(tmp_path, ["tag"], "fc")
    for path, tries in ((checkpoint, 60), (tmp_path / SCALER, 120)):
        whole = path.read_bytes()
        for number in range(tries):
            inside = path != checkpoint and number % 2 == 0
            content = bytearray(gzip.decompress(whole) if inside else whole)
            end = 4000 if path == checkpoint else len(content)
            for _ in range(3):
                content[draw.randrange(end)] = draw.randrange(256)
            if number % 3 == 0:
                del content[draw.randrange(end) :]
            path.write_bytes(gzip.compress(content) if inside else content)
            with contextlib.suppress(CheckpointMismatchError), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read_scaler(path) if path != checkpoint else read_authors("kim2019-ss-r", 0, path)


def test_another_number_of_bands_is_refused(tmp_path: Path) -> None:
    save_scaler(tmp_path / SCALER, mean_=np.zeros(96))
    with pytest.raises(CheckpointMismatchError, match=r"shape \(96,\)"):
        read_scaler(tmp_path / SCALER)
    np.savez(tmp_path / "short.npz", mean=np.zeros(128), scale=np.full(128, np.nan))
    with pytest.raises(CheckpointMismatchError, match="no mean and scale of 128"):
        read_scaler(tmp_path / "short.npz")


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.target,))


def test_pickles_do_not_run(tmp_path: Path) -> None:
    target = tmp_path / "was_here"
    with gzip.open(tmp_path / SCALER, "wb") as file:
        pickle.dump({"mean_": Bomb(target)}, file)
    with pytest.raises(CheckpointMismatchError, match="not part of a scaler"):
        read_scaler(tmp_path / SCALER)
    path = tmp_path / "evil.pth.tar"
    for legacy in (True, False):
        torch.save({"tasks": Bomb(target)}, path, _use_new_zipfile_serialization=not legacy)
        with pytest.raises(CheckpointMismatchError, match="wants to run or build"):
            mirfeat.load_extractor("kim2019-mss-cr", checkpoint=path)
    assert not target.exists()


def test_arrays_of_objects_in_a_scaler_do_not_run(tmp_path: Path) -> None:
    import joblib

    target = tmp_path / "was_here"
    array = np.array([Bomb(target)], dtype=object)
    with gzip.open(tmp_path / SCALER, "wb") as file:
        joblib.dump({"mean_": array}, file, protocol=2)
    with pytest.raises(CheckpointMismatchError, match="of objects, where numbers belong"):
        read_scaler(tmp_path / SCALER)
    assert not target.exists()


@pytest.mark.parametrize(
    "content", [b"", b"text", b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.cut"]
)
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.pth.tar"
    path.write_bytes(content)
    with pytest.raises(CheckpointMismatchError, match=r"x\.pth\.tar"):
        mirfeat.load_extractor("kim2019-mss-cr", checkpoint=path)


def test_tensors_too_many_or_too_few_are_listed(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, ["tag"], "2")
    record = torch.load(path, weights_only=True)
    record["state_dict"]["surprise"] = record["state_dict"].pop("shared.0.conv.bias")
    torch.save(record, path)
    with pytest.raises(
        CheckpointMismatchError, match=r"missing network\.trunk.*unexpected surprise"
    ):
        mirfeat.load_extractor("kim2019-ms-cr-2", checkpoint=path)


@pytest.mark.shared
def test_the_authors_scaler_as_npz() -> None:
    folder = Path(__file__).parents[3] / "shared" / "data" / "kim"
    if not folder.is_dir():
        pytest.skip("the authors' scalers (shared/data/kim) are not here")
    found = read_scaler(folder / "msd_scaler_2018_sclr_dbmel.npz")
    assert found["mean"].min() == pytest.approx(-42.848, abs=1e-3)
    assert found["mean"].max() == pytest.approx(7.958, abs=1e-3)


@pytest.mark.parametrize(
    "changes",
    [
        {"tasks": "tag"},
        {"tasks": []},
        {"tasks": ["tag", "tag"]},
        {"tasks": [1]},
        {"state_dict": [1]},
        {"branch_at": "3"},
        {"branch_at": ["2"]},
        {"state_dict": {}},
    ],
)
def test_records_of_another_form_are_refused(changes: dict, tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, ["tag"], "2")
    torch.save({**torch.load(path, weights_only=True), **changes}, path)
    with pytest.raises(CheckpointMismatchError):
        mirfeat.load_extractor("kim2019-ms-cr-2", checkpoint=path)
