"""hamel2013: window statistics against NumPy, label vectors and their neighbours."""

from pathlib import Path

import numpy as np
import pytest
import torch

import mirfeat
from mirfeat.errors import OptionError
from mirfeat.networks import checkpoint, hamel2013
from mirfeat.networks.checkpoint import Weights
from tests.support import slow_twins

RATE = 22_050


def window_statistics(frames: np.ndarray) -> np.ndarray:
    """The paper's four numbers of each dimension of (d, T), block after block."""
    return np.concatenate([frames.mean(1), frames.var(1), frames.max(1), frames.min(1)])


@pytest.fixture
def audio() -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal((1, 33_280)).astype(np.float32)


def test_base_features_agree_with_the_float64_twin(audio: np.ndarray) -> None:
    mel = slow_twins.scaled(slow_twins.mel_spectrogram(audio, hamel2013.MEL), hamel2013.MEL)[0]
    ours = mirfeat.load_extractor("hamel2013-base").embed(audio, RATE)
    assert mel.shape == (200, 64)
    assert np.abs(ours.values[0] - window_statistics(mel)).max() < 1e-4


def labelled(tmp_path: Path, name: str = "hamel2013-tag") -> Path:
    """A checkpoint with two data sets that have labels."""
    weights = hamel2013.initialise(name, 3)
    generator = torch.Generator().manual_seed(0)
    labels = {"A": ["rock", "jazz", "folk"], "B": ["rock", "techno"]}
    tensors = dict(weights.tensors)
    for dataset, names in labels.items():
        tensors[f"network.labels.{dataset}"] = torch.randn(len(names), 100, generator=generator)
    path = tmp_path / "labelled.safetensors"
    checkpoint.write(path, Weights(tensors, {**weights.metadata, "labels": labels}))
    return path


def test_embedded_features_agree_with_the_float64_twin(audio: np.ndarray, tmp_path: Path) -> None:
    path = labelled(tmp_path)
    matrix = checkpoint.read(path).tensors["network.embedding.weight"].double().numpy()
    mel = slow_twins.scaled(slow_twins.mel_spectrogram(audio, hamel2013.MEL), hamel2013.MEL)[0]
    ours = mirfeat.load_extractor("hamel2013-tag", checkpoint=path).embed(audio, RATE)
    assert np.abs(ours.values[0] - window_statistics(matrix @ mel)).max() < 1e-4


def test_labels_of_all_data_sets_are_neighbours_by_l1(tmp_path: Path) -> None:
    path = labelled(tmp_path)
    extractor = mirfeat.load_extractor("hamel2013-tag", checkpoint=path)
    labels = extractor.labels
    assert labels.names == ("A/rock", "A/jazz", "A/folk", "B/rock", "B/techno")
    vectors = {name: labels.vectors[index] for index, name in enumerate(labels.names)}
    distances = {name: np.abs(vectors[name] - vectors["A/rock"]).sum() for name in vectors}
    nearest = labels.nearest("A/rock", top=4)
    assert [found.name for found in nearest] == sorted(distances, key=distances.__getitem__)[1:]
    assert nearest[0].distance == pytest.approx(distances[nearest[0].name], rel=1e-5)
    # A vector is its own nearest label at distance 0.
    assert labels.nearest(vectors["B/techno"], top=1)[0] == ("B/techno", 0.0)


def test_labels_near_a_clip_are_those_near_its_mean_embedded_frame(
    audio: np.ndarray, tmp_path: Path
) -> None:
    extractor = mirfeat.load_extractor(
        "hamel2013-genre", checkpoint=labelled(tmp_path, "hamel2013-genre")
    )
    embedding = extractor.embed(audio, RATE)
    mean = embedding.values[0, embedding.blocks["mean"]]
    assert extractor.nearest_labels(audio, RATE, top=2) == extractor.labels.nearest(mean, top=2)


def test_mistakes_with_labels_are_explained(tmp_path: Path) -> None:
    extractor = mirfeat.load_extractor("hamel2013-tag", checkpoint=labelled(tmp_path))
    with pytest.raises(OptionError, match="A/rock"):
        extractor.labels.nearest("polka")
    with pytest.raises(OptionError, match=r"\(100,\)"):
        extractor.labels.nearest(np.zeros(3))
    with pytest.raises(OptionError, match="no labels"):
        mirfeat.load_extractor("hamel2013-base").labels  # noqa: B018
    with pytest.raises(OptionError, match="no labels"):
        mirfeat.load_extractor("hamel2013-tag", checkpoint="random").labels  # noqa: B018


def test_the_base_takes_no_checkpoint() -> None:
    with pytest.raises(OptionError, match="has no weights"):
        mirfeat.load_extractor("hamel2013-base", checkpoint="random")
