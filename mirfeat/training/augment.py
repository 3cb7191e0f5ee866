"""Random changes of crops, on the device: loudness, equalisation, channels, codecs, mixtures.

They work on levels (dB, or natural logarithm), before floor and standardisation, so that the
network sees what its front end would make of the changed sound. Stretch and shift are where crops
are cut (``crops.py``). Letters in shapes: B crops, C channels, F mel bands, T frames.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from mirfeat.networks.frontend import MelSpec
from mirfeat.training.config import Augmentation

# Knots of the random equaliser: about one to two octaves apart.
_KNOTS = 6
# A mixed-in track is at most as loud as the first and at least this much quieter.
_QUIETEST_DB = 15.0


class Mixed(NamedTuple):
    """Changed levels, and whose sound is in each crop: ``share`` [B] is of ``partner`` [B]."""

    levels: Tensor
    partner: Tensor
    share: Tensor

    def targets(self, targets: Tensor) -> Tensor:
        """Targets [B, k] in the same proportion as the sound; NaN where one of two is not known."""
        share = self.share[:, None].to(targets.dtype)
        mixed = torch.lerp(targets, targets[self.partner], share)
        # A crop that is heard alone keeps its labels, whatever its partner lacks.
        return torch.where(share > 0, mixed, targets)


class Augmenter:
    """Changes for one kind of mel spectrogram."""

    def __init__(self, changes: Augmentation, mel: MelSpec) -> None:
        """``changes`` say how much, and which not at all."""
        self._changes, self._mel = changes, mel

    def __call__(self, levels: Tensor, seed: int, *, mix: bool = True) -> Mixed:
        """Change ``levels`` [B, C, F, T]; the same seed gives the same changes on one device."""
        draw = torch.Generator(levels.device).manual_seed(seed)
        size, changes = len(levels), self._changes

        def uniform(*shape: int) -> Tensor:
            return torch.rand(shape, generator=draw, device=levels.device)

        if levels.shape[1] == 2 and (changes.swap or changes.mono):
            levels = _channels(levels, uniform(size) < changes.swap, uniform(size) < changes.mono)
        curve = self._curve(uniform(size, 1 + _KNOTS))
        if changes.lowpass:
            levels = self._lowpass(levels, uniform(size), uniform(size))
        if changes.gain_db or changes.equaliser_db:
            levels = self._louder(levels, curve)
        if changes.mix and mix:
            mixed = self._mix(levels, uniform(size), uniform(size))
        else:
            mixed = Mixed(levels, torch.arange(size, device=levels.device), levels.new_zeros(size))
        if changes.mask:
            mixed = mixed._replace(levels=self._mask(mixed.levels, uniform(size, 5)))
        return mixed

    def _curve(self, draws: Tensor) -> Tensor:
        """Gain and equaliser of each crop in dB, [B, 1, F, 1]."""
        draws = 2.0 * draws - 1.0
        knots = draws[:, None, 1:] * self._changes.equaliser_db
        bands = torch.nn.functional.interpolate(
            knots, size=self._mel.n_mels, mode="linear", align_corners=True
        )
        gain = draws[:, :1, None] * self._changes.gain_db
        return (bands + gain)[:, :, :, None]

    def _louder(self, levels: Tensor, decibels: Tensor) -> Tensor:
        return self._mel.scaling.louder(levels, decibels, self._mel.power)

    def _lowpass(self, levels: Tensor, chance: Tensor, where: Tensor) -> Tensor:
        """Nothing above a band, as low bit rates leave it."""
        bands = self._mel.n_mels
        cut = torch.where(chance < self._changes.lowpass, bands * (0.6 + 0.4 * where), bands)
        above = torch.arange(bands, device=levels.device)[None] >= cut[:, None]
        quiet = levels.amin((1, 2, 3), keepdim=True)
        return torch.where(above[:, None, :, None], quiet, levels)

    def _mix(self, levels: Tensor, chance: Tensor, loudness: Tensor) -> Mixed:
        """Two sounds at once: in each point of the image the louder one is heard.

        The maximum is within 3 dB of the sum of powers and costs a tenth of it.
        """
        partner = torch.arange(len(levels), device=levels.device).roll(1)
        down_db = torch.where(chance < self._changes.mix, _QUIETEST_DB * loudness, math.inf)
        quieter = self._louder(levels[partner], -down_db[:, None, None, None])
        power = torch.pow(10.0, -down_db / 10.0)
        return Mixed(torch.maximum(levels, quieter), partner, power / (1.0 + power))

    def _mask(self, levels: Tensor, draws: Tensor) -> Tensor:
        """One stretch of time and one of bands are silenced (to the mean level of the crop)."""
        quiet = levels.mean((1, 2, 3), keepdim=True)
        chosen = (draws[:, 0] < self._changes.mask)[:, None]
        in_bands = chosen & _span(draws[:, 1], draws[:, 2], levels.shape[2])
        in_frames = chosen & _span(draws[:, 3], draws[:, 4], levels.shape[3])
        hidden = in_bands[:, None, :, None] | in_frames[:, None, None, :]
        return torch.where(hidden, quiet, levels)


def _span(start: Tensor, width: Tensor, size: int) -> Tensor:
    """[B, size], true over a random stretch of at most a fifth."""
    place = torch.arange(size, device=start.device)[None] / size
    start = start[:, None]
    return (place >= start) & (place < start + 0.2 * width[:, None])


def _channels(levels: Tensor, swap: Tensor, mono: Tensor) -> Tensor:
    """Channels exchanged, or both the mean of the two."""
    levels = torch.where(swap[:, None, None, None], levels.flip(1), levels)
    mean = levels.mean(1, keepdim=True).expand_as(levels)
    return torch.where(mono[:, None, None, None], mean, levels)
