"""Kim, Urbano, Liem, Hanjalic: One deep music representation to rule them all?

Neural Computing and Applications 2019, arXiv 1802.04051. Networks trained on up to eight learning
sources that share none, some or all of their layers; the feature is the 256-unit layer before the
prediction. Paper: section 3, tables 1 and 3, figure 2. Authors' code:
eldrin/MTLMusicRepresentation-PyTorch, commits e7b66ce (experiments) and 5dc6d66.

The code feeds power where the paper says magnitude; scaler and published weights agree with the
code. Slices are cut from the audio before the decibel floor is applied, as the paper says.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from torch import nn

from mirfeat.audio.segments import SegmentSpec
from mirfeat.errors import OptionError
from mirfeat.networks.branched import (
    FEATURE_SIZE,
    SOURCES_OPTION,
    Branched,
    ConvStage,
    GlobalAverage,
    build_branched,
    initialise_branched,
)
from mirfeat.networks.checkpoint import Weights, sources_of
from mirfeat.networks.frontend import MelSpec
from mirfeat.networks.kim2019_authors import SIGNATURES, read_authors
from mirfeat.networks.model import Model
from mirfeat.networks.scaling import DecibelScale
from mirfeat.networks.spec import ExtractorSpec, ForeignFormat, Paper

FACTORS = 50
# Table 1, in the order of the authors' experimental design.
SOURCES = ("self", "bpm", "year", "taste", "tag", "lyrics", "cdr_tag", "artist")
# How many of the stages below all sources share (figure 2).
BRANCH_POINTS = {
    "kim2019-ss-r": 0,
    "kim2019-mss-cr": 0,
    "kim2019-ms-cr-2": 1,
    "kim2019-ms-cr-4": 3,
    "kim2019-ms-cr-6": 5,
    "kim2019-ms-sr-fc": 12,
}


def stages() -> list[nn.Module]:
    """The chain of table 3, from the image [B, 2, 216, 128] to the feature [B, 256]."""

    def stage(channels_in: int, channels: int, kernel: int, pool: int) -> ConvStage:
        norm = nn.BatchNorm2d(channels)
        stride = (2, 1) if kernel == 5 else (1, 1)
        return ConvStage(
            channels_in, channels, kernel, nn.ReLU(), norm=norm, stride=stride, pool=(pool, pool)
        )

    return [
        stage(2, 16, 5, 2),
        stage(16, 32, 3, 2),
        stage(32, 64, 3, 2),
        stage(64, 64, 3, 2),
        stage(64, 128, 3, 2),
        stage(128, 256, 3, 1),
        stage(256, 256, 1, 1),
        GlobalAverage(),
        nn.Linear(256, FEATURE_SIZE),
        nn.BatchNorm1d(FEATURE_SIZE),
        nn.ReLU(),
        nn.Dropout(0.5),
    ]


def head(source: str, factors: int) -> nn.Module:
    """What predicts a source from its feature; ``self`` compares the features of two clips."""
    if source != "self":
        return nn.Linear(FEATURE_SIZE, factors)
    return nn.Sequential(
        nn.Linear(2 * FEATURE_SIZE, 128),
        nn.BatchNorm1d(128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, 2),
    )


def network(branch_point: int, factors: Mapping[str, int]) -> Branched:
    """Network that branches after so many stages, with a head of so many factors per source."""
    heads = {source: head(source, count) for source, count in factors.items()}
    return Branched(stages, branch_point, heads)


def build(name: str, weights: Weights | None, options: Mapping[str, Any]) -> Model:
    """Model of one sharing strategy with option ``sources``."""
    assert weights is not None
    sources, known = options["sources"], sources_of(weights)
    if name == "kim2019-ss-r":
        # A single-source network: one branch of a file of independent networks.
        sources = sources or ("tag" if "tag" in known else next(iter(known)))
        if "," in sources or (not isinstance(sources, str) and len(sources) != 1):
            raise OptionError(f"sources={sources!r}: kim2019-ss-r takes exactly one; see mss-cr.")
    trained = network(BRANCH_POINTS[name], known)
    return build_branched(MEL, trained, weights, sources, {})


def initialise(name: str, seed: int) -> Weights:
    """Untrained networks for all eight sources."""
    factors = {source: 2 if source == "self" else FACTORS for source in SOURCES}
    generator = np.random.Generator(np.random.PCG64(seed))
    trained = network(BRANCH_POINTS[name], factors)
    return initialise_branched(name, MEL, SEGMENT, trained, factors, generator)


PAPER = Paper(
    citation="J. Kim, J. Urbano, C. C. S. Liem, A. Hanjalic: One deep music representation to rule "
    "them all? A comparative analysis of different representation learning strategies. Neural "
    "Computing and Applications, 2019.",
    url="https://arxiv.org/abs/1802.04051",
    bibtex="""@article{kim2019one,
  title = {One deep music representation to rule them all? {A} comparative analysis of different
           representation learning strategies},
  author = {Kim, Jaehun and Urbano, Juli{\\'a}n and Liem, Cynthia C. S. and Hanjalic, Alan},
  journal = {Neural Computing and Applications},
  year = {2019}
}""",
)

MEL = MelSpec(
    sample_rate=22_050,
    channels=2,
    n_fft=1024,
    hop_samples=256,
    n_mels=128,
    fmax_hz=11_025.0,
    scaling=DecibelScale("unity"),
    pad_mode="reflect",
    standardise=True,
)

# 2.5 s, 216 frames. Reflection needs more than half a window of samples.
SEGMENT = SegmentSpec(
    samples=55_125, hop_samples=55_125, min_samples=1024, short="tile", batch_cpu=12, batch_gpu=256
)


def _spec(
    name: str,
    summary: str,
    take_if: str,
    checkpoint_of: str = "",
    blocks: tuple[str, ...] = SOURCES,
) -> ExtractorSpec:
    read = partial(read_authors, name, BRANCH_POINTS[name])
    return ExtractorSpec(
        name=name,
        version=1,
        summary=summary,
        take_if=take_if,
        paper=PAPER,
        mel=MEL,
        segment=SEGMENT,
        paper_statistics=("mean", "std"),
        build=partial(build, name),
        initialise=partial(initialise, name),
        options=(SOURCES_OPTION,),
        blocks=dict.fromkeys(blocks, FEATURE_SIZE),
        formats=tuple(ForeignFormat("the authors' pth.tar", start, read) for start in SIGNATURES),
        checkpoint_of=checkpoint_of,
    )


SPECS = (
    _spec(
        "kim2019-ss-r",
        "one source, one network",
        "you want one learning source of kim2019-mss-cr alone",
        "kim2019-mss-cr",
        ("tag",),
    ),
    _spec(
        "kim2019-ms-sr-fc",
        "all sources share everything; one vector in 512 numbers",
        "you want much in 512 numbers, and slices of 2.5 s",
        blocks=("shared",),
    ),
    _spec(
        "kim2019-ms-cr-6",
        "sources share five convolutions",
        "you want nearly what -ms-cr-2 has, in half the time",
    ),
    _spec(
        "kim2019-ms-cr-4",
        "sources share three convolutions",
        "you look for the middle between -ms-cr-6 and -ms-cr-2",
    ),
    _spec(
        "kim2019-ms-cr-2",
        "sources share one convolution; the fullest",
        "you want 512 numbers for each thing it learnt, and have the time",
    ),
    _spec(
        "kim2019-mss-cr",
        "sources share nothing",
        "you study learning sources side by side",
    ),
)
