"""Which files a run has in hand: what a process that a decoder has ended leaves behind.

Each process that decodes keeps a note of its own: the one that writes the folder, one for each
device, actors of a cluster. A line is added when a file is begun and when it is done, without
waiting for the disk: the note is for a process that ends, not for a loss of power. A process that
ends in any orderly way deletes its note.
"""

from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mirfeat.files import UNFINISHED

NAME = ".in-hand"
# What was begun and ended is dropped from time to time.
_MOST_LINES = 10_000
# More than that nobody has written: a line is an id.
_MOST_BYTES = 1 << 26


class InHand:
    """The note of one process; of those that work for another ``worker`` says which it is."""

    def __init__(self, folder: Path, worker: str = "") -> None:
        """Nothing is written yet."""
        self._path, self._lock, self._lines = _path(folder, worker), threading.Lock(), 0
        self._descriptor: int | None = None
        self._open: dict[str, None] = {}

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
        unfinished = self._path.with_name(f"{UNFINISHED}{self._path.name}")
        unfinished.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
        descriptor = os.open(unfinished, flags, 0o666)
        os.write(descriptor, b"".join(_line("+", id) for id in self._open))
        unfinished.replace(self._path)
        self._descriptor, self._lines = descriptor, 0

    def end(self) -> None:
        """The process lives: nothing in hand has ended it."""
        with self._lock:
            if self._descriptor is None:
                return  # what lies there is of somebody else, and may not have been looked at
            os.close(self._descriptor)
            self._descriptor = None
            _delete(self._path)


def left_in_hand(folder: Path) -> tuple[str, ...]:
    """Ids that processes had in hand when they ended, by all notes of a folder."""
    return tuple(dict.fromkeys(id for path in _notes(folder) for id in _read(path)))


def discard(folder: Path, worker: str | None = None) -> None:
    """Delete the note of a worker that was ended on purpose, or all notes: nobody is at work."""
    for path in _notes(folder) if worker is None else [_path(folder, worker)]:
        _delete(path)


def _path(folder: Path, worker: str) -> Path:
    return folder / (f"{NAME}-{worker}" if worker else NAME)


def _notes(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{NAME}*"))


def _delete(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)


def _line(sign: str, id: str) -> bytes:
    return f"{sign}{json.dumps(id)}\n".encode()


def _read(path: Path) -> tuple[str, ...]:
    """Ids that were begun and not ended, in order; a last line that was cut short counts not."""
    ids: dict[str, None] = {}
    try:
        facts = path.lstat()
        # A folder may come from anybody; reading a pipe would never end.
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > _MOST_BYTES:
            return ()
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
