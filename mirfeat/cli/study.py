"""What ``mirfeat study`` does: list, fill the cache, train and score, collect."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from mirfeat.cli.evaluate import write_json
from mirfeat.cli.output import shown_progress, tell
from mirfeat.cli.train import Outcome
from mirfeat.errors import OptionError
from mirfeat.evaluation.design import SINGLE, alias_matrix, level_counts
from mirfeat.evaluation.experiment import BASELINE
from mirfeat.evaluation.pages.gallery import draw
from mirfeat.evaluation.pages.page import Section, write_page
from mirfeat.evaluation.records import Evaluation
from mirfeat.evaluation.text import as_text
from mirfeat.store.jobarray import Shard
from mirfeat.training.preparation import Hardware
from mirfeat.training.study import driver
from mirfeat.training.study.plan import Study, StudyRun, read_study
from mirfeat.training.study.results import collect


def study(arguments: argparse.Namespace) -> Outcome:
    """Run the action that ``arguments.action`` names.

    Raises:
        OptionError: a shard of what has none.
    """
    if arguments.shard and arguments.action not in ("run", "cache"):
        raise OptionError(f"--shard: run and cache have shares, {arguments.action} does not.")
    shard = Shard.parse(arguments.shard) if arguments.shard else Shard(1, 1)
    found = read_study(arguments.config)
    if arguments.action == "run":
        return _run(found, shard, arguments)
    if arguments.action == "cache":
        tracks = driver.prepare(found, shard, arguments.workers, shown_progress(arguments))
        return Outcome({"tracks": tracks}, f"{tracks} tracks")
    return _collect(found, arguments) if arguments.action == "collect" else _list(found)


def _list(found: Study) -> Outcome:
    every = driver.status(found)
    record = [
        {
            "number": one.training.number,
            "name": one.training.name,
            "extractor": one.training.extractor,
            "strategy": one.training.strategy,
            "sources": list(one.training.sources),
            "state": one.state,
            "missing": list(one.missing),
        }
        for one in every
    ]
    said = [_counted(every[: len(found.trainings)], "trainings")]
    if found.baselines:
        said.append(_counted(every[len(found.trainings) :], "baselines"))
    lines = [f"{one.state:8} {one.training.name}" for one in every]
    if found.file.paper == "kim2019":
        lines += ["", _balance(found)]
    return Outcome(record, "\n".join(lines), ("; ".join(said),))


def _counted(every: Sequence[driver.Status], what: str) -> str:
    counts = Counter(one.state for one in every)
    return f"{len(every)} {what}: {', '.join(f'{counts[state]} {state}' for state in counts)}"


def _balance(found: Study) -> str:
    """How balanced and how little aliased the design is."""
    tables = [level_counts(found.planned)]
    if sum(run.strategy != SINGLE for run in found.planned) > 1:
        tables.append(alias_matrix(found.planned, found.sources))
    return as_text(Evaluation(tables=tuple(tables)))


def _run(found: Study, shard: Shard, arguments: argparse.Namespace) -> Outcome:
    def report(training: StudyRun) -> None:
        if not arguments.quiet:
            baseline = training.strategy == BASELINE
            tell(f"{training.name}: {'scored' if baseline else 'trained and scored'}")

    hardware = Hardware(
        device=arguments.device, precision=arguments.precision, workers=arguments.workers
    )
    progress = shown_progress(arguments)
    failed = driver.run(found, hardware, shard=shard, progress=progress, report=report)
    record = {"failed": [{"name": one.name, "message": why} for one, why in failed]}
    notes = tuple(f"failed: {one.name}: {why}" for one, why in failed)
    return Outcome(record, str(found.output), notes, len(failed))


def _collect(found: Study, arguments: argparse.Namespace) -> Outcome:
    evaluation = collect(found, bootstrap=arguments.bootstrap)
    write_json(evaluation, found.output / "study.json")
    notes: tuple[str, ...] = (f"written: {found.output / 'study.json'}",)
    if find_spec("matplotlib"):
        notes = (*notes, f"written: {_page(found, evaluation)}")
    return Outcome(evaluation.to_dict(), as_text(evaluation), notes)


def _page(found: Study, evaluation: Evaluation) -> Path:
    figures = draw(evaluation)
    for name, drawing in figures.items():
        drawing.save(found.output / "figures", name)
    trainings = driver.status(found)[: len(found.trainings)]
    done = sum(one.state == "scored" for one in trainings)
    said = f"{done} of {len(found.trainings)} trainings are scored."
    section = Section("Results", "", evaluation, tuple(figures.values()))
    return write_page(
        found.output / "study.html", f"A study after {found.file.paper}", said, [section]
    )
