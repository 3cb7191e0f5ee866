"""No features at all: libsndfile and soxr as mirfeat uses them, to mono at 12 kHz."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peer_workers.protocol import Vectors, serve

SAMPLE_RATE = 12_000


def load(options: Sequence[str]) -> Vectors:
    """As many threads as mirfeat decodes with, or ``options[0]`` "all": one a core."""
    from mirfeat.pipeline.workers import default_workers

    workers = default_workers()
    if options:
        workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2

    def vectors(paths: Sequence[str]) -> Sequence[Any]:
        with ThreadPoolExecutor(workers) as threads:
            return list(threads.map(decode, paths))

    return vectors


def decode(path: str) -> np.ndarray:
    """Read a file to its end, block by block; what is kept is the number of samples."""
    from mirfeat.audio.clip import open_clip
    from mirfeat.audio.convert import Converter

    with open_clip(Path(path), None) as reader:
        converter, samples = Converter(reader, SAMPLE_RATE, 1), 0
        for block in reader.blocks():
            samples += converter.convert(block).shape[1]
        samples += converter.flush(block).shape[1]
    return np.array([samples])


if __name__ == "__main__":
    serve(load, ("soundfile", "soxr", "numpy"))
