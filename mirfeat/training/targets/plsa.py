"""Probabilistic latent semantic analysis of sparse counts: bags of words become distributions.

Kim 2019, section 2.3. Fitted on training rows; other rows are folded in.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import joblib
import numpy as np
from scipy.sparse import csr_matrix

from mirfeat.errors import LabelsError
from mirfeat.training.targets.word_counts import (
    at_least_one,
    checked_counts,
    distinct_rank,
    shape_text,
)

Progress = Callable[[int, float], None]
"""Called after each iteration with its number from 1 and the log-likelihood before it."""

# Work is cut by these numbers and not by the number of workers: sums come in the same order.
_BLOCK_ENTRIES = 1 << 18
_CHUNK_ENTRIES = 4096  # 2 × 0.8 MB of gathered rows at 50 factors: stays in the cache
_PIECE_ENTRIES = 4096  # longest run of a word's counts that is summed in float32
# Below these a probability is 0. Products would be denormal numbers, a hundred times slower; the
# factor that explains most of a count is far above: 1 / (factors × the row's or topic's counts).
_LEAST_MIXTURE = 1e-12
_LEAST_TOPIC = 1e-15
_LEAST_PROBABILITY = 1e-30


@dataclass(frozen=True, eq=False)
class Factors:
    """What :func:`plsa` found.

    ``topics`` float32 [k, words], each row a distribution over words; ``mixtures`` float32
    [rows, k], each row a distribution over topics, NaN where ``known`` (bool [rows]) is False
    because the row has no counts; ``log_likelihood`` float64 [iterations + 1], Σ count · log p
    before each iteration and after the last.
    """

    topics: np.ndarray
    mixtures: np.ndarray
    known: np.ndarray
    log_likelihood: np.ndarray

    def fold_in(
        self, counts: csr_matrix, iterations: int = 50, *, workers: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mixtures of other rows, see :func:`fold_in`."""
        return fold_in(counts, self.topics, iterations, workers=workers)


def plsa(
    counts: csr_matrix,
    factors: int = 50,
    *,
    iterations: int = 100,
    seed: int = 0,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Factors:
    """Probabilistic latent semantic analysis of ``counts`` [rows, words] by EM (Hofmann 1999).

    p(word | row) = Σ mixtures[row, k] · topics[k, word]. Fewer topics than ``factors`` are made
    where fewer distinct rows or words have counts: so many describe the counts exactly. As in the
    authors' code (eldrin/MTLMusicRepresentation-PyTorch) 100 iterations from a uniform random
    start without a test of convergence; unlike there the start is drawn from ``seed``. The result
    is the same whatever the number of ``workers`` (threads; by default one for each core).

    Raises:
        LabelsError: counts that are not sparse, negative or not finite, or none above 0.
        OptionError: ``factors``, ``iterations`` or ``workers`` below 1.
    """
    at_least_one(factors=factors, iterations=iterations)
    counts = checked_counts(counts)
    if not counts.nnz:
        raise LabelsError(f"counts of {shape_text(counts)} are all 0: there is nothing to learn.")
    k = distinct_rank(counts, factors)
    rng = np.random.Generator(np.random.PCG64(seed))
    mixtures = _normalised(rng.random((counts.shape[0], k), dtype=np.float32))
    topics = _normalised(rng.random((k, counts.shape[1]), dtype=np.float32)).T.copy()
    likelihoods = []
    with ThreadPoolExecutor(_threads(workers)) as pool:
        expectation, maximisation = _Expectation(counts, pool), _Topics(counts, pool)
        for iteration in range(1, iterations + 1):
            updated, likelihood = expectation.step(mixtures, topics)
            topics = maximisation.step(expectation.ratios, mixtures, topics)
            mixtures = updated
            likelihoods.append(likelihood)
            if progress is not None:
                progress(iteration, likelihood)
        likelihoods.append(expectation.step(mixtures, topics)[1])
    known = np.diff(counts.indptr) > 0
    mixtures[~known] = np.nan
    return Factors(np.ascontiguousarray(topics.T), mixtures, known, np.array(likelihoods))


def fold_in(
    counts: csr_matrix, topics: np.ndarray, iterations: int = 50, *, workers: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Mixtures float32 [rows, k] of ``counts`` [rows, words] with ``topics`` [k, words] fixed.

    EM from equal shares. Words that no topic has are not counted; a row without any other is NaN,
    and False in the second result, bool [rows].

    Raises:
        LabelsError: as in :func:`plsa`, or other words than those of the topics.
        OptionError: ``iterations`` or ``workers`` below 1.
    """
    at_least_one(iterations=iterations)
    counts = checked_counts(counts)
    if topics.ndim != 2 or counts.shape[1] != topics.shape[1]:
        raise LabelsError(
            f"counts have {counts.shape[1]} words and topics the shape {list(topics.shape)}: both "
            "must be about the same words, topics as [k, words]."
        )
    counts.data *= (topics.sum(axis=0) > 0)[counts.indices]
    counts.eliminate_zeros()
    known = np.diff(counts.indptr) > 0
    mixtures = np.full((counts.shape[0], len(topics)), 1 / len(topics), dtype=np.float32)
    words = np.ascontiguousarray(topics.T, dtype=np.float32)
    with ThreadPoolExecutor(_threads(workers)) as pool:
        expectation = _Expectation(counts, pool)
        for _ in range(iterations):
            mixtures, _ = expectation.step(mixtures, words)
    mixtures[~known] = np.nan
    return mixtures, known


class _Expectation:
    """Half an iteration: count / p(word | row) for each count, and the mixtures that follow."""

    def __init__(self, counts: csr_matrix, pool: ThreadPoolExecutor) -> None:
        self._scale = float(counts.data.max(initial=0.0)) or 1.0
        # Within float32 whatever the counts: EM does not depend on their scale.
        self._counts = counts.data / np.float32(self._scale)
        self._pool, self._words, self._starts = pool, counts.indices, counts.indptr
        self._rows = np.repeat(np.arange(counts.shape[0], dtype=np.int32), np.diff(counts.indptr))
        self._blocks = _blocks(counts.indptr)
        self.ratios = np.empty_like(self._counts)

    def step(self, mixtures: np.ndarray, topics: np.ndarray) -> tuple[np.ndarray, float]:
        """Next mixtures [rows, k], and the log-likelihood of these; ``topics`` are [words, k]."""
        updated = mixtures.copy()
        work = partial(self._block, mixtures=mixtures, topics=topics, updated=updated)
        return updated, self._scale * sum(self._pool.map(work, self._blocks))

    def _block(
        self,
        rows: tuple[int, int],
        mixtures: np.ndarray,
        topics: np.ndarray,
        updated: np.ndarray,
    ) -> float:
        first, last = rows
        start, stop = int(self._starts[first]), int(self._starts[last])
        own, words = (np.empty((_CHUNK_ENTRIES, topics.shape[1]), np.float32) for _ in range(2))
        probabilities = np.empty(stop - start, dtype=np.float32)
        for at in range(start, stop, _CHUNK_ENTRIES):
            part = slice(at, min(at + _CHUNK_ENTRIES, stop))
            size = part.stop - at
            np.take(mixtures, self._rows[part], axis=0, out=own[:size], mode="clip")
            np.take(topics, self._words[part], axis=0, out=words[:size], mode="clip")
            to = probabilities[at - start : at - start + size]
            np.einsum("ij,ij->i", own[:size], words[:size], out=to)
        np.maximum(probabilities, _LEAST_PROBABILITY, out=probabilities)
        counts = self._counts[start:stop]
        ratios = np.divide(counts, probabilities, out=self.ratios[start:stop])
        pointers = self._starts[first : last + 1] - start
        shape = (last - first, topics.shape[0])
        sums = csr_matrix((ratios, self._words[start:stop], pointers), shape=shape) @ topics
        filled = np.diff(pointers) > 0
        new = _normalised(mixtures[first:last][filled] * sums[filled])
        updated[first:last][filled] = np.where(new < _LEAST_MIXTURE, 0, new)
        return float(np.sum(counts * np.log(probabilities), dtype=np.float64))


class _Topics:
    """The other half: topics [words, k] from the ratios, word by word."""

    def __init__(self, counts: csr_matrix, pool: ThreadPoolExecutor) -> None:
        places = csr_matrix((np.arange(counts.nnz), counts.indices, counts.indptr), counts.shape)
        by_word = places.tocsc()
        self._pool, self._order = pool, by_word.data
        self._rows, self._starts = by_word.indices, by_word.indptr
        self._blocks = _blocks(by_word.indptr)

    def step(self, ratios: np.ndarray, mixtures: np.ndarray, topics: np.ndarray) -> np.ndarray:
        """Next topics; one that no row has any more stays as it is."""
        updated = np.empty_like(topics)
        work = partial(
            self._block, ratios=ratios, mixtures=mixtures, topics=topics, updated=updated
        )
        sums = np.sum(list(self._pool.map(work, self._blocks)), axis=0)
        alive = sums > 0
        updated /= np.where(alive, sums, 1).astype(np.float32)
        updated[updated < _LEAST_TOPIC] = 0
        updated[:, ~alive] = topics[:, ~alive]
        return updated

    def _block(
        self,
        words: tuple[int, int],
        ratios: np.ndarray,
        mixtures: np.ndarray,
        topics: np.ndarray,
        updated: np.ndarray,
    ) -> np.ndarray:
        first, last = words
        starts = self._starts[first : last + 1]
        begin, end = int(starts[0]), int(starts[-1])
        # A word may stand in every row: float32 sums of pieces, float64 sums of these.
        pieces = np.maximum(-(-np.diff(starts) // _PIECE_ENTRIES), 1)
        piece_of_word = np.cumsum(pieces) - pieces
        number = np.arange(pieces.sum()) - np.repeat(piece_of_word, pieces)
        cuts = np.append(np.repeat(starts[:-1], pieces) + _PIECE_ENTRIES * number, end) - begin
        cuts = cuts.astype(starts.dtype, copy=False)
        data = ratios[self._order[begin:end]]
        shape = (len(number), len(mixtures))
        sums = csr_matrix((data, self._rows[begin:end], cuts), shape=shape) @ mixtures
        sums = np.add.reduceat(sums, piece_of_word, axis=0, dtype=np.float64)
        new = sums * topics[first:last]
        updated[first:last] = new
        total: np.ndarray = new.sum(axis=0)
        return total


def _blocks(starts: np.ndarray) -> list[tuple[int, int]]:
    """Runs of rows (or columns) with about ``_BLOCK_ENTRIES`` entries each, from their starts."""
    cuts = np.searchsorted(starts, np.arange(0, starts[-1], _BLOCK_ENTRIES)[1:])
    edges = np.unique([0, *cuts, len(starts) - 1]).tolist()
    return list(pairwise(edges))


def _normalised(rows: np.ndarray) -> np.ndarray:
    """Rows that sum to 1; the sum is taken in float64."""
    sums = rows.sum(axis=1, dtype=np.float64, keepdims=True)
    normalised: np.ndarray = (rows / sums).astype(np.float32)
    return normalised


def _threads(workers: int | None) -> int:
    if workers is None:
        return int(joblib.cpu_count())
    at_least_one(workers=workers)
    return workers
