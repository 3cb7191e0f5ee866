"""Values that a command line may hold."""

from __future__ import annotations

import argparse
from typing import Any

from mirfeat.errors import OptionError
from mirfeat.networks.options import Option
from mirfeat.version import __version__


def add_progress(command: Any, default: Any = None) -> None:
    """How long work is shown."""
    command.add_argument(
        "--progress",
        choices=("auto", "bar", "json", "none"),
        default=default or "auto",
        help="auto: a bar on terminals, elsewhere a line every 30 s; json: an object a line",
    )


class Parser(argparse.ArgumentParser):
    """A parser of whole words: an abbreviation means something else once there are more options."""

    def __init__(self, **options: Any) -> None:
        """A parser, and all parsers below it."""
        super().__init__(**{"allow_abbrev": False, **options})


def add_common(command: Any, default: Any = None) -> None:
    """Options of all commands."""
    flag: dict[str, Any] = {"action": "store_true", **({"default": default} if default else {})}
    command.add_argument("-v", "--verbose", help="say more on stderr", **flag)
    command.add_argument("-q", "--quiet", help="errors only", **flag)
    command.add_argument("--json", help="results as JSON", **flag)
    version = f"mirfeat {__version__}"
    command.add_argument("--version", action="version", version=version, help=argparse.SUPPRESS)
    add_progress(command, default)


def whole(text: str) -> int:
    """A number of 0 or more."""
    if (number := int(text)) < 0:
        raise argparse.ArgumentTypeError("it is 0 or more")
    return number


def positive(text: str) -> int:
    """A number of 1 or more."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("it is 1 or more")
    return number


def checked(option: Option, text: str) -> Any:
    """A value that ``option`` takes."""
    try:
        return option.take(text)
    except OptionError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
