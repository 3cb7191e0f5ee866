"""What long work shows while it goes: a bar, lines in a log file, or JSON for machines."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Literal, TypeAlias, TypeVar

from tqdm.auto import tqdm

Shown: TypeAlias = bool | Literal["json"] | None
"""None: a bar on a terminal or in a notebook, elsewhere a line every half a minute; True: a bar
anywhere; False: nothing; "json": an object a line, at most one a second. All on stderr."""

_Item = TypeVar("_Item")
_FORMAT = "{desc}: {percentage:3.0f}%|{bar:20}| {postfix} [{elapsed}<{remaining}]"
_FORMAT_ENDLESS = "{desc}: {postfix} [{elapsed}]"
# In a log file or the output of a job a bar is noise, and silence for hours is worse.
_SECONDS_BETWEEN_LINES = 30.0
_SECONDS_BETWEEN_OBJECTS = 1.0


class Display:
    """Work on its way, in the one form that suits who is looking."""

    def __init__(
        self, name: str, size: int | None, shown: Shown, *, idle: bool = False, leave: bool = True
    ) -> None:
        """``size`` is how much there is to do, None if nobody knows; ``idle`` says nothing."""
        barred = (sys.stderr.isatty() or _in_notebook()) if shown is None else shown is True
        self._json = shown == "json" and not idle
        self.lines = shown is None and not barred and not idle
        self._name, self._started = name, time.monotonic()
        self._said_at = self._started
        self.bar = tqdm(
            total=size,
            desc=name,
            bar_format=_FORMAT_ENDLESS if size is None else _FORMAT,
            disable=idle or not barred,
            leave=leave,
        )

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._started

    def show(
        self, text: str, facts: Mapping[str, Any], amount: int = 0, last: bool = False
    ) -> None:
        """``amount`` more is done: for people ``text``, for machines ``facts``."""
        self.bar.set_postfix_str(text, refresh=False)
        self.bar.update(amount)
        now = time.monotonic()
        if self.lines and now >= self._said_at + _SECONDS_BETWEEN_LINES:
            self._say(f"{self._name}: {text}", now)
        elif self._json and (last or now >= self._said_at + _SECONDS_BETWEEN_OBJECTS):
            seconds = round(now - self._started, 1)
            self._say(json.dumps({"progress": self._name, **facts, "seconds": seconds}), now)

    def tell(self, text: str, facts: Mapping[str, Any]) -> None:
        """Something that happened on the way, beside the bar."""
        if self._json:
            self._say(json.dumps({"progress": self._name, **facts}), self._said_at)
        elif self.lines or not self.bar.disable:
            tqdm.write(f"{self._name}: {text}", file=sys.stderr)

    def close(self) -> None:
        """Leave the bar as it stands."""
        self.bar.close()

    def _say(self, line: str, now: float) -> None:
        self._said_at = now
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


class Progress:
    """A run over files: how many, hours of audio, speed, failures, what it waits for.

    The time left follows the bytes of files where they are known.
    """

    def __init__(
        self,
        name: str,
        sizes: Mapping[str, int] | None,
        *,
        total: int | None,
        there: int = 0,
        shown: Shown = None,
    ) -> None:
        """A run of ``name`` over ``total`` items, ``there`` of which were done before.

        ``sizes`` are bytes of the items to do, by id.
        """
        self._sizes, self._total, self._count = sizes, total, there
        todo = None if total is None else total - there
        size = todo if sizes is None else sum(map(max, sizes.values(), [1] * len(sizes)))
        self._display = Display(name, size, shown, idle=todo == 0)
        self._seconds, self._failed = 0.0, 0
        self._show("")

    def add(self, id: str, seconds: float, failed: bool, waiting_on: str = "") -> None:
        """Another item is done: its seconds of audio, and where the run spends its time."""
        self._count += 1
        self._seconds += seconds
        self._failed += failed
        self._show(waiting_on, 1 if self._sizes is None else max(1, self._sizes.get(id, 1)))

    def _show(self, waiting_on: str, amount: int = 0) -> None:
        speed = self._seconds / max(self._display.seconds, 1e-9)
        files = f"{self._count}" if self._total is None else f"{self._count}/{self._total}"
        parts = [f"{files} files, {duration(self._seconds)} of audio, {speed:.0f}x real time"]
        if self._failed:
            parts.append(f"{self._failed} failed")
        if waiting_on:
            parts.append(f"waiting on {waiting_on}")
        facts = {
            "files": self._count,
            "of": self._total,
            "failed": self._failed,
            "audio_seconds": round(self._seconds, 1),
        }
        self._display.show(", ".join(parts), facts, amount, last=self._count == self._total)

    def __enter__(self) -> Progress:
        """Nothing more than the constructor did."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        """Leave the bar as it stands."""
        self._display.close()


class Steps:
    """Work that is counted: trainings, epochs, tracks."""

    def __init__(
        self,
        name: str,
        total: int,
        unit: str,
        shown: Shown = None,
        *,
        done: int = 0,
        leave: bool = True,
    ) -> None:
        """``total`` steps called ``unit``, ``done`` of them before."""
        self._total, self._unit, self._done, self._before = total, unit, done, done
        self._display = Display(name, total - done, shown, idle=total <= done, leave=leave)

    def __call__(self, amount: int = 1) -> None:
        """So many more are done; the last one closes the bar."""
        self._done += amount
        last = self._done >= self._total
        self._display.show(self._text(), self._facts, amount, last=last)
        if last:
            self.close()

    def tell(self, text: str, **facts: Any) -> None:
        """Something that happened at this step."""
        self._display.tell(text, {**self._facts, **facts})

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._display.close()

    @property
    def _facts(self) -> dict[str, Any]:
        return {"done": self._done, "of": self._total, "unit": self._unit}

    def _text(self) -> str:
        now = self._done - self._before
        text = f"{self._done}/{self._total} {self._unit}"
        left = (self._total - self._done) * self._display.seconds / max(now, 1)
        return f"{text}, about {duration(left)} left" if self._display.lines and left else text


def counted(
    items: Iterable[_Item], name: str, total: int, unit: str, shown: Shown = None
) -> Iterator[_Item]:
    """The items, each counted once it has been dealt with."""
    steps = Steps(name, total, unit, shown)
    try:
        for item in items:
            yield item
            steps()
    finally:
        steps.close()


def _in_notebook() -> bool:
    """Whether tqdm chose the bar of notebooks, whose stderr is no terminal."""
    return any("notebook" in parent.__module__ for parent in tqdm.__mro__)


def duration(seconds: float) -> str:
    """A time for people: ``42.0 s``, ``5.2 min``, ``35.1 h``."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
