"""From a configuration and targets to a network that learns, and back to a checkpoint.

A recipe knows what its paper fixed: the length of a crop, how the input is scaled before the first
step, which statistics are settled after the last one, and what a checkpoint holds.
Letters in shapes: B crops, C channels, F mel bands, T frames, k size of a target.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from mirfeat.errors import ConfigError
from mirfeat.networks import choi2017, hamel2013, kim2018, kim2019
from mirfeat.networks.branched import Branched, glorot_uniform, weights_of
from mirfeat.networks.checkpoint import Weights, gather
from mirfeat.networks.choi2017_network import Choi2017
from mirfeat.networks.frontend import Frontend, Standardise
from mirfeat.networks.registry import get_spec
from mirfeat.networks.spec import ExtractorSpec
from mirfeat.training import objectives
from mirfeat.training.config import Defaults, TrainConfig
from mirfeat.training.learners import (
    SELF,
    BranchedLearner,
    EmbeddingLearner,
    Learner,
    TaggingLearner,
)
from mirfeat.training.targets.make import Targets

_KIM2018: Mapping[str, Mapping[str, Any]] = {
    "sources": {"factors": 40},
    "optimiser": {"rate": 1e-3, "weight_decay": 1e-5, "batch": 64, "epochs": 200.0},
}
_HAMEL2013: Mapping[str, Mapping[str, Any]] = {
    "sources": {"order": "alternate"},
    "optimiser": {"name": "sgd", "rate": 0.01, "weight_decay": 0.0, "batch": 100},
}
# What a configuration says where it is silent: the papers' values. Kim 2019 (section 4.2) are the
# defaults of the records; Choi 2017 names Adam and nothing else; Hamel 2013 batches of 100.
DEFAULTS: Defaults = {
    "choi2017": {"optimiser": {"rate": 1e-3, "weight_decay": 0.0, "batch": 32, "epochs": 100.0}},
    "hamel2013-tag": _HAMEL2013,
    "hamel2013-genre": _HAMEL2013,
    "kim2018-stn": _KIM2018,
    "kim2018-mtn": _KIM2018,
}


@dataclass(frozen=True, eq=False)
class Recipe:
    """One kind of network in training. ``frames``: length T of a crop."""

    spec: ExtractorSpec
    frontend: Frontend
    learner: Learner
    frames: int

    def prepare(self, levels: Tensor) -> None:
        """Settle the scale of the input from levels of training crops [B, C, F, T]."""
        if isinstance(self.frontend.standardise, Standardise):
            self.frontend.standardise.fit(self.frontend.scaling.finish(levels))

    def finish(self, levels: Tensor) -> None:
        """Settle the statistics that inference uses, from unchanged training crops."""

    def weights(self) -> Weights:
        """The checkpoint, as it stands."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class BranchedRecipe(Recipe):
    """Kim 2018 and Kim 2019."""

    network: Branched
    factors: Mapping[str, int]
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
        return weights_of(self.spec.name, self.frontend, self.network, self.factors)


def _is_in(module: nn.Module, whole: nn.Module) -> bool:
    return any(module is part for part in whole.modules())


@dataclass(frozen=True, eq=False)
class TaggingRecipe(Recipe):
    """Choi 2017."""

    network: Choi2017
    tags: Sequence[str]

    def prepare(self, levels: Tensor) -> None:
        """Decibel reference."""
        cast(Any, self.frontend.scaling).reference.fill_(
            choi2017.reference_of(torch.split(levels, 1))
        )

    def finish(self, levels: Tensor) -> None:
        """Population statistics, layer by layer."""
        reference = float(cast(Any, self.frontend.scaling).reference)
        choi2017.freeze(self.network, torch.split(levels, 1), reference)

    def weights(self) -> Weights:
        """Network, reference, names of tags."""
        reference = float(cast(Any, self.frontend.scaling).reference)
        return choi2017.weights_of(self.network, reference, self.tags)


@dataclass(frozen=True, eq=False)
class EmbeddingRecipe(Recipe):
    """Hamel 2013."""

    network: hamel2013.Hamel2013
    labels: Mapping[str, Sequence[str]]

    def weights(self) -> Weights:
        """Map, vectors of labels and their names."""
        tensors = gather({"network": self.network})
        names = {source: list(labels) for source, labels in self.labels.items()}
        return Weights(tensors, {"extractor": self.spec.name, "labels": names})


def make_recipe(config: TrainConfig, targets: Mapping[str, Targets]) -> Recipe:
    """Network of ``config.extractor`` for these targets, drawn from the seed.

    Raises:
        ConfigError: an extractor that is not trained, or sources that it cannot learn.
    """
    spec = get_spec(config.extractor)
    frontend = Frontend(spec.mel)
    if spec.name == "choi2017":
        return _tagging(config, spec, frontend, targets)
    if spec.name in ("hamel2013-tag", "hamel2013-genre"):
        return _embedding(config, spec, frontend, targets)
    if spec.name.startswith(("kim2018-", "kim2019-")):
        return _branched(config, spec, frontend, targets)
    raise ConfigError(f"{spec.name} is not trained: it has no weights, or no training code.")


def _branched(
    config: TrainConfig,
    spec: ExtractorSpec,
    frontend: Frontend,
    targets: Mapping[str, Targets],
) -> Recipe:
    sizes = {source: 2 if source == SELF else t.size for source, t in targets.items()}
    if spec.name == "kim2019-ss-r" and len(sizes) > 1:
        raise ConfigError(
            f"kim2019-ss-r learns one source, not {', '.join(sizes)}: name one in sources.names, "
            "or train kim2019-mss-cr, which is all of them."
        )
    if spec.name.startswith("kim2018-"):
        if SELF in sizes:
            raise ConfigError(f"{spec.name} does not learn 'self': leave it out of sources.names.")
        network, objective = kim2018.network(spec.name, sizes), objectives.soft_cross_entropy
    else:
        network = kim2019.network(kim2019.BRANCH_POINTS[spec.name], sizes)
        objective = objectives.divergence
    glorot_uniform(network, np.random.Generator(np.random.PCG64(config.seed)))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    learner = BranchedLearner(
        network,
        objective,
        config.sources.pairs,
        {source: target.kind for source, target in targets.items()},
        config.sources.distance,
    )
    return BranchedRecipe(spec, frontend, learner, _frames(spec), network, sizes)


def _tagging(
    config: TrainConfig,
    spec: ExtractorSpec,
    frontend: Frontend,
    targets: Mapping[str, Targets],
) -> Recipe:
    tags = [source for source, target in targets.items() if target.kind != "vector"]
    if len(tags) != 1:
        raise ConfigError(
            f"choi2017 has one head of tags, for {' and '.join(tags) or 'no source'} among the "
            f"sources {', '.join(targets)}: name 'tag' or one source of probabilities, and vectors "
            "beside it."
        )
    network = Choi2017(targets[tags[0]].size)
    choi2017.draw(network, config.seed)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    vectors = {source: target.size for source, target in targets.items() if source != tags[0]}
    torch.manual_seed(config.seed)  # the maps to vectors
    learner = TaggingLearner(network, tags[0], vectors, config.sources.distance)
    names = targets[tags[0]].names
    return TaggingRecipe(spec, frontend, learner, _frames(spec), network, names)


def _embedding(
    config: TrainConfig,
    spec: ExtractorSpec,
    frontend: Frontend,
    targets: Mapping[str, Targets],
) -> Recipe:
    network = hamel2013.Hamel2013({source: t.size for source, t in targets.items()})
    generator = np.random.Generator(np.random.PCG64(config.seed))
    with torch.no_grad():
        for matrix in network.parameters():
            draws = generator.standard_normal(tuple(matrix.shape)) / np.sqrt(matrix.shape[1])
            matrix.copy_(torch.from_numpy(draws.astype(np.float32)))
    learner = EmbeddingLearner(network)
    learner.constrain()
    labels = {source: t.names for source, t in targets.items()}
    # The paper embeds single frames.
    return EmbeddingRecipe(spec, frontend, learner, 1, network, labels)


def _frames(spec: ExtractorSpec) -> int:
    return spec.mel.frames(spec.segment.samples)
