"""Options of ``mirfeat evaluate``: a parser for each protocol, with what that protocol takes."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mirfeat.cli.argument_types import add_common, positive, whole


class Entry(NamedTuple):
    """A protocol as the help shows it; ``options`` adds those that it takes."""

    paper: str
    summary: str
    options: Callable[[Any], None]


def add_evaluate(command: Any, formatter: Any) -> None:
    """Add a parser for each protocol, and one for all that a paper did."""
    protocols = command.add_subparsers(dest="protocol", metavar="PROTOCOL", required=True)
    for name, entry in ENTRIES.items():
        text = f"{entry.summary[0].upper()}{entry.summary[1:]}."
        parser = protocols.add_parser(name, description=text, formatter_class=formatter)
        add_common(parser, default=argparse.SUPPRESS)
        parser.set_defaults(**_NOT_TAKEN)
        parser.add_argument("-o", "--output", type=Path, metavar="JSON", help="write results there")
        parser.add_argument(
            "--figures", type=Path, metavar="DIR", help="draw them, with their data"
        )
        entry.options(parser)


def add_features_and_labels(command: Any) -> None:
    """What every protocol over labels, and a report, starts from."""
    group = command.add_argument_group("features and labels")
    _add_features(group)
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
    _add_seed(group)
    group.add_argument("--workers", type=positive, default=2, metavar="N", help="default: 2")


def _shuffle(text: str) -> int | str:
    return text if text == "none" else whole(text)


def _add_features(group: Any) -> None:
    group.add_argument(
        "--features",
        action="append",
        nargs="+",
        default=[],
        metavar="FILE",
        help="a folder of 'mirfeat extract', or NAME=array.npy side by side; again for another set",
    )


def _add_seed(group: Any) -> None:
    group.add_argument("--seed", type=int, default=0, help="of networks and draws; default: 0")


def _on_labels(*more: Callable[[Any], None]) -> Callable[[Any], None]:
    """Features, labels, and what else a protocol takes."""

    def add(parser: Any) -> None:
        add_features_and_labels(parser)
        group = parser.add_argument_group("protocol")
        group.add_argument(
            "--published", metavar="TASK", help="show the paper's scores beside yours"
        )
        for options in more:
            options(group)

    return add


def _search(group: Any) -> None:
    group.add_argument(
        "--scaling", choices=("both", "never", "always"), default="both", help="default: both"
    )
    group.add_argument("--nested", action=argparse.BooleanOptionalAction, help="nested scores")


def _strategies(group: Any) -> None:
    group.add_argument("--strategies", default="paper", help="paper, all, or e.g. 12345,135,5")


def _few_shot(group: Any) -> None:
    group.add_argument("--examples", default="1,2,5,10,20,50,100", help="clips a class")
    group.add_argument("--draws", type=positive, default=10, help="default: 10")
    group.add_argument(
        "--solver",
        choices=("logistic", "paper"),
        default="logistic",
        help="regularised (default), or the paper's least squares",
    )


def _neighbours(group: Any) -> None:
    group.add_argument("--k", type=positive, default=10, help="neighbours; default: 10")


def _head(group: Any) -> None:
    group.add_argument("--epochs", type=positive, help="default: 50")
    group.add_argument("--device", default="cpu", help="default: cpu")


def _blocks(group: Any) -> None:
    group.add_argument("--sources", help="blocks to combine, e.g. genre,mfcc")


def _repeats(group: Any) -> None:
    group.add_argument("--repeats", type=positive, default=5, help="default: 5")


def _perceptron(group: Any) -> None:
    group.add_argument("--standardise", action="store_true", help="scale features")
    _repeats(group)


def _predictions(group: Any) -> None:
    group.add_argument(
        "--predictions", type=Path, metavar="FILE", help="of tags, to score as they are"
    )


def _recommendation(parser: Any) -> None:
    _add_features(parser)
    parser.add_argument("--interactions", type=Path, metavar="CSV", help="user,item,count")
    parser.add_argument(
        "--fewest", type=positive, default=5, metavar="N", help="of a user or item; default: 5"
    )
    parser.add_argument("--variant", choices=("paper", "authors"), default="paper")
    _repeats(parser)
    _add_seed(parser)


def _comparison(parser: Any) -> None:
    parser.add_argument("--runs", type=Path, metavar="CSV", help="strategy,sources,dataset,score")
    parser.add_argument("--bootstrap", type=int, default=0, metavar="N", help="for intervals")
    _add_seed(parser)


def _network(parser: Any) -> None:
    parser.add_argument("-m", "--extractor", metavar="NAME")
    parser.add_argument("--checkpoint", help="of --extractor")


def _map(parser: Any) -> None:
    _add_features(parser)
    parser.add_argument("--topics", type=Path, metavar="CSV", help="id, a column for each topic")
    _network(parser)
    parser.add_argument("--sources", help="whose factors are the topics")
    _add_seed(parser)


def _nothing(parser: Any) -> None:
    pass


ENTRIES: Mapping[str, Entry] = {
    "svm-grid": Entry(
        "choi2017", "best of a grid of SVMs, and a nested score", _on_labels(_search)
    ),
    "layer-sweep": Entry(
        "choi2017", "the same for 28 combinations of layers", _on_labels(_search, _strategies)
    ),
    "linear": Entry("hamel2013", "linear regression on windows, averaged a song", _on_labels()),
    "few-shot": Entry(
        "hamel2013", "accuracy against training clips a class", _on_labels(_few_shot)
    ),
    "similarity": Entry(
        "hamel2013", "precision at 10 of nearest neighbours", _on_labels(_neighbours)
    ),
    "nearest-labels": Entry("hamel2013", "nearest classes of a network's labels", _network),
    "transfer-head": Entry("kim2018", "network on segments: macro-F1, log-loss", _on_labels(_head)),
    "source-grid": Entry(
        "kim2018", "the same for combinations of learning sources", _on_labels(_blocks, _head)
    ),
    "mlp": Entry("kim2019", "two hidden layers of 256, five repeats", _on_labels(_perceptron)),
    "recommendation": Entry("kim2019", "cold-start recommendation", _recommendation),
    "comparison": Entry("kim2019", "many representations: mixed models", _comparison),
    "compactness": Entry("kim2019", "parameters of the sharing strategies", _nothing),
    "map": Entry("kim2019", "t-SNE map with its strongest topics", _map),
    "tagging": Entry(
        "any", "several tags a clip: AUC-ROC, average precision", _on_labels(_predictions)
    ),
    "choi2017": Entry(
        "", "what Choi et al. 2017 did with such features", _on_labels(_search, _strategies)
    ),
    "hamel2013": Entry(
        "", "what Hamel et al. 2013 did with such features", _on_labels(_few_shot, _neighbours)
    ),
    "kim2018": Entry("", "what Kim et al. 2018 did with such features", _on_labels(_blocks, _head)),
    "kim2019": Entry("", "what Kim et al. 2019 did with such features", _on_labels(_perceptron)),
}

# What a protocol does not take has the value that leaves everything as it is.
_NOT_TAKEN: Mapping[str, Any] = {
    **dict.fromkeys(
        ("features", "labels", "manifest", "dataset", "root", "target", "task", "groups", "folds")
    ),
    **dict.fromkeys(("shuffle", "published", "nested", "sources", "epochs", "predictions")),
    **dict.fromkeys(("interactions", "runs", "topics", "extractor", "checkpoint")),
    "seed": 0,
    "workers": 2,
    "scaling": "both",
    "strategies": "paper",
    "examples": "1,2,5,10,20,50,100",
    "draws": 10,
    "solver": "logistic",
    "k": 10,
    "device": "cpu",
    "standardise": False,
    "repeats": 5,
}


def _listed() -> str:
    papers = dict.fromkeys(entry.paper for entry in ENTRIES.values() if entry.paper)
    lines = []
    for paper in papers:
        named = [(name, entry) for name, entry in ENTRIES.items() if entry.paper == paper]
        for place, (name, entry) in enumerate(named):
            lines.append(f"  {'' if place else paper:10} {name:15} {entry.summary}")
    return "\n".join(lines)


EVALUATE_EXAMPLES = f"""\
protocols:
{_listed()}
A paper's name runs what it did with such features.
'mirfeat evaluate PROTOCOL --help' shows the options of one.

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
