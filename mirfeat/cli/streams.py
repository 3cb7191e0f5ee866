"""Standard streams that whoever started the program has closed, or closes while it runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast


def replace_closed_streams() -> None:
    """Let closed standard streams lead nowhere.

    Python has None for them, which ``print`` takes for stdout; and the first file that is opened
    would get their number, so that what C libraries print would end in it.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            # Kept open for as long as the program runs.
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115


@contextmanager
def words_may_be_lost() -> Iterator[None]:
    """Let nothing that cannot be written to stderr end the block.

    Whoever read it may have left, or its disk be full. What is done and what the exit code says
    do not depend on that.
    """
    before = sys.stderr
    sys.stderr = cast(TextIO, _Unheard(before))
    try:
        yield
    finally:
        sys.stderr = before


class _Unheard:
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or not; the length of the text."""
        try:
            self._stream.write(text)
        except (OSError, ValueError):
            self._give_up()
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self._give_up()

    def _give_up(self) -> None:
        """Have what waits in the stream's buffer, and all that follows, lead nowhere."""
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
