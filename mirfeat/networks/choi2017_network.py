"""The convnet of Choi et al. 2017 as modules: to train, and to take features from.

Paper: sections 2.1, 2.2, figure 1. It prints pool sizes (2,4)(4,4)(4,5)(2,4)(4,4), which belong to
an STFT-input variant; the published weights fit the ones below.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mirfeat.networks.following import followed
from mirfeat.networks.model import Rows
from mirfeat.networks.population import folded

CHANNELS = 32
POOLS = ((2, 4), (3, 4), (2, 5), (2, 4), (4, 4))
# Mel bands; of fewer than 20 480 numbers torch makes a convolution by another, slower way.
_STRIPE = 16
# Keras 1's value, with which the published weights were trained.
NORM_EPSILON = 1e-3
# The 50 most frequent last.fm tags of the Million Song Dataset, in the order of the head.
TAGS = tuple(
    [
        "rock",
        "pop",
        "alternative",
        "indie",
        "electronic",
        "female vocalists",
        "dance",
        "00s",
        "alternative rock",
        "jazz",
        "beautiful",
        "metal",
        "chillout",
        "male vocalists",
        "classic rock",
        "soul",
        "indie rock",
        "Mellow",
        "electronica",
        "80s",
        "folk",
        "90s",
        "chill",
        "instrumental",
        "punk",
        "oldies",
        "blues",
        "hard rock",
        "ambient",
        "acoustic",
        "experimental",
        "female vocalist",
        "guitar",
        "Hip-Hop",
        "70s",
        "party",
        "country",
        "easy listening",
        "sexy",
        "catchy",
        "funk",
        "electro",
        "heavy metal",
        "Progressive rock",
        "60s",
        "rnb",
        "indie pop",
        "sad",
        "House",
        "happy",
    ]
)


class ConvLayer(nn.Module):
    """Convolution 3x3, batch norm, ELU, max-pool: the block of the paper.

    Shape: [B, C, F, T] -> [B, 32, F // pool[0], T // pool[1]].
    """

    def __init__(self, channels: int, pool: tuple[int, int]) -> None:
        """Block for images of that many channels."""
        super().__init__()
        self.conv = nn.Conv2d(channels, CHANNELS, 3, padding=1)
        self.norm = nn.BatchNorm2d(CHANNELS, eps=NORM_EPSILON)
        self.pool = pool

    def forward(self, image: Tensor) -> Tensor:
        """Pooled output of the block. ELU is increasing: after pooling it is the same, and less."""
        return F.elu(F.max_pool2d(self.norm(self.conv(image)), self.pool))


class Choi2017(nn.Module):
    """The convnet with its tagging head, as it is trained and as checkpoints hold it.

    Shape: [B, 1, 96, 1360] -> logits of the tags [B, tags]; the authors' network has 50.
    """

    def __init__(self, tags: int = len(TAGS)) -> None:
        """Layers with torch's initialisation; a checkpoint or training fills them."""
        super().__init__()
        widths = (1, *[CHANNELS] * len(POOLS))
        self.layers = nn.ModuleList(map(ConvLayer, widths, POOLS))
        self.head = nn.Linear(CHANNELS, tags)

    @property
    def blocks(self) -> list[ConvLayer]:
        """The layers, typed."""
        return [cast(ConvLayer, layer) for layer in self.layers]

    def forward(self, image: Tensor) -> Tensor:
        """Logits of the tags."""
        for block in self.blocks:
            image = block(image)
        logits: Tensor = self.head(image.flatten(1))
        return logits


class LayerTaps(nn.Module):
    """Features of chosen layers in one pass that stops at the deepest of them.

    Shape: [B, 1, F, T] -> mean and variance over each layer's map, [B, 32 * len(layers)].
    Subclasses say how a block is computed.
    """

    def __init__(self, trained: Choi2017, layers: str, tag_names: Sequence[str] = TAGS) -> None:
        """Features of ``layers``, for example "135", in that order; names of the head's tags."""
        super().__init__()
        self.tag_names = tuple(tag_names)
        self.unheard_tags: frozenset[str] = frozenset()
        self.taps = [int(layer) - 1 for layer in layers]
        self.head = trained.head
        self.block_sizes = {f"layer{layer}": CHANNELS for layer in layers}

    def block(self, index: int, image: Tensor) -> Tensor:
        """Pooled output of the block with this index, from 0."""
        raise NotImplementedError

    def strip(self) -> None:
        """Forget what rows do not need: the head."""
        del self.head

    def forward(self, image: Tensor) -> Rows:
        """Rows of scaled mel images."""
        means, variances = {}, {}
        for index in range(max(self.taps) + 1):
            image = self.block(index, image)
            if index in self.taps:
                # Ten times as fast as torch.var_mean on channels-last maps.
                maps = image.float()
                mean = maps.mean((2, 3), keepdim=True)
                means[index] = mean.flatten(1)
                variances[index] = (maps - mean).square().mean((2, 3))
        mean = torch.cat([means[tap] for tap in self.taps], dim=1)
        return mean, torch.cat([variances[tap] for tap in self.taps], dim=1)

    def tag_probabilities(self, image: Tensor) -> Tensor:
        """Probability of each tag, [B, tags]."""
        for index in range(len(POOLS)):
            image = self.block(index, image)
        probabilities: Tensor = self.head(image.flatten(1)).sigmoid()
        return probabilities


class FrozenTaps(LayerTaps):
    """Frozen batch norm, folded into the convolutions.

    ELU is increasing, so pooling first gives the same and leaves 8 to 20 times less to ELU.
    Channels-last, since a convolution of one input channel is slow otherwise. On processors the
    first block goes by stripes: its map before pooling has 17 MB, half of the network's time.
    """

    def __init__(self, trained: Choi2017, layers: str, tag_names: Sequence[str] = TAGS) -> None:
        """Fold the statistics of ``trained``."""
        super().__init__(trained, layers, tag_names)
        for index, block in enumerate(trained.blocks):
            kernel, bias = folded(block.conv, block.norm)
            values = {"kernel": kernel.to(memory_format=torch.channels_last), "bias": bias}
            for kind, value in values.items():
                self.register_parameter(f"{kind}{index}", nn.Parameter(value, requires_grad=False))

    def strip(self) -> None:
        """Forget the head and the blocks behind the deepest layer."""
        super().strip()
        for index in range(max(self.taps) + 1, len(POOLS)):
            delattr(self, f"kernel{index}")
            delattr(self, f"bias{index}")

    def block(self, index: int, image: Tensor) -> Tensor:
        """Convolution, pooling, ELU."""
        kernel, bias = self.get_parameter(f"kernel{index}"), self.get_parameter(f"bias{index}")
        if index == 0 and image.device.type == "cpu" and not followed(image, self):
            maps = _first_maps(image, kernel, bias)
        else:
            maps = F.max_pool2d(F.conv2d(image, kernel, bias, padding=1), POOLS[index])
        return F.elu(maps, inplace=True)


def _first_maps(image: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """Convolution and pooling of the first block, a stripe of mel bands at a time.

    Shape: [B, 1, 96, T] -> [B, 32, 48, T // 4], the numbers of max_pool2d.
    """
    padded = F.pad(image, (0, 0, 1, 1))
    stripes = []
    for top in range(0, image.shape[2], _STRIPE):
        maps = F.conv2d(padded[:, :, top : top + _STRIPE + 2], kernel, bias, padding=(0, 1))
        # Twice as fast as max_pool2d, which looks for the places of the maxima as well.
        maps = maps.permute(0, 2, 3, 1)[:, :, : image.shape[3] // 4 * 4]
        maps = torch.maximum(maps[:, 0::2], maps[:, 1::2])
        for _ in range(2):
            maps = torch.maximum(maps[:, :, 0::2], maps[:, :, 1::2])
        stripes.append(maps)
    return torch.cat(stripes, dim=1).permute(0, 3, 1, 2)


class ClipTaps(LayerTaps):
    """Batch norm by the statistics of the clip itself: the authors' script, one clip a batch."""

    def __init__(self, trained: Choi2017, layers: str, tag_names: Sequence[str] = TAGS) -> None:
        """Use the convolutions of ``trained``, not its statistics."""
        super().__init__(trained, layers, tag_names)
        self.trained = trained

    def strip(self) -> None:
        """Forget the head and the blocks behind the deepest layer."""
        super().strip()
        del self.trained.head, self.trained.layers[max(self.taps) + 1 :]

    def block(self, index: int, image: Tensor) -> Tensor:
        """Convolution, normalisation over the clip's own map, ELU, pooling."""
        block = self.trained.blocks[index]
        weight, bias = block.norm.weight, block.norm.bias
        maps = F.instance_norm(block.conv(image), weight=weight, bias=bias, eps=NORM_EPSILON)
        return F.max_pool2d(F.elu(maps), POOLS[index])
