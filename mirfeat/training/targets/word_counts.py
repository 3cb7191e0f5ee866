"""Bags of words as sparse matrices of counts: tags, lyrics, words of sound.

Letters in shapes: rows are tracks or artists, words are columns.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, issparse
from sklearn.feature_extraction.text import TfidfTransformer

from mirfeat.errors import LabelsError, OptionError


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
    at_least_one(min_rows=min_rows)
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
        raise LabelsError(f"{shape_text(rows)} to take frequencies from; there must be some.")
    return csr_matrix(TfidfTransformer().fit(rows).transform(counts), dtype=np.float32)


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


def at_least_one(**options: int) -> None:
    """Raise OptionError for an option below 1."""
    for name, value in options.items():
        if value < 1:
            raise OptionError(f"{name} = {value}: it must be 1 or more.")


def shape_text(counts: Any) -> str:
    """Rows and words of a matrix, for messages."""
    return f"{counts.shape[0]} rows and {counts.shape[1]} words"
