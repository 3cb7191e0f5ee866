"""What a run needs before its first step: tracks, their spectrograms, targets, a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mirfeat.errors import ConfigError, TrainingError
from mirfeat.networks.registry import get_spec
from mirfeat.runs.progress import Shown
from mirfeat.store.jobarray import Shard
from mirfeat.training.config import TrainConfig
from mirfeat.training.manifest import Manifest, read_manifest
from mirfeat.training.mel_cache import FailedTrack, MelCache, build
from mirfeat.training.mel_frames import Track
from mirfeat.training.recipe import Recipe
from mirfeat.training.recipes import make_recipe, targets_of
from mirfeat.training.targets.make import Targets


@dataclass(frozen=True)
class Hardware:
    """Where a run happens; the configuration says what.

    ``device``: auto, cpu or cuda; ``devices`` processes on each of ``nodes`` machines;
    ``precision``: Fabric's, for example ``bf16-mixed``; ``workers``: processes that read crops
    ahead (0: the training process itself), and threads that fill the cache.
    """

    device: str = "auto"
    devices: int = 1
    nodes: int = 1
    precision: str = "32-true"
    workers: int = 0
    save_seconds: float = 120.0


@dataclass(frozen=True, eq=False)
class TrainingRun:
    """A run before its first step."""

    config: TrainConfig
    manifest: Manifest
    cache: MelCache
    targets: dict[str, Targets]
    recipe: Recipe
    failures: Sequence[FailedTrack] = ()


def prepare(
    config: TrainConfig, hardware: Hardware, fabric: Any = None, *, progress: Shown = None
) -> TrainingRun:
    """Read the manifest, fill the cache, make targets and the untrained network.

    Raises: as :func:`mirfeat.training.trainer.train`.
    """
    manifest = manifest_of(config)
    mel, failures = get_spec(config.extractor).mel, []
    first = fabric is None or fabric.is_global_zero
    if first:
        failures = fill_cache(config, manifest, max(1, hardware.workers), progress=progress)
        targets_of(config, manifest, MelCache(config.cache, mel))
    if fabric is not None:
        fabric.barrier()
    cache = MelCache(config.cache, mel)
    if not any(id in cache for id in manifest.ids):
        raise TrainingError(f"{config.manifest}: not one of {len(manifest)} files could be read.")
    targets = targets_of(config, manifest, cache)
    return TrainingRun(config, manifest, cache, targets, make_recipe(config, targets), failures)


def manifest_of(config: TrainConfig) -> Manifest:
    """The tracks of a run; those of data sets that it leaves out count as "test".

    Raises:
        ConfigError: a data set that no track is of.
        ManifestError: see :func:`~mirfeat.training.manifest.read_manifest`.
    """
    manifest = read_manifest(config.manifest, valid=config.validation.share, seed=config.seed)
    left = config.sources.leave_out
    if not left:
        return manifest
    datasets = manifest.texts("dataset")
    if unknown := [name for name in left if name not in datasets]:
        known = ", ".join(sorted({name for name in datasets if name}))
        raise ConfigError(
            f"{config.manifest}: sources.leave_out has {unknown[0]!r}, which no track has in the "
            f"column 'dataset': {known or 'it is empty'}."
        )
    split = np.array(manifest.split, dtype=object)
    split[[name in left for name in datasets]] = "test"
    return replace(manifest, split=split)


def fill_cache(
    config: TrainConfig,
    manifest: Manifest,
    workers: int,
    *,
    shard: Shard | None = None,
    progress: Shown = None,
) -> list[FailedTrack]:
    """Put the mel spectrograms of all tracks but those of the split "test" into the cache."""
    limits = manifest.numbers("seconds")
    tracks = [
        Track(id, file, None if np.isnan(limit) else float(limit))
        for id, file, limit, split in zip(
            manifest.ids, manifest.files, limits, manifest.split, strict=True
        )
        if split != "test"
    ]
    mel = get_spec(config.extractor).mel
    return build(tracks, config.cache, mel, workers=workers, shard=shard, progress=progress)
