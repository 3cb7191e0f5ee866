"""From mel spectrograms to levels: decibels, logarithm, and whatever else a network was made for.

A scaling is a record that a :class:`~mirfeat.networks.frontend.MelSpec` holds. It makes its own
module and knows what its levels become when the sound gets louder, so front ends and augmentation
ask it and need no list of scalings.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from mirfeat.networks.following import followed


class Scaling(Protocol):
    """What the scaling of a mel spectrogram must offer; a frozen record, compared by value."""

    def module(self) -> Levels:
        """The module that does it."""
        ...

    def louder(self, levels: Tensor, decibels: Tensor, power: Literal[1, 2]) -> Tensor:
        """Levels of the same sound with so many dB more, or fewer; shapes are broadcast.

        ``levels`` are those of :meth:`Levels.level`. ``power`` is that of the spectrogram: 1 for
        magnitudes, 2 for their squares. -inf dB is silence.
        """
        ...


class Levels(nn.Module, ABC):
    """Mel spectrogram to levels in two steps, because training keeps the first of whole tracks.

    Shape: [B, C, F, T] -> the same.
    """

    @abstractmethod
    def level(self, mel: Tensor) -> Tensor:
        """What each point of the image becomes, whatever else is in its segment."""

    def finish(self, level: Tensor) -> Tensor:
        """What depends on the segment or on the checkpoint; nothing unless overridden."""
        return level

    def forward(self, mel: Tensor) -> Tensor:
        """Levels of a mel spectrogram."""
        return self.finish(self.level(mel))


@dataclass(frozen=True)
class DecibelScale:
    """Level in dB, ``10·log10(max(x, amin)) - reference``, cut at ``floor_db`` below the top.

    ``reference``: ``"checkpoint"`` subtracts a constant stored with the weights and cuts below it;
    ``"maximum"`` subtracts the segment's own maximum; ``"unity"`` subtracts nothing and cuts
    below the segment's maximum (librosa's ``power_to_db`` with ``top_db``). The maximum is taken
    over all channels of a segment together.
    """

    reference: Literal["checkpoint", "maximum", "unity"]
    amin: float = 1e-10
    floor_db: float = 80.0

    def module(self) -> Decibels:
        """Decibels by this record."""
        return Decibels(self)

    def louder(self, levels: Tensor, decibels: Tensor, power: Literal[1, 2]) -> Tensor:
        """As many dB more; half as many of magnitudes, whose ``10·log10`` this is."""
        return levels + (decibels if power == 2 else decibels / 2.0)


@dataclass(frozen=True)
class LogScale:
    """Natural logarithm of ``max(x, floor)``."""

    floor: float = 1e-5

    def module(self) -> NaturalLog:
        """Logarithm by this record."""
        return NaturalLog(self)

    def louder(self, levels: Tensor, decibels: Tensor, power: Literal[1, 2]) -> Tensor:
        """``ln 10 / 20`` more for each dB of magnitudes, ``ln 10 / 10`` of powers."""
        return levels + decibels * (math.log(10.0) / (20.0 if power == 1 else 10.0))


@dataclass(frozen=True)
class LogCompression:
    """``log10(1 + factor · x)`` of mel power ``x`` rounded to half precision.

    Source: ``batch_data`` of the package musicnn 0.1.0, extractor.py. The rounding, by which the
    authors saved memory, moves tags by up to 6e-5, so it is kept. What half precision cannot hold
    (65 504) is cut there.
    """

    factor: float = 10_000.0

    def module(self) -> Compressed:
        """The module that does it."""
        return Compressed(self.factor)

    def louder(self, levels: Tensor, decibels: Tensor, power: Literal[1, 2]) -> Tensor:
        """Less for quiet points than for loud ones: what is behind the logarithm is multiplied."""
        factor = torch.pow(10.0, decibels / (20.0 if power == 1 else 10.0))
        return torch.log10(1.0 + torch.expm1(levels * math.log(10.0)) * factor)


class Decibels(Levels):
    """Level in dB as :class:`DecibelScale` says.

    The buffer ``reference`` (dB) is part of the checkpoint when the scale asks for a constant one.
    """

    reference: Tensor

    def __init__(self, scale: DecibelScale) -> None:
        """Scale with a reference of 0 dB until a checkpoint brings its own."""
        super().__init__()
        self.scale = scale
        constant = scale.reference == "checkpoint"
        self.register_buffer("reference", torch.zeros(()), persistent=constant)

    def level(self, mel: Tensor) -> Tensor:
        """Decibels of mel power, without reference and floor."""
        return mel.clamp(min=self.scale.amin).log10_().mul_(10.0)

    def finish(self, level: Tensor) -> Tensor:
        """Level less the reference, cut at the floor of its segment."""
        if self.scale.reference == "checkpoint":
            return (level - self.reference).clamp_(min=-self.scale.floor_db)
        top = level.amax((1, 2, 3), keepdim=True)
        if self.scale.reference == "maximum":
            return (level - top).clamp_(min=-self.scale.floor_db)
        return torch.maximum(level, top - self.scale.floor_db)


class NaturalLog(Levels):
    """Natural logarithm of at least ``floor``. Shape: any -> the same."""

    def __init__(self, scale: LogScale) -> None:
        """Logarithm that never sees less than ``scale.floor``."""
        super().__init__()
        self.floor = scale.floor

    def level(self, mel: Tensor) -> Tensor:
        """Natural logarithm of mel magnitude or power."""
        return mel.clamp(min=self.floor).log_()


class Compressed(Levels):
    """As :class:`LogCompression` says. Shape: any -> the same."""

    def __init__(self, factor: float) -> None:
        """Compression by that factor."""
        super().__init__()
        self.factor = factor

    def level(self, mel: Tensor) -> Tensor:
        """Compressed mel power."""
        rounded = mel.clamp(max=torch.finfo(torch.float16).max).half().float()
        if followed(mel):  # in half precision gradients overflow: they pass the rounding by
            rounded = mel + (rounded - mel).detach()
        return rounded.mul(self.factor).add_(1.0).log10_()
