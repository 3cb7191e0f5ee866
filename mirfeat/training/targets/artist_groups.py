"""Artist group factors: which kind of artist made a track (Kim 2018, 3.1).

Frames or descriptors of tracks become words of a dictionary (k-means), words of an artist's tracks
a bag, and bags a distribution over groups of artists (latent Dirichlet allocation). Genres of
tracks are words already. Steps and settings as in the authors' code (eldrin/Artist-Group-Factor).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, diags, issparse
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import LatentDirichletAllocation
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import QuantileTransformer
from threadpoolctl import threadpool_limits

from mirfeat.errors import DecodeError, LabelsError, MissingPackageError, OptionError
from mirfeat.training.targets.word_counts import artist_counts, checked_counts, distinct_rank

_BATCH_FRAMES = 1 << 16


@dataclass(frozen=True, eq=False)
class Dictionary:
    """Words of sound: ``centres`` float32 [words, d], each frame being the word nearest to it."""

    centres: np.ndarray

    @classmethod
    def fit(cls, frames: Iterable[np.ndarray], words: int = 2048, seed: int = 0) -> Dictionary:
        """Cluster frames, which come as float arrays [m, d], for example one a track.

        MiniBatchKMeans, fed with batches of 65,536 frames (of ``words``, if these are more): the
        result depends on the order of frames, not on how many came at a time, nor on the number
        of cores. Where the first batch has fewer distinct frames than ``words``, so many words
        are made.

        Raises:
            LabelsError: no frames, another d, or one that is not finite; it names the array.
            OptionError: ``words`` below 1.
        """
        if words < 1:
            raise OptionError(f"words = {words}: it must be 1 or more.")
        model = None
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore", ConvergenceWarning)
            for batch in _batches(frames, max(_BATCH_FRAMES, words)):
                if model is None:
                    count = min(words, len(np.unique(batch, axis=0)))
                    model = MiniBatchKMeans(
                        count,
                        batch_size=len(batch),
                        n_init=1,
                        random_state=seed,
                        compute_labels=False,
                    )
                model.partial_fit(batch)
        if model is None:
            raise LabelsError("there are no frames: nothing to make a dictionary of.")
        return cls(np.asarray(model.cluster_centers_, dtype=np.float32))

    def count(self, frames: np.ndarray) -> np.ndarray:
        """How often each word comes in ``frames`` [m, d]: int64 [words].

        Raises:
            LabelsError: another d than that of the words, or a frame that is not finite.
        """
        frames = _checked_frames(frames, "frames", self.centres.shape[1])
        if not len(frames):
            return np.zeros(len(self.centres), dtype=np.int64)
        # The nearest centre by one product of matrices, a tenth of scikit-learn's time for it.
        # About the mean of the centres, so that float32 does not lose what tells them apart.
        middle = self.centres.mean(axis=0)
        centres = self.centres - middle
        closeness = (frames - middle) @ centres.T - np.square(centres).sum(axis=1) / 2
        return np.bincount(closeness.argmax(axis=1), minlength=len(self.centres))


def _batches(arrays: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """The same frames in arrays of ``size``, but the last."""
    waiting: list[np.ndarray] = []
    count, width = 0, None
    for number, frames in enumerate(arrays):
        frames = _checked_frames(frames, f"array {number} of frames", width)
        width = frames.shape[1]
        while count + len(frames) >= size:
            yield np.concatenate([*waiting, frames[: size - count]])
            frames = frames[size - count :]
            waiting, count = [], 0
        # A copy, so that the little that waits does not keep a large array alive.
        waiting.append(frames.copy())
        count += len(frames)
    if count:
        yield np.concatenate(waiting)


def _checked_frames(frames: np.ndarray, what: str, width: int | None) -> np.ndarray:
    frames = np.asarray(frames, dtype=np.float32)
    if frames.ndim != 2 or frames.shape[1] != (width or frames.shape[1] or 1):
        raise LabelsError(
            f"{what}: the shape is {list(frames.shape)}; [frames, {width or 'd'}] is due."
        )
    bad = np.flatnonzero(~np.isfinite(frames).all(axis=1))
    if len(bad):
        raise LabelsError(f"{what}: frame {bad[0]} has a value that is NaN or infinite.")
    return frames


def artist_bags(
    counts: np.ndarray | csr_matrix, artists: Sequence[str | None], *, mean: bool = True
) -> tuple[csr_matrix, np.ndarray]:
    """Bags of artists, float32 [artists, words], from ``counts`` [tracks, words] of their tracks.

    Counts divided by the number of the artist's tracks that have any, as in the authors' code; the
    sums of counts of which the paper speaks if ``mean`` is False. The second result, int64
    [tracks], is the row of each track's artist, -1 for a track without one (None or empty).
    Artists come in the order of their names.

    Raises:
        LabelsError: counts negative or not finite, or not an artist for each track.
    """
    counts = checked_counts(counts if issparse(counts) else csr_matrix(counts))
    bags, index = artist_counts(artists, counts)
    if mean:
        used = (index >= 0) & (np.diff(counts.indptr) > 0)
        tracks = np.bincount(index[used], minlength=bags.shape[0])
        bags = csr_matrix(diags(1 / np.maximum(tracks, 1)) @ bags, dtype=np.float32)
    return bags, index


def artist_group_factors(
    bags: np.ndarray | csr_matrix,
    groups: int = 40,
    seed: int = 0,
    *,
    train: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Shares of each group in each artist, float32 [artists, groups]; and known, bool [artists].

    Latent Dirichlet allocation with scikit-learn's defaults (batch variational Bayes, 10
    iterations, priors 1 / groups), fitted on the artists ``train`` (bool or numbers, by default
    all) and inferred for all. The authors fitted on all. An artist whose bag is empty, or has no
    word of the training artists, is NaN and not known. Groups are as many as there are distinct
    bags or words in training, if these are fewer. :func:`~mirfeat.training.factors.to_tracks`
    takes the result to tracks.

    Raises:
        LabelsError: bags negative or not finite, or none of the training artists has words.
        OptionError: ``groups`` below 1.
    """
    if groups < 1:
        raise OptionError(f"groups = {groups}: it must be 1 or more.")
    bags = checked_counts(bags if issparse(bags) else csr_matrix(bags))
    fitted = bags if train is None else bags[train]
    fitted = fitted[np.diff(fitted.indptr) > 0]
    if not fitted.nnz:
        raise LabelsError(
            f"none of the artists to learn from has a word; there are {bags.shape[0]} artists in "
            "all. Artists need tracks with frames or genres."
        )
    learned = np.unique(fitted.indices)
    bags, fitted = bags[:, learned], fitted[:, learned]
    known = np.diff(bags.indptr) > 0
    model = LatentDirichletAllocation(distinct_rank(fitted, groups), random_state=seed)
    factors = np.full((bags.shape[0], model.n_components), np.nan, dtype=np.float32)
    with threadpool_limits(1):
        model.fit(fitted.astype(np.float64))
        factors[known] = model.transform(bags[known].astype(np.float64))
    return factors, known


def essentia_features(path: str | os.PathLike[str]) -> dict[str, float]:
    """Numbers by which Essentia describes a track, by name: ``lowlevel.mfcc.mean[0]`` and others.

    MusicExtractor with its own settings, without what differs in length or is no description:
    metadata, matrices, positions of beats. A word, such as a key, is the number 1 under the name
    ``tonal.key_edma.key=A``.

    Raises:
        MissingPackageError: Essentia is not installed.
        DecodeError: Essentia cannot read or describe the file.
    """
    try:
        essentia = import_module("essentia")  # not in any extra: it is under the AGPL
        standard = import_module("essentia.standard")
    except ImportError as error:
        raise MissingPackageError(
            "descriptors for artist groups need Essentia: pip install essentia"
        ) from error
    essentia.log.infoActive = False  # seven lines on stderr for each track
    try:
        pool, _ = standard.MusicExtractor()(os.fspath(path))
    except RuntimeError as error:
        reason = str(error).rstrip(".")
        raise DecodeError(f"{os.fspath(path)}: Essentia cannot describe it: {reason}.") from error
    numbers: dict[str, float] = {}
    for name in pool.descriptorNames():
        if not name.startswith("metadata.") and not name.endswith("beats_position"):
            numbers.update(_numbers(name, pool[name]))
    return numbers


def _numbers(name: str, value: Any) -> dict[str, float]:
    if isinstance(value, str):
        return {f"{name}={value}": 1.0}
    array = np.asarray(value)
    if array.dtype.kind not in "buif" or array.ndim > 1:
        return {}
    if array.ndim == 0:
        return {name: float(array)}
    return {f"{name}[{place}]": float(number) for place, number in enumerate(array)}


def essentia_table(
    tracks: Sequence[Mapping[str, float] | None], train: np.ndarray | None = None
) -> tuple[np.ndarray, list[str]]:
    """Descriptors of tracks for a :class:`Dictionary`: float32 [tracks, d], and their names.

    Names are those that every described track has with a finite value; words (``name=word``) count
    as 0 where absent. Each descriptor is brought to a normal distribution by its ranks among the
    rows ``train`` (bool or numbers, by default all), as the paper says; the authors' repository
    does not. A track that is None (not described) is a row of NaN.

    Raises:
        LabelsError: no track is described in training, or no descriptor is common to all.
    """
    described = np.array([track is not None for track in tracks], dtype=bool)
    present = [track for track in tracks if track is not None]
    rows = np.zeros(len(tracks), dtype=bool)
    rows[slice(None) if train is None else train] = True
    rows = rows[described]
    if not rows.any():
        raise LabelsError(f"none of {len(tracks)} tracks has descriptors to learn from.")
    names = sorted({name for track in present for name in track})
    values = np.array(
        [[track.get(name, 0.0 if "=" in name else np.nan) for name in names] for track in present]
    )
    usable = np.isfinite(values).all(axis=0)
    if not usable.any():
        raise LabelsError(f"none of {len(names)} descriptors has a finite value in every track.")
    values = values[:, usable]
    scaler = QuantileTransformer(
        n_quantiles=min(1000, int(rows.sum())), output_distribution="normal", random_state=0
    ).fit(values[rows])
    table = np.full((len(tracks), values.shape[1]), np.nan, dtype=np.float32)
    table[described] = scaler.transform(values)
    return table, [name for name, use in zip(names, usable, strict=True) if use]
