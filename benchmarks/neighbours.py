"""Neighbours among a million vectors: time to build, to answer, and what the fast way misses.

Vectors of 320 numbers that lie as those of music do: around many centres, in fewer directions than
they have numbers (Gaussian mixtures of 30 dimensions, mapped linearly, with a little noise).
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

from mirfeat.explore.neighbours import Neighbours
from mirfeat.provenance import Provenance
from mirfeat.results.table import FeatureTable

QUERIES, TOP = 100, 10


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


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    arguments = parser.parse_args()
    values = vectors(arguments.count)
    names = tuple(f"x.a.{number:03}.mean" for number in range(values.shape[1]))
    ids = tuple(map(str, range(len(values))))
    table = FeatureTable(values, ids, names, Provenance("x", 1, {}, None, None, "0", {}, "cpu"))
    rows = np.random.default_rng(1).choice(len(values), QUERIES, replace=False)
    print(f"{len(values)} vectors of {values.shape[1]} numbers, top {TOP}, cosine")
    print("| search | build, s | one answer, s: median, longest | found of the exact ten |")
    print("|---|---|---|---|")
    exact: list[set[int]] = []
    for approximate in (False, True):
        started = time.perf_counter()
        index = Neighbours(table, approximate=approximate)
        built = time.perf_counter() - started
        times, found = [], []
        asked = rows if approximate else rows[:20]
        for row in asked:
            started = time.perf_counter()
            near = index.among([int(row)], TOP)
            times.append(time.perf_counter() - started)
            found.append(set(near.rows[0].tolist()))
        exact = exact or found
        share = np.mean([len(a & b) / TOP for a, b in zip(exact, found, strict=False)])
        name = "approximate" if approximate else "exact"
        print(
            f"| {name} | {built:.0f} | {statistics.median(times):.4f}, {max(times):.4f} | "
            f"{share:.2f} |",
            flush=True,
        )
        del index


if __name__ == "__main__":
    main()
