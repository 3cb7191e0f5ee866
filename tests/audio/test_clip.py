"""What is accepted as audio, and how channels and sample rates become an extractor's."""

import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import soxr
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from mirfeat.audio.clip import ArrayReader, Audio, ClipFacts, checked_blocks
from mirfeat.audio.convert import Converter
from mirfeat.audio.reader import BLOCK_SECONDS, block_samples, limit_samples
from mirfeat.errors import AudioError, EmptyAudioError, NonFiniteAudioError
from tests.support.sounds import music

RATE = 8000
INTEGERS = {"uint8": (128, 128), "int8": (128, 0), "int16": (1 << 15, 0), "int32": (1 << 31, 0)}


class Clip:
    """Samples (C, N) that arrive in blocks of the given sizes, the last one taking the rest."""

    def __init__(self, samples: np.ndarray, rate: int, sizes: tuple[int, ...] = ()) -> None:
        self.name, self.sample_rate, self.channels = "clip", rate, len(samples)
        self.layout: tuple[str, ...] = ()
        self.notes: list[str] = []
        self._samples, self._sizes = samples, sizes

    def blocks(self) -> Iterator[np.ndarray]:
        edges = np.minimum(np.cumsum(self._sizes, dtype=int), self._samples.shape[1])
        yield from (part for part in np.split(self._samples, edges, axis=1) if part.size)

    def close(self) -> None:
        pass


def through_blocks(samples: Any, rate: int = RATE, max_seconds: float | None = None) -> np.ndarray:
    """What an extractor sees of an array before channels and rate are converted."""
    reader = ArrayReader(Audio(samples, rate), max_seconds)
    return np.concatenate(list(checked_blocks(reader, ClipFacts())), axis=1)


def converted(clip: Clip, rate: int, channels: int) -> np.ndarray:
    converter = Converter(clip, rate, channels)
    parts = []
    for block in clip.blocks():
        parts.append(converter.convert(block))
    parts.append(converter.flush(block))
    return np.concatenate(parts, axis=1)


def resampled(samples: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """One call of soxr for each channel."""
    return np.stack([soxr.resample(row, rate, new_rate, quality="HQ") for row in samples])


# The record


@pytest.mark.parametrize("shape", [(500,), (1, 500), (2, 500), (32, 500)])
def test_one_or_two_dimensions_become_channels_and_samples(shape: tuple[int, ...]) -> None:
    audio = Audio(np.zeros(shape, np.float32), 44_100)
    assert audio.samples.shape == (shape if len(shape) == 2 else (1, *shape))
    assert audio.seconds == pytest.approx(500 / 44_100)


def test_an_array_is_not_copied() -> None:
    samples = music(0.1, RATE)[0]
    assert np.shares_memory(Audio(samples, RATE).samples, samples)


@pytest.mark.parametrize("shape", [(), (2, 3, 4)])
def test_other_dimensions_are_refused_with_their_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(AudioError, match=re.escape(f"shape {shape}, expected (samples,) or")):
        Audio(np.ones(shape, np.float32), RATE)


@pytest.mark.parametrize("shape", [(500, 2), (500, 1), (33, 500), (3, 2)])
def test_samples_first_is_refused_with_the_way_out(shape: tuple[int, int]) -> None:
    with pytest.raises(AudioError, match=r"looks like \(samples, channels\); pass x.T"):
        Audio(np.ones(shape, np.float32), RATE)


@pytest.mark.parametrize("shape", [(0,), (2, 0), (0, 5)])
def test_no_samples_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(EmptyAudioError, match=re.escape(f"{shape} has no samples")):
        Audio(np.zeros(shape, np.float32), RATE)


@pytest.mark.parametrize(
    "type_", ["int64", "uint16", "uint32", "bool", "complex64", "object", "U1"]
)
def test_types_without_a_known_full_scale_are_refused(type_: str) -> None:
    with pytest.raises(AudioError, match="have no known full scale"):
        Audio(np.ones(10).astype(type_), RATE)


@pytest.mark.parametrize("samples", [[0.1, 0.2], (0.1,), None, 0.5, np.float32(0.5), b"RIFF"])
def test_what_is_no_array_is_refused_by_its_type(samples: object) -> None:
    with pytest.raises(AudioError, match=f"{type(samples).__name__} is not audio"):
        Audio(samples, RATE)


@pytest.mark.parametrize(
    "rate", [0, -1, 44.1, 999, 1_000_001, math.nan, math.inf, "44100", 44100.5, True, None, 44100j]
)
def test_rates_that_are_not_whole_hertz_are_refused(rate: Any) -> None:
    with pytest.raises(AudioError, match=re.escape(f"sample_rate={rate!r}. It is a whole number")):
        Audio(np.zeros(10, np.float32), rate)


@pytest.mark.parametrize("rate", [1000, 44_100, 44_100.0, np.int64(44_100), np.float32(44_100)])
def test_whole_rates_of_any_numeric_type_become_integers(rate: Any) -> None:
    audio = Audio(np.zeros(10, np.float32), rate)
    assert type(audio.sample_rate) is int
    assert audio.sample_rate == rate


def test_errors_of_a_named_clip_begin_with_its_name() -> None:
    with pytest.raises(AudioError, match=r"^song 7: "):
        Audio(np.ones(10), 0, name="song 7")


@pytest.mark.parametrize("type_", [torch.float32, torch.float64, torch.int16, torch.uint8])
def test_tensors_equal_arrays(type_: torch.dtype) -> None:
    tensor = torch.arange(8).reshape(2, 4).to(type_)
    assert_array_equal(through_blocks(tensor), through_blocks(tensor.numpy()))


def test_a_tensor_inside_a_graph_is_detached() -> None:
    tensor = torch.from_numpy(music(0.1, RATE)).requires_grad_()
    assert_array_equal(through_blocks(tensor), music(0.1, RATE))


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(10, dtype=torch.bfloat16),
        torch.zeros(10).to_sparse(),
        torch.zeros(10, device="meta"),
    ],
)
def test_tensors_that_numpy_cannot_hold_are_refused(tensor: torch.Tensor) -> None:
    with pytest.raises(AudioError, match="this tensor has no NumPy form"):
        Audio(tensor, RATE)


# Numbers


@pytest.mark.parametrize("type_", INTEGERS)
def test_integers_equal_floats_of_the_same_level(type_: str) -> None:
    full_scale, zero = INTEGERS[type_]
    limits = np.iinfo(type_)
    generator = np.random.default_rng(0)
    integers = generator.integers(limits.min, limits.max, (2, 1000), type_, endpoint=True)
    integers[:, :3] = [limits.min, limits.max, zero]
    floats = ((integers.astype(np.float64) - zero) / full_scale).astype(np.float32)
    assert_array_equal(through_blocks(integers), floats)
    assert_array_equal(through_blocks(floats), floats)


@pytest.mark.parametrize("type_", ["float16", "float64", ">f4", ">f8", "longdouble"])
def test_floats_of_any_type_become_float32(type_: str) -> None:
    samples = music(0.1, RATE).astype(type_)
    blocks = through_blocks(samples)
    assert blocks.dtype == np.float32
    assert_array_equal(blocks, samples.astype(np.float32))


def test_big_endian_integers_equal_native_ones() -> None:
    samples = np.arange(-500, 500, dtype=np.int16)
    assert_array_equal(through_blocks(samples.astype(">i2")), through_blocks(samples))


def test_strides_do_not_matter() -> None:
    samples = music(0.2, RATE, 2)
    interleaved = np.ascontiguousarray(samples.T)
    assert_array_equal(through_blocks(interleaved.T), samples)
    assert_array_equal(through_blocks(samples[:, ::-2]), samples[:, ::-2].copy())


def test_full_scale_never_wraps() -> None:
    extremes = np.array([-32768, 32767, 0, -32768], np.int16)
    assert_array_equal(
        through_blocks(extremes), np.float32([[-1.0, 32767 / 32768, 0.0, -1.0]]), strict=True
    )
    assert_array_equal(through_blocks(np.float32([-1.0, 1.0, 1.5])), np.float32([[-1.0, 1.0, 1.5]]))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("seconds", [0.0, 0.25, BLOCK_SECONDS + 1.5])
def test_the_first_sample_that_is_not_finite_is_named_by_its_time(
    bad: float, seconds: float
) -> None:
    samples = music(BLOCK_SECONDS + 2.0, RATE, 2)
    samples[1, round(seconds * RATE) :: 7] = bad
    with pytest.raises(NonFiniteAudioError, match=f"NaN or infinite sample at {seconds:.3f} s"):
        through_blocks(samples)


def test_float64_beyond_float32_counts_as_infinite() -> None:
    with pytest.raises(NonFiniteAudioError, match=r"at 0.000 s"):
        through_blocks(np.full(100, 1e300))


def test_integers_that_were_only_cast_are_refused() -> None:
    samples = (music(0.1, RATE) * 32767).astype(np.int16).astype(np.float32)
    with pytest.raises(AudioError, match=r"divide by 32768 for 16-bit audio, or pass int16"):
        through_blocks(samples)
    with pytest.raises(AudioError, match=r"looks like integers"):
        through_blocks(np.float32([0.0, -10.01]))
    assert_array_equal(through_blocks(np.float32([0.0, -10.0])), np.float32([[0.0, -10.0]]))


@pytest.mark.parametrize("where", [10, -10])
def test_facts_are_those_of_the_whole_clip(where: int) -> None:
    samples = 1e-3 * music(BLOCK_SECONDS + 5.0, RATE, 3)
    samples[2, where] = -0.75
    facts = ClipFacts()
    for _ in checked_blocks(ArrayReader(Audio(samples, RATE), None), facts):
        pass
    assert facts.seconds == BLOCK_SECONDS + 5.0
    assert facts.channels == 3
    assert facts.peak == 0.75
    assert not facts.silent


@pytest.mark.parametrize(("level", "silent"), [(0.0, True), (9e-7, True), (1.1e-6, False)])
def test_silence_is_less_than_minus_120_db(level: float, silent: bool) -> None:
    facts = ClipFacts()
    list(checked_blocks(ArrayReader(Audio(np.full(100, -level), RATE), None), facts))
    assert facts.silent is silent


def test_a_clip_without_blocks_is_empty() -> None:
    with pytest.raises(EmptyAudioError, match="clip: no samples"):
        list(checked_blocks(Clip(np.zeros((1, 0), np.float32), RATE), ClipFacts()))


# Seconds


def test_only_the_samples_needed_are_read() -> None:
    samples = np.zeros(60 * RATE, np.float32)
    samples[round(12.5 * RATE) :] = math.nan
    assert through_blocks(samples, max_seconds=12.5).shape == (1, round(12.5 * RATE))
    with pytest.raises(NonFiniteAudioError):
        through_blocks(samples, max_seconds=12.5 + 1 / RATE)


def test_a_limit_beyond_the_end_changes_nothing() -> None:
    samples = music(0.5, RATE)
    assert_array_equal(through_blocks(samples, max_seconds=100.0), samples)


@pytest.mark.parametrize(
    ("seconds", "rate", "samples"),
    [(1.0, 44_100, 44_100), (1.1, 44_100, 48_510), (1e-6, 44_100, 1)],
)
def test_a_limit_in_seconds_is_rounded_up_to_samples(
    seconds: float, rate: int, samples: int
) -> None:
    assert limit_samples(seconds, rate) == samples


def test_blocks_are_ten_seconds_but_of_bounded_size() -> None:
    assert block_samples(44_100, 2) == 441_000
    assert block_samples(1_000_000, 32) * 32 <= 1 << 22
    sizes = [
        block.shape[1]
        for block in ArrayReader(Audio(np.zeros(25 * RATE, np.int16), RATE), None).blocks()
    ]
    assert sizes == [10 * RATE, 10 * RATE, 5 * RATE]


# Channels and rates


@pytest.mark.parametrize("channels", [1, 2, 3, 6])
def test_mono_is_the_mean_of_all_channels(channels: int) -> None:
    samples = music(0.5, RATE, channels)
    mono = converted(Clip(samples, RATE), RATE, 1)
    np.testing.assert_allclose(mono, samples.mean(axis=0, keepdims=True), rtol=0, atol=1e-7)


def test_mono_of_equal_channels_is_that_channel_exactly() -> None:
    samples = music(0.5, RATE)
    for channels in (2, 4):
        doubled = np.repeat(samples, channels, axis=0)
        assert_array_equal(
            converted(Clip(doubled, RATE), 12_000, 1), converted(Clip(samples, RATE), 12_000, 1)
        )


def test_mono_becomes_stereo_by_doubling() -> None:
    samples = music(0.5, RATE)
    for rate in (RATE, 22_050):
        stereo = converted(Clip(samples, RATE), rate, 2)
        assert_array_equal(stereo, np.repeat(converted(Clip(samples, RATE), rate, 1), 2, axis=0))


def test_stereo_of_many_channels_is_the_first_two() -> None:
    samples = music(0.5, RATE, 6)
    for rate in (RATE, 22_050):
        front = converted(Clip(samples[:2], RATE), rate, 2)
        assert_array_equal(converted(Clip(samples, RATE), rate, 2), front)


def test_channels_are_not_swapped() -> None:
    samples = music(0.5, RATE, 2)
    assert_array_equal(converted(Clip(samples, RATE), RATE, 2), samples)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("new_rate", [12_000, 22_050, 44_100])
@pytest.mark.parametrize("rate", [8000, 11_025, 12_000, 16_000, 32_000, 44_100, 48_000, 192_000])
def test_resampling_block_by_block_equals_one_call(rate: int, new_rate: int, channels: int) -> None:
    samples = music(2.0, rate, channels)
    streamed = converted(Clip(samples, rate, (rate // 3, rate // 7, rate)), new_rate, channels)
    expected = samples if rate == new_rate else resampled(samples, rate, new_rate)
    assert_array_equal(streamed, expected)


@pytest.mark.parametrize("rate", [1000, 999_983, 1_000_000])
def test_the_extreme_rates_keep_the_duration(rate: int) -> None:
    samples = music(0.5, rate)
    for new_rate in (12_000, 44_100):
        length = converted(Clip(samples, rate), new_rate, 1).shape[1]
        assert length == pytest.approx(0.5 * new_rate, abs=1)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(1, 2500), max_size=8),
    st.sampled_from([(8000, 12_000), (44_100, 12_000), (11_025, 22_050), (8000, 8000)]),
    st.integers(1, 3),
    st.integers(1, 2),
)
def test_block_boundaries_do_not_matter(
    sizes: list[int], rates: tuple[int, int], from_channels: int, to_channels: int
) -> None:
    samples = music(0.4, rates[0], from_channels)
    whole = converted(Clip(samples, rates[0]), rates[1], to_channels)
    parts = converted(Clip(samples, rates[0], tuple(sizes)), rates[1], to_channels)
    assert_array_equal(parts, whole, strict=True)
