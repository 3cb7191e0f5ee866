"""Training of networks with several sources, Kim 2018 and Kim 2019."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from mirfeat.networks.branched import Branched, glorot_uniform, weights_of
from mirfeat.networks.checkpoint import Weights
from mirfeat.networks.frontend import Frontend
from mirfeat.networks.spec import ExtractorSpec
from mirfeat.training.config import TrainConfig
from mirfeat.training.learners import SELF, BranchedLearner
from mirfeat.training.recipe import Recipe, frames_of
from mirfeat.training.targets.make import Targets


@dataclass(frozen=True, eq=False)
class BranchedRecipe(Recipe):
    """Kim 2018 and Kim 2019."""

    network: Branched
    factors: Mapping[str, int]
    # Sources that a teacher says: their heads predict no distribution.
    taught: Sequence[str] = ()
    # Crops of one pass that settles statistics.
    _PASS = 256

    @torch.no_grad()
    def finish(self, levels: Tensor) -> None:
        """Batch-norm statistics of unchanged crops: those of training are of changed ones."""
        norms = [
            module
            for module in self.network.modules()
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
        ]
        momenta = [norm.momentum for norm in norms]
        self.network.eval()  # dropout would change what later layers see
        branches = cast(Any, self.network.branches)
        used = [norm for norm in norms if not _is_in(norm, self.network.heads)]
        for norm in used:
            norm.reset_running_stats()
            norm.momentum = None  # the plain average of all passes
            norm.train()
        # Passes of equal size: each counts the same, and none has a single crop.
        for part in torch.tensor_split(levels, -(-len(levels) // self._PASS)):
            shared = self.network.trunk(self.frontend.scale(part).transpose(2, 3))
            for branch in branches.values():
                branch(shared)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        self.network.eval()

    def weights(self) -> Weights:
        """Front end, trunk, branches and heads."""
        weights = weights_of(self.spec.name, self.frontend, self.network, self.factors)
        taught = {"taught": list(self.taught)} if self.taught else {}
        return replace(weights, metadata={**weights.metadata, **taught})


def _is_in(module: nn.Module, whole: nn.Module) -> bool:
    return any(module is part for part in whole.modules())


def head_sizes(targets: Mapping[str, Targets]) -> dict[str, int]:
    """Numbers that the head of each source predicts; that of ``self`` tells two things apart."""
    return {source: 2 if source == SELF else t.size for source, t in targets.items()}


def branched_recipe(
    config: TrainConfig,
    spec: ExtractorSpec,
    frontend: Frontend,
    targets: Mapping[str, Targets],
    network: Branched,
    objective: Callable[[Tensor, Tensor], Tensor],
) -> Recipe:
    """Recipe for ``network``, drawn from the seed; ``objective`` of logits and distributions."""
    glorot_uniform(network, np.random.Generator(np.random.PCG64(config.draws)))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    learner = BranchedLearner(
        network,
        objective,
        config.sources.pairs,
        {source: target.kind for source, target in targets.items()},
        config.sources.distance,
    )
    taught = tuple(source for source, target in targets.items() if target.kind != "labels")
    return BranchedRecipe(
        spec, frontend, learner, frames_of(spec), network, head_sizes(targets), taught
    )
