"""The command `mirfeat`; the only place that prints."""

from mirfeat.cli.commands import main

__all__ = ["main"]
