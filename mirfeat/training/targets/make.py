"""The targets of a run: which sources a configuration names, made once and kept.

How labels become targets is in ``label_sources.py``.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from mirfeat.errors import ConfigError, MissingPackageError, TrainingError, did_you_mean
from mirfeat.files import replacing, sha256_of
from mirfeat.training.config import TrainConfig
from mirfeat.training.manifest import Manifest
from mirfeat.training.mel_cache import MelCache
from mirfeat.training.targets.label_sources import (
    SourceMaterial,
    SourceTargets,
    labels_of,
)
from mirfeat.training.targets.teachers import open_teacher, renamed, split_source
from mirfeat.training.targets.timed import TimedTargets, timed_targets

logger = logging.getLogger("mirfeat")

Targets = SourceTargets | TimedTargets
"""Targets of a source, the same for a whole track or not."""

FORMAT = 1

Maker = Callable[[SourceMaterial], Any]
"""From labels and audio to the targets of one source."""


@dataclass(frozen=True)
class LabelSources:
    """Which sources of labels a kind of network learns.

    ``usual``: where a configuration names none, the paper's. ``makers(config, manifest, name)``
    gives what makes the targets for a source that was named, by the network's name for each.
    ``ranked``: what a teacher says is ranked (WARP), not predicted.
    """

    usual: tuple[str, ...]
    makers: Callable[[TrainConfig, Manifest, str], Mapping[str, Maker]]
    ranked: bool = False


def make_targets(
    config: TrainConfig, manifest: Manifest, cache: MelCache, sources: LabelSources
) -> dict[str, Targets]:
    """Targets of the sources that ``config`` names, or of all that the manifest can feed.

    They are kept in the cache folder and made again only when something they depend on differs;
    those of teachers are read from their tables each time. The network's name of a source has no
    full stop: ``musicnn.tags`` becomes ``musicnn-tags``.

    Raises:
        ConfigError: a source that is not known.
        TrainingError: a source that was named has no labels, or none has.
        MissingPackageError: a source that was named needs a package; others are left out.
    """
    train = np.zeros(len(manifest), bool)
    train[manifest.rows("train")] = True
    taste = config.manifest.parent / config.sources.taste if config.sources.taste else None
    seed = config.seed % 2**32  # what scikit-learn takes
    material = SourceMaterial(manifest, train, cache, config.sources.factors, seed, taste)
    makers = _makers(config, manifest, sources)
    targets: dict[str, Targets] = {}
    for source, maker in makers.items():
        try:
            if split_source(source, config.teachers) is None:
                target: Targets = _kept(config, material, source, partial(maker, material))
            else:
                target = maker(material)
        except MissingPackageError as error:
            if config.sources.names:
                raise
            logger.warning("left out: the source %r: %s", source, error)
            continue
        if (target.known & train).any():
            targets[key_of(source)] = target
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


def _makers(config: TrainConfig, manifest: Manifest, sources: LabelSources) -> dict[str, Maker]:
    makers: dict[str, Maker] = {}
    for name in config.sources.names or sources.usual:
        taught = _taught(config, name, sources.ranked)
        makers |= {name: taught} if taught else sources.makers(config, manifest, name)
    return makers


def chosen_from(known: Mapping[str, Maker]) -> Callable[[TrainConfig, Manifest, str], Any]:
    """``makers`` of networks that learn sources by their own name."""

    def makers(config: TrainConfig, manifest: Manifest, name: str) -> Mapping[str, Maker]:
        if name not in known:
            raise ConfigError(_unknown(config, name, tuple(known)))
        return {name: known[name]}

    return makers


def _taught(config: TrainConfig, source: str, ranked: bool) -> Maker | None:
    """What makes the targets of a teacher's source; None for the others."""
    found = split_source(source, config.teachers)
    if found is None:
        return None
    folder, thing = config.teachers[found[0]], found[1]

    def make(material: SourceMaterial) -> TimedTargets:
        return timed_targets(
            renamed(open_teacher(folder, thing), names_of(material.manifest)),
            list(material.manifest.ids),
            material.train,
            config.sources.components,
            ranked=ranked,
        )

    return make


def names_of(manifest: Manifest) -> dict[str, str]:
    """Id by everything that a teacher may call a track: the id, and each end of its path.

    A store of features names clips by their path below the folder that was extracted.
    """
    names: dict[str, str | None] = {}
    for id, file in zip(manifest.ids, manifest.files, strict=True):
        for start in range(len(file.parts)):
            end = "/".join(file.parts[start:])
            names[end] = id if names.get(end, id) == id else None  # None: of two tracks
    found = {name: id for name, id in names.items() if id is not None}
    return found | {id: id for id in manifest.ids}


def _unknown(config: TrainConfig, name: str, known: tuple[str, ...]) -> str:
    teacher, dot, _ = name.partition(".")
    if dot:
        teachers = ", ".join(config.teachers) or "nothing"
        return (
            f"source {name!r}: there is no teacher {teacher!r}; [teachers] of the configuration "
            f"has {teachers}."
        )
    guess = did_you_mean(name, known)
    return (
        f"unknown source {name!r}.{guess} Known: {', '.join(known)}; and what [teachers] say, such "
        "as 'musicnn.tags'."
    )


def weights_by_key(weights: Mapping[str, float]) -> dict[str, float]:
    """Weights of sources by the network's name of each."""
    return {key_of(source): weight for source, weight in weights.items()}


def key_of(source: str) -> str:
    """The network's name of a source: names of modules have no full stop."""
    return source.replace(".", "-")


def label_sets(config: TrainConfig, manifest: Manifest, column: str) -> Mapping[str, Maker]:
    """``makers`` of networks that learn a column: one set of labels for each data set.

    Equal names in two data sets need not mean the same.
    """
    datasets = manifest.texts("dataset")
    several = len({text for text in datasets if text}) > 1
    if several and (dotted := [text for text in datasets if text and "." in text]):
        raise TrainingError(
            f"{manifest.path}: the data set {dotted[0]!r} has a full stop in its name, which the "
            "name of its parameters cannot have. Rename it in the column 'dataset'."
        )
    if not manifest.has(column):
        raise TrainingError(f"{manifest.path}: no labels in the column {column!r}.")
    if not several:
        return {column: partial(labels_of, column, None)}
    words: dict[str, set[str]] = {}
    rows = zip(datasets, manifest.bags(column), manifest.split, strict=True)
    for dataset, bag, split in rows:
        if split != "test":
            words.setdefault(dataset or "", set()).update(bag or ())
    return {
        f"{dataset}:{column}": partial(labels_of, column, dataset)
        for dataset in sorted(words)
        # One label has nothing to be ranked against.
        if dataset and len(words[dataset]) > 1
    }


def _kept(
    config: TrainConfig, material: SourceMaterial, source: str, make: Callable[[], SourceTargets]
) -> SourceTargets:
    """Targets from the cache folder, made and kept there if need be."""
    family, digest = config.extractor.partition("-")[0], material.manifest.sha256
    decided_by = [FORMAT, digest, family, source, config.sources.factors, config.seed]
    decided_by += [config.validation.share, config.sources.taste, str(material.cache.mel)]
    decided_by += _beside_the_manifest(source, material) + list(config.sources.leave_out)
    key = hashlib.sha256(json.dumps(decided_by).encode()).hexdigest()[:12]
    path = config.cache / f"targets-{source.replace(':', '-').replace('/', '-')}-{key}.npz"
    if path.is_file():
        with np.load(path, allow_pickle=False) as file:
            return SourceTargets(file["values"], tuple(file["names"].tolist()))
    target = make()
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, values=target.values, names=np.array(target.names, dtype=str))
    return target


def _beside_the_manifest(source: str, material: SourceMaterial) -> list[str]:
    """Hashes of what a source is made from beside the manifest."""
    if source in ("mfcc", "dmfcc"):
        present = [id for id in material.manifest.ids if id in material.cache]
        return [hashlib.sha256("\n".join(present).encode()).hexdigest()]
    if source == "taste" and material.taste is not None and material.taste.is_file():
        return [sha256_of(material.taste)]
    return []
