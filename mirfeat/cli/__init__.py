"""The command `mirfeat`; the only place that prints."""

from mirfeat.cli.entry import main

__all__ = ["main"]
