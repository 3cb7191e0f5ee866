"""Every extractor on mp3 files of 30 s, as a multiple of decoding and resampling them.

Files are taken as ``extract_files`` takes them, one in each of as many threads as there are cores.
The second table is the arithmetic of the networks: how many operations a clip has, and how fast one
core does them beside a product of large matrices, in turns.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

import mirfeat
from benchmarks.many_files import decode_all, timed
from benchmarks.tables import print_machine, print_table, write_clips
from mirfeat.checkpoints.downloads import packaged
from mirfeat.networks.registry import get_spec
from mirfeat.pipeline.centred import converted
from mirfeat.pipeline.workers import default_workers

# What the fastest of the other libraries takes, of decoding and resampling: benchmarks/peers.py.
BEST_PEER = 26.6
MATRIX = 1024


def load(name: str) -> mirfeat.Extractor:
    """An extractor with the weights that ship, or drawn ones: speed does not depend on them."""
    spec = get_spec(name)
    drawn = spec.has_weights and packaged(spec.checkpoint_of or spec.name) is None
    return mirfeat.load_extractor(name, checkpoint="random" if drawn else None, device="cpu")


def files_row(extractor: mirfeat.Extractor, paths: list[Path], rounds: int) -> list[str]:
    """Numbers, seconds a clip of decoding and of vectors, their ratio: medians of rounds."""
    rate, channels = extractor.sample_rate, extractor.channels
    threads = default_workers()
    extractor.extract_files(paths[:threads], workers=threads)
    seen = []
    for _ in range(rounds):
        alone = timed(lambda: decode_all(paths, rate, channels, threads))
        whole = timed(lambda: extractor.extract_files(paths, workers=threads))
        seen.append((*alone, *whole, whole[0] / alone[0], whole[1] / alone[1]))
    clock, work, whole_clock, whole_work, by_clock, by_work = map(
        statistics.median, zip(*seen, strict=True)
    )
    count = len(paths)
    return [
        str(extractor.dimension),
        f"{clock / count:.3f} ({work / count:.3f})",
        f"{whole_clock / count:.3f} ({whole_work / count:.3f})",
        f"{by_clock:.1f} ({by_work:.1f})",
        f"{BEST_PEER / by_work:.1f}",
    ]


def least(task: Callable[[], object], seconds: float = 0.5) -> float:
    """Least processor seconds of a task that is done again for a while, after a first time."""
    task()
    found, until = float("inf"), time.process_time() + seconds
    while time.process_time() < until:
        started = time.process_time()
        task()
        found = min(found, time.process_time() - started)
    return found


@torch.inference_mode()
def arithmetic_row(extractor: mirfeat.Extractor, path: Path) -> list[str]:
    """GFLOP of a clip, seconds of front end and network, GFLOP/s, share of a matrix product's."""
    unit = extractor._units[0]
    rows = len(extractor.embed(path).values)
    samples = converted(path, unit, None)[:, : unit.segment.samples]
    count = min(unit.batch_size, rows)
    audio = torch.from_numpy(samples).expand(count, -1, -1).contiguous()
    image = unit.model.frontend(audio)
    with FlopCounterMode(display=False) as counter:
        unit.model.network(image)
    matrix = torch.randn(MATRIX, MATRIX)
    peak = 2.0 * MATRIX**3 / least(lambda: matrix @ matrix)
    frontend, network = (
        least(partial(part, values)) / count
        for part, values in ((unit.model.frontend, audio), (unit.model.network, image))
    )
    operations = counter.get_total_flops() / count
    return [
        f"{operations * rows / 1e9:.1f}",
        f"{frontend * rows:.3f}",
        f"{network * rows:.3f}",
        f"{operations / network / 1e9:.0f}",
        f"{100 * operations / network / peak:.0f} %",
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=mirfeat.list_extractors())
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    threads, files, arithmetic = torch.get_num_threads(), [], []
    with tempfile.TemporaryDirectory() as folder:
        paths = write_clips(Path(folder), options.clips)
        for name in options.names:
            with load(name) as extractor:
                files.append([name, *files_row(extractor, paths, options.rounds)])
                torch.set_num_threads(1)
                arithmetic.append([name, *arithmetic_row(extractor, paths[0])])
                torch.set_num_threads(threads)
    header = ("extractor", "numbers", "decode + resample", "vector", "ratio", "best peer takes ×")
    title = (
        f"{options.clips} mp3 files of 30 s, {default_workers()} threads, s a file (processor s)"
    )
    print_table(title, header, files)
    columns = ("extractor", "GFLOP a clip", "front end, s", "network, s", "GFLOP/s", "of a product")
    title = "The networks on one core, processor seconds of a clip of 30 s"
    print_table(title, columns, arithmetic)


if __name__ == "__main__":
    print_machine()
    main()
