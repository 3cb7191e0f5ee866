"""What the networks minimise: distributions, classes, tags, and pairs of crops.

Every objective takes outputs of a network before softmax or sigmoid, computes in float32 whatever
the network computed in, and returns a scalar. Letters in shapes: B examples, k classes, factors or
tags, d numbers of a feature.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mirfeat.errors import ConfigError

PairScheme = Literal["halves", "all"]
Distance = Literal["smooth_l1", "cosine"]
Kind = Literal["labels", "probabilities", "vector"]
"""What a target is: the paper's own labels, probabilities of labels, or numbers to come near to."""

# Column of the head of ``self`` that stands for two crops of one track, as in the authors' files.
DIFFERENT, SAME = 0, 1


def divergence(logits: Tensor, targets: Tensor) -> Tensor:
    """KL divergence of predicted from target distributions, in nats (Kim 2019).

    Summed over classes, averaged over examples. The authors' code (eldrin/
    MTLMusicRepresentation-PyTorch, commit e7b66ce) averages over classes too, which is k times
    less.

    Args:
        logits: [B, k].
        targets: distributions [B, k]; 0 · log 0 is 0.

    Returns:
        float32 scalar, 0 where ``softmax(logits)`` is ``targets``.

    Raises:
        ConfigError: shapes differ, or there is no example.
    """
    _check_shapes(logits, targets)
    return F.kl_div(logits.float().log_softmax(1), targets.float(), reduction="batchmean")


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy with one-hot or soft targets, in nats (Kim 2018).

    What the authors' code minimises (eldrin/Lasagne-MultiTaskLearning, commit 678d5d2); the paper
    names no loss. The gradient is that of :func:`divergence`, the value is higher by the entropy of
    the targets.

    Args:
        logits: [B, k].
        targets: distributions [B, k].

    Returns:
        float32 scalar, averaged over examples.

    Raises:
        ConfigError: shapes differ, or there is no example.
    """
    _check_shapes(logits, targets)
    return -(targets.float() * logits.float().log_softmax(1)).sum(1).mean()


def tagging(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Binary cross-entropy averaged over tags and examples, in nats (Choi 2017).

    Args:
        logits: [B, k].
        targets: [B, k], between 0 and 1, or NaN where it is not known whether the tag applies:
            these cells are left out of the mean.
        weights: what cells count in the mean, 0 or more, [k] or [B, k]; None for all the same.

    Returns:
        float32 scalar; 0, with zero gradients, where nothing is known.

    Raises:
        ConfigError: shapes do not fit, or there is no example.
    """
    _check_shapes(logits, targets)
    known = ~targets.isnan()
    cells = known.float()
    if weights is not None:
        if weights.shape not in (logits.shape, logits.shape[1:]):
            raise ConfigError(
                f"weights of shape {list(weights.shape)} for logits {list(logits.shape)}: give one "
                "weight for each tag or for each cell."
            )
        cells = cells * weights.float()
    filled = targets.float().masked_fill(~known, 0.0)
    total = F.binary_cross_entropy_with_logits(logits.float(), filled, cells, reduction="sum")
    count = cells.sum()
    return total / torch.where(count > 0, count, 1.0)


def matching(predicted: Tensor, targets: Tensor, distance: Distance = "smooth_l1") -> Tensor:
    """Distance of predicted from target vectors: another network's feature is to be found again.

    Source: Ding & Lerch, Audio embeddings as teachers for music classification, ISMIR 2023.

    Args:
        predicted: [B, k].
        targets: [B, k]; for ``smooth_l1`` of mean square about 1, since errors below 1 count
            squared and those above as they are.
        distance: ``smooth_l1``, averaged over all numbers, or ``cosine``, 1 - cosine of the angle
            averaged over examples.

    Returns:
        float32 scalar, 0 where both are equal.

    Raises:
        ConfigError: shapes differ, there is no example, or another distance.
    """
    _check_shapes(predicted, targets)
    if distance == "smooth_l1":
        return F.smooth_l1_loss(predicted.float(), targets.float())
    if distance == "cosine":
        return 1.0 - F.cosine_similarity(predicted.float(), targets.float(), dim=1).mean()
    raise ConfigError(f"distance {distance!r}: take 'smooth_l1' or 'cosine'.")


def pairs(head: nn.Module, left: Tensor, right: Tensor, scheme: PairScheme = "halves") -> Tensor:
    """Whether two crops are of the same track: the source ``self`` of Kim 2019.

    Row i of ``left`` and of ``right`` are features of two crops of one track; different rows are
    different tracks. The loss is the KL divergence of the head's softmax from one-hot targets, in
    nats. Pairs of the same track and pairs of different tracks weigh half each, in both schemes.

    ``halves`` is the paper's: the first half of the rows are pairs of the same track, and in the
    second half every left crop meets the right crop of the row above. ``all`` shows every left
    crop with every right one. Its loss is the expectation of that of ``halves`` over the order of
    rows, with far less noise for the same features. While a head with batch norm trains, its
    statistics are those of the pairs it sees, which under ``all`` are mostly different tracks.

    Args:
        head: maps [pairs, 2 d], left crop first, to logits [pairs, 2] of different and same.
        left: [B, d], B at least 2.
        right: [B, d].
        scheme: ``halves`` or ``all``.

    Returns:
        float32 scalar; log 2 for a head that knows nothing.

    Raises:
        ConfigError: shapes differ, fewer than two tracks, or another scheme.
    """
    _check_shapes(left, right)
    if len(left) < 2:
        raise ConfigError("1 track in a batch of pairs: there must be another to tell it from.")
    if scheme == "halves":
        return _halves(head, left, right)
    if scheme == "all":
        return _all_pairs(head, left, right)
    raise ConfigError(f"pairs {scheme!r}: take 'halves' (the paper's) or 'all'.")


def _halves(head: nn.Module, left: Tensor, right: Tensor) -> Tensor:
    rows, same = len(left), len(left) // 2
    # A negative half of one row, which two tracks have, would meet itself.
    partners = torch.arange(same, rows).roll(1) if rows > 2 else torch.tensor([0])
    order = torch.cat([torch.arange(same), partners]).to(right.device)
    logits: Tensor = head(torch.cat([left, right[order]], dim=1))
    log = logits.float().log_softmax(1)
    return -(log[:same, SAME].mean() + log[same:, DIFFERENT].mean()) / 2


def _all_pairs(head: nn.Module, left: Tensor, right: Tensor) -> Tensor:
    rows = len(left)
    log = _logits_of_all(head, left, right).float().log_softmax(1).view(rows, rows, 2)
    diagonal = torch.eye(rows, dtype=torch.bool, device=log.device)
    different = log[..., DIFFERENT].masked_fill(diagonal, 0.0).sum() / (rows * (rows - 1))
    return -(log[..., SAME].diagonal().mean() + different) / 2


def _logits_of_all(head: nn.Module, left: Tensor, right: Tensor) -> Tensor:
    """Logits [B * B, 2], the left crop varying slowest."""
    first = head[0] if isinstance(head, nn.Sequential) and len(head) else None
    if type(first) is nn.Linear and first.in_features == left.shape[1] + right.shape[1]:
        # A linear map of two features side by side is a sum of two maps: B rows instead of B * B.
        of_left, of_right = first.weight[:, : left.shape[1]], first.weight[:, left.shape[1] :]
        sums = F.linear(left, of_left, first.bias)[:, None] + F.linear(right, of_right)
        logits: Tensor = head[1:](sums.flatten(0, 1))  # type: ignore[index]
        return logits
    every_left = left.repeat_interleave(len(right), dim=0)
    joined: Tensor = head(torch.cat([every_left, right.repeat(len(left), 1)], dim=1))
    return joined


def _check_shapes(first: Tensor, second: Tensor) -> None:
    if first.dim() != 2 or first.shape != second.shape or not len(first):
        raise ConfigError(
            f"shapes {list(first.shape)} and {list(second.shape)}: an objective takes two matrices "
            "of the same shape with one row or more."
        )
