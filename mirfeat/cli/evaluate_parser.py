"""Options of ``mirfeat evaluate`` and ``report``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from mirfeat.cli.argument_types import positive, whole

EVALUATE_EXAMPLES = """\
protocols:
  choi2017   svm-grid        best of a grid of SVMs, and a nested score
             layer-sweep     the same for 28 combinations of layers
  hamel2013  linear          linear regression on windows, averaged a song
             few-shot        accuracy against training clips a class
             similarity      precision at 10 of nearest neighbours
             nearest-labels  nearest classes (--extractor, --checkpoint)
  kim2018    transfer-head   network on segments: macro-F1, log-loss
             source-grid     the same for combinations of learning sources
  kim2019    mlp             two hidden layers of 256, five repeats
             recommendation  cold-start recommendation (--interactions)
             comparison      many representations: mixed models (--runs)
             compactness     parameters of the sharing strategies
             map             t-SNE map with its strongest topics (--topics, -m)
  any        tagging         several tags a clip: AUC-ROC, average precision
A paper's name runs what it did with such features.

examples:
  mirfeat evaluate svm-grid --features feats --labels genres.csv
  mirfeat evaluate layer-sweep --features choi --features random \\
      --labels genres.csv
  mirfeat evaluate layer-sweep --labels gtzan.csv --published gtzan-genre \\
      --features layer1=layer_0.npy layer2=layer_1.npy mfcc=mfcc.npy

Labels: a CSV file with a column id or path, named as in the features, and one
to predict; or 'folders', where a clip's folder is its class; or a column of
the table given with --manifest. Columns such as artist or group keep clips of
one artist in one fold; fold or split are taken as they are.
"""


REPORT_EXAMPLES = """\
examples:
  mirfeat report -m mfcc -m 'choi2017?checkpoint=msd' --audio music/ \\
      --labels genres.csv -o report
  mirfeat report --features feats --labels genres.csv -o report

Extractors take options like 'choi2017?checkpoint=msd&layers=123'. Features are
kept in DIR/features and not computed again.
"""


def add_evaluate(command: Any) -> None:
    """Options of ``evaluate``."""
    command.add_argument("protocol", metavar="PROTOCOL", help="see below; or a paper")
    command.add_argument("-o", "--output", type=Path, metavar="JSON", help="write results there")
    command.add_argument("--figures", type=Path, metavar="DIR", help="draw them, with their data")
    _add_features_and_labels(command)
    group = command.add_argument_group("protocols")
    group.add_argument("--published", metavar="TASK", help="show the paper's scores beside yours")
    group.add_argument("--scaling", choices=("both", "never", "always"), default="both")
    group.add_argument("--nested", action=argparse.BooleanOptionalAction, help="nested scores")
    group.add_argument("--strategies", default="paper", help="paper, all, or e.g. 12345,135,5")
    _add_few_shot(group)
    group.add_argument("--k", type=positive, default=10, help="neighbours; default: 10")
    group.add_argument("--sources", help="blocks to combine, e.g. genre,mfcc")
    group.add_argument("--epochs", type=positive, help="of transfer-head; default: 50")
    group.add_argument("--device", default="cpu", help="of transfer-head; default: cpu")
    group.add_argument("--standardise", action="store_true", help="scale features for mlp")
    group.add_argument("--repeats", type=positive, default=5, help="default: 5")
    group.add_argument(
        "--predictions", type=Path, metavar="FILE", help="of tags, to score as they are (tagging)"
    )
    group = command.add_argument_group("recommendation, comparison, map, nearest-labels")
    group.add_argument("--interactions", type=Path, metavar="CSV", help="user,item,count")
    group.add_argument(
        "--fewest", type=positive, default=5, metavar="N", help="of a user or item; default: 5"
    )
    group.add_argument("--variant", choices=("paper", "authors"), default="paper")
    group.add_argument("--runs", type=Path, metavar="CSV", help="strategy,sources,dataset,score")
    group.add_argument("--bootstrap", type=int, default=0, metavar="N", help="for intervals")
    group.add_argument("--topics", type=Path, metavar="CSV", help="id, a column for each topic")
    group.add_argument("-m", "--extractor", metavar="NAME")
    group.add_argument("--checkpoint", help="of --extractor")


def _add_few_shot(group: Any) -> None:
    group.add_argument("--examples", default="1,2,5,10,20,50,100", help="clips a class")
    group.add_argument("--draws", type=positive, default=10, help="of few-shot; default: 10")
    group.add_argument(
        "--solver",
        choices=("logistic", "paper"),
        default="logistic",
        help="of few-shot: regularised (default), or the paper's least squares",
    )


def _shuffle(text: str) -> int | str:
    return text if text == "none" else whole(text)


def add_report(command: Any) -> None:
    """Options of ``report``."""
    command.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    command.add_argument(
        "-m", "--extractor", action="append", default=[], metavar="NAME[?OPTION=VALUE&…]"
    )
    command.add_argument("--audio", type=Path, metavar="DIR", help="music for --extractor")
    command.add_argument("--title", help="default: what is predicted, and from where")
    command.add_argument(
        "--protocols", help="default: svm-grid,layer-sweep,mlp,few-shot,similarity,map"
    )
    command.add_argument("--nested", action=argparse.BooleanOptionalAction, help="nested scores")
    _add_features_and_labels(command)


def add_reproduce(command: Any) -> None:
    """Options of ``reproduce``."""
    command.add_argument("paper", metavar="PAPER", help="choi2017, hamel2013, kim2018 or kim2019")
    command.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="a folder for each data set in it"
    )
    command.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    command.add_argument("--folds", metavar="N", help="other than the paper's")
    command.add_argument("--strategies", default="paper", help="paper, all, or e.g. 12345,5")
    command.add_argument("--workers", type=positive, default=2, metavar="N", help="default: 2")


def _add_features_and_labels(command: Any) -> None:
    group = command.add_argument_group("features and labels")
    group.add_argument(
        "--features",
        action="append",
        nargs="+",
        default=[],
        metavar="FILE",
        help="a folder of 'mirfeat extract', or NAME=array.npy side by side; again for another set",
    )
    group.add_argument(
        "--labels", metavar="CSV|folders|COLUMN", help="what to predict; COLUMN of --manifest"
    )
    group.add_argument("--manifest", type=Path, metavar="CSV", help="labels and artists of clips")
    group.add_argument("--dataset", metavar="NAME", help="or one of 'mirfeat datasets' …")
    group.add_argument("--root", type=Path, metavar="DIR", help="… and where you have it")
    group.add_argument("--target", metavar="COLUMN", help="of the labels")
    group.add_argument("--task", choices=("classification", "regression"))
    group.add_argument("--groups", metavar="COLUMN", help="what folds must not share, or none")
    group.add_argument("--folds", metavar="N|COLUMN", help="how many, or predefined ones, or none")
    group.add_argument(
        "--shuffle", type=_shuffle, metavar="SEED|none", help="of folds; default: --seed"
    )
    group.add_argument("--seed", type=int, default=0, help="of networks and draws; default: 0")
    group.add_argument("--workers", type=positive, default=2, metavar="N", help="default: 2")
