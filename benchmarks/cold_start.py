"""From the shell to the answer, beside ``import torch`` and the same work once all is loaded.

Processes take turns in one run. Seconds of the clock move with what else the machine does,
processor seconds less.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.tables import print_machine, print_table
from mirfeat.networks.population import synthetic_segment

ROUNDS, SECONDS, RATE = 5, 30, 44_100
WARM = """
import os, sys, time, mirfeat
extractor = mirfeat.load_extractor("choi2017")
work = (lambda: extractor.tags(sys.argv[1])) if sys.argv[2:] == ["tags"] else (
    lambda: extractor.extract_files(mirfeat.find_audio([sys.argv[1]]), progress=False))
work()
wall, cpu = time.perf_counter(), sum(os.times()[:2])
work()
print(time.perf_counter() - wall, sum(os.times()[:2]) - cpu)
"""


def spent(command: list[str]) -> tuple[float, float]:
    """Clock and processor seconds of a process."""
    before, started = os.times(), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall, after = time.perf_counter() - started, os.times()
    return wall, sum(after[2:4]) - sum(before[2:4])


def warm(*arguments: str) -> tuple[float, float]:
    """The same of work in a process that has done it once."""
    command = [sys.executable, "-c", WARM, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    wall, cpu = map(float, done.stdout.split())
    return wall, cpu


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        songs = Path(folder) / "songs"
        songs.mkdir()
        for number in range(10):
            sound = synthetic_segment(number, SECONDS * RATE, RATE)[0]
            both = np.stack([sound, 0.8 * sound], axis=1)
            soundfile.write(songs / f"{number}.mp3", both, RATE, bitrate_mode="CONSTANT")
        song, program = str(songs / "0.mp3"), [sys.executable, "-m", "mirfeat"]
        times: dict[str, list[tuple[float, float]]] = {}
        for turn in range(ROUNDS):
            store = [str(songs), "-m", "choi2017", "-o", f"{folder}/{turn}"]
            for name, found in (
                ("import torch", spent([sys.executable, "-c", "import torch"])),
                ("tags, warm", warm(song, "tags")),
                ("tags, from the shell", spent([*program, "tags", song])),
                ("10 files, warm", warm(str(songs))),
                ("10 files, from the shell", spent([*program, "extract", *store])),
            ):
                times.setdefault(name, []).append(found)
    rows = []
    for name, pairs in times.items():
        wall, cpu = (statistics.median(kind) for kind in zip(*pairs, strict=True))
        ratio = ""
        if name.endswith("from the shell"):
            what = name.partition(",")[0]
            turns = zip(times["import torch"], times[f"{what}, warm"], pairs, strict=True)
            shares = [mine[1] / (1.25 * torch[1] + once[1]) for torch, once, mine in turns]
            ratio = f"{statistics.median(shares):.2f}"
        rows.append((name, f"{wall:.2f}", f"{cpu:.2f}", ratio))
    columns = ("what", "s", "processor s", "processor s as a share of 1.25 × import torch + warm")
    print_table("Cold start, medians", columns, rows)


if __name__ == "__main__":
    print_machine()
    main()
