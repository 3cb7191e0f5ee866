"""musicnn: its layers, its weights in the published package, and the original's own numbers."""

import os
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

import mirfeat
from mirfeat.errors import (
    CheckpointError,
    CheckpointMismatchError,
    CheckpointUnavailableError,
    ChecksumError,
    OptionError,
    ProvenanceError,
)
from mirfeat.files import sha256_of
from mirfeat.networks import musicnn, registry
from mirfeat.networks.checkpoint import Weights
from mirfeat.networks.frontend import Frontend
from mirfeat.networks.musicnn_network import LAYERS, MAPS, MusicnnTaps
from mirfeat.networks.population import synthetic_segment
from mirfeat.networks.registry import get_spec
from tests.support import slow_twins
from tests.support.sounds import music as sound
from tests.support.tensor_bundles import bundle, kernels

RATE = 16_000


@pytest.fixture(scope="module")
def weights() -> Weights:
    return musicnn.initialise(0)


def network(weights: Weights, *layers: str) -> MusicnnTaps:
    taps = musicnn.build(weights, {"layers": ",".join(layers or LAYERS)}).network
    assert isinstance(taps, MusicnnTaps)
    return taps


def images(count: int = 3) -> torch.Tensor:
    sounds = [synthetic_segment(60 + n, musicnn.SEGMENT.samples, RATE) for n in range(count)]
    return Frontend(musicnn.MEL)(torch.from_numpy(np.stack(sounds)))


def by_layer(taps: MusicnnTaps, image: torch.Tensor) -> dict[str, torch.Tensor]:
    sizes = list(taps.block_sizes.values())
    return dict(zip(taps.layers, taps(image)[0].split(sizes, dim=1), strict=True))


def test_filters_as_matrix_products_are_the_convolutions(weights: Weights) -> None:
    taps, image = network(weights), images()
    products, convolutions = taps.front_maps(image), taps.trained.front_maps(image)
    assert products.shape == (3, 561, 187)
    scale = convolutions.abs().amax((0, 2), keepdim=True)
    assert ((products - convolutions).abs() / scale.clamp(min=1.0)).max() < 1e-5


def test_filters_whose_norm_turns_them_round_are_the_convolutions_too(weights: Weights) -> None:
    tensors = dict(weights.tensors)
    for name in ("timbral.1", "temporal.2"):
        gamma = tensors[f"network.{name}.norm.weight"].clone()
        gamma[::2] *= -1.5
        gamma[1] = 0.0
        tensors[f"network.{name}.norm.weight"] = gamma
    taps, image = network(Weights(tensors, weights.metadata)), images(1)
    torch.testing.assert_close(
        taps.front_maps(image), taps.trained.front_maps(image), atol=1e-4, rtol=1e-4
    )


def test_an_image_of_another_length_goes_through_the_convolutions(weights: Weights) -> None:
    taps, image = network(weights), images(1)[..., :150]
    assert torch.equal(taps.front_maps(image), taps.trained.front_maps(image))


def test_layers_are_parts_of_the_pools_and_the_tags_are_the_heads(weights: Weights) -> None:
    taps, image = network(weights), images()
    rows = by_layer(taps, image)
    assert {name: values.shape[1] for name, values in rows.items()} == {
        "timbral": 408, "temporal": 153, "cnn1": 64, "cnn2": 64, "cnn3": 64,
        "mean_pool": 753, "max_pool": 753, "penultimate": 200, "taggram": 50,
    }  # fmt: skip
    maps = torch.cat([rows[name] for name in MAPS if name != "mean_pool"], dim=1)
    assert torch.equal(maps, rows["mean_pool"])
    assert (rows["max_pool"] >= rows["mean_pool"] - 1e-4).all()
    torch.testing.assert_close(rows["taggram"], taps.trained(image).sigmoid(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(rows["taggram"], taps.tag_probabilities(image), atol=0, rtol=0)


def test_maps_have_a_variance_inside_and_single_numbers_have_none(weights: Weights) -> None:
    taps, image = network(weights), images(1)
    mean, variance = taps(image)
    every = taps._maps(image)
    blocks = dict(zip(taps.layers, variance.split(list(taps.block_sizes.values()), 1), strict=True))
    assert_allclose(blocks["mean_pool"], every.var(2, correction=0), rtol=1e-3, atol=1e-4)
    for name in ("max_pool", "penultimate", "taggram"):
        assert not blocks[name].any()
    assert mean.shape == variance.shape


@pytest.mark.slow
def test_a_float64_computation_step_by_step_agrees(weights: Weights) -> None:
    taps, image = network(weights), images(1)
    tensors = {name: value.double().numpy() for name, value in weights.tensors.items()}
    expected = slow_twins.musicnn_layers(image[0, 0].double().numpy(), tensors)
    for name, values in by_layer(taps, image).items():
        scale = max(1.0, np.abs(expected[name]).max())
        assert np.abs(values[0].numpy() - expected[name]).max() / scale < 1e-5, name


def test_the_level_is_log_compressed_half_precision() -> None:
    mel = torch.tensor([0.0, 1e-9, 3e-6, 0.1234567, 17.0, 65504.0, 1e9])
    levels = musicnn.LogCompression().module().level(mel)
    rounded = np.minimum(mel.numpy(), 65504).astype(np.float16).astype(np.float64)
    assert_allclose(levels, np.log10(10_000 * rounded + 1), rtol=1e-6, atol=1e-7)
    assert levels[0] == levels[1] == 0
    assert levels[5] == levels[6]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("max_pol", "Did you mean 'max_pool'"),
        ("max_pool,max_pool", "at most once"),
        ("", "has the layers timbral, temporal"),
        ("3", "has the layers"),
        (["mean_pool", "cnn4"], "'cnn3'"),
    ],
)
def test_layers_that_there_are_not_are_refused(given: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        mirfeat.load_extractor("musicnn", checkpoint="random", layers=given)


def test_layers_come_in_the_order_asked_for() -> None:
    extractor = mirfeat.load_extractor("musicnn", checkpoint="random", layers="cnn2,taggram")
    again = mirfeat.load_extractor("musicnn", checkpoint="random", layers=["cnn2", "taggram"])  # type: ignore[arg-type]
    assert extractor.provenance == again.provenance
    assert extractor.feature_names[:2] == ("musicnn.cnn2.00.mean", "musicnn.cnn2.01.mean")
    assert extractor.feature_names[64] == "musicnn.taggram.00.mean"
    assert extractor.dimension == 2 * 114
    tags = extractor.tags(sound(4.0, RATE), RATE, top=50)
    assert {tag.name for tag in tags} == set(musicnn.MSD_TAGS)


def test_segments_are_the_authors_patches_of_the_whole_clip() -> None:
    # Frame t of their image is centred at sample 256 t; patch k begins with frame 187 k.
    clip = sound(10.0, RATE)[0]
    extractor = mirfeat.load_extractor("musicnn", checkpoint="random", layers="taggram")
    embedding = extractor.embed(clip, RATE)
    mel = Frontend(replace(musicnn.MEL, centred=True))
    levels = mel(torch.from_numpy(clip)[None, None])
    taps = extractor._units[0].model.network
    for number, row in enumerate(embedding.values):
        patch = levels[..., 187 * number : 187 * (number + 1)]
        assert_allclose(row, taps(patch)[0][0], atol=1e-5)
    assert_allclose(embedding.starts, [0, 2.976, 5.968])
    assert_allclose(embedding.ends, [2.992, 5.984, 8.976])


METADATA = "Metadata-Version: 2.1\nName: musicnn\nVersion: 0.1.0\n"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory, weights: Weights) -> Path:
    """A package like the published one, of random networks."""
    path = tmp_path_factory.mktemp("package") / musicnn.WHEEL
    ours = {name: value.numpy() for name, value in weights.tensors.items()}
    # The state of the optimiser lies in the authors' file too.
    other = {"beta1_power": np.float32(0.9), "conv2d/bias/Adam": np.zeros(204, np.float32)}
    with zipfile.ZipFile(path, "w") as archive:
        for name, factor in (("MSD_musicnn", 1), ("MTT_musicnn", 1.5)):
            tensors = {key: np.float32(factor) * value for key, value in kernels(ours)}
            index, data = bundle({**tensors, **{k: np.array(v) for k, v in other.items()}})
            archive.writestr(f"musicnn/{name}/.index", index)
            archive.writestr(f"musicnn/{name}/.data-00000-of-00001", data)
        folder = "musicnn-0.1.0.dist-info"
        archive.writestr(f"{folder}/LICENSE.md", "Permission to use …\n")
        archive.writestr(f"{folder}/METADATA", METADATA)
        archive.writestr(f"{folder}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{folder}/RECORD", "")
    return path


@pytest.fixture
def published(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package of random networks as the one that is published, where pip finds it."""
    spec = get_spec("musicnn")
    digest = sha256_of(wheel)
    monkeypatch.setattr(musicnn, "WHEEL_SHA256", digest)
    checkpoints = tuple(
        replace(item, sha256=digest, size_bytes=wheel.stat().st_size) for item in spec.checkpoints
    )
    monkeypatch.setitem(
        registry._SPECS,
        "musicnn",
        replace(spec, checkpoints=checkpoints),
    )
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return wheel


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIRFEAT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def tags_of(checkpoint: Any) -> np.ndarray:
    extractor = mirfeat.load_extractor("musicnn", checkpoint=checkpoint, layers="taggram")
    return extractor.extract(sound(4.0, RATE), RATE)


def test_pip_fetches_the_package_once_and_its_conversion_stays(
    published: Path, cache: Path, weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = tags_of("random")
    # No name of a checkpoint is needed, and none is taken for another.
    assert_allclose(tags_of(None), expected, atol=1e-6)
    assert not np.allclose(tags_of("mtt"), expected, atol=1e-3)
    assert sorted(path.name for path in cache.iterdir()) == [
        musicnn.WHEEL,
        "musicnn-msd-v2.LICENCE.txt",
        "musicnn-msd-v2.json",
        "musicnn-msd-v2.safetensors",
        "musicnn-mtt-v2.LICENCE.txt",
        "musicnn-mtt-v2.json",
        "musicnn-mtt-v2.safetensors",
    ]
    assert (cache / "musicnn-mtt-v2.LICENCE.txt").read_text() == "Permission to use …\n"
    # From here on neither pip nor the package is needed.
    (cache / musicnn.WHEEL).unlink()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert_allclose(tags_of("msd"), expected, atol=1e-6)
    extractor = mirfeat.load_extractor("musicnn", checkpoint="mtt")
    assert extractor.tags(sound(4.0, RATE), RATE, top=1)[0].name in musicnn.MTT_TAGS


def test_a_package_that_the_user_has_is_read_where_it_is(published: Path, cache: Path) -> None:
    expected = tags_of("msd")
    copy = published.parent / "mine" / "package.whl"
    copy.parent.mkdir(exist_ok=True)
    shutil.copy(published, copy)
    assert_array_equal(tags_of(copy), expected)
    assert_array_equal(tags_of(f"{copy}#msd"), expected)
    assert_array_equal(tags_of(f"{copy}#mtt"), tags_of("mtt"))
    with pytest.raises(CheckpointUnavailableError, match="neither a file"):
        tags_of(f"{copy}#mtx")


def test_a_store_of_one_checkpoint_is_not_gone_on_with_the_other(
    published: Path, cache: Path, tmp_path: Path, music: Path
) -> None:
    files = [music / "folk_tavern.opus"]
    one = mirfeat.load_extractor("musicnn", checkpoint="msd", layers="taggram")
    one.extract_to(tmp_path / "feats", files)
    same = mirfeat.load_extractor("musicnn", checkpoint=published, layers="taggram")
    assert same.extract_to(tmp_path / "feats", files).skipped == 1
    other = mirfeat.load_extractor("musicnn", checkpoint="mtt", layers="taggram")
    with pytest.raises(ProvenanceError, match="checkpoint_sha256"):
        other.extract_to(tmp_path / "feats", files)


def test_a_saved_copy_keeps_the_licence(published: Path, cache: Path, tmp_path: Path) -> None:
    extractor = mirfeat.load_extractor("musicnn", checkpoint="mtt", layers="taggram")
    folder = extractor.save_pretrained(tmp_path / "saved")
    assert (folder / "LICENCE.txt").read_text() == "Permission to use …\n"
    card = (folder / "README.md").read_text()
    assert "license: isc" in card
    assert "MagnaTagATune" in card
    assert_array_equal(tags_of(folder), tags_of("mtt"))


def test_another_package_is_refused_and_nothing_is_kept(
    published: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = registry._SPECS["musicnn"]
    moved = tuple(replace(item, sha256="0" * 64) for item in spec.checkpoints)
    monkeypatch.setitem(registry._SPECS, "musicnn", replace(spec, checkpoints=moved))
    with pytest.raises(ChecksumError, match=r"pip:musicnn==0\.1\.0.*expected 0000"):
        tags_of("msd")
    assert list(cache.iterdir()) == []
    monkeypatch.setattr(musicnn, "WHEEL_SHA256", "0" * 64)
    with pytest.raises(ChecksumError, match=r"pip download --no-deps musicnn==0\.1\.0"):
        tags_of(published)


def test_what_pip_says_is_told_with_what_to_do(
    published: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nothing").mkdir()
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nothing"))
    with pytest.raises(CheckpointUnavailableError) as caught:
        tags_of("msd")
    message = str(caught.value)
    assert "No matching distribution found for musicnn==0.1.0" in message
    assert f"put it into {cache} as {musicnn.WHEEL}" in message
    assert [path for path in cache.iterdir() if path.is_file()] == []
    shutil.copy(published, cache / musicnn.WHEEL)
    assert tags_of("msd").shape == (100,)


def test_without_a_network_pip_is_not_asked(
    published: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("subprocess.run", None)
    with pytest.raises(CheckpointUnavailableError, match="pip download --no-deps musicnn"):
        tags_of("msd")
    assert tags_of("random:1").shape == (100,)


def damaged(wheel: Path, path: Path, change: str) -> Path:
    """A copy without some file, or with its bytes changed."""
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "musicnn/MSD_musicnn/.index":
                if change == "missing":
                    continue
                content = content[:-1] if change == "cut" else content.replace(b"dense", b"tense")
            target.writestr(name, content)
    return path


@pytest.mark.parametrize("change", ["missing", "cut", "renamed"])
def test_a_package_of_other_content_is_refused(
    wheel: Path, tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = damaged(wheel, tmp_path / "package.whl", change)
    monkeypatch.setattr(musicnn, "WHEEL_SHA256", sha256_of(path))
    with pytest.raises(CheckpointMismatchError, match="no MSD_musicnn can be read"):
        musicnn.read_wheel("msd", path)


def test_a_network_of_other_shapes_is_refused_with_the_tensor(weights: Weights) -> None:
    tensors = dict(kernels({name: value.numpy() for name, value in weights.tensors.items()}))
    tensors["dense/bias"] = np.zeros(500, np.float32)
    with pytest.raises(ValueError, match=r"\[500\] instead of \[200\]"):
        musicnn.convert(tensors, musicnn.MSD_TAGS, "", "")


@pytest.mark.parametrize("content", [b"PK\x03\x04 no archive", b"\x89HDF\r\n\x1a\n", b""])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=str(path)):
        mirfeat.load_extractor("musicnn", checkpoint=path)
