"""Threads that decode and compute beside each other, and what torch and the C library do there."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

# More threads than that would share one Python; take several processes (distributed/devices.py).
MAX_WORKERS = 16


def default_workers(processes: int = 1) -> int:
    """The cores that each of so many processes has, at most 16, at least 1.

    Decoding threads beside a GPU, clips at a time on processors.
    """
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return max(1, min(MAX_WORKERS, cores // processes))


# The process whose threads torch has.
_process = os.getpid()


def after_fork() -> None:
    """In a forked process: torch's own threads stayed with the parent, and would be waited for."""
    global _process
    if os.getpid() != _process:
        torch.set_num_threads(1)
        _process = os.getpid()


def keep_freed_memory() -> None:
    """Have the C library keep what arrays free for the next ones.

    glibc hands the end of its heap back when that is twice the largest block that was ever mapped
    and freed; arrays of some MB then are fresh pages, each a page fault, in every clip. One such
    block, never touched, sets the mark to 62 MB. Elsewhere this does nothing.
    """
    np.empty(31 << 20, np.uint8)


_counting = threading.Lock()


class Threads(ThreadPoolExecutor):
    """Threads that keep to one core each: torch's own threads would compete with the others."""

    _running, _before = 0, 1

    def __init__(self, workers: int) -> None:
        super().__init__(
            workers, "mirfeat-worker", initializer=torch.set_num_threads, initargs=(1,)
        )
        with _counting:
            if not Threads._running:
                Threads._before = torch.get_num_threads()
            Threads._running += 1

    def __exit__(self, *error: Any) -> bool | None:
        ended = super().__exit__(*error)
        with _counting:
            Threads._running -= 1
            # New threads of the program would start with one otherwise. Of runs at the same time
            # the first knows the number and the last sets it.
            if not Threads._running:
                torch.set_num_threads(Threads._before)
        return ended
