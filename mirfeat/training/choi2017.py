"""Training of choi2017. The paper names Adam and nothing else of how its tagger was trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from mirfeat.errors import ConfigError
from mirfeat.networks import choi2017
from mirfeat.networks.checkpoint import Weights
from mirfeat.networks.choi2017_network import Choi2017
from mirfeat.networks.frontend import Frontend
from mirfeat.networks.spec import ExtractorSpec
from mirfeat.training.config import TrainConfig
from mirfeat.training.learners import TaggingLearner
from mirfeat.training.recipe import Family, Recipe, frames_of
from mirfeat.training.targets.label_sources import frequent_tags
from mirfeat.training.targets.make import LabelSources, Targets, chosen_from


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


def _make(
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
    choi2017.draw(network, config.draws)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    vectors = {source: target.size for source, target in targets.items() if source != tags[0]}
    torch.manual_seed(config.draws)  # the maps to vectors
    learner = TaggingLearner(network, tags[0], vectors, config.sources.distance)
    names = targets[tags[0]].names
    return TaggingRecipe(spec, frontend, learner, frames_of(spec), network, names)


FAMILIES = (
    Family(
        extractors=("choi2017",),
        sources=LabelSources(("tag",), chosen_from({"tag": frequent_tags})),
        make=_make,
        defaults={"optimiser": {"rate": 1e-3, "weight_decay": 0.0, "batch": 32, "epochs": 100.0}},
    ),
)
