"""Options of ``mirfeat report`` and ``reproduce``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from mirfeat.cli.argument_types import positive
from mirfeat.cli.evaluate_parser import add_features_and_labels

REPORT_EXAMPLES = """\
examples:
  mirfeat report -m choi2017 --audio music/ --labels folders --quick -o report
  mirfeat report -m mfcc -m 'choi2017?checkpoint=msd' --audio music/ \\
      --labels genres.csv -o report
  mirfeat report --features feats --labels genres.csv -o report

Extractors take options like 'choi2017?checkpoint=msd&layers=123'. Features are
kept in DIR/features and not computed again.
"""


def add_report(command: Any) -> None:
    """Options of ``report``."""
    command.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    command.add_argument(
        "-m", "--extractor", action="append", default=[], metavar="NAME[?OPTION=VALUE&…]"
    )
    command.add_argument("--audio", type=Path, metavar="DIR", help="music for --extractor")
    command.add_argument("--title", help="default: what is predicted, and from where")
    command.add_argument(
        "--sections",
        "--protocols",
        dest="protocols",
        metavar="NAMES",
        help="default: svm-grid,layer-sweep,mlp,few-shot,similarity,map",
    )
    command.add_argument(
        "--quick",
        action="store_true",
        help="a first look: svm-grid (5 folds, scaled, not nested), similarity, map",
    )
    command.add_argument("--nested", action=argparse.BooleanOptionalAction, help="nested scores")
    add_features_and_labels(command)


def add_reproduce(command: Any) -> None:
    """Options of ``reproduce``."""
    command.add_argument("paper", metavar="PAPER", help="choi2017, hamel2013, kim2018 or kim2019")
    command.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="a folder for each data set in it"
    )
    command.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    command.add_argument("--folds", metavar="N", help="other than the paper's")
    command.add_argument("--strategies", default="paper", help="paper, all, or e.g. 12345,5")
    command.add_argument(
        "--train", action="store_true", help="kim2018: its own trainings too, on fma-medium (days)"
    )
    command.add_argument("--workers", type=positive, default=2, metavar="N", help="default: 2")
