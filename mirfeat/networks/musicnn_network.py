"""The network of Pons & Serra 2019 as modules: as it was trained, and as features are taken.

Source: ``musicnn/models.py`` of the package musicnn 0.1.0. Letters in shapes: B segments, F = 96
mel bands, T frames, K filters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mirfeat.networks.following import followed
from mirfeat.networks.model import Rows
from mirfeat.networks.musicnn_filters import BandFilters, TimeFilters

BANDS, FRAMES = 96, 187
# TensorFlow's default, with which the weights were trained.
NORM_EPSILON = 1e-3
# Filters over 0.4 and 0.7 of the bands and 7 frames; filters over time alone.
TIMBRAL, TEMPORAL = (38, 67), (128, 64, 32)
TIMBRAL_FILTERS, TEMPORAL_FILTERS, WIDTH, DENSE = 204, 51, 64, 200
SPAN = 7

FRONT = len(TIMBRAL) * TIMBRAL_FILTERS + len(TEMPORAL) * TEMPORAL_FILTERS
CHANNELS = FRONT + 3 * WIDTH


class FrontLayer(nn.Module):
    """Convolution, ReLU, batch norm, maximum over mel bands.

    Shape: [B, 1, F, T] -> [B, K, T].
    """

    def __init__(self, filters: int, bands: int, frames: int) -> None:
        """Filters over that many bands and frames; zeros around in time alone."""
        super().__init__()
        self.conv = nn.Conv2d(1, filters, (bands, frames))
        self.norm = nn.BatchNorm2d(filters, eps=NORM_EPSILON)
        # As TensorFlow pads: of an even number the smaller half first.
        self.padding = ((frames - 1) // 2, frames // 2)

    def forward(self, image: Tensor) -> Tensor:
        """Strongest answer of each filter at each frame."""
        maps: Tensor = self.norm(F.relu(self.conv(F.pad(image, self.padding))))
        return maps.amax(2)


class MiddleLayer(nn.Module):
    """Convolution over seven frames of all channels, ReLU, batch norm. [B, K, T] -> [B, 64, T]."""

    def __init__(self, channels: int) -> None:
        """Layer for that many channels."""
        super().__init__()
        self.conv = nn.Conv1d(channels, WIDTH, SPAN, padding=SPAN // 2)
        self.norm = nn.BatchNorm1d(WIDTH, eps=NORM_EPSILON)

    def forward(self, maps: Tensor) -> Tensor:
        """Normalised maps."""
        output: Tensor = self.norm(F.relu(self.conv(maps)))
        return output


class Musicnn(nn.Module):
    """The whole network, as checkpoints hold it. [B, 1, F, T] -> logits of the tags [B, tags]."""

    def __init__(self, tags: int) -> None:
        """Layers with torch's initialisation; a checkpoint fills them."""
        super().__init__()
        self.image_norm = nn.BatchNorm2d(1, eps=NORM_EPSILON)
        self.timbral = nn.ModuleList(FrontLayer(TIMBRAL_FILTERS, n, SPAN) for n in TIMBRAL)
        self.temporal = nn.ModuleList(FrontLayer(TEMPORAL_FILTERS, 1, n) for n in TEMPORAL)
        self.middle = nn.ModuleList(map(MiddleLayer, (FRONT, WIDTH, WIDTH)))
        self.pool_norm = nn.BatchNorm1d(2 * CHANNELS, eps=NORM_EPSILON)
        self.dense = nn.Linear(2 * CHANNELS, DENSE)
        self.dense_norm = nn.BatchNorm1d(DENSE, eps=NORM_EPSILON)
        self.head = nn.Linear(DENSE, tags)

    @property
    def front_layers(self) -> list[FrontLayer]:
        """The layers that see the image, in the order of their channels."""
        return [cast(FrontLayer, layer) for layer in (*self.timbral, *self.temporal)]

    def forward(self, image: Tensor) -> Tensor:
        """Logits of the tags."""
        every = torch.cat(self.middle_maps(self.front_maps(image)), dim=1)
        return self.logits(self.penultimate(every.amax(2), every.mean(2)))

    def front_maps(self, image: Tensor) -> Tensor:
        """What timbral and temporal filters answer, [B, 561, T]."""
        image = self.image_norm(image)
        return torch.cat([layer(image) for layer in self.front_layers], dim=1)

    def middle_maps(self, front: Tensor) -> list[Tensor]:
        """The maps of the front and of the three layers behind it, the last two residual."""
        first = self.middle[0](front)
        second = self.middle[1](first) + first
        return [front, first, second, self.middle[2](second) + second]

    def penultimate(self, maximum: Tensor, mean: Tensor) -> Tensor:
        """Dense layer over both pools [B, 753]; its 200 numbers after batch norm."""
        pools = torch.stack([maximum, mean], dim=2).flatten(1)
        output: Tensor = self.dense_norm(F.relu(self.dense(self.pool_norm(pools))))
        return output

    def logits(self, penultimate: Tensor) -> Tensor:
        """Logits of the tags from the layer before."""
        output: Tensor = self.head(penultimate)
        return output


# The parts of a row: size, and for those that are maps their channels.
MAPS = {
    "timbral": slice(0, len(TIMBRAL) * TIMBRAL_FILTERS),
    "temporal": slice(len(TIMBRAL) * TIMBRAL_FILTERS, FRONT),
    "cnn1": slice(FRONT, FRONT + WIDTH),
    "cnn2": slice(FRONT + WIDTH, FRONT + 2 * WIDTH),
    "cnn3": slice(FRONT + 2 * WIDTH, CHANNELS),
    "mean_pool": slice(0, CHANNELS),
}
LAYERS = (*MAPS, "max_pool", "penultimate", "taggram")


class MusicnnTaps(nn.Module):
    """Rows of chosen layers: of maps the mean over frames and the variance inside.

    Shape: [B, 1, F, T] -> two of [B, D]. What a segment has one of (``max_pool``, ``penultimate``,
    ``taggram``) has no variance inside.
    """

    def __init__(self, trained: Musicnn, layers: Sequence[str], tag_names: Sequence[str]) -> None:
        """Rows of ``layers``, in that order, from a trained network."""
        super().__init__()
        self.trained, self.layers, self.tag_names = trained, tuple(layers), tuple(tag_names)
        sizes = {name: channels.stop - channels.start for name, channels in MAPS.items()}
        sizes |= {"max_pool": CHANNELS, "penultimate": DENSE, "taggram": len(self.tag_names)}
        self.block_sizes: Mapping[str, int] = {layer: sizes[layer] for layer in layers}
        self._quick = True
        self.timbral = nn.ModuleList(
            BandFilters(layer.conv, layer.norm, BANDS) for layer in trained.front_layers[:2]
        )
        self.temporal = nn.ModuleList(
            TimeFilters(layer.conv, layer.norm, layer.padding, FRAMES)
            for layer in trained.front_layers[2:]
        )

    def strip(self) -> None:
        """Forget the quick filters, and the dense layers where no row has them."""
        self._quick, self.timbral, self.temporal = False, nn.ModuleList(), nn.ModuleList()
        if not {"penultimate", "taggram"} & set(self.layers):
            del self.trained.pool_norm, self.trained.dense, self.trained.dense_norm
        if "taggram" not in self.layers:
            del self.trained.head

    def forward(self, image: Tensor) -> Rows:
        """Rows of scaled mel images."""
        every = self._maps(image)
        mean, variances = every.mean(2), (every - every.mean(2, keepdim=True)).square().mean(2)
        single = self._single(every.amax(2), mean, self.layers)
        nothing = {name: torch.zeros_like(values) for name, values in single.items()}
        means = {name: mean[:, channels] for name, channels in MAPS.items()} | single
        inside = {name: variances[:, channels] for name, channels in MAPS.items()} | nothing
        return (
            torch.cat([means[layer] for layer in self.layers], dim=1),
            torch.cat([inside[layer] for layer in self.layers], dim=1),
        )

    def tag_probabilities(self, image: Tensor) -> Tensor:
        """Probability of each tag, [B, tags]."""
        every = self._maps(image)
        return self._single(every.amax(2), every.mean(2), ("taggram",))["taggram"]

    def _maps(self, image: Tensor) -> Tensor:
        """Maps of all layers, float32 [B, 753, T]."""
        return torch.cat(self.trained.middle_maps(self.front_maps(image)), dim=1).float()

    def _single(self, maximum: Tensor, mean: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """What a segment has one of, by layer, as far as ``layers`` ask for it."""
        single = {"max_pool": maximum}
        if "penultimate" in layers or "taggram" in layers:
            single["penultimate"] = self.trained.penultimate(maximum, mean).float()
        if "taggram" in layers:
            single["taggram"] = self.trained.logits(single["penultimate"]).float().sigmoid()
        return single

    def front_maps(self, image: Tensor) -> Tensor:
        """What the filters answer, [B, 561, T]; on processors by large matrix products.

        Segment by segment, so that values do not depend on the others of a batch.
        """
        plain = not self._quick or followed(image, self)
        if plain or image.device.type != "cpu" or image.shape[3] != FRAMES:
            return self.trained.front_maps(image)
        images = self.trained.image_norm(image)[:, 0]
        filters = (*self.timbral, *self.temporal)
        return torch.stack([torch.cat([answer(one) for answer in filters]) for one in images])
