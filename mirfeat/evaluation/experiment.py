"""Runs of an experiment that compares representations (Kim et al. 2019, section 4.3).

A run is one score of one representation on one data set.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mirfeat.errors import LabelsError

# r* of equation 13: the size of the network, from the smallest to the largest.
STRATEGIES = {
    "SS-R": 0.0,
    "MS-SR@FC": 0.2,
    "MS-CR@6": 0.4,
    "MS-CR@4": 0.6,
    "MS-CR@2": 0.8,
    "MSS-CR": 1.0,
}
EXTRACTORS = {"kim2019-" + name.lower().replace("@", "-"): name for name in STRATEGIES}
COLUMNS = ("strategy", "sources", "dataset", "score")
# What a line has for a strategy where its ``sources`` are the name of a baseline.
BASELINE = "baseline"


@dataclass(frozen=True, order=True)
class ScoredRun:
    """Score of one representation on one data set; more is better.

    ``strategy`` is one of the paper's (:data:`STRATEGIES`), or the extractor's name, which is
    replaced by it. ``sources``: learning sources, one for SS-R and at least two for the others;
    their order does not count.

    Raises:
        LabelsError: another strategy, a wrong number of sources, a score that is not finite.
    """

    strategy: str
    sources: tuple[str, ...]
    dataset: str
    score: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "strategy", strategy_name(self.strategy))
        if isinstance(self.sources, str):
            raise LabelsError(f"sources {self.sources!r}: a tuple of names is needed.")
        object.__setattr__(self, "sources", tuple(sorted(self.sources)))
        count = len(self.sources)
        if count != len(set(self.sources)) or (
            count != 1 if self.strategy == "SS-R" else count < 2
        ):
            allowed = "exactly one" if self.strategy == "SS-R" else "two or more, each once"
            raise LabelsError(f"sources {self.sources}: {self.strategy} needs {allowed}.")
        if not self.dataset:
            raise LabelsError("dataset '': every run needs the name of its data set.")
        if not math.isfinite(self.score):
            raise LabelsError(f"score {self.score}: a finite number is needed.")

    @property
    def added_sources(self) -> int:
        """n* of section 5.2: sources beyond the fewest that the strategy can have."""
        return 0 if self.strategy == "SS-R" else len(self.sources) - 2


@dataclass(frozen=True, order=True)
class Baseline:
    """Score of something to compare with on one data set (section 4.2): ``mfcc``, untrained.

    Raises:
        LabelsError: no name, no data set, a score that is not finite.
    """

    name: str
    dataset: str
    score: float

    def __post_init__(self) -> None:
        if not self.name or not self.dataset:
            raise LabelsError("a baseline needs a name, in sources, and a data set.")
        if not math.isfinite(self.score):
            raise LabelsError(f"score {self.score}: a finite number is needed.")


def read_runs(path: str | Path) -> tuple[ScoredRun, ...]:
    """Runs of a csv file with the columns strategy, sources, dataset and score.

    Sources are separated by semicolons or spaces. Other columns are left alone, and so are lines
    of baselines.

    Raises:
        LabelsError: no such file, a column is missing, a cell is wrong; it names line and column.
    """
    runs = tuple(line for line in _lines(path) if isinstance(line, ScoredRun))
    if not runs:
        raise LabelsError(f"{path}: there are no runs below the header.")
    return runs


def read_baselines(path: str | Path) -> tuple[Baseline, ...]:
    """Lines of the same file whose strategy is ``baseline``; ``sources`` are what it is called.

    Raises: as :func:`read_runs`, but there may be none.
    """
    return tuple(line for line in _lines(path) if isinstance(line, Baseline))


def _lines(path: str | Path) -> tuple[ScoredRun | Baseline, ...]:
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            header = reader.fieldnames or []
            if missing := [column for column in COLUMNS if column not in header]:
                raise LabelsError(
                    f"{path}: line 1 has the columns {list(header)[:20]}; {missing} are missing. "
                    f"{list(COLUMNS)} are needed."
                )
            return tuple(_line(cells, f"{path}: line {reader.line_num}") for cells in reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LabelsError(f"{path} cannot be read as a csv file in UTF-8: {error}") from error


def standardise(runs: Sequence[ScoredRun]) -> tuple[ScoredRun, ...]:
    """The runs with y* in place of their score: mean 0 and deviation 1 (ddof 1) in each data set.

    Section 5.2: the effect of the data set is then 0, and a unit means the same in each.

    Raises:
        LabelsError: a data set with fewer than two runs, or whose scores are all equal.
    """
    scale = {}
    for name in {run.dataset for run in runs}:
        scores = np.array([run.score for run in runs if run.dataset == name])
        if np.ptp(scores) == 0:
            raise LabelsError(
                f"data set {name!r}: {len(scores)} runs, all with the score {scores[0]}; "
                "standardising needs two or more that differ."
            )
        scale[name] = scores.mean(), scores.std(ddof=1)
    return tuple(
        replace(run, score=float((run.score - scale[run.dataset][0]) / scale[run.dataset][1]))
        for run in runs
    )


def strategy_name(name: str) -> str:
    """The paper's name of a strategy, given that or the extractor's name.

    Raises:
        LabelsError: neither.
    """
    known = EXTRACTORS.get(name, name)
    if known not in STRATEGIES:
        raise LabelsError(
            f"strategy {name!r}: allowed are {', '.join(STRATEGIES)}, or {', '.join(EXTRACTORS)}; "
            f"{BASELINE} in a table."
        )
    return known


def _line(cells: Mapping[str | None, Any], where: str) -> ScoredRun | Baseline:
    """One line of a csv file; errors say where it is."""
    if None in cells:
        raise LabelsError(f"{where} has more cells than the header.")
    strategy, dataset = cells["strategy"].strip(), cells["dataset"].strip()
    try:
        score = float(cells["score"])
    except ValueError as error:
        raise LabelsError(f"{where}: score {cells['score']!r}: a number is needed.") from error
    try:
        if strategy == BASELINE:
            return Baseline(cells["sources"].strip(), dataset, score)
        sources = tuple(cells["sources"].replace(";", " ").split())
        return ScoredRun(strategy, sources, dataset, score)
    except LabelsError as error:
        raise LabelsError(f"{where}: {error}") from error
