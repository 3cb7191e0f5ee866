"""Every kind of network that is trained, by the name of its extractor.

A paper's own file says how; a network of somebody else joins with :func:`register`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from mirfeat.errors import ConfigError
from mirfeat.networks.frontend import Frontend
from mirfeat.networks.registry import get_spec
from mirfeat.training import choi2017, hamel2013, kim2018, kim2019
from mirfeat.training.config import TrainConfig
from mirfeat.training.manifest import Manifest
from mirfeat.training.mel_cache import MelCache
from mirfeat.training.recipe import Family, Recipe
from mirfeat.training.targets.make import Targets, make_targets

_FAMILIES: dict[str, Family] = {}
# What a configuration says where it is silent, by extractor.
DEFAULTS: dict[str, Mapping[str, Mapping[str, Any]]] = {}


def register(family: Family) -> None:
    """Let ``mirfeat train`` know how extractors of this family are trained.

    Raises:
        ConfigError: one of them is known already.
    """
    for name in family.extractors:
        if name in _FAMILIES:
            raise ConfigError(f"how {name!r} is trained is known already.")
    for name in family.extractors:
        _FAMILIES[name] = family
        DEFAULTS[name] = family.defaults


def family_of(extractor: str) -> Family:
    """The family of an extractor.

    Raises:
        ConfigError: it is not trained.
    """
    if extractor not in _FAMILIES:
        raise ConfigError(f"{extractor} is not trained: it has no weights, or no training code.")
    return _FAMILIES[extractor]


def targets_of(config: TrainConfig, manifest: Manifest, cache: MelCache) -> dict[str, Targets]:
    """Targets of a run; see :func:`mirfeat.training.targets.make.make_targets`."""
    return make_targets(config, manifest, cache, family_of(config.extractor).sources)


def make_recipe(config: TrainConfig, targets: Mapping[str, Targets]) -> Recipe:
    """Network of ``config.extractor`` for these targets, drawn from the seed.

    Raises:
        ConfigError: an extractor that is not trained, sources that it cannot learn; a width, a
            dropout or a decay of label vectors where there is none to choose.
    """
    spec, family = get_spec(config.extractor), family_of(config.extractor)
    if config.network.width != 1.0 and "network" not in family.defaults:
        wide = ", ".join(name for name, values in DEFAULTS.items() if "network" in values)
        raise ConfigError(
            f"network.width = {config.network.width}: {spec.name} has one width; {wide} has any."
        )
    if config.optimiser.label_decay and not family.sources.ranked:
        raise ConfigError(
            f"optimiser.label_decay = {config.optimiser.label_decay}: {spec.name} has no label "
            "vectors; hamel2013-tag and -genre have."
        )
    recipe = family.make(config, spec, Frontend(spec.mel), targets)
    _scale_dropout(recipe, config.network.dropout)
    return recipe


def _scale_dropout(recipe: Recipe, factor: float) -> None:
    """Let every layer of dropout drop ``factor`` times as often as in the paper."""
    layers = [layer for layer in recipe.learner.modules() if isinstance(layer, nn.Dropout)]
    if factor != 1.0 and not layers:
        raise ConfigError(f"network.dropout = {factor}: {recipe.spec.name} has no dropout.")
    for layer in layers:
        layer.p *= factor


for _family in (*choi2017.FAMILIES, *hamel2013.FAMILIES, *kim2018.FAMILIES, *kim2019.FAMILIES):
    register(_family)
