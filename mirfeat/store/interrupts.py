"""Ctrl-C and the signals of schedulers: what they end, and what they do not cut in two."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# Schedulers send SIGTERM before they kill, a terminal that is closed sends SIGHUP.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
SIGNALS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))
# Who presses Ctrl-C twice in that time means it once.
_SAME_WISH_SECONDS = 2.0


class Interrupted(KeyboardInterrupt):
    """A signal came; ``number`` says which."""

    def __init__(self, number: int) -> None:
        """Of the signal ``number``."""
        super().__init__(number)
        self.number = number


def exit_code(error: KeyboardInterrupt) -> int:
    """128 and the number of the signal, as shells have it: 130 after Ctrl-C, 143 after SIGTERM."""
    return 128 + (error.number if isinstance(error, Interrupted) else signal.SIGINT)


@contextmanager
def all_like_ctrl_c() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block as Ctrl-C does, with :class:`Interrupted`.

    A second signal within two seconds changes nothing: what the first one keeps is kept. Signals
    that the program was told to ignore (``nohup``) stay so, and other threads are left alone.
    """
    first: list[float] = []

    def handle(number: int, frame: Any) -> None:
        now = time.monotonic()
        if not first or now - first[-1] > _SAME_WISH_SECONDS:
            first.append(now)
            raise Interrupted(number)

    with _handling(lambda before: handle if before is not signal.SIG_IGN else None):
        yield


@contextmanager
def deferred() -> Iterator[None]:
    """Let the block come to its end before a signal takes effect; in the main thread only."""
    came: list[tuple[Any, int, Any]] = []

    def later(before: Any) -> Callable[[int, Any], None] | None:
        if not callable(before):
            return None  # the system's own way, which knows no Python
        return lambda number, frame: came.append((before, number, frame))

    with _handling(later):
        yield
    if came:
        handler, number, frame = came[0]
        handler(number, frame)


@contextmanager
def _handling(choose: Callable[[Any], Callable[[int, Any], None] | None]) -> Iterator[None]:
    """Other handlers for a block: what ``choose`` makes of those of before; None is no change."""
    changed = {}
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            before = signal.getsignal(number)
            # None: set by something else than Python.
            if before is not None and (handler := choose(before)) is not None:
                changed[number] = before
                signal.signal(number, handler)
    try:
        yield
    finally:
        for number, before in changed.items():
            signal.signal(number, before)
