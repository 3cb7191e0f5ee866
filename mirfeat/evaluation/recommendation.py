"""Recommending songs nobody has heard yet, from their features alone (Kim et al. 2019).

A share of the items is hidden with all that users did with them; a factorisation of the rest learns
to place items by their features; hidden items that a user did listen to should then stand high in
a list of all items. Sections 4.1 and 4.4 of the paper; the model is in ``factorisation.py``.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.preprocessing import StandardScaler

from mirfeat.errors import LabelsError, OptionError
from mirfeat.evaluation.models.factorisation import Factorisation, Variant, check_data, factorise
from mirfeat.evaluation.models.ranking import (
    average_precision_at_k,
    ndcg_at_k,
    ranked_relevance,
    recall_at_k,
)
from mirfeat.evaluation.records import ScoreReport, Scores

COLUMNS = ("user", "item", "count")
SHORT_LIST = 80  # mf-numba: the cut for recall and average precision
SCORE_CELLS = 2_000_000  # scores at a time, see recommend


@dataclass(frozen=True, eq=False)
class Interactions:
    """Who listened to what: ``counts`` float64 CSR [users, items], above 0 where there is any."""

    users: tuple[str, ...]
    items: tuple[str, ...]
    counts: sparse.csr_array

    def __post_init__(self) -> None:
        """Check that names and counts fit."""
        if self.counts.shape != (len(self.users), len(self.items)):
            raise LabelsError(
                f"counts of shape {self.counts.shape} for {len(self.users)} users and "
                f"{len(self.items)} items; they are [users, items]."
            )


def read_interactions(path: Path | str) -> Interactions:
    """Read a CSV file (or TSV, by its ending) with the columns user, item and, if given, count.

    A count is finite and above 0; without the column each line counts 1. Lines with the same user
    and item are added up. Users and items stand in the order in which the file names them.

    Raises:
        LabelsError: not readable, other columns, no lines, or a line that does not fit.
    """
    path = Path(path)
    delimiter = "\t" if path.suffix.lower() in {".tsv", ".tab"} else ","
    users: dict[str, int] = {}
    items: dict[str, int] = {}
    rows, columns, counts = [], [], []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for user, item, count in _triples(path, file, delimiter):
                rows.append(users.setdefault(user, len(users)))
                columns.append(items.setdefault(item, len(items)))
                counts.append(count)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LabelsError(f"{path}: not a readable table of interactions: {error}") from error
    if not counts:
        raise LabelsError(f"{path}: nothing after line 1; each line is a user and an item.")
    matrix = sparse.coo_array((counts, (rows, columns)), (len(users), len(items)), np.float64)
    return Interactions(tuple(users), tuple(items), matrix.tocsr())


def _triples(path: Path, file: Any, delimiter: str) -> Iterator[tuple[str, str, float]]:
    reader = csv.reader(file, delimiter=delimiter)
    header = [name.strip().lower() for name in next(reader, [])]
    if sorted(header) not in (sorted(COLUMNS), sorted(COLUMNS[:2])):
        raise LabelsError(
            f"{path}: line 1 is {delimiter.join(header)!r}; it names the columns: user, item and, "
            "if lines have one, count. Commas part them, tabs in a file called .tsv."
        )
    for cells in reader:
        if not cells:
            continue
        where = f"{path}: line {reader.line_num}"
        if len(cells) != len(header):
            raise LabelsError(f"{where} has {len(cells)} cells, the header has {len(header)}.")
        line = dict(zip(header, map(str.strip, cells), strict=True))
        if not (line["user"] and line["item"]):
            raise LabelsError(f"{where} has no user or no item; every line needs both.")
        yield line["user"], line["item"], _count(line.get("count", "1"), where)


def _count(text: str, where: str) -> float:
    try:
        count = float(text)
    except ValueError:
        count = math.nan
    if not 0 < count < math.inf:
        raise LabelsError(
            f"{where}: count {text!r}; it is a number above 0. Leave out what was never played."
        )
    return count


def filter_interactions(
    interactions: Interactions, min_items_per_user: int = 5, min_users_per_item: int = 5
) -> Interactions:
    """Without users of few items and items of few users, repeated until none are left.

    The paper (section 4.1) removes users with less than 5 tracks and tracks with less than 5 users.

    Raises:
        LabelsError: nothing is left.
    """
    counts = interactions.counts
    users, items = np.arange(counts.shape[0]), np.arange(counts.shape[1])
    while True:
        heard = counts > 0
        keep_users = heard.sum(axis=1) >= min_items_per_user
        keep_items = heard.sum(axis=0) >= min_users_per_item
        if keep_users.all() and keep_items.all():
            break
        users, items = users[keep_users], items[keep_items]
        counts = counts[keep_users][:, keep_items]
    if not counts.nnz:
        raise LabelsError(
            f"no user has {min_items_per_user} items of {min_users_per_item} users each; lower "
            "these numbers, or give more interactions."
        )
    return Interactions(
        tuple(interactions.users[row] for row in users),
        tuple(interactions.items[row] for row in items),
        counts,
    )


def recommend(
    interactions: Interactions,
    item_features: np.ndarray,
    *,
    name: str = "features",
    repeats: int = 5,
    held_out: float = 0.05,
    top: int = 500,
    seed: int = 0,
    variant: Variant = "paper",
    progress: Callable[[int, float], None] | None = None,
    **settings: Any,
) -> ScoreReport:
    """Score features [items, d], in the order of ``interactions.items``, by cold-start lists.

    Each of ``repeats`` hides a random share ``held_out`` of the items, factorises the others, and
    ranks all items for each user by u·(W x), hidden or not. Items that the user is known to have
    leave the list before it is cut to ``top``; hidden ones that the user listened to are to be
    found. Scores are means over users who have any: nDCG@top, to be quoted, recall@80 and AP@80.
    ``settings`` are those of :func:`mirfeat.evaluation.models.factorisation.factorise`;
    ``progress`` is called after each repeat with its number, from 1, and its nDCG.

    Hidden items are absent while factors are learned. As columns of zeros they would tell the very
    map that is to score them that no user wants them, and a cold start knows no such thing.
    Features are standardised with means and deviations of the other items.

    ``variant`` "authors" repeats their protocol instead: hidden items stay, without interactions
    and with random factors that W learns from; standardisation sees all items; lists are cut to
    ``top`` before known items leave them; and the ideal list of nDCG is not cut.

    Memory: about five times the features as float32, 60 bytes for each interaction, and 28 for each
    of 2 million scores, or of the items if there are more.

    Raises:
        LabelsError: features that do not fit the items, or no hidden item that a user listened to.
        OptionError: a setting out of range.
    """
    item_features = np.asarray(item_features)
    check_data(interactions.counts, item_features)
    count = round(held_out * len(item_features))
    if not (0 < count < len(item_features) and repeats > 0 and top > 0):
        raise OptionError(
            f"repeats={repeats}, held_out={held_out}, top={top} with {len(item_features)} items: "
            "all are above 0, and held_out leaves one item or more on either side."
        )
    values, scored = [], []
    for repeat in range(repeats):
        rng = np.random.default_rng([seed, repeat])
        hidden = np.zeros(len(item_features), dtype=bool)
        hidden[rng.choice(len(hidden), count, replace=False)] = True
        model, mapped = _learn(
            interactions.counts, item_features, hidden, variant, int(rng.integers(2**32)), settings
        )
        # Equal scores come in the order of items, which may be that of their fame.
        order = rng.permutation(len(hidden))
        heard = interactions.counts[:, order].astype(bool)
        scores = _score(model.user_factors, mapped[order], heard, hidden[order], top, variant)
        values.append(scores.mean(axis=0))
        scored.append(len(scores))
        if progress:
            progress(repeat + 1, float(values[-1][0]))
    names = (f"nDCG@{top}", f"recall@{SHORT_LIST}", f"AP@{SHORT_LIST}")
    columns = zip(names, np.transpose(values).tolist(), strict=True)
    sizes = {"users": len(interactions.users), "items": len(interactions.items)}
    protocol = {**sizes, "repeats": repeats, "held_out": held_out, "top": top}
    return ScoreReport(
        "recommendation",
        name,
        tuple(Scores(metric, tuple(column)) for metric, column in columns),
        {**model.settings, **protocol, "seed": seed},
        (
            f"{min(scored)} to {max(scored)} of {len(interactions.users)} users had hidden items "
            "in a repeat; only they count",
        ),
    )


def _learn(
    counts: sparse.csr_array,
    features: np.ndarray,
    hidden: np.ndarray,
    variant: Variant,
    seed: int,
    settings: Mapping[str, Any],
) -> tuple[Factorisation, np.ndarray]:
    """A factorisation that has not seen what users did with hidden items; W x of all [items, r]."""
    if variant == "authors":
        fitted = np.ones_like(hidden)
        counts = counts.copy()
        counts.data[hidden[counts.indices]] = 0
    else:
        fitted = ~hidden
        counts = counts[:, fitted]
    scaler = StandardScaler().fit(features[fitted])
    x = scaler.transform(features)
    model = factorise(counts, x[fitted], seed=seed, variant=variant, **settings)
    return model, x @ model.feature_map.T


def _score(
    user_factors: np.ndarray,
    item_factors: np.ndarray,
    heard: sparse.csr_array,
    hidden: np.ndarray,
    top: int,
    variant: Variant,
) -> np.ndarray:
    """NDCG, recall and AP of each user who has hidden items, float64 [users of them, 3]."""
    relevant = heard @ hidden.astype(np.int64)
    users = np.flatnonzero(relevant)
    if not len(users):
        raise LabelsError(
            f"no user has one of the {hidden.sum()} hidden items; give more interactions, or hide "
            "more with held_out."
        )
    blocks = []
    for rows in np.array_split(users, -(-len(users) * len(hidden) // SCORE_CELLS)):
        has, there = heard[rows].toarray(), relevant[rows]
        lists = ranked_relevance(
            user_factors[rows] @ item_factors.T,
            has & hidden,
            has & ~hidden,
            max(top, SHORT_LIST),
            cut_first=variant == "authors",
        )
        scores = (
            ndcg_at_k(lists, there, top, capped=variant == "paper"),
            recall_at_k(lists, there, SHORT_LIST),
            average_precision_at_k(lists, there, SHORT_LIST),
        )
        blocks.append(np.stack(scores, axis=1))
    return np.concatenate(blocks)
