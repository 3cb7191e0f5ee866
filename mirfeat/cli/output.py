"""What all commands share when they speak: exit codes and JSON."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from typing import Any

SOME_FAILED, USAGE, CHECKPOINT, ALL_FAILED, INTERNAL, INTERRUPTED = 1, 2, 3, 4, 5, 130


def print_json(record: Any) -> None:
    """Results for machines, on stdout."""
    print(json.dumps(record, indent=1, ensure_ascii=False))


def say_next(*commands: Sequence[Any]) -> None:
    """What one may do next, on a terminal: scripts and logs are for machines."""
    if sys.stderr.isatty():
        for command in commands:
            words = " ".join(str(w) if str(w).isupper() else shlex.quote(str(w)) for w in command)
            print(f"next: {words}", file=sys.stderr)
