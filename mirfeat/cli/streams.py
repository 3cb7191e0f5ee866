"""Standard streams that whoever started the program has closed."""

from __future__ import annotations

import os
import sys


def replace_closed_streams() -> None:
    """Let closed standard streams lead nowhere.

    Python has None for them, which ``print`` takes for stdout; and the first file that is opened
    would get their number, so that what C libraries print would end in it.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            # Kept open for as long as the program runs.
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
