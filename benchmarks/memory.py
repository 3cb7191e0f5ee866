"""Peak resident memory of one extraction, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.tables import excerpt_loop, music_file, print_machine, print_table

CHILD = """
import resource, sys, time
import mirfeat
extractor = mirfeat.load_extractor(sys.argv[1], checkpoint=sys.argv[2] or None)
started = time.monotonic()
if len(sys.argv) > 3:
    extractor.extract_file(sys.argv[3])
seconds = time.monotonic() - started
scale = 1 if sys.platform == "darwin" else 1024
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale, seconds)
"""


def measure(extractor: str, checkpoint: str, *path: str) -> tuple[float, float]:
    """Peak memory in bytes and seconds of ``extract_file`` in a fresh process."""
    command = [sys.executable, "-c", CHILD, extractor, checkpoint, *path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    memory, seconds = map(float, done.stdout.split())
    return memory, seconds


def hour(folder: Path, ending: str) -> Path:
    """An hour of music, written in pieces so that this process stays small too."""
    path, piece = folder / f"hour.{ending}", excerpt_loop(120.0, 44_100)
    with soundfile.SoundFile(path, "w", 44_100, 2) as file:
        for _ in range(30):
            file.write(np.asarray(piece))
    return path


def main() -> None:
    """Print the table."""
    short = music_file("mp3", 30.0)
    files = {
        "nothing (model loaded)": (),
        "30 s mp3": (str(short),),
        "1 h mp3": (str(hour(short.parent, "mp3")),),
        "1 h flac": (str(hour(short.parent, "flac")),),
    }
    rows = []
    for name, checkpoint in (("choi2017", "random"), ("mfcc", "")):
        for what, path in files.items():
            memory, seconds = measure(name, checkpoint, *path)
            rows.append((name, what, f"{memory / 1e6:.0f}", f"{seconds:.1f}" if path else ""))
    print_table("Peak memory", ("extractor", "input", "MB resident", "s"), rows)


if __name__ == "__main__":
    print_machine()
    main()
