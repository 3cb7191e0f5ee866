"""The pipeline over many clips: same numbers however it runs, and it always comes to an end."""

import random
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import torch

import mirfeat
from mirfeat.audio.clip import Audio
from mirfeat.audio.segments import Segment
from mirfeat.errors import AudioError, MachineError
from mirfeat.networks import mfcc
from mirfeat.networks.model import Rows
from mirfeat.pipeline import threads
from mirfeat.pipeline.clip import Clip, new_clip, vector_of
from mirfeat.pipeline.threads import MAX_AHEAD, run_one
from mirfeat.pipeline.unit import Unit
from mirfeat.pipeline.workers import Threads, default_workers
from tests.support.sounds import music

T = TypeVar("T")
RATE = 1000
BOTH = ("mean", "std")
# One segment, several with a tail, shorter than one; none of them equal.
LENGTHS = [2.0, 7.5, 0.4, 2.0, 1.1, 31.0, 4.9, 2.0, 0.3, 13.0, 2.0, 2.0, 9.2, 0.8, 5.5, 2.0]


def finishes(work: Callable[[], T], seconds: float = 30.0) -> T:
    """What ``work`` returns; fails where it hangs."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), "it hangs"
    if errors:
        raise errors[0]
    return results[0]


def decoders() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("mirfeat-worker")]


SHARED = [False]


@pytest.fixture(autouse=True, params=["clip by clip", "shared batches"])
def shared(request: pytest.FixtureRequest) -> bool:
    """Whether clips share batches, as on a GPU, or are taken all the way in one thread each."""
    SHARED[0] = request.param == "shared batches"
    return SHARED[0]


def run_many(
    clips: Iterable[Clip], units: list[Unit], max_seconds: float | None, workers: int
) -> Generator[Clip, None, None]:
    return threads.run_many(clips, units, max_seconds, workers, shared_batches=SHARED[0])


def unit_of(
    batch_size: int = 4,
    run: Callable[[torch.Tensor], Rows] | None = None,
    seconds: float = 2.0,
) -> Unit:
    """A network whose row is the sum of a segment: exact, whatever its batch is."""

    def sums(batch: torch.Tensor) -> Rows:
        mean = torch.stack([segment.sum()[None] for segment in batch])
        return mean, torch.zeros_like(mean)

    mel = replace(mfcc.MEL, sample_rate=RATE)
    samples = int(seconds * RATE)
    segment = replace(mfcc.SPECS[0].segment, samples=samples, hop_samples=samples)
    spec = replace(mfcc.SPECS[0], mel=mel, segment=segment)
    return replace(
        mirfeat.load_extractor("mfcc", device="cpu")._units[0],
        spec=spec,
        segment=segment,
        run=run or sums,
        row_size=1,
        batch_size=batch_size,
    )


def clip_of(number: int, units: list[Unit], seconds: float = 2.0) -> Clip:
    sound = Audio(music(seconds, RATE, seed=number), RATE, name=str(number))
    return new_clip(str(number), sound, units, keep_rows=True)


def broken_clip(number: int, units: list[Unit]) -> Clip:
    nothing = np.full(RATE, np.nan, np.float32)
    return new_clip(str(number), Audio(nothing, RATE, name=str(number)), units, keep_rows=True)


def run(units: list[Unit], workers: int, lengths: list[float] = LENGTHS) -> dict[str, np.ndarray]:
    clips = (clip_of(number, units, seconds) for number, seconds in enumerate(lengths))
    done = list(run_many(clips, units, None, workers))
    assert [clip.id for clip in done] == [str(number) for number in range(len(lengths))]
    return {clip.id: vector_of(clip, (BOTH,) * len(units)) for clip in done}


@pytest.mark.parametrize("batch_size", [1, 7, 64])
@pytest.mark.parametrize("workers", [1, 2, 8])
def test_rows_reach_their_clips_in_order_of_time(batch_size: int, workers: int) -> None:
    units = [unit_of(batch_size), unit_of(batch_size + 1, seconds=1.0)]
    vectors = finishes(lambda: run(units, workers))
    for number, seconds in enumerate(LENGTHS):
        alone = run_one(clip_of(number, units, seconds), units, None)
        np.testing.assert_array_equal(vectors[str(number)], vector_of(alone, (BOTH, BOTH)))
        for rows, unit in zip(alone.rows, units, strict=True):
            starts = [segment.start for _, _, segment in rows.rows]
            assert starts == sorted(starts)
            assert rows.count == len(starts) >= seconds * RATE // unit.segment.samples


@pytest.fixture(scope="module")
def choi() -> mirfeat.Extractor:
    return mirfeat.load_extractor("choi2017", checkpoint="random", hop_seconds=14.5)


@pytest.mark.parametrize("name", ["mfcc", "choi2017"])
def test_features_do_not_depend_on_batches_workers_or_the_order_of_files(
    choi: mirfeat.Extractor, name: str
) -> None:
    extractor = choi if name == "choi2017" else mirfeat.load_extractor("mfcc")
    unit = extractor._units[0]
    sounds = [music(seconds, 12_000, seed=7) for seconds in (29.0, 3.0, 70.0, 29.0, 1.0, 45.0)]

    def features(batch_size: int, workers: int, order: list[int]) -> np.ndarray:
        units = [replace(unit, batch_size=batch_size)]
        clips = (new_clip(str(i), Audio(sounds[i], 12_000), units, keep_rows=False) for i in order)
        done = {clip.id: clip for clip in run_many(clips, units, None, workers)}
        return np.stack([vector_of(done[str(i)], (BOTH,)) for i in range(len(sounds))])

    order = list(range(len(sounds)))
    expected = np.stack([extractor.extract(sound, 12_000) for sound in sounds])
    for batch_size, workers in ((1, 1), (7, 2), (64, 8), (7, 8)):
        random.Random(batch_size + workers).shuffle(order)
        values = features(batch_size, workers, order)
        np.testing.assert_allclose(values, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_no_clip_is_started_too_far_beyond_the_oldest_unfinished_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    count, units = 3 * MAX_AHEAD, [unit_of()]
    pulled = taken = most = ended = 0
    everything_else_is_done = threading.Event()

    def clips() -> Iterator[Clip]:
        nonlocal pulled, most
        for number in range(count):
            pulled += 1
            most = max(most, pulled - taken)
            yield clip_of(number, units)

    decode = threads.clip_segments

    def slow_first(clip: Clip, *arguments: object) -> Iterator[tuple[int, Segment]]:
        nonlocal ended
        if clip.id == "0":
            assert everything_else_is_done.wait(20)
        yield from decode(clip, *arguments)  # type: ignore[arg-type]
        ended += 1
        if ended == MAX_AHEAD - 1:
            everything_else_is_done.set()

    monkeypatch.setattr(threads, "clip_segments", slow_first)

    def consume() -> None:
        nonlocal taken
        for clip in run_many(clips(), units, None, workers=2):
            assert clip.id == str(taken)
            taken += 1

    finishes(consume)
    assert (taken, most) == (count, MAX_AHEAD)


def test_memory_is_bounded_by_the_queue_when_the_network_is_slow(
    monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    if not shared:
        pytest.skip("there is no queue")
    units = [unit_of(batch_size=2)]
    decoded = seen = most = 0
    decode, add = threads.clip_segments, threads.Batcher.add

    def counted(*arguments: object) -> Iterator[tuple[int, Segment]]:
        nonlocal decoded
        for item in decode(*arguments):  # type: ignore[arg-type]
            decoded += 1
            yield item

    def slow_add(self: threads.Batcher, *arguments: object) -> None:
        nonlocal seen, most
        seen += 1
        if seen == 3:
            until = time.monotonic() + 10
            while decoded - seen < 5 and time.monotonic() < until:
                time.sleep(0.001)
            time.sleep(0.05)  # a decoder that nothing holds back would go on meanwhile
        most = max(most, decoded - seen)
        add(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(threads, "clip_segments", counted)
    monkeypatch.setattr(threads.Batcher, "add", slow_add)
    clips = (clip_of(number, units, 200.0) for number in range(3))
    assert len(finishes(lambda: list(run_many(clips, units, None, workers=1)))) == 3
    # Two batches in the queue, and one segment in the hands of the only decoder.
    assert most == 5


@pytest.mark.parametrize("last", ["good", "broken"])
@pytest.mark.parametrize("batch_size", [2, 5, 1000])
def test_what_is_left_in_the_last_batch_is_not_forgotten(last: str, batch_size: int) -> None:
    units = [unit_of(batch_size)]
    clips = [clip_of(0, units), clip_of(1, units, 5.0), clip_of(2, units)]
    clips.append(clip_of(3, units) if last == "good" else broken_clip(3, units))
    done = finishes(lambda: list(run_many(clips, units, None, workers=2)))
    assert [clip.rows[0].count for clip in done[:3]] == [1, 3, 1]
    assert (done[3].error is None) == (last == "good")


def test_failures_behind_a_clip_in_an_unfilled_batch_do_not_block_the_run() -> None:
    # The good clip waits for its batch to fill, and all places ahead of it are taken by failures.
    units = [unit_of(batch_size=8)]
    clips = [clip_of(0, units), *(broken_clip(number, units) for number in range(1, 200))]
    done = finishes(lambda: list(run_many(clips, units, None, workers=2)))
    assert [clip.error is None for clip in done] == [True] + [False] * 199


def test_one_bad_clip_never_costs_another() -> None:
    units = [unit_of(batch_size=3), unit_of(batch_size=5, seconds=1.0)]
    bad = {0, 3, 4, 11}
    # Good at first, then NaN: segments of it are in batches already when it fails.
    late = np.concatenate([music(25.0, RATE)[0], np.full(10, np.nan, np.float32)])

    def clips() -> Iterator[Clip]:
        for number in range(12):
            if number in bad:
                yield new_clip(str(number), Audio(late, RATE), units, keep_rows=False)
            else:
                yield clip_of(number, units, LENGTHS[number])

    done = finishes(lambda: list(run_many(clips(), units, None, workers=3)))
    assert {number for number, clip in enumerate(done) if clip.error is not None} == bad
    for number in set(range(12)) - bad:
        alone = run_one(clip_of(number, units, LENGTHS[number]), units, None)
        np.testing.assert_array_equal(
            vector_of(done[number], (BOTH, BOTH)), vector_of(alone, (BOTH, BOTH))
        )


def test_a_file_that_vanishes_while_it_waits_is_a_failure_of_its_own(tmp_path: Path) -> None:
    units = [unit_of()]
    clips = [
        clip_of(0, units),
        new_clip("gone", tmp_path / "gone.wav", units, keep_rows=False),
        clip_of(2, units),
    ]
    done = finishes(lambda: list(run_many(clips, units, None, workers=1)))
    assert isinstance(done[1].error, AudioError)
    assert done[0].error is done[2].error is None


def test_nothing_in_is_nothing_out() -> None:
    assert finishes(lambda: list(run_many([], [unit_of()], None, workers=2))) == []


def test_closing_the_generator_ends_its_threads() -> None:
    # Batches of one: decoders are blocked at a full queue when the run is given up.
    units = [unit_of(batch_size=1)]
    clips = (clip_of(number, units, 60.0) for number in range(50))
    running = run_many(clips, units, None, workers=3)
    assert next(running).id == "0"
    assert decoders()
    finishes(running.close)
    assert not decoders()


def raising(error: BaseException) -> Callable[..., Rows]:
    def run(*_: object) -> Rows:
        raise error

    return run


def test_a_bug_in_the_network_ends_the_run_and_its_threads() -> None:
    units = [unit_of(run=raising(RuntimeError("a bug")))]
    clips = (clip_of(number, units, 20.0) for number in range(50))
    with pytest.raises(RuntimeError, match="a bug"):
        finishes(lambda: list(run_many(clips, units, None, workers=3)))
    assert not decoders()


def fails_at(monkeypatch: pytest.MonkeyPatch, error: Exception, *ids: str) -> None:
    decode = threads.clip_segments

    def sometimes(clip: Clip, *arguments: object) -> Iterator[tuple[int, Segment]]:
        if clip.id in ids:
            raise error
        yield from decode(clip, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(threads, "clip_segments", sometimes)


def test_a_bug_in_a_decoder_ends_the_run_and_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    fails_at(monkeypatch, ZeroDivisionError("a bug"), "5")
    units = [unit_of()]
    clips = (clip_of(number, units) for number in range(50))
    with pytest.raises(ZeroDivisionError, match="a bug"):
        finishes(lambda: list(run_many(clips, units, None, workers=3)))
    assert not decoders()


def test_a_clip_that_needs_too_much_memory_is_one_that_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fails_at(monkeypatch, MemoryError("too much"), "5")
    units = [unit_of()]
    clips = (clip_of(number, units) for number in range(20))
    done = finishes(lambda: list(run_many(clips, units, None, workers=3)))
    assert [clip.id for clip in done if clip.error is not None] == ["5"]
    assert not decoders()


def test_no_memory_for_one_clip_after_the_other_is_the_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fails_at(monkeypatch, MemoryError("too much"), *map(str, range(5, 20)))
    units = [unit_of()]
    clips = (clip_of(number, units) for number in range(20))
    with pytest.raises(MachineError, match="memory"):
        finishes(lambda: list(run_many(clips, units, None, workers=3)))
    assert not decoders()


def test_a_bug_in_the_source_of_clips_ends_the_run_and_its_threads() -> None:
    units = [unit_of()]

    def clips() -> Iterator[Clip]:
        yield clip_of(0, units)
        raise KeyError("a bug")

    with pytest.raises(KeyError, match="a bug"):
        finishes(lambda: list(run_many(clips(), units, None, workers=3)))
    assert not decoders()


def limited_memory(most: int, sizes: list[int]) -> Callable[[torch.Tensor], Rows]:
    """A network on a device with memory for ``most`` segments."""
    enough = unit_of().run

    def run(batch: torch.Tensor) -> Rows:
        sizes.append(len(batch))
        if len(batch) > most:
            raise torch.cuda.OutOfMemoryError("out of memory")
        return enough(batch)

    return run


def test_out_of_memory_makes_batches_smaller_for_good_and_says_so(
    caplog: pytest.LogCaptureFixture, shared: bool
) -> None:
    if not shared:
        pytest.skip("only a GPU runs out of memory so that one can go on")
    sizes: list[int] = []
    units = [unit_of(batch_size=9, run=limited_memory(3, sizes))]
    vectors = finishes(lambda: run(units, 1, [18.0, 20.0]))
    for id, vector in run([unit_of()], 1, [18.0, 20.0]).items():
        np.testing.assert_array_equal(vectors[id], vector)
    assert sizes == [9, 5, 3, 3, 3, 3, 3, 3, 1]
    assert [message.partition(": ")[2] for message in caplog.messages] == [
        "9 segments do not fit into the memory of cpu; going on with 5 at a time",
        "5 segments do not fit into the memory of cpu; going on with 3 at a time",
    ]


def test_out_of_memory_with_a_single_segment_is_the_end() -> None:
    units = [unit_of(batch_size=4, run=limited_memory(0, []))]
    with pytest.raises(MachineError, match="no memory"):
        finishes(lambda: run(units, workers=2))
    assert not decoders()


@pytest.mark.parametrize(
    ("cores", "processes", "workers"),
    [(1, 1, 1), (2, 1, 2), (12, 1, 12), (64, 1, 16), (64, 2, 16), (64, 8, 8), (2, 3, 1)],
)
def test_as_many_workers_as_cores_up_to_a_limit_for_each_process(
    monkeypatch: pytest.MonkeyPatch, cores: int, processes: int, workers: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)), raising=False)
    assert default_workers(processes) == workers


def test_threads_of_the_program_are_as_many_as_before() -> None:
    before = torch.get_num_threads()
    inside: list[int] = []

    def note(batch: torch.Tensor) -> Rows:
        inside.append(torch.get_num_threads())
        return batch.mean(2), batch.var(2)

    units = [unit_of(run=note)]
    finishes(lambda: list(run_many([clip_of(0, units)], units, None, workers=2)))
    started: list[int] = []
    thread = threading.Thread(target=lambda: started.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert (torch.get_num_threads(), started) == (before, [before])
    assert SHARED[0] or set(inside) == {1}


def test_runs_at_the_same_time_leave_torch_its_threads() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with Threads(1):
            first = Threads(1).__enter__()
            first.submit(int).result()
        first.__exit__(None, None, None)
        started: list[int] = []
        thread = threading.Thread(target=lambda: started.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert (torch.get_num_threads(), started) == (2, [2])
    finally:
        torch.set_num_threads(before)
