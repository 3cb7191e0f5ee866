"""pLSA of a large sparse matrix: seconds, memory and likelihood, beside scikit-learn's NMF.

NMF with the Kullback-Leibler loss and multiplicative updates is pLSA but for a scale. Each runs in
a process of its own. ``--factors``, ``--iterations`` and so on change the task; the default is that
of a large set of tags: 50,000 tracks × 100,000 words, 5 million counts, 50 factors.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
import warnings
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.decomposition import NMF

from benchmarks.tables import print_machine, print_table
from mirfeat.training.targets.plsa import plsa

COMPARED_ITERATIONS = 10


def zipf_counts(rows: int, words: int, entries: int, seed: int = 0) -> csr_matrix:
    """Counts with Zipf-like words and rows of different length: exactly ``entries`` above 0."""
    rng = np.random.default_rng(seed)
    shares = np.cumsum(1 / np.arange(1, words + 1) ** 0.9)
    lengths = rng.dirichlet(np.full(rows, 2.0))
    found = np.empty(0, dtype=np.int64)
    while len(found) < entries:
        drawn = np.searchsorted(shares, rng.random(entries) * shares[-1])
        places = rng.choice(rows, entries, p=lengths) * words + drawn
        found = np.unique(np.concatenate([found, places]))
    found = rng.permutation(found)[:entries]
    weights = rng.geometric(0.5, entries).astype(np.float32)
    return csr_matrix((weights, (found // words, found % words)), shape=(rows, words))


def likelihood(counts: csr_matrix, model: NMF, mixtures: np.ndarray) -> float:
    """Σ count · log p of an NMF, whose factors are brought to distributions."""
    topics = model.components_.T
    scales = topics.sum(axis=0, dtype=np.float64)
    topics, mixtures = topics / scales, mixtures * scales
    mixtures /= np.maximum(mixtures.sum(axis=1, keepdims=True), 1e-30)
    total = 0.0
    for row in range(counts.shape[0]):
        part = slice(counts.indptr[row], counts.indptr[row + 1])
        probabilities = topics[counts.indices[part]] @ mixtures[row]
        total += float(counts.data[part] @ np.log(np.maximum(probabilities, 1e-30)))
    return total


def run(task: dict[str, Any]) -> dict[str, float]:
    """One fit: wall and CPU seconds, peak memory of the process in bytes, likelihood a count."""
    counts = zipf_counts(task["rows"], task["words"], task["entries"])
    started, worked = time.perf_counter(), time.process_time()
    if task["what"] == "mirfeat":
        found = plsa(
            counts, task["factors"], iterations=task["iterations"], workers=task["workers"]
        )
        seconds, worked = time.perf_counter() - started, time.process_time() - worked
        value = float(found.log_likelihood[-1])
    else:
        model = NMF(
            task["factors"],
            init="random",
            solver="mu",
            beta_loss="kullback-leibler",
            max_iter=task["iterations"],
            tol=0,
            random_state=0,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it stopped at max_iter, as it was asked to
            mixtures = model.fit_transform(counts)
        seconds, worked = time.perf_counter() - started, time.process_time() - worked
        value = likelihood(counts, model, mixtures)
    scale = 1 if sys.platform == "darwin" else 1024
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
    value /= float(counts.sum())
    return {"seconds": seconds, "worked": worked, "memory": memory, "likelihood": value}


def apart(**task: Any) -> dict[str, float]:
    """:func:`run` in a fresh process, so that peaks of memory are its own."""
    command = [sys.executable, "-m", "benchmarks.plsa", "--run", json.dumps(task)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def main(options: argparse.Namespace) -> None:
    """Print the table."""
    task = {name: getattr(options, name) for name in ("rows", "words", "entries", "factors")}
    few = min(COMPARED_ITERATIONS, options.iterations)
    plans = [
        ("mirfeat, 1 worker", {"what": "mirfeat", "workers": 1, "iterations": few}),
        ("mirfeat, 2 workers", {"what": "mirfeat", "workers": 2, "iterations": few}),
        ("scikit-learn NMF", {"what": "sklearn", "iterations": few}),
        ("mirfeat, 2 workers", {"what": "mirfeat", "workers": 2, "iterations": options.iterations}),
    ]
    rows = []
    for name, plan in plans:
        got = apart(**task, **plan)
        seconds, iterations = got["seconds"], plan["iterations"]
        rows.append(
            (
                name,
                iterations,
                f"{seconds:.1f}",
                f"{seconds / iterations:.2f}",
                f"{got['worked'] / iterations:.2f}",
                f"{got['memory'] / 1e6:.0f}",
                f"{got['likelihood']:.4f}",
            )
        )
    title = "pLSA of {rows:,} × {words:,}, {entries:,} counts, {factors} factors".format(**task)
    header = (
        "",
        "iterations",
        "s",
        "s an iteration",
        "CPU s an iteration",
        "MB resident",
        "log p a count",
    )
    print_table(title, header, rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--words", type=int, default=100_000)
    parser.add_argument("--entries", type=int, default=5_000_000)
    parser.add_argument("--factors", type=int, default=50)
    parser.add_argument("--iterations", type=int, default=100)
    parser.add_argument("--run", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        print(json.dumps(run(arguments.run)))
    else:
        print_machine()
        main(arguments)
