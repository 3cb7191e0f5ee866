"""The command line's commands and options; what they do is in ``cli.py``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from mirfeat import __version__


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
    command.add_argument("files", nargs="+", metavar="FILE", type=Path)
    command.add_argument("-m", "--extractor", default="choi2017", metavar="NAME")
    command.add_argument("--top", type=_positive, default=10, metavar="N", help="default: 10")
    _add_loading(command)
    command = add("download", "Fill the cache folder for offline use.")
    command.add_argument("names", nargs="*", metavar="NAME")
    command.add_argument("--all", action="store_true", help="for all extractors")
    command.add_argument("--checkpoint", help="default: every published one")
    command = add("calibrate", "Batch-norm statistics for choi2017 from your music.")
    command.add_argument("music", nargs="+", help="folders or files; each an equal share")
    command.add_argument("-o", "--output", type=Path, required=True, help=".safetensors or .json")
    command.add_argument("--checkpoint", default="msd", help="default: msd")
    command.add_argument(
        "--segments", type=_positive, default=400, help="of 29 s, in all; default: 400"
    )
    command.add_argument("--seed", type=int, default=0, help="default: 0")
    return parser


class _Help(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30)


_EXTRACT_EXAMPLES = """\
examples:
  mirfeat extract music/ -m choi2017 -o feats
  mirfeat extract a.mp3 b.flac -m choi2017 --layers 135 -o feats --format npz
  find . -name '*.ogg' | mirfeat extract @- -m mfcc -o feats

Run it again to go on after an interruption: only files that are new or have
changed are computed. Read the result with mirfeat.load_features("feats").

exit codes: 0 all done; 1 some files failed, see DIR/failures.csv; 2 usage or
configuration; 3 checkpoint not to be had; 4 every file failed; 5 internal
error; 130 interrupted
"""


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("it is 1 or more")
    return number


def _add_extract(command: Any) -> None:
    command.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="file, folder, @list.txt, or @- (a list on stdin)",
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
        "--on-error", choices=("record", "raise"), default="record", help="raise: stop at the first"
    )
    command.add_argument("--workers", type=_positive, metavar="N", help="decoding threads")
    vector = command.add_argument_group("the vector")
    vector.add_argument("--layers", help="choi2017, e.g. 135")
    vector.add_argument("--sources", help="kim2018, kim2019, e.g. tag,artist or gsedm")
    vector.add_argument("--statistics", help="mean,std (default), mean, std or paper")
    vector.add_argument("--batch-norm", choices=("population", "clip"), help="choi2017")
    _add_loading(command)


def _add_loading(command: Any) -> None:
    group = command.add_argument_group("network and audio")
    group.add_argument(
        "--checkpoint", help="open, random[:SEED], a published one, hf://…, or a file"
    )
    group.add_argument("--hop-seconds", type=float, metavar="S", help="between segments")
    group.add_argument("--max-seconds", type=float, metavar="S", help="only the start of each clip")
    group.add_argument(
        "--short",
        choices=("tile", "error"),
        default="tile",
        help="clips below one segment: repeat (default) or refuse",
    )
    group.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:1, …")
    group.add_argument("--batch-size", type=_positive, metavar="N", help="segments at a time")
