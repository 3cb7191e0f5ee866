"""Hamel, Davies, Yoshii, Goto: Transfer learning in MIR: sharing learned latent representations.

ISMIR 2013. Log mel frames, embedded linearly (or not: ``hamel2013-base``), summarised over windows
of 64 frames by mean, variance, maximum and minimum. Paper: sections 3.1 and 4. The embedding V is
learnt with WARP together with one vector per label, so that labels can be compared with each other
and with music. No code or weights were published. The paper gives neither mel scale nor log floor:
Slaney's scale (HTK's leaves one of 200 bands empty) and 1e-5 (below 16-bit noise).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mirfeat.audio.segments import SegmentSpec
from mirfeat.networks.checkpoint import Weights, fill
from mirfeat.networks.frontend import Frontend, MelSpec
from mirfeat.networks.model import Model, Rows
from mirfeat.networks.scaling import LogScale
from mirfeat.networks.spec import ExtractorSpec, Paper

EMBEDDING_SIZE = 100
STATISTICS = ("mean", "variance", "maximum", "minimum")


class WindowStatistics(nn.Module):
    """Mean, variance, maximum and minimum over the frames of a window (section 3.1).

    Shape: [B, 1, F, T] -> two of [B, 4 * d], d = 100 with an embedding and F without.
    A row is one point: nothing varies inside it.
    """

    def __init__(self, embedding: nn.Linear | None, n_mels: int) -> None:
        """Statistics of embedded frames, or of the frames themselves."""
        super().__init__()
        self.embedding = embedding
        size = n_mels if embedding is None else embedding.out_features
        self.block_sizes = dict.fromkeys(STATISTICS, size)
        self.label_names: list[str] = []

    def strip(self) -> None:
        """Forget what rows do not need: the labels."""
        self.label_names, self.label_vectors = [], None

    def forward(self, image: Tensor) -> Rows:
        """Rows of log mel images."""
        frames = image[:, 0]
        if self.embedding is not None:
            frames = self.embedding.weight @ frames
        mean = frames.mean(-1, keepdim=True)
        variance = (frames - mean).square().mean(-1)
        row = torch.cat([mean[..., 0], variance, frames.amax(-1), frames.amin(-1)], dim=1)
        return row, torch.zeros_like(row)


class Hamel2013(nn.Module):
    """The map V of frames and the vectors of labels, W, as checkpoints hold them.

    ``labels`` maps each data set to a matrix [labels, 100]; every data set has its own, since equal
    names need not mean the same (section 3.3).
    """

    def __init__(self, label_counts: Mapping[str, int]) -> None:
        """Parameters for data sets with that many labels."""
        super().__init__()
        self.embedding = nn.Linear(MEL.n_mels, EMBEDDING_SIZE, bias=False)
        self.labels = nn.ParameterDict(
            {name: nn.Parameter(torch.zeros(n, EMBEDDING_SIZE)) for name, n in label_counts.items()}
        )


def build(weights: Weights | None, options: Mapping[str, Any]) -> Model:
    """Model of ``hamel2013-tag`` and ``-genre``, and of ``-base`` where there are no weights."""
    frontend = Frontend(MEL)
    if weights is None:
        statistics = WindowStatistics(None, MEL.n_mels)
        return Model(frontend, statistics)
    names: Mapping[str, list[str]] = weights.metadata.get("labels", {})
    network = Hamel2013({dataset: len(labels) for dataset, labels in names.items()})
    fill({"frontend": frontend, "network": network}, weights)
    statistics = WindowStatistics(network.embedding, MEL.n_mels)
    statistics.label_names = [f"{dataset}/{label}" for dataset in names for label in names[dataset]]
    if names:
        vectors = [network.labels[dataset].detach() for dataset in names]
        statistics.register_buffer("label_vectors", torch.cat(vectors))
    return Model(frontend, statistics)


def initialise(name: str, seed: int) -> Weights:
    """Untrained map: normal draws of variance 1 / d, as WARP starts from (Weston et al. 2011)."""
    generator = np.random.Generator(np.random.PCG64(seed))
    draws = generator.standard_normal((EMBEDDING_SIZE, MEL.n_mels)) / math.sqrt(MEL.n_mels)
    tensors = {"network.embedding.weight": torch.from_numpy(draws.astype(np.float32))}
    return Weights(tensors, {"extractor": name, "labels": {}})


PAPER = Paper(
    citation="P. Hamel, M. E. P. Davies, K. Yoshii, M. Goto: Transfer learning in MIR: sharing "
    "learned latent representations for music audio classification and similarity. ISMIR 2013.",
    url="https://research.google/pubs/transfer-learning-in-mir-sharing-learned-latent-"
    "representations-for-music-audio-classification-and-similarity/",
    bibtex="""@inproceedings{hamel2013transfer,
  title = {Transfer learning in {MIR}: sharing learned latent representations for music audio
           classification and similarity},
  author = {Hamel, Philippe and Davies, Matthew E. P. and Yoshii, Kazuyoshi and Goto, Masataka},
  booktitle = {14th International Society for Music Information Retrieval Conference},
  year = {2013}
}""",
)

MEL = MelSpec(
    sample_rate=22_050,
    channels=1,
    n_fft=1024,
    hop_samples=512,
    n_mels=200,
    fmax_hz=11_025.0,
    scaling=LogScale(floor=1e-5),
    centred=False,
    power=1,
    # The minimum over frames shows levels near the floor.
    double=True,
)

# Windows of 64 frames, side by side: the last frame of one begins where the next window starts.
SEGMENT = SegmentSpec(
    samples=33_280, hop_samples=32_768, min_samples=1024, short="tile", batch_cpu=16, batch_gpu=1024
)


def _spec(kind: str, summary: str, take_if: str, trained: bool) -> ExtractorSpec:
    name = f"hamel2013-{kind}"
    return ExtractorSpec(
        name=name,
        version=2,
        summary=summary,
        take_if=take_if,
        paper=PAPER,
        mel=MEL,
        segment=SEGMENT,
        paper_statistics=("mean",),
        build=build,
        initialise=partial(initialise, name) if trained else None,
        blocks=dict.fromkeys(STATISTICS, EMBEDDING_SIZE if trained else MEL.n_mels),
    )


SPECS = (
    _spec(
        "base",
        "statistics of 200 log mel bands over windows of 1.5 s",
        "you want a bare spectrum and how it moves",
        False,
    ),
    _spec(
        "tag",
        "statistics of 100 dimensions learnt from tags, over windows of 1.5 s",
        "you want songs and tags in one space, to ask which are near",
        True,
    ),
    _spec(
        "genre",
        "statistics of 100 dimensions learnt from genres, over windows of 1.5 s",
        "you want songs and genres in one space, to ask which are near",
        True,
    ),
)
