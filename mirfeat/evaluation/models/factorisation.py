"""Factors of users and items, where items follow their features (Kim et al. 2019, section 4.4.2).

Interactions are factorised into user vectors u and item vectors v, while a linear map W learns to
tell v from the features x of an item: a new item has no v, but a W x. Constants and the "authors"
variant are from eldrin/mf-numba @7f2e5ee.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import linalg, sparse
from threadpoolctl import threadpool_limits

from mirfeat.errors import LabelsError, OptionError

Variant = Literal["paper", "authors"]

INITIAL_SCALE = 0.01  # mf-numba: factors start at .01 * randn
# The gathered vectors of a block should stay in the cache.
BLOCK_CELLS, BLOCK_ROWS = 16_384, 256


@dataclass(frozen=True, eq=False)
class Factorisation:
    """What :func:`factorise` found, float64.

    ``user_factors`` [users, r], ``item_factors`` [items, r], ``feature_map`` [r, d];
    ``objective``: its value after each half-step, three in a sweep (users, items, map);
    ``settings``: all that decided it, JSON-ready.
    """

    user_factors: np.ndarray
    item_factors: np.ndarray
    feature_map: np.ndarray
    objective: tuple[float, ...]
    settings: Mapping[str, Any]


def factorise(
    counts: sparse.csr_array,
    features: np.ndarray,
    *,
    factors: int = 50,
    alpha: float = 0.1,
    user_penalty: float = 1e-5,
    item_penalty: float = 1e-5,
    feature_penalty: float = 0.1,
    sweeps: int = 15,
    seed: int = 0,
    variant: Variant = "paper",
    progress: Callable[[int, float], None] | None = None,
) -> Factorisation:
    """Weighted matrix factorisation whose item vectors follow features (equations 7 to 9).

    ``counts`` [users, items] are the R ≥ 0 of the paper, ``features`` [items, d] the x of items.
    Alternating least squares, u, v and W in turn, minimise

        Σ (1 + α R) (P - u·v)² + λU Σ |u|² + λV Σ |v - W x|² + λW |W|²,    P = 1 where R > 0,

    with λU ``user_penalty``, λV ``item_penalty`` and λW ``feature_penalty``. The paper prints
    halves before its penalties; its code has none, and neither have we. ``variant`` "paper" solves
    every step exactly, so the objective never rises; an item that nobody has is one that everybody
    let pass, (Σ u uᵀ + λV) v = λV W x. "authors" does what their code does: the update of v has
    λW W x on the right-hand side where the objective has λV W x, and users and items without
    interactions keep the random numbers they started with, from which W learns all the same. Both
    compute in float64, their code in float32.
    ``progress`` is called after each sweep with its number, from 1, and the objective.

    Takes 8·(items·d + 2·d²) bytes for features and about 60 bytes for each interaction. While it
    runs, BLAS has one thread in the whole process.

    Raises:
        LabelsError: features that do not fit the items, or counts below 0.
        OptionError: a setting out of range.
    """
    numbers = {"factors": factors, "alpha": alpha, "user_penalty": user_penalty}
    numbers |= {"item_penalty": item_penalty, "feature_penalty": feature_penalty, "sweeps": sweeps}
    _check(numbers, variant)
    weights = sparse.csr_array(counts, dtype=np.float64, copy=True)
    weights.sum_duplicates()
    weights.eliminate_zeros()
    check_data(weights, features)
    x = features.astype(np.float64)
    weights.data *= alpha
    authors = variant == "authors"
    by_user, by_item = _blocks(weights, authors), _blocks(weights.T.tocsr(), authors)
    users, items, w = (
        INITIAL_SCALE * np.random.default_rng([seed, k]).standard_normal(shape)
        for k, shape in enumerate(
            [(weights.shape[0], factors), (len(x), factors), (factors, x.shape[1])]
        )
    )
    ridge = linalg.cho_factor(item_penalty * (x.T @ x) + feature_penalty * np.eye(x.shape[1]))
    coupling = feature_penalty if authors else item_penalty
    mapped, objective = x @ w.T, []

    def record(loss: float) -> None:
        apart = item_penalty * np.sum((items - mapped) ** 2)
        size = user_penalty * np.sum(users**2) + feature_penalty * np.sum(w**2)
        objective.append(float(loss + apart + size))

    # Threads on matrices of 50 × 50 wait for each other: several times slower on two cores.
    with threadpool_limits(1, user_api="blas"):
        for sweep in range(1, sweeps + 1):
            record(_update(users, by_user, items, user_penalty, np.zeros_like(users)))
            loss = _update(items, by_item, users, item_penalty, coupling * mapped)
            record(loss)
            w = linalg.cho_solve(ridge, item_penalty * (x.T @ items)).T
            mapped = x @ w.T
            record(loss)
            if progress:
                progress(sweep, objective[-1])
    settings = {**numbers, "seed": seed, "variant": variant}
    return Factorisation(users, items, w, tuple(objective), settings)


def _check(numbers: Mapping[str, float], variant: str) -> None:
    for name, value in numbers.items():
        if not 0 < value < math.inf or (name in {"factors", "sweeps"} and value != int(value)):
            kind = "a whole number" if name in {"factors", "sweeps"} else "a number"
            raise OptionError(f"{name}={value!r}: it is {kind} above 0.")
    if variant not in ("paper", "authors"):
        raise OptionError(f"variant={variant!r}: it is 'paper' or 'authors'.")


def check_data(counts: sparse.csr_array, features: np.ndarray) -> None:
    """See that ``counts`` [users, items] and ``features`` [items, d] can be used together.

    Raises:
        LabelsError: other shapes, numbers that are not finite, or counts below 0.
    """
    if features.ndim != 2 or len(features) != counts.shape[1] or not np.isfinite(features).all():
        raise LabelsError(
            f"features of shape {features.shape} for {counts.shape[1]} items; they are [items, "
            "numbers], all finite, in the order of the items."
        )
    if not ((counts.data >= 0) & np.isfinite(counts.data)).all():
        raise LabelsError("a count is below 0 or not finite; it is how often a user had an item.")


@dataclass(frozen=True, eq=False)
class _Block:
    """Rows of a sparse matrix of about the same length L, padded with zeros.

    ``rows`` [B]; ``columns``, ``weights`` (α R) and ``heard`` (1, or 0 in the padding) [B, L].
    """

    rows: np.ndarray
    columns: np.ndarray
    weights: np.ndarray
    heard: np.ndarray


def _blocks(weights: sparse.csr_array, skip_empty: bool) -> list[_Block]:
    lengths = np.diff(weights.indptr)
    order = np.argsort(-lengths, kind="stable")
    if skip_empty:
        order = order[lengths[order] > 0]
    blocks, start = [], 0
    while start < len(order):
        longest = int(lengths[order[start]])
        rows = order[start : start + max(1, min(BLOCK_ROWS, BLOCK_CELLS // max(1, longest)))]
        heard = np.arange(longest) < lengths[rows, None]
        cells = np.where(heard, weights.indptr[rows, None] + np.arange(longest), 0)
        columns = np.where(heard, weights.indices[cells], 0)
        block = _Block(rows, columns, heard * weights.data[cells], heard.astype(np.float64))
        blocks.append(block)
        start += len(rows)
    return blocks


def _update(
    factors: np.ndarray, blocks: list[_Block], other: np.ndarray, penalty: float, pull: np.ndarray
) -> float:
    """Solve rows of ``factors`` [n, r] for ``other`` [m, r], in place; Σ (1 + α R)(P - u·v)².

    Row by row (Σ (1 + αR) y yᵀ + λ I) z = Σ (1 + αR) P y + pull, y the rows of ``other``. What all
    pairs have in common is ``other``'s Gram matrix, so that only those with R > 0 are visited.
    """
    gram = other.T @ other
    ridge = gram + penalty * np.eye(len(gram))
    loss = 0.0
    for block in blocks:
        near = other[block.columns]
        left = (near * block.weights[:, :, None]).transpose(0, 2, 1) @ near + ridge
        right = ((block.weights + block.heard)[:, None, :] @ near)[:, 0] + pull[block.rows]
        solved = np.linalg.solve(left, right[:, :, None])
        factors[block.rows] = solved[:, :, 0]
        score = (near @ solved)[:, :, 0]
        # (1 + αR)(1 - s)² in place of the s² that the Gram matrices hold for every pair.
        loss += float(np.sum(block.weights * (1 - score) ** 2 + block.heard * (1 - 2 * score)))
    return loss + float(np.sum(gram * (factors.T @ factors)))
