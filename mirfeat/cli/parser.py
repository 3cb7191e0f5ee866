"""The command line's commands and options; what they do is in ``commands.py``."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from mirfeat.cli.argument_types import Parser, add_common, checked, positive
from mirfeat.cli.check_parser import CHECK_EXAMPLES, add_check
from mirfeat.cli.evaluate_parser import (
    EVALUATE_EXAMPLES,
    add_evaluate,
)
from mirfeat.cli.explore_parser import add_explore
from mirfeat.cli.report_parser import REPORT_EXAMPLES, add_report, add_reproduce
from mirfeat.cli.train_parser import add_training
from mirfeat.networks.options import COMMON
from mirfeat.version import __version__


def get_parser() -> argparse.ArgumentParser:
    """Parser of all commands."""
    parser = Parser(
        prog="mirfeat",
        description="Feature vectors from music.",
        epilog=_EXAMPLES,
        formatter_class=_Help,
    )
    parser.add_argument("--version", action="version", version=f"mirfeat {__version__}")

    parser.set_defaults(command=None, verbose=False, quiet=False)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    def add(name: str, text: str, more: str = "") -> Any:
        command = commands.add_parser(
            name, help=text, description=text, epilog=more, formatter_class=_Help
        )
        add_common(command)
        command.set_defaults(command=name)
        return command

    command = add("list", "Names of all extractors.")
    command.add_argument("pattern", nargs="?", default="*", help="shell-style, e.g. 'kim2019-*'")
    command = add("info", "Everything about one extractor: input, paper, checkpoints.")
    command.add_argument("name", metavar="NAME")
    command.add_argument("--checkpoint", help="load it, and show the vector too")
    _add_extract(add("extract", "Feature vectors of files and folders.", _EXTRACT_EXAMPLES))
    add_check(add("check", "What is damaged, silent or double among files.", CHECK_EXAMPLES))
    command = add("tags", "The most probable tags of a file.")
    command.add_argument("files", nargs="+", metavar="FILE")
    command.add_argument("-m", "--extractor", default="choi2017", metavar="NAME")
    command.add_argument("--top", type=positive, default=10, metavar="N", help="default: 10")
    command.add_argument(
        "--unheard", action="store_true", help="also tags that the checkpoint cannot hear"
    )
    command.add_argument("--plot", action="store_true", help="draw them over time: FILE.tags.png")
    command.add_argument(
        "--plot-folder", default=".", metavar="DIR", help="where to; the current one by default"
    )
    _add_loading(command)
    add_explore(add)
    _add_export(add("export", "An extractor as an ONNX file: samples in, vectors out."))
    command = add("download", "Fill the cache folder for offline use.")
    command.add_argument("names", nargs="*", metavar="NAME")
    command.add_argument("--all", action="store_true", help="for all extractors")
    command.add_argument("--checkpoint", help="default: every published one")
    about = "A paper's protocol on features and labels."
    add_evaluate(add("evaluate", about, EVALUATE_EXAMPLES), _Help)
    add_report(add("report", "Compare extractors on a data set: one HTML page.", REPORT_EXAMPLES))
    add_reproduce(add("reproduce", "A paper's tables from the data sets that you have."))
    _add_datasets(add("datasets", "The papers' data sets: where to get them, their labels."))
    add_training(add)
    _add_calibrate(add("calibrate", "Batch-norm statistics for choi2017 from your music."))
    command = add("completion", "A script by which a shell completes these commands.", _COMPLETION)
    command.add_argument("shell", choices=("bash", "zsh", "tcsh"))
    return parser


def _add_export(command: Any) -> None:
    command.add_argument("extractor", metavar="NAME", help="see 'mirfeat list'")
    command.add_argument("--onnx", type=Path, required=True, metavar="FILE", help="where to")
    command.add_argument("--rows", action="store_true", help="all rows instead of the vector")
    _add_loading(command, vector=True)


def _add_datasets(command: Any) -> None:
    command.add_argument("name", nargs="?", metavar="NAME", help="one of them; all by default")
    command.add_argument("folder", nargs="?", type=Path, help="where you have it")
    command.add_argument("-o", "--output", type=Path, metavar="CSV", help="write its labels there")
    command.add_argument("--target", help="what to predict, where there are several targets")
    command.add_argument("--package", action="store_true", help="read it with mirdata or soundata")


def _add_calibrate(command: Any) -> None:
    command.add_argument("music", nargs="+", help="folders or files; each an equal share")
    command.add_argument("-o", "--output", type=Path, required=True, help=".safetensors or .json")
    command.add_argument("--checkpoint", default="msd", help="default: msd")
    command.add_argument(
        "--segments", type=positive, default=400, help="of 29 s, in all; default: 400"
    )
    command.add_argument("--seed", type=int, default=0, help="default: 0")


class _Help(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30)


_EXAMPLES = """\
examples:
  mirfeat demo                                   hear what it does, offline
  mirfeat extract music/ -m choi2017 -o feats    vectors of your music
  mirfeat map feats --open                       and hear them on a map

'mirfeat COMMAND --help' says more of each.
"""

_COMPLETION = """\
examples:
  mirfeat completion bash > ~/.local/share/bash-completion/completions/mirfeat
  mirfeat completion zsh > ~/.zfunc/_mirfeat      with ~/.zfunc in fpath
"""

_EXTRACT_EXAMPLES = """\
examples:
  mirfeat extract music/ -m choi2017 -o feats
  mirfeat extract a.mp3 b.flac -m choi2017 --layers 135 -o feats --format npz
  find . -name '*.ogg' -print0 | mirfeat extract @- -m mfcc -o feats
  mirfeat extract music/ -m choi2017 -o feats --shard 3/20

Run it again to go on after an interruption: only files that are new or have
changed are computed. Read the result with mirfeat.load_features("feats").

exit codes: 0 all done; 1 some files failed, see DIR/failures.csv; 2 usage or
configuration; 3 checkpoint not to be had; 4 every file failed; 5 internal
error; 130 interrupted
"""


def _add_extract(command: Any) -> None:
    command.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="file, folder, URL, @list.txt, or @- (a list on stdin; NUL-separated too)",
    )
    command.add_argument(
        "-m",
        "--extractor",
        required=True,
        metavar="NAME",
        help="see 'mirfeat list'; 'a(option=value)+b' joins two",
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
        "--prune", action="store_true", help="drop clips whose file is no longer there"
    )
    group = command.add_mutually_exclusive_group()
    group.add_argument(
        "--retry-failed",
        action="store_true",
        default=None,
        help="try files again that failed before; default: but for those that killed the process",
    )
    group.add_argument(
        "--keep-failed",
        action="store_false",
        dest="retry_failed",
        default=None,
        help="do not try files again that failed before and have not changed",
    )
    command.add_argument(
        "--shard", metavar="I/N", help="job I of N, each with its share of the files; all into DIR"
    )
    command.add_argument(
        "--on-error", choices=("skip", "raise"), default="skip", help="raise: stop at the first"
    )
    command.add_argument("--workers", type=positive, metavar="N", help="decoding threads")
    command.add_argument("--profile", action="store_true", help="say where the time went")
    group = command.add_argument_group("on a Ray cluster (docs/cluster.md)")
    group.add_argument("--ray", metavar="ADDRESS", help="local, auto or HOST:PORT")
    group.add_argument("--actors", metavar="N|MIN:MAX", help="default: what there is room for")
    group.add_argument("--cpus-per-actor", type=positive, metavar="N", help="default: up to 4")
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
            type=partial(checked, option),
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
