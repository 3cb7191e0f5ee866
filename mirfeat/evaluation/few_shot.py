"""Accuracy after few training clips of each class (Hamel et al. 2013, section 6.2, Figure 3).

The paper fits least squares, whose error has a peak where training rows are as many as numbers:
scores then fall as clips are added, and features of more numbers look worse. By default a
regularised logistic regression is fitted instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np

from mirfeat.errors import OptionError
from mirfeat.evaluation.classifiers import least_squares_outputs, logistic_outputs, peak_note
from mirfeat.evaluation.folds import Folds, Split
from mirfeat.evaluation.inputs import Rows
from mirfeat.evaluation.records import ScoreReport, Scores

EXAMPLES = (1, 2, 5, 10, 20, 50, 100)
DRAWS = 10

Solver = Literal["logistic", "paper"]

SOLVERS: Mapping[str, Callable[..., np.ndarray]] = {
    "logistic": logistic_outputs,
    "paper": least_squares_outputs,
}


def few_shot(
    rows: Rows,
    labels: np.ndarray,
    folds: Folds,
    *,
    examples: Sequence[int] = EXAMPLES,
    draws: int = DRAWS,
    solver: Solver = "logistic",
    seed: int = 0,
    progress: Callable[[], object] = lambda: None,
) -> tuple[ScoreReport, ...]:
    """Accuracy after training on few clips of each class; one report for each number of them.

    A draw takes the next of the folds, and from its training clips at random ``examples`` clips of
    each class, nested: those for 5 are among those for 10. Ten draws on ten folds test every clip
    once; of more draws than folds, or of a single split, each has other training clips.

    Args:
        rows: rows of n clips; vectors as one row each will do.
        labels: class of each clip, [n].
        folds: who is tested on whom.
        examples: numbers of clips of each class. A class with fewer gives all it has, as in the
            paper; numbers that no class reaches are left out.
        draws: how often clips are drawn; scores have a value for each.
        solver: "logistic", see :func:`~mirfeat.evaluation.classifiers.logistic_outputs`, or
            "paper": least squares without regularisation.
        seed: of the draws.
        progress: called after each fit.

    Raises:
        OptionError: numbers of clips or draws below 1, more than any class has, another solver.
    """
    if solver not in SOLVERS:
        raise OptionError(f"solver={solver!r}: it is one of {', '.join(SOLVERS)}.")
    if draws < 1:
        raise OptionError(f"draws={draws}: 1 or more.")
    classes, numbers = np.unique(labels, return_inverse=True)
    splits = [folds.splits[draw % len(folds)] for draw in range(draws)]
    generator = np.random.default_rng(seed)
    orders = [generator.permutation(train) for train, _ in splits]
    reports = []
    for count in _reachable(examples, orders, numbers):
        trainings = [
            np.concatenate([order[numbers[order] == k][:count] for k in range(len(classes))])
            for order in orders
        ]
        scores = []
        for train, (_, test) in zip(trainings, splits, strict=True):
            output = SOLVERS[solver](rows, numbers, train, test, len(classes))
            scores.append(float(np.mean(output.argmax(axis=1) == numbers[test])))
            progress()
        notes = [*folds.notes, *_draw_notes(splits)]
        if solver == "paper":
            notes.append(peak_note(rows, trainings[0]))
        reports.append(
            ScoreReport(
                "few-shot",
                rows.name,
                (Scores("accuracy", tuple(scores)),),
                {
                    "examples_per_class": count,
                    "draws": draws,
                    "solver": solver,
                    "folds": folds.description,
                    "seed": seed,
                },
                tuple(filter(None, notes)),
            )
        )
    return tuple(reports)


def _reachable(
    examples: Sequence[int], orders: Sequence[np.ndarray], numbers: np.ndarray
) -> list[int]:
    """Numbers of clips that some class has for training, ascending, each once."""
    wanted = sorted(set(examples))
    if not wanted or wanted[0] < 1:
        raise OptionError(f"examples={examples!r}: numbers of clips, 1 or more.")
    most = max(int(np.bincount(numbers[order]).max()) for order in orders)
    if wanted[0] > most:
        raise OptionError(f"examples={examples!r}: no class has more than {most} training clips.")
    return [count for count in wanted if count <= most]


def _draw_notes(splits: Sequence[Split]) -> list[str]:
    if len(splits) > 1 and all(test is splits[0][1] for _, test in splits):
        return ["all draws are tested on the same clips: intervals are those of the training draw"]
    return []
