"""Training of the networks of Kim 2019 (section 4.2, whose values are the configuration's own)."""

from __future__ import annotations

from collections.abc import Mapping

from mirfeat.errors import ConfigError
from mirfeat.networks import kim2019
from mirfeat.networks.frontend import Frontend
from mirfeat.networks.spec import ExtractorSpec
from mirfeat.training import objectives
from mirfeat.training.branched import branched_recipe, head_sizes
from mirfeat.training.config import TrainConfig
from mirfeat.training.recipe import Family, Recipe
from mirfeat.training.targets.label_sources import MAKERS
from mirfeat.training.targets.make import LabelSources, Targets, chosen_from


def _make(
    config: TrainConfig,
    spec: ExtractorSpec,
    frontend: Frontend,
    targets: Mapping[str, Targets],
) -> Recipe:
    sizes = head_sizes(targets)
    if spec.name == "kim2019-ss-r" and len(sizes) > 1:
        raise ConfigError(
            f"kim2019-ss-r learns one source, not {', '.join(sizes)}: name one in sources.names, "
            "or train kim2019-mss-cr, which is all of them."
        )
    network = kim2019.network(kim2019.BRANCH_POINTS[spec.name], sizes)
    return branched_recipe(config, spec, frontend, targets, network, objectives.divergence)


FAMILIES = (
    Family(
        extractors=tuple(kim2019.BRANCH_POINTS),
        sources=LabelSources(
            ("self", "bpm", "year", "taste", "tag", "lyrics", "cdr_tag", "artist"),
            chosen_from(MAKERS),
        ),
        make=_make,
    ),
)
