"""Lines that Ray prints as errors or warnings though nothing is wrong."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# Ray starts actors anew from a reference that it keeps itself for as long as the run lasts.
_IN_C = re.compile(rb"has constructor arguments in the object store and max_restarts > 0")
# Every cluster of recent versions says so.
_TOKENS = "ray._private.authentication.authentication_token_setup"


@contextmanager
def quiet_tokens() -> Iterator[None]:
    """Without the warning that the cluster asks for a token, which Ray makes itself."""
    logger = logging.getLogger(_TOKENS)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextmanager
def quiet_actors() -> Iterator[None]:
    """Without the line about arguments of actors, which Ray's C++ writes to stderr itself.

    All else that is written to it passes.
    """
    reading, writing = os.pipe()
    kept = os.dup(2)
    os.dup2(writing, 2)
    os.close(writing)
    passing = threading.Thread(target=_pass_on, args=(reading, kept), daemon=True)
    passing.start()
    try:
        yield
    finally:
        os.dup2(kept, 2)  # the last writing end: the thread comes to its end
        passing.join()
        os.close(reading)
        os.close(kept)


def _pass_on(reading: int, to: int) -> None:
    """Copy until the other end is closed; a line of Ray's is held until it is whole."""
    held = b""
    while chunk := os.read(reading, 65536):
        *lines, held = (held + chunk).split(b"\n")
        os.write(to, b"".join(line + b"\n" for line in lines if not _IN_C.search(line)))
        if not held.startswith(b"["):
            os.write(to, held)  # a bar, which has no end of a line
            held = b""
    os.write(to, held)
