"""Batch normalisation with frozen statistics of a population: folding them in, and finding them.

Letters in shapes: B segments, C channels, F mel bands, T frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn


class NormalisedLayer(Protocol):
    """A layer that starts with a convolution and batch norm; calling it runs all of it."""

    conv: nn.Conv2d
    norm: nn.BatchNorm2d

    def __call__(self, image: Tensor) -> Tensor:
        """Output of the layer with its frozen statistics."""
        ...


def folded(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Kernel and bias of a convolution and its frozen batch norm in one, computed in float64."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    kernel = conv.weight.double() * scale[:, None, None, None]
    centre = norm.running_mean.double() - (0.0 if conv.bias is None else conv.bias.double())
    bias = norm.bias.double() - scale * centre
    return kernel.float().detach(), bias.float().detach()


@torch.no_grad()
def freeze_statistics(layers: Iterable[NormalisedLayer], images: Sequence[Tensor]) -> None:
    """Set each layer's statistics to those of ``images`` ([1, C, F, T] each), layer by layer.

    Mean and variance of the convolution's output over all images, mel bands and frames, with all
    earlier layers already frozen. Memory: one layer's output for every image.
    """
    for layer in layers:
        moments = torch.stack([_moments(layer.conv(image).double()) for image in images])
        mean, square = moments.mean(0)
        assert layer.norm.running_mean is not None
        assert layer.norm.running_var is not None
        layer.norm.running_mean.copy_(mean)
        layer.norm.running_var.copy_(square - mean.square())
        images = [layer(image) for image in images]


def _moments(maps: Tensor) -> Tensor:
    """Mean and mean square of each channel, [2, C]."""
    return torch.stack([maps.mean((0, 2, 3)), maps.square().mean((0, 2, 3))])


def synthetic_segment(index: int, samples: int, sample_rate: int) -> np.ndarray:
    """Decaying harmonic notes over a bed of noise, float32 [1, samples], peak 0.5.

    A population for networks that have none: every ``index`` is another sound, always the same.
    """
    generator = np.random.Generator(np.random.PCG64(1_000_000 + index))
    sound = generator.standard_normal(samples) * 10.0 ** generator.uniform(-4.0, -1.5)
    length = int(generator.uniform(0.15, 1.2) * sample_rate)
    time = np.arange(length) / sample_rate
    for start in range(0, samples - length, length):
        pitch_hz = 55.0 * 2.0 ** generator.uniform(0.0, 4.5)
        decay = np.exp(-time * generator.uniform(1.0, 12.0))
        for partial in range(1, int(generator.integers(2, 10))):
            phase = 2.0 * np.pi * (pitch_hz * partial * time + generator.uniform())
            sound[start : start + length] += np.sin(phase) * decay / partial
    sound *= 0.5 / np.abs(sound).max()
    segment: np.ndarray = sound.astype(np.float32)[None]
    return segment
