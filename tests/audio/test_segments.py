"""How a clip is cut: which samples each segment holds, what it weighs, and what is kept."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from mirfeat.audio.segments import Segment, Segmenter, SegmentSpec
from mirfeat.errors import AudioTooShortError

RATE = 100
SPEC = SegmentSpec(
    samples=40, hop_samples=20, min_samples=5, short="tile", batch_cpu=1, batch_gpu=1
)
# Without a deadline: other work on the machine is not a fault.
relaxed = settings(deadline=None)
BACK_TO_BACK = replace(SPEC, hop_samples=40)


def numbered(length: int, channels: int = 1) -> np.ndarray:
    """Samples whose values say where they are."""
    return np.arange(length * channels, dtype=np.float32).reshape(channels, length)


def segmenter(spec: SegmentSpec = SPEC, *, refuse_short: bool = False) -> Segmenter:
    return Segmenter(spec, RATE, "clip", refuse_short=refuse_short)


def cut(
    clip: np.ndarray, spec: SegmentSpec = SPEC, edges: tuple[int, ...] = (), **options: bool
) -> list[Segment]:
    """Segments of a clip that arrives in blocks which end at these samples."""
    cutter = segmenter(spec, **options)
    segments = []
    for block in np.split(clip, sorted(edges), axis=1):
        segments += cutter.push(block)
    return segments + list(cutter.finish())


def times(segments: list[Segment]) -> list[tuple[int, int, float]]:
    return [(segment.start, segment.end, segment.weight) for segment in segments]


@st.composite
def specs(draw: st.DrawFn) -> SegmentSpec:
    samples = draw(st.integers(1, 60))
    hop = draw(st.integers(1, samples))
    return replace(SPEC, samples=samples, hop_samples=hop, min_samples=1)


lengths = st.integers(1, 300)
blocks = st.lists(st.integers(0, 300), max_size=12).map(tuple)


@relaxed
@given(specs(), lengths, blocks)
def test_every_segment_holds_the_samples_it_names(
    spec: SegmentSpec, length: int, edges: tuple[int, ...]
) -> None:
    clip = numbered(length, 2)
    for segment in cut(clip, spec, edges):
        held = segment.audio if length >= spec.samples else segment.audio[:, :length]
        assert_array_equal(held, clip[:, segment.start : segment.end])
        assert segment.audio.shape == (2, spec.samples)
        assert segment.audio.flags.c_contiguous


@relaxed
@given(specs(), lengths)
def test_segments_cover_the_clip_but_for_less_than_half_a_hop(
    spec: SegmentSpec, length: int
) -> None:
    segments = cut(numbered(length), spec)
    covered = np.zeros(length, bool)
    for segment in segments:
        covered[segment.start : segment.end] = True
    end = max(segment.end for segment in segments)
    assert covered[:end].all()
    assert 2 * (length - end) < spec.hop_samples


@relaxed
@given(specs(), lengths)
def test_starts_are_multiples_of_the_hop_and_the_tail_ends_with_the_clip(
    spec: SegmentSpec, length: int
) -> None:
    *regular, last = cut(numbered(length), spec)
    assert [segment.start for segment in regular] == [
        index * spec.hop_samples for index in range(len(regular))
    ]
    assert all(segment.weight == 1.0 for segment in regular)
    assert last.start == len(regular) * spec.hop_samples or last.end == length
    assert 0.5 <= last.weight <= 1.0


@relaxed
@given(specs(), lengths)
def test_weights_add_up_to_the_covered_length_in_hops(spec: SegmentSpec, length: int) -> None:
    segments = cut(numbered(length), spec)
    if length < spec.samples:
        assert times(segments) == [(0, length, 1.0)]
        return
    covered = max(segment.end for segment in segments)
    # The first segment counts once, whatever part of it later ones repeat.
    expected = 1.0 + (covered - spec.samples) / spec.hop_samples
    assert sum(segment.weight for segment in segments) == pytest.approx(expected)


@relaxed
@given(specs(), lengths, blocks)
def test_block_boundaries_do_not_matter(
    spec: SegmentSpec, length: int, edges: tuple[int, ...]
) -> None:
    clip = numbered(length)
    whole, parts = cut(clip, spec), cut(clip, spec, edges)
    assert times(parts) == times(whole)
    for part, expected in zip(parts, whole, strict=True):
        assert_array_equal(part.audio, expected.audio)


@relaxed
@given(specs(), st.integers(1, 50), st.integers(1, 40))
def test_no_more_is_kept_than_a_segment_and_two_hops_and_blocks(
    spec: SegmentSpec, block: int, count: int
) -> None:
    cutter = segmenter(spec)
    for _ in range(count):
        list(cutter.push(np.zeros((1, block), np.float32)))
        # What a view keeps alive counts, not what it shows.
        held = sum((part if part.base is None else part.base).size for part in cutter._kept)
        assert held <= spec.samples + 2 * (spec.hop_samples + block)


def test_segments_come_as_soon_as_their_samples_are_there() -> None:
    cutter = segmenter()
    assert list(cutter.push(numbered(39))) == []
    assert times(list(cutter.push(numbered(1)))) == [(0, 40, 1.0)]
    assert list(cutter.push(numbered(19))) == []
    assert times(list(cutter.push(numbered(21)))) == [(20, 60, 1.0), (40, 80, 1.0)]


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (40, [(0, 40, 1.0)]),
        (49, [(0, 40, 1.0)]),
        (50, [(0, 40, 1.0), (10, 50, 0.5)]),
        (59, [(0, 40, 1.0), (19, 59, 0.95)]),
        (60, [(0, 40, 1.0), (20, 60, 1.0)]),
    ],
)
def test_half_a_hop_left_over_is_worth_a_segment(
    length: int, expected: list[tuple[int, int, float]]
) -> None:
    assert times(cut(numbered(length))) == expected


@pytest.mark.parametrize(("length", "count"), [(59, 1), (60, 2), (80, 2), (99, 2), (100, 3)])
def test_without_overlap_the_tail_repeats_what_it_needs(length: int, count: int) -> None:
    segments = cut(numbered(length), BACK_TO_BACK)
    assert len(segments) == count
    if length % 40 >= 20:
        assert times(segments)[-1] == (length - 40, length, (length % 40) / 40)


def test_an_odd_hop_is_halved_exactly() -> None:
    spec = replace(SPEC, hop_samples=15)
    assert len(cut(numbered(47), spec)) == 1
    assert len(cut(numbered(48), spec)) == 2


@pytest.mark.parametrize("length", [5, 7, 20, 39])
def test_a_short_clip_is_tiled_to_one_segment(length: int) -> None:
    clip = numbered(length, 2)
    (segment,) = cut(clip, edges=(2, 4))
    by_hand = np.concatenate([clip] * 8, axis=1)[:, :40]
    assert_array_equal(segment.audio, by_hand)
    assert (segment.start, segment.end, segment.weight) == (0, length, 1.0)


def test_a_clip_tiled_by_hand_gives_the_same_segment() -> None:
    clip = numbered(20)
    assert_array_equal(cut(np.tile(clip, 2))[0].audio, cut(clip)[0].audio)


def test_only_tiling_leaves_a_note() -> None:
    short, whole = segmenter(), segmenter()
    list(short.push(numbered(30)))
    list(short.finish())
    list(whole.push(numbered(40)))
    list(whole.finish())
    assert short.note == "tiled from 0.3 s"
    assert whole.note is None


@pytest.mark.parametrize(("length", "padded"), [(1, 12), (11, 12), (12, 12), (13, 13), (39, 39)])
def test_a_kept_short_clip_is_padded_with_zeros_where_it_must(length: int, padded: int) -> None:
    spec = replace(SPEC, short="keep", pad_samples=12, min_samples=1)
    clip = numbered(length, 2) + 1.0
    (segment,) = cut(clip, spec)
    assert segment.audio.shape == (2, padded)
    assert_array_equal(segment.audio[:, :length], clip)
    assert not segment.audio[:, length:].any()
    assert (segment.start, segment.end, segment.weight) == (0, length, 1.0)


def test_below_the_minimum_is_refused_with_both_durations() -> None:
    assert len(cut(numbered(5))) == 1
    message = r"^clip: 0.04 s, this extractor takes 0.05 s or more\.$"
    with pytest.raises(AudioTooShortError, match=message):
        cut(numbered(4))


def test_nothing_at_all_is_refused() -> None:
    with pytest.raises(AudioTooShortError, match=r"^clip: 0 s"):
        cut(numbered(0))
    with pytest.raises(AudioTooShortError, match=r"^clip: 0 s"):
        list(segmenter().finish())


def test_short_clips_are_refused_where_that_was_asked_for() -> None:
    assert len(cut(numbered(40), refuse_short=True)) == 1
    message = r"0.39 s, this extractor takes 0.4 s or more. short='tile' would repeat it"
    with pytest.raises(AudioTooShortError, match=message):
        cut(numbered(39), refuse_short=True)


def test_tiling_is_not_offered_where_it_would_not_help() -> None:
    with pytest.raises(AudioTooShortError) as error:
        cut(numbered(4), refuse_short=True)
    assert "tile" not in str(error.value)


def test_the_paper_lengths_give_the_paper_segments() -> None:
    def starts(seconds: float, rate: int, samples: int, hop: int) -> list[int]:
        spec = replace(SPEC, samples=samples, hop_samples=hop)
        return [segment.start for segment in cut(np.zeros((1, round(seconds * rate))), spec)]

    assert starts(30.0, 12_000, 348_000, 348_000) == [0]
    assert len(starts(30.0, 22_050, 55_125, 55_125)) == 12
    assert len(starts(30.0, 44_100, 45_056, 21_504)) == 60


@relaxed
@given(specs(), lengths, blocks, st.integers(1, 40))
def test_a_lead_is_silence_before_the_clip_of_which_no_time_is_told(
    spec: SegmentSpec, length: int, edges: tuple[int, ...], lead: int
) -> None:
    lead = min(lead, spec.samples - 1)
    clip = numbered(length, 2)
    led = cut(clip, replace(spec, lead_samples=lead), edges)
    silence = np.zeros((2, lead), np.float32)
    if length < spec.samples - lead:
        tiled = np.tile(clip, spec.samples)[:, : spec.samples - lead]
        assert_array_equal(led[0].audio, np.concatenate([silence, tiled], axis=1))
        assert times(led) == [(0, length, 1.0)]
        return
    longer = cut(np.concatenate([silence, clip], axis=1), spec)
    assert len(led) == len(longer)
    for here, there in zip(led, longer, strict=True):
        assert_array_equal(here.audio, there.audio)
        assert here.start == max(0, there.start - lead)
        assert here.end == there.end - lead
        assert here.weight == there.weight


def test_with_a_lead_a_clip_is_short_when_it_does_not_fill_the_rest() -> None:
    spec = replace(SPEC, lead_samples=10)
    assert spec.whole_samples == 30
    assert times(cut(numbered(30), spec, refuse_short=True)) == [(0, 30, 1.0)]
    with pytest.raises(AudioTooShortError, match=r"0\.29 s, this extractor takes 0\.3 s"):
        cut(numbered(29), spec, refuse_short=True)
    with pytest.raises(AudioTooShortError, match=r"takes 0\.05 s"):
        cut(numbered(4), spec)
    with pytest.raises(AudioTooShortError):
        cut(numbered(0), spec)
