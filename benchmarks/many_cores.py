"""What more cores bring: threads and processes measured on those here, the rest computed.

On processors a clip stays in one thread, and threads share nothing but Python's lock. How long a
thread holds it is sampled from another process by py-spy (``pip install py-spy``), beside a loop of
Python that never lets go and counts as 1. From that share Amdahl's law says what threads can reach
at most; processes have a lock each.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import mirfeat
from benchmarks.tables import print_machine, print_table, write_clips

EXTRACTORS = ("choi2017", "kim2019-ms-sr-fc", "mfcc")
CORES = (2, 16, 64)
# Samples a second, seconds of them, and how often that is done: neighbouring samples are not
# independent, so the error comes from recordings that differ.
RATE, SAMPLED, RECORDINGS = 250, 5, 6
BUSY_LOOP = "while True: pass"
# The first line says that sampling may begin.
CLIPS_LOOP = """
import sys, mirfeat
with mirfeat.load_extractor(sys.argv[1], device="cpu") as extractor:
    extractor.extract_files(sys.argv[2:], workers=1)
    print("warm", flush=True)
    while True:
        extractor.extract_files(sys.argv[2:], workers=1)
"""

_loaded: mirfeat.Extractor


def load(name: str) -> None:
    """What a process of the pool does first."""
    global _loaded
    _loaded = mirfeat.load_extractor(name, device="cpu")


def share_of_files(paths: Sequence[Path]) -> None:
    """Vectors of some files in one thread of this process."""
    _loaded.extract_files(paths, workers=1)


def seconds(task: Callable[[], object]) -> float:
    """Seconds of the clock."""
    started = time.perf_counter()
    task()
    return time.perf_counter() - started


def clips_a_second(name: str, paths: Sequence[Path], rounds: int) -> dict[str, float]:
    """Of one thread, two threads, two processes of a thread; median of rounds in turns."""
    with (
        mirfeat.load_extractor(name, device="cpu") as extractor,
        ProcessPoolExecutor(
            2, multiprocessing.get_context("spawn"), initializer=load, initargs=(name,)
        ) as pool,
    ):
        halves = [paths[0::2], paths[1::2]]
        ways: dict[str, Callable[[], object]] = {
            "1 thread": lambda: extractor.extract_files(paths, workers=1),
            "2 threads": lambda: extractor.extract_files(paths, workers=2),
            "2 processes": lambda: list(pool.map(share_of_files, halves)),
        }
        for way in ways.values():
            way()
        taken = [{key: seconds(way) for key, way in ways.items()} for _ in range(rounds)]
    return {key: len(paths) / statistics.median(round_[key] for round_ in taken) for key in ways}


def samples_with_lock(command: Sequence[str], *, warm: bool = False) -> list[int]:
    """How many of the samples of a process that works on find its lock held, by recording."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        if warm:
            assert process.stdout is not None
            process.stdout.readline()
        else:
            time.sleep(1.0)
        return [recorded(process.pid) for _ in range(RECORDINGS)]
    finally:
        process.kill()
        process.wait()


def recorded(pid: int) -> int:
    """Samples of one recording in which a thread of the process holds the lock."""
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder, "stacks")
        spy = ["py-spy", "record", "--gil", "--format", "raw", "--output", str(found)]
        numbers = ["--rate", str(RATE), "--duration", str(SAMPLED), "--pid", str(pid)]
        subprocess.run([*spy, *numbers], check=True, capture_output=True)
        # "function;function 12": a stack and how often it was seen.
        return sum(int(line.rpartition(" ")[2]) for line in found.read_text().splitlines())


def share_with_lock(name: str, paths: Sequence[Path], always: float) -> tuple[float, float]:
    """Share of one thread's time in which it holds Python's lock, and twice its standard error.

    ``always`` is the number of samples that find a lock which is never let go.
    """
    files = [str(path) for path in paths]
    found = samples_with_lock([sys.executable, "-c", CLIPS_LOOP, name, *files], warm=True)
    shares = [count / always for count in found]
    error = 2.0 * statistics.stdev(shares) / math.sqrt(len(shares))
    return min(1.0, statistics.mean(shares)), error


def limit(share: float, cores: int) -> float:
    """Amdahl: how many times as fast as one thread so many can be, if this share is serial."""
    return 1.0 / (share + (1.0 - share) / cores)


def limits(share: float, error: float) -> list[str]:
    """For every number of cores the limit, and where it lies between for twice the error."""
    cells = []
    for cores in CORES:
        low, high = limit(min(1.0, share + error), cores), limit(max(0.0, share - error), cores)
        cells.append(f"{limit(share, cores):.1f} ({low:.1f} to {high:.1f})")
    return cells


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=EXTRACTORS)
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    spied = shutil.which("py-spy") is not None
    if not spied:
        print("\nWithout py-spy (pip install py-spy) no share of Python's lock, and no limits.")
    always = statistics.mean(samples_with_lock([sys.executable, "-c", BUSY_LOOP])) if spied else 0.0
    speeds, computed = [], []
    with tempfile.TemporaryDirectory() as folder:
        paths = write_clips(Path(folder), options.clips)
        for name in options.names:
            rates = clips_a_second(name, paths, options.rounds)
            one = rates["1 thread"]
            speeds.append((name, *(f"{rate:.1f} ({rate / one:.2f})" for rate in rates.values())))
            if spied:
                share, error = share_with_lock(name, paths, always)
                held = f"{100 * share:.1f} % ± {100 * error:.1f}"
                computed.append((name, held, *limits(share, error)))
    title = f"{options.clips} mp3 files of 30 s: clips a second (times one thread), measured"
    print_table(title, ("extractor", "1 thread", "2 threads", "2 processes"), speeds)
    if spied:
        header = ("extractor", "time with Python's lock", *(f"{cores} cores" for cores in CORES))
        print_table("Threads of one process against one thread at most, computed", header, computed)


if __name__ == "__main__":
    print_machine()
    main()
