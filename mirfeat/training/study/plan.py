"""A study as a TOML file: which networks are trained, and on what they are scored.

Hamel 2013 (section 6.2) learns genres of all data sets but the one that it is scored on, Kim 2018
(section 4) trains every combination of learning sources, Kim 2019 (section 4.3) a balanced part of
all combinations of sources and strategies. Everything else about a training is said once, in the
section ``training``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

from mirfeat.errors import ConfigError
from mirfeat.evaluation.design import (
    COMPLETE,
    MULTIPLE,
    RUNS,
    SINGLES,
    PlannedRun,
    experimental_design,
)
from mirfeat.evaluation.experiment import BASELINE, EXTRACTORS
from mirfeat.evaluation.few_shot import DRAWS
from mirfeat.networks import kim2018, kim2019
from mirfeat.networks.options import parts_of
from mirfeat.networks.registry import get_spec
from mirfeat.training.config import TrainConfig, make_config
from mirfeat.training.recipes import DEFAULTS
from mirfeat.training.toml_records import filled, read_toml

STN, MTN, WSTN = "STN", "MTN", "wSTN"
BASE, GENRE, TAG = "base features", "genre embedding", "tag embedding"
_SOURCES: Mapping[str, tuple[str, ...]] = {
    "hamel2013": ("genre", "tags"),
    "kim2018": kim2018.SOURCES,
    "kim2019": kim2019.SOURCES,
}
_KIM2018 = {STN: "kim2018-stn", MTN: "kim2018-mtn", WSTN: "kim2018-wstn"}
_KIM2019 = {strategy: extractor for extractor, strategy in EXTRACTORS.items()}


@dataclass(frozen=True)
class Design:
    """Which runs there are. ``sources``: the paper's by default.

    Of kim2019 alone: ``strategies``, ``singles``, ``complete``, ``runs`` as
    :func:`~mirfeat.evaluation.design.experimental_design` takes them, and ``baselines``: extractors
    that are scored beside them, by default two of the paper's three (section 4.2).
    """

    sources: tuple[str, ...] = ()
    strategies: tuple[str, ...] = MULTIPLE
    singles: int = SINGLES
    complete: int = COMPLETE
    runs: int = RUNS
    baselines: tuple[str, ...] = ("mfcc", "kim2019-ss-r(checkpoint=random)")


@dataclass(frozen=True)
class TargetSet:
    """A data set that representations are scored on.

    ``audio``: its folder. ``labels``: a table (``mirfeat evaluate --labels``) or ``folders``; or
    ``dataset``: one of ``mirfeat datasets``, whose labels are read. ``interactions``: a table of
    listening counts instead, for recommendation. ``target``, ``task``, ``groups`` and ``folds`` as
    in ``mirfeat evaluate``. ``epochs`` of the head of kim2018, ``repeats`` of kim2019's network,
    ``draws`` of few examples in hamel2013.
    """

    audio: Path
    labels: str = "folders"
    dataset: str = ""
    interactions: Path = Path()
    target: str = ""
    task: Literal["", "classification", "regression"] = ""
    groups: str = ""
    folds: str = ""
    epochs: int = 0
    repeats: int = 5
    draws: int = DRAWS


@dataclass(frozen=True)
class StudyFile:
    """What a study's TOML file says. ``training``: keys and sections of a training run."""

    paper: Literal["hamel2013", "kim2018", "kim2019"]
    output: Path
    seed: int = 0
    keep_features: bool = False
    design: Design = field(default_factory=Design)
    training: dict[str, Any] = field(default_factory=dict)
    targets: dict[str, TargetSet] = field(default_factory=dict)


@dataclass(frozen=True)
class StudyRun:
    """One network of a study: ``number`` from 1, and what it learns.

    ``strategy``: the paper's name of it; ``equal_to``: of a wide network, the number of sources
    whose shared network has as many parameters (Kim 2018, Table 5); ``leave_out``: the data set
    that is not learnt, and the only one that is scored.
    """

    number: int
    extractor: str
    strategy: str
    sources: tuple[str, ...]
    equal_to: int = 0
    leave_out: str = ""

    @property
    def name(self) -> str:
        """Of its folder."""
        if self.strategy == BASELINE:
            return f"{BASELINE}-{re.sub('[^A-Za-z0-9.+-]+', '-', self.extractor)}"
        wide = f"as-{self.equal_to}" if self.equal_to else ""
        left = f"without-{self.leave_out}" if self.leave_out else ""
        parts = (f"{self.number:03d}", self.extractor, wide, "+".join(self.sources), left)
        return "-".join(filter(None, parts))


@dataclass(frozen=True)
class Study:
    """A study that has been read; paths are absolute."""

    path: Path
    file: StudyFile

    @property
    def output(self) -> Path:
        """Folder of the study."""
        return self.file.output

    @property
    def sources(self) -> tuple[str, ...]:
        """All learning sources."""
        return self.file.design.sources or tuple(_SOURCES[self.file.paper])

    @cached_property
    def planned(self) -> tuple[PlannedRun, ...]:
        """Runs of kim2019's design; of kim2018 there is no choice."""
        design = self.file.design
        counts = {"singles": design.singles, "complete": design.complete, "runs": design.runs}
        return experimental_design(
            self.sources, strategies=design.strategies, **counts, seed=self.file.seed
        )

    @cached_property
    def trainings(self) -> tuple[StudyRun, ...]:
        """Every training, in the order to make them."""
        if self.file.paper == "kim2018":
            return tuple(_every_combination(self.sources))
        if self.file.paper == "hamel2013":
            return tuple(_each_left_out(self.sources, tuple(self.file.targets)))
        return tuple(
            StudyRun(number, _KIM2019[run.strategy], run.strategy, run.sources)
            for number, run in enumerate(self.planned, start=1)
        )

    @cached_property
    def baselines(self) -> tuple[StudyRun, ...]:
        """What is scored as it is, beside the trainings of kim2019."""
        if self.file.paper != "kim2019":
            return ()
        return tuple(StudyRun(0, name, BASELINE, ()) for name in self.file.design.baselines)

    def targets_of(self, training: StudyRun) -> tuple[str, ...]:
        """Names of the data sets that a training is scored on."""
        return (training.leave_out,) if training.leave_out else tuple(self.file.targets)

    def folder(self, training: StudyRun) -> Path:
        """Where a training leaves its checkpoint and scores."""
        return self.output / "runs" / training.name

    def config(self, training: StudyRun) -> TrainConfig:
        """The configuration of one training: weights and crops are drawn anew in each.

        Raises:
            ConfigError: a key or value in ``training`` that cannot be.
        """
        common = dict(self.file.training)
        sources = {**_section(self, common, "sources"), "names": list(training.sources)}
        record = {
            **common,
            "extractor": training.extractor,
            "output": str(self.folder(training)),
            "seed": self.file.seed,
            "repeat": training.number,
            "sources": sources,
        }
        if training.leave_out:
            record["sources"] = {**sources, "leave_out": [training.leave_out]}
        if training.equal_to:
            record["network"] = {"width": kim2018.WIDTHS[training.equal_to]}
        return make_config(record, self.path, DEFAULTS)


def read_study(path: Path) -> Study:
    """Read a study; paths in it are relative to the file.

    Raises:
        ConfigError: not TOML, an unknown key, a wrong type, or a value that cannot be.
        UnknownExtractorError, OptionError: a baseline that is no extractor.
    """
    file: StudyFile = filled(StudyFile, read_toml(path), str(path))
    if given := [key for key in ("extractor", "output", "seed", "repeat") if key in file.training]:
        raise ConfigError(
            f"{path}: training has {', '.join(given)}, which the study decides for each run."
        )
    if not file.targets:
        raise ConfigError(f"{path}: no data set to score on: write [targets.NAME] with audio.")
    folder = path.resolve().parent
    targets = {name: _absolute(one, folder) for name, one in file.targets.items()}
    study = Study(path, replace(file, output=folder / file.output, targets=targets))
    _check(study)
    return study


def _check(study: Study) -> None:
    names, paper = study.sources, study.file.paper
    if paper == "kim2018" and ("genre" not in names or len({*names}) < max(2, len(names))):
        raise ConfigError(
            f"{study.path}: design.sources {', '.join(names)}: genre and one or more others."
        )
    if paper == "hamel2013" and set(names) - {"genre", "tags"}:
        raise ConfigError(f"{study.path}: design.sources {', '.join(names)}: genre, tags or both.")
    plain, design = Design(), study.file.design
    only = ("strategies", "singles", "complete", "runs", "baselines")
    changed = [key for key in only if getattr(design, key) != getattr(plain, key)]
    if paper != "kim2019" and changed:
        raise ConfigError(
            f"{study.path}: design has {', '.join(changed)}, which is of kim2019: {paper} leaves "
            "no choice."
        )
    for part in (part for one in study.baselines for part in parts_of(one.extractor)):
        get_spec(part.name)  # baselines are scored last: a name that is none is said now
    if wrong := [name for name in study.file.targets if Path(name).name != name]:
        raise ConfigError(f"{study.path}: a data set is called {wrong[0]!r}: no folder can be.")
    for name, one in study.file.targets.items():
        if min(one.repeats, one.draws) < 1 or one.epochs < 0:
            raise ConfigError(
                f"{study.path}: targets.{name}: repeats = {one.repeats}, draws = {one.draws}, "
                f"epochs = {one.epochs}: 1 or more; no epochs are the paper's."
            )
    study.config(study.trainings[-1])


def _section(study: Study, record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = record.get(name, {})
    if not isinstance(section, dict):
        raise ConfigError(f"{study.path}: training.{name} is a section.")
    if "names" in section:
        raise ConfigError(f"{study.path}: training.{name}.names: write design.sources.")
    return section


def _absolute(target: TargetSet, folder: Path) -> TargetSet:
    labels = target.labels if target.labels == "folders" else str(folder / target.labels)
    plays = target.interactions
    plays = plays if plays == Path() else folder / plays
    return replace(target, audio=folder / target.audio, labels=labels, interactions=plays)


def _each_left_out(sources: tuple[str, ...], targets: tuple[str, ...]) -> list[StudyRun]:
    """Trainings of Hamel 2013: none for bare frames, tags once, genres for each target."""
    plans: list[tuple[str, str, tuple[str, ...], str]] = [("hamel2013-base", BASE, (), "")]
    if "tags" in sources:
        plans.append(("hamel2013-tag", TAG, ("tags",), ""))
    if "genre" in sources:
        plans += [("hamel2013-genre", GENRE, ("genre",), name) for name in targets]
    return [
        StudyRun(number, extractor, strategy, names, leave_out=left)
        for number, (extractor, strategy, names, left) in enumerate(plans, start=1)
    ]


def _every_combination(sources: tuple[str, ...]) -> list[StudyRun]:
    """Trainings of Kim 2018: networks of single sources, shared ones of several, wide ones.

    Networks that share nothing are one training: any combination of them is some of its branches.
    """
    shared = [
        (MTN, some, 0)
        for count in range(2, len(sources) + 1)
        for some in combinations(sources, count)
    ]
    wide = [(WSTN, ("genre",), count) for count in kim2018.WIDTHS if count <= len(sources)]
    return [
        StudyRun(number, _KIM2018[kind], kind, names, equal_to)
        for number, (kind, names, equal_to) in enumerate([(STN, sources, 0), *shared, *wide], 1)
    ]
