"""What networks predict beside features: tags, factors, labels; averaged over a clip's segments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

import numpy as np
import torch

from mirfeat.audio.clip import Source
from mirfeat.errors import OptionError
from mirfeat.networks.model import EmbedsLabels, NamesTags, PredictsFactors
from mirfeat.pipeline.clip import Clip, embedding_arrays, new_clip, vector_of
from mirfeat.pipeline.threads import run_one
from mirfeat.pipeline.unit import Unit

# Segments of half a minute show little of a song when each starts where the last one ended.
_LONGEST_HOP_SECONDS = 3.0


class Tag(NamedTuple):
    """A word for what is heard, with its probability in [0, 1]."""

    name: str
    probability: float


class Neighbour(NamedTuple):
    """A label and its L1 distance."""

    name: str
    distance: float


@dataclass(frozen=True, eq=False)
class NamedFactors:
    """What the head of a learning source predicts: a distribution over factors with names.

    ``names`` [k]: the words that weigh most in a factor, or the source and a number where the
    checkpoint does not know them; ``shares``: float32 [k], which sum to 1. An array of the shares
    where NumPy wants one.
    """

    names: tuple[str, ...]
    shares: np.ndarray

    def __len__(self) -> int:
        """Number of factors."""
        return len(self.names)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The shares."""
        return np.array(self.shares, dtype=dtype) if copy else np.asarray(self.shares, dtype=dtype)

    def strongest(self, top: int = 3) -> list[tuple[str, float]]:
        """The names of the largest shares, the largest first, with them."""
        order = np.argsort(-self.shares, kind="stable")[:top]
        return [(self.names[k], float(self.shares[k])) for k in order.tolist()]

    def __repr__(self) -> str:
        """How many, and the strongest."""
        name, share = self.strongest(1)[0]
        return f"NamedFactors({len(self)}, strongest {name!r} {share:.2f})"


@dataclass(frozen=True, eq=False)
class TagsOverTime:
    """How probable each tag is in each segment of a clip (a taggram).

    ``names``: [tags], the most probable over the whole clip first; ``probabilities``: float32
    [segments, tags] in [0, 1]; ``starts``, ``ends``: float64 [segments], seconds of the clip.
    """

    names: tuple[str, ...]
    probabilities: np.ndarray
    starts: np.ndarray
    ends: np.ndarray

    def __len__(self) -> int:
        """Number of segments."""
        return len(self.probabilities)

    def __repr__(self) -> str:
        """Segments, tags and time covered."""
        return f"TagsOverTime({len(self)} segments x {len(self.names)} tags, {self.ends[-1]:.1f} s)"


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
    network = _tagger(unit, top)
    names, probabilities = network.tag_names, network.tag_probabilities
    average = _average(unit, source, max_seconds, probabilities, len(names))
    best = _best(network, average, unheard)[:top]
    return tuple(Tag(names[index], float(average[index])) for index in best)


def tags_over_time(
    unit: Unit,
    source: Source,
    max_seconds: float | None,
    top: int,
    hop_seconds: float | None,
    unheard: bool = False,
) -> TagsOverTime:
    """The most probable tags of a clip in each of its segments; ``unheard`` as in :func:`tags`.

    Raises:
        OptionError: the network has no tag head, ``top`` is below 1, or a hop that is 0 or less or
            more than a segment.
    """
    network, rate = _tagger(unit, top), unit.spec.mel.sample_rate
    if hop_seconds is None:
        hop = min(unit.segment.hop_samples, round(_LONGEST_HOP_SECONDS * rate))
    else:
        hop = round(hop_seconds * rate)
    if not 1 <= hop <= unit.segment.samples:
        raise OptionError(
            f"hop_seconds={hop_seconds}: more than 0 and at most a segment, which has "
            f"{unit.segment_seconds:g} s."
        )
    dense = replace(unit, segment=replace(unit.segment, hop_samples=hop))
    names = network.tag_names
    arrays = over_time(dense, source, max_seconds, network.tag_probabilities, len(names))
    average = np.average(arrays["values"], axis=0, weights=arrays["weights"])
    best = _best(network, average, unheard)[:top]
    return TagsOverTime(
        tuple(names[index] for index in best),
        arrays["values"][:, best],
        arrays["starts"],
        arrays["ends"],
    )


def _tagger(unit: Unit, top: int) -> NamesTags:
    network = unit.model.network
    if not isinstance(network, NamesTags):
        raise OptionError(f"{unit.spec.name} cannot name tags; choi2017 can.")
    if top < 1:
        raise OptionError(f"top={top}: it is 1 or more tags.")
    return network


def _best(network: NamesTags, average: np.ndarray, unheard: bool) -> list[int]:
    """Indices of tags, most probable first, without those that cannot be heard."""
    known: frozenset[str] = getattr(network, "unheard_tags", frozenset())
    hidden: frozenset[str] = frozenset() if unheard else known
    order = np.argsort(-average, kind="stable").tolist()
    return [index for index in order if network.tag_names[index] not in hidden]


def factors(unit: Unit, source: Source, max_seconds: float | None) -> dict[str, NamedFactors]:
    """Distribution over the factors of each learning source, with their names.

    Raises:
        OptionError: the network was not trained on factors.
    """
    network = _factor_network(unit)
    sizes = network.factor_sizes
    average = _average(unit, source, max_seconds, network.factor_probabilities, sum(sizes.values()))
    ends = np.cumsum(list(sizes.values()))[:-1]
    names = network.factor_names
    parts = zip(sizes, np.split(average, ends), strict=True)
    return {source: NamedFactors(tuple(names[source]), shares) for source, shares in parts}


def factor_names(unit: Unit) -> dict[str, tuple[str, ...]]:
    """Names of the factors of each learning source, in the order of :func:`factors`.

    Raises:
        OptionError: the network was not trained on factors.
    """
    return dict(_factor_network(unit).factor_names)


def _factor_network(unit: Unit) -> PredictsFactors:
    network = unit.model.network
    if not isinstance(network, PredictsFactors) or not network.factor_sizes:
        raise OptionError(
            f"{unit.spec.name} has no factors in this checkpoint; networks of kim2018 and kim2019 "
            "have them for sources that are learnt from labels, as some of the open kim2019-mss-cr."
        )
    return network


def labels(unit: Unit) -> LabelSpace:
    """Labels embedded beside the frames.

    Raises:
        OptionError: the checkpoint has none.
    """
    # Not isinstance(): from Python 3.12 on it does not see buffers of a network, as vectors are.
    network = cast(EmbedsLabels, unit.model.network)
    if not getattr(network, "label_names", ()):
        raise OptionError(
            f"{unit.spec.name}: no labels in this checkpoint; trained ones of hamel2013-tag and "
            "-genre have them."
        )
    return LabelSpace(tuple(network.label_names), network.label_vectors.cpu().numpy())


def over_time(
    unit: Unit,
    source: Source,
    max_seconds: float | None,
    predict: Callable[[torch.Tensor], torch.Tensor],
    size: int,
) -> dict[str, np.ndarray]:
    """What ``predict`` says of each segment's image: ``values`` [T, size], ``starts``, ``ends``.

    Times are float64 [T] in seconds of the clip, ``weights`` float64 [T].
    """
    clip = _predicted(unit, source, max_seconds, predict, size, keep_rows=True)
    return embedding_arrays(clip.rows[0], unit.spec.mel.sample_rate)


def _average(
    unit: Unit,
    source: Source,
    max_seconds: float | None,
    predict: Callable[[torch.Tensor], torch.Tensor],
    size: int,
) -> np.ndarray:
    """Mean over a clip's segments of what ``predict`` says of their images, float32 (size,)."""
    clip = _predicted(unit, source, max_seconds, predict, size, keep_rows=False)
    return vector_of(clip, (("mean",),))


def _predicted(
    unit: Unit,
    source: Source,
    max_seconds: float | None,
    predict: Callable[[torch.Tensor], torch.Tensor],
    size: int,
    *,
    keep_rows: bool,
) -> Clip:
    """A clip whose rows are what ``predict`` says of each segment's image."""

    def run(audio: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        values = predict(unit.model.frontend(audio))
        return values, torch.zeros_like(values)

    predicting = replace(unit, run=run, row_size=size)
    clip = new_clip("audio", source, [predicting], keep_rows=keep_rows)
    return run_one(clip, [predicting], max_seconds)
