"""From labels to what a network is trained to say: one matrix for each learning source.

Kim 2019 reduces labels to distributions over 50 factors (section 3.1), Kim 2018 artists to 40
groups (section 2), Choi 2017 takes the most frequent tags as they are, Hamel 2013 the labels of
each data set. Factors are found on training tracks alone, and the others are folded in.
Letters in shapes: n tracks of the manifest, k factors or labels.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

from mirfeat.errors import ConfigError, MissingPackageError, TrainingError, did_you_mean
from mirfeat.files import replacing, sha256_of
from mirfeat.training import artist_groups, frames, word_counts
from mirfeat.training.config import TrainConfig
from mirfeat.training.manifest import Manifest, read_taste
from mirfeat.training.mel_cache import MelCache
from mirfeat.training.plsa import fold_in, plsa
from mirfeat.training.scalar_factors import GaussianFactors

logger = logging.getLogger("mirfeat")

FORMAT = 1
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
class Material:
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


def _self(material: Material) -> SourceTargets:
    # Whether two crops are of the same track is known of all tracks.
    return SourceTargets(np.zeros((len(material.manifest), 0), np.float32))


def _numbers(column: str, material: Material) -> SourceTargets:
    values = material.manifest.numbers(column)
    known = material.train & ~np.isnan(values)
    if not known.any():
        return SourceTargets(material.nothing())
    mixture = GaussianFactors.fit(values[known], material.factors, seed=material.seed)
    return SourceTargets(mixture.predict(values)[0])


def _words(column: str, weigh: bool, material: Material) -> SourceTargets:
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


def _latent(counts: csr_matrix, material: Material, names: Sequence[str]) -> SourceTargets:
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


def _taste(material: Material) -> SourceTargets:
    if material.taste is None:
        return SourceTargets(material.nothing())
    return _latent(read_taste(material.taste, material.manifest.ids), material, ())


def _artist(material: Material) -> SourceTargets:
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


def _telling(material: Material) -> np.ndarray:
    """Tracks that say what their artist is, bool [n]: of one in training, training tracks alone."""
    artists = material.manifest.artists()
    learnt = {artist for artist, use in zip(artists, material.train, strict=True) if use}
    pairs = zip(artists, material.train, strict=True)
    return np.array([use or artist not in learnt for artist, use in pairs])


def _classes(column: str, material: Material) -> SourceTargets:
    """One class for each text of a column, in alphabetical order."""
    texts = material.manifest.texts(column)
    learnt = {text for text, use in zip(texts, material.train, strict=True) if use and text}
    names = tuple(sorted(learnt))
    values = material.nothing(max(1, len(names)))
    for row, text in enumerate(texts):
        if text in learnt:
            values[row] = [float(name == text) for name in names]
    return SourceTargets(values, names)


def _subgenre(material: Material) -> SourceTargets:
    """Artist groups by the subgenres of their tracks (Kim 2018, section 2.1)."""
    counts, names = word_counts.bags_to_counts(material.manifest.bags("subgenres"))
    if not names:
        return SourceTargets(material.nothing())
    return _groups(counts.toarray(), material)


def _frames(kind: str, material: Material) -> SourceTargets:
    """Artist groups by a dictionary of frames (Kim 2018, section 2.1)."""
    manifest = material.manifest
    counts = frames.word_counts(
        kind, manifest.ids, manifest.files, material.train, material.cache, material.seed
    )
    return _groups(counts, material)


def _groups(counts: np.ndarray, material: Material) -> SourceTargets:
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


def _labels(column: str, dataset: str | None, material: Material) -> SourceTargets:
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


def _tags(material: Material) -> SourceTargets:
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


_MAKERS: Mapping[str, Callable[[Material], SourceTargets]] = {
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
# What networks learn where a configuration names nothing: the papers' sources.
_USUAL = {
    "choi2017": ("tag",),
    "kim2018": ("genre", "subgenre", "essentia", "dmfcc", "mfcc"),
    "kim2019": ("self", "bpm", "year", "taste", "tag", "lyrics", "cdr_tag", "artist"),
}


def make_targets(
    config: TrainConfig, manifest: Manifest, cache: MelCache
) -> dict[str, SourceTargets]:
    """Targets of the sources that ``config`` names, or of all that the manifest can feed.

    They are kept in the cache folder and made again only when something they depend on differs.

    Raises:
        ConfigError: a source that is not known.
        TrainingError: a source that was named has no labels, or none has.
        MissingPackageError: a source that was named needs a package; others are left out.
    """
    train = np.zeros(len(manifest), bool)
    train[manifest.rows("train")] = True
    taste = config.manifest.parent / config.sources.taste if config.sources.taste else None
    seed = config.seed % 2**32  # what scikit-learn takes
    material = Material(manifest, train, cache, config.sources.factors, seed, taste)
    makers = _makers(config, manifest)
    targets = {}
    for source, maker in makers.items():
        try:
            target = _kept(config, material, source, partial(maker, material))
        except MissingPackageError as error:
            if config.sources.names:
                raise
            logger.warning("left out: the source %r: %s", source, error)
            continue
        if (target.known & train).any():
            targets[source] = target
        elif config.sources.names:
            raise TrainingError(
                f"{manifest.path}: no training track has a label for the source {source!r}."
            )
    if not targets:
        raise TrainingError(
            f"{manifest.path}: no labels for any of {', '.join(makers)}. See docs/training.md for "
            "the columns they are read from."
        )
    return targets


def _makers(
    config: TrainConfig, manifest: Manifest
) -> dict[str, Callable[[Material], SourceTargets]]:
    family = config.extractor.partition("-")[0]
    if family == "choi2017":
        if config.sources.names not in ((), ("tag",)):
            raise ConfigError("choi2017 learns the source 'tag' alone.")
        return {"tag": _tags}
    if family == "hamel2013":
        return _label_sets(config, manifest)
    if family not in _USUAL:
        raise ConfigError(f"{config.extractor} is not trained: it has no weights.")
    names = config.sources.names or _USUAL[family]
    for name in names:
        if name not in _MAKERS:
            guess = did_you_mean(name, _MAKERS)
            raise ConfigError(f"unknown source {name!r}.{guess} Known: {', '.join(_MAKERS)}.")
    return {name: _MAKERS[name] for name in names}


def _label_sets(
    config: TrainConfig, manifest: Manifest
) -> dict[str, Callable[[Material], SourceTargets]]:
    """One set for each column named and each data set: equal names need not mean the same."""
    usual = "tags" if config.extractor == "hamel2013-tag" else "genre"
    datasets = manifest.texts("dataset")
    several = len({text for text in datasets if text}) > 1
    if several and (dotted := [text for text in datasets if text and "." in text]):
        raise TrainingError(
            f"{manifest.path}: the data set {dotted[0]!r} has a full stop in its name, which the "
            "name of its parameters cannot have. Rename it in the column 'dataset'."
        )
    sets: dict[str, Callable[[Material], SourceTargets]] = {}
    for column in config.sources.names or (usual,):
        if not manifest.has(column):
            raise TrainingError(f"{manifest.path}: no labels in the column {column!r}.")
        if not several:
            sets[column] = partial(_labels, column, None)
            continue
        words: dict[str, set[str]] = {}
        for dataset, bag in zip(datasets, manifest.bags(column), strict=True):
            words.setdefault(dataset or "", set()).update(bag or ())
        for dataset in sorted(words):
            # One label has nothing to be ranked against.
            if dataset and len(words[dataset]) > 1:
                sets[f"{dataset}:{column}"] = partial(_labels, column, dataset)
    return sets


def _kept(
    config: TrainConfig, material: Material, source: str, make: Callable[[], SourceTargets]
) -> SourceTargets:
    """Targets from the cache folder, made and kept there if need be."""
    family, digest = config.extractor.partition("-")[0], material.manifest.sha256
    decided_by = [FORMAT, digest, family, source, config.sources.factors, config.seed]
    decided_by += [config.validation.share, config.sources.taste, str(material.cache.mel)]
    decided_by += _beside_the_manifest(source, material)
    key = hashlib.sha256(json.dumps(decided_by).encode()).hexdigest()[:12]
    path = config.cache / f"targets-{source.replace(':', '-').replace('/', '-')}-{key}.npz"
    if path.is_file():
        with np.load(path, allow_pickle=False) as file:
            return SourceTargets(file["values"], tuple(file["names"].tolist()))
    target = make()
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, values=target.values, names=np.array(target.names, dtype=str))
    return target


def _beside_the_manifest(source: str, material: Material) -> list[str]:
    """Hashes of what a source is made from beside the manifest."""
    if source in ("mfcc", "dmfcc"):
        present = [id for id in material.manifest.ids if id in material.cache]
        return [hashlib.sha256("\n".join(present).encode()).hexdigest()]
    if source == "taste" and material.taste is not None and material.taste.is_file():
        return [sha256_of(material.taste)]
    return []
