"""What networks predict beside features: tags, factors, labels; averaged over a clip's segments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch

from mirfeat.errors import OptionError
from mirfeat.labels import LabelSpace
from mirfeat.pipeline.clip import Source, new_clip, vector_of
from mirfeat.pipeline.threads import run_one
from mirfeat.units import Unit


class Tag(NamedTuple):
    """A word for what is heard, with its probability in [0, 1]."""

    name: str
    probability: float


def tags(unit: Unit, source: Source, max_seconds: float | None, top: int) -> tuple[Tag, ...]:
    """The most probable tags of a clip.

    Raises:
        OptionError: the network has no tag head, or ``top`` is below 1.
    """
    network: Any = unit.model.network
    if not hasattr(network, "tag_names"):
        raise OptionError(f"{unit.spec.name} cannot name tags; choi2017 can.")
    if top < 1:
        raise OptionError(f"top={top}: it is 1 or more tags.")
    names, probabilities = network.tag_names, network.tag_probabilities
    average = _average(unit, source, max_seconds, probabilities, len(names))
    best = np.argsort(-average, kind="stable")[:top]
    return tuple(Tag(names[index], float(average[index])) for index in best)


def factors(unit: Unit, source: Source, max_seconds: float | None) -> dict[str, np.ndarray]:
    """Distribution over the factors of each learning source.

    Raises:
        OptionError: the network was not trained on factors.
    """
    network: Any = unit.model.network
    sizes: dict[str, int] = getattr(network, "factor_sizes", {})
    if not sizes:
        raise OptionError(f"{unit.spec.name} has no factors; networks of kim2018 and kim2019 do.")
    predict, total = network.factor_probabilities, sum(sizes.values())
    average = _average(unit, source, max_seconds, predict, total)
    ends = np.cumsum(list(sizes.values()))[:-1]
    return dict(zip(sizes, np.split(average, ends), strict=True))


def labels(unit: Unit) -> LabelSpace:
    """Labels embedded beside the frames.

    Raises:
        OptionError: the checkpoint has none.
    """
    network: Any = unit.model.network
    names = getattr(network, "label_names", ())
    if not names:
        raise OptionError(
            f"{unit.spec.name}: no labels in this checkpoint; trained ones of hamel2013-tag and "
            "-genre have them."
        )
    return LabelSpace(tuple(names), network.label_vectors.cpu().numpy())


def _average(
    unit: Unit,
    source: Source,
    max_seconds: float | None,
    predict: Callable[[torch.Tensor], torch.Tensor],
    size: int,
) -> np.ndarray:
    """Mean over a clip's segments of what ``predict`` says of their images, float32 (size,)."""

    def run(audio: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        values = predict(unit.model.frontend(audio))
        return values, torch.zeros_like(values)

    part = replace(unit.part, run=run, row_size=size)
    clip = new_clip("audio", source, [part], keep_rows=False)
    return vector_of(run_one(clip, [part], max_seconds), (("mean",),))
