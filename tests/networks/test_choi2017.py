"""choi2017: against a float64 twin, against the authors' numbers, and its options."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import mirfeat
from mirfeat.errors import OptionError
from mirfeat.extractor import Extractor
from mirfeat.networks import checkpoint, choi2017
from mirfeat.networks.checkpoint import Weights
from mirfeat.networks.choi2017_network import TAGS, Choi2017, ClipTaps, FrozenTaps
from mirfeat.networks.frontend import Frontend
from mirfeat.networks.population import synthetic_segment
from tests.support import slow_twins

RATE, SEGMENT = choi2017.MEL.sample_rate, choi2017.SEGMENT.samples


@pytest.fixture(scope="module")
def random_weights() -> Weights:
    return choi2017.initialise(0)


@pytest.fixture(scope="module")
def audio() -> np.ndarray:
    """29 s of something like music that the calibration has not heard, (N,)."""
    return synthetic_segment(99, SEGMENT, RATE)[0]


def load(path: Path, **options: object) -> Extractor:
    return mirfeat.load_extractor("choi2017", checkpoint=path, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def weight_file(random_weights: Weights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "choi2017.safetensors"
    checkpoint.write(path, random_weights)
    return path


@pytest.mark.parametrize("batch_norm", ["population", "clip"])
def test_every_layer_agrees_with_the_float64_twin(
    weight_file: Path, random_weights: Weights, audio: np.ndarray, batch_norm: str
) -> None:
    clip = batch_norm == "clip"
    tensors = {key: value.double().numpy() for key, value in random_weights.tensors.items()}
    mel = slow_twins.mel_spectrogram(audio[None], choi2017.MEL)[0]
    level = 10.0 * np.log10(np.maximum(mel, 1e-10))
    reference = level.max() if clip else tensors["frontend.scaling.reference"]
    image = np.maximum(level - reference, -80.0)
    expected = slow_twins.choi2017_layers(image, tensors, clip)
    extractor = load(weight_file, batch_norm=batch_norm, statistics="paper")
    ours = extractor.extract(audio, RATE).reshape(5, 32)
    assert np.abs(ours - expected).max() < 1e-4


def test_the_standard_deviation_is_that_of_the_layers_map(
    weight_file: Path, random_weights: Weights, audio: np.ndarray
) -> None:
    network, frontend = Choi2017(), Frontend(choi2017.MEL)
    checkpoint.fill({"network": network, "frontend": frontend}, random_weights)
    network.eval()
    with torch.no_grad():
        maps = network.layers[0](frontend(torch.from_numpy(audio)[None, None]))[0]
    expected = maps.flatten(1).std(1, correction=0).numpy()
    extractor = load(weight_file, layers="1", statistics=("std",))
    np.testing.assert_allclose(extractor.extract(audio, RATE), expected, rtol=1e-4)


def test_pooling_before_elu_and_folding_change_nothing(random_weights: Weights) -> None:
    network = Choi2017()
    checkpoint.fill({"network": network}, random_weights, unused=("scaling.reference",))
    # The published weights have negative gammas in layer 1; a maximum must survive them.
    with torch.no_grad():
        network.blocks[0].norm.weight[::2] *= -1.0
    network.eval()
    image = torch.randn(2, 1, 96, 1360, generator=torch.Generator().manual_seed(0)) * 10 - 40
    folded = FrozenTaps(network, "12345").eval()
    with torch.no_grad():
        literal, fast = image, image
        for index, block in enumerate(network.blocks):
            literal, fast = block(literal), folded.block(index, fast)
            torch.testing.assert_close(fast, literal, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("frames", [1360, 1363, 40])
@pytest.mark.parametrize("batch", [1, 3])
def test_the_first_block_by_stripes_is_the_whole_one(
    random_weights: Weights, batch: int, frames: int
) -> None:
    network = Choi2017()
    checkpoint.fill({"network": network}, random_weights, unused=("scaling.reference",))
    taps = FrozenTaps(network, "1").eval()
    image = torch.randn(batch, 1, 96, frames, generator=torch.Generator().manual_seed(0))
    kernel, bias = taps.get_parameter("kernel0"), taps.get_parameter("bias0")
    maps = torch.nn.functional.conv2d(image, kernel, bias, padding=1)
    expected = torch.nn.functional.elu(torch.nn.functional.max_pool2d(maps, (2, 4)))
    torch.testing.assert_close(taps.block(0, image), expected, rtol=1e-5, atol=1e-5)


def test_layers_come_in_the_order_asked_for(weight_file: Path, audio: np.ndarray) -> None:
    everything = load(weight_file, statistics="paper").extract(audio, RATE).reshape(5, 32)
    some = load(weight_file, layers="41", statistics="paper").extract(audio, RATE)
    np.testing.assert_array_equal(some, np.concatenate([everything[3], everything[0]]))
    assert load(weight_file, layers="41").feature_names[0] == "choi2017.layer4.00.mean"


def test_the_pass_stops_at_the_deepest_layer_asked_for(
    random_weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    original = FrozenTaps.block

    def spy(self: FrozenTaps, index: int, image: torch.Tensor) -> torch.Tensor:
        seen.append(index)
        return original(self, index, image)

    monkeypatch.setattr(FrozenTaps, "block", spy)
    options = {"layers": "13", "batch_norm": "population"}
    choi2017.build(random_weights, options)(torch.zeros(1, 1, SEGMENT))
    assert seen == [0, 1, 2]


@pytest.mark.parametrize("layers", ["", "6", "0", "11", "1 2", "a", "123456"])
def test_impossible_layers_are_refused(weight_file: Path, layers: str) -> None:
    with pytest.raises(OptionError, match="choi2017 has layers 1 to 5"):
        load(weight_file, layers=layers)


def test_batch_norm_is_population_or_clip(weight_file: Path) -> None:
    with pytest.raises(OptionError, match="'population' or 'clip'"):
        load(weight_file, batch_norm="batch")


def test_calibrated_statistics_normalise_their_own_population(random_weights: Weights) -> None:
    network = Choi2017()
    checkpoint.fill({"network": network}, random_weights, unused=("scaling.reference",))
    sounds = [synthetic_segment(index, SEGMENT, RATE) for index in range(4)]
    reference = choi2017.calibrate(network, sounds)
    frontend = Frontend(choi2017.MEL)
    frontend.scaling.reference.fill_(reference)  # type: ignore[union-attr, operator]
    with torch.no_grad():
        maps = frontend(torch.from_numpy(np.stack(sounds)))
        for block in network.blocks:
            normal = block.norm(block.conv(maps)).double()
            assert normal.mean((0, 2, 3)).abs().max() < 1e-3
            assert (normal.var((0, 2, 3), correction=0) - 1.0).abs().max() < 2e-2
            maps = block(maps)


def test_the_reference_is_near_the_loudest_level_of_the_population() -> None:
    quiet = [0.1 * synthetic_segment(index, SEGMENT, RATE) for index in range(3)]
    loud = [10.0 * sound for sound in quiet]
    difference = choi2017.calibrate(Choi2017(), loud) - choi2017.calibrate(Choi2017(), quiet)
    assert difference == pytest.approx(20.0, abs=1e-3)


def test_tags_are_the_sigmoid_of_the_head_over_layer_5(
    weight_file: Path, random_weights: Weights, audio: np.ndarray
) -> None:
    extractor = load(weight_file, layers="25", statistics="paper")
    layer5 = extractor.extract(audio, RATE)[32:]
    weight = random_weights.tensors["network.head.weight"].numpy()
    expected = 1.0 / (1.0 + np.exp(-(weight @ layer5)))
    tags = extractor.tags(audio, RATE, top=50)
    assert {tag.name for tag in tags} == set(TAGS)
    for tag in tags:
        assert tag.probability == pytest.approx(expected[TAGS.index(tag.name)], abs=1e-5)
    assert list(tags) == sorted(tags, key=lambda tag: -tag.probability)
    # The head sits on layer 5 whatever layers the vector is made of.
    assert load(weight_file, layers="1").tags(audio, RATE, top=3) == tags[:3]


def test_no_tags_are_no_answer(weight_file: Path, audio: np.ndarray) -> None:
    with pytest.raises(OptionError, match="1 or more tags"):
        load(weight_file).tags(audio, RATE, top=0)


def test_clip_mode_depends_on_the_clip_alone(weight_file: Path, audio: np.ndarray) -> None:
    extractor = load(weight_file, batch_norm="clip", batch_size=4)
    items = [(audio, RATE), (audio[::-1].copy(), RATE), (0.5 * audio, RATE)]
    results = [result.vector for result in extractor.extract_many(items)]
    np.testing.assert_allclose(results[0], extractor.extract(audio, RATE), atol=1e-5)
    # The maximum of the clip is subtracted, so gain disappears.
    np.testing.assert_allclose(results[2], results[0], atol=1e-3)


@pytest.mark.shared
@pytest.mark.parametrize("clip", ["full", "short"])
def test_the_authors_network_with_clip_statistics(choi2017_data: Path, clip: str) -> None:
    reference = np.load(choi2017_data / "reference_vectors.npz")
    weights = choi2017_data / "weights_layer4_theano.hdf5"
    extractor = load(weights, batch_norm="clip", statistics="paper")
    ours = extractor.extract(reference[f"{clip}_audio_int16_12khz"], RATE).reshape(5, 32)
    assert np.abs(ours - reference[f"{clip}_layers_clip_norm"]).max() < 1e-4


@pytest.mark.shared
def test_the_authors_network_with_frozen_statistics(choi2017_data: Path, tmp_path: Path) -> None:
    reference = np.load(choi2017_data / "reference_vectors.npz")
    weights = choi2017.read_keras1(choi2017_data / "weights_layer4_theano.hdf5")
    tensors = dict(weights.tensors)
    for index in range(5):
        norm = f"network.layers.{index}.norm"
        mean, variance = reference["frozen_means"][index], reference["frozen_variances"][index]
        tensors[f"{norm}.running_mean"] = torch.from_numpy(mean).float()
        tensors[f"{norm}.running_var"] = torch.from_numpy(variance).float()
    tensors["frontend.scaling.reference"] = torch.tensor(float(reference["frozen_db_reference"]))
    checkpoint.write(tmp_path / "frozen.safetensors", Weights(tensors, weights.metadata))
    extractor = load(tmp_path / "frozen.safetensors", statistics="paper")
    ours = extractor.extract(reference["full_audio_int16_12khz"], RATE).reshape(5, 32)
    expected = reference["full_layers_frozen"]
    # Made-up statistics let activations grow to 2000, where float32 itself is 1e-4 apart: the
    # bound is relative to each layer's scale (and absolute where that is below 1).
    scale = np.maximum(1.0, np.abs(expected).max(axis=1))
    assert (np.abs(ours - expected).max(axis=1) / scale).max() < 1e-5
    assert np.abs(ours - expected)[:3].max() < 1e-4


@pytest.mark.shared
@pytest.mark.parametrize(
    ("excerpt", "tag"),
    [
        ("metal_chaos_god.opus", "metal"),
        ("metal_orphanage.opus", "female vocalists"),
        ("electronic_terminal.opus", "electronic"),
        ("folk_tavern.opus", "folk"),
    ],
)
def test_the_authors_tag_head_hears_what_a_person_hears(
    choi2017_data: Path, music: Path, excerpt: str, tag: str
) -> None:
    extractor = load(choi2017_data / "weights_layer4_theano.hdf5")
    assert extractor.tags(music / excerpt, top=1)[0].name == tag


@pytest.mark.shared
def test_the_authors_published_features_reproduce_their_gtzan_score(choi2017_data: Path) -> None:
    """The best cell of the paper's grid; the whole grid is the evaluation's business."""
    from sklearn.model_selection import cross_val_score
    from sklearn.svm import SVC

    layers = [np.load(choi2017_data / f"gtzan_genre_layer_{index}.npy") for index in range(5)]
    lines = (choi2017_data / "gtzan_genre.csv").read_text().splitlines()
    column = lines[0].split(",").index("label")
    labels = [line.split(",")[column] for line in lines[1:]]
    scores = cross_val_score(SVC(C=32.0, gamma=1.0 / 160), np.hstack(layers), labels, cv=10)
    assert scores.mean() == pytest.approx(0.898, abs=5e-4)


def test_clip_taps_are_the_literal_network_in_training_mode(random_weights: Weights) -> None:
    """Batch norm of one clip in training mode normalises by that clip."""
    network = Choi2017()
    checkpoint.fill({"network": network}, random_weights, unused=("scaling.reference",))
    image = torch.randn(1, 1, 96, 1360, generator=torch.Generator().manual_seed(0))
    mean, _ = ClipTaps(network, "2")(image)
    with torch.no_grad():
        network.train()
        expected = network.blocks[1](network.blocks[0](image)).mean((2, 3))
    torch.testing.assert_close(mean, expected, rtol=1e-4, atol=1e-5)


def test_tags_that_a_checkpoint_cannot_hear_are_left_out_unless_asked_for(
    tmp_path: Path, random_weights: Weights, audio: np.ndarray
) -> None:
    metadata = {**random_weights.metadata, "unheard_tags": {"rock": 0.4, "sad": None}}
    path = tmp_path / "deaf.safetensors"
    checkpoint.write(path, replace(random_weights, metadata=metadata))
    extractor = load(path)
    heard = [tag.name for tag in extractor.tags(audio, RATE, top=50)]
    every = [tag.name for tag in extractor.tags(audio, RATE, top=50, unheard=True)]
    assert set(every) - set(heard) == {"rock", "sad"}
    assert heard == [name for name in every if name not in ("rock", "sad")]
    assert len(extractor.tags(audio, RATE, top=3)) == 3
