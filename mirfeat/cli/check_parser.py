"""Arguments of ``mirfeat check``."""

from __future__ import annotations

from typing import Any

from mirfeat.cli.argument_types import positive

CHECK_EXAMPLES = """\
examples:
  mirfeat check music/
  mirfeat check music/ --json > findings.json

Every file is decoded to its end. Shown are those that fail, are silent, cancel
in the mono mix, are clipped or damaged, or have the same audio as another one;
with --all the others too.

exit codes: 0 every file can be used; 1 some cannot; 2 usage; 4 none can
"""


def add_check(command: Any) -> None:
    """Arguments of the command."""
    command.add_argument("inputs", nargs="+", metavar="INPUT", help="file, folder, URL, @list.txt")
    command.add_argument("--all", action="store_true", help="show files without a remark too")
    command.add_argument("--no-recursive", action="store_true", help="folders: top level only")
    command.add_argument("--workers", type=positive, metavar="N", help="decoding threads")
