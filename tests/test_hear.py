"""The interface of HEAR, and what its validator asserts of it."""

import numpy as np
import pytest
import torch

import mirfeat
from mirfeat import hear
from mirfeat.errors import OptionError


@pytest.fixture(scope="module")
def model() -> hear.HearModel:
    return hear.load_model("hamel2013-tag")


def test_the_validator_s_assertions_of_models() -> None:
    for name, rate in (("", 22_050), ("mfcc", 22_050), ("kim2018-stn", 44_100)):
        model = hear.load_model(name)
        assert isinstance(model, torch.nn.Module)
        assert model.sample_rate == rate
        for size in (model.scene_embedding_size, model.timestamp_embedding_size):
            assert isinstance(size, int)
            assert size > 0


def test_the_validator_s_assertions_of_times(model: hear.HearModel) -> None:
    audio = torch.rand(3, 4 * model.sample_rate) * 2 - 1
    embeddings, times = hear.get_timestamp_embeddings(audio, model)
    assert embeddings.dtype == torch.float32
    assert times.dtype == torch.float32
    assert embeddings.shape == (3, 80, model.timestamp_embedding_size)
    assert times.shape == (3, 80)
    assert (times.diff(dim=1) > 0).all()
    assert (times[:, 0] == 0).all()
    # A row every 50 ms from the start to the end, which is no whole number of samples.
    torch.testing.assert_close(times[0], torch.arange(80) * 50.0, rtol=0, atol=0)
    assert torch.isfinite(embeddings).all()
    alone, _ = hear.get_timestamp_embeddings(audio[1:2], model)
    torch.testing.assert_close(alone[0], embeddings[1], rtol=1e-5, atol=1e-5)


def test_rows_are_centred_on_their_times(model: hear.HearModel) -> None:
    audio = torch.zeros(1, 4 * model.sample_rate)
    audio[0, 2 * model.sample_rate :][:200] = 0.5
    embeddings, times = hear.get_timestamp_embeddings(audio, model)
    (differs,) = ((embeddings - embeddings[:, :1]).abs().amax(2)[0] > 1e-3).nonzero(as_tuple=True)
    heard = times[0, differs]
    assert abs(float(heard.min() + heard.max()) / 2 - 2000.0) < 60.0


def test_scenes_are_vectors_of_extract() -> None:
    model = hear.load_model("mfcc")
    audio = torch.rand(2, 30_000) * 0.2 - 0.1
    scenes = hear.get_scene_embeddings(audio, model)
    expected = model.extractor.extract(audio[1].numpy(), model.sample_rate)
    np.testing.assert_array_equal(scenes[1].numpy(), expected)
    with pytest.raises(OptionError, match="sounds, samples"):
        hear.get_scene_embeddings(audio[0], model)


def test_a_model_may_name_its_checkpoint() -> None:
    model = hear.load_model("choi2017@random:3")
    assert model.extractor.provenance.checkpoint_name == "random:3"


def test_padded_rows_agree_with_those_inside() -> None:
    extractor = mirfeat.load_extractor("hamel2013-base")
    audio = np.random.default_rng(0).normal(0, 0.1, (1, 5 * 33_280)).astype(np.float32)
    inside = extractor.embed(audio, 22_050)
    padded = extractor.embed(audio, 22_050, edges="pad", hop_seconds=256 / 22_050)
    centres = (padded.starts + padded.ends) / 2
    for row, start in zip(inside.values, inside.starts, strict=True):
        near = int(np.abs(centres - (start + 33_280 / 2 / 22_050)).argmin())
        np.testing.assert_allclose(padded.values[near], row, atol=1e-5)
    with pytest.raises(OptionError, match="load_extractor"):
        extractor.embed(audio, 22_050, hop_seconds=0.1)
    with pytest.raises(OptionError, match="at least one sample"):
        extractor.embed(audio, 22_050, edges="pad", hop_seconds=0.0)
