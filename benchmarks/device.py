"""What a device does with audio from memory: the pipeline against what limits it.

    python -m benchmarks.device --device cuda choi2017 kim2019-mss-cr

*network*: front end and network on a batch that is on the device already. *copy*: batches from
page-locked memory to a GPU. *pipeline*: ``extract_many`` on clips in memory at the network's own
rate, so that nothing is decoded or resampled; checks, cutting and statistics included. The share is
of the slower of the other two. *deviation* is the largest difference to float32, of the largest
number in the vector.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import mirfeat
from benchmarks.tables import excerpt_loop, print_machine, print_table

PRECISIONS = ("float32", "bfloat16", "float16")


def per_second(count: int, task: Callable[[], object], device: torch.device) -> float:
    """Things a second: the best of five rounds after one to warm up."""
    best = float("inf")
    for round_ in range(6):
        started = time.perf_counter()
        task()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if round_:
            best = min(best, time.perf_counter() - started)
    return count / best


def copies(batch: torch.Tensor, device: torch.device, times: int) -> Callable[[], object]:
    """Copies of a page-locked batch to a GPU."""
    pinned = batch.pin_memory()
    return lambda: [pinned.to(device, non_blocking=True) for _ in range(times)]


def measure(name: str, precision: Any, device: str, clips: int) -> tuple[list[str], np.ndarray]:
    """A line of the table, and vectors to compare."""
    extractor = mirfeat.load_extractor(name, device=device, precision=precision)
    part = extractor._units[0]
    rate, channels, where = extractor.sample_rate, extractor.channels, extractor.device
    seconds = max(30.0, part.segment.samples / rate)
    music = excerpt_loop(seconds + clips, rate, channels).T
    length = round(seconds * rate)
    items = [(np.ascontiguousarray(music[:, i * rate :][:, :length]), rate) for i in range(clips)]
    times = max(1, 64 // part.batch_size)
    batch = torch.from_numpy(np.stack([items[0][0][:, : part.segment.samples]] * part.batch_size))
    there = batch.to(where)

    def network() -> None:
        with torch.inference_mode():
            for _ in range(times):
                part.run(there)

    segments = part.batch_size * times
    limits = [per_second(segments, network, where)]
    copied = "–"
    if where.type == "cuda":
        limits.append(per_second(segments, copies(batch, where, times), where))
        copied = f"{limits[1]:.0f}"
    rows = sum(result.rows for result in extractor.extract_many(items, progress=False))
    whole = per_second(rows, lambda: list(extractor.extract_many(items, progress=False)), where)
    vectors = [result.vector for result in extractor.extract_many(items[:8], progress=False)]
    line = [f"{limits[0]:.0f}", copied, f"{whole:.0f}", f"{whole / min(limits):.0%}"]
    return [*line, f"{whole * clips / rows:.0f}"], np.stack([v for v in vectors if v is not None])


def main(names: list[str], device: str, clips: int) -> None:
    """Print the table."""
    rows = []
    for name in names:
        exact = None
        for precision in PRECISIONS:
            line, vectors = measure(name, precision, device, clips)
            exact = vectors if exact is None else exact
            deviation = np.abs(vectors - exact).max() / np.abs(exact).max()
            rows.append((name, precision, *line, f"{deviation:.1e}"))
    what = torch.cuda.get_device_name(device) if device.startswith("cuda") else "processor"
    header = ("extractor", "precision", "network", "copy", "pipeline", "share", "clips/s")
    print_table(f"Segments a second, {what}, from memory", (*header, "deviation"), rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", default=["choi2017", "kim2019-ms-sr-fc"])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--clips", type=int, default=64)
    arguments = parser.parse_args()
    print_machine()
    main(arguments.names, arguments.device, arguments.clips)
