"""What the benchmark scripts share: timing in turns, tables, and sounds to work on."""

from __future__ import annotations

import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

MUSIC = Path(__file__).parents[1] / "examples" / "music"


def medians(tasks: Mapping[str, Callable[[], Any]], rounds: int = 15) -> dict[str, float]:
    """Median seconds of each task. Tasks take turns, so that noise of the machine hits all."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for round_ in range(-2, rounds):  # two rounds to warm up
        for name, task in tasks.items():
            started = time.perf_counter()
            task()
            if round_ >= 0:
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A Markdown table on stdout."""
    print(f"\n### {title}\n")
    print(f"| {' | '.join(header)} |")
    print(f"|{'---|' * len(header)}")
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |")
    sys.stdout.flush()


def print_machine() -> None:
    """What the numbers were measured on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    system = f"{platform.system()} {platform.machine()}, {cores} cores"
    threads = f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"
    python = platform.python_version()
    print(f"{system}, Python {python}, torch {torch.__version__} ({threads})")


def excerpt_loop(seconds: float, rate: int, channels: int = 2) -> np.ndarray:
    """Real music, excerpts one after the other, float32 (N, channels)."""
    parts: list[np.ndarray] = []
    have = 0
    paths = sorted(MUSIC.glob("*.opus"))
    while have < seconds * 48_000:
        samples, _ = soundfile.read(paths[len(parts) % len(paths)], dtype="float32")
        parts.append(samples)
        have += len(samples)
    mono = np.concatenate(parts)[: round(seconds * 48_000)]
    if rate != 48_000:
        import soxr

        mono = soxr.resample(mono, 48_000, rate)
    # A slightly different right channel: equal ones would compress and decode too well.
    other = 0.8 * mono + 0.2 * np.roll(mono, rate // 100)
    return np.stack([mono, other][:channels], axis=1)


def music_file(ending: str, seconds: float, rate: int = 44_100) -> Path:
    """Temporary stereo file of real music; mp3 is at 192 kbit/s or so."""
    path = Path(tempfile.mkdtemp()) / f"music.{ending}"
    write = write_mp3 if ending == "mp3" else soundfile.write
    write(path, excerpt_loop(seconds, rate), rate)
    return path


def write_mp3(path: Path, samples: np.ndarray, rate: int) -> None:
    """An mp3 at 192 kbit/s or so."""
    soundfile.write(path, samples, rate, bitrate_mode="CONSTANT", compression_level=0.45)


def write_clips(folder: Path, count: int, seconds: float = 30.0, rate: int = 44_100) -> list[Path]:
    """Different stereo mp3 files of real music."""
    step = rate // 2
    music = excerpt_loop(seconds + count * 0.5, rate)
    paths = [folder / f"{index:04d}.mp3" for index in range(count)]
    for index, path in enumerate(paths):
        write_mp3(path, music[index * step :][: round(seconds * rate)], rate)
    return paths
