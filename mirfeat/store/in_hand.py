"""Which files a run has in hand: what a process that a decoder has ended leaves behind.

A line is added when a file is begun and when it is done, without waiting for the disk: the note is
for a process that ends, not for a loss of power. A run that ends in any orderly way deletes it.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NAME = ".in-hand"
# What was begun and ended is dropped from time to time.
_MOST_LINES = 10_000


class InHand:
    """The note of one store; ``before`` are the ids that a process had in hand when it ended."""

    def __init__(self, folder: Path) -> None:
        """Read what is there; nothing is written yet."""
        self._path, self._lock, self._lines = folder / NAME, threading.Lock(), 0
        self._descriptor: int | None = None
        self._open: dict[str, None] = {}
        self.before = _read(self._path)

    @contextmanager
    def holding(self, id: str) -> Iterator[None]:
        """Have an id in the note during the block, in any thread."""
        self._note("+", id)
        try:
            yield
        finally:
            self._note("-", id)

    def _note(self, sign: str, id: str) -> None:
        with self._lock:
            if sign == "+":
                self._open[id] = None
            else:
                self._open.pop(id, None)
            # A disk that is full or away ends the run elsewhere, with rows at stake.
            with suppress(OSError):
                self._write(sign, id)

    def _write(self, sign: str, id: str) -> None:
        if self._descriptor is None or self._lines > _MOST_LINES:
            self._begin()
        else:
            os.write(self._descriptor, _line(sign, id))
            self._lines += 1

    def _begin(self) -> None:
        """A new note of what is in hand now, in place of the old one."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        unfinished = self._path.with_name(f"{NAME}.new")
        unfinished.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
        descriptor = os.open(unfinished, flags, 0o666)
        os.write(descriptor, b"".join(_line("+", id) for id in self._open))
        unfinished.replace(self._path)
        self._descriptor, self._lines = descriptor, 0

    def end(self) -> None:
        """The process lives: nothing in hand has ended it."""
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None
            with suppress(OSError):
                self._path.unlink(missing_ok=True)


def _line(sign: str, id: str) -> bytes:
    return f"{sign}{json.dumps(id)}\n".encode()


def _read(path: Path) -> tuple[str, ...]:
    """Ids that were begun and not ended, in order; a last line that was cut short counts not."""
    ids: dict[str, None] = {}
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return ()
    for line in lines:
        try:
            id = json.loads(line[1:])
        except (ValueError, RecursionError):
            continue
        if not isinstance(id, str):
            continue
        if line.startswith(b"+"):
            ids[id] = None
        else:
            ids.pop(id, None)
    return tuple(ids)
