"""What workers tell ``benchmarks.peer_runs``: a line of JSON after its first vector and after all.

A worker is started as ``python -m benchmarks.peer_workers.run_X [option ...] -- FILE ...``. It
loads its tool, makes the vector of the first file, and then the vectors of all files.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Any, TypeAlias

Vectors: TypeAlias = Callable[[Sequence[str]], Sequence[Any]]
"""Paths to one array a path."""


def serve(load: Callable[[Sequence[str]], Vectors], packages: Sequence[str]) -> None:
    """Run the worker; ``load`` gets the options and returns the loaded tool.

    ``packages`` are the distributions whose versions the report names.
    """
    # Tools print as they like; what they print must not mix with the two lines.
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    split = sys.argv.index("--")
    options, paths = sys.argv[1:split], sys.argv[split + 1 :]
    vectors = load(options)
    first = vectors(paths[:1])[0]
    _say(lines, event="first", numbers=_last_size(first), versions=_versions(packages))
    started, cpu_started = time.perf_counter(), _cpu_seconds()
    found = vectors(paths)
    seconds, cpu_seconds = time.perf_counter() - started, _cpu_seconds() - cpu_started
    if len(found) != len(paths):
        raise SystemExit(f"{len(found)} vectors of {len(paths)} files")
    _say(lines, event="done", seconds=seconds, cpu_seconds=cpu_seconds, peak_bytes=_peak_bytes())


def _say(lines: Any, **event: Any) -> None:
    lines.write(json.dumps(event) + "\n")
    lines.flush()


def _last_size(vector: Any) -> int:
    """Numbers a vector (or a row, for tools that give one row a window) holds."""
    return int(vector.shape[-1])


def _cpu_seconds() -> float:
    """Of all threads of this process and of the children that have ended."""
    return sum(os.times()[:4])


def _peak_bytes() -> int:
    """Most memory this process had resident."""
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            fields = dict(line.split(":", 1) for line in file)
        return int(fields["VmHWM"].split()[0]) * 1024
    except OSError:
        # Not on Linux. There ru_maxrss would start from the memory of the parent at the fork.
        scale = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def _versions(packages: Sequence[str]) -> dict[str, str]:
    return {"Python": platform.python_version()} | {
        package: metadata.version(package) for package in packages
    }
