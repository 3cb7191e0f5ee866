"""The part of ``mirfeat reproduce`` that trains: Kim et al. 2018 on FMA-medium."""

from __future__ import annotations

import argparse
from pathlib import Path

from mirfeat.cli.output import shown_progress
from mirfeat.evaluation.pages.page import Section
from mirfeat.training.preparation import Hardware
from mirfeat.training.study import driver
from mirfeat.training.study.fma import NAME, prepare_fma
from mirfeat.training.study.plan import read_study
from mirfeat.training.study.results import collect

PAPER = "kim2018"


def own_trainings(
    arguments: argparse.Namespace, dataset: str, root: Path, missing: list[tuple[str, str]]
) -> tuple[Section, ...]:
    """Tables of the paper's own trainings, made where ``--train`` asks for it.

    They go on where they were stopped. Without ``--train`` those that are there are shown.
    """
    if (arguments.paper, dataset) != (PAPER, NAME):
        return ()
    design = prepare_fma(root, arguments.output / "study")
    study = read_study(design)
    if arguments.train:
        hardware = Hardware(workers=arguments.workers)
        for training, why in driver.run(study, hardware, progress=shown_progress(arguments)):
            missing.append((training.name, why))
    states = [one.state for one in driver.status(study)]
    done = states.count("scored")
    if done < len(states):
        how = f"reproduce {PAPER} … --train, or: mirfeat study {design} run"
        missing.append((f"{len(states) - done} of {len(states)} trainings", how))
    said = f"{done} of {len(states)} trainings on {', '.join(study.sources)}; {design} lists them."
    return (Section("The paper's trainings", said, collect(study)),) if done else ()
