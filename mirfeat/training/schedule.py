"""Which sources a step learns, from which tracks, and how large it is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from mirfeat.errors import TrainingError
from mirfeat.training.config import Optimiser, TrainConfig
from mirfeat.training.crops import source_stream
from mirfeat.training.manifest import Manifest
from mirfeat.training.mel_cache import MelCache
from mirfeat.training.targets.make import Targets

# How often a run is validated where the configuration does not say.
_VALIDATIONS = 20


@dataclass(frozen=True, eq=False)
class Plan:
    """Sources, steps, and training tracks of each source with their probabilities."""

    names: tuple[str, ...]
    order: str
    seed: int
    batch: int
    steps: int
    every: int
    rows: Mapping[str, np.ndarray]
    weights: np.ndarray
    _chances: dict[tuple[str, ...], tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    def sources(self, step: int) -> tuple[str, ...]:
        """Sources that learn in this step."""
        if self.order == "together":
            return self.names
        if self.order == "alternate":
            return (self.names[step % len(self.names)],)
        return (self.names[source_stream(self.seed, step).integers(len(self.names))],)

    def eligible(self, sources: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Training tracks with a label for one of ``sources``, and the probability of each."""
        key = tuple(sources)
        if key not in self._chances:
            rows = np.unique(np.concatenate([self.rows[source] for source in sources]))
            weights = self.weights[rows]
            self._chances[key] = rows, weights / weights.sum()
        return self._chances[key]


def make_plan(
    config: TrainConfig,
    manifest: Manifest,
    cache: MelCache,
    targets: Mapping[str, Targets],
) -> Plan:
    """The plan of a run.

    Raises:
        TrainingError: a source has fewer than two tracks to learn from.
    """
    usable = np.zeros(len(manifest), bool)
    for row in manifest.rows("train"):
        usable[row] = manifest.ids[row] in cache
    if config.sources.intersect:
        usable &= np.logical_and.reduce([target.known for target in targets.values()])
    rows = {source: np.flatnonzero(usable & target.known) for source, target in targets.items()}
    for source, found in rows.items():
        if len(found) < 2:
            raise TrainingError(
                f"{manifest.path}: {len(found)} training tracks for the source {source!r}; it "
                "takes 2 or more."
            )
    seconds = np.array([cache.seconds(id) if id in cache else 0.0 for id in manifest.ids])
    steps = _steps(config, max(len(found) for found in rows.values()), len(rows))
    return Plan(
        names=tuple(targets),
        order=config.sources.order,
        seed=config.draws,
        batch=config.optimiser.batch,
        steps=steps,
        every=config.validation.every or max(1, steps // _VALIDATIONS),
        rows=rows,
        weights=seconds**config.sources.balance,
    )


def _steps(config: TrainConfig, tracks: int, sources: int) -> int:
    if config.optimiser.steps:
        return config.optimiser.steps
    together = config.sources.order == "together"
    passes = config.optimiser.epochs * (1 if together else sources)
    return max(1, math.ceil(passes * tracks / config.optimiser.batch))


def rate(optimiser: Optimiser, step: int, steps: int) -> float:
    """Learning rate of a step."""
    value = optimiser.rate
    if step < optimiser.warmup:
        return value * (step + 1) / optimiser.warmup
    if optimiser.schedule == "cosine":
        done = (step - optimiser.warmup) / max(1, steps - optimiser.warmup)
        value *= 0.5 * (1.0 + math.cos(math.pi * done))
    return value


def make_optimiser(
    optimiser: Optimiser, parameters: list[nn.Parameter], *, labels: bool = False
) -> torch.optim.Optimizer:
    """Optimiser of one owner of parameters; ``labels``: they are vectors of labels."""
    decay = optimiser.weight_decay + (optimiser.label_decay if labels else 0.0)
    if optimiser.name == "sgd":
        return torch.optim.SGD(parameters, lr=optimiser.rate, weight_decay=decay, momentum=0.0)
    kind = torch.optim.AdamW if optimiser.name == "adamw" else torch.optim.Adam
    return kind(parameters, lr=optimiser.rate, weight_decay=decay)
