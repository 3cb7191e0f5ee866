"""Scripts by which shells complete the commands."""

from __future__ import annotations

import argparse
from pathlib import Path

from mirfeat.cli.parser import get_parser
from mirfeat.errors import MissingPackageError

_FILES, _FOLDERS = {"FILE", "INPUT", "CSV", "JSON", "STORE"}, {"DIR"}


def script(shell: str) -> str:
    """The script for ``bash``, ``zsh`` or ``tcsh``.

    Raises:
        MissingPackageError: shtab is not installed.
    """
    try:
        import shtab  # optional: needed once, to write the script
    except ImportError as error:
        raise MissingPackageError("completion needs shtab: pip install shtab") from error
    parser = get_parser()
    _mark(parser, shtab.FILE, shtab.DIRECTORY)
    text: str = shtab.complete(parser, shell)
    return text


def _mark(parser: argparse.ArgumentParser, file: object, folder: object) -> None:
    """Say which arguments are files and folders, here and in all commands below."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                _mark(below, file, folder)
        elif action.metavar in _FOLDERS:
            action.complete = folder  # type: ignore[attr-defined]
        elif action.metavar in _FILES or action.type is Path:
            action.complete = file  # type: ignore[attr-defined]
