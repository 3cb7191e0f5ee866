"""What all networks share: the interface to the rest of mirfeat, and seeded initialisation.

Letters in shapes: B segments, C channels, N samples, F mel bands, T frames, D row size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, cast, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from mirfeat.networks.frontend import Frontend

Rows = tuple[Tensor, Tensor]
"""Mean [B, D] of each row and the variance inside it [B, D]."""


class Network(Protocol):
    """What a network must offer; the ``nn.Module`` of a paper implements it."""

    @property
    def block_sizes(self) -> Mapping[str, int]:
        """Named parts of a row, in order, with their sizes; they add up to D."""
        ...

    def __call__(self, image: Tensor) -> Rows:
        """Rows of scaled mel images [B, C, F, T]."""
        ...


@runtime_checkable
class NamesTags(Protocol):
    """A network with a tag head: what :meth:`mirfeat.Extractor.tags` needs."""

    @property
    def tag_names(self) -> Sequence[str]:
        """A name for each tag."""
        ...

    def tag_probabilities(self, image: Tensor) -> Tensor:
        """Probability of each tag in [0, 1], [B, tags], of scaled mel images [B, C, F, T]."""
        ...


@runtime_checkable
class PredictsFactors(Protocol):
    """A network with heads for factors: what :meth:`mirfeat.Extractor.factors` needs."""

    @property
    def factor_sizes(self) -> Mapping[str, int]:
        """Number of factors of each learning source; empty where a checkpoint has no heads."""
        ...

    @property
    def factor_names(self) -> Mapping[str, tuple[str, ...]]:
        """Names of the factors of each learning source, as many as it has."""
        ...

    def factor_probabilities(self, image: Tensor) -> Tensor:
        """Distributions over factors, side by side in the order of ``factor_sizes``."""
        ...


class EmbedsLabels(Protocol):
    """A network with labels in the space of its rows: what :attr:`mirfeat.Extractor.labels` needs.

    The block ``mean`` of a row is compared with them.
    """

    @property
    def label_names(self) -> Sequence[str]:
        """A name for each label, "dataset/label"; empty where a checkpoint has none."""
        ...

    @property
    def label_vectors(self) -> Tensor:
        """Their points, float32 [labels, D]."""
        ...


@runtime_checkable
class Strippable(Protocol):
    """A network with more than its rows need: what :meth:`mirfeat.Extractor.module` leaves out."""

    def strip(self) -> None:
        """Forget heads, labels, and tables derived from weights, which training would not move."""
        ...


class Model(nn.Module):
    """Front end and network as one: segments of waveform [B, C, N] to rows."""

    def __init__(self, frontend: Frontend, network: nn.Module) -> None:
        """Chain the two, ``network`` being a :class:`Network`, and prepare them for inference."""
        super().__init__()
        self.frontend, self.network = frontend, network
        self.block_sizes = dict(cast(Network, network).block_sizes)
        self.eval().requires_grad_(False)

    def forward(self, audio: Tensor) -> Rows:
        """Rows of waveform segments."""
        rows: Rows = self.network(self.frontend(audio))
        return rows


def he_normal(shape: tuple[int, ...], fan_in: int, generator: np.random.Generator) -> Tensor:
    """Normal draws of variance 2 / fan_in (He et al. 2015), float32.

    NumPy's PCG64 makes the draws, so the bytes do not depend on the version of torch.
    """
    draws = generator.standard_normal(shape) * np.sqrt(2.0 / fan_in)
    return torch.from_numpy(draws.astype(np.float32))
