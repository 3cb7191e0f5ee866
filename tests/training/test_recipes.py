"""How networks are trained is found by name, also for networks of somebody else."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import mirfeat
from mirfeat.errors import ConfigError
from mirfeat.networks import checkpoint, kim2019, registry
from mirfeat.networks.frontend import Frontend
from mirfeat.networks.registry import get_spec, list_extractors
from mirfeat.networks.spec import ExtractorSpec
from mirfeat.training import objectives, recipes
from mirfeat.training.branched import branched_recipe, head_sizes
from mirfeat.training.config import NetworkShape, Optimiser, TrainConfig
from mirfeat.training.recipe import Family, Recipe
from mirfeat.training.recipes import DEFAULTS, family_of, make_recipe, register
from mirfeat.training.schedule import make_optimiser
from mirfeat.training.targets.label_sources import SourceTargets
from mirfeat.training.targets.make import Targets


@pytest.fixture(autouse=True)
def _own_tables(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(recipes, "_FAMILIES", dict(recipes._FAMILIES))
    monkeypatch.setattr(registry, "_SPECS", dict(registry._SPECS))
    for name in DEFAULTS:
        monkeypatch.setitem(DEFAULTS, name, DEFAULTS[name])
    yield
    DEFAULTS.pop("mine", None)


@pytest.mark.parametrize("name", list_extractors())
def test_what_has_open_weights_says_how_it_is_trained(name: str) -> None:
    spec = get_spec(name)
    if spec.has_weights and not spec.checkpoints:
        assert name in family_of(name).extractors
        assert family_of(name).sources.usual


def test_what_is_not_trained_says_so() -> None:
    with pytest.raises(ConfigError, match="mfcc is not trained"):
        family_of("mfcc")
    with pytest.raises(ConfigError, match="'choi2017' is trained is known already"):
        register(family_of("choi2017"))


def make(
    config: TrainConfig, spec: ExtractorSpec, frontend: Frontend, targets: Mapping[str, Targets]
) -> Recipe:
    """A network of somebody else: that of Kim 2019 with a share of his own."""
    network = kim2019.network(3, head_sizes(targets))
    return branched_recipe(config, spec, frontend, targets, network, objectives.divergence)


def test_a_network_of_somebody_else_is_trained_once_its_family_is_known(tmp_path: Path) -> None:
    registry.register(replace(get_spec("kim2019-ms-cr-2"), name="mine"))
    sources = family_of("kim2019-ms-cr-2").sources
    register(Family(("mine",), sources, make, {"optimiser": {"batch": 4}}))
    assert DEFAULTS["mine"] == {"optimiser": {"batch": 4}}
    config = TrainConfig("mine", tmp_path / "tracks.csv", tmp_path / "run", tmp_path / "cache")
    target = SourceTargets(np.zeros((4, 3), np.float32), ("a", "b", "c"))
    recipe = make_recipe(config, {"tag": target, "artist": target})
    assert recipe.spec.name == "mine"
    assert recipe.weights().metadata["sources"] == {"tag": 3, "artist": 3}


def test_label_vectors_alone_have_a_decay_of_their_own(tmp_path: Path) -> None:
    folders = tmp_path / "tracks.csv", tmp_path / "run", tmp_path / "cache"
    wanted = Optimiser("sgd", 0.1, weight_decay=0.25, label_decay=0.5)
    for labels, decay in ((False, 0.25), (True, 0.75)):
        made = make_optimiser(wanted, [torch.nn.Parameter(torch.ones(2))], labels=labels)
        assert made.param_groups[0]["weight_decay"] == decay
    target = SourceTargets(np.zeros((4, 3), np.float32), ("a", "b", "c"))
    make_recipe(TrainConfig("hamel2013-tag", *folders, optimiser=wanted), {"tags": target})
    with pytest.raises(ConfigError, match=r"label_decay = 0\.5: choi2017 has no label vectors"):
        make_recipe(TrainConfig("choi2017", *folders, optimiser=wanted), {"tag": target})


def test_a_wide_network_learns_one_source_and_its_checkpoint_says_how_wide_it_is(
    tmp_path: Path,
) -> None:
    folders = tmp_path / "tracks.csv", tmp_path / "run", tmp_path / "cache"
    config = TrainConfig("kim2018-wstn", *folders, network=NetworkShape(0.11))
    target = SourceTargets(np.zeros((4, 3), np.float32), ("a", "b", "c"))
    weights = make_recipe(config, {"genre": target}).weights()
    assert weights.metadata["feature_size"] == 28
    checkpoint.write(tmp_path / "wide.safetensors", weights)
    extractor = mirfeat.load_extractor("kim2018-wstn", checkpoint=tmp_path / "wide.safetensors")
    assert extractor.row_dimension == 28
    with pytest.raises(ConfigError, match="learns one source, not genre, mfcc"):
        make_recipe(config, {"genre": target, "mfcc": target})
    with pytest.raises(ConfigError, match=r"network\.width = 0\.11: choi2017 has one width; kim"):
        make_recipe(replace(config, extractor="choi2017"), {"tag": target})


def test_dropout_is_a_multiple_of_the_papers(tmp_path: Path) -> None:
    folders = tmp_path / "tracks.csv", tmp_path / "run", tmp_path / "cache"
    target = SourceTargets(np.zeros((4, 3), np.float32), ("a", "b", "c"))

    def rates(name: str, factor: float) -> set[float]:
        config = TrainConfig(name, *folders, network=NetworkShape(dropout=factor))
        modules = make_recipe(config, {"genre": target}).learner.modules()
        return {layer.p for layer in modules if isinstance(layer, nn.Dropout)}

    assert rates("kim2018-stn", 1.0) == {0.1, 0.5}
    assert rates("kim2018-stn", 0.5) == {0.05, 0.25}
    assert rates("kim2019-ms-sr-fc", 0.0) == {0.0}
    with pytest.raises(ConfigError, match=r"network\.dropout = 0\.0: choi2017 has no dropout"):
        rates("choi2017", 0.0)
