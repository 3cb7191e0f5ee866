"""Peak resident memory: long files, many files; each extraction in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.tables import excerpt_loop, music_file, print_machine, print_table

CHILD = """
import resource, sys, time
import mirfeat
extractor = mirfeat.load_extractor(sys.argv[1], device="cpu")
paths = sys.argv[2:]
if paths and paths[0].startswith("@"):
    paths = open(paths[0][1:]).read().split()
started = time.monotonic()
if paths:
    extractor.extract_files(paths, progress=False)
seconds = time.monotonic() - started
scale = 1 if sys.platform == "darwin" else 1024
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale, seconds)
"""
EXTRACTORS = ("choi2017", "kim2019-ms-sr-fc", "mfcc")


def measure(extractor: str, *paths: str) -> tuple[float, float]:
    """Peak memory in bytes and seconds of ``extract_files`` in a fresh process."""
    command = [sys.executable, "-c", CHILD, extractor, *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    memory, seconds = map(float, done.stdout.split())
    return memory, seconds


def long_file(folder: Path, ending: str, minutes: int) -> Path:
    """Minutes of music, written in pieces so that this process stays small too."""
    path, piece = folder / f"{minutes}min.{ending}", excerpt_loop(120.0, 44_100)
    with soundfile.SoundFile(path, "w", 44_100, 2) as file:
        for _ in range(minutes // 2):
            file.write(np.asarray(piece))
    return path


def many_files(folder: Path, count: int, seconds: float = 1.0) -> Path:
    """A list of ``count`` files of a second; a hundred different ones, linked again and again."""
    music, rate = excerpt_loop(100 * seconds, 44_100), 44_100
    step = round(seconds * rate)
    paths = [folder / f"{index:06d}.wav" for index in range(count)]
    for index, path in enumerate(paths):
        if index < 100:
            soundfile.write(path, music[index * step :][:step], rate)
        else:
            os.link(paths[index % 100], path)
    listed = folder / "list.txt"
    listed.write_text("\n".join(map(str, paths)))
    return listed


def main(extractors: Sequence[str] = EXTRACTORS, count: int = 10_000) -> None:
    """Print the table."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inputs = {
            "nothing (network loaded)": (),
            "30 s mp3": (str(music_file("mp3", 30.0)),),
            "10 min mp3": (str(long_file(folder, "mp3", 10)),),
            "1 h mp3": (str(long_file(folder, "mp3", 60)),),
            "1 h flac": (str(long_file(folder, "flac", 60)),),
            f"{count} files of 1 s": (f"@{many_files(folder, count)}",),
        }
        for extractor in extractors:
            for what, paths in inputs.items():
                memory, seconds = measure(extractor, *paths)
                rows.append((extractor, what, f"{memory / 1e6:.0f}", f"{seconds:.1f}"))
    print_table("Peak memory", ("extractor", "input", "MB resident", "s"), rows)


if __name__ == "__main__":
    print_machine()
    main(sys.argv[1:] or EXTRACTORS)
