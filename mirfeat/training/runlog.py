"""What happened during a run: ``log.csv`` and its figure, and TensorBoard where asked for."""

from __future__ import annotations

import csv
import logging
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mirfeat.csvfiles import read_csv, write_csv
from mirfeat.errors import MissingPackageError
from mirfeat.evaluation.pages.learning_curve import learning_curve
from mirfeat.files import replacing

logger = logging.getLogger("mirfeat")

HEADER = ("step", "time", "source", "loss", "score")
# The mean of all sources' scores has a line of its own.
MEAN = "mean"


class RunLog:
    """Losses and validation scores, a line for each source and validation."""

    def __init__(self, folder: Path, active: bool, tensorboard: bool) -> None:
        """Write to ``folder`` if ``active`` (the first of several processes).

        Raises:
            MissingPackageError: TensorBoard was asked for and is not installed.
        """
        self._path, self._active = folder / "log.csv", active
        self._writer: Any = _tensorboard(folder) if tensorboard and active else None

    def truncate(self, step: int) -> None:
        """Forget what was logged after ``step``: a resumed run logs it again."""
        if not self._active:
            return
        kept = []
        if step and self._path.is_file():
            kept = [line for line in read_csv(self._path, HEADER) if int(line[0]) <= step]
        write_csv(self._path, HEADER, kept)

    def add(
        self, step: int, losses: Mapping[str, float], scores: Mapping[str, float], mean: float
    ) -> None:
        """Log mean training losses and validation scores."""
        now = time.strftime("%Y-%m-%dT%H:%M:%S")
        names = dict.fromkeys([*losses, *scores])
        lines = [
            (step, now, name, _text(losses.get(name)), _text(scores.get(name))) for name in names
        ]
        with self._path.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([*lines, (step, now, MEAN, "", mean)])
        if self._writer is not None:
            for kind, values in (("loss", losses), ("score", scores)):
                for name, value in values.items():
                    self._writer.add_scalar(f"{kind}/{name}", value, step)
            self._writer.flush()

    def draw(self) -> None:
        """Draw the log as ``log.png``, where matplotlib is installed."""
        if not self._active:
            return
        lines = [
            (int(step), source, _number(loss), _number(score))
            for step, _, source, loss, score in read_csv(self._path, HEADER)
            if source != MEAN
        ]
        try:
            picture = learning_curve(lines).png()
        except MissingPackageError as error:
            logger.info("no learning curve is drawn: %s", error)
            return
        with replacing(self._path.with_suffix(".png")) as temporary:
            temporary.write_bytes(picture)


def _number(text: str) -> float:
    return float(text) if text else math.nan


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingPackageError(
            "--tensorboard needs: pip install tensorboard. log.csv has the same numbers."
        ) from error
    return SummaryWriter(str(folder / "tensorboard"))
