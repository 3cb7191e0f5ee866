"""What all commands share when they speak: exit codes, text for people, JSON for machines."""

from __future__ import annotations

import argparse
import io
import json
import logging
import os
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mirfeat.runs.progress import Shown

_PROGRESS: dict[str, Shown] = {"bar": True, "json": "json", "none": False}
SOME_FAILED, USAGE, CHECKPOINT, ALL_FAILED, INTERNAL = 1, 2, 3, 4, 5
# What a terminal obeys instead of showing it: control characters, and those that turn the direction
# of writing. Names of files may hold them.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
# JSON escapes the others itself.
_UNSEEN_IN_JSON = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def printable(text: object) -> str:
    """A line of text, with escapes in place of what a terminal would obey."""
    return _UNSEEN.sub(_escape, str(text))


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


def shown_progress(arguments: argparse.Namespace) -> Shown:
    """How long work is shown, by ``--progress`` and ``--quiet``."""
    if arguments.progress == "auto":
        return False if arguments.quiet else None
    return _PROGRESS[arguments.progress]


def tell(text: object) -> None:
    """A line for people, on stderr."""
    print(printable(text), file=sys.stderr)


def print_json(record: Any) -> None:
    """Results for machines, on stdout."""
    text = json.dumps(record, indent=1, ensure_ascii=False)
    print(_UNSEEN_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text))


class LineFormatter(logging.Formatter):
    """Log lines as :func:`tell` writes them."""

    def format(self, record: logging.LogRecord) -> str:
        """A line."""
        return printable(super().format(record))


@contextmanager
def results_alone() -> Iterator[None]:
    """Have on stdout what Python prints and nothing else.

    Decoders in C print warnings of their own, some of them to stdout, in the middle of JSON. They
    go to stderr.
    """
    before = sys.stdout
    try:
        is_real = before.fileno() == 1
    except (OSError, ValueError, AttributeError):
        is_real = False
    if not (is_real and isinstance(before, io.TextIOWrapper)):
        yield
        return
    before.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = os.fdopen(
        os.dup(kept), "w", encoding=before.encoding, errors=before.errors, buffering=1
    )
    try:
        yield
    finally:
        with suppress(OSError):  # nobody reads it any more
            sys.stdout.close()
        sys.stdout = before
        os.dup2(kept, 1)
        os.close(kept)


def say_next(*commands: Sequence[Any]) -> None:
    """What one may do next, on a terminal: scripts and logs are for machines."""
    if sys.stderr.isatty():
        for command in commands:
            words = " ".join(str(w) if str(w).isupper() else shlex.quote(str(w)) for w in command)
            tell(f"next: {words}")
