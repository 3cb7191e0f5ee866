"""Filters of a single image and the maximum over its bands, as few large matrix products.

Convolution, ReLU, batch norm and a maximum over mel bands are computed in another order: the
maximum first, which leaves ReLU and norm little to do. That is the same where the norm's factor is
positive; filters with a negative one are turned, so that their minimum becomes a maximum.

Letters in shapes: F mel bands, T frames, K filters.
"""

from __future__ import annotations

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Filters and frames that are transformed back together: 1.3 MB, which stays in the cache.
_FILTERS_AT_ONCE, _FRAMES_AT_ONCE = 102, 32
# Frames that one product answers for: more of them means more zeros in its matrix.
_BLOCK = 11


class _Strongest(nn.Module):
    """What follows the maximum: ReLU and batch norm of each filter's strongest answer."""

    sign: Tensor
    bias: Tensor
    scale: Tensor
    shift: Tensor

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        """Bias of the convolution and frozen statistics, in float64 until they are joined."""
        super().__init__()
        scale = norm.weight.double() / (cast(Tensor, norm.running_var).double() + norm.eps).sqrt()
        shift = norm.bias.double() - scale * cast(Tensor, norm.running_mean).double()
        sign = torch.where(scale < 0, -1.0, 1.0).double()
        self.turned = conv.weight.detach().double()[:, 0] * sign[:, None, None]
        for name, value in (
            ("sign", sign),
            ("bias", cast(Tensor, conv.bias)),
            ("scale", scale),
            ("shift", shift),
        ):
            self.register_buffer(name, value.detach().float()[:, None], persistent=False)

    def finish(self, strongest: Tensor) -> Tensor:
        """Answers of the layer from the maxima [K, T] of its turned filters."""
        answers = strongest.float() * self.sign + self.bias
        return answers.clamp_(min=0).mul_(self.scale).add_(self.shift)


class BandFilters(_Strongest):
    """Filters over many bands and few frames, through a discrete Fourier transform over bands.

    Shape: [F, T] -> [K, T]. For each frequency the answers are a product of K × (frames of the
    filter) with the frames; two more transform them back to those bands where the filter lies
    wholly inside. Bands are counted from the middle one of these: cosines of the real parts are the
    same on both sides of it, sines of the imaginary parts are opposite, so the larger of two
    answers is a sum and an absolute value, and one side is enough. All this is a quarter of the
    multiplications of the convolution, to the same accuracy: the transform is orthonormal.
    """

    forth: Tensor
    cosines: Tensor
    sines: Tensor

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d, bands: int) -> None:
        """Transform the filters of a layer for images of that many bands."""
        super().__init__(conv, norm)
        height, self.frames = cast(tuple[int, int], conv.kernel_size)
        frequencies = torch.arange(bands // 2 + 1).double() * 2.0 * math.pi / bands
        angle = torch.outer(frequencies, torch.arange(bands).double())
        waves = torch.stack([angle.cos(), -angle.sin()], dim=1).flatten(0, 1) / math.sqrt(bands)
        # Of a real signal each frequency but the first and the last stands for two.
        twice = torch.full((len(frequencies),), 2.0, dtype=torch.float64)
        twice[0] = twice[-1] = 1.0
        middle = (bands - height) / 2.0
        side = torch.arange(math.floor(middle) + 1).double() + middle % 1.0
        angle = torch.outer(side, frequencies)
        for name, matrix in (
            ("forth", waves),
            ("cosines", angle.cos() * twice / math.sqrt(bands)),
            ("sines", angle.sin() * twice / math.sqrt(bands)),
        ):
            self.register_buffer(name, matrix.float(), persistent=False)
        self._groups = 0
        for group in torch.split(self.turned, _FILTERS_AT_ONCE):
            matrix = _spectra(group, bands, middle).float().contiguous()
            self.register_buffer(f"spectra{self._groups}", matrix, persistent=False)
            self._groups += 1

    def forward(self, image: Tensor) -> Tensor:
        """Answers of the layer to one image."""
        total, bins = image.shape[1], len(self.forth) // 2
        waves = F.pad(self.forth @ image, (self.frames // 2, self.frames // 2))
        # [bins, real and imaginary × frames of the filter, T]
        waves = waves.view(bins, 2, -1).unfold(2, total, 1).flatten(1, 2)
        groups = [self.get_buffer(f"spectra{index}") for index in range(self._groups)]
        strongest = [
            torch.cat([self._strongest(spectra, part) for spectra in groups])
            for part in torch.split(waves, _FRAMES_AT_ONCE, dim=2)
        ]
        return self.finish(torch.cat(strongest, dim=1))

    def _strongest(self, spectra: Tensor, waves: Tensor) -> Tensor:
        """Maximum over bands of some filters at some frames, [K, T]."""
        products = torch.bmm(spectra, waves).view(len(self.forth) // 2, 2, -1)
        same, opposite = self.cosines @ products[:, 0], self.sines @ products[:, 1]
        return opposite.abs_().add_(same).amax(0).view(-1, waves.shape[2])


def _spectra(filters: Tensor, bands: int, middle: float) -> Tensor:
    """Filters [K, height, frames] as matrices [bins, 2 K, 2 × frames] on real and imaginary parts.

    A convolution of networks is a correlation: the conjugate of the filter's transform. Answers are
    moved, so that the one of band ``middle`` is the first.
    """
    transform = torch.fft.rfft(filters, n=bands, dim=1).permute(1, 0, 2)
    moved = torch.arange(len(transform)).double() * (-2.0 * math.pi * middle / bands)
    transform = transform * torch.polar(torch.ones_like(moved), moved)[:, None, None]
    real, imaginary = transform.real, transform.imag
    return torch.cat(
        [torch.cat([real, imaginary], dim=2), torch.cat([-imaginary, real], dim=2)], dim=1
    )


class TimeFilters(_Strongest):
    """Filters over frames alone: a product for each stretch of frames, with all bands at once.

    Shape: [F, T] -> [K, T]. The matrix of a stretch holds every filter once for each of its frames,
    moved on by one each time; where a filter reaches over the ends of the image, it is cut.
    """

    def __init__(
        self, conv: nn.Conv2d, norm: nn.BatchNorm2d, padding: tuple[int, int], frames: int
    ) -> None:
        """Lay out the filters of a layer for images of that many frames."""
        super().__init__(conv, norm)
        filters = self.turned[:, 0].T.float()
        self._stretches = []
        for start in range(0, frames, _BLOCK):
            stop = min(frames, start + _BLOCK)
            seen = slice(max(0, start - padding[0]), min(frames, stop + padding[1]))
            matrix = _laid_out(filters, range(start - padding[0], stop - padding[0]), seen)
            self.register_buffer(f"stretch{start}", matrix, persistent=False)
            self._stretches.append((seen, f"stretch{start}"))

    def forward(self, image: Tensor) -> Tensor:
        """Answers of the layer to one image."""
        strongest = [
            (image[:, seen] @ self.get_buffer(name)).amax(0) for seen, name in self._stretches
        ]
        return self.finish(torch.cat(strongest).view(-1, len(self.sign)).T)


def _laid_out(filters: Tensor, firsts: range, seen: slice) -> Tensor:
    """Matrix [frames seen, len(firsts) × K] of filters [frames, K] that begin at ``firsts``."""
    matrix = filters.new_zeros(seen.stop - seen.start, len(firsts), filters.shape[1])
    for index, first in enumerate(firsts):
        start, stop = max(seen.start, first), min(seen.stop, first + len(filters))
        matrix[start - seen.start : stop - seen.start, index] = filters[
            start - first : stop - first
        ]
    return matrix.flatten(1)
