"""What a protocol works with: features, labels and choices; files are read when needed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from mirfeat.evaluation.few_shot import DRAWS, EXAMPLES, Solver
from mirfeat.evaluation.folds import Folds, leaks, make_folds
from mirfeat.evaluation.inputs import Features, Rows, one_row_each, read_features, read_rows
from mirfeat.evaluation.kim2019 import REPEATS
from mirfeat.evaluation.labels import Kind, LabelTable, Task, make_task
from mirfeat.evaluation.models.svm import Scaling
from mirfeat.evaluation.records import Evaluation, Pairing, ScoreReport

Tick = Callable[[], object]
Progress = Callable[[int, str], Tick]
"""From a number of steps and what they are, to what is called after each."""


NO_GROUPS = (
    "warning: nothing says whose clips these are. If clips of one artist or album are in training "
    "and test at once, scores are too high: a classifier learns the artist. Name a column with "
    "--groups, or give a manifest that has artists ('mirfeat manifest', --manifest); --groups none "
    "if no two clips are of the same one"
)


def silent(total: int, what: str) -> Tick:
    """Progress that nobody sees."""
    return lambda: None


@dataclass(frozen=True)
class Options:
    """What can be chosen; None is the protocol's own. See ``mirfeat evaluate --help``."""

    target: str | None = None
    kind: Kind | None = None
    groups: str | None = None
    folds: str | None = None
    shuffle: int | Literal["none"] | None = None
    seed: int = 0
    workers: int = 2
    nested: bool | None = None
    scaling: Scaling = "both"
    strategies: str = "paper"
    examples: Sequence[int] = EXAMPLES
    draws: int = DRAWS
    solver: Solver = "logistic"
    k: int = 10
    sources: Sequence[str] | None = None
    epochs: int | None = None
    device: str = "cpu"
    standardise: bool = False
    repeats: int = REPEATS
    predictions: Path | None = None
    published: str | None = None


@dataclass(frozen=True, eq=False)
class Material:
    """One set of features with its labels, and how to go about it.

    ``specs`` are files as :func:`~mirfeat.evaluation.inputs.read_features` takes them.
    """

    specs: tuple[str, ...]
    labels: LabelTable
    options: Options
    progress: Progress = silent

    @cached_property
    def features(self) -> Features:
        """Vectors of clips."""
        return read_features(self.specs)

    @cached_property
    def rows(self) -> Rows:
        """Rows of clips; vectors where the files have no more."""
        return read_rows(self.specs[0]) if len(self.specs) == 1 else one_row_each(self.features)

    def task(self, source: Features | Rows) -> Task:
        """Labels in the order of the features."""
        options = self.options
        asked = options.folds or ""
        return make_task(
            self.labels,
            source.ids,
            target=options.target,
            kind=options.kind,
            groups=options.groups,
            folds=None if asked.isdecimal() else options.folds,
            count=len(source),
            failed=source.failed,
        )

    def marked(self, reports: Sequence[ScoreReport], task: Task, folds: Folds) -> Evaluation:
        """Reports with what they can be compared with, and what made their features."""
        shares = [len(test) / len(train) for train, test in folds]
        tests = [",".join(map(str, test.tolist())) for _, test in folds]
        pairing = _pairing([*task.ids, *tests], sum(shares) / len(shares))
        systems = self.features.systems if "rows" not in self.__dict__ else self.rows.systems
        return Evaluation(
            tuple(replace(report, pairing=pairing, systems=systems) for report in reports)
        )

    def alike(self, report: ScoreReport, task: Task) -> ScoreReport:
        """A report without folds, with what it can be compared with: the same clips and labels."""
        pairing = _pairing([*task.ids, *map(str, task.labels)], 0.0)
        return replace(report, pairing=pairing, systems=self.features.systems)

    def folds(
        self, task: Task, count: int, seed: int | None = None, *, stratified: bool = True
    ) -> Folds:
        """Folds for a task: those of the labels, the number asked for, or ``count``.

        Shuffled with the seed that was asked for, else the protocol's own ``seed``, else that of
        the options; in order, as the papers', where published scores are to stand beside ours.
        """
        asked = self.options.folds or ""
        folds = make_folds(
            task.labels,
            count=int(asked) if asked.isdecimal() else count,
            regression=task.regression or not stratified,
            groups=task.groups,
            group_name=task.group_name,
            predefined=None if asked.isdecimal() else task.predefined,
            seed=self._shuffle(seed),
        )
        notes = [*task.notes, *folds.notes]
        if task.ignored_groups:
            notes.append(leaks(folds.splits, task.ignored_groups, task.group_name))
        elif task.groups is None and self.options.groups is None and not task.predefined:
            notes.append(NO_GROUPS)
        return replace(folds, notes=tuple(filter(None, notes)))

    def _shuffle(self, own: int | None) -> int | None:
        options = self.options
        if options.shuffle is not None:
            return None if options.shuffle == "none" else options.shuffle
        if options.published:
            return None
        return options.seed if own is None else own


def _pairing(parts: Sequence[str], test_to_train: float) -> Pairing:
    key = hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()
    return Pairing(key[:16], test_to_train)
