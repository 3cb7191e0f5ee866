"""Kim, Won, Serra, Liem: Transfer learning of artist group factors to musical genre classification.

WWW 2018 companion. Networks that predict an artist's group factors (or the genre) from a second of
music; the feature is the 256-unit layer before the prediction. Paper: table 2, section 3. Authors'
code: eldrin/Lasagne-MultiTaskLearning, commit 678d5d2. ``kim2018-stn`` is one network per source,
``kim2018-mtn`` shares the first convolution. ``kim2018-wstn`` (table 5) is a network of one source
that is as large as several: all its layers are wider.

Where paper and code differ, the code is taken, since the published scores came from it: no batch
norm after the 1x1 convolution, batch norm and dropout after the global pooling.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from torch import nn

from mirfeat.audio.segments import SegmentSpec
from mirfeat.errors import CheckpointMismatchError
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
from mirfeat.networks.model import Model
from mirfeat.networks.scaling import DecibelScale
from mirfeat.networks.spec import ExtractorSpec, Paper

# Lasagne's default, in the authors' networks.
NORM_EPSILON = 1e-4
FACTORS = 40
SOURCES = ("genre", "subgenre", "essentia", "dmfcc", "mfcc")
# The paper's letters, in its order g, s, e, d, m.
LETTERS = {source[0]: source for source in SOURCES}
# The first convolution and its dropout are what kim2018-mtn shares.
BRANCH_POINTS = {"kim2018-stn": 0, "kim2018-mtn": 2, "kim2018-wstn": 0}
# Table 5, by its N: how many times as wide a network of genres must be to have as many parameters
# as kim2018-mtn with N sources. The code multiplies by whole numbers, and 2 is the one that fits.
WIDTHS = {2: 363 / 256, 3: 446 / 256, 4: 515 / 256, 5: 577 / 256}
WIDE = 2.0
# Of a checkpoint's claim: 36 million parameters.
_LARGEST_FEATURE = 2048


def stages(width: float = 1.0) -> list[nn.Module]:
    """The chain of table 2, from the image [B, 1, 43, 128] to the feature [B, 256 · width].

    ``width`` multiplies the filters of every layer. A stage with batch norm has no bias, as Lasagne
    builds it.
    """

    def wide(count: int) -> int:
        return round(count * width)

    def stage(channels_in: int, channels: int, kernel: int, pool: int, norm: bool) -> ConvStage:
        return ConvStage(
            1 if channels_in == 1 else wide(channels_in),
            wide(channels),
            kernel,
            nn.ELU(),
            norm=nn.BatchNorm2d(wide(channels), eps=NORM_EPSILON) if norm else None,
            bias=not norm,
            # The first stage pools mel bands only.
            pool=(1, 2) if channels_in == 1 else (pool, pool),
        )

    feature = wide(FEATURE_SIZE)

    return [
        stage(1, 16, 5, 2, False),
        nn.Dropout(0.1),
        stage(16, 32, 3, 2, True),
        nn.Dropout(0.1),
        stage(32, 64, 3, 2, False),
        stage(64, 64, 3, 2, True),
        nn.Dropout(0.1),
        stage(64, 128, 3, 2, False),
        stage(128, 256, 3, 1, False),
        stage(256, 256, 1, 1, False),
        GlobalAverage(),
        nn.BatchNorm1d(feature, eps=NORM_EPSILON),
        nn.Dropout(0.5),
        nn.Linear(feature, feature, bias=False),
        nn.BatchNorm1d(feature, eps=NORM_EPSILON),
        nn.ELU(),
        nn.Dropout(0.5),
    ]


def network(name: str, classes: Mapping[str, int], width: float = 1.0) -> Branched:
    """Network ``name`` with a softmax head of so many classes for each source.

    A feature has a whole number of numbers, and this number decides all other widths.
    """
    size = round(FEATURE_SIZE * width)
    heads: dict[str, nn.Module] = {
        source: nn.Linear(size, count) for source, count in classes.items()
    }
    return Branched(partial(stages, size / FEATURE_SIZE), BRANCH_POINTS[name], heads, size)


def build(name: str, weights: Weights | None, options: Mapping[str, Any]) -> Model:
    """Model of any of them with option ``sources``, for example "gsedm"."""
    assert weights is not None
    trained = network(name, sources_of(weights), _feature_size(weights) / FEATURE_SIZE)
    return build_branched(MEL, trained, weights, options["sources"], LETTERS)


def _feature_size(weights: Weights) -> int:
    """Size of the feature, which says how wide the network is."""
    size = weights.metadata.get("feature_size", FEATURE_SIZE)
    if type(size) is not int or not 16 <= size <= _LARGEST_FEATURE:
        raise CheckpointMismatchError(
            f"{weights.name}: its record has {str(size)[:80]!r} as 'feature_size', where 16 to "
            f"{_LARGEST_FEATURE} belongs."
        )
    return size


def initialise(name: str, seed: int) -> Weights:
    """Untrained networks for all five sources; kim2018-wstn twice as wide, for genres."""
    single = name == "kim2018-wstn"
    classes = {source: 16 if source == "genre" else FACTORS for source in SOURCES}
    classes = {"genre": classes["genre"]} if single else classes
    generator = np.random.Generator(np.random.PCG64(seed))
    trained = network(name, classes, WIDE if single else 1.0)
    return initialise_branched(name, MEL, SEGMENT, trained, classes, generator)


PAPER = Paper(
    citation="J. Kim, M. Won, X. Serra, C. C. S. Liem: Transfer learning of artist group factors "
    "to musical genre classification. Companion of The Web Conference 2018.",
    url="https://doi.org/10.1145/3184558.3191823",
    bibtex="""@inproceedings{kim2018transfer,
  title = {Transfer learning of artist group factors to musical genre classification},
  author = {Kim, Jaehun and Won, Minz and Serra, Xavier and Liem, Cynthia C. S.},
  booktitle = {Companion Proceedings of The Web Conference 2018},
  year = {2018}
}""",
)

# The paper gives milliseconds (46, half overlapping); the stored scaler fits these values only.
MEL = MelSpec(
    sample_rate=44_100,
    channels=1,
    n_fft=2048,
    hop_samples=1024,
    n_mels=128,
    fmax_hz=22_050.0,
    scaling=DecibelScale("unity"),
    centred=False,
    standardise=True,
)

# 43 frames, hop 21 frames (transfer code).
SEGMENT = SegmentSpec(
    samples=45_056, hop_samples=21_504, min_samples=2048, short="tile", batch_cpu=32, batch_gpu=512
)


def _spec(name: str, summary: str, take_if: str, blocks: Mapping[str, int]) -> ExtractorSpec:
    return ExtractorSpec(
        name=name,
        version=1,
        summary=summary,
        take_if=take_if,
        paper=PAPER,
        mel=MEL,
        segment=SEGMENT,
        paper_statistics=(),
        build=partial(build, name),
        initialise=partial(initialise, name),
        options=(SOURCES_OPTION,),
        blocks=blocks,
    )


_EVERY = dict.fromkeys(SOURCES, FEATURE_SIZE)
SPECS = (
    _spec(
        "kim2018-stn",
        "one network per artist group factor",
        "you want what kim2018-mtn has, with nothing shared",
        _EVERY,
    ),
    _spec(
        "kim2018-mtn",
        "artist group factor networks that share a convolution",
        "you want most of what good taggers hear, and have the time",
        _EVERY,
    ),
    _spec(
        "kim2018-wstn",
        "a wide network of genres alone",
        "you train it: the wide rival of the two above, without open weights",
        {"genre": round(FEATURE_SIZE * WIDE)},
    ),
)
