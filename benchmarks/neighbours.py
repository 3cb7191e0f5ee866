"""Neighbours among a million vectors: time to build, to answer, and what the fast way misses.

Vectors of 320 numbers that lie as those of music do: around many centres, in fewer directions than
they have numbers (Gaussian mixtures of 30 dimensions, mapped linearly, with a little noise). They
are in a parquet store, as ``mirfeat extract`` writes it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from mirfeat.explore.kept_index import open_index
from mirfeat.explore.neighbours import Neighbours
from mirfeat.provenance import Provenance
from mirfeat.store.formats import Row
from mirfeat.store.reading import load_features
from mirfeat.store.record import StoreInfo

QUERIES, TOP = 100, 10
_ROWS_A_FILE = 10_000


def vectors(count: int, size: int = 320, seed: int = 0) -> np.ndarray:
    """float32 [count, size], made in pieces."""
    draw = np.random.default_rng(seed)
    directions = draw.standard_normal((30, size), dtype=np.float32) / 30**0.5
    centres = 2 * draw.standard_normal((2000, 30), dtype=np.float32)
    values = np.empty((count, size), np.float32)
    for start in range(0, count, 50_000):
        piece = values[start : start + 50_000]
        around = centres[draw.integers(len(centres), size=len(piece))]
        inner = around + draw.standard_normal(around.shape, dtype=np.float32)
        piece[:] = inner @ directions + 0.1 * draw.standard_normal(piece.shape, dtype=np.float32)
    return values


def write_store(folder: Path, values: np.ndarray) -> None:
    """A parquet store of vectors whose ids look like paths."""
    names = tuple(f"x.a.{number:03}.mean" for number in range(values.shape[1]))
    provenance = Provenance("x", 1, {"statistics": ("mean",)}, None, None, "0", {}, "cpu")
    info = StoreInfo(provenance, names, "parquet", False, str(folder))
    folder.mkdir(parents=True)
    info.write(folder)
    files = info.row_files(folder)
    for number, start in enumerate(range(0, len(values), _ROWS_A_FILE), 1):
        rows = [
            Row(f"artist{row % 5000:04}/album/{row:07}.mp3", 30.0, 1, "", 1, 1, values[row])
            for row in range(start, min(start + _ROWS_A_FILE, len(values)))
        ]
        files.write(folder / f"part-{number:06}.parquet", rows)


def answers(index: Neighbours, rows: np.ndarray) -> tuple[list[float], list[set[int]]]:
    """Seconds of each answer, and what was found."""
    times, found = [], []
    for row in rows:
        started = time.perf_counter()
        near = index.among([int(row)], TOP)
        times.append(time.perf_counter() - started)
        found.append(set(near.rows[0].tolist()))
    return times, found


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["MIRFEAT_CACHE"] = f"{home}/cache"
        store = Path(home) / "store"
        write_store(store, vectors(arguments.count))
        _compare(store, arguments.count)


def _compare(store: Path, count: int) -> None:
    rows = np.random.default_rng(1).choice(count, min(QUERIES, count), replace=False)
    print(f"{count} vectors of 320 numbers in parquet, top {TOP}, cosine")
    print("| search | ready, s | one answer, s: median, longest | found of the exact ten |")
    print("|---|---|---|---|")

    def line(name: str, ready: float, times: list[float], share: float) -> None:
        middle, longest = statistics.median(times), max(times)
        print(f"| {name} | {ready:.1f} | {middle:.4f}, {longest:.4f} | {share:.3f} |", flush=True)

    started = time.perf_counter()
    index = Neighbours(load_features(store))
    ready = time.perf_counter() - started
    times, _ = answers(index, rows[:10])
    exact = [{*near} for near in index.among(rows.tolist(), TOP).rows.tolist()]
    line("exact", ready, times, 1.0)
    for name in ("approximate, the index is made", "approximate, it is there"):
        del index
        started = time.perf_counter()
        index = open_index(store)
        ready = time.perf_counter() - started
        times, found = answers(index, rows)
        share = float(np.mean([len(a & b) / TOP for a, b in zip(exact, found, strict=True)]))
        line(name, ready, times, share)
    # Of a process of its own: what it held at most is its own too.
    program = (
        "import re, sys, mirfeat.cli; mirfeat.cli.main(sys.argv[1:]); "
        "print(re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1])"
    )
    command = [sys.executable, "-c", program, "similar", index.ids[0], str(store)]
    for options in (["--approximate"], []):
        started = time.perf_counter()
        done = subprocess.run([*command, *options], check=True, capture_output=True, text=True)
        took, most = time.perf_counter() - started, int(done.stdout.split()[-1]) / 1024
        print(f"mirfeat similar ID STORE {' '.join(options)}: {took:.1f} s, {most:.0f} MB")


if __name__ == "__main__":
    main()
