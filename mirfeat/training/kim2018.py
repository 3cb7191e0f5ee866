"""Training of the networks of Kim 2018 (sections 3 and 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mirfeat.errors import ConfigError
from mirfeat.networks import kim2018
from mirfeat.networks.frontend import Frontend
from mirfeat.networks.spec import ExtractorSpec
from mirfeat.training import objectives
from mirfeat.training.branched import branched_recipe, head_sizes
from mirfeat.training.config import TrainConfig
from mirfeat.training.learners import SELF
from mirfeat.training.recipe import Family, Recipe
from mirfeat.training.targets.label_sources import MAKERS
from mirfeat.training.targets.make import LabelSources, Targets, chosen_from


def _make(
    config: TrainConfig,
    spec: ExtractorSpec,
    frontend: Frontend,
    targets: Mapping[str, Targets],
) -> Recipe:
    if SELF in targets:
        raise ConfigError(f"{spec.name} does not learn 'self': leave it out of sources.names.")
    sizes = head_sizes(targets)
    if spec.name == "kim2018-wstn" and len(sizes) > 1:
        raise ConfigError(
            f"kim2018-wstn learns one source, not {', '.join(sizes)}: name one in sources.names."
        )
    network = kim2018.network(spec.name, sizes, config.network.width)
    return branched_recipe(config, spec, frontend, targets, network, objectives.soft_cross_entropy)


_VALUES: Mapping[str, Mapping[str, Any]] = {
    "sources": {"factors": 40},
    "optimiser": {"rate": 1e-3, "weight_decay": 1e-5, "batch": 64, "epochs": 200.0},
}

FAMILIES = (
    Family(
        extractors=("kim2018-stn", "kim2018-mtn"),
        sources=LabelSources(kim2018.SOURCES, chosen_from(MAKERS)),
        make=_make,
        defaults=_VALUES,
    ),
    Family(
        extractors=("kim2018-wstn",),
        sources=LabelSources(("genre",), chosen_from(MAKERS)),
        make=_make,
        defaults={**_VALUES, "network": {"width": kim2018.WIDE}},
    ),
)
