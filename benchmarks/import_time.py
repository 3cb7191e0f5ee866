"""Seconds until mirfeat can be used, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks.tables import print_machine, print_table

STEPS = {
    "python -c pass": "pass",
    "import mirfeat": "import mirfeat",
    "import torch": "import torch",
    "load_extractor('mfcc')": "import mirfeat; mirfeat.load_extractor('mfcc')",
    "load_extractor('choi2017', checkpoint='random')": (
        "import mirfeat; mirfeat.load_extractor('choi2017', checkpoint='random')"
    ),
}


def seconds(code: str) -> float:
    """Best of five runs."""
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        best = min(best, time.perf_counter() - started)
    return best


def main() -> None:
    """Print the table."""
    rows = [(step, f"{seconds(code):.2f}") for step, code in STEPS.items()]
    print_table("From the start of Python", ("step", "s"), rows)


if __name__ == "__main__":
    print_machine()
    main()
