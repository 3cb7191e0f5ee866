"""Excerpts of openly licensed music that come with the package, to try things on.

Whose they are and under which licences: ``ATTRIBUTION.md`` in their folder.
"""

from __future__ import annotations

import csv
import difflib
from pathlib import Path

from mirfeat.errors import OptionError

FOLDER = Path(__file__).parents[1] / "examples"


def list_examples() -> dict[str, dict[str, str]]:
    """The bundled excerpts by name: ``path``, ``style``, ``title``, ``artist``, ``group`` of each.

    ``group`` names whose music it is: folds should not share it.

    >>> mirfeat.list_examples()["folk_tavern"]["title"]
    'Tavern in the Mist'
    """
    with (FOLDER / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        row["path"].partition(".")[0]: {**row, "path": str(FOLDER / row["path"])} for row in rows
    }


def example(name: str) -> Path:
    """Path of a bundled excerpt: up to ten seconds of openly licensed music, by name.

    >>> mirfeat.example("folk_tavern").name
    'folk_tavern.opus'

    Raises:
        OptionError: no such excerpt; the message lists those there are.
    """
    known = list_examples()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise OptionError(f"no example {name!r}.{hint} There are: {', '.join(known)}.")
    return Path(known[name]["path"])
