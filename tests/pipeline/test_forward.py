"""Batches through a device: their order, what is on its way, memory that runs out."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from mirfeat.networks.model import Rows
from mirfeat.pipeline.forward import CudaLane, DirectLane, Forward, Pending, lane_to

CPU = torch.device("cpu")


def network(batch: torch.Tensor) -> Rows:
    """Mean and variance of each channel."""
    return batch.mean(2), batch.var(2)


def segments(count: int, samples: int = 50, seed: int = 0) -> list[np.ndarray]:
    draws = np.random.default_rng(seed).standard_normal((count, 2, samples))
    return list(draws.astype(np.float32))


@dataclass
class LateLane:
    """A device that has room for few segments, of batches that are not asked for yet."""

    room: int
    depth: int = 2
    device: torch.device = CPU
    on_its_way: list[int] = field(default_factory=list)
    launched: list[int] = field(default_factory=list)

    def launch(self, segments: Sequence[np.ndarray]) -> Pending:
        if sum(self.on_its_way) + len(segments) > self.room:
            raise torch.cuda.OutOfMemoryError("out of memory")
        self.on_its_way.append(len(segments))
        self.launched.append(len(segments))
        return _Late(self, DirectLane(network, CPU).launch(segments))


@dataclass
class _Late:
    lane: LateLane
    done: Pending

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        self.lane.on_its_way.pop(0)
        return self.done.rows()


def test_rows_come_in_the_order_of_their_segments_whatever_the_depth() -> None:
    given = segments(23)
    for depth in (0, 1, 2, 5):
        forward = Forward[int]("net", LateLane(room=100, depth=depth), batch_size=4)
        rows = []
        for start in range(0, 23, 4):
            owners = range(start, min(start + 4, 23))
            rows += forward.push([given[i] for i in owners], owners)
        assert len(rows) == 23 - sum(([3, *[4] * 5])[:depth])
        rows += forward.drain()
        assert [owner for owner, _, _ in rows] == list(range(23))
        for owner, mean, variance in rows:
            np.testing.assert_allclose(mean, given[owner].mean(1), atol=1e-6)
            np.testing.assert_allclose(variance, given[owner].var(1, ddof=1), rtol=1e-5)


@pytest.mark.parametrize(
    ("room", "size", "messages"), [(2, 2, 2), (5, 4, 1), (9, 8, 0), (17, 8, 0)]
)
def test_memory_that_runs_out_means_fewer_on_their_way_and_then_smaller_batches(
    caplog: pytest.LogCaptureFixture, room: int, size: int, messages: int
) -> None:
    forward = Forward[int]("net", lane := LateLane(room), batch_size=8)
    given, rows = segments(36), []
    for start in range(0, 36, 8):
        owners = range(start, min(start + 8, 36))
        rows += forward.push([given[i] for i in owners], owners)
    rows += forward.drain()
    assert [owner for owner, _, _ in rows] == list(range(36))
    assert forward.batch_size == max(lane.launched) == size
    assert len(caplog.messages) == messages


def test_memory_for_not_even_one_segment_is_the_end() -> None:
    with pytest.raises(torch.cuda.OutOfMemoryError):
        list(Forward[int]("net", LateLane(room=0), batch_size=4).push(segments(4), range(4)))


def test_nothing_comes_of_nothing() -> None:
    forward = Forward[int]("net", DirectLane(network, CPU), batch_size=4)
    assert list(forward.push([], [])) == list(forward.drain()) == []


def test_a_processor_computes_at_once() -> None:
    lane = lane_to(CPU, network)
    assert isinstance(lane, DirectLane)
    assert lane.depth == 0


@pytest.mark.gpu
def test_a_gpu_gives_the_same_rows_while_several_batches_are_on_their_way() -> None:
    lane = lane_to(torch.device("cuda"), network)
    assert isinstance(lane, CudaLane)
    direct = DirectLane(network, CPU)
    batches = [segments(7 + number % 3, seed=number) for number in range(20)]
    pending = [lane.launch(batch) for batch in batches]
    for batch, late in zip(batches, pending, strict=True):
        for mine, theirs in zip(late.rows(), direct.launch(batch).rows(), strict=True):
            np.testing.assert_allclose(mine, theirs, atol=1e-6)
