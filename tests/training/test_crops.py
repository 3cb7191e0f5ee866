"""Crops: a pure function of seed and step, the same for any number of processes."""

from collections.abc import Callable

import numpy as np
import pytest

from mirfeat.networks.frontend import MelSpec
from mirfeat.networks.scaling import DecibelScale
from mirfeat.training.config import Augmentation
from mirfeat.training.crops import (
    Batch,
    CropSource,
    augmentation_seed,
    crop_stream,
    shifted,
    source_stream,
)
from mirfeat.training.mel_cache import MelCache, build
from mirfeat.training.mel_frames import Track
from tests.support.sounds import music, write_wav

RATE, FRAMES = 8000, 12
MEL = MelSpec(
    sample_rate=RATE, channels=2, n_fft=256, hop_samples=128, n_mels=16, fmax_hz=4000.0,
    scaling=DecibelScale("unity"),
)  # fmt: skip
IDS = [f"t{number}" for number in range(10)]
ROWS = np.arange(10)
EVEN = np.full(10, 0.1)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> MelCache:
    """Ten tracks of 0.1 s (7 frames, shorter than a crop), 0.3 s, … to 1.9 s."""
    folder = tmp_path_factory.mktemp("crops")
    tracks = []
    for number, id in enumerate(IDS):
        samples = music(0.1 + 0.2 * number, RATE, 2, number)
        tracks.append(Track(id, write_wav(folder / f"{id}.wav", samples, RATE), None))
    assert build(tracks, folder, MEL, progress=False) == []
    return MelCache(folder, MEL)


def draw(
    cache: MelCache, size: int = 6, seed: int = 0, step: int = 0, views: int = 1,
    part: tuple[int, int] = (0, 1), rows: np.ndarray = ROWS, chances: np.ndarray = EVEN,
    changes: Augmentation | None = None, frames: int = FRAMES,
) -> Batch:  # fmt: skip
    source = CropSource(cache, IDS, frames, changes)
    stream = crop_stream(seed, step)
    return source.draw(rows, chances, size, stream, views=views, process=part[0], processes=part[1])


def same(first: Batch, second: Batch) -> bool:
    return np.array_equal(first.rows, second.rows) and np.array_equal(first.levels, second.levels)


def start_of(cache: MelCache, row: int, crop: np.ndarray) -> int:
    """Where an unchanged crop was cut."""
    levels = cache.levels(IDS[row])
    windows = np.lib.stride_tricks.sliding_window_view(levels, FRAMES, axis=0)
    places = np.flatnonzero((windows == np.moveaxis(crop, 0, -1)).all(axis=(1, 2, 3)))
    assert len(places) == 1
    return int(places[0])


def test_shapes_and_types(cache: MelCache) -> None:
    batch = draw(cache, size=5, views=2)
    assert batch.levels.shape == (2, 5, FRAMES, 2, 16)
    assert batch.levels.dtype == np.float16
    assert batch.rows.shape == (5,)


def test_seed_and_step_decide_and_nothing_else(cache: MelCache) -> None:
    changes = Augmentation(stretch=0.2, shift_bands=3.0)
    batch = draw(cache, changes=changes, seed=3, step=7)
    draw(cache, seed=3, step=6)
    np.random.default_rng(0).random(100)
    assert same(draw(cache, changes=changes, seed=3, step=7), batch)
    assert not same(draw(cache, changes=changes, seed=3, step=8), batch)
    assert not same(draw(cache, changes=changes, seed=4, step=7), batch)


@pytest.mark.parametrize("processes", [2, 3, 5])
def test_processes_share_one_batch(processes: int, cache: MelCache) -> None:
    changes = Augmentation(stretch=0.2, shift_bands=3.0)
    whole = draw(cache, size=7, views=2, step=4, changes=changes)
    levels, rows = np.empty_like(whole.levels), np.empty_like(whole.rows)
    for process in range(processes):
        part = draw(cache, size=7, views=2, step=4, part=(process, processes), changes=changes)
        rows[process::processes] = part.rows
        levels[:, process::processes] = part.levels
    np.testing.assert_array_equal(rows, whole.rows)
    np.testing.assert_array_equal(levels, whole.levels)


def test_tracks_of_a_batch_differ_while_there_are_enough(cache: MelCache) -> None:
    for step in range(30):
        assert len(set(draw(cache, size=10, step=step).rows.tolist())) == 10
    more = draw(cache, size=40)
    assert set(more.rows.tolist()) <= set(ROWS.tolist())
    assert len(more.rows) == 40


def test_views_are_of_the_same_tracks_at_other_places(cache: MelCache) -> None:
    batch = draw(cache, size=4, views=2, rows=ROWS[6:], chances=np.full(4, 0.25), step=1)
    starts = [[start_of(cache, row, view[i]) for i, row in enumerate(batch.rows)]
              for view in batch.levels]  # fmt: skip
    assert starts[0] != starts[1]


def test_chances_are_respected(cache: MelCache) -> None:
    chances = np.array([0.0, 0.1, 0.6, 0.3])
    rows = np.array([2, 4, 6, 8])
    drawn = np.concatenate(
        [draw(cache, size=1, step=step, rows=rows, chances=chances).rows for step in range(600)]
    )
    shares = np.array([(drawn == row).mean() for row in rows])
    assert shares[0] == 0
    np.testing.assert_allclose(shares, chances, atol=0.07)  # over three standard deviations


def test_starts_are_uniform_over_the_track(cache: MelCache) -> None:
    row = np.array([9])
    room = len(cache.levels(IDS[9])) - FRAMES
    batches = [draw(cache, 1, step=s, rows=row, chances=np.ones(1)).levels for s in range(500)]
    starts = np.array([start_of(cache, 9, levels[0, 0]) for levels in batches])
    assert starts.min() <= 2
    assert starts.max() >= room - 2
    assert starts.max() <= room
    assert abs(starts.mean() / room - 0.5) < 0.05
    quarters = np.histogram(starts, bins=4, range=(0, room))[0] / 500
    np.testing.assert_allclose(quarters, 0.25, atol=0.07)


def test_short_tracks_are_repeated(cache: MelCache) -> None:
    levels = cache.levels(IDS[0])
    assert len(levels) == 7
    crop = draw(cache, 1, rows=ROWS[:1], chances=np.ones(1)).levels[0, 0]
    np.testing.assert_array_equal(crop, np.concatenate([levels, levels])[:FRAMES])


def test_crops_of_one_frame(cache: MelCache) -> None:
    batch = draw(cache, size=10, frames=1, changes=Augmentation(stretch=0.3))
    assert batch.levels.shape == (1, 10, 1, 2, 16)
    for row, crop in zip(batch.rows, batch.levels[0], strict=True):
        assert (cache.levels(IDS[row]) == crop).all(axis=(1, 2)).any()


def frames_of(cache: MelCache, row: int, crop: np.ndarray) -> np.ndarray:
    """Which frame of the track each frame of a crop is."""
    equal = (cache.levels(IDS[row])[None] == crop[:, None]).all(axis=(2, 3))
    assert (equal.sum(axis=1) == 1).all()
    return equal.argmax(axis=1)


def test_stretch_is_within_its_bounds_and_goes_both_ways(cache: MelCache) -> None:
    spans = []
    for step in range(200):
        changes = Augmentation(stretch=0.5)
        batch = draw(cache, 1, step=step, rows=ROWS[9:], chances=np.ones(1), changes=changes)
        frames = frames_of(cache, 9, batch.levels[0, 0])
        assert (np.diff(frames) >= 0).all()
        spans.append(frames[-1] - frames[0])
    last = FRAMES - 1
    assert min(spans) >= round(0.5 * last) - 1
    assert max(spans) <= round(1.5 * last) + 1
    assert min(spans) < 0.7 * last
    assert max(spans) > 1.3 * last


def test_shift_is_within_its_bounds(cache: MelCache) -> None:
    found = set()
    for step in range(100):
        changes = Augmentation(shift_bands=2.0)
        plain, moved = (
            draw(cache, 1, step=step, rows=ROWS[9:], chances=np.ones(1), changes=c).levels[0, 0]
            for c in (None, changes)
        )
        (bands,) = [b for b in range(-3, 4) if np.array_equal(shifted(plain, b), moved)]
        found.add(bands)
    assert found == {-2, -1, 0, 1, 2}


def test_shifted_repeats_the_band_at_the_edge() -> None:
    levels = np.arange(5.0)[None, None]
    assert shifted(levels, 2).tolist() == [[[0, 0, 0, 1, 2]]]
    assert shifted(levels, -1).tolist() == [[[1, 2, 3, 4, 4]]]
    assert shifted(levels, 9).tolist() == [[[0] * 5]]


def test_spread_is_even_and_unchanged(cache: MelCache) -> None:
    source = CropSource(cache, IDS, FRAMES, Augmentation(stretch=0.5, shift_bands=9.0))
    crops = source.spread(9, 4)
    room = len(cache.levels(IDS[9])) - FRAMES
    starts = [start_of(cache, 9, crop) for crop in crops]
    assert starts == [round(room * share) for share in (0.125, 0.375, 0.625, 0.875)]
    short = source.spread(0, 3)
    assert short.shape == (3, FRAMES, 2, 16)
    assert (short == short[0]).all()


def test_streams_do_not_meet() -> None:
    draws = [crop_stream(0, 1).random(), source_stream(0, 1).random(), crop_stream(1, 0).random()]
    assert len(set(draws)) == 3
    seeds = {augmentation_seed(s, t, p) for s in range(3) for t in range(20) for p in range(4)}
    assert len(seeds) == 240
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert augmentation_seed(2**63 - 1, 10**9, 0) == augmentation_seed(2**63 - 1, 10**9, 0)


def test_crops_are_copies(cache: MelCache) -> None:
    batch = draw(cache, 1, rows=ROWS[9:], chances=np.ones(1))
    before = cache.levels(IDS[9]).copy()
    batch.levels[:] = 1
    np.testing.assert_array_equal(cache.levels(IDS[9]), before)


def test_crops_lie_where_they_suit(cache: MelCache) -> None:
    rows, seconds = np.array([8, 9]), MEL.hop_samples / RATE

    def early(row: int, span: tuple[float, float]) -> bool:
        return span[0] < 60 * seconds

    def drawn(step: int, suits: Callable[[int, tuple[float, float]], bool] | None) -> Batch:
        source = CropSource(cache, IDS, FRAMES)
        chances = np.array([0.5, 0.5])
        return source.draw(rows, chances, 2, crop_stream(0, step), suits=suits)

    anywhere = [drawn(step, None) for step in range(40)]
    suited = [drawn(step, early) for step in range(40)]
    assert max(batch.spans[..., 0].max() for batch in anywhere) > 80 * seconds
    assert max(batch.spans[..., 0].max() for batch in suited) < 60 * seconds
    # The track is as it was drawn; and so is the crop, where it suits.
    for before, after in zip(anywhere, suited, strict=True):
        np.testing.assert_array_equal(before.rows, after.rows)
        kept = before.spans[..., 0] < 60 * seconds
        np.testing.assert_array_equal(before.spans[kept], after.spans[kept])
    same_step = drawn(3, early)
    assert same(same_step, suited[3])


def test_where_nothing_suits_a_crop_is_drawn_all_the_same(cache: MelCache) -> None:
    source = CropSource(cache, IDS, FRAMES)
    batch = source.draw(ROWS, EVEN, 6, crop_stream(0, 0), suits=lambda row, span: False)
    assert batch.levels.shape == (1, 6, FRAMES, 2, 16)
