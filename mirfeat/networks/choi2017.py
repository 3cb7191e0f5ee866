"""Choi, Fazekas, Sandler, Cho: Transfer learning for music classification and regression tasks.

ISMIR 2017, arXiv 1703.09179. Five convolution blocks over a mel image of 29 s; the feature of
layer k is the mean over the mel x time map of block k's pooled output. Authors' code:
keunwoochoi/transfer_learning_music, commit e1f83c3. The modules are in ``choi2017_network.py``,
here is where their weights come from and how they become an extractor.

The authors' batch normalisation used the statistics of the current batch also at test time;
mirfeat freezes them at those of a broad sample of music (``mirfeat/training/calibration.py``) and
offers ``batch_norm="clip"`` to imitate the authors' script.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from mirfeat.audio.segments import SegmentSpec
from mirfeat.errors import CheckpointMismatchError, MissingPackageError, OptionError
from mirfeat.files import sha256_of
from mirfeat.networks.checkpoint import Weights, fill, gather
from mirfeat.networks.choi2017_network import CHANNELS, TAGS, Choi2017, ClipTaps, FrozenTaps
from mirfeat.networks.frontend import Frontend, MelSpec
from mirfeat.networks.model import Model, he_normal
from mirfeat.networks.options import Option, one_of
from mirfeat.networks.population import freeze_statistics, synthetic_segment
from mirfeat.networks.scaling import DecibelScale
from mirfeat.networks.spec import Checkpoint, ExtractorSpec, ForeignFormat, Paper

# The authors extracted features in batches of 256 clips.
AUTHORS_BATCH = 256
BATCH_NORMS = ("population", "clip")


def parse_layers(layers: str) -> str:
    """Check ``layers`` such as "135"."""
    if not layers or len(set(layers)) < len(layers) or set(layers) - set("12345"):
        raise OptionError(
            f"layers={layers!r}: choi2017 has layers 1 to 5, each at most once. Write them as "
            "digits, for example layers='125'."
        )
    return layers


def build(weights: Weights | None, options: Mapping[str, Any]) -> Model:
    """Model of the extractor ``choi2017`` with options ``layers`` and ``batch_norm``."""
    assert weights is not None
    layers: str = options["layers"]
    clip = options["batch_norm"] == "clip"
    frontend = Frontend(replace(MEL, scaling=DecibelScale("maximum")) if clip else MEL)
    tags: list[str] = weights.metadata.get("labels", {}).get("tag", TAGS)
    network = Choi2017(len(tags))
    if not clip and "network.layers.0.norm.running_mean" not in weights.tensors:
        raise CheckpointMismatchError(
            f"{weights.name}: no batch-norm statistics are known for this file (its own, 0 and 1, "
            "were never used). Make them from music with 'mirfeat calibrate', or imitate the "
            "authors' script with batch_norm='clip'."
        )
    unused = ("running_mean", "running_var", "scaling.reference") if clip else ()
    fill({"frontend": frontend, "network": network}, weights, unused=unused)
    taps = (ClipTaps if clip else FrozenTaps)(network, layers, tags)
    taps.unheard_tags = frozenset(weights.metadata.get("unheard_tags", ()))
    return Model(frontend, taps)


def calibrate(network: Choi2017, segments: Iterable[np.ndarray]) -> float:
    """Set frozen batch-norm statistics from a sample of music; return the dB reference.

    ``segments`` are waveforms [1, 348000] (memory: 2.5 MB each). The reference is what the loudest
    mel value of a segment exceeds once in 256 times: the authors subtracted the maximum over
    batches of 256 clips.
    """
    frontend = Frontend(MEL)
    levels = [frontend.levels(torch.from_numpy(segment)[None]) for segment in segments]
    reference = reference_of(levels)
    freeze(network, levels, reference)
    return reference


def reference_of(levels: Sequence[Tensor]) -> float:
    """The dB reference of a sample of music, from levels [1, 1, F, T] in dB; see ``calibrate``."""
    maxima = torch.stack([level.amax() for level in levels])
    return float(maxima.quantile(1.0 - 1.0 / AUTHORS_BATCH))


def freeze(network: Choi2017, levels: Iterable[Tensor], reference: float) -> None:
    """Set batch-norm statistics to those of a sample of music, levels [1, 1, F, T] in dB."""
    network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = [(level - reference).clamp(min=-80.0) for level in levels]
    freeze_statistics(network.blocks, images)


def weights_of(network: Choi2017, reference: float | None, tags: Sequence[str] = TAGS) -> Weights:
    """The network and its dB reference as checkpoints hold them; None leaves statistics out."""
    tensors = gather({"network": network})
    if reference is None:
        tensors = {key: value for key, value in tensors.items() if ".running_" not in key}
    else:
        tensors["frontend.scaling.reference"] = torch.tensor(reference)
    return Weights(tensors, {"extractor": "choi2017", "labels": {"tag": list(tags)}})


@torch.no_grad()
def initialise(seed: int) -> Weights:
    """Untrained network: He-normal kernels, statistics of synthetic sounds.

    Source: paper, section 2.2 (random convnet feature).
    """
    network = Choi2017()
    draw(network, seed)
    sounds = (synthetic_segment(i, SEGMENT.samples, MEL.sample_rate) for i in range(16))
    return weights_of(network, calibrate(network, sounds))


@torch.no_grad()
def draw(network: Choi2017, seed: int) -> None:
    """Fill a network with He-normal kernels; biases become 0."""
    generator = np.random.Generator(np.random.PCG64(seed))
    for block in network.blocks:
        shape = tuple(block.conv.weight.shape)
        block.conv.weight.copy_(he_normal(shape, math.prod(shape[1:]), generator))
        cast(Tensor, block.conv.bias).zero_()
    head = network.head
    head.weight.copy_(he_normal((head.out_features, CHANNELS), CHANNELS, generator))
    head.bias.zero_()


@torch.no_grad()
def read_keras1(path: Path) -> Weights:
    """Read the authors' hdf5 file; population statistics are added when its sha256 is known.

    Theano convolves where torch correlates, so kernels are flipped in both axes.
    """
    try:
        import h5py  # an extra: needed once, afterwards the cached safetensors file is read
    except ImportError as error:
        raise MissingPackageError(
            f"{path}: reading the authors' hdf5 file needs h5py: pip install 'mirfeat[msd]'"
        ) from error
    network = Choi2017()
    try:
        with h5py.File(path, "r") as file:

            def put(target: Tensor, name: str, flip: bool = False) -> None:
                values = _dataset(h5py, file, name, tuple(target.shape), name.endswith("dense_1_W"))
                _copy(target, values[:, :, ::-1, ::-1] if flip else values)

            for number, block in enumerate(network.blocks, start=1):
                convolution = f"ConvBNEluDr/convolution2d_{number}"
                put(block.conv.weight, f"{convolution}_W", flip=True)
                put(cast(Tensor, block.conv.bias), f"{convolution}_b")
                norm = f"ConvBNEluDr/batchnormalization_{number}"
                put(block.norm.weight, f"{norm}_gamma")
                put(block.norm.bias, f"{norm}_beta")
            put(network.head.weight, "dense_1/dense_1_W")
            put(network.head.bias, "dense_1/dense_1_b")
    except (KeyError, IndexError, TypeError, ValueError, OSError, RuntimeError) as error:
        raise CheckpointMismatchError(
            f"{path}: not the choi2017 weight file of the authors "
            f"(weights_layer4_theano.hdf5): {error}"
        ) from error
    reference = apply_population(network, sha256_of(path))
    return weights_of(network, reference)


def _dataset(
    h5py: Any, file: Any, name: str, shape: tuple[int, ...], transposed: bool
) -> np.ndarray:
    """Numbers of one data set, of ``shape`` once transposed; nothing larger or elsewhere is read.

    HDF5 can name other files as the place of its numbers, which would put those into a feature, and
    can claim any size.
    """
    group, _, last = name.rpartition("/")
    for owner, part in ((file, group), (file[group], last)):
        if not isinstance(owner.get(part, getlink=True), h5py.HardLink):
            raise ValueError(f"{part!r} is a link to somewhere else")
    data = file[group][last]
    if not isinstance(data, h5py.Dataset) or data.external or data.is_virtual:
        raise ValueError(f"the numbers of {name!r} are kept in another file")
    found = data.shape if data.shape is None or not transposed else data.shape[::-1]
    if found != shape or data.dtype.kind != "f":
        raise ValueError(f"{name!r} is {data.dtype} of shape {found} instead of floats {shape}")
    values = np.array(data)
    return values.T if transposed else values


def _copy(target: Tensor, values: Any) -> None:
    array = np.array(values, dtype=np.float32, order="C")
    if array.shape != target.shape:  # copy_ would spread a smaller array over the target
        raise ValueError(f"shape {array.shape} instead of {tuple(target.shape)}")
    target.copy_(torch.from_numpy(array))


def apply_population(network: Choi2017, sha256: str) -> float | None:
    """Set the shipped population statistics if they belong to this weight file; dB reference."""
    text = resources.files("mirfeat").joinpath("weights/choi2017-msd.statistics.json").read_text()
    record = json.loads(text)
    if record["checkpoint_sha256"] != sha256:
        return None
    for block, statistics in zip(network.blocks, record["layers"], strict=True):
        _copy(cast(Tensor, block.norm.running_mean), statistics["mean"])
        _copy(cast(Tensor, block.norm.running_var), statistics["variance"])
    return float(record["db_reference"])


PAPER = Paper(
    citation="K. Choi, G. Fazekas, M. Sandler, K. Cho: Transfer learning for music classification "
    "and regression tasks. ISMIR 2017.",
    url="https://arxiv.org/abs/1703.09179",
    bibtex="""@inproceedings{choi2017transfer,
  title = {Transfer learning for music classification and regression tasks},
  author = {Choi, Keunwoo and Fazekas, Gy{\\"o}rgy and Sandler, Mark and Cho, Kyunghyun},
  booktitle = {18th International Society for Music Information Retrieval Conference},
  year = {2017}
}""",
)

MEL = MelSpec(
    sample_rate=12_000,
    channels=1,
    n_fft=512,
    hop_samples=256,
    n_mels=96,
    fmax_hz=6000.0,
    scaling=DecibelScale("checkpoint"),
)

SEGMENT = SegmentSpec(
    samples=348_000,
    hop_samples=348_000,
    min_samples=512,
    short="tile",
    # One segment's first map is 17 MB: larger ones leave the heap and cost more in page faults
    # than batching saves (benchmarks/network.py).
    batch_cpu=1,
    batch_gpu=64,
)

MSD = Checkpoint(
    name="msd",
    location="https://raw.githubusercontent.com/keunwoochoi/transfer_learning_music/"
    "e1f83c389ff32ce48551f916414ae869cbe7f6e6/weights_transfer/weights_layer4_theano.hdf5",
    sha256="caf89f811415691fbb245be7eef394b9cebd787d7e3f78e29695972141cf2a08",
    size_bytes=1_329_264,
    licence="none stated by the authors: downloaded for your own use, not redistributed",
    training_data="201 680 clips of the Million Song Dataset with 50 last.fm tags",
    note="batch-norm statistics and dB reference are mirfeat's, from openly licensed music",
)

SPECS = (
    ExtractorSpec(
        name="choi2017",
        version=1,
        summary="5-layer tagging convnet, features from any layers; for tags, or few numbers",
        take_if="you begin: fast, few numbers, and it says tags",
        paper=PAPER,
        mel=MEL,
        segment=SEGMENT,
        paper_statistics=("mean",),
        build=build,
        initialise=initialise,
        options=(
            Option("layers", "12345", parse_layers, "which layers, in this order, e.g. 135"),
            Option(
                "batch_norm",
                "population",
                one_of("batch_norm", *BATCH_NORMS),
                "frozen statistics (default), or those of the clip as in the authors' script",
                BATCH_NORMS,
            ),
        ),
        blocks={f"layer{layer}": CHANNELS for layer in "12345"},
        checkpoints=(MSD,),
        formats=(ForeignFormat("choi2017-hdf5", b"\x89HDF\r\n\x1a\n", read_keras1),),
    ),
)
