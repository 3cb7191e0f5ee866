"""Every extractor on one mp3 of 30 s, as a multiple of decoding and resampling it."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

import mirfeat
from benchmarks.tables import print_machine, print_table
from mirfeat.networks.population import synthetic_segment
from mirfeat.networks.registry import get_spec
from mirfeat.pipeline.centred import converted

RATE, SECONDS, ROUNDS = 44_100, 30, 5


def seconds(work: Callable[[], object]) -> float:
    """Processor seconds of this process."""
    started = time.process_time()
    work()
    return time.process_time() - started


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.mp3")
        sound = synthetic_segment(0, SECONDS * RATE, RATE)[0]
        both = np.stack([sound, 0.8 * sound], axis=1)
        soundfile.write(path, both, RATE, format="MP3", bitrate_mode="CONSTANT")
        rows = []
        for name in mirfeat.list_extractors():
            checkpoint = "random" if get_spec(name).has_weights else None
            with mirfeat.load_extractor(name, checkpoint=checkpoint, device="cpu") as extractor:
                unit = extractor._units[0]
                extractor.extract_file(path)
                pairs = [
                    (
                        seconds(lambda: converted(path, unit, None)),  # noqa: B023
                        seconds(lambda: extractor.extract_file(path)),
                    )
                    for _ in range(ROUNDS)
                ]
                decode, whole = (statistics.median(times) for times in zip(*pairs, strict=True))
                ratio = statistics.median(vector / read for read, vector in pairs)
                numbers = str(extractor.dimension)
            rows.append((name, numbers, f"{decode:.3f}", f"{whole:.3f}", f"{ratio:.1f}"))
    columns = ("extractor", "numbers", "decode + resample, processor s", "vector", "ratio")
    print_table("Every extractor, one 30-s mp3, warm, medians", columns, rows)


if __name__ == "__main__":
    print_machine()
    main()
