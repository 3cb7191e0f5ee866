"""Label factors: noisy labels of a track become a distribution over k factors (Kim 2019, 2.3).

Bags of words (tags, lyrics, listeners) go through probabilistic latent semantic analysis, scalars
(tempo, year) through a Gaussian mixture. All is fitted on training rows; other rows are folded in.
"""

from __future__ import annotations

import warnings
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import joblib
import numpy as np
from scipy.sparse import csr_matrix, issparse
from scipy.special import logsumexp
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from mirfeat.errors import LabelsError, OptionError

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
    _at_least_one(factors=factors, iterations=iterations)
    counts = checked_counts(counts)
    if not counts.nnz:
        raise LabelsError(f"counts of {_shape(counts)} are all 0: there is nothing to learn.")
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
    _at_least_one(iterations=iterations)
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
    _at_least_one(workers=workers)
    return workers


def _at_least_one(**options: int) -> None:
    for name, value in options.items():
        if value < 1:
            raise OptionError(f"{name} = {value}: it must be 1 or more.")


def _shape(counts: Any) -> str:
    return f"{counts.shape[0]} rows and {counts.shape[1]} words"


def checked_counts(counts: Any) -> csr_matrix:
    """A float32 copy of sparse ``counts`` [rows, words] in order, without zeros that are stored.

    Raises:
        LabelsError: not sparse, no matrix of real numbers, a count negative, NaN or infinite.
    """
    if not issparse(counts) or counts.ndim != 2 or counts.dtype.kind not in "buif":
        raise LabelsError(
            f"counts are a {type(counts).__name__} of {getattr(counts, 'dtype', 'no numbers')}: "
            "they must be a scipy.sparse matrix [rows, words] of real numbers."
        )
    matrix = csr_matrix(counts)
    bad = np.flatnonzero(~((matrix.data >= 0) & (matrix.data <= np.finfo(np.float32).max)))
    if len(bad):
        row = int(np.searchsorted(matrix.indptr, bad[0], side="right")) - 1
        raise LabelsError(
            f"counts: row {row}, column {matrix.indices[bad[0]]} is {matrix.data[bad[0]]:g}. "
            "Counts must be 0 or more, and within float32; leave out what is not known."
        )
    matrix = matrix.astype(np.float32, copy=True)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return matrix


def distinct_rank(counts: csr_matrix, enough: int) -> int:
    """How many distinct rows, or columns if they are fewer, have counts; at most ``enough``."""
    return min(_distinct(counts, enough), _distinct(counts.T.tocsr(), enough))


def _distinct(matrix: csr_matrix, enough: int) -> int:
    seen: set[tuple[bytes, bytes]] = set()
    starts = matrix.indptr
    for row in np.flatnonzero(np.diff(starts)):
        part = slice(starts[row], starts[row + 1])
        seen.add((matrix.indices[part].tobytes(), matrix.data[part].tobytes()))
        if len(seen) >= enough:
            break
    return len(seen)


@dataclass(frozen=True, eq=False)
class GaussianFactors:
    """A mixture of Gaussians on a scalar; all float64 [k], in the order of the means.

    ``converged`` is False where 100 iterations did not settle it; the authors used these too.
    """

    weights: np.ndarray
    means: np.ndarray
    deviations: np.ndarray
    converged: bool

    @classmethod
    def fit(cls, values: np.ndarray, components: int = 50, seed: int = 0) -> GaussianFactors:
        """Fit to ``values`` [rows], NaN where unknown, in the unit in which they come.

        scikit-learn's GaussianMixture as in the authors' code: k-means start, 100 iterations, and
        1e-6 added to each variance. So a component may close in on one value that comes often, a
        year or a whole number of beats, with a deviation of 0.001 but never of 0. Components are
        as many as there are distinct values, if these are fewer.

        Raises:
            LabelsError: not one-dimensional, an infinite value, or none that is known.
            OptionError: ``components`` below 1.
        """
        _at_least_one(components=components)
        values = _scalars(values)
        present = values[~np.isnan(values)]
        if not len(present):
            raise LabelsError(f"none of the {len(values)} values is known: nothing to learn.")
        k = min(components, len(np.unique(present)))
        model = GaussianMixture(k, max_iter=100, reg_covar=1e-6, random_state=seed)
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore", ConvergenceWarning)
            # Two values at least are asked for; a value that comes twice weighs the same.
            model.fit((present if len(present) > 1 else present.repeat(2))[:, None])
        order = np.argsort(model.means_[:, 0], kind="stable")
        return cls(
            weights=model.weights_[order],
            means=model.means_[order, 0],
            deviations=np.sqrt(model.covariances_[order, 0, 0]),
            converged=bool(model.converged_),
        )

    def predict(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Posteriors of the components float32 [rows, k], NaN where the value is; known [rows].

        Raises:
            LabelsError: not one-dimensional, or an infinite value.
        """
        values = _scalars(values)
        known = ~np.isnan(values)
        logs = (values[:, None] - self.means) / self.deviations
        logs = np.log(self.weights / self.deviations) - logs**2 / 2
        posteriors = np.full(logs.shape, np.nan, dtype=np.float32)
        logs = logs[known]
        posteriors[known] = np.exp(logs - logsumexp(logs, axis=1, keepdims=True))
        return posteriors, known


def mixture_posteriors(
    values: np.ndarray, components: int = 50, seed: int = 0, *, train: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """:class:`GaussianFactors` fitted on the rows ``train`` (by default all), for all rows."""
    values = _scalars(values)
    fitted = values if train is None else values[train]
    return GaussianFactors.fit(fitted, components, seed).predict(values)


def _scalars(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1:
        raise LabelsError(f"values have the shape {list(values.shape)}; one number a row is due.")
    if np.isinf(values).any():
        row = int(np.flatnonzero(np.isinf(values))[0])
        raise LabelsError(f"row {row} is {values[row]}; NaN says that a value is not known.")
    return values


def tf_idf(counts: csr_matrix, train: np.ndarray | None = None) -> csr_matrix:
    """Counts [rows, words] times smooth inverse document frequency, each row of norm 1, float32.

    scikit-learn's TfidfTransformer with its defaults, as the authors used for lyrics; frequencies
    are of the rows ``train`` (bool or numbers, by default all).

    Raises:
        LabelsError: as in :func:`plsa`, or no rows to learn from.
    """
    counts = checked_counts(counts)
    rows = counts if train is None else counts[train]
    if 0 in rows.shape:
        raise LabelsError(f"{_shape(rows)} to take frequencies from; there must be some.")
    return csr_matrix(TfidfTransformer().fit(rows).transform(counts), dtype=np.float32)


def bags_to_counts(
    bags: Sequence[Mapping[str, float] | None],
    vocabulary: Iterable[str] | None = None,
    min_rows: int = 1,
) -> tuple[csr_matrix, list[str]]:
    """Bags of words as float32 [rows, words], and the words, which are its columns.

    A bag that is None (unknown) is an empty row. Words are those with a weight above 0 in
    ``min_rows`` bags or more, sorted; or those of ``vocabulary``, in its order, and others are
    left out. To learn from some rows only, pass their words as the vocabulary of all.

    Raises:
        LabelsError: a weight negative, NaN or infinite, or a word twice in the vocabulary.
        OptionError: ``min_rows`` below 1.
    """
    _at_least_one(min_rows=min_rows)
    rows_of: dict[str, int] = {}
    for row, bag in enumerate(bags):
        for word, weight in (bag or {}).items():
            if not 0 <= weight < np.inf:
                raise LabelsError(
                    f"row {row}, {word!r}: the weight {weight} is not a finite number of 0 or more."
                )
            rows_of[word] = rows_of.get(word, 0) + (weight > 0)
    if vocabulary is None:
        names = sorted(word for word, rows in rows_of.items() if rows >= min_rows)
    else:
        names = list(vocabulary)
    columns = {word: column for column, word in enumerate(names)}
    if len(columns) < len(names):
        twice = next(word for column, word in enumerate(names) if columns[word] != column)
        raise LabelsError(f"the vocabulary has {twice!r} more than once.")
    rows, places, weights = array("q"), array("q"), array("f")
    for row, bag in enumerate(bags):
        for word, weight in (bag or {}).items():
            if weight > 0 and word in columns:
                rows.append(row)
                places.append(columns[word])
                weights.append(weight)
    at = np.frombuffer(rows, dtype=np.int64), np.frombuffer(places, dtype=np.int64)
    values = np.frombuffer(weights, dtype=np.float32)
    return csr_matrix((values, at), shape=(len(bags), len(names))), names


def artist_counts(
    artists: Sequence[str | None], counts: csr_matrix
) -> tuple[csr_matrix, np.ndarray]:
    """Counts of each artist's tracks together: float32 [artists, words] (Kim 2019, artist).

    The second result, int64 [tracks], is the row of each track's artist, or -1 for a track
    without one (None or empty). Artists come in the order of their names.

    Raises:
        LabelsError: as in :func:`plsa`, or not an artist for each row.
    """
    counts = checked_counts(counts)
    if len(artists) != counts.shape[0]:
        raise LabelsError(f"{len(artists)} artists for {counts.shape[0]} rows of counts.")
    names = sorted({artist for artist in artists if artist})
    row_of = {name: row for row, name in enumerate(names)}
    index = np.array([row_of[artist] if artist else -1 for artist in artists], dtype=np.int64)
    tracks = np.flatnonzero(index >= 0)
    ones = np.ones(len(tracks), dtype=np.float32)
    member = csr_matrix((ones, (index[tracks], tracks)), shape=(len(names), len(artists)))
    return csr_matrix(member @ counts), index


def to_tracks(
    factors: np.ndarray, known: np.ndarray, index: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Give each track the row of its artist: [tracks, k], NaN where unknown, and known [tracks].

    ``factors`` [artists, k], ``known`` bool [artists]; ``index`` [tracks] as :func:`artist_counts`.
    """
    has = index >= 0
    rows = np.full((len(index), factors.shape[1]), np.nan, dtype=np.float32)
    rows[has] = factors[index[has]]
    has[has] = known[index[has]]
    return rows, has
