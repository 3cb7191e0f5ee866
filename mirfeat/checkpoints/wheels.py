"""Weights that are published inside a Python package: pip fetches its file, nothing is installed.

Which index that comes from is pip's own business: its settings name mirrors, folders
(``PIP_FIND_LINKS``, ``PIP_NO_INDEX``) and credentials.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from mirfeat.errors import CheckpointUnavailableError

# "pip:NAME==VERSION/FILE"
SCHEME = "pip:"


def requirement(location: str) -> str:
    """``NAME==VERSION`` of an address."""
    return location.removeprefix(SCHEME).partition("/")[0]


def download(location: str, target: Path) -> None:
    """Have pip fetch the file at ``location`` and put it in the place of ``target``.

    Raises:
        CheckpointUnavailableError: there is no pip, or it could not get this very file.
    """
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".pip-") as folder:
        command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check"]
        command += ["--no-input", "--quiet", "--no-deps", "--only-binary", ":all:"]
        command += ["--dest", folder, requirement(location)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        found = Path(folder) / location.rpartition("/")[2]
        if ended.returncode or not found.is_file():
            raise CheckpointUnavailableError(
                f"'pip download {requirement(location)}' did not bring {found.name}: "
                f"{_reason(ended.stderr)}"
            )
        found.replace(target)


def _reason(said: str) -> str:
    """The line of pip's messages that says what was wrong."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["pip gave no reason"])[-1]
