"""WARP: a ranking loss that pushes positive labels to the top (Hamel 2013).

Hamel et al. take it from Weston, Bengio, Usunier: WSABIE, scaling up to large vocabulary image
annotation (IJCAI 2011). A step compares a positive label with negative ones drawn at random until
one comes closer than a margin of 1; the number of tries says how badly the positive is ranked.
Letters in shapes: B examples, Y labels.

The paper prints how to draw, :func:`sample_exactly`. :func:`sample` draws from the same
distribution without a loop: the tries before a violation are geometric, and the violating label is
uniform among those that violate.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mirfeat.errors import ConfigError

MARGIN = 1.0


class Violations(NamedTuple):
    """Examples for which a violating label was found, and that label; three of int64 [found]."""

    rows: Tensor
    """Indices of examples, ascending."""
    negatives: Tensor
    """Index of the label that violates the margin."""
    tries: Tensor
    """How many labels were drawn, the violating one included, 1 to Y - 1."""


def sample_exactly(
    scores: Tensor,
    positive: Tensor,
    generator: np.random.Generator,
    also_positive: Tensor | None = None,
) -> Violations:
    """Draw negative labels one by one as the paper says; slow, the reference for :func:`sample`.

    A label violates where its score exceeds that of the positive one less 1. An example is given
    up, and absent from the result, after Y - 1 tries, or when all labels are positive.

    Args:
        scores: affinities [B, Y].
        positive: index of the positive label of each example, int64 [B].
        generator: source of the draws.
        also_positive: bool [B, Y], True for labels that apply too and are never drawn as negative.

    Returns:
        What was found.

    Raises:
        ConfigError: shapes do not fit.
    """
    negative = _negatives(scores, positive, also_positive)
    violating = _violating(scores, positive, negative).cpu().numpy()
    limit = scores.shape[1] - 1
    found = []
    for row, allowed in enumerate(negative.cpu().numpy()):
        candidates = np.flatnonzero(allowed)
        for tries in range(1, limit + 1 if len(candidates) else 0):
            label = candidates[generator.integers(len(candidates))]
            if violating[row, label]:
                found.append((row, int(label), tries))
                break
    columns = torch.tensor(found, dtype=torch.int64).reshape(-1, 3).to(scores.device)
    return Violations(*columns.unbind(1))


def sample(
    scores: Tensor,
    positive: Tensor,
    also_positive: Tensor | None,
    generator: torch.Generator,
) -> Violations:
    """Draw violating labels of all examples at once, distributed as in :func:`sample_exactly`.

    Takes 2 B numbers from ``generator`` whatever the scores are. Its device may be another one than
    that of the scores.

    Args:
        scores: affinities [B, Y].
        positive: index of the positive label of each example, int64 [B].
        also_positive: bool [B, Y], True for labels that apply too and are never drawn as negative.
        generator: source of the draws.

    Returns:
        What was found.

    Raises:
        ConfigError: shapes do not fit.
    """
    negative = _negatives(scores, positive, also_positive)
    violating = _violating(scores, positive, negative)
    # Double precision, which not every accelerator has, is for B numbers only.
    candidates = negative.sum(1).to(generator.device)
    violators = violating.sum(1).to(generator.device)
    uniform = torch.rand(
        2, len(scores), dtype=torch.float64, generator=generator, device=generator.device
    )
    # Inversion: more than n tries are needed with probability (1 - chance) ** n. No violator gives
    # infinity or NaN, and neither is within the limit; only violators gives 1.
    chance = violators / candidates.clamp(min=1).double()
    tries = 1 + torch.floor(torch.log(1 - uniform[0]) / torch.log1p(-chance))
    found = tries < scores.shape[1]
    which = (uniform[1] * violators).long()
    rows = found.nonzero()[:, 0]
    which, tries = which[rows].to(scores.device), tries[rows].long().to(scores.device)
    rows = rows.to(scores.device)
    # The label with exactly so many violators before it.
    label = (violating[rows].cumsum(1) <= which[:, None]).sum(1)
    return Violations(rows, label, tries)


def rank_weights(label_count: int) -> Tensor:
    """Weight of each rank, the sum of 1/k for k from 1 to the rank (Weston et al.).

    Returns:
        float32 [label_count]; the entry of rank 0 is 0.
    """
    steps = torch.arange(label_count, dtype=torch.float64).reciprocal()
    steps[:1] = 0.0
    return steps.cumsum(0).float()


def warp_loss(scores: Tensor, positive: Tensor, violations: Violations) -> Tensor:
    """Weighted hinge of what was drawn, averaged over the batch (Hamel 2013).

    An example that took N tries has the approximate rank ⌊(Y - 1) / N⌋, and the hinge
    1 - positive score + negative score counts as :func:`rank_weights` says. Examples given up count
    zero, and count in the mean.

    Args:
        scores: affinities [B, Y].
        positive: index of the positive label of each example, int64 [B].
        violations: from :func:`sample` with the same scores.

    Returns:
        float32 scalar; 0, with zero gradients, where no label violates or there is no example.

    Raises:
        ConfigError: shapes do not fit.
    """
    _check_shapes(scores, positive)
    rows, negatives, tries = violations
    ranks = (scores.shape[1] - 1) // tries
    weights = rank_weights(scores.shape[1]).to(scores.device)[ranks]
    values = scores.float()
    hinges = MARGIN - values[rows, positive[rows]] + values[rows, negatives]
    return (weights * hinges).sum() / max(len(scores), 1)


def project_norms_(matrix: Tensor, limit: float = 1.0, dim: int = 1) -> Tensor:
    """Shorten vectors longer than ``limit`` to it, in place, after a step of the optimiser.

    Weston et al. constrain the norms of the columns of V and of the label vectors in this way;
    Hamel et al. say nothing of it. Without a constraint the margin of 1 is soon met by long vectors
    alone.

    Args:
        matrix: vectors side by side, for example label vectors [Y, D]. Parameters too.
        limit: largest Euclidean norm, above 0.
        dim: the dimension that a vector extends along: 1 for rows, 0 for columns.

    Returns:
        ``matrix``.

    Raises:
        ConfigError: ``limit`` is not above 0.
    """
    if not limit > 0:
        raise ConfigError(f"limit={limit}: the largest norm of a vector must be above 0.")
    with torch.no_grad():
        norms = torch.linalg.vector_norm(matrix, dim=dim, keepdim=True)
        # Not a division by the norm for all: what is short enough stays as it is, to the bit.
        matrix.copy_(torch.where(norms > limit, matrix * (limit / norms), matrix))
    return matrix


def _negatives(scores: Tensor, positive: Tensor, also_positive: Tensor | None) -> Tensor:
    """Labels that may be drawn, bool [B, Y]."""
    _check_shapes(scores, positive)
    if also_positive is None:
        negative = torch.ones_like(scores, dtype=torch.bool)
    elif also_positive.shape == scores.shape and also_positive.dtype == torch.bool:
        negative = ~also_positive
    else:
        raise ConfigError(
            f"also_positive is {also_positive.dtype} {list(also_positive.shape)}: it must be bool "
            f"and have the shape of the scores, {list(scores.shape)}."
        )
    return negative.scatter(1, positive[:, None], False)


def _violating(scores: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Negative labels within the margin of the positive one, bool [B, Y]."""
    values = scores.detach().float()
    threshold = values.gather(1, positive[:, None]) - MARGIN
    # Not ``values > threshold``: NaN must be drawn and reach the loss, where it is seen, and not
    # pass for examples that have been learnt.
    return negative & ~(values <= threshold)


def _check_shapes(scores: Tensor, positive: Tensor) -> None:
    if scores.dim() != 2 or positive.shape != scores.shape[:1]:
        raise ConfigError(
            f"scores {list(scores.shape)} with positive labels {list(positive.shape)}: every "
            "example needs a row of scores and the index of one positive label."
        )
