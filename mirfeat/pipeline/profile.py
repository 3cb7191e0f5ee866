"""Where the time of a run goes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Profile:
    """Seconds that a run spent, by what it did; what threads did is summed."""

    def __init__(self) -> None:
        """Nothing spent so far."""
        self._seconds: dict[str, float] = {}
        self._lock = threading.Lock()

    @contextmanager
    def spent(self, what: str) -> Iterator[None]:
        """Count the time of a block of code."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.add(what, time.monotonic() - started)

    def add(self, what: str, seconds: float) -> None:
        """Count some seconds; from any thread."""
        with self._lock:
            self._seconds[what] = self._seconds.get(what, 0.0) + seconds

    @property
    def seconds(self) -> dict[str, float]:
        """What was spent so far."""
        with self._lock:
            return dict(self._seconds)

    @property
    def waiting_on(self) -> str:
        """What the run waits for most: ``decode`` or ``network``."""
        spent = self.seconds
        # Where nobody waits for decoders, threads do both.
        idle = spent.get("wait", spent.get("decode", 0.0))
        busy = spent.get("network", 0.0)
        return "" if idle + busy == 0 else "decode" if idle > busy else "network"
