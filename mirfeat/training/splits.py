"""Which tracks are for training and which for validation: seeded, and by groups such as artists.

Tracks of one artist on both sides would make validation easier than anything unheard of.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

# What people call them, in lower case.
SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "validation", "val", "dev"), "valid"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}


def complete_split(
    given: Sequence[str | None], groups: Sequence[str], *, valid: float, seed: int
) -> np.ndarray:
    """Split of every row, str [n]: the ``given`` one, else "train" or "valid" by ``groups`` [n].

    Rows without a split join the rest of their group if that is in one split. Of the other groups
    those with about the share ``valid`` of rows are for validation; which they are depends on
    ``seed`` and the names of all groups, not on the order of rows.
    """
    said = _said(given, groups)
    split = {group: next(iter(words)) for group, words in said.items() if len(words) == 1}
    left = (group for group, word in zip(groups, given, strict=True) if not word)
    split.update(_divide(Counter(group for group in left if group not in split), valid, seed))
    words = [word or split[group] for group, word in zip(groups, given, strict=True)]
    return np.array(words, dtype="<U5")


def crossing_groups(given: Sequence[str | None], groups: Sequence[str]) -> list[str]:
    """Groups whose rows were given different splits, sorted."""
    return sorted(group for group, words in _said(given, groups).items() if len(words) > 1)


def _said(given: Sequence[str | None], groups: Sequence[str]) -> dict[str, set[str]]:
    said: dict[str, set[str]] = {}
    for group, word in zip(groups, given, strict=True):
        if word:
            said.setdefault(group, set()).add(word)
    return said


def _divide(sizes: Mapping[str, int], valid: float, seed: int) -> dict[str, str]:
    """Groups of about the share ``valid`` of all rows for validation, the rest for training.

    Groups come in the order of a hash of seed and name, and are taken as long as that brings the
    number of rows nearer to what is wanted. Of two groups or more each side gets one at least.
    """

    def draw(group: str) -> tuple[bytes, str]:
        name = f"{seed}\0{group}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(name, digest_size=8).digest(), group

    order = sorted(sizes, key=draw)
    split = dict.fromkeys(order, "train")
    if not valid or len(order) < 2:
        return split
    rows = sum(sizes.values())
    wanted, taken = valid * rows, 0
    for group in order:
        if abs(taken + sizes[group] - wanted) < abs(taken - wanted):
            split[group] = "valid"
            taken += sizes[group]
    if taken in (0, rows):
        smallest = min(order, key=sizes.__getitem__)
        split[smallest] = "train" if taken else "valid"
    return split
