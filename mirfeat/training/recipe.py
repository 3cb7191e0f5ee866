"""What training knows of one kind of network: a recipe for a run, and the family it belongs to.

A recipe knows what its paper fixed: the length of a crop, how the input is scaled before the first
step, which statistics are settled after the last one, and what a checkpoint holds. A family says of
the networks of one paper which sources they learn, what holds where a configuration is silent, and
how a recipe is made; the paper's own file fills it in. Letters in shapes: B crops, C channels,
F mel bands, T frames.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from mirfeat.networks.checkpoint import Weights
from mirfeat.networks.frontend import Frontend, Standardise
from mirfeat.networks.spec import ExtractorSpec
from mirfeat.training.config import TrainConfig
from mirfeat.training.learners import Learner
from mirfeat.training.targets.make import LabelSources, Targets


@dataclass(frozen=True, eq=False)
class Recipe:
    """One kind of network in training. ``frames``: length T of a crop."""

    spec: ExtractorSpec
    frontend: Frontend
    learner: Learner
    frames: int

    def prepare(self, levels: Tensor) -> None:
        """Settle the scale of the input from levels of training crops [B, C, F, T]."""
        if isinstance(self.frontend.standardise, Standardise):
            self.frontend.standardise.fit(self.frontend.scaling.finish(levels))

    def finish(self, levels: Tensor) -> None:
        """Settle the statistics that inference uses, from unchanged training crops."""

    def weights(self) -> Weights:
        """The checkpoint, as it stands."""
        raise NotImplementedError


MakeRecipe = Callable[[TrainConfig, ExtractorSpec, Frontend, Mapping[str, Targets]], Recipe]
"""A network drawn from the seed of a configuration for these targets, ready to learn."""


@dataclass(frozen=True)
class Family:
    """How networks of one kind are trained.

    ``defaults``: what a configuration says where it is silent, by section: the paper's values.
    """

    extractors: tuple[str, ...]
    sources: LabelSources
    make: MakeRecipe
    defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def frames_of(spec: ExtractorSpec) -> int:
    """Length T of a segment, which is that of a crop where a paper learns from whole segments."""
    return spec.mel.frames(spec.segment.samples)
