"""The command line's commands and options; what they do is in ``commands.py``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from mirfeat.errors import OptionError
from mirfeat.options import COMMON, Option
from mirfeat.version import __version__


def get_parser() -> argparse.ArgumentParser:
    """Parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="mirfeat", description="Feature vectors from music.", formatter_class=_Help
    )
    parser.add_argument("--version", action="version", version=f"mirfeat {__version__}")

    parser.set_defaults(command=None, verbose=False, quiet=False)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    def add(name: str, text: str, more: str = "") -> Any:
        command = commands.add_parser(
            name, help=text, description=text, epilog=more, formatter_class=_Help
        )
        command.add_argument("-v", "--verbose", action="store_true", help="say more on stderr")
        command.add_argument("-q", "--quiet", action="store_true", help="errors only")
        command.add_argument("--json", action="store_true", help="results as JSON")
        command.set_defaults(command=name)
        return command

    command = add("list", "Names of all extractors.")
    command.add_argument("pattern", nargs="?", default="*", help="shell-style, e.g. 'kim2019-*'")
    command = add("info", "Everything about one extractor: input, paper, checkpoints.")
    command.add_argument("name", metavar="NAME")
    command.add_argument("--checkpoint", help="load it, and show the vector too")
    _add_extract(add("extract", "Feature vectors of files and folders.", _EXTRACT_EXAMPLES))
    command = add("tags", "The most probable tags of a file.")
    command.add_argument("files", nargs="+", metavar="FILE")
    command.add_argument("-m", "--extractor", default="choi2017", metavar="NAME")
    command.add_argument("--top", type=_positive, default=10, metavar="N", help="default: 10")
    _add_loading(command)
    command = add("download", "Fill the cache folder for offline use.")
    command.add_argument("names", nargs="*", metavar="NAME")
    command.add_argument("--all", action="store_true", help="for all extractors")
    command.add_argument("--checkpoint", help="default: every published one")
    _add_evaluate(add("evaluate", "A paper's protocol on features and labels.", _EVALUATE_EXAMPLES))
    _add_report(add("report", "Compare extractors on a data set: one HTML page.", _REPORT_EXAMPLES))
    command = add("datasets", "The papers' data sets: where to get them, their labels.")
    command.add_argument("name", nargs="?", metavar="NAME", help="one of them; all by default")
    command.add_argument("folder", nargs="?", type=Path, help="where you have it")
    command.add_argument("-o", "--output", type=Path, metavar="CSV", help="write its labels there")
    command.add_argument("--target", help="what to predict, where there are several targets")
    command.add_argument("--package", action="store_true", help="read it with mirdata or soundata")
    _add_training(add)
    _add_calibrate(add("calibrate", "Batch-norm statistics for choi2017 from your music."))
    return parser


def _add_calibrate(command: Any) -> None:
    command.add_argument("music", nargs="+", help="folders or files; each an equal share")
    command.add_argument("-o", "--output", type=Path, required=True, help=".safetensors or .json")
    command.add_argument("--checkpoint", default="msd", help="default: msd")
    command.add_argument(
        "--segments", type=_positive, default=400, help="of 29 s, in all; default: 400"
    )
    command.add_argument("--seed", type=int, default=0, help="default: 0")


class _Help(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30)


_EXTRACT_EXAMPLES = """\
examples:
  mirfeat extract music/ -m choi2017 -o feats
  mirfeat extract a.mp3 b.flac -m choi2017 --layers 135 -o feats --format npz
  find . -name '*.ogg' | mirfeat extract @- -m mfcc -o feats
  mirfeat extract music/ -m choi2017 -o feats --shard 3/20

Run it again to go on after an interruption: only files that are new or have
changed are computed. Read the result with mirfeat.load_features("feats").

exit codes: 0 all done; 1 some files failed, see DIR/failures.csv; 2 usage or
configuration; 3 checkpoint not to be had; 4 every file failed; 5 internal
error; 130 interrupted
"""


def _whole(text: str) -> int:
    if (number := int(text)) < 0:
        raise argparse.ArgumentTypeError("it is 0 or more")
    return number


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("it is 1 or more")
    return number


def _add_extract(command: Any) -> None:
    command.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="file, folder, URL, @list.txt, or @- (a list on stdin)",
    )
    command.add_argument(
        "-m", "--extractor", required=True, metavar="NAME", help="see 'mirfeat list'; a+b joins two"
    )
    command.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    command.add_argument(
        "--format", choices=("csv", "parquet", "npz", "npy"), default="csv", help="default: csv"
    )
    command.add_argument("--embed", action="store_true", help="all rows of a clip (npz, npy)")
    command.add_argument(
        "--root", metavar="DIR", help="what ids are relative to; default: what all inputs share"
    )
    command.add_argument("--no-recursive", action="store_true", help="folders: top level only")
    command.add_argument("--overwrite", action="store_true", help="discard features in DIR")
    command.add_argument(
        "--shard", metavar="I/N", help="job I of N, each with its share of the files; all into DIR"
    )
    command.add_argument(
        "--on-error", choices=("skip", "raise"), default="skip", help="raise: stop at the first"
    )
    command.add_argument("--workers", type=_positive, metavar="N", help="decoding threads")
    command.add_argument("--profile", action="store_true", help="say where the time went")
    group = command.add_argument_group("on a Ray cluster (docs/cluster.md)")
    group.add_argument("--ray", metavar="ADDRESS", help="local, auto or HOST:PORT")
    group.add_argument("--actors", metavar="N|MIN:MAX", help="default: what there is room for")
    group.add_argument("--cpus-per-actor", type=_positive, metavar="N", help="default: up to 4")
    group.add_argument(
        "--gpus-per-actor", type=float, default=0, metavar="X", help="may be 0.25; default: 0"
    )
    _add_loading(command, vector=True)


def _add_loading(command: Any, *, vector: bool = False) -> None:
    """Options of ``load_extractor``; those that shape the vector where one is asked for."""
    group = command.add_argument_group("network and audio")
    for option in COMMON:
        if option.name == "statistics" and not vector:
            continue
        several = "; several with commas, or all" if option.name == "device" and vector else ""
        group.add_argument(
            f"--{option.name.replace('_', '-')}",
            type=partial(_checked, option),
            choices=option.choices or None,
            metavar=None if option.choices else _METAVARS.get(option.name, option.name.upper()),
            help=option.help + several,
        )
    group = command.add_argument_group("options of single extractors (see 'mirfeat info NAME')")
    if vector:
        group.add_argument("--layers", help="choi2017, e.g. 135")
        group.add_argument("--sources", help="kim2018, kim2019, e.g. tag,artist or gsedm")
        group.add_argument("--batch-norm", choices=("population", "clip"), help="choi2017")
    group.add_argument(
        "--option", action="append", metavar="NAME=VALUE", help="any option; may be repeated"
    )


_METAVARS = {"hop_seconds": "S", "max_seconds": "S", "batch_size": "N"}


def _checked(option: Option, text: str) -> Any:
    try:
        return option.take(text)
    except OptionError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


_EVALUATE_EXAMPLES = """\
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
             map             t-SNE map with its strongest topics (--topics)
A paper's name runs what it did with such features.

examples:
  mirfeat evaluate svm-grid --features feats --labels genres.csv
  mirfeat evaluate layer-sweep --features choi --features random \\
      --labels genres.csv
  mirfeat evaluate layer-sweep --labels gtzan.csv --published gtzan-genre \\
      --features layer1=layer_0.npy layer2=layer_1.npy mfcc=mfcc.npy

Labels: a CSV file with a column id or path, named as in the features, and one
to predict. Columns such as artist or group keep clips of one artist in one
fold; fold or split are taken as they are.
"""

_REPORT_EXAMPLES = """\
examples:
  mirfeat report -m mfcc -m 'choi2017?checkpoint=msd' --audio music/ \\
      --labels genres.csv -o report
  mirfeat report --features feats --labels genres.csv -o report

Extractors take options like 'choi2017?checkpoint=msd&layers=123'. Features are
kept in DIR/features and not computed again.
"""


def _add_evaluate(command: Any) -> None:
    command.add_argument("protocol", metavar="PROTOCOL", help="see below; or a paper")
    command.add_argument("-o", "--output", type=Path, metavar="JSON", help="write results there")
    command.add_argument("--figures", type=Path, metavar="DIR", help="draw them, with their data")
    _add_features_and_labels(command)
    group = command.add_argument_group("protocols")
    group.add_argument("--published", metavar="TASK", help="show the paper's scores beside yours")
    group.add_argument("--scaling", choices=("both", "never", "always"), default="both")
    group.add_argument("--nested", action=argparse.BooleanOptionalAction, help="nested scores")
    group.add_argument("--strategies", default="paper", help="paper, all, or e.g. 12345,135,5")
    group.add_argument("--examples", default="1,2,5,10,20,50,100", help="clips a class")
    group.add_argument("--k", type=_positive, default=10, help="neighbours; default: 10")
    group.add_argument("--sources", help="blocks to combine, e.g. genre,mfcc")
    group.add_argument("--epochs", type=_positive, help="of transfer-head; default: 50")
    group.add_argument("--device", default="cpu", help="of transfer-head; default: cpu")
    group.add_argument("--standardise", action="store_true", help="scale features for mlp")
    group.add_argument("--repeats", type=_positive, default=5, help="default: 5")
    group = command.add_argument_group("recommendation, comparison, map, nearest-labels")
    group.add_argument("--interactions", type=Path, metavar="CSV", help="user,item,count")
    group.add_argument(
        "--fewest", type=_positive, default=5, metavar="N", help="of a user or item; default: 5"
    )
    group.add_argument("--variant", choices=("paper", "authors"), default="paper")
    group.add_argument("--runs", type=Path, metavar="CSV", help="strategy,sources,dataset,score")
    group.add_argument("--bootstrap", type=int, default=0, metavar="N", help="for intervals")
    group.add_argument("--topics", type=Path, metavar="CSV", help="id, a column for each topic")
    group.add_argument("-m", "--extractor", metavar="NAME")
    group.add_argument("--checkpoint", help="of --extractor")


def _add_training(add: Callable[..., Any]) -> None:
    command = add("manifest", "A table of tracks from the tags of audio files.")
    command.add_argument("music", nargs="+", help="folders or files")
    command.add_argument("-o", "--output", type=Path, required=True, metavar="CSV")
    command.add_argument("--bpm", action="store_true", help="estimate it where no tag gives it")
    command.add_argument("--workers", type=_positive, default=2, metavar="N", help="default: 2")
    command = add("cache", "Mel spectrograms of a training run, computed once.")
    _add_run(command)
    command.add_argument("--part", metavar="I/N", help="only every N-th track, from the I-th")
    _add_run(add("targets", "What the sources of a training run will be taught."))
    command = add("train", "Train a network; a stopped run goes on.", _TRAIN_EXAMPLES)
    _add_run(command)
    command.add_argument("--overwrite", action="store_true", help="begin anew")
    command.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    command.add_argument("--devices", type=_positive, default=1, metavar="N", help="default: 1")
    command.add_argument("--nodes", type=_positive, default=1, metavar="N", help="default: 1")
    command.add_argument("--precision", default="32-true", help="e.g. bf16-mixed; default: 32-true")
    command.add_argument("--tensorboard", action="store_true", help="log for TensorBoard too")


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


def _add_run(command: Any) -> None:
    command.add_argument("config", type=Path, metavar="CONFIG", help="a TOML file")
    command.add_argument(
        "--workers", type=_whole, default=0, metavar="N", help="reading ahead; default: 0"
    )


def _add_report(command: Any) -> None:
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
    group.add_argument("--labels", type=Path, metavar="CSV", help="what to predict")
    group.add_argument("--dataset", metavar="NAME", help="or one of 'mirfeat datasets' …")
    group.add_argument("--root", type=Path, metavar="DIR", help="… and where you have it")
    group.add_argument("--target", metavar="COLUMN", help="of the labels")
    group.add_argument("--task", choices=("classification", "regression"))
    group.add_argument("--groups", metavar="COLUMN", help="what folds must not share, or none")
    group.add_argument("--folds", metavar="N|COLUMN", help="how many, or predefined ones, or none")
    group.add_argument("--shuffle", type=int, metavar="SEED", help="deal clips out at random")
    group.add_argument("--seed", type=int, default=0, help="of networks and draws; default: 0")
    group.add_argument("--workers", type=_positive, default=2, metavar="N", help="default: 2")
