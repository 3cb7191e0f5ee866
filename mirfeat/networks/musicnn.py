"""Pons & Serra: musicnn, pre-trained convolutional neural networks for music audio tagging.

Late-breaking demo at ISMIR 2019, arXiv 1909.06654. A network with filters as tall as timbres and as
long as rhythms, trained to tag three seconds of music; features come from any of its layers.
Authors' code and weights: the package musicnn 0.1.0, licence ISC. The modules are in
``musicnn_network.py``; here is where their weights come from and how they become an extractor.

The authors transform the whole clip and cut the image into patches. mirfeat cuts the audio, so that
every segment has the same 187 frames: the first begins half a window before the clip, with zeros.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mirfeat.audio.segments import SegmentSpec
from mirfeat.errors import CheckpointMismatchError, ChecksumError, OptionError, did_you_mean
from mirfeat.files import sha256_of
from mirfeat.networks.checkpoint import Weights, fill, gather
from mirfeat.networks.choi2017_network import TAGS as MSD_TAGS
from mirfeat.networks.frontend import Frontend, MelSpec
from mirfeat.networks.model import Model, he_normal
from mirfeat.networks.musicnn_network import FRAMES, LAYERS, Musicnn, MusicnnTaps
from mirfeat.networks.options import Option
from mirfeat.networks.population import synthetic_segment
from mirfeat.networks.scaling import LogCompression
from mirfeat.networks.spec import Checkpoint, ExtractorSpec, ForeignFormat, Paper
from mirfeat.networks.tensor_bundle import BundleError, read_bundle

# The 50 most frequent tags of MagnaTagATune, in the order of the head (configuration.py). Those of
# the Million Song Dataset are choi2017's, in the same order.
# fmt: off
MTT_TAGS = (
    "guitar", "classical", "slow", "techno", "strings", "drums", "electronic", "rock", "fast",
    "piano", "ambient", "beat", "violin", "vocal", "synth", "female", "indian", "opera", "male",
    "singing", "vocals", "no vocals", "harpsichord", "loud", "quiet", "flute", "woman",
    "male vocal", "no vocal", "pop", "soft", "sitar", "solo", "man", "classic", "choir", "voice",
    "new age", "dance", "male voice", "female vocal", "beats", "harp", "cello", "no voice",
    "weird", "country", "metal", "female voice", "choral",
)
# fmt: on
# Sounds whose statistics an untrained network has.
SYNTHETIC = 8


def parse_layers(layers: str | Sequence[str]) -> str:
    """Check names of layers, in a list or joined by commas: ``"max_pool,mean_pool"``."""
    names = layers.split(",") if isinstance(layers, str) else list(layers)
    for name in names:
        if name not in LAYERS or names.count(name) > 1:
            raise OptionError(
                f"layers={layers!r}: musicnn has the layers {', '.join(LAYERS)}, each at most once."
                + did_you_mean(str(name), LAYERS)
            )
    return ",".join(names)


def build(weights: Weights | None, options: Mapping[str, Any]) -> Model:
    """Model of the extractor ``musicnn`` with option ``layers``."""
    assert weights is not None
    tags: list[str] = weights.metadata["labels"]["tag"]
    network = Musicnn(len(tags))
    fill({"network": network}, weights)
    return Model(Frontend(MEL), MusicnnTaps(network.eval(), options["layers"].split(","), tags))


@torch.no_grad()
def initialise(seed: int) -> Weights:
    """Untrained network: He-normal kernels, batch-norm statistics of synthetic sounds."""
    network = Musicnn(len(MSD_TAGS)).requires_grad_(False)
    generator = np.random.Generator(np.random.PCG64(seed))
    for module in network.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear):
            shape = tuple(module.weight.shape)
            module.weight.copy_(he_normal(shape, math.prod(shape[1:]), generator))
            assert module.bias is not None
            module.bias.zero_()
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0  # the statistics become those of the only batch that follows
    sounds = [synthetic_segment(n, SEGMENT.samples, MEL.sample_rate) for n in range(SYNTHETIC)]
    network.train()(Frontend(MEL)(torch.from_numpy(np.stack(sounds))))
    labels = {"tag": list(MSD_TAGS)}
    return Weights(gather({"network": network}), {"extractor": "musicnn", "labels": labels})


def read_wheel(name: str, path: Path) -> Weights:
    """Weights of the checkpoint ``name`` out of the published package.

    Raises:
        ChecksumError: another package, or another version of this one.
        CheckpointMismatchError: the network inside is not the one known here.
    """
    if (found := sha256_of(path)) != WHEEL_SHA256:
        raise ChecksumError(
            f"{path}: sha256 is {found}, that of {WHEEL} is {WHEEL_SHA256}. Fetch it with "
            f"'pip download --no-deps {REQUIREMENT}'."
        )
    folder, tags, _, identity = _NETWORKS[name]
    try:
        with zipfile.ZipFile(path) as wheel:
            index = wheel.read(f"musicnn/{folder}/.index")
            data = wheel.read(f"musicnn/{folder}/.data-00000-of-00001")
            licence = wheel.read(_LICENCE_FILE).decode()
        return convert(read_bundle(index, data, _is_weight), tags, identity, licence)
    except (KeyError, ValueError, zipfile.BadZipFile) as error:
        raise CheckpointMismatchError(f"{path}: no {folder} can be read: {error}") from error


def _is_weight(name: str) -> bool:
    """Whether a tensor is no state of the optimiser."""
    return "Adam" not in name and not name.endswith("_power")


def convert(
    tensors: Mapping[str, np.ndarray], tags: Sequence[str], identity: str, licence: str
) -> Weights:
    """Weights of mirfeat from the tensors of a TensorFlow checkpoint.

    TensorFlow numbers layers of a kind in the order of their making, and a kernel is [frames, bands
    or channels, 1, filters].
    """
    network = Musicnn(len(tags))
    layers = [*network.front_layers, *network.middle]
    norms = [network.image_norm, *(layer.norm for layer in layers)]

    def numbered(kind: str, number: int) -> str:
        return f"{kind}_{number}" if number else kind

    for number, norm in enumerate((*norms, network.pool_norm, network.dense_norm)):
        prefix = numbered("batch_normalization", number)
        _copy(norm.weight, tensors[f"{prefix}/gamma"])
        _copy(norm.bias, tensors[f"{prefix}/beta"])
        _copy(norm.running_mean, tensors[f"{prefix}/moving_mean"])
        _copy(norm.running_var, tensors[f"{prefix}/moving_variance"])
    for number, layer in enumerate(layers):
        prefix = numbered("conv2d", number)
        kernel = tensors[f"{prefix}/kernel"]
        # Channels of the middle layers lie where bands of the image do.
        turned = (3, 2, 1, 0) if layer.conv.weight.dim() == 4 else (3, 1, 0, 2)
        _copy(layer.conv.weight, kernel.transpose(turned).reshape(layer.conv.weight.shape))
        _copy(layer.conv.bias, tensors[f"{prefix}/bias"])
    for number, dense in enumerate((network.dense, network.head)):
        prefix = numbered("dense", number)
        _copy(dense.weight, tensors[f"{prefix}/kernel"].T)
        _copy(dense.bias, tensors[f"{prefix}/bias"])
    metadata = {"extractor": "musicnn", "labels": {"tag": list(tags)}, "licence_text": licence}
    return Weights(gather({"network": network}), metadata, sha256=identity)


@torch.no_grad()
def _copy(target: Tensor | None, values: np.ndarray) -> None:
    assert target is not None
    if values.shape != target.shape:
        raise BundleError(f"a tensor of {list(values.shape)} instead of {list(target.shape)}")
    target.copy_(torch.from_numpy(np.array(values, order="C")))


PAPER = Paper(
    citation="J. Pons, X. Serra: musicnn: pre-trained convolutional neural networks for music "
    "audio tagging. Late-breaking/demo session of ISMIR 2019.",
    url="https://arxiv.org/abs/1909.06654",
    bibtex="""@inproceedings{pons2019musicnn,
  title = {musicnn: pre-trained convolutional neural networks for music audio tagging},
  author = {Pons, Jordi and Serra, Xavier},
  booktitle = {Late-breaking/demo session in 20th International Society for Music Information
               Retrieval Conference (LBD-ISMIR2019)},
  year = {2019}
}""",
)

MEL = MelSpec(
    sample_rate=16_000,
    channels=1,
    n_fft=512,
    hop_samples=256,
    n_mels=96,
    fmax_hz=8000.0,
    scaling=LogCompression(),
    centred=False,
    # Rounding to half precision makes a step of any difference.
    double=True,
)

SEGMENT = SegmentSpec(
    samples=MEL.n_fft + (FRAMES - 1) * MEL.hop_samples,
    hop_samples=FRAMES * MEL.hop_samples,
    lead_samples=MEL.n_fft // 2,
    min_samples=512,
    short="tile",
    batch_cpu=4,
    batch_gpu=32,
)

# The package, its file and what guards it; the licence text lies in the file.
REQUIREMENT = "musicnn==0.1.0"
WHEEL = "musicnn-0.1.0-py3-none-any.whl"
WHEEL_SHA256 = "f38a4890c648c1ddbb141c5d96d2b0a8cfcd36746002d896989f7b88beb65cfa"
WHEEL_BYTES = 29_292_476
_LICENCE_FILE = "musicnn-0.1.0.dist-info/LICENSE.md"
LICENCE = "ISC (© Music Technology Group, Universitat Pompeu Fabra 2019; code by Jordi Pons)"
# Folder in the package, tags, training data, sha256 of the folder's data file.
_NETWORKS = {
    "msd": (
        "MSD_musicnn",
        MSD_TAGS,
        "200 000 songs of the Million Song Dataset with 50 last.fm tags",
        "8579734ee6388f799ed0def4bbd0d1fdcbeaf213ef2a9dc860917bd76a303de6",
    ),
    "mtt": (
        "MTT_musicnn",
        MTT_TAGS,
        "MagnaTagATune with 50 tags",
        "041f3935e981a65cea739842d30c188d3a7d2adf4410955c8668eb3de4a5acab",
    ),
}
CHECKPOINTS = tuple(
    Checkpoint(
        name=name,
        location=f"pip:{REQUIREMENT}/{WHEEL}",
        sha256=WHEEL_SHA256,
        size_bytes=WHEEL_BYTES,
        licence=LICENCE,
        training_data=training_data,
        note=f"the authors' {folder}; pip fetches their package, which is not installed",
        weights_sha256=identity,
        read=partial(read_wheel, name),
    )
    for name, (folder, _, training_data, identity) in _NETWORKS.items()
)

SPECS = (
    ExtractorSpec(
        name="musicnn",
        version=2,
        summary="tagging convnet of musically motivated filters, features from any layers",
        take_if="you want the tags of a much used network, and may fetch its weights",
        paper=PAPER,
        mel=MEL,
        segment=SEGMENT,
        # The average over time, as the authors' tagger.py makes of tags.
        paper_statistics=("mean",),
        build=build,
        initialise=initialise,
        options=(
            Option(
                "layers",
                "max_pool,mean_pool",
                parse_layers,
                f"which layers, joined by commas, of {', '.join(LAYERS)}",
            ),
        ),
        blocks={"max_pool": 753, "mean_pool": 753},
        checkpoints=CHECKPOINTS,
        default_checkpoint="msd",
        formats=(ForeignFormat(f"the package {WHEEL}", b"PK\x03\x04", partial(read_wheel, "msd")),),
    ),
)
