"""The papers' published numbers, to stand beside one's own.

* choi2017: ``best_score_`` of the grid search in the authors' result files (the paper plots them;
  its text agrees), chosen on the folds they are measured on.
* hamel2013: Tables 4 (accuracy with standard error) and 5 (precision at 10).
* kim2018: Tables 3 ("averages"), 4 ("combinations") and 5 ("best-by-count"). Letters are learning
  targets: g genre, s subgenre, e Essentia, d ΔMFCC, m MFCC. Table 3 and averages of single-task
  networks include single targets, those of multi-task networks do not.
* kim2019: Table 6, percent of the variance in scores that a learning source explains, and numbers
  in the text ("statistics"). The paper prints no table of scores. "<1" is NaN here.
"""

from __future__ import annotations

import csv
import importlib.resources
import math
from collections.abc import Mapping, Sequence

from mirfeat.errors import ConfigError

# Files of a paper; lines of a file without the column "task" belong to this task.
_FILES: Mapping[str, Mapping[str, str]] = {
    "choi2017": {"choi2017.csv": ""},
    "hamel2013": {"hamel2013.csv": ""},
    "kim2018": {"kim2018.csv": ""},
    "kim2019": {"kim2019.csv": "", "kim2019_statistics.csv": "statistics"},
}

# What Choi et al. 2017 call the state of the art, from the text: sections 4.2, 4.3 (Figure 6), 4.4.
# Their sources: Sturm 2013 (what the faults of GTZAN leave to be had), Srinivas et al. 2014 (speech
# and music), Weninger et al. 2014 (emotion). For vocal detection they know none; of extended
# ballroom and acoustic events they draw the line and do not print the number.
STATE_OF_THE_ART: Mapping[str, float] = {
    "gtzan-genre": 0.945,
    "gtzan-music-speech": 1.0,
    "emomusic-arousal": 0.704,
    "emomusic-valence": 0.500,
}
# Kim et al. 2018 write combinations of learning sources as these letters, in this order.
_LETTERS = {"genre": "g", "subgenre": "s", "essentia": "e", "dmfcc": "d", "mfcc": "m"}


def published_tasks(paper: str) -> Mapping[str, tuple[str, ...]]:
    """Metrics by task that a paper has numbers for; the first metric is the one it quotes.

    Raises:
        ConfigError: no such paper.
    """
    tasks: dict[str, tuple[str, ...]] = {}
    for line in _lines(paper):
        metrics = tasks.setdefault(line["task"], ())
        if line["metric"] not in metrics:
            tasks[line["task"]] = (*metrics, line["metric"])
    return tasks


def published_scores(
    paper: str, task: str | None = None, metric: str | None = None
) -> Mapping[str, float]:
    """Published numbers by features, for example ``{"12345": 0.898, "mfcc": 0.66, …}``.

    ``task`` is the name of a data set, with ``-arousal`` or ``-valence`` behind emomusic, or of a
    table of the paper; :func:`published_tasks` lists them. None takes all, under
    "task features". ``metric`` None takes the metric that is quoted first for a task.

    Raises:
        ConfigError: no such paper, task or metric.
    """
    tasks = published_tasks(paper)
    if task is not None and task not in tasks:
        raise ConfigError(f"{paper} has no numbers for {task!r}, but for: {', '.join(tasks)}.")
    known = {name for chosen in ([task] if task else tasks) for name in tasks[chosen]}
    if metric is not None and metric not in known:
        raise ConfigError(f"{paper} has no {metric!r} for this, but: {', '.join(sorted(known))}.")
    return {
        line["features"] if task else f"{line['task']} {line['features']}": _number(line["score"])
        for line in _lines(paper)
        if line["task"] == (task or line["task"])
        and line["metric"] == (metric or tasks[line["task"]][0])
    }


def published_errors(paper: str, task: str) -> Mapping[str, float]:
    """Published standard errors by features; empty where the paper has none.

    Raises:
        ConfigError: no such paper.
    """
    return {
        line["features"]: float(line["standard_error"])
        for line in _lines(paper)
        if line["task"] == task and line.get("standard_error")
    }


def letters_of(sources: Sequence[str]) -> str:
    """Learning sources as Kim et al. 2018 write them, "gsm"; empty where one is not theirs."""
    known = "".join(letter for source, letter in _LETTERS.items() if source in sources)
    return known if len(known) == len(sources) else ""


def _lines(paper: str) -> list[dict[str, str]]:
    if paper not in _FILES:
        raise ConfigError(f"no published numbers of {paper!r}, but of: {', '.join(_FILES)}.")
    folder = importlib.resources.files("mirfeat.evaluation") / "published"
    return [
        {"task": task} | line
        for name, task in _FILES[paper].items()
        for line in csv.DictReader((folder / name).read_text(encoding="utf-8").splitlines())
    ]


def _number(text: str) -> float:
    return math.nan if text.startswith("<") else float(text)
