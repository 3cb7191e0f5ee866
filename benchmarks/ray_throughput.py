"""Throughput through Ray against a run in this process, with the same cores; what a million costs.

    python -m benchmarks.ray_throughput [--clips 200] [--rounds 3] [-m kim2019-mss-cr]

Both take turns over the same mp3 files, each into a fresh folder. One actor gets all the cores.
What Ray needs to start, and an actor to load the network, is measured apart: until the actor is
handed its first batch. From there to the end everything counts, the way back and writing too.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import mirfeat
from benchmarks.tables import print_machine, print_table, write_clips
from mirfeat.audio.addresses import Location
from mirfeat.audio.collection import find_audio
from mirfeat.distributed import cluster as distributed
from mirfeat.distributed.actors import Worker

# Where actors find the file for their notes; Ray hands the environment on to them.
_NOTED = "MIRFEAT_BENCHMARK_NOTES"
CLIP_SECONDS = 30.0
# Of the example in the table; what a core costs where you are is for you to fill in.
TRACKS, TRACK_SECONDS, CORE_HOUR_PRICE = 1_000_000, 240.0, 0.04


def local_seconds(extractor: mirfeat.Extractor, paths: list[Location], store: Path) -> float:
    """A run in this process; the network is loaded."""
    started = time.monotonic()
    report = extractor.extract_to(store, paths, format="parquet", progress=False)
    assert report.done == len(paths)
    return time.monotonic() - started


class TimedWorker(Worker):
    """An actor that notes when it is handed a batch; all clocks are those of this machine."""

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Results of a batch."""
        with Path(os.environ[_NOTED]).open("a") as file:
            file.write(f"{time.time()}\n")
        return super().__call__(batch)


def ray_seconds(
    name: str, options: dict[str, Any], paths: list[Location], store: Path, cores: int, batch: int
) -> tuple[float, float]:
    """A run through Ray: seconds for all clips without the start, and of the start."""
    noted = Path(os.environ[_NOTED])
    noted.unlink(missing_ok=True)
    pool: dict[str, Any] = {"actors": 1, "cpus_per_actor": cores, "batch_files": batch}
    started = time.time()
    with mock.patch.object(distributed, "Worker", TimedWorker):
        report = distributed.extract_dataset(paths, store, name, progress=False, **pool, **options)
    ended = time.time()
    assert report.done == len(paths)
    first = min(map(float, noted.read_text().split()))
    return ended - first, first - started


def core_hours(tracks: int, track_seconds: float, speed: float) -> float:
    """Hours of one core; ``speed`` is in seconds of audio per second and core."""
    return tracks * track_seconds / speed / 3600


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("-m", "--extractor", default="kim2019-mss-cr")
    parser.add_argument("--checkpoint")
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-files", type=int, default=20)
    parser.add_argument("--price", type=float, default=CORE_HOUR_PRICE, help="of a core-hour")
    arguments = parser.parse_args()
    import ray

    cores = len(os.sched_getaffinity(0))
    options = {"checkpoint": arguments.checkpoint} if arguments.checkpoint else {}
    os.environ[_NOTED] = str(Path(tempfile.mkdtemp()) / "batches")
    started = time.monotonic()
    ray.init("local", include_dashboard=False, object_store_memory=200_000_000, num_cpus=cores)
    ray_start = time.monotonic() - started
    local, through, starts = [], [], []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "clips").mkdir()
        write_clips(folder / "clips", arguments.clips, CLIP_SECONDS)
        paths = find_audio([folder / "clips"])
        extractor = mirfeat.load_extractor(arguments.extractor, device="cpu", **options)
        local_seconds(extractor, paths[:4], folder / "warm")
        for turn in range(arguments.rounds):
            local.append(local_seconds(extractor, paths, folder / f"local-{turn}"))
            both = ray_seconds(
                arguments.extractor,
                options,
                paths,
                folder / f"ray-{turn}",
                cores,
                arguments.batch_files,
            )
            through.append(both[0])
            starts.append(both[1])
    ray.shutdown()
    _show(arguments, cores, local, through, (ray_start, statistics.median(starts)))


def _show(
    arguments: argparse.Namespace,
    cores: int,
    local: list[float],
    through: list[float],
    starts: tuple[float, float],
) -> None:
    audio = arguments.clips * CLIP_SECONDS
    rows = [
        (str(turn + 1), f"{audio / a:.1f}", f"{audio / b:.1f}", f"{a / b:.2f}")
        for turn, (a, b) in enumerate(zip(local, through, strict=True))
    ]
    ratio = statistics.median(local) / statistics.median(through)
    speeds = [audio / statistics.median(seconds) for seconds in (local, through)]
    rows.append(("median", f"{speeds[0]:.1f}", f"{speeds[1]:.1f}", f"{ratio:.2f}"))
    title = f"{arguments.extractor}, {arguments.clips} mp3 of {CLIP_SECONDS:g} s, {cores} cores"
    print_table(title, ("round", "here, x real time", "Ray, x real time", "Ray / here"), rows)
    print(f"\nStart of Ray {starts[0]:.1f} s; of a run and its actor {starts[1]:.1f} s.")
    hours = core_hours(TRACKS, TRACK_SECONDS, speeds[1] / cores)
    row = (f"{speeds[1] / cores:.1f}", f"{hours:.0f}", f"{hours / 1000:.1f}")
    cost = f"{hours * arguments.price:.0f}"
    print_table(
        f"{TRACKS:,} tracks of {TRACK_SECONDS:g} s at {arguments.price:g} a core-hour",
        ("x real time per core", "core-hours", "hours on 1000 cores", "price"),
        [(*row, cost)],
    )


if __name__ == "__main__":
    print_machine()
    main()
