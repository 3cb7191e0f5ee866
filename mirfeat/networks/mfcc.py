"""Choi et al. 2017, section 3.3: the MFCC baseline. 20 coefficients with their differences.

No weights: a discrete cosine transform over mel bands, then plain frame differences (not the
smoothed ones of ``librosa.feature.delta``), as in the authors' repository
keunwoochoi/transfer_learning_music.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from mirfeat.audio.segments import SegmentSpec
from mirfeat.networks.checkpoint import Weights
from mirfeat.networks.choi2017 import PAPER
from mirfeat.networks.frontend import Frontend, MelSpec
from mirfeat.networks.model import Model, Rows
from mirfeat.networks.scaling import DecibelScale
from mirfeat.networks.spec import ExtractorSpec

COEFFICIENTS = 20


def dct_matrix(n_mels: int, coefficients: int) -> Tensor:
    """Orthonormal DCT-II, float32 [coefficients, n_mels]."""
    band = (torch.arange(n_mels, dtype=torch.float64) + 0.5) * (math.pi / n_mels)
    order = torch.arange(coefficients, dtype=torch.float64)[:, None]
    matrix = torch.cos(order * band) * math.sqrt(2.0 / n_mels)
    matrix[0] /= math.sqrt(2.0)
    return matrix.float()


class Mfcc(nn.Module):
    """Mean and variance over frames of coefficients and their first and second differences.

    Shape: [B, 1, F, T] in dB -> two of [B, 60]. T is at least 3, so that a second difference
    exists.
    """

    transform: Tensor
    block_sizes: ClassVar = dict.fromkeys(("coefficient", "delta", "delta2"), COEFFICIENTS)

    def __init__(self, n_mels: int) -> None:
        """Transform for images of ``n_mels`` bands."""
        super().__init__()
        self.register_buffer("transform", dct_matrix(n_mels, COEFFICIENTS), persistent=False)

    def forward(self, image: Tensor) -> Rows:
        """Rows of mel images."""
        coefficients = self.transform @ image[:, 0]
        tracks = [coefficients, coefficients.diff(dim=-1), coefficients.diff(n=2, dim=-1)]
        mean = torch.cat([track.mean(-1) for track in tracks], dim=1)
        variance = torch.cat([track.var(-1, correction=0) for track in tracks], dim=1)
        return mean, variance


def build(weights: Weights | None, options: Mapping[str, Any]) -> Model:
    """Model of the extractor ``mfcc``."""
    return Model(Frontend(MEL), Mfcc(MEL.n_mels))


MEL = MelSpec(
    sample_rate=12_000,
    channels=1,
    n_fft=2048,
    hop_samples=512,
    n_mels=128,
    fmax_hz=6000.0,
    scaling=DecibelScale("unity"),
)

SPECS = (
    ExtractorSpec(
        name="mfcc",
        version=1,
        summary="20 MFCCs with first and second differences, the baseline of Choi 2017",
        take_if="you need a baseline that learnt nothing",
        paper=PAPER,
        mel=MEL,
        segment=SegmentSpec(
            samples=348_000,
            hop_samples=348_000,
            min_samples=1,
            short="keep",
            # Spectra of 29 s are 6 MB: several at once fragment the heap and gain nothing.
            batch_cpu=1,
            batch_gpu=64,
            # Three frames: the second difference needs them. The authors pad likewise.
            pad_samples=1024,
        ),
        paper_statistics=("mean", "std"),
        build=build,
        blocks=Mfcc.block_sizes,
    ),
)
