"""Begin a run with the weights of another: the same network, or one with another branch point.

Networks of Kim 2018 and of Kim 2019 are one chain of stages, shared up to a branch point. A stage
of the new network takes the weights of the same stage of the old one: of the same source, if the
old one had branched there, else of its trunk. So a network that shares everything, which learns
fastest, can be the start of those that share less. Where the old network learnt one source alone,
all sources of the new one begin with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from mirfeat.errors import ConfigError
from mirfeat.networks import kim2018, kim2019
from mirfeat.networks.checkpoint import Weights, gather
from mirfeat.training.branched import BranchedRecipe
from mirfeat.training.recipe import Recipe

_STAGE = re.compile(r"(trunk|branches\.(?P<source>[^.]+))\.(?P<stage>\d+)\.(?P<rest>.+)")


@torch.no_grad()
def warm_start(recipe: Recipe, weights: Weights) -> int:
    """Copy what fits, the scale of the input included; number of tensors copied.

    What the old network does not have, heads of other sources for example, stays as drawn.

    Raises:
        ConfigError: nothing of it fits.
    """
    branched = isinstance(recipe, BranchedRecipe)
    old = dict(_by_stage(weights)) if branched else dict(weights.tensors)
    modules: dict[str, Any] = {"frontend": recipe.frontend, "network": _network(recipe)}
    copied = 0
    for key, tensor in gather(modules).items():
        found = next((old[name] for name in _names(key, recipe) if name in old), None)
        if found is not None and found.shape == tensor.shape:
            tensor.copy_(found)
            copied += key.startswith("network.")
    if not copied:
        raise ConfigError(
            f"initial: {weights.name} is of {weights.metadata.get('extractor')!r}; nothing of it "
            f"fits {recipe.spec.name!r}."
        )
    return copied


def _network(recipe: Any) -> torch.nn.Module:
    network: torch.nn.Module = recipe.network
    return network


def _by_stage(weights: Weights) -> Iterator[tuple[str, Tensor]]:
    """Tensors by place in the chain: "stage 5 tag conv.weight", "stage 0 conv.weight", or as is.

    Those of the only source of a network stand for every source too.
    """
    points = {**kim2018.BRANCH_POINTS, **kim2019.BRANCH_POINTS}
    shared = points.get(str(weights.metadata.get("extractor")), 0)
    alone = len(weights.metadata.get("sources", ())) == 1
    for key, tensor in weights.tensors.items():
        match = _STAGE.fullmatch(key.removeprefix("network."))
        if match is None:
            yield key, tensor
        elif (source := match["source"]) is None:
            yield f"stage {match['stage']} {match['rest']}", tensor
        else:
            stage = int(match["stage"]) + shared
            yield f"stage {stage} {source} {match['rest']}", tensor
            if alone:
                yield f"stage {stage} {match['rest']}", tensor


def _names(key: str, recipe: Recipe) -> Iterator[str]:
    """Where the old network may have a tensor of the new one, best first."""
    match = _STAGE.fullmatch(key.removeprefix("network."))
    if match is None or not isinstance(recipe, BranchedRecipe):
        yield key
        return
    source, stage = match["source"], int(match["stage"])
    if source is not None:
        stage += len(recipe.network.trunk)
        yield f"stage {stage} {source} {match['rest']}"
    yield f"stage {stage} {match['rest']}"
