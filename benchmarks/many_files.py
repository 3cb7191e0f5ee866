"""A folder of 30 s mp3 files to vectors, against decoding and resampling them and nothing more.

The same files, decoding threads and cores; ways take turns, and what counts is the ratio within a
round. Processor seconds are those of all threads.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mirfeat
from benchmarks.tables import print_machine, print_table, write_clips
from mirfeat.audio.clip import open_clip
from mirfeat.audio.convert import Converter
from mirfeat.pipeline.workers import default_workers

EXTRACTORS = ("choi2017", "kim2019-ms-sr-fc", "mfcc")


def decode_all(paths: list[Path], rate: int, channels: int, workers: int) -> None:
    """Decode and resample, in that many threads."""

    def one(path: Path) -> None:
        with open_clip(path, None) as reader:
            converter = Converter(reader, rate, channels)
            for block in reader.blocks():
                converter.convert(block)
            converter.flush(block)

    with ThreadPoolExecutor(workers) as threads:
        list(threads.map(one, paths))


def timed(task: Callable[[], object]) -> tuple[float, float]:
    """Seconds of the clock and of the processor."""
    wall, processor = time.perf_counter(), time.process_time()
    task()
    return time.perf_counter() - wall, time.process_time() - processor


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=EXTRACTORS)
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--workers", type=int)
    options = parser.parse_args(arguments)
    clips, threads = options.clips, options.workers or default_workers()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        paths = write_clips(Path(folder), clips)
        for name in options.names:
            with mirfeat.load_extractor(name, device="cpu") as extractor:
                rate, channels = extractor.sample_rate, extractor.channels
                extractor.extract_files(paths[:3], workers=threads)
                seen = []
                for _ in range(options.rounds):
                    alone = timed(lambda: decode_all(paths, rate, channels, threads))  # noqa: B023
                    whole = timed(lambda: extractor.extract_files(paths, workers=threads))
                    seen.append((*alone, *whole, whole[0] / alone[0], whole[1] / alone[1]))
            alone_s, alone_cpu, whole_s, whole_cpu, ratio, cpu = map(
                statistics.median, zip(*seen, strict=True)
            )
            rows.append(
                (
                    name,
                    f"{alone_s:.2f} ({alone_cpu:.2f})",
                    f"{whole_s:.2f} ({whole_cpu:.2f})",
                    f"{ratio:.2f}",
                    f"{cpu:.2f}",
                    f"{30 * clips / whole_s:.0f}",
                )
            )
    print_table(
        f"{clips} mp3 files of 30 s, {threads} decoding threads: s (processor s)",
        ("extractor", "decode + resample", "vectors", "ratio", "of processor s", "x real time"),
        rows,
    )


if __name__ == "__main__":
    print_machine()
    main()
