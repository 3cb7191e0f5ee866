"""Options of ``mirfeat manifest``, ``cache``, ``targets``, ``train`` and ``study``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mirfeat.cli.argument_types import positive, whole


def add_training(add: Callable[..., Any]) -> None:
    """Commands that train; ``add`` makes one."""
    command = add("manifest", "A table of tracks from the tags of audio files.")
    command.add_argument("music", nargs="+", help="folders or files")
    command.add_argument("-o", "--output", type=Path, required=True, metavar="CSV")
    command.add_argument("--bpm", action="store_true", help="estimate it where no tag gives it")
    command.add_argument("--workers", type=positive, default=2, metavar="N", help="default: 2")
    command = add("cache", "Mel spectrograms of a training run, computed once.")
    _add_run(command)
    command.add_argument(
        "--shard", metavar="I/N", help="job I of N, each with its share of the tracks"
    )
    _add_run(add("targets", "What the sources of a training run will be taught."))
    command = add("train", "Train a network; a stopped run goes on.", _TRAIN_EXAMPLES)
    _add_run(command)
    command.add_argument("--overwrite", action="store_true", help="begin anew")
    command.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    command.add_argument("--devices", type=positive, default=1, metavar="N", help="default: 1")
    command.add_argument("--nodes", type=positive, default=1, metavar="N", help="default: 1")
    command.add_argument("--precision", default="32-true", help="e.g. bf16-mixed; default: 32-true")
    command.add_argument("--tensorboard", action="store_true", help="log for TensorBoard too")
    _add_study(
        add("study", "Many trainings: those of hamel2013, kim2018, kim2019.", _STUDY_EXAMPLES)
    )


def _add_study(command: Any) -> None:
    command.add_argument("config", type=Path, metavar="DESIGN", help="a TOML file")
    command.add_argument(
        "action",
        nargs="?",
        default="list",
        choices=("list", "cache", "run", "collect"),
        help="list (default) says how far each training is; cache makes spectrograms; run trains "
        "and scores what is open; collect makes the paper's tables of what there is",
    )
    command.add_argument("--shard", metavar="I/N", help="run, cache: job I of N, each its share")
    command.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    command.add_argument("--precision", default="32-true", help="e.g. bf16-mixed; default: 32-true")
    command.add_argument(
        "--workers", type=whole, default=0, metavar="N", help="reading ahead; default: 0"
    )
    command.add_argument(
        "--bootstrap", type=whole, default=0, metavar="N", help="collect: for intervals"
    )


_TRAIN_EXAMPLES = """\
examples:
  mirfeat manifest music/ -o tracks.csv --bpm
  mirfeat train run.toml
  mirfeat train run.toml --devices 8 --nodes 4 --precision bf16-mixed --workers 8

The least that run.toml says:
  extractor = "kim2019-ms-cr-2"
  manifest = "tracks.csv"
  output = "run"
"""


_STUDY_EXAMPLES = """\
examples:
  mirfeat study design.toml                     how far each training is
  mirfeat study design.toml run                 train and score what is open
  mirfeat study design.toml cache               before several jobs:
  mirfeat study design.toml run --shard 3/20    job 3 of 20
  mirfeat study design.toml collect             tables and figures, of what there is

The least that design.toml says:
  paper = "kim2019"
  output = "study"
  [training]
  manifest = "tracks.csv"
  [targets.gtzan]
  audio = "gtzan"
"""


def _add_run(command: Any) -> None:
    command.add_argument("config", type=Path, metavar="CONFIG", help="a TOML file")
    command.add_argument(
        "--workers", type=whole, default=0, metavar="N", help="reading ahead; default: 0"
    )
