"""How a training went: loss and held-out score of each source, step by step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mirfeat.errors import ConfigError
from mirfeat.evaluation.pages.drawing import (
    FULL_WIDTH_CM,
    Drawing,
    legend_above,
    line_styles,
    sheet,
    short,
)
from mirfeat.evaluation.records import Table

LogLine = tuple[int, str, float, float]
"""Step, source, mean training loss since the line before, held-out score; NaN where missing."""


def learning_curve(lines: Sequence[LogLine]) -> Drawing:
    """Training losses above, scores of held-out tracks below.

    Raises:
        ConfigError: no lines.
        MissingPackageError: matplotlib is not installed.
    """
    if not lines:
        raise ConfigError("a learning curve needs one validation or more.")
    sources = list(dict.fromkeys(line[1] for line in lines))
    with sheet(FULL_WIDTH_CM, 11.0) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True)
        for source, style in zip(sources, line_styles(), strict=False):
            steps, losses, scores = np.array(
                [(step, loss, score) for step, name, loss, score in lines if name == source]
            ).T
            upper.plot(steps, losses, **style, label=short(source))
            lower.plot(steps, scores, **style)
        upper.set_ylabel("training loss")
        lower.set_ylabel("held-out score")
        lower.set_xlabel("step")
        for axes in (upper, lower):
            axes.grid()
        legend_above(figure, upper)
    note = "Held-out score: 1 for a perfect prediction, 0 for knowing the average alone."
    columns = ("step", "source", "training loss", "held-out score")
    table = Table("Learning curve", columns, tuple(lines), note)
    last = max(line[0] for line in lines)
    alt = f"Training loss and held-out score of {', '.join(sources)} over {last} steps."
    return Drawing(figure, alt, table)
