"""Front ends of all four papers against librosa and a float64 twin."""

from dataclasses import replace

import librosa
import numpy as np
import pytest
import torch

from mirfeat.networks import choi2017, hamel2013, mfcc, musicnn
from mirfeat.networks.frontend import Frontend, MelSpec, MelSpectrogram, Standardise, mel_filterbank
from mirfeat.networks.scaling import Decibels, DecibelScale, LogScale
from tests.support import slow_twins

# The configurations the papers need (those of networks to come are written out here).
SPECS = {
    "choi2017": (choi2017.MEL, 348_000, 1360),
    "mfcc": (mfcc.MEL, 348_000, 680),
    "hamel2013": (
        MelSpec(22_050, 1, 1024, 512, 200, 11_025.0, LogScale(), centred=False, power=1),
        33_280,
        64,
    ),
    "kim2018": (
        MelSpec(44_100, 1, 2048, 1024, 128, 22_050.0, DecibelScale("unity"), centred=False),
        45_056,
        43,
    ),
    "kim2019": (
        MelSpec(22_050, 2, 1024, 256, 128, 11_025.0, DecibelScale("unity"), pad_mode="reflect"),
        55_125,
        216,
    ),
}


def noise(spec: MelSpec, samples: int, batch: int = 1) -> np.ndarray:
    """Noise with a slope and an envelope, float32 [B, C, N]."""
    generator = np.random.default_rng(1)
    sound = generator.standard_normal((batch, spec.channels, samples))
    sound = sound + np.cumsum(sound, axis=-1) * 0.01
    return (0.1 * sound * np.linspace(0.01, 1.0, samples)).astype(np.float32)


@pytest.fixture(params=SPECS)
def case(request: pytest.FixtureRequest) -> tuple[MelSpec, int, int]:
    return SPECS[request.param]


def test_mel_filterbank_is_librosas(case: tuple[MelSpec, int, int]) -> None:
    spec = case[0]
    expected = librosa.filters.mel(
        sr=spec.sample_rate, n_fft=spec.n_fft, n_mels=spec.n_mels, fmax=spec.fmax_hz
    )
    np.testing.assert_allclose(mel_filterbank(spec).numpy(), expected, rtol=1e-5, atol=1e-9)


def test_mel_spectrogram_is_librosas(case: tuple[MelSpec, int, int]) -> None:
    spec, samples, frames = case
    audio = noise(spec, samples)
    mel = MelSpectrogram(spec)(torch.from_numpy(audio)).numpy()[0]
    assert (
        mel.shape == (spec.channels, spec.n_mels, frames) == (*mel.shape[:2], spec.frames(samples))
    )
    expected = librosa.feature.melspectrogram(
        y=audio[0].astype(np.float64),
        sr=spec.sample_rate,
        n_fft=spec.n_fft,
        hop_length=spec.hop_samples,
        center=spec.centred,
        pad_mode=spec.pad_mode,
        power=spec.power,
        n_mels=spec.n_mels,
        fmax=spec.fmax_hz,
    )
    # Relative to each frame's strongest band: float32 transforms carry that much rounding.
    scale = np.maximum(expected, 1e-3 * expected.max(axis=-2, keepdims=True))
    assert np.max(np.abs(mel - expected) / scale) < 1e-5


@pytest.mark.parametrize("spec", [hamel2013.MEL, musicnn.MEL], ids=["hamel2013", "musicnn"])
def test_bands_in_double_precision_are_right_at_any_level(spec: MelSpec) -> None:
    """A loud tone beside nothing: a float32 transform is wrong there by a part in a hundred."""
    samples = spec.n_fft + 4 * spec.hop_samples
    time = np.arange(samples) / spec.sample_rate
    audio = (0.5 * np.sin(2000 * np.pi * time) * np.hanning(samples)).astype(np.float32)
    mel = MelSpectrogram(spec)(torch.from_numpy(audio)[None, None])
    assert mel.dtype == torch.float32
    frames = np.lib.stride_tricks.sliding_window_view(audio.astype(np.float64), spec.n_fft)
    window = np.hanning(spec.n_fft + 1)[:-1]
    spectrum = np.fft.rfft(frames[:: spec.hop_samples] * window)
    expected = mel_filterbank(spec).double().numpy() @ (np.abs(spectrum.T) ** spec.power)
    assert expected.min() < 1e-6 * expected.max()
    np.testing.assert_allclose(mel[0, 0].numpy(), expected, rtol=1e-6)
    single = MelSpectrogram(replace(spec, double=False))(torch.from_numpy(audio)[None, None])
    assert np.max(np.abs(single[0, 0].numpy() / expected - 1)) > 1e-4


def test_all_frames_at_once_as_on_a_gpu_are_those_by_the_megabyte(
    case: tuple[MelSpec, int, int],
) -> None:
    spec, samples, frames = case
    mel, audio = MelSpectrogram(spec), torch.from_numpy(noise(spec, samples))
    half = spec.n_fft // 2 if spec.centred else 0
    padded = torch.nn.functional.pad(audio, (half, half), mode=spec.pad_mode)
    at_once = mel.bands(padded.unfold(-1, spec.n_fft, spec.hop_samples)).mT
    torch.testing.assert_close(mel(audio), at_once, rtol=1e-5, atol=1e-6 * float(at_once.max()))
    elsewhere = mel.to("meta")(audio.to("meta"))
    assert elsewhere.shape == (1, spec.channels, spec.n_mels, frames)
    assert elsewhere.is_contiguous()


def test_a_segment_does_not_know_of_the_others_of_its_batch(
    case: tuple[MelSpec, int, int],
) -> None:
    spec, samples, _ = case
    mel = MelSpectrogram(spec)
    batch = torch.cat([torch.from_numpy(noise(spec, samples)) * scale for scale in (1.0, 0.3, 2.0)])
    assert torch.equal(mel(batch), torch.cat([mel(segment[None]) for segment in batch]))


def test_decibels_are_librosas() -> None:
    power = np.random.default_rng(0).random((2, 1, 8, 9)).astype(np.float32) ** 20
    for image in power:
        ours = Decibels(DecibelScale("unity"))(torch.from_numpy(image)[None]).numpy()[0]
        np.testing.assert_allclose(ours, librosa.power_to_db(image), rtol=1e-5, atol=1e-4)
        ours = Decibels(DecibelScale("maximum"))(torch.from_numpy(image)[None]).numpy()[0]
        expected = librosa.power_to_db(image, ref=np.max)
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-4)


def test_a_constant_reference_is_subtracted_and_cuts_below_only() -> None:
    scale = Decibels(DecibelScale("checkpoint"))
    scale.reference.fill_(20.0)
    levels = scale(torch.tensor([1e4, 1e2, 1e-6, 0.0]).reshape(1, 1, 1, 4)).flatten()
    assert levels.tolist() == pytest.approx([20.0, 0.0, -80.0, -80.0])


def test_channels_share_the_maximum_of_their_segment_and_segments_do_not() -> None:
    scale = Decibels(DecibelScale("unity"))
    power = torch.tensor([[[[1.0]], [[1e-12]]], [[[1e-3]], [[1e-12]]]])
    assert scale(power).flatten().tolist() == pytest.approx([0.0, -80.0, -30.0, -100.0])


def test_standardisation_is_per_band() -> None:
    layer = Standardise(2)
    layer.mean.copy_(torch.tensor([[1.0], [2.0]]))
    layer.scale.copy_(torch.tensor([[2.0], [4.0]]))
    image = torch.tensor([[[[3.0], [10.0]]]])
    assert layer(image).flatten().tolist() == [1.0, 2.0]


def test_the_whole_front_end_agrees_with_its_float64_twin(case: tuple[MelSpec, int, int]) -> None:
    spec, samples, _ = case
    audio = noise(spec, samples)
    frontend = Frontend(spec)
    ours = frontend(torch.from_numpy(audio)).numpy()[0]
    twin = slow_twins.scaled(slow_twins.mel_spectrogram(audio[0], spec), spec)
    # Decibels of quiet bands beside loud ones: float32 rounding is up to 1e-3 dB there.
    assert np.abs(ours - twin).max() < 2e-3
    assert np.abs(ours - twin).mean() < 1e-5


def test_a_segment_does_not_depend_on_its_batch(case: tuple[MelSpec, int, int]) -> None:
    spec, samples, _ = case
    audio = torch.from_numpy(noise(spec, samples, batch=3))
    frontend = Frontend(spec)
    together = frontend(audio)
    for index in range(3):
        alone = frontend(audio[index : index + 1])[0]
        torch.testing.assert_close(together[index], alone, rtol=1e-5, atol=1e-4)


def test_silence_and_full_scale_are_finite(case: tuple[MelSpec, int, int]) -> None:
    spec, samples, _ = case
    frontend = Frontend(spec)
    for level in (0.0, 1.0, -1.0):
        image = frontend(torch.full((1, spec.channels, samples), level))
        assert torch.isfinite(image).all()


def test_constants_are_not_part_of_a_checkpoint_and_move_with_the_module() -> None:
    frontend = Frontend(choi2017.MEL)
    assert list(frontend.state_dict()) == ["scaling.reference"]
    assert frontend.to("meta").mel.filterbank.device.type == "meta"
