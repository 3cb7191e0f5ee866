"""From waveform to scaled mel image: STFT, mel bands, decibels or logarithm, standardisation.

All steps are ``nn.Module``s with buffers, so ``.to(device)`` moves them. Letters in shapes:
B segments, C channels, N samples, F mel bands, T frames. Values agree with librosa (tests).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mirfeat.networks.following import followed
from mirfeat.networks.scaling import Scaling

# Filters that are applied together, and samples of frames (1 MB) that are.
_BANDS_AT_ONCE, _SAMPLES_AT_ONCE = 16, 1 << 18
_NOTHING = 1e-30


@dataclass(frozen=True)
class MelSpec:
    """How a waveform becomes a scaled mel image. Periodic Hann window, Slaney scale and norm.

    ``double``: bands in double precision before they are float32. For scalings that show what lies
    at the rounding of a float32 transform, which is another on every processor.
    """

    sample_rate: int
    channels: int
    n_fft: int
    hop_samples: int
    n_mels: int
    fmax_hz: float
    scaling: Scaling
    centred: bool = True
    pad_mode: Literal["constant", "reflect"] = "constant"
    power: Literal[1, 2] = 2
    fmin_hz: float = 0.0
    standardise: bool = False
    # Not in the name of a folder of levels, which are kept in half precision.
    double: bool = field(default=False, repr=False)

    def frames(self, samples: int) -> int:
        """Number of frames T of a segment of that many samples."""
        return 1 + (samples if self.centred else samples - self.n_fft) // self.hop_samples


def mel_to_hz(mels: np.ndarray) -> np.ndarray:
    """Slaney's mel scale: linear below 1000 Hz (15 mels), logarithmic above.

    Source: Auditory Toolbox, M. Slaney, Interval Research report 1998-010; librosa's default.
    """
    linear = mels * (200.0 / 3.0)
    logarithmic = 1000.0 * np.exp((mels - 15.0) * (math.log(6.4) / 27.0))
    return np.where(mels < 15.0, linear, logarithmic)


def hz_to_mel(hz: float) -> float:
    """Inverse of :func:`mel_to_hz` for one frequency."""
    return hz * 3.0 / 200.0 if hz < 1000.0 else 15.0 + math.log(hz / 1000.0) * 27.0 / math.log(6.4)


def mel_filterbank(spec: MelSpec) -> Tensor:
    """Triangular mel bands of equal area, float32 [n_mels, n_fft // 2 + 1]."""
    points = np.linspace(hz_to_mel(spec.fmin_hz), hz_to_mel(spec.fmax_hz), spec.n_mels + 2)
    edges = mel_to_hz(points)
    bins = np.linspace(0.0, spec.sample_rate / 2.0, spec.n_fft // 2 + 1)
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    area = 2.0 / (edges[2:] - edges[:-2])
    return torch.from_numpy((triangles * area[:, None]).astype(np.float32))


class MelSpectrogram(nn.Module):
    """Magnitude or power in mel bands.

    Shape: [B, C, N] -> [B, C, F, T], ``T = spec.frames(N)``. Values are at least 0. On processors
    it goes through each channel by a megabyte of frames at a time, which stays in the cache;
    values therefore do not depend on the other segments of a batch.
    """

    window: Tensor
    filterbank: Tensor

    def __init__(self, spec: MelSpec) -> None:
        """Precompute window and filterbank for ``spec``."""
        super().__init__()
        self.spec = spec
        dtype = torch.float64 if spec.double else torch.float32
        filterbank = mel_filterbank(spec).to(dtype)
        window = torch.hann_window(spec.n_fft, dtype=dtype)
        # Constants of the spec, recomputed everywhere and therefore never in a checkpoint.
        self.register_buffer("window", window, persistent=False)
        self.register_buffer("filterbank", filterbank, persistent=False)
        starts = range(0, spec.n_mels, _BANDS_AT_ONCE)
        groups = [slice(start, start + _BANDS_AT_ONCE) for start in starts]
        self._groups = [(bands, _support(filterbank[bands])) for bands in groups]

    def forward(self, audio: Tensor) -> Tensor:
        """Mel spectrogram of each channel of each segment."""
        spec, half = self.spec, self.spec.n_fft // 2
        if spec.centred:
            audio = F.pad(audio, (half, half), mode=spec.pad_mode)
        frames = audio.unfold(-1, spec.n_fft, spec.hop_samples)
        if audio.device.type != "cpu" or followed(audio):
            return self.bands(frames).mT.contiguous()
        mel = audio.new_empty(*frames.shape[:2], spec.n_mels, frames.shape[2])
        size = max(1, _SAMPLES_AT_ONCE // spec.n_fft)
        for channel, bands in zip(frames.flatten(0, 1), mel.flatten(0, 1), strict=True):
            for some, place in zip(channel.split(size), bands.split(size, dim=1), strict=True):
                place.copy_(self.bands(some).mT)
        return mel

    def bands(self, frames: Tensor) -> Tensor:
        """Mel bands of frames: [..., T, n_fft] -> [..., T, F], float32."""
        spectrum = torch.fft.rfft(frames * self.window)
        # Three times as fast as abs() and squaring.
        squares = torch.view_as_real(spectrum)
        squares = squares.square() if followed(frames) else squares.square_()
        strength = squares[..., 0] + squares[..., 1]
        if self.spec.power == 1:
            # The root of nothing has no slope; far below every floor it may have any.
            strength = (strength.clamp(min=_NOTHING) if followed(frames) else strength).sqrt()
        # Most of the filterbank is zero; neighbouring bands see but a few bins.
        groups = [
            strength[..., bins] @ self.filterbank[bands, bins].T for bands, bins in self._groups
        ]
        return torch.cat(groups, dim=-1).float()


def _support(filters: Tensor) -> slice:
    """The bins that some of these filters see; one at least, narrow filters may have none."""
    seen = filters.amax(0).nonzero().flatten().tolist()
    return slice(seen[0], seen[-1] + 1) if seen else slice(0, 1)


class Standardise(nn.Module):
    """``(x - mean) / scale`` per mel band, from statistics of the training data.

    Shape: [B, C, F, T] -> the same; buffers ``mean`` and ``scale`` are float32 [F, 1].
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, n_mels: int) -> None:
        """Identity until a checkpoint brings its statistics."""
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_mels, 1))
        self.register_buffer("scale", torch.ones(n_mels, 1))

    def fit(self, images: Tensor) -> None:
        """Take the statistics of ``images`` [B, C, F, T], over everything but the bands."""
        bands = images.transpose(0, 2).flatten(1).double()
        self.mean.copy_(bands.mean(1, keepdim=True))
        # A band that never changes, as in silence, is left as it is.
        self.scale.copy_(bands.std(1, keepdim=True).clamp(min=1e-3))

    def forward(self, image: Tensor) -> Tensor:
        """Standardised image."""
        return (image - self.mean) / self.scale


class Frontend(nn.Module):
    """Waveform segments to scaled mel images.

    Shape: [B, C, N] float32 in about [-1, 1] -> [B, C, F, T], ``T = spec.frames(N)``.
    """

    def __init__(self, spec: MelSpec) -> None:
        """Chain of the steps that ``spec`` names."""
        super().__init__()
        self.spec = spec
        self.mel = MelSpectrogram(spec)
        self.scaling = spec.scaling.module()
        self.standardise = Standardise(spec.n_mels) if spec.standardise else nn.Identity()

    def forward(self, audio: Tensor) -> Tensor:
        """Scaled mel image of each segment."""
        return self.scale(self.levels(audio))

    def levels(self, audio: Tensor) -> Tensor:
        """Logarithm of the mel spectrogram: all that does not depend on what a segment holds.

        Training keeps this of whole tracks and cuts segments out of it.
        """
        return self.scaling.level(self.mel(audio))

    def scale(self, levels: Tensor) -> Tensor:
        """Scaled image of each segment's :meth:`levels`."""
        image: Tensor = self.standardise(self.scaling.finish(levels))
        return image
