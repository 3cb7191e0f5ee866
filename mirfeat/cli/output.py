"""What all commands share when they speak: exit codes and JSON."""

from __future__ import annotations

import json
from typing import Any

SOME_FAILED, USAGE, CHECKPOINT, ALL_FAILED, INTERNAL, INTERRUPTED = 1, 2, 3, 4, 5, 130


def print_json(record: Any) -> None:
    """Results for machines, on stdout."""
    print(json.dumps(record, indent=1, ensure_ascii=False))
