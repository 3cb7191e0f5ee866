"""What networks predict beside features: tags, factors, labels; averaged over a clip's segments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch

from mirfeat.audio.clip import Source
from mirfeat.errors import OptionError
from mirfeat.networks.model import EmbedsLabels, NamesTags, PredictsFactors
from mirfeat.pipeline.clip import new_clip, vector_of
from mirfeat.pipeline.threads import run_one
from mirfeat.pipeline.unit import Unit


class Tag(NamedTuple):
    """A word for what is heard, with its probability in [0, 1]."""

    name: str
    probability: float


class Neighbour(NamedTuple):
    """A label and its L1 distance."""

    name: str
    distance: float


@dataclass(frozen=True, eq=False)
class LabelSpace:
    """Labels of all data sets of a checkpoint, as points of the space that frames are embedded in.

    Source: Hamel et al. 2013, section 3.3.

    ``names``: "dataset/label"; ``vectors``: float32 [labels, D], one row for each name.
    """

    names: tuple[str, ...]
    vectors: np.ndarray

    def nearest(self, query: str | np.ndarray, top: int = 10) -> tuple[Neighbour, ...]:
        """The labels nearest to a label (itself left out) or to a point (D,), by L1 distance.

        Raises:
            OptionError: no such label, or a point of another size.
        """
        if isinstance(query, str) and query not in self.names:
            known = ", ".join(self.names[:5]) + (", …" if len(self.names) > 5 else "")
            raise OptionError(f"no label {query!r} among {len(self.names)}: {known}")
        point = query if not isinstance(query, str) else self.vectors[self.names.index(query)]
        if np.shape(point) != self.vectors.shape[1:]:
            raise OptionError(
                f"a point of shape {np.shape(point)}; labels have shape {self.vectors.shape[1:]}."
            )
        distances = np.abs(self.vectors - point).sum(axis=1)
        itself = self.names.index(query) if isinstance(query, str) else None
        order = [i for i in np.argsort(distances, kind="stable") if i != itself]
        return tuple(Neighbour(self.names[i], float(distances[i])) for i in order[:top])

    def __repr__(self) -> str:
        """Number of labels and where they come from."""
        sets = dict.fromkeys(name.partition("/")[0] for name in self.names)
        return f"LabelSpace({len(self.names)} labels of {', '.join(sets)})"


def tags(
    unit: Unit, source: Source, max_seconds: float | None, top: int, unheard: bool = False
) -> tuple[Tag, ...]:
    """The most probable tags of a clip, without those that the checkpoint says it cannot hear.

    ``unheard``: with them.

    Raises:
        OptionError: the network has no tag head, or ``top`` is below 1.
    """
    network = unit.model.network
    if not isinstance(network, NamesTags):
        raise OptionError(f"{unit.spec.name} cannot name tags; choi2017 can.")
    if top < 1:
        raise OptionError(f"top={top}: it is 1 or more tags.")
    names, probabilities = network.tag_names, network.tag_probabilities
    average = _average(unit, source, max_seconds, probabilities, len(names))
    known: frozenset[str] = getattr(network, "unheard_tags", frozenset())
    hidden: frozenset[str] = frozenset() if unheard else known
    best = [i for i in np.argsort(-average, kind="stable") if names[i] not in hidden]
    return tuple(Tag(names[index], float(average[index])) for index in best[:top])


def factors(unit: Unit, source: Source, max_seconds: float | None) -> dict[str, np.ndarray]:
    """Distribution over the factors of each learning source.

    Raises:
        OptionError: the network was not trained on factors.
    """
    network = unit.model.network
    if not isinstance(network, PredictsFactors) or not network.factor_sizes:
        raise OptionError(f"{unit.spec.name} has no factors; networks of kim2018 and kim2019 do.")
    sizes = network.factor_sizes
    average = _average(unit, source, max_seconds, network.factor_probabilities, sum(sizes.values()))
    ends = np.cumsum(list(sizes.values()))[:-1]
    return dict(zip(sizes, np.split(average, ends), strict=True))


def labels(unit: Unit) -> LabelSpace:
    """Labels embedded beside the frames.

    Raises:
        OptionError: the checkpoint has none.
    """
    network = unit.model.network
    if not isinstance(network, EmbedsLabels) or not network.label_names:
        raise OptionError(
            f"{unit.spec.name}: no labels in this checkpoint; trained ones of hamel2013-tag and "
            "-genre have them."
        )
    return LabelSpace(tuple(network.label_names), network.label_vectors.cpu().numpy())


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

    predicting = replace(unit, run=run, row_size=size)
    clip = new_clip("audio", source, [predicting], keep_rows=False)
    return vector_of(run_one(clip, [predicting], max_seconds), (("mean",),))
