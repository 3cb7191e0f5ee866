"""What a run shows while it goes: files, hours of audio, speed, time left, where it waits."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from types import TracebackType

from tqdm.auto import tqdm

_FORMAT = "{desc}: {percentage:3.0f}%|{bar:20}| {postfix} [{elapsed}<{remaining}]"
_FORMAT_ENDLESS = "{desc}: {postfix} [{elapsed}]"
# In a log file or the output of a job a bar is noise, and silence for hours is worse.
_SECONDS_BETWEEN_LINES = 30.0


class Progress:
    """A bar on a terminal or in a notebook, elsewhere a line every half a minute; all on stderr.

    The time left follows the bytes of files where they are known.
    """

    def __init__(
        self,
        name: str,
        sizes: Mapping[str, int] | None,
        *,
        total: int | None,
        there: int = 0,
        shown: bool | None = None,
    ) -> None:
        """A run of ``name`` over ``total`` items, ``there`` of which were done before.

        ``sizes`` are bytes of the items to do, by id. ``shown=True`` is a bar anywhere,
        ``False`` nothing.
        """
        self._sizes, self._total, self._count = sizes, total, there
        todo = None if total is None else total - there
        barred = (sys.stderr.isatty() or _in_notebook()) if shown is None else shown
        self._lines = shown is None and not barred and todo != 0
        self._name, self._line_at = name, time.monotonic() + _SECONDS_BETWEEN_LINES
        self._bar = tqdm(
            total=todo if sizes is None else sum(map(max, sizes.values(), [1] * len(sizes))),
            desc=name,
            bar_format=_FORMAT_ENDLESS if total is None else _FORMAT,
            disable=todo == 0 or not barred,
        )
        self._started = time.monotonic()
        self._seconds, self._failed = 0.0, 0
        self._show("")

    def add(self, id: str, seconds: float, failed: bool, waiting_on: str = "") -> None:
        """Another item is done: its seconds of audio, and where the run spends its time."""
        self._count += 1
        self._seconds += seconds
        self._failed += failed
        self._show(waiting_on)
        self._bar.update(1 if self._sizes is None else max(1, self._sizes.get(id, 1)))

    def _show(self, waiting_on: str) -> None:
        speed = self._seconds / max(time.monotonic() - self._started, 1e-9)
        files = f"{self._count}" if self._total is None else f"{self._count}/{self._total}"
        parts = [f"{files} files, {duration(self._seconds)} of audio, {speed:.0f}x real time"]
        if self._failed:
            parts.append(f"{self._failed} failed")
        if waiting_on:
            parts.append(f"waiting on {waiting_on}")
        self._bar.set_postfix_str(", ".join(parts), refresh=False)
        if self._lines and (now := time.monotonic()) >= self._line_at:
            self._line_at = now + _SECONDS_BETWEEN_LINES
            sys.stderr.write(f"{self._name}: {', '.join(parts)}\n")
            sys.stderr.flush()

    def __enter__(self) -> Progress:
        """Nothing more than the constructor did."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        """Leave the bar as it stands."""
        self._bar.close()


def _in_notebook() -> bool:
    """Whether tqdm chose the bar of notebooks, whose stderr is no terminal."""
    return any("notebook" in parent.__module__ for parent in tqdm.__mro__)


def duration(seconds: float) -> str:
    """A time for people: ``42.0 s``, ``5.2 min``, ``35.1 h``."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
