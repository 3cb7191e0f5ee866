"""Options of the commands that look and listen: demo, map, similar."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mirfeat.cli.argument_types import positive

_SIMILAR_EXAMPLES = """\
examples:
  mirfeat extract music/ -m choi2017 -o feats
  mirfeat similar song.mp3 feats
  mirfeat similar rock/a.mp3 rock/b.mp3 feats --top 20 --format m3u -o mix.m3u

A query is a file, or the id of a clip in STORE, which is then left out. Numbers
are standardised over the store before they are compared.
"""

_MAP_EXAMPLES = """\
examples:
  mirfeat extract music/ -m choi2017 -o feats
  mirfeat map feats --open
  mirfeat map feats --labels genres.csv --audio embed -o to_send.html

The page plays the files where they are now; with --audio embed it holds ten
seconds of each and can be sent to others. It needs no network.
"""


def add_explore(add: Callable[..., Any]) -> None:
    """Add the commands to a parser; ``add`` makes one of them."""
    command = add("demo", "Hear what it does: a map of bundled music with players.")
    command.add_argument(
        "-o", "--output", type=Path, default=Path("mirfeat-demo"), metavar="DIR",
        help="default: mirfeat-demo",
    )  # fmt: skip
    command.add_argument("--no-open", action="store_true", help="do not open a browser")
    _add_similar(add("similar", "The clips most like a song.", _SIMILAR_EXAMPLES))
    _add_map(add("map", "Extracted music as a map: hover, click, hear.", _MAP_EXAMPLES))


def _add_similar(command: Any) -> None:
    command.add_argument("queries", nargs="+", metavar="QUERY", help="a file, or an id in STORE")
    command.add_argument("store", type=Path, metavar="STORE", help="of 'mirfeat extract'")
    command.add_argument("--top", type=positive, default=10, metavar="N", help="default: 10")
    command.add_argument(
        "--format", choices=("text", "csv", "json", "m3u"), default="text", help="default: text"
    )
    command.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: the screen")
    _add_comparison(command)
    command.add_argument(
        "--approximate", action="store_true",
        help="for very many clips: look into a part of them, by an index that is made once and "
        "kept in the cache folder; may miss a few (needs faiss)",
    )  # fmt: skip
    command.add_argument("--checkpoint", help="where the store's weights are now")
    command.add_argument("--device", default="auto", help="for queries that are files")


def _add_map(command: Any) -> None:
    command.add_argument("store", type=Path, metavar="STORE", help="of 'mirfeat extract'")
    command.add_argument(
        "-o", "--output", type=Path, metavar="HTML", help="default: STORE/map.html"
    )
    command.add_argument(
        "--audio", choices=("link", "embed", "none"), default="link", help="default: link"
    )
    command.add_argument("--labels", type=Path, metavar="CSV", help="what to colour clips by")
    command.add_argument("--target", metavar="COLUMN", help="of the labels")
    command.add_argument("--tags", action="store_true", help="hear tags in each clip (choi2017)")
    command.add_argument("--title", help="default: the name of the store")
    command.add_argument(
        "--neighbours", type=positive, default=5, metavar="N", help="of each clip; default: 5"
    )
    command.add_argument(
        "--most", type=positive, default=10_000, metavar="N",
        help="draw so many of a larger store; default: 10000",
    )  # fmt: skip
    command.add_argument("--seed", type=int, default=0, help="of the layout; default: 0")
    command.add_argument("--open", action="store_true", help="open it in a browser")
    _add_comparison(command)


def _add_comparison(command: Any) -> None:
    command.add_argument(
        "--metric", choices=("cosine", "l1"), default="cosine", help="default: cosine"
    )
    command.add_argument(
        "--root", type=Path, metavar="DIR", help="where the audio is, if it has moved"
    )
