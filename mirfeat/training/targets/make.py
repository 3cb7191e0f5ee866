"""The targets of a run: which sources a configuration names, made once and kept.

How labels become targets is in ``label_sources.py``.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from functools import partial

import numpy as np

from mirfeat.errors import ConfigError, MissingPackageError, TrainingError, did_you_mean
from mirfeat.files import replacing, sha256_of
from mirfeat.training.config import TrainConfig
from mirfeat.training.manifest import Manifest
from mirfeat.training.mel_cache import MelCache
from mirfeat.training.targets.label_sources import (
    MAKERS,
    Material,
    SourceTargets,
    frequent_tags,
    labels_of,
)

logger = logging.getLogger("mirfeat")

FORMAT = 1
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
        return {"tag": frequent_tags}
    if family == "hamel2013":
        return _label_sets(config, manifest)
    if family not in _USUAL:
        raise ConfigError(f"{config.extractor} is not trained: it has no weights.")
    names = config.sources.names or _USUAL[family]
    for name in names:
        if name not in MAKERS:
            guess = did_you_mean(name, MAKERS)
            raise ConfigError(f"unknown source {name!r}.{guess} Known: {', '.join(MAKERS)}.")
    return {name: MAKERS[name] for name in names}


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
            sets[column] = partial(labels_of, column, None)
            continue
        words: dict[str, set[str]] = {}
        for dataset, bag in zip(datasets, manifest.bags(column), strict=True):
            words.setdefault(dataset or "", set()).update(bag or ())
        for dataset in sorted(words):
            # One label has nothing to be ranked against.
            if dataset and len(words[dataset]) > 1:
                sets[f"{dataset}:{column}"] = partial(labels_of, column, dataset)
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
