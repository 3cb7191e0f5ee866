"""Ranked lists of items for users, and how good they are.

A list is a row of booleans, best item first: True where the item is one the user should get.
``relevant`` counts all such items of the user, in the list or not; the scores of a user who has
none are NaN, because there is nothing to find.
"""

from __future__ import annotations

import numpy as np


def ranked_relevance(
    scores: np.ndarray,
    wanted: np.ndarray,
    known: np.ndarray,
    length: int,
    *,
    cut_first: bool = False,
) -> np.ndarray:
    """Lists of the best items of each user, bool [users, min(length, items)].

    ``scores``: floats [users, items], higher is better, none of them NaN. ``wanted``: bool of the
    same shape, what a list should hold; ``known``: likewise, what the user has already and is not
    recommended again. By default known items go before a list is cut to ``length``; with
    ``cut_first`` after it, which shortens lists (the end is False). Equal scores come in no
    particular order, so shuffle items if theirs means something.
    """
    length = min(length, scores.shape[1])
    losses = -scores
    if not cut_first:
        losses[known] = np.inf
    if length < losses.shape[1]:
        best = np.argpartition(losses, length - 1, axis=1)[:, :length]
    else:
        best = np.broadcast_to(np.arange(length), losses.shape)
    order = np.argsort(np.take_along_axis(losses, best, axis=1), axis=1, kind="stable")
    best = np.take_along_axis(best, order, axis=1)
    in_list = np.take_along_axis(known, best, axis=1)
    if cut_first:
        # Items behind a removed one move up, in their order.
        closed_up = np.argsort(in_list, axis=1, kind="stable")
        best = np.take_along_axis(best, closed_up, axis=1)
        in_list = np.take_along_axis(in_list, closed_up, axis=1)
    relevance: np.ndarray = np.take_along_axis(wanted, best, axis=1) & ~in_list
    return relevance


def ndcg_at_k(
    relevance: np.ndarray, relevant: np.ndarray, k: int, *, capped: bool = True
) -> np.ndarray:
    """Normalised discounted cumulative gain with gains of 0 and 1, float64 [users] in [0, 1].

    Σ 1/log2(rank + 1) over the relevant items among the first ``k`` of ``relevance`` [users, n],
    divided by the same sum of an ideal list: min(``k``, ``relevant``) items, or, not ``capped``,
    all ``relevant`` [users], so that a user with more than ``k`` of them cannot reach 1.
    """
    listed = relevance[:, :k]
    ideal = np.minimum(relevant, k) if capped else relevant
    longest = max(listed.shape[1], int(ideal.max(initial=0)))
    discounts = 1 / np.log2(np.arange(2, longest + 2))
    ideal_gain = np.concatenate([[0.0], np.cumsum(discounts)])[ideal]
    return _ratio(listed @ discounts[: listed.shape[1]], ideal_gain)


def recall_at_k(relevance: np.ndarray, relevant: np.ndarray, k: int) -> np.ndarray:
    """Share of the ``relevant`` [users] items that are among the first ``k``, float64 [users]."""
    return _ratio(relevance[:, :k].sum(axis=1), relevant)


def average_precision_at_k(relevance: np.ndarray, relevant: np.ndarray, k: int) -> np.ndarray:
    """Mean of the precision at each relevant item of the first ``k``, float64 [users] in [0, 1].

    Relevant items that are missing count as 0; the mean is over min(``k``, ``relevant``) items.
    """
    listed = relevance[:, :k]
    precision = np.cumsum(listed, axis=1) / np.arange(1, listed.shape[1] + 1)
    return _ratio((precision * listed).sum(axis=1), np.minimum(relevant, k))


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Quotients; NaN where there is no whole."""
    quotients = np.full(len(part), np.nan)
    np.divide(part, whole, out=quotients, where=whole > 0)
    return quotients
