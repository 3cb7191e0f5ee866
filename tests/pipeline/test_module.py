"""Extractors as modules of PyTorch: the numbers of extract, with gradients."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

import mirfeat
from mirfeat.errors import AudioError, AudioTooShortError, OptionError
from mirfeat.extractor import Extractor
from tests.test_contract import sound

# One of each family, and of each way to take short clips, to pool and to share layers.
FAMILIES = ("choi2017", "mfcc", "hamel2013-base", "hamel2013-tag", "kim2018-mtn", "musicnn")
FAMILIES = (*FAMILIES, "kim2019-ss-r", "kim2019-ms-cr-4")


@pytest.fixture(scope="module", params=FAMILIES)
def extractor(request: pytest.FixtureRequest) -> Extractor:
    untrained = request.param in ("musicnn", "kim2019-ss-r")
    return mirfeat.load_extractor(request.param, checkpoint="random" if untrained else None)


def close(actual: torch.Tensor, expected: np.ndarray) -> None:
    assert_allclose(actual.detach().numpy(), expected, rtol=1e-5, atol=1e-5)


def clip(extractor: Extractor, segments: float, channels: int = 1) -> np.ndarray:
    return sound(segments * extractor.segment_seconds, extractor.sample_rate, channels)


@pytest.mark.parametrize("segments", [0.3, 1.0, 1.3, 2.7])
def test_rows_and_vectors_are_those_of_extract(extractor: Extractor, segments: float) -> None:
    vectors, rows = extractor.module(), extractor.module(output="rows")
    for channels in (1, 2, 3):
        audio = clip(extractor, segments, channels)
        embedding = extractor.embed(audio, extractor.sample_rate)
        samples = torch.from_numpy(audio)[None]
        close(vectors(samples)[0], embedding.summary())
        close(rows(samples)[0], embedding.values)
    assert vectors.dimension == extractor.dimension
    assert rows.dimension == extractor.row_dimension


def test_gradients_reach_samples_and_weights_and_are_finite(extractor: Extractor) -> None:
    module = extractor.module(trainable=True).train()
    audio = np.stack([clip(extractor, 1.1), clip(extractor, 1.1)])
    audio[1, :, : audio.shape[2] // 2] = 0.0  # silence has no level to move
    samples = torch.from_numpy(audio).requires_grad_()
    vectors = module(samples)
    close(vectors[0], extractor.extract(audio[0], extractor.sample_rate))
    vectors.square().sum().backward()
    for values in (samples, *module.parameters()):
        assert values.grad is not None
        assert torch.isfinite(values.grad).all()
        assert values.grad.abs().sum() > 0


def test_a_gradient_says_how_the_vector_moves() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (1, 1, 12_000)).astype(np.float32)
    audio = torch.from_numpy(noise).requires_grad_()
    module = mirfeat.load_extractor("mfcc").module()
    (slope,) = torch.autograd.grad(module(audio)[0, 0], audio)
    # A louder sound has as many dB more in each of 128 bands, of which this is the scaled sum.
    assert_allclose(
        (slope * audio.detach()).sum().item(), 20 / np.log(10) * np.sqrt(128), rtol=1e-4
    )


def test_frozen_modules_have_no_weights_to_train_and_the_extractor_keeps_its_own() -> None:
    extractor = mirfeat.load_extractor("choi2017")
    assert not any(weight.requires_grad for weight in extractor.module().parameters())
    audio = sound(1.0, 12_000)
    before = extractor.extract(audio, 12_000)
    module = extractor.module(trainable=True)
    with torch.no_grad():
        for weight in module.parameters():
            weight.mul_(0.5)
    np.testing.assert_array_equal(extractor.extract(audio, 12_000), before)
    assert not np.allclose(module(torch.from_numpy(audio)[None])[0].detach(), before)


def test_layers_that_no_row_needs_are_not_trained() -> None:
    names = dict(
        mirfeat.load_extractor("choi2017", layers="12").module(trainable=True).named_parameters()
    )
    assert {name.rpartition(".")[2] for name in names} == {"kernel0", "bias0", "kernel1", "bias1"}


def test_musicnn_follows_its_weights_after_a_step_of_training() -> None:
    module = mirfeat.load_extractor("musicnn", checkpoint="random").module(trainable=True)
    samples = torch.from_numpy(sound(3.1, 16_000))[None]
    with torch.no_grad():
        module.get_parameter("model.network.trained.timbral.0.conv.weight").mul_(0.5)
        quick = module(samples)
    close(module(samples), quick.numpy())


def test_a_module_is_exported_for_any_number_of_clips() -> None:
    exported_and_compiled(mirfeat.load_extractor("hamel2013-tag"), compiled=False)


@pytest.mark.slow
# torch's own: of its old compiler, and that complex numbers are not compiled.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Torchinductor:UserWarning")
def test_every_module_is_exported_and_compiled(extractor: Extractor) -> None:
    exported_and_compiled(extractor, compiled=True)


def exported_and_compiled(extractor: Extractor, *, compiled: bool) -> None:
    module = extractor.module()
    clips = np.stack([clip(extractor, 1.3, extractor.channels)] * 3)
    clips[1] *= 0.5
    samples = torch.from_numpy(clips)
    expected = extractor.extract_batch(clips, extractor.sample_rate)
    shapes = ({0: torch.export.Dim.DYNAMIC},)
    program = torch.export.export(module, (samples[:2],), dynamic_shapes=shapes).module()
    for count in (1, 2, 3):
        close(program(samples[:count]), expected[:count])
    if compiled:
        quick = torch.compile(module, fullgraph=True)
        close(quick(samples), expected)
        close(quick(samples[:2]), expected[:2])


def test_distributed_data_parallel_and_fabric_take_it(tmp_path: Path) -> None:
    from lightning_fabric import Fabric

    module = mirfeat.load_extractor("hamel2013-tag").module(trainable=True)
    samples = torch.from_numpy(sound(1.6, 22_050))[None]
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path / 'meet'}", rank=0, world_size=1
    )
    try:
        parallel = torch.nn.parallel.DistributedDataParallel(module)
        parallel(samples).sum().backward()
    finally:
        torch.distributed.destroy_process_group()
    fabric = Fabric(accelerator="cpu", devices=1)
    model, optimiser = fabric.setup(module, torch.optim.SGD(module.parameters(), 1e-6))
    before = model(samples).detach().clone()
    fabric.backward(model(samples).square().sum())
    optimiser.step()
    assert not torch.equal(model(samples).detach(), before)


def test_what_the_module_cannot_take_is_said() -> None:
    extractor = mirfeat.load_extractor("kim2018-stn")
    module = extractor.module()
    with pytest.raises(OptionError, match=r"\[clips, channels, samples\]"):
        module(torch.zeros(2, 50_000))
    with pytest.raises(AudioTooShortError, match="2048"):
        module(torch.zeros(1, 1, 2000))
    with pytest.raises(OptionError, match="'rows' or 'vector'"):
        extractor.module(output="row")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="autocast"):
        mirfeat.load_extractor("kim2018-stn", precision="bfloat16").module()
    with pytest.raises(OptionError, match=r"extractor\.parts"):
        mirfeat.load_extractor("kim2018-stn+mfcc").module()


def test_a_batch_gives_the_vector_of_each_clip() -> None:
    extractor = mirfeat.load_extractor("mfcc")
    clips = np.stack([sound(1.0, 22_050, 2, seed) for seed in range(3)])
    expected = np.stack([extractor.extract(clip, 22_050) for clip in clips])
    np.testing.assert_array_equal(extractor.extract_batch(clips, 22_050), expected)
    mono = extractor.extract_batch(torch.from_numpy(clips[:, 0]), 22_050)
    np.testing.assert_array_equal(mono[1], extractor.extract(clips[1, 0], 22_050))
    for wrong in (clips[0, 0], clips[:0], [1.0]):
        with pytest.raises(AudioError, match="clips, channels, samples"):
            extractor.extract_batch(wrong, 22_050)
    clips[1, 0, 5] = np.nan
    with pytest.raises(AudioError, match="clip 1"):
        extractor.extract_batch(clips, 22_050)


def test_clips_are_not_taken_for_channels() -> None:
    extractor = mirfeat.load_extractor("mfcc")
    batch = np.zeros((9, 12_000), np.float32)
    with pytest.raises(AudioError, match="extract_batch"):
        extractor.extract(batch, 12_000)
    with pytest.raises(AudioError, match="extract_batch"):
        list(extractor.extract_many([("a", (batch, 12_000))], on_error="raise"))
    assert extractor.extract(mirfeat.Audio(batch, 12_000)).shape == (120,)
    assert extractor.extract(batch[:8], 12_000).shape == (120,)
