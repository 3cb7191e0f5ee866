"""Batches through a network on its device, in order, with less at a time where memory runs out.

On a GPU three things go on at once: batch k is computed, k+1 is copied there from page-locked
memory, and the host gathers k+2. Elsewhere a batch is computed when it comes.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch

from mirfeat.networks.model import Rows

logger = logging.getLogger("mirfeat")

Owner = TypeVar("Owner")
# Batches on their way to and on a GPU; more would only hold more memory.
_IN_FLIGHT = 2


class Pending(Protocol):
    """A batch that was given to a device."""

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Means and variances, float32 [B, D]; waits for them."""
        ...


class Lane(Protocol):
    """How a batch gets to a device and its rows back."""

    device: torch.device

    @property
    def depth(self) -> int:
        """How many batches may be on their way."""
        ...

    def launch(self, segments: Sequence[np.ndarray]) -> Pending:
        """Give segments, float32 [C, N] each, to the device.

        Raises:
            torch.cuda.OutOfMemoryError: they are too many.
        """
        ...


@dataclass(frozen=True, eq=False)
class _Done:
    means: np.ndarray
    variances: np.ndarray

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        return self.means, self.variances


class DirectLane:
    """Computes at once, on any device."""

    depth = 0

    def __init__(self, run: Callable[[torch.Tensor], Rows], device: torch.device) -> None:
        """Batches through ``run`` on ``device``."""
        self._run, self.device = run, device

    def launch(self, segments: Sequence[np.ndarray]) -> Pending:
        """Compute the rows of these segments."""
        with torch.inference_mode():
            mean, variance = self._run(torch.from_numpy(np.stack(segments)).to(self.device))
        return _Done(mean.cpu().numpy(), variance.cpu().numpy())


@dataclass(frozen=True, eq=False)
class _Copied:
    """Rows on their way back: [2, B, D] in page-locked memory once ``event`` has happened."""

    both: torch.Tensor
    event: torch.cuda.Event

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        self.event.synchronize()
        means, variances = self.both.numpy()
        return means, variances


class CudaLane:
    """Copies on a stream of their own beside the computation, from and to page-locked memory."""

    depth = _IN_FLIGHT

    def __init__(self, run: Callable[[torch.Tensor], Rows], device: torch.device) -> None:
        """Batches through ``run`` on the CUDA device."""
        self._run, self.device = run, device
        self._copies: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        # A buffer is written again when its last copy is over: that of _IN_FLIGHT + 1 ago.
        self._buffers: deque[tuple[torch.Tensor, torch.cuda.Event]] = deque(maxlen=_IN_FLIGHT + 1)

    def launch(self, segments: Sequence[np.ndarray]) -> Pending:
        """Start copy, computation and copy back; nothing here waits for the device."""
        buffer = self._buffer((len(segments), *segments[0].shape))
        np.stack(segments, out=buffer.numpy())
        compute = torch.cuda.current_stream(self.device)
        with torch.inference_mode(), torch.cuda.device(self.device):
            with torch.cuda.stream(self._copies):
                batch = buffer.to(self.device, non_blocking=True)
                copied = self._copies.record_event()
            self._buffers.append((buffer, copied))
            compute.wait_event(copied)
            # It was allocated on the other stream, which must not hand its memory out too early.
            batch.record_stream(compute)
            both = torch.stack(self._run(batch))
            back = torch.empty(both.shape, dtype=torch.float32, pin_memory=True)
            back.copy_(both, non_blocking=True)
            return _Copied(back, compute.record_event())

    def _buffer(self, shape: tuple[int, ...]) -> torch.Tensor:
        if len(self._buffers) == self._buffers.maxlen:
            buffer, copied = self._buffers.popleft()
            copied.synchronize()
            if buffer.shape == shape:
                return buffer
        return torch.empty(shape, dtype=torch.float32, pin_memory=True)


def lane_to(device: torch.device, run: Callable[[torch.Tensor], Rows]) -> Lane:
    """The way to a device."""
    return CudaLane(run, device) if device.type == "cuda" else DirectLane(run, device)


class Forward(Generic[Owner]):
    """Segments in, rows out in the same order, each with its owner."""

    def __init__(self, name: str, lane: Lane, batch_size: int) -> None:
        """Batches of at most ``batch_size`` segments; ``name`` is used in messages."""
        self._name, self._lane, self.batch_size = name, lane, batch_size
        self._depth = lane.depth
        self._pending: deque[tuple[Pending, Sequence[Owner]]] = deque()

    def push(
        self, segments: Sequence[np.ndarray], owners: Sequence[Owner]
    ) -> Iterator[tuple[Owner, np.ndarray, np.ndarray]]:
        """Take a batch; what is done of earlier ones comes out: owner, mean [D], variance [D]."""
        while segments:
            count = min(self.batch_size, len(segments))
            try:
                pending = self._lane.launch(segments[:count])
            except torch.cuda.OutOfMemoryError:
                if count == 1 and not self._pending:
                    raise
                yield from self._make_room(count)
                continue
            self._pending.append((pending, owners[:count]))
            segments, owners = segments[count:], owners[count:]
            while len(self._pending) > self._depth:
                yield from self._next()

    def _make_room(self, count: int) -> Iterator[tuple[Owner, np.ndarray, np.ndarray]]:
        """For good: fewer batches on their way, and once there are none, smaller ones."""
        if self._pending:
            self._depth = len(self._pending) - 1
            yield from self.drain()
            return
        self.batch_size = -(-count // 2)
        logger.warning(
            "%s: %d segments do not fit into the memory of %s; going on with %d at a time",
            *(self._name, count, self._lane.device, self.batch_size),
        )

    def drain(self) -> Iterator[tuple[Owner, np.ndarray, np.ndarray]]:
        """What is still on its way."""
        while self._pending:
            yield from self._next()

    def _next(self) -> Iterator[tuple[Owner, np.ndarray, np.ndarray]]:
        pending, owners = self._pending.popleft()
        yield from zip(owners, *pending.rows(), strict=True)
