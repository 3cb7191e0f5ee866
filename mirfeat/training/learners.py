"""Networks as they learn: what each source's loss is, and how good a held-out prediction is.

A learner maps images and targets to one loss per source. Its ``predict`` and ``score`` serve
validation: a score is 1 for a perfect prediction and 0 for knowing nothing but the average.
Letters in shapes: V views, B crops, C channels, F mel bands, T frames, k size of a target.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from mirfeat.networks.branched import Branched
from mirfeat.networks.choi2017_network import Choi2017
from mirfeat.networks.hamel2013 import Hamel2013
from mirfeat.training import objectives, warp
from mirfeat.training.objectives import Kind

Targets = Mapping[str, Tensor]
"""Targets [V·B, k] of each source; NaN where a track has no label."""

SELF = "self"
# Pairs of a validation batch: every crop against every other.
_VALIDATION_PAIRS = 64
# Nats; what rounding leaves of a baseline that is 0.
_NOTHING = 1e-5


class Learner(nn.Module):
    """A network with its objectives."""

    def forward(self, images: Tensor, targets: Targets, seed: int) -> dict[str, Tensor]:
        """Loss of each source in ``targets``, from images [V, B, C, F, T]."""
        raise NotImplementedError

    def parameters_of(self, source: str | None) -> list[nn.Parameter]:
        """What only ``source`` trains; None: what all sources share."""
        raise NotImplementedError

    def predict(self, images: Tensor, sources: Sequence[str]) -> dict[str, Tensor]:
        """What :meth:`score` compares with targets, a row for each image [B, C, F, T]."""
        raise NotImplementedError

    def score(self, source: str, predicted: Tensor, targets: Tensor) -> float:
        """How good predictions of a source are, at most 1; NaN where that cannot be said."""
        raise NotImplementedError

    def constrain(self) -> None:
        """What has to hold after each step."""


def known_rows(targets: Tensor) -> Tensor:
    """Rows of targets [B, k] that have a label."""
    return torch.nonzero(~targets.isnan().any(1)).flatten()


class BranchedLearner(Learner):
    """Kim 2018 and Kim 2019: distributions by source, and pairs of crops for ``self``.

    Sources that a teacher gives are learnt as its tags or its vectors.
    """

    def __init__(
        self,
        network: Branched,
        objective: Callable[[Tensor, Tensor], Tensor],
        pairs: objectives.PairScheme,
        kinds: Mapping[str, Kind] | None = None,
        distance: objectives.Distance = "smooth_l1",
    ) -> None:
        """``objective`` of logits and target distributions; ``pairs`` as in the configuration.

        ``kinds`` of the sources that are no labels; ``distance`` of vectors.
        """
        super().__init__()
        self.network, self._objective, self._pairs = network, objective, pairs
        self._kinds, self._distance = dict(kinds or {}), distance

    def forward(self, images: Tensor, targets: Targets, seed: int) -> dict[str, Tensor]:
        """Loss of each source."""
        # Both views in one pass: batch norm sees them together (the authors': one after the other).
        shared = self.network.trunk(images.flatten(0, 1).transpose(2, 3))
        return {source: self._loss(source, shared, targets[source]) for source in targets}

    def _loss(self, source: str, shared: Tensor, targets: Tensor) -> Tensor:
        branch, head = self.network.branches[source], self.network.heads[source]
        if source == SELF:
            left, right = branch(shared).chunk(2)
            return objectives.pairs(head, left, right, self._pairs)
        known = known_rows(targets)
        if len(known) < 2:  # batch norm has no variance to go by
            # Zero, with gradients; a branch that is all shared has no parameters of its own.
            return 0.0 * sum((p.sum() for p in head.parameters()), shared.float().sum())
        if len(known) < len(targets):
            shared, targets = shared[known], targets[known]
        objective = taught_objective(self._kinds.get(source, "labels"), self._distance)
        return (objective or self._objective)(head(branch(shared)), targets)

    def parameters_of(self, source: str | None) -> list[nn.Parameter]:
        """Trunk, or branch and head."""
        if source is None:
            return list(self.network.trunk.parameters())
        parts = (self.network.branches[source], self.network.heads[source])
        return [parameter for part in parts for parameter in part.parameters()]

    def predict(self, images: Tensor, sources: Sequence[str]) -> dict[str, Tensor]:
        """Logits; features for ``self``."""
        shared = self.network.trunk(images.transpose(2, 3))
        features = {source: self.network.branches[source](shared) for source in sources}
        heads = self.network.heads
        return {s: f if s == SELF else heads[s](f) for s, f in features.items()}

    def score(self, source: str, predicted: Tensor, targets: Tensor) -> float:
        """Brier skill score; for pairs the share of ln 2 that is explained; as taught_score."""
        if (kind := self._kinds.get(source, "labels")) != "labels":
            return taught_score(kind, predicted, targets)
        if source != SELF:
            return distribution_score(predicted, targets)
        # Two crops of a track stand next to each other: even against odd ones.
        head = self.network.heads[source]
        predicted = predicted.to(next(head.parameters()).device)
        left, right = predicted[0::2], predicted[1::2]
        size = min(_VALIDATION_PAIRS, len(left))
        losses = [
            objectives.pairs(head, a, b, "all")
            for a, b in zip(torch.split(left, size), torch.split(right, size), strict=True)
            if len(a) == size
        ]
        return 1.0 - float(torch.stack(losses).mean()) / math.log(2.0)


def distribution_score(logits: Tensor, targets: Tensor) -> float:
    """Brier skill score: 1 - squared error / that of always saying the mean; NaN as below.

    Not the divergence: one overconfident prediction of an artist never heard outweighs all others.
    """
    error = (logits.softmax(1) - targets).square().sum()
    return explained(error, (targets.mean(0) - targets).square().sum())


def explained(loss: Tensor, baseline: Tensor) -> float:
    """1 - loss / baseline; NaN where all targets are the same, so that nothing is to be told."""
    return 1.0 - float(loss) / float(baseline) if float(baseline) > _NOTHING else math.nan


def taught_objective(
    kind: Kind, distance: objectives.Distance
) -> Callable[[Tensor, Tensor], Tensor] | None:
    """What to minimise for probabilities and for vectors; None for the paper's own labels."""
    if kind == "vector":
        return partial(objectives.matching, distance=distance)
    return objectives.tagging if kind == "probabilities" else None


def taught_score(kind: Kind, predicted: Tensor, targets: Tensor) -> float:
    """Share of the cross-entropy or, for vectors, of the squared error that is explained (R²)."""
    if kind == "vector":
        error = (predicted - targets).square().sum()
        return explained(error, (targets - targets.mean(0)).square().sum())
    # A tag that is known of no track has no mean, and does not count.
    mean = targets.nanmean(0).nan_to_num(0.5).clamp(1e-6, 1.0 - 1e-6)
    baseline = objectives.tagging(mean.logit().expand_as(targets), targets)
    return explained(objectives.tagging(predicted, targets), baseline)


class TaggingLearner(Learner):
    """Choi 2017: all tags of a track at once, and vectors of teachers from all layers.

    The means of the five layers' maps, which are the extractor's feature, stand side by side, and
    a linear map of them says each vector. These maps are no part of the checkpoint.
    """

    def __init__(
        self,
        network: Choi2017,
        tags: str = "tag",
        vectors: Mapping[str, int] | None = None,
        distance: objectives.Distance = "smooth_l1",
    ) -> None:
        """Train all of ``network``, its head by the source ``tags``; ``vectors``: sizes."""
        super().__init__()
        self.network, self._tags, self._distance = network, tags, distance
        width = sum(block.conv.out_channels for block in network.blocks)
        # Layers differ in scale; without this the loudest would be heard alone.
        self.scale = nn.BatchNorm1d(width, affine=False)
        self.vectors = nn.ModuleDict(
            {source: nn.Linear(width, size) for source, size in (vectors or {}).items()}
        )

    def forward(self, images: Tensor, targets: Targets, seed: int) -> dict[str, Tensor]:
        """Cross-entropy of the tags, distance of the vectors."""
        predicted = self.predict(images.flatten(0, 1), list(targets))
        return {
            source: self._loss(source, predicted[source], targets[source]) for source in targets
        }

    def _loss(self, source: str, predicted: Tensor, targets: Tensor) -> Tensor:
        if source == self._tags:
            return objectives.tagging(predicted, targets)
        known = known_rows(targets)
        if not len(known):
            return 0.0 * predicted.sum()
        return objectives.matching(predicted[known], targets[known], self._distance)

    def parameters_of(self, source: str | None) -> list[nn.Parameter]:
        """The network with the head of tags, or the map of one vector."""
        if source is None:
            return list(self.network.parameters())
        return list(self.vectors[source].parameters()) if source in self.vectors else []

    def predict(self, images: Tensor, sources: Sequence[str]) -> dict[str, Tensor]:
        """Logits of the tags, vectors."""
        means, maps = [], images
        for block in self.network.blocks:
            maps = block(maps)
            if self.vectors:
                means.append(maps.mean((2, 3)))
        predicted = {self._tags: self.network.head(maps.flatten(1))}
        if self.vectors:
            feature = self.scale(torch.cat(means, dim=1))
            predicted |= {source: vector(feature) for source, vector in self.vectors.items()}
        return {source: predicted[source] for source in sources}

    def score(self, source: str, predicted: Tensor, targets: Tensor) -> float:
        """As :func:`taught_score`."""
        kind: Kind = "probabilities" if source == self._tags else "vector"
        return taught_score(kind, predicted, targets)


class EmbeddingLearner(Learner):
    """Hamel 2013: one map of frames for all label sets, ranked by WARP."""

    def __init__(self, network: Hamel2013) -> None:
        """Start from normal draws of variance 1 / size (Weston et al. 2011)."""
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, targets: Targets, seed: int) -> dict[str, Tensor]:
        """WARP loss of each label set."""
        frames = self._frames(images.flatten(0, 1))
        draw = torch.Generator(images.device).manual_seed(seed)
        losses = {}
        for source, labels in targets.items():
            known = torch.nonzero(labels.nan_to_num().any(1)).flatten()
            scores = self._scores(source, frames[known])
            truth = labels[known] > 0
            # One of a track's labels, at random; a teacher's in proportion to their weight.
            positive = torch.multinomial(labels[known].float(), 1, generator=draw).flatten()
            found = warp.sample(scores, positive, truth, draw)
            losses[source] = warp.warp_loss(scores, positive, found)
        return losses

    def _frames(self, images: Tensor) -> Tensor:
        """Embedded frames: mean over the frames of an image [B, 1, F, T], [B, 100]."""
        return cast(Tensor, self.network.embedding(images[:, 0].mean(-1)))

    def _scores(self, source: str, frames: Tensor) -> Tensor:
        return frames @ cast(Tensor, self.network.labels[source]).T

    def parameters_of(self, source: str | None) -> list[nn.Parameter]:
        """The map, or the labels of one set."""
        if source is None:
            return list(self.network.embedding.parameters())
        return [self.network.labels[source]]

    def predict(self, images: Tensor, sources: Sequence[str]) -> dict[str, Tensor]:
        """Affinity of each label."""
        frames = self._frames(images)
        return {source: self._scores(source, frames) for source in sources}

    def score(self, source: str, predicted: Tensor, targets: Tensor) -> float:
        """2·AUC - 1 of a track's labels against the others, mean over tracks."""
        truth = (targets > 0).float()
        order = predicted.argsort(1).argsort(1).float() + 1.0  # ranks, 1 is the lowest
        positives = truth.sum(1)
        negatives = truth.shape[1] - positives
        usable = (positives > 0) & (negatives > 0)
        wins = (order * truth).sum(1) - positives * (positives + 1.0) / 2.0
        auc = wins[usable] / (positives * negatives)[usable]
        return float(2.0 * auc.mean() - 1.0)

    @torch.no_grad()
    def constrain(self) -> None:
        """Columns of the map and vectors of labels have norm 1 at most."""
        warp.project_norms_(self.network.embedding.weight, dim=0)
        for vectors in self.network.labels.values():
            warp.project_norms_(vectors, dim=1)
