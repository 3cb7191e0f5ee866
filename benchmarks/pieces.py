"""A minute from the middle of an hour, beside a file of a minute: the same format, in turns."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

import mirfeat
from benchmarks.tables import print_machine, print_table
from mirfeat.networks.population import synthetic_segment

RATE, ROUNDS = 48_000, 5
KINDS: dict[str, dict[str, Any]] = {
    "mp3": {"format": "MP3", "bitrate_mode": "CONSTANT"},
    "flac": {"format": "FLAC", "subtype": "PCM_16"},
    "opus": {"format": "OGG", "subtype": "OPUS"},
}


def write(path: Path, minutes: int, options: dict[str, Any]) -> None:
    """A file of so many minutes, stereo."""
    sound = synthetic_segment(0, 60 * RATE, RATE)[0]
    both = np.stack([sound, 0.8 * sound], axis=1)
    with soundfile.SoundFile(path, "w", RATE, 2, **options) as file:
        for _ in range(minutes):
            file.write(both)


def seconds(work: Callable[[], object]) -> float:
    """Processor seconds of this process."""
    started = time.process_time()
    work()
    return time.process_time() - started


def main() -> None:
    """Print the table."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for kind, options in KINDS.items():
            hour, minute = Path(folder, f"hour.{kind}"), Path(folder, f"minute.{kind}")
            write(hour, 60, options)
            write(minute, 1, options)
            pairs = [
                (
                    seconds(lambda: mirfeat.load_audio(minute)),  # noqa: B023
                    seconds(lambda: mirfeat.load_audio(hour, offset=1800, duration=60)),  # noqa: B023
                )
                for _ in range(ROUNDS)
            ]
            ratio = statistics.median(piece / whole for whole, piece in pairs)
            whole, piece = (statistics.median(times) for times in zip(*pairs, strict=True))
            rows.append((kind, f"{whole:.3f}", f"{piece:.3f}", f"{ratio:.2f}"))
            hour.unlink()
    columns = ("format", "a file of 60 s: processor s", "60 s from the middle of an hour", "ratio")
    print_table("Pieces, medians", columns, rows)


if __name__ == "__main__":
    print_machine()
    main()
