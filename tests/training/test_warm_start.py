"""A run begins with the weights of another, whatever the two share."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mirfeat.errors import ConfigError
from mirfeat.networks.checkpoint import Weights
from mirfeat.training.config import TrainConfig
from mirfeat.training.recipe import Recipe
from mirfeat.training.recipes import make_recipe
from mirfeat.training.targets.label_sources import SourceTargets
from mirfeat.training.warm_start import warm_start


def recipe_of(extractor: str, seed: int, **sizes: int) -> Recipe:
    config = TrainConfig(extractor, Path("tracks.csv"), Path("run"), seed=seed)
    targets = {
        source: SourceTargets(
            np.zeros((4, size), np.float32), tuple(f"{source}{k}" for k in range(size))
        )
        for source, size in sizes.items()
    }
    return make_recipe(config, targets)


def features(recipe: Recipe, image: torch.Tensor) -> dict[str, torch.Tensor]:
    recipe.learner.eval()
    with torch.no_grad():
        found: dict[str, torch.Tensor] = recipe.network(image)  # type: ignore[attr-defined]
    return found


def settled(extractor: str, seed: int, **sizes: int) -> Recipe:
    """A network whose batch norms and scaler are not those of a new one."""
    recipe = recipe_of(extractor, seed, **sizes)
    generator = torch.Generator().manual_seed(seed)
    for name, buffer in recipe.learner.named_buffers():
        if "running" in name:
            buffer.copy_(1.0 + torch.rand(buffer.shape, generator=generator))
    recipe.frontend.standardise.mean.fill_(-20.0)  # type: ignore[union-attr,operator]
    return recipe


@pytest.mark.parametrize("shared", ["kim2019-ms-sr-fc", "kim2019-ms-cr-6"])
@pytest.mark.parametrize("new", ["kim2019-ms-cr-6", "kim2019-ms-cr-2", "kim2019-mss-cr"])
def test_networks_that_share_less_begin_as_those_that_share_more(shared: str, new: str) -> None:
    old = settled(shared, 1, tag=5, bpm=4)
    fresh = recipe_of(new, 2, tag=5, bpm=4)
    image = torch.randn(2, 2, 128, 216, generator=torch.Generator().manual_seed(0))
    assert not torch.allclose(features(fresh, image)["tag"], features(old, image)["tag"])
    warm_start(fresh, old.weights())
    expected, found = features(old, image), features(fresh, image)
    for source in ("tag", "bpm"):
        torch.testing.assert_close(found[source], expected[source])
        head, other = (r.network.heads[source] for r in (fresh, old))  # type: ignore[attr-defined]
        assert torch.equal(head.weight, other.weight)
    assert float(fresh.frontend.standardise.mean[0]) == -20.0  # type: ignore[union-attr,index]


def test_a_source_that_the_old_network_lacks_begins_with_what_was_shared() -> None:
    old = settled("kim2019-ms-sr-fc", 1, tag=5)
    fresh = recipe_of("kim2019-mss-cr", 2, artist=3)
    drawn = fresh.network.heads["artist"].weight.clone()  # type: ignore[attr-defined]
    warm_start(fresh, old.weights())
    image = torch.randn(2, 2, 128, 216, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(features(fresh, image)["artist"], features(old, image)["tag"])
    assert torch.equal(fresh.network.heads["artist"].weight, drawn)  # type: ignore[attr-defined]


def test_networks_of_kim2018_start_each_other() -> None:
    old = settled("kim2018-mtn", 1, genre=3, mfcc=4)
    fresh = recipe_of("kim2018-stn", 2, mfcc=4)
    warm_start(fresh, old.weights())
    image = torch.randn(2, 1, 128, 43, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(features(fresh, image)["mfcc"], features(old, image)["mfcc"])


@pytest.mark.parametrize("new", ["kim2018-mtn", "kim2018-stn"])
def test_all_sources_begin_with_the_only_one_of_the_old_network(new: str) -> None:
    old = settled("kim2018-wstn", 1, everything=7)
    fresh = recipe_of(new, 2, genre=3, mfcc=4)
    warm_start(fresh, old.weights())
    image = torch.randn(2, 1, 128, 43, generator=torch.Generator().manual_seed(0))
    expected, found = features(old, image)["everything"], features(fresh, image)
    for source in ("genre", "mfcc"):
        torch.testing.assert_close(found[source], expected)


@pytest.mark.parametrize(
    ("extractor", "sizes"), [("choi2017", {"tag": 6}), ("hamel2013-tag", {"tags": 6})]
)
def test_other_networks_take_what_has_their_name_and_shape(
    extractor: str, sizes: dict[str, int]
) -> None:
    old, fresh = recipe_of(extractor, 1, **sizes), recipe_of(extractor, 2, **sizes)
    number = warm_start(fresh, old.weights())
    kept = {k: v for k, v in fresh.weights().tensors.items() if k.startswith("network.")}
    assert number == len(kept)
    assert all(torch.equal(v, old.weights().tensors[k]) for k, v in kept.items())


def test_weights_of_which_nothing_fits_are_refused() -> None:
    fresh = recipe_of("kim2019-mss-cr", 2, tag=5)
    foreign = recipe_of("choi2017", 1, tag=6).weights()
    with pytest.raises(ConfigError, match="'choi2017'; nothing of it fits 'kim2019-mss-cr'"):
        warm_start(fresh, replace(foreign, name="other.safetensors"))
    with pytest.raises(ConfigError, match="nothing of it fits"):
        warm_start(fresh, Weights({}, {"extractor": "kim2019-mss-cr"}))
