"""Protocol of Kim et al. 2018: a small network on segments, probabilities averaged over a track.

Section 3.2.3 and 3.3: dropout 0.5, 1024 units with ELU, dropout 0.5, softmax; Adam, rate 1e-3,
batch 64, 50 epochs; macro-F1 and log-loss of the mean probability of a track's segments. The head
is trained on training tracks only, as the paper says; the authors' script
(eldrin/Lasagne-MultiTaskLearning, ``transfer.py``) fits on all of them, so published scores may
include training on the test tracks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import torch
from sklearn.metrics import accuracy_score, f1_score
from torch import nn

from mirfeat.errors import LabelsError, OptionError
from mirfeat.evaluation.folds import Folds
from mirfeat.evaluation.inputs import Rows
from mirfeat.evaluation.records import Predictions, ScoreReport, Scores

# The log-loss of the authors' script counts no probability below this.
_SMALLEST = 1e-8


@dataclass(frozen=True)
class HeadTraining:
    """How the head is trained; the defaults are the paper's. ``device`` as torch names it."""

    hidden: int = 1024
    dropout: float = 0.5
    rate: float = 1e-3
    batch: int = 64
    epochs: int = 50
    seed: int = 0
    device: str = "cpu"


def transfer_head(
    rows: Rows,
    labels: np.ndarray,
    folds: Folds,
    *,
    training: HeadTraining | None = None,
    progress: Callable[[], object] = lambda: None,
) -> ScoreReport:
    """Macro-F1, log-loss and accuracy of the head.

    Args:
        rows: segments of n tracks; track vectors as one row each will do.
        labels: class of each track, [n].
        folds: who is tested on whom; the paper has one split, 85 to 15.
        training: other settings than the paper's.
        progress: called after each epoch of each fold.

    Memory: the rows of a fold as float32, 4·R·D bytes, here and on the device.

    Raises:
        OptionError: no such device here.
        LabelsError: a track without rows.
    """
    training = training or HeadTraining()
    try:
        torch.empty(0, device=training.device)
    except (RuntimeError, AssertionError) as error:
        message = f"device={training.device!r} is not to be had here: {error}"
        raise OptionError(message) from error
    classes, numbers = np.unique(labels, return_inverse=True)
    outputs = [
        _probabilities(rows, numbers, train, test, len(classes), training, progress)
        for train, test in folds
    ]
    tests = [test for _, test in folds]
    truth = [numbers[test] for test in tests]
    every = np.concatenate(tests)
    output = np.concatenate(outputs)
    return ScoreReport(
        "transfer-head",
        rows.name,
        tuple(_scores(truth, outputs)),
        {
            "folds": folds.description,
            "rows": len(rows.clips),
            "numbers": rows.values.shape[1],
            **vars(training),
        },
        folds.notes,
        predictions=Predictions(
            every, numbers[every], output.argmax(axis=1), tuple(map(str, classes)), output
        ),
    )


def source_grid(
    rows: Rows,
    labels: np.ndarray,
    folds: Folds,
    *,
    sources: Sequence[str] | None = None,
    training: HeadTraining | None = None,
    progress: Callable[[], object] = lambda: None,
) -> tuple[ScoreReport, ...]:
    """:func:`transfer_head` on every combination of the learning sources in ``rows`` (Table 4).

    ``sources``: blocks to combine, in this order; all of them by default. Five give 31 reports,
    called like ``genre+mfcc``.

    Raises:
        OptionError: a source that is not a block.
    """
    names = list(sources or rows.blocks)
    if unknown := [name for name in names if name not in rows.blocks]:
        raise OptionError(f"no blocks {unknown} in these features, which have {list(rows.blocks)}.")
    if len(set(names)) < len(names):
        raise OptionError(f"sources {names}: each once.")
    reports = []
    for chosen in source_combinations(names):
        blocks = {name: rows.blocks[name] for name in chosen}
        some = Rows("+".join(chosen), blocks, rows.clips, rows.ids)
        report = transfer_head(some, labels, folds, training=training, progress=progress)
        reports.append(replace(report, protocol="source-grid"))
    return tuple(reports)


def source_combinations(names: Sequence[str]) -> list[tuple[str, ...]]:
    """All non-empty combinations, the small ones first."""
    return [some for size in range(1, len(names) + 1) for some in combinations(names, size)]


def _scores(truth: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> list[Scores]:
    predicted = [output.argmax(axis=1) for output in outputs]
    pairs = list(zip(truth, predicted, strict=True))
    losses = [
        float(-np.log(np.maximum(output[np.arange(len(true)), true], _SMALLEST)).mean())
        for true, output in zip(truth, outputs, strict=True)
    ]
    f1 = tuple(float(f1_score(*pair, average="macro", zero_division=0.0)) for pair in pairs)
    return [
        Scores("macro-F1", f1),
        Scores("log-loss", tuple(losses), higher_is_better=False),
        Scores("accuracy", tuple(float(accuracy_score(*pair)) for pair in pairs)),
    ]


def _probabilities(
    rows: Rows,
    numbers: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    classes: int,
    training: HeadTraining,
    progress: Callable[[], object],
) -> np.ndarray:
    """Mean class probabilities of the test tracks, [tests, classes]."""
    seen, unseen = rows.of(train), rows.of(test)
    inputs = torch.from_numpy(seen.values.astype(np.float32)).to(training.device)
    targets = torch.from_numpy(numbers[train][seen.clips]).to(training.device)
    head = _train_head(inputs, targets, classes, training, progress)
    with torch.inference_mode():
        values = torch.from_numpy(unseen.values.astype(np.float32)).to(training.device)
        probabilities = torch.cat(
            [head(part).softmax(dim=1) for part in torch.split(values, 4096)]
        ).double()
    counts = np.bincount(unseen.clips, minlength=len(test))
    if not counts.all():
        raise LabelsError(f"{rows.name}: a clip has no rows.")
    sums = np.zeros((len(test), classes))
    np.add.at(sums, unseen.clips, probabilities.cpu().numpy())
    return sums / counts[:, None]


def _train_head(
    inputs: torch.Tensor,
    targets: torch.Tensor,
    classes: int,
    training: HeadTraining,
    progress: Callable[[], object],
) -> nn.Module:
    # Seeds for weights and dropout, without touching those of the caller.
    with torch.random.fork_rng(devices=[inputs.device] if inputs.is_cuda else []):
        torch.manual_seed(training.seed)
        head = nn.Sequential(
            nn.Dropout(training.dropout),
            nn.Linear(inputs.shape[1], training.hidden),
            nn.ELU(),
            nn.Dropout(training.dropout),
            nn.Linear(training.hidden, classes),
        ).to(inputs.device)
        optimiser = torch.optim.Adam(head.parameters(), lr=training.rate)
        for _ in range(training.epochs):
            order = torch.randperm(len(inputs), device=inputs.device)
            for batch in torch.split(order, training.batch):
                loss = nn.functional.cross_entropy(head(inputs[batch]), targets[batch])
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
            progress()
    return head.eval()
