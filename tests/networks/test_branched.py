"""kim2018 and kim2019: parameter counts, float64 twins, sources, factors."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import mirfeat
from mirfeat.errors import OptionError
from mirfeat.extractor import Extractor
from mirfeat.networks import checkpoint, kim2018, kim2019
from mirfeat.networks.branched import Branched
from mirfeat.networks.checkpoint import Weights
from mirfeat.networks.registry import get_spec
from tests.support import slow_twins

KIM2019_COUNTS = {
    "kim2019-mss-cr": 4_665_184,
    "kim2019-ms-cr-2": 4_659_248,
    "kim2019-ms-cr-4": 4_495_952,
    "kim2019-ms-cr-6": 3_717_776,
    "kim2019-ms-sr-fc": 719_760,
}


def count(network: Branched) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("name", KIM2019_COUNTS)
def test_kim2019_has_exactly_the_authors_number_of_parameters(name: str) -> None:
    factors = {source: 2 if source == "self" else 50 for source in kim2019.SOURCES}
    assert count(kim2019.network(kim2019.BRANCH_POINTS[name], factors)) == KIM2019_COUNTS[name]


def test_single_networks_have_exactly_the_authors_number_of_parameters() -> None:
    assert count(kim2019.network(0, {"tag": 50})) == 576_482
    assert count(kim2019.network(0, {"self": 2})) == 629_810
    assert count(kim2018.network("kim2018-stn", {"genre": 16})) == 566_064
    assert count(kim2018.network("kim2018-stn", {"mfcc": 40})) == 572_232
    classes = {source: 16 if source == "genre" else 40 for source in kim2018.SOURCES}
    assert count(kim2018.network("kim2018-mtn", classes)) == 2_853_328


def test_wide_networks_have_the_number_of_parameters_that_table_5_compares() -> None:
    # Whole multiples of the filters, as in the authors' code.
    assert count(kim2018.network("kim2018-wstn", {"genre": 16}, 2)) == 2_251_344
    assert count(kim2018.network("kim2018-wstn", {"genre": 16}, 3)) == 5_055_856
    for sources, width in kim2018.WIDTHS.items():
        classes = {name: 16 if name == "genre" else 40 for name in kim2018.SOURCES[:sources]}
        shared = count(kim2018.network("kim2018-mtn", classes))
        assert count(kim2018.network("kim2018-wstn", {"genre": 16}, width)) == pytest.approx(
            shared, rel=0.002
        )


def test_maps_have_the_sizes_of_the_tables() -> None:
    image = torch.zeros(1, 2, 216, 128)
    sizes = []
    for stage in kim2019.stages()[:7]:
        image = stage(image)
        sizes.append(tuple(image.shape[1:]))
    assert sizes == [
        (16, 54, 64),
        (32, 27, 32),
        (64, 13, 16),
        (64, 6, 8),
        (128, 3, 4),
        (256, 3, 4),
        (256, 3, 4),
    ]
    image = torch.zeros(1, 1, 43, 128)
    sizes = []
    for stage in kim2018.stages()[:10]:
        image = stage(image)
        sizes.append(tuple(image.shape[2:]))
    assert list(dict.fromkeys(sizes)) == [(43, 64), (21, 32), (10, 16), (5, 8), (2, 4)]


def stirred(name: str) -> Weights:
    """Random weights with batch-norm statistics that folding must get right."""
    spec = get_spec(name)
    assert spec.initialise is not None
    weights, generator = spec.initialise(1), torch.Generator().manual_seed(2)
    for key, tensor in weights.tensors.items():
        if key.endswith(("running_var", "bn.weight")):
            tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
        elif key.endswith(("running_mean", "bias")):
            tensor.copy_(0.2 * torch.randn(tensor.shape, generator=generator))
    return weights


def load(name: str, weights: Weights, folder: Path, **options: object) -> Extractor:
    path = folder / f"{name}.safetensors"
    checkpoint.write(path, weights)
    return mirfeat.load_extractor(name, checkpoint=path, **options)  # type: ignore[arg-type]


def twin_image(audio: np.ndarray, name: str, tensors: dict) -> np.ndarray:
    mel = get_spec(name).mel
    level = slow_twins.scaled(slow_twins.mel_spectrogram(audio, mel), mel)
    return (level - tensors["frontend.standardise.mean"]) / tensors["frontend.standardise.scale"]


@pytest.mark.parametrize(
    "name",
    ["kim2018-stn", "kim2018-mtn", "kim2018-wstn", "kim2019-mss-cr", "kim2019-ms-cr-4"],
)
def test_features_agree_with_the_float64_twin(name: str, tmp_path: Path) -> None:
    spec, weights = get_spec(name), stirred(name)
    tensors = {key: value.double().numpy() for key, value in weights.tensors.items()}
    generator = np.random.default_rng(0)
    audio = 0.1 * generator.standard_normal((spec.mel.channels, spec.segment.samples))
    audio = audio.astype(np.float32)
    source = list(weights.metadata["sources"])[-1]
    extractor = load(name, weights, tmp_path, sources=source, statistics=("mean",))
    module = kim2018 if name.startswith("kim2018") else kim2019
    shared = module.BRANCH_POINTS[name]
    names = [
        f"network.trunk.{index}"
        if index < shared
        else f"network.branches.{source}.{index - shared}"
        for index in range(len(module.stages()))
    ]
    twin = getattr(slow_twins, f"{module.__name__.rpartition('.')[2]}_feature")
    expected = twin(twin_image(audio, name, tensors), tensors, names)
    ours = extractor.extract(audio, spec.mel.sample_rate)
    assert np.abs(expected).max() > 0.1
    assert np.abs(ours - expected).max() < 1e-4


def test_sources_choose_branches_in_the_order_asked_for(tmp_path: Path) -> None:
    weights = stirred("kim2019-ms-cr-6")
    audio = 0.1 * np.random.default_rng(1).standard_normal((2, 60_000)).astype(np.float32)
    everything = load("kim2019-ms-cr-6", weights, tmp_path, statistics=("mean",))
    some = load(
        "kim2019-ms-cr-6", weights, tmp_path, sources=("artist", "bpm"), statistics=("mean",)
    )
    rows = everything.embed(audio, 22_050)
    expected = [rows.values[:, rows.blocks[source]] for source in ("artist", "bpm")]
    np.testing.assert_allclose(some.embed(audio, 22_050).values, np.hstack(expected), atol=1e-6)
    assert some.feature_names[0] == "kim2019-ms-cr-6.artist.000.mean"


def test_only_the_branches_asked_for_are_there(tmp_path: Path) -> None:
    extractor = load("kim2019-mss-cr", stirred("kim2019-mss-cr"), tmp_path, sources="tag")
    branches = extractor._units[0].model.network.branches
    assert list(branches) == ["tag"]  # type: ignore[arg-type]


@pytest.mark.parametrize("sources", ["gsedm", "genre,mfcc", ("dmfcc",), "m"])
def test_kim2018_takes_letters_names_and_lists(sources: object) -> None:
    extractor = mirfeat.load_extractor("kim2018-mtn", checkpoint="random", sources=sources)  # type: ignore[arg-type]
    expected = {"gsedm": 5, "genre,mfcc": 2, ("dmfcc",): 1, "m": 1}[sources]  # type: ignore[index]
    assert extractor.row_dimension == 256 * expected


@pytest.mark.parametrize("sources", ["lyrics", "gx", (), ("genre", "genre")])
def test_impossible_sources_are_refused(sources: object) -> None:
    with pytest.raises(OptionError, match=r"genre, subgenre, essentia, dmfcc, mfcc"):
        mirfeat.load_extractor("kim2018-stn", checkpoint="random", sources=sources)  # type: ignore[arg-type]


def test_a_single_source_network_is_a_branch_of_the_independent_ones(tmp_path: Path) -> None:
    weights = stirred("kim2019-mss-cr")
    audio = 0.1 * np.random.default_rng(1).standard_normal((2, 60_000)).astype(np.float32)
    whole = load("kim2019-mss-cr", weights, tmp_path, sources="year").extract(audio, 22_050)
    single = load("kim2019-ss-r", weights, tmp_path, sources="year")
    np.testing.assert_array_equal(single.extract(audio, 22_050), whole)
    assert load("kim2019-ss-r", weights, tmp_path).feature_names[0].startswith("kim2019-ss-r.tag.")
    with pytest.raises(OptionError, match="exactly one"):
        load("kim2019-ss-r", weights, tmp_path, sources="year,tag")


def test_shared_features_come_once() -> None:
    extractor = mirfeat.load_extractor("kim2019-ms-sr-fc", checkpoint="random", sources="tag,bpm")
    assert extractor.row_dimension == 256
    assert extractor.feature_names[0] == "kim2019-ms-sr-fc.shared.000.mean"


def test_factors_are_distributions_of_each_source(tmp_path: Path) -> None:
    weights = stirred("kim2019-ms-cr-2")
    extractor = load("kim2019-ms-cr-2", weights, tmp_path, sources="self,tag,artist")
    audio = 0.1 * np.random.default_rng(3).standard_normal((2, 55_125)).astype(np.float32)
    factors = extractor.factors(audio, 22_050)
    assert list(factors) == ["tag", "artist"]  # the head of self compares two clips
    row = extractor.embed(audio, 22_050)
    for source, distribution in factors.items():
        assert len(distribution) == 50 == len(np.asarray(distribution))
        assert distribution.shares.sum() == pytest.approx(1.0, abs=1e-5)
        weight = weights.tensors[f"network.heads.{source}.weight"].numpy()
        bias = weights.tensors[f"network.heads.{source}.bias"].numpy()
        logits = weight @ row.values[0, row.blocks[source]] + bias
        expected = np.exp(logits - logits.max())
        np.testing.assert_allclose(distribution.shares, expected / expected.sum(), atol=1e-5)


def test_factors_are_called_by_their_words_or_a_number(tmp_path: Path) -> None:
    weights = stirred("kim2019-ms-cr-2")
    words = {"tag": [f"words {k}" for k in range(50)], "artist": ["of another network"]}
    told = replace(weights, metadata={**weights.metadata, "training": {"factor_words": words}})
    extractor = load("kim2019-ms-cr-2", told, tmp_path, sources="self,artist,tag")
    names = extractor.factor_names
    found = extractor.factors(np.zeros((2, 55_125), np.float32), 22_050)["tag"]
    (first, second) = found.strongest(2)
    assert first == (f"words {int(found.shares.argmax())}", pytest.approx(found.shares.max()))
    assert first[1] >= second[1]
    assert repr(first[0]) in repr(found)
    assert list(names) == ["artist", "tag"]
    assert names["tag"] == tuple(words["tag"])
    assert names["artist"][:2] == ("artist 0", "artist 1")
    assert len(names["artist"]) == 50
    open_words = mirfeat.load_extractor("kim2019-mss-cr", sources="tag").factor_names["tag"]
    assert len(open_words) == 50
    assert not any(name.startswith("tag ") for name in open_words)


def test_networks_without_factors_say_so() -> None:
    with pytest.raises(OptionError, match="no factors"):
        mirfeat.load_extractor("mfcc").factors(np.zeros(30_000, np.float32), 12_000)
    # What a teacher says is no factor.
    with pytest.raises(OptionError, match=r"in this checkpoint; .* learnt from labels"):
        _ = mirfeat.load_extractor("kim2018-mtn").factor_names
