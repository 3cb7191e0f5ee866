"""Networks with several learning sources: a trunk, and a branch and a head for each source.

Kim 2018 and Kim 2019 are of this kind. All sharing strategies are one definition with a branch
point: stages before it are shared, stages from it on exist once per source.
Letters in shapes: B segments, C channels, F mel bands, T frames, D row size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from mirfeat.audio.segments import SegmentSpec
from mirfeat.errors import OptionError
from mirfeat.networks.checkpoint import Weights, fill, gather
from mirfeat.networks.frontend import Frontend, MelSpec, Standardise
from mirfeat.networks.model import Model, Rows
from mirfeat.networks.options import Option, as_given
from mirfeat.networks.pooling import max_pooled
from mirfeat.networks.population import folded, synthetic_segment

FEATURE_SIZE = 256
# Which there are is known once the checkpoint is open: choose_sources checks them.
SOURCES_OPTION = Option(
    "sources",
    None,
    as_given,
    "which learning sources of the checkpoint, e.g. tag,artist or letters; all by default",
)
Stages = Callable[[], list[nn.Module]]


class Branched(nn.Module):
    """The network as it is trained and as checkpoints hold it.

    Shape: [B, C, F, T] -> features of each source, [B, 256] (of wide networks more).
    """

    def __init__(
        self,
        stages: Stages,
        branch_point: int,
        heads: dict[str, nn.Module],
        feature_size: int = FEATURE_SIZE,
    ) -> None:
        """``stages()`` makes a whole chain; its first ``branch_point`` members are shared.

        It ends in ``feature_size`` numbers, which heads take.
        """
        super().__init__()
        self.feature_size = feature_size
        self.trunk = nn.Sequential(*stages()[:branch_point])
        self.branches = nn.ModuleDict(
            {source: nn.Sequential(*stages()[branch_point:]) for source in heads}
        )
        self.heads = nn.ModuleDict(heads)

    @property
    def sources(self) -> tuple[str, ...]:
        """Learning sources in the order of the checkpoint."""
        return tuple(self.heads)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Feature of each source."""
        # Time by mel, as in the authors' code, so that kernels are theirs.
        shared = self.trunk(image.transpose(2, 3))
        return {source: branch(shared) for source, branch in self.branches.items()}


class SourceRows(nn.Module):
    """Rows of chosen sources; only their branches are computed.

    Shape: [B, C, F, T] -> two of [B, 256 * sources]. A row is one point: nothing varies inside it.
    """

    def __init__(
        self,
        trained: Branched,
        sources: Sequence[str],
        taught: Sequence[str] = (),
        words: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Features of ``sources`` in this order; where all is shared there is one, ``shared``.

        The heads of ``taught`` sources say no distribution, but what a teacher says. ``words``:
        what the factors of a source are about, where its training said so.
        """
        super().__init__()
        self._taught = frozenset(taught)
        self.words = dict(words or {})
        self.trunk = fused(trained.trunk)
        whole = {source: trained.branches[source] for source in sources}
        shared = not any(len(branch) for branch in whole.values())  # type: ignore[arg-type]
        chosen = {"shared": nn.Sequential()} if shared else whole
        self.branches = nn.ModuleDict({name: fused(branch) for name, branch in chosen.items()})
        self.heads = nn.ModuleDict({source: trained.heads[source] for source in sources})
        self.block_sizes = dict.fromkeys(chosen, trained.feature_size)

    def strip(self) -> None:
        """Forget what rows do not need: the heads."""
        self.heads = nn.ModuleDict()

    def features(self, image: Tensor) -> dict[str, Tensor]:
        """Feature [B, 256] of each block."""
        # As kernels are, once for all branches: each would make a copy of its own.
        shared = self.trunk(image.mT.contiguous(memory_format=torch.channels_last))
        return {name: branch(shared) for name, branch in self.branches.items()}

    def forward(self, image: Tensor) -> Rows:
        """Rows of scaled mel images."""
        row = torch.cat(list(self.features(image).values()), dim=1)
        return row, torch.zeros_like(row)

    @property
    def factor_sizes(self) -> dict[str, int]:
        """Number of factors of each source that has a distribution to predict."""
        return {source: head.out_features for source, head in self._predictors().items()}

    @property
    def factor_names(self) -> dict[str, tuple[str, ...]]:
        """Names of the factors of each source: their words, or the source and a number."""
        return {
            source: tuple(self.words.get(source, ()))
            if len(self.words.get(source, ())) == size
            else tuple(f"{source} {factor}" for factor in range(size))
            for source, size in self.factor_sizes.items()
        }

    def factor_probabilities(self, image: Tensor) -> Tensor:
        """What each source's head predicts, distributions side by side: [B, all factors]."""
        features = self.features(image)
        shared = features.get("shared")
        return torch.cat(
            [
                head(features[source] if shared is None else shared).softmax(-1)
                for source, head in self._predictors().items()
            ],
            dim=1,
        )

    def _predictors(self) -> dict[str, nn.Linear]:
        # The head of ``self`` compares two clips and predicts nothing about one.
        heads = {name: head for name, head in self.heads.items() if isinstance(head, nn.Linear)}
        return {name: head for name, head in heads.items() if name not in self._taught}


class ConvStage(nn.Module):
    """Convolution, batch norm where asked for, activation, max-pool where asked for.

    Shape: [B, C, T, F] -> [B, channels, T // stride // pool, F // pool].
    """

    def __init__(
        self,
        channels_in: int,
        channels: int,
        kernel: int,
        activation: nn.Module,
        *,
        norm: nn.BatchNorm2d | None,
        bias: bool = True,
        stride: tuple[int, int] = (1, 1),
        pool: tuple[int, int] = (1, 1),
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            channels_in, channels, kernel, stride=stride, padding=kernel // 2, bias=bias
        )
        if norm is not None:
            self.bn = norm
        self.activation, self.pool = activation, pool

    def forward(self, image: Tensor) -> Tensor:
        """Output of the stage. Pooling first gives the same, activations being increasing."""
        maps = max_pooled(self._normalised(image), self.pool)
        return self.activation(maps)  # type: ignore[no-any-return]

    def _normalised(self, image: Tensor) -> Tensor:
        maps: Tensor = self.conv(image)
        return self.bn(maps) if hasattr(self, "bn") else maps


class GlobalAverage(nn.Module):
    """Mean over time and mel: [B, C, T, F] -> [B, C]."""

    def forward(self, image: Tensor) -> Tensor:
        """Mean of each channel."""
        return image.mean((2, 3))


def fused(chain: nn.Module) -> nn.Sequential:
    """A copy for inference: batch norm folded into convolutions, kernels channels-last."""
    copies: list[nn.Module] = []
    for stage in chain.children():
        if isinstance(stage, ConvStage):
            conv = stage.conv
            copy = ConvStage(
                conv.in_channels,
                conv.out_channels,
                int(conv.kernel_size[0]),
                stage.activation,
                norm=None,
                stride=conv.stride,  # type: ignore[arg-type]
                pool=stage.pool,
            )
            norm = getattr(stage, "bn", None)
            kernel, bias = (conv.weight, conv.bias) if norm is None else folded(conv, norm)
            copy.conv.weight.data = kernel.detach().to(memory_format=torch.channels_last)
            copy.conv.bias.data = bias.detach()  # type: ignore[union-attr]
            copies.append(copy)
        else:
            copies.append(stage)
    return nn.Sequential(*copies).eval()


def choose_sources(
    wanted: Any, known: Sequence[str], letters: Mapping[str, str]
) -> tuple[str, ...]:
    """Sources asked for: None for all, names, one name, names with commas, or the letters.

    Raises:
        OptionError: one that the checkpoint does not have, or one twice.
    """
    if wanted is None:
        return tuple(known)
    if isinstance(wanted, str):
        chosen = [name.strip() for name in wanted.split(",")]
        if len(chosen) == 1 and chosen[0] not in known and set(chosen[0]) <= set(letters):
            chosen = [letters[letter] for letter in chosen[0]]
    else:
        chosen = list(wanted)
    if unknown := [name for name in chosen if name not in known]:
        raise OptionError(
            f"sources {', '.join(map(repr, unknown))} not in this checkpoint ({', '.join(known)})."
        )
    if not chosen or len(set(chosen)) < len(chosen):
        raise OptionError(f"sources={wanted!r}: at least one, and each once ({', '.join(known)}).")
    return tuple(chosen)


def build_branched(
    mel: MelSpec, trained: Branched, weights: Weights, sources: Any, letters: Mapping[str, str]
) -> Model:
    """Fill a network from a checkpoint and prepare the chosen sources for inference."""
    frontend = Frontend(mel)
    fill({"frontend": frontend, "network": trained}, weights)
    trained.eval()
    chosen = choose_sources(sources, trained.sources, letters)
    words = weights.metadata.get("training", {}).get("factor_words")
    rows = SourceRows(trained, chosen, weights.metadata.get("taught", ()), words)
    return Model(frontend, rows)


def initialise_branched(
    name: str,
    mel: MelSpec,
    segment: SegmentSpec,
    trained: Branched,
    factors: Mapping[str, int],
    generator: np.random.Generator,
) -> Weights:
    """Untrained weights: Glorot-uniform kernels, and a scaler from synthetic sounds."""
    glorot_uniform(trained, generator)
    frontend = Frontend(mel)
    sounds = [synthetic_segment(i, segment.samples, mel.sample_rate) for i in range(16)]
    audio = torch.from_numpy(np.stack(sounds)).expand(-1, mel.channels, -1)
    cast(Standardise, frontend.standardise).fit(Frontend(replace(mel, standardise=False))(audio))
    return weights_of(name, frontend, trained, factors)


def weights_of(
    name: str, frontend: Frontend, trained: Branched, factors: Mapping[str, int]
) -> Weights:
    """Front end and network as checkpoints hold them; ``factors`` are the heads' sizes."""
    tensors = gather({"frontend": frontend, "network": trained})
    size = trained.feature_size
    wide = {} if size == FEATURE_SIZE else {"feature_size": size}
    return Weights(tensors, {"extractor": name, "sources": dict(factors), **wide})


def glorot_uniform(module: nn.Module, generator: np.random.Generator) -> None:
    """Draw all kernels and matrices anew (Glorot & Bengio 2010); biases become 0.

    NumPy's PCG64 makes the draws, so the bytes do not depend on the version of torch.
    """
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                shape = tuple(layer.weight.shape)
                area = int(np.prod(shape[2:]))
                limit = np.sqrt(6.0 / ((shape[0] + shape[1]) * area))
                draws = generator.uniform(-limit, limit, shape).astype(np.float32)
                layer.weight.copy_(torch.from_numpy(draws))
                if layer.bias is not None:
                    layer.bias.zero_()
