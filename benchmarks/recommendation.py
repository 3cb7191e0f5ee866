"""Cold-start recommendation at the size of Last.fm in Kim et al. 2019, with made-up plays."""

from __future__ import annotations

import time
import tracemalloc
from functools import partial

import numpy as np
from scipy import sparse

from benchmarks.tables import print_machine, print_table
from mirfeat.evaluation.models.factorisation import Variant, factorise
from mirfeat.evaluation.recommendation import Interactions, recommend

USERS, ITEMS, FEATURES = 985, 27_093, 256
SWEEPS = 15


def made_up(seed: int = 0) -> tuple[Interactions, np.ndarray]:
    """Plays with heavy tails on both sides, about 900 000 pairs; features that say little of them.

    A user hears 20 to 5 000 items, drawn by fame (rank to the power -0.7) and a little by taste,
    which the features [items, 256] float32 hold among much noise.
    """
    rng = np.random.default_rng(seed)
    tastes, styles = rng.standard_normal((USERS, 8)), rng.standard_normal((ITEMS, 8))
    fame = -0.7 * np.log(1 + rng.permutation(ITEMS))
    sizes = np.clip(rng.lognormal(6.3, 1.0, USERS), 20, 5_000).astype(int)
    rows, columns = [], []
    for user, size in enumerate(sizes):
        # The largest of Gumbel-shifted logarithms: a draw without replacement.
        keys = fame + 0.3 * styles @ tastes[user] + rng.gumbel(size=ITEMS)
        columns.append(np.argpartition(-keys, size)[:size])
        rows.append(np.full(size, user))
    pairs = (np.concatenate(rows), np.concatenate(columns))
    counts = sparse.csr_array((rng.zipf(1.8, len(pairs[0])).clip(max=500), pairs), (USERS, ITEMS))
    mixing = rng.standard_normal((8, FEATURES))
    features = styles @ mixing + 3 * rng.standard_normal((ITEMS, FEATURES))
    names = tuple(map(str, range(ITEMS)))
    plays = Interactions(names[:USERS], names, counts.astype(np.float64))
    return plays, features.astype(np.float32)


def main() -> None:
    """Print the tables."""
    plays, features = made_up()
    rows = []
    variants: tuple[Variant, ...] = ("paper", "authors")
    for variant in variants:
        run = partial(factorise, plays.counts, features, variant=variant)
        started = time.perf_counter()
        found = run(sweeps=SWEEPS)
        seconds = time.perf_counter() - started
        tracemalloc.start()
        run(sweeps=1)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        ends = (f"{found.objective[0]:.0f}", f"{found.objective[-1]:.0f}")
        rows.append((variant, f"{seconds:.1f}", *ends, f"{peak / 2**20:.0f}"))
    print_table(
        f"{USERS} users × {ITEMS} items, {plays.counts.nnz} pairs, {FEATURES} features, "
        f"r 50, {SWEEPS} sweeps",
        ("variant", "s", "objective after the first step", "at the end", "peak MiB"),
        rows,
    )
    started = time.perf_counter()
    report = recommend(plays, features, repeats=1, name="made up")
    seconds = time.perf_counter() - started
    rng = np.random.default_rng(0)
    noise = recommend(plays, rng.permutation(features), repeats=1, name="shuffled", sweeps=3)
    print(f"\nOne repeat of the protocol, with lists and scores: {seconds:.1f} s, {report!r}")
    print(f"With the features of other items, 3 sweeps: {noise!r}")


if __name__ == "__main__":
    print_machine()
    main()
