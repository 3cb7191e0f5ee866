"""Values that a command line may hold."""

from __future__ import annotations

import argparse
from typing import Any

from mirfeat.errors import OptionError
from mirfeat.networks.options import Option


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
