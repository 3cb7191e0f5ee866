"""Training of the embeddings of Hamel 2013 (section 3.3; batches of 100)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mirfeat.networks import hamel2013
from mirfeat.networks.checkpoint import Weights, gather
from mirfeat.networks.frontend import Frontend
from mirfeat.networks.spec import ExtractorSpec
from mirfeat.training.config import TrainConfig
from mirfeat.training.learners import EmbeddingLearner
from mirfeat.training.recipe import Family, Recipe
from mirfeat.training.targets.make import LabelSources, Targets, label_sets


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


def _make(
    config: TrainConfig,
    spec: ExtractorSpec,
    frontend: Frontend,
    targets: Mapping[str, Targets],
) -> Recipe:
    network = hamel2013.Hamel2013({source: t.size for source, t in targets.items()})
    generator = np.random.Generator(np.random.PCG64(config.draws))
    with torch.no_grad():
        for matrix in network.parameters():
            draws = generator.standard_normal(tuple(matrix.shape)) / np.sqrt(matrix.shape[1])
            matrix.copy_(torch.from_numpy(draws.astype(np.float32)))
    learner = EmbeddingLearner(network)
    learner.constrain()
    labels = {source: t.names for source, t in targets.items()}
    # The paper embeds single frames.
    return EmbeddingRecipe(spec, frontend, learner, 1, network, labels)


_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "sources": {"order": "alternate"},
    "optimiser": {"name": "sgd", "rate": 0.01, "weight_decay": 0.0, "batch": 100},
}

FAMILIES = (
    Family(("hamel2013-tag",), LabelSources(("tags",), label_sets, True), _make, _DEFAULTS),
    Family(("hamel2013-genre",), LabelSources(("genre",), label_sets, True), _make, _DEFAULTS),
)
