"""What every extractor promises, over all registered names and checkpoints that need no network."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.testing import assert_array_equal

import mirfeat
from mirfeat.errors import AudioTooShortError
from mirfeat.extractor import Extractor
from tests.support.extractor_cases import case_name, parameters

# Tolerance for batch sizes and orders on one CPU; everything else here is exact.
BATCH = 1e-5
# Segments of a batch, where more than one batch is wanted.
FEW = 3


@pytest.fixture(scope="module", params=list(parameters()), ids=case_name)
def extractor(request: pytest.FixtureRequest) -> Extractor:
    name, checkpoint = request.param
    return mirfeat.load_extractor(name, checkpoint=checkpoint)


def sound(seconds: float, rate: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    """Noise bursts over two tones, float32 (C, N), peak about 0.5."""
    generator = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    tones = np.sin(2 * np.pi * 220 * time) + np.sin(2 * np.pi * (400 + 90 * seed) * time)
    bursts = generator.standard_normal((channels, len(time))) * (np.sin(2 * np.pi * 2 * time) > 0)
    return (0.15 * tones + 0.05 * bursts).astype(np.float32)


def close(actual: np.ndarray, expected: np.ndarray) -> None:
    """Equal to 1e-5 of the larger of 1 and the expected value."""
    np.testing.assert_allclose(actual, expected, rtol=BATCH, atol=BATCH)


def again(extractor: Extractor, **options: object) -> Extractor:
    """The same extractor loaded with other settings."""
    checkpoint = extractor.provenance.checkpoint_name
    return mirfeat.load_extractor(extractor.name, checkpoint=checkpoint, **options)  # type: ignore[arg-type]


def test_sizes_and_names_are_as_declared(extractor: Extractor) -> None:
    vector = extractor.extract(sound(3.0, 22_050), 22_050)
    assert vector.shape == (extractor.dimension,) == (len(extractor.feature_names),)
    assert len(set(extractor.feature_names)) == extractor.dimension
    assert extractor.dimension == 2 * extractor.row_dimension
    if extractor.provenance.checkpoint_name in (None, "random"):
        assert extractor._units[0].model.block_sizes == dict(extractor.spec.blocks)
    assert all(name.startswith(f"{extractor.name}.") for name in extractor.feature_names)
    embedding = extractor.embed(sound(3.0, 22_050), 22_050)
    assert embedding.values.shape[1] == extractor.row_dimension == len(embedding.row_names)
    assert sum(block.stop - block.start for block in embedding.blocks.values()) == len(
        embedding.row_names
    )


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_any_rate_and_channel_count_gives_finite_float32(
    extractor: Extractor, rate: int, channels: int
) -> None:
    vector = extractor.extract(sound(1.0, rate, channels), rate)
    assert vector.dtype == np.float32
    assert np.isfinite(vector).all()


def lengths(extractor: Extractor) -> dict[str, float]:
    segment, hop = extractor.segment_seconds, extractor.hop_seconds
    sample = 1 / extractor.sample_rate
    return {
        "50 ms": 0.05,
        "half a second": 0.5,
        "one sample less than a segment": segment - sample,
        "exactly one segment": segment,
        "one sample more": segment + sample,
        "a tail of just under half a hop": segment + hop / 2 - 2 * sample,
        "a tail of half a hop": segment + hop / 2,
        "31.3 s": 31.3,
        f"more than a batch of {FEW}": (FEW + 0.7) * segment,
    }


def test_extract_is_the_summary_of_embed_bit_for_bit_at_any_length(extractor: Extractor) -> None:
    extractor = again(extractor, batch_size=FEW)
    for what, seconds in lengths(extractor).items():
        audio = sound(seconds, extractor.sample_rate)
        vector = extractor.extract(audio, extractor.sample_rate)
        embedding = extractor.embed(audio, extractor.sample_rate)
        assert_array_equal(vector, embedding.summary(), err_msg=what)
        assert np.isfinite(vector).all(), what
        assert (embedding.starts < embedding.ends).all(), what
        assert embedding.ends[-1] <= audio.shape[1] / extractor.sample_rate, what


@pytest.mark.parametrize("level", [0.0, 1.0, -1.0, 1e-9], ids=["silence", "DC", "-DC", "faint"])
def test_degenerate_sound_gives_finite_numbers(extractor: Extractor, level: float) -> None:
    audio = np.full(2 * extractor.sample_rate, level, dtype=np.float32)
    assert np.isfinite(extractor.extract(audio, extractor.sample_rate)).all()


def test_a_full_scale_square_wave_is_finite(extractor: Extractor) -> None:
    square = np.sign(np.sin(np.arange(30_000) * 0.05)).astype(np.float32)
    assert np.isfinite(extractor.extract(square, 22_050)).all()


def test_repeating_a_call_gives_the_same_bytes(extractor: Extractor) -> None:
    audio = sound(4.0, 22_050)
    assert_array_equal(extractor.extract(audio, 22_050), extractor.extract(audio, 22_050))


def test_batch_size_does_not_matter(extractor: Extractor) -> None:
    audio = sound(3.4 * extractor.segment_seconds, extractor.sample_rate)
    expected = extractor.extract(audio, extractor.sample_rate)
    for batch_size in (1, 7, 64):
        other = again(extractor, batch_size=batch_size)
        close(other.extract(audio, extractor.sample_rate), expected)


def test_order_neighbours_and_workers_do_not_matter(extractor: Extractor) -> None:
    rate = 22_050
    items = [(f"{n}", (sound(1.0 + n, rate, seed=n), rate)) for n in range(5)]
    alone = {id: extractor.extract(*item) for id, item in items}
    for workers in (1, 2, 8):
        for order in (items, items[::-1]):
            for result in extractor.extract_many(order, workers=workers):
                assert result.vector is not None
                close(result.vector, alone[result.id])


def test_files_and_arrays_give_the_same_bytes(extractor: Extractor, tmp_path: Path) -> None:
    audio = sound(2.0, 44_100, 2)
    soundfile.write(tmp_path / "a.wav", audio.T, 44_100, subtype="FLOAT")
    assert_array_equal(extractor.extract_file(tmp_path / "a.wav"), extractor.extract(audio, 44_100))
    integers = np.round(audio * 32767).astype(np.int16)
    expected = extractor.extract(integers, 44_100)
    assert_array_equal(extractor.extract(integers / np.float32(32768), 44_100), expected)
    for ending in ("wav", "flac"):
        soundfile.write(tmp_path / f"b.{ending}", integers.T, 44_100, subtype="PCM_16")
        assert_array_equal(extractor.extract_file(tmp_path / f"b.{ending}"), expected)


def test_mono_is_doubled_stereo(extractor: Extractor) -> None:
    mono = sound(2.0, 22_050)
    assert_array_equal(
        extractor.extract(mono, 22_050), extractor.extract(np.repeat(mono, 2, axis=0), 22_050)
    )


def test_a_short_clip_is_the_clip_tiled_by_hand(extractor: Extractor) -> None:
    if extractor.spec.segment.short != "tile":
        pytest.skip("takes short clips as they are")
    rate = extractor.sample_rate
    short = sound(0.7 * extractor.segment_seconds, rate)
    tiled = np.tile(short, 2)[:, : extractor.spec.segment.samples]
    assert_array_equal(extractor.extract(short, rate), extractor.extract(tiled, rate))
    with pytest.raises(AudioTooShortError, match="short='tile'"):
        again(extractor, short="error").extract(short, rate)


def test_below_the_minimum_is_refused_and_the_minimum_is_not(extractor: Extractor) -> None:
    minimum = extractor.spec.segment.min_samples
    assert np.isfinite(
        extractor.extract(sound(1, 48_000)[:, :minimum], extractor.sample_rate)
    ).all()
    if minimum > 1:
        with pytest.raises(AudioTooShortError, match="takes"):
            extractor.extract(sound(1, 48_000)[:, : minimum - 1], extractor.sample_rate)


def test_hops_and_limits_cut_the_clip_as_they_say(extractor: Extractor) -> None:
    rate = extractor.sample_rate
    audio = sound(3.0 * extractor.segment_seconds, rate)
    half = extractor.segment_seconds / 2
    overlapping = again(extractor, hop_seconds=half)
    assert len(overlapping.embed(audio, rate)) == 5
    first = again(extractor, max_seconds=extractor.segment_seconds)
    samples = extractor.spec.segment.samples
    assert_array_equal(first.extract(audio, rate), extractor.extract(audio[:, :samples], rate))


def test_numpy_numbers_as_options_go_into_the_record() -> None:
    extractor = mirfeat.load_extractor(
        "mfcc", max_seconds=np.int64(29), hop_seconds=np.float32(14.5)
    )
    record = json.loads(json.dumps(extractor.provenance.to_dict()))
    assert record["options"]["max_seconds"] == 29
    assert record["options"]["hop_seconds"] == 14.5


def test_joined_extractors_give_the_parts_vectors_one_after_the_other() -> None:
    joined = mirfeat.load_extractor("mfcc+choi2017", checkpoint="random", layers="2")
    audio = sound(31.0, 44_100, 2)
    parts = [part.extract(audio, 44_100) for part in joined.parts]
    assert_array_equal(joined.extract(audio, 44_100), np.concatenate(parts))
    assert joined.feature_names == joined.parts[0].feature_names + joined.parts[1].feature_names
    assert_array_equal(
        mirfeat.concatenate(*joined.parts).extract(audio, 44_100), joined.extract(audio, 44_100)
    )
    with pytest.raises(ValueError, match=r"Use extractor\.parts"):
        joined.embed(audio, 44_100)


@pytest.mark.gpu
def test_gpu_and_cpu_agree(extractor: Extractor) -> None:
    both = [again(extractor, device=device) for device in ("cpu", "cuda")]
    audio = sound(2.3 * extractor.segment_seconds, 44_100, 2)
    cpu, gpu = (each.extract(audio, 44_100) for each in both)
    scale = np.maximum(1.0, np.abs(cpu))
    assert (np.abs(cpu - gpu) / scale).max() < 1e-4
