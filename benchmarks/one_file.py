"""From a 30 s mp3 (44.1 kHz stereo) to a vector: where the time goes, model loaded."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import mirfeat
from benchmarks.tables import medians, music_file, print_machine, print_table
from mirfeat.audio.clip import ClipFacts, checked_blocks, open_clip
from mirfeat.audio.convert import Converter


def main() -> None:
    """Print the table."""
    path = music_file("mp3", 30.0)

    def decode() -> None:
        with open_clip(path, None) as reader:
            for _ in reader.blocks():
                pass

    def decode_and_resample() -> None:
        with open_clip(path, None) as reader:
            converter = Converter(reader, 12_000, 1)
            for block in reader.blocks():
                converter.convert(block)
            converter.flush(block)

    def decode_check_and_resample() -> None:
        with open_clip(path, None) as reader:
            converter = Converter(reader, 12_000, 1)
            for block in checked_blocks(reader, ClipFacts()):
                converter.convert(block)
            converter.flush(block)

    extractors = {
        name: mirfeat.load_extractor(name, checkpoint=checkpoint)
        for name, checkpoint in (("choi2017", "random"), ("mfcc", None))
    }
    tasks: dict[str, Callable[[], object]] = {
        "decode": decode,
        "decode + resample": decode_and_resample,
        "decode + check + resample": decode_check_and_resample,
    }
    for name, extractor in extractors.items():
        tasks[f"{name}: file to vector"] = partial(extractor.extract_file, path)
    seconds = medians(tasks, rounds=31)
    alone = seconds["decode + resample"]
    rows = [
        (name, f"{1e3 * t:.1f}", f"{alone / t:.0%}" if "vector" in name else "")
        for name, t in seconds.items()
    ]
    size = path.stat().st_size
    print_table(
        f"30 s mp3 ({size * 8 / 30 / 1000:.0f} kbit/s) to vector",
        ("stage", "ms", "share of decode + resample"),
        rows,
    )


if __name__ == "__main__":
    print_machine()
    main()
