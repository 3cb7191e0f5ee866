"""One run of one tool in a process of its own: how long, how much memory, or what went wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.peer_tools import ROOT, WORKERS, Tool, interpreter, last_line

# Variables that set threads: none by default, so that every tool runs as it would for its user.
THREADS = (
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"),
    *("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
)
_SAMPLING_SECONDS = 0.2


@dataclass(frozen=True)
class Limits:
    """When a run is stopped: seconds since its process started, bytes of its process tree."""

    seconds: float
    memory_bytes: float


@dataclass
class Outcome:
    """What one process did.

    ``cold_seconds``: from its start to its first vector. ``seconds`` and ``cpu_seconds``: all
    ``files`` after that. ``peak_bytes``: most memory resident, with its children if it had any.
    ``failure`` says why a number is missing.
    """

    files: int
    cold_seconds: float | None = None
    seconds: float | None = None
    cpu_seconds: float | None = None
    peak_bytes: float = 0.0
    numbers: int | None = None
    versions: dict[str, str] = field(default_factory=dict)
    failure: str = ""

    def hear(self, event: dict[str, Any], since_start: float) -> None:
        """Take a line of the worker."""
        if event["event"] == "first":
            self.cold_seconds = since_start
            self.numbers, self.versions = event["numbers"], event["versions"]
        else:
            self.seconds, self.cpu_seconds = event["seconds"], event["cpu_seconds"]
            self.peak_bytes = max(self.peak_bytes, event["peak_bytes"])


class Watch:
    """Samples the memory of a process tree in a thread; stops the tree at a limit.

    Once the process has children, the largest sum seen is ``peak_bytes``. Without them it stays
    0 unless the tree was stopped: the process itself knows its peak better than samples do.
    """

    def __init__(self, pid: int, limits: Limits) -> None:
        """Start to watch."""
        self.peak_bytes, self.stopped = 0.0, ""
        self._tree, self._limits = psutil.Process(pid), limits
        self._started, self._highest, self._children = time.monotonic(), 0.0, False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def end(self) -> None:
        """The process has ended."""
        self._over.set()
        self._thread.join()
        if self._children or self.stopped:
            self.peak_bytes = self._highest

    def _run(self) -> None:
        while not self._over.wait(_SAMPLING_SECONDS) and not self.stopped:
            try:
                self._sample()
            except psutil.Error:
                continue  # a process of the tree ended meanwhile

    def _sample(self) -> None:
        processes = [self._tree, *self._tree.children(recursive=True)]
        self._children = self._children or len(processes) > 1
        resident = float(sum(process.memory_info().rss for process in processes))
        self._highest = max(self._highest, resident)
        if resident > self._limits.memory_bytes:
            self.stopped = f"stopped at {resident / 1e9:.1f} GB of memory"
        elif time.monotonic() - self._started > self._limits.seconds:
            self.stopped = f"stopped after {self._limits.seconds:.0f} s"
        if self.stopped:
            for process in reversed(processes):
                process.kill()


def run(
    tool: Tool, environments: Path, files: Sequence[Path], limits: Limits, threads: int | None
) -> Outcome:
    """Start ``tool`` on ``files`` in a fresh process and wait for it.

    ``threads``: what the usual variables are set to; None leaves each tool its own default.
    """
    folder = environments / tool.environment if tool.environment else None
    python = interpreter(folder) if folder else Path(sys.executable)
    command = [str(python), "-m", f"{WORKERS}.{tool.worker}", *tool.options, "--", *map(str, files)]
    outcome = Outcome(len(files))
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        started = time.perf_counter()
        with subprocess.Popen(
            command,
            cwd=ROOT,
            env=_variables(folder, threads),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process:
            watch = Watch(process.pid, limits)
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    outcome.hear(json.loads(line), time.perf_counter() - started)
                code = process.wait()
            finally:
                process.kill()  # after an interrupt; one that has ended does not mind
                watch.end()
        errors.seek(0)
        outcome.failure = watch.stopped or (failure(code, errors.read()) if code else "")
    outcome.peak_bytes = max(outcome.peak_bytes, watch.peak_bytes)
    return outcome


def _variables(folder: Path | None, threads: int | None) -> dict[str, str]:
    dropped = {*THREADS, "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    # On the processor, also where there is a GPU.
    kept["CUDA_VISIBLE_DEVICES"] = ""
    if folder:
        kept["HOME"] = str(folder / "home")
    return kept | {name: str(threads) for name in THREADS if threads}


def failure(code: int, errors: str) -> str:
    """How a worker ended that did not end well."""
    if code == -signal.SIGKILL:
        return "killed, probably for its memory"
    return last_line(errors) if code > 0 else f"signal {-code}: {last_line(errors)}"


def found_versions(outcomes: Iterable[Outcome]) -> dict[str, str]:
    """Versions that the workers reported."""
    return next((outcome.versions for outcome in outcomes if outcome.versions), {})
