"""From labels to what a network is trained to say: one matrix for each learning source.

Kim 2019 reduces labels to distributions over 50 factors (section 3.1), Kim 2018 artists to 40
groups (section 2), Choi 2017 takes the most frequent tags as they are, Hamel 2013 the labels of
each data set. Factors are found on training tracks alone, and the others are folded in.
Letters in shapes: n tracks of the manifest, k factors or labels.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from scipy.sparse import csr_matrix

from mirfeat.training.manifest import Manifest, read_taste
from mirfeat.training.mel_cache import MelCache
from mirfeat.training.targets import artist_groups, frames, word_counts
from mirfeat.training.targets.plsa import fold_in, plsa
from mirfeat.training.targets.scalar_factors import GaussianFactors

logger = logging.getLogger("mirfeat")

# Words that stand for a factor in a checkpoint's record.
_WORDS = 3


@dataclass(frozen=True, eq=False)
class SourceTargets:
    """Targets of a source: ``values`` float32 [n, k], NaN where a track has no label.

    ``names`` [k]: tags, labels, or the words that weigh most in a factor; empty where there are
    none.
    """

    values: np.ndarray
    names: tuple[str, ...] = ()

    # A learning source of the papers, each learnt as its paper says.
    kind: ClassVar[Literal["labels"]] = "labels"

    def crops(self, rows: np.ndarray, spans: np.ndarray) -> np.ndarray:
        """Targets [B, k] of crops of the tracks ``rows`` [B]; where they are does not matter."""
        targets: np.ndarray = self.values[rows]
        return targets

    @property
    def size(self) -> int:
        """Number of factors or labels k."""
        return int(self.values.shape[1])

    @property
    def known(self) -> np.ndarray:
        """Tracks with some label, bool [n]."""
        if not self.size:
            return np.ones(len(self.values), bool)
        known: np.ndarray = ~np.isnan(self.values).all(axis=1)
        return known


@dataclass(frozen=True, eq=False)
class SourceMaterial:
    """What targets are made from. ``train``: bool [n], tracks that factors are found on."""

    manifest: Manifest
    train: np.ndarray
    cache: MelCache
    factors: int
    seed: int
    taste: Path | None = None

    def nothing(self, k: int = 1) -> np.ndarray:
        """Targets of tracks without labels."""
        return np.full((len(self.manifest), k), np.nan, np.float32)


def _self(material: SourceMaterial) -> SourceTargets:
    # Whether two crops are of the same track is known of all tracks.
    return SourceTargets(np.zeros((len(material.manifest), 0), np.float32))


def _numbers(column: str, material: SourceMaterial) -> SourceTargets:
    values = material.manifest.numbers(column)
    known = material.train & ~np.isnan(values)
    if not known.any():
        return SourceTargets(material.nothing())
    mixture = GaussianFactors.fit(values[known], material.factors, seed=material.seed)
    return SourceTargets(mixture.predict(values)[0])


def _words(column: str, weigh: bool, material: SourceMaterial) -> SourceTargets:
    """Factors by pLSA of bags of words; ``weigh``: by TF-IDF first."""
    bags = material.manifest.bags(column)
    learnt = [bag if use else None for bag, use in zip(bags, material.train, strict=True)]
    _, names = word_counts.bags_to_counts(learnt)
    if not names:
        return SourceTargets(material.nothing())
    counts, _ = word_counts.bags_to_counts(bags, vocabulary=names)
    if weigh:
        counts = word_counts.tf_idf(counts, material.train)
    return _latent(counts, material, names)


def _latent(counts: csr_matrix, material: SourceMaterial, names: Sequence[str]) -> SourceTargets:
    """Factors by pLSA of a matrix of counts [n, w] with a row for each track."""
    # Columns that no training track has would change the random start, and nothing else.
    used = np.diff(counts[material.train].tocsc().indptr) > 0
    if not used.any():
        return SourceTargets(material.nothing())
    counts, names = counts[:, used], [name for name, use in zip(names, used, strict=False) if use]
    filled = np.diff(counts.indptr) > 0
    found = plsa(counts[material.train & filled], material.factors, seed=material.seed)
    mixtures, _ = fold_in(counts, found.topics)
    return SourceTargets(mixtures, _factor_words(found.topics, names))


def _factor_words(topics: np.ndarray, names: Sequence[str]) -> tuple[str, ...]:
    if not len(names):
        return ()
    best = np.argsort(-topics, axis=1, kind="stable")[:, :_WORDS]
    return tuple(" ".join(names[word] for word in row) for row in best)


def _taste(material: SourceMaterial) -> SourceTargets:
    if material.taste is None:
        return SourceTargets(material.nothing())
    return _latent(read_taste(material.taste, material.manifest.ids), material, ())


def _artist(material: SourceMaterial) -> SourceTargets:
    """Factors by pLSA of artists by tags: each track has the factors of its artist."""
    manifest = material.manifest
    pairs = zip(manifest.bags("tags"), _telling(material), strict=True)
    bags = [bag if use else None for bag, use in pairs]
    learnt_bags = [bag if use else None for bag, use in zip(bags, material.train, strict=True)]
    _, names = word_counts.bags_to_counts(learnt_bags)
    if not names:
        return SourceTargets(material.nothing())
    tracks, _ = word_counts.bags_to_counts(bags, vocabulary=names)
    counts, artist_of = word_counts.artist_counts(manifest.artists(), tracks)
    learnt = np.zeros(counts.shape[0], bool)
    learnt[artist_of[material.train & (artist_of >= 0)]] = True
    learnt &= np.diff(counts.indptr) > 0
    if not learnt.any():
        return SourceTargets(material.nothing())
    found = plsa(counts[learnt], material.factors, seed=material.seed)
    values, _ = word_counts.to_tracks(*fold_in(counts, found.topics), artist_of)
    return SourceTargets(values, _factor_words(found.topics, names))


def _telling(material: SourceMaterial) -> np.ndarray:
    """Tracks that say what their artist is, bool [n]: of one in training, training tracks alone."""
    artists = material.manifest.artists()
    learnt = {artist for artist, use in zip(artists, material.train, strict=True) if use}
    pairs = zip(artists, material.train, strict=True)
    return np.array([use or artist not in learnt for artist, use in pairs])


def _classes(column: str, material: SourceMaterial) -> SourceTargets:
    """One class for each text of a column, in alphabetical order."""
    texts = material.manifest.texts(column)
    learnt = {text for text, use in zip(texts, material.train, strict=True) if use and text}
    names = tuple(sorted(learnt))
    values = material.nothing(max(1, len(names)))
    for row, text in enumerate(texts):
        if text in learnt:
            values[row] = [float(name == text) for name in names]
    return SourceTargets(values, names)


def _subgenre(material: SourceMaterial) -> SourceTargets:
    """Artist groups by the subgenres of their tracks (Kim 2018, section 2.1)."""
    counts, names = word_counts.bags_to_counts(material.manifest.bags("subgenres"))
    if not names:
        return SourceTargets(material.nothing())
    return _groups(counts.toarray(), material)


def _frames(kind: str, material: SourceMaterial) -> SourceTargets:
    """Artist groups by a dictionary of frames (Kim 2018, section 2.1)."""
    manifest = material.manifest
    counts = frames.word_counts(
        kind, manifest.ids, manifest.files, material.train, material.cache, material.seed
    )
    return _groups(counts, material)


def _groups(counts: np.ndarray, material: SourceMaterial) -> SourceTargets:
    counts = counts * _telling(material)[:, None]
    bags, artist_of = artist_groups.artist_bags(counts, material.manifest.artists())
    learnt = np.zeros(bags.shape[0], bool)
    learnt[artist_of[material.train & (artist_of >= 0)]] = True
    if not (learnt & (np.diff(bags.indptr) > 0)).any():
        return SourceTargets(material.nothing())
    shares, known = artist_groups.artist_group_factors(
        bags, material.factors, material.seed, train=learnt
    )
    return SourceTargets(word_counts.to_tracks(shares, known, artist_of)[0])


def labels_of(column: str, dataset: str | None, material: SourceMaterial) -> SourceTargets:
    """Labels of a column as 0 and 1 (Hamel 2013), of one data set or of all tracks."""
    bags = material.manifest.bags(column)
    texts = material.manifest.texts("dataset")
    mine = [dataset is None or text == dataset for text in texts]
    chosen = [bag if use else None for bag, use in zip(bags, mine, strict=True)]
    learnt = [bag if use else None for bag, use in zip(chosen, material.train, strict=True)]
    counts, names = word_counts.bags_to_counts(learnt)
    if not names:
        return SourceTargets(material.nothing())
    counts, _ = word_counts.bags_to_counts(chosen, vocabulary=names)
    values = (counts.toarray() > 0).astype(np.float32)
    values[~values.any(axis=1)] = np.nan
    return SourceTargets(values, tuple(names))


def frequent_tags(material: SourceMaterial) -> SourceTargets:
    """The most frequent tags as 0 and 1 (Choi 2017, section 2.2, takes 50).

    A tag is unknown, not absent, in a data set none of whose training tracks has it (none at all,
    if it is not trained on): nobody looked.
    """
    manifest = material.manifest
    bags = manifest.bags("tags")
    tracks: dict[str, int] = {}
    for bag, use in zip(bags, material.train, strict=True):
        for tag in bag or () if use else ():
            tracks[tag] = tracks.get(tag, 0) + 1
    names = sorted(tracks, key=lambda tag: (-tracks[tag], tag))[: material.factors]
    if not names:
        return SourceTargets(material.nothing())
    values = material.nothing(len(names))
    for row, bag in enumerate(bags):
        if bag is not None:
            values[row] = [float(name in bag) for name in names]
    datasets = np.array([text or "" for text in manifest.texts("dataset")])
    for dataset in np.unique(datasets):
        rows = datasets == dataset
        learnt = rows & material.train
        unused = np.nan_to_num(values[learnt if learnt.any() else rows]).sum(axis=0) == 0
        values[np.ix_(rows, unused)] = np.nan
    return SourceTargets(values, tuple(names))


MAKERS: Mapping[str, Callable[[SourceMaterial], SourceTargets]] = {
    "self": _self,
    "bpm": partial(_numbers, "bpm"),
    "year": partial(_numbers, "year"),
    "taste": _taste,
    "tag": partial(_words, "tags", False),
    "lyrics": partial(_words, "lyrics", True),
    "cdr_tag": partial(_words, "cdr_tags", False),
    "artist": _artist,
    "genre": partial(_classes, "genre"),
    "instrument": partial(_classes, "instrument"),
    "subgenre": _subgenre,
    "essentia": partial(_frames, "essentia"),
    "dmfcc": partial(_frames, "dmfcc"),
    "mfcc": partial(_frames, "mfcc"),
}
"""What makes the targets of each learning source."""
