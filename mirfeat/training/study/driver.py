"""A study, training by training: what is done is left alone, what was begun goes on.

Trainings do not know of each other, so the jobs of an array may each make a share of them. A folder
holds all there is to know: design.csv, and for each training its checkpoint and scores.json.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from mirfeat.csvfiles import read_csv, write_csv
from mirfeat.errors import ConfigError, TrainingError
from mirfeat.evaluation.experiment import BASELINE
from mirfeat.files import replacing
from mirfeat.networks.registry import get_spec
from mirfeat.runs.progress import Shown
from mirfeat.store.jobarray import Shard
from mirfeat.training.config import TrainConfig
from mirfeat.training.mel_cache import MelCache
from mirfeat.training.preparation import Hardware, fill_cache, manifest_of
from mirfeat.training.recipes import targets_of
from mirfeat.training.study.plan import Study, StudyRun
from mirfeat.training.study.scoring import key_of, labels_and_files, score
from mirfeat.training.trainer import train

logger = logging.getLogger("mirfeat")

FILE = "scores.json"
COLUMNS = ("number", "extractor", "strategy", "sources", "equal_to", "leave_out")
_UNTRAINED = "untrained"
State = Literal["open", "begun", "trained", "scored"]


@dataclass(frozen=True)
class Status:
    """How far a training is; ``missing``: data sets that it is not yet scored on."""

    training: StudyRun
    state: State
    missing: tuple[str, ...]


def status(study: Study) -> tuple[Status, ...]:
    """How far every training is, and every baseline after them.

    Raises:
        ConfigError: the folder holds another design.
    """
    _check_design(study)
    return tuple(_status(study, training) for training in _everything(study))


def prepare(study: Study, shard: Shard, workers: int = 2, progress: Shown = None) -> int:
    """Fill the cache with a share of the tracks; how many tracks are in it then.

    Raises: as :func:`mirfeat.training.trainer.train`.
    """
    config = _with_every_source(study)
    manifest = manifest_of(config)
    fill_cache(config, manifest, max(1, workers), shard=shard, progress=progress)
    cache = MelCache(config.cache, get_spec(config.extractor).mel)
    return sum(id in cache for id in manifest.ids)


def run(
    study: Study,
    hardware: Hardware | None = None,
    *,
    shard: Shard | None = None,
    progress: Shown = None,
    report: Callable[[StudyRun], object] = lambda training: None,
) -> list[tuple[StudyRun, str]]:
    """Train and score what is open, of one share of the study; what failed, and why.

    A training whose loss is not finite is left out and tried again by the next call; whatever else
    is wrong would be wrong for all and is raised.

    Args:
        study: which trainings.
        hardware: where each of them runs.
        shard: job I of N; all by default.
        progress: how trainings show how far they are.
        report: called with every training that is done.

    Raises: as :func:`mirfeat.training.trainer.train` and the protocols.
    """
    hardware, share = hardware or Hardware(), shard or Shard(1, 1)
    _check_design(study)
    for target in study.file.targets.values():
        labels_and_files(target)  # before anything long, whether they are there
    if share.total > 1:
        _need_cache(study)
    else:
        prepare(study, share, hardware.workers, progress)
    _make_targets(study)
    _write_design(study)
    failed = []
    for training in _everything(study)[share.number - 1 :: share.total]:
        try:
            _finish(study, training, hardware, progress)
        except TrainingError as error:
            logger.warning("%s: %s", training.name, error)
            failed.append((training, str(error)))
        else:
            report(training)
    return failed


def scores_of(study: Study, training: StudyRun) -> dict[str, list[dict[str, Any]]]:
    """Scores of a training by data set; only those that still hold."""
    record = _kept(study, training)
    targets = record.get("targets", {})
    return {
        name: targets[name]["reports"]
        for name in study.targets_of(training)
        if name in targets and targets[name]["key"] == key_of(study, name)
    }


def _finish(study: Study, training: StudyRun, hardware: Hardware, progress: Shown) -> None:
    checkpoint, status = _checkpoint(study, training), _status(study, training)
    if status.state not in ("trained", "scored"):
        identity = _UNTRAINED
        if checkpoint is not None:
            config = study.config(training)
            checkpoint, identity = train(config, hardware, progress=progress), config.identity
        _write(study, training, {"identity": identity, "targets": {}})
    record = _kept(study, training)
    for name in status.missing:
        reports = score(
            study,
            training,
            checkpoint,
            name,
            device=hardware.device,
            workers=max(1, hardware.workers),
        )
        record["targets"][name] = {"key": key_of(study, name), "reports": reports}
        _write(study, training, record)


def _status(study: Study, training: StudyRun) -> Status:
    folder = study.folder(training)
    checkpoint, done = _checkpoint(study, training), scores_of(study, training)
    missing = tuple(name for name in study.targets_of(training) if name not in done)
    if checkpoint is not None and not checkpoint.is_file():
        return Status(training, "begun" if folder.is_dir() else "open", missing)
    record = _kept(study, training)
    if not record:  # nothing to train, or killed between its last step and its first score
        return Status(training, "begun" if folder.is_dir() else "open", missing)
    identity = study.config(training).identity if checkpoint is not None else _UNTRAINED
    if record["identity"] != identity:
        raise ConfigError(
            f"{folder} was trained with another configuration than {study.path} has now. Choose "
            "another output, or remove the folder."
        )
    return Status(training, "trained" if missing else "scored", missing)


def _everything(study: Study) -> tuple[StudyRun, ...]:
    """What is scored: trainings, then baselines."""
    return (*study.trainings, *study.baselines)


def _checkpoint(study: Study, training: StudyRun) -> Path | None:
    """Where a training leaves its weights; None where there are none to be had."""
    if training.strategy == BASELINE or not get_spec(training.extractor).has_weights:
        return None
    return study.folder(training) / f"{training.extractor}.safetensors"


def _kept(study: Study, training: StudyRun) -> dict[str, Any]:
    path = study.folder(training) / FILE
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record, dict) or not {"identity", "targets"} <= record.keys():
            raise ValueError("identity or targets are missing")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path}: not what a study writes ({error}). Remove it to have the training scored "
            "again."
        ) from error
    return record


def _write(study: Study, training: StudyRun, record: dict[str, Any]) -> None:
    with replacing(study.folder(training) / FILE) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _design_rows(trainings: Sequence[StudyRun]) -> list[list[str]]:
    return [
        [
            *(str(t.number), t.extractor, t.strategy, ";".join(t.sources)),
            *(str(t.equal_to or ""), t.leave_out),
        ]
        for t in trainings
    ]


def _check_design(study: Study) -> None:
    """Refuse a folder whose trainings are not the first of those that are wanted."""
    path = study.output / "design.csv"
    if not path.is_file():
        return
    lines, wanted = list(read_csv(path, COLUMNS)), _design_rows(study.trainings)
    shorter = min(len(lines), len(wanted))
    if lines[:shorter] != wanted[:shorter]:
        raise ConfigError(
            f"{path} lists other trainings than {study.path} asks for. Choose another output "
            "folder; of the design only 'runs' may change."
        )


def _write_design(study: Study) -> None:
    write_csv(study.output / "design.csv", COLUMNS, _design_rows(study.trainings))


def _with_every_source(study: Study) -> TrainConfig:
    """Configuration that has all sources and data sets of the study."""
    widest = max(study.trainings, key=lambda training: len(training.sources))
    config = study.config(widest)
    names = widest.sources if study.file.paper == "hamel2013" else study.sources
    return replace(config, sources=replace(config.sources, names=names, leave_out=()))


def _make_targets(study: Study) -> None:
    """Targets of all sources, kept in the cache: what has no labels is found before a training."""
    for training in study.trainings:
        if training.leave_out:  # whether there is such a data set
            manifest_of(study.config(training))
    config = _with_every_source(study)
    manifest = manifest_of(config)
    targets_of(config, manifest, MelCache(config.cache, get_spec(config.extractor).mel))


def _need_cache(study: Study) -> None:
    config = _with_every_source(study)
    manifest = manifest_of(config)
    cache = MelCache(config.cache, get_spec(config.extractor).mel)
    if not any(id in cache for id in manifest.ids):
        raise ConfigError(
            f"{config.cache}: no spectrograms of {config.manifest} yet, and jobs would get into "
            f"each other's way making them. First: mirfeat study {study.path} cache"
        )
