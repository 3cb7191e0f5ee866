"""Who is tested on whom: cross-validation folds, without the same artist on both sides.

The commonest mistake of the field is an artist (album, recording) in training and test at once: a
classifier then learns the artist. Where labels carry a group, folds are disjoint in it; predefined
folds in which groups cross give a warning.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

from mirfeat.errors import LabelsError, MirfeatWarning

Split: TypeAlias = tuple[np.ndarray, np.ndarray]
"""Training and test rows, int64."""

TRAINING_SPLITS = frozenset({"train", "training"})
VALIDATION_SPLITS = frozenset({"valid", "validation", "val", "dev"})
TEST_SPLITS = frozenset({"test", "eval", "evaluation"})


@dataclass(frozen=True, eq=False)
class Folds:
    """Pairs of training and test rows, and a sentence that describes them.

    ``notes``: leaks, classes that are missing from a fold. ``inner``: for each split the splits of
    its training rows to choose settings on; empty where the other folds serve for that.
    """

    splits: tuple[Split, ...]
    description: str
    notes: tuple[str, ...] = ()
    inner: tuple[tuple[Split, ...], ...] = ()

    def __iter__(self) -> Iterator[Split]:
        """Pairs of training and test rows."""
        return iter(self.splits)

    def __len__(self) -> int:
        """Number of folds."""
        return len(self.splits)

    @property
    def test_sizes(self) -> tuple[int, ...]:
        """Clips tested in each fold."""
        return tuple(len(test) for _, test in self.splits)


def make_folds(
    labels: np.ndarray,
    *,
    count: int = 10,
    regression: bool = False,
    groups: Sequence[str] | None = None,
    group_name: str = "group",
    predefined: Sequence[str] | None = None,
    seed: int | None = 0,
) -> Folds:
    """Folds for labels [n].

    ``predefined`` names the fold or split of each clip: every fold is tested in turn; with the
    names train, valid and test it is test that is tested (valid, if there is no test), after
    training on the rest. Without it there are ``count`` folds, disjoint in ``groups`` if given,
    stratified by label unless it is a ``regression``. ``seed`` shuffles clips before they are
    dealt, for tables are often in the order of albums or classes; None leaves them in order, as in
    the papers' code.

    Raises:
        LabelsError: too few clips, classes, groups or folds.
    """
    if len(labels) < 2:
        raise LabelsError(f"{len(labels)} clips: nothing to train on and test.")
    if not regression and len(set(labels)) < 2:
        raise LabelsError(f"all {len(labels)} clips are of the class {labels[0]}; two are needed.")
    if predefined is not None:
        folds = _predefined(np.asarray(predefined, dtype=str))
    elif groups is not None:
        folds = _grouped(labels, np.asarray(groups, dtype=str), group_name, count, regression, seed)
    else:
        folds = _plain(labels, count, regression, seed)
    _check_sides(labels, folds.splits, regression)
    notes = list(folds.notes)
    if groups is not None and (leak := leaks(folds.splits, groups, group_name)):
        warnings.warn(leak, MirfeatWarning, stacklevel=2)
        notes.append(leak)
    if not regression:
        notes += _missing_classes(labels, folds.splits)
    folds = replace(folds, notes=tuple(notes))
    if len(folds) > 2:
        return folds
    within = [_inner(labels, train, regression, groups) for train, _ in folds]
    return replace(folds, inner=tuple(within))


def _inner(
    labels: np.ndarray, train: np.ndarray, regression: bool, groups: Sequence[str] | None
) -> tuple[Split, ...]:
    """Five folds of the training rows, fewer if classes or groups are small; empty if none can be.

    Where groups or classes are too small to be divided, folds are plain: they only choose settings.
    """
    own = labels[train]
    names = None if groups is None else np.asarray(groups, dtype=str)[train]
    ways: list[Callable[[int], Folds]] = [
        lambda count: _plain(own, count, regression, seed=0),
        lambda count: _plain(own, count, regression=True, seed=0),
    ]
    if names is not None:
        ways.insert(0, lambda count: _grouped(own, names, "group", count, regression, seed=None))
    for way in ways:
        for count in (5, 4, 3, 2):
            with suppress(LabelsError):
                splits = way(count).splits
                if regression:  # a single class, however, is a choice that can be scored
                    _check_sides(own, splits, regression)
                return tuple((train[inner], train[test]) for inner, test in splits)
    return ()


def _check_sides(labels: np.ndarray, splits: Sequence[Split], regression: bool) -> None:
    """Whether something can be learned and scored in every fold."""
    for number, (train, test) in enumerate(splits, start=1):
        if regression and len(test) < 2:
            raise LabelsError(
                f"fold {number} of {len(splits)} has {len(test)} clips to test; r² needs 2 or "
                "more. Ask for fewer folds."
            )
        if not regression and len(set(labels[train])) < 2:
            raise LabelsError(
                f"fold {number} of {len(splits)} has only clips of the class {labels[train[0]]} to "
                "train on. Ask for other folds or groups."
            )


def leaks(splits: Sequence[Split], groups: Sequence[str], group_name: str) -> str:
    """A sentence about groups that are in training and test at once; empty if there are none."""
    names = np.asarray(groups, dtype=str)
    crossing = sorted(
        {name for train, test in splits for name in np.intersect1d(names[train], names[test])}
        # A clip without a group is a group of its own.
        - {""}
    )
    if not crossing:
        return ""
    few = ", ".join(crossing[:3]) + (", …" if len(crossing) > 3 else "")
    return (
        f"{len(crossing)} of {len(set(names) - {''})} values of {group_name!r} are in training and "
        f"test at once ({few}): scores are too high."
    )


def _plain(labels: np.ndarray, count: int, regression: bool, seed: int | None) -> Folds:
    kind, name = (KFold, "") if regression else (StratifiedKFold, "stratified, ")
    smallest = len(labels) if regression else int(np.unique(labels, return_counts=True)[1].min())
    if count < 2 or smallest < count:
        what = "clips" if regression else "clips of the smallest class"
        raise LabelsError(f"{count} folds need 2 or more of them and {what}; there are {smallest}.")
    splitter = kind(count, shuffle=seed is not None, random_state=seed)
    return Folds(tuple(splitter.split(labels, labels)), f"{count} folds, {name}{_order(seed)}")


def _order(seed: int | None) -> str:
    return "in order" if seed is None else f"shuffled with seed {seed}"


def _grouped(
    labels: np.ndarray,
    groups: np.ndarray,
    group_name: str,
    count: int,
    regression: bool,
    seed: int | None,
) -> Folds:
    # A clip without a group is a group of its own. (np.char.add would drop the \0.)
    filled = np.array([group or f"\0{row}" for row, group in enumerate(groups)])
    if count < 2 or len(set(filled)) < count:
        raise LabelsError(
            f"{count} folds disjoint in {group_name!r} need 2 or more of them and as many groups; "
            f"there are {len(set(filled))}."
        )
    largest = len(labels) if regression else int(np.unique(labels, return_counts=True)[1].max())
    if largest < count:
        raise LabelsError(
            f"{count} folds need as many clips of the largest class; there are {largest}. Ask for "
            "fewer folds."
        )
    kind = GroupKFold if regression else StratifiedGroupKFold
    splitter = kind(count, shuffle=seed is not None, random_state=seed)
    with warnings.catch_warnings():
        # Classes with fewer members than folds are reported in our words, below.
        warnings.simplefilter("ignore", UserWarning)
        splits = tuple(splitter.split(labels, labels, filled))
    stratified = "" if regression else "stratified, "
    said = f"{count} folds, {stratified}disjoint in {group_name!r}, {_order(seed)}"
    return Folds(splits, said)


def _predefined(names: np.ndarray) -> Folds:
    values = sorted(set(names), key=lambda name: (len(name), name))
    lower = {value.lower() for value in values}
    if lower <= TRAINING_SPLITS | VALIDATION_SPLITS | TEST_SPLITS:
        held_out = lower & TEST_SPLITS or lower & VALIDATION_SPLITS
        test = np.isin(np.char.lower(names), sorted(held_out))
        if test.all() or not test.any():
            raise LabelsError(
                f"the split column says {', '.join(values)} and nothing else: there must be clips "
                "to train on and clips to test."
            )
        split = (np.flatnonzero(~test), np.flatnonzero(test))
        tested = ", ".join(sorted(held_out))
        return Folds((split,), f"the split of the labels: tested on {tested}, trained on the rest")
    if len(values) < 2 or "" in values:
        raise LabelsError(
            f"folds {', '.join(map(repr, map(str, values[:5])))}: every clip needs one, and there "
            "must be two or more, or the names train, valid and test."
        )
    splits = tuple((np.flatnonzero(names != v), np.flatnonzero(names == v)) for v in values)
    return Folds(splits, f"{len(values)} folds as the labels say")


def _missing_classes(labels: np.ndarray, splits: Sequence[Split]) -> list[str]:
    """Sentences about classes that a fold is tested on and not trained on."""
    missing = {
        str(name) for train, test in splits for name in set(labels[test]) - set(labels[train])
    }
    if not missing:
        return []
    few = ", ".join(sorted(missing)[:5])
    return [f"in some folds a class is tested that is not in training: {few}"]
