"""First steps: feature vectors of real music, on the screen and in a file.

Runs without a network: the weights are in the package.
"""

from pathlib import Path

import numpy as np

import mirfeat
from mirfeat.audio.collection import find_audio

MUSIC = Path(__file__).parent / "music"
OUTPUT = Path("demo")


def main() -> None:
    np.set_printoptions(precision=3, suppress=True, threshold=8)
    extractor = mirfeat.load_extractor("choi2017+mfcc")
    print(f"{extractor!r}\n")

    song = MUSIC / "electronic_terminal.opus"
    print(f"{song.name}: {extractor.extract_file(song)}\n")

    report = extractor.extract_to(OUTPUT, find_audio([MUSIC]), overwrite=True)
    table = mirfeat.load_features(OUTPUT)
    for name, vector in zip(table.ids, table.values, strict=True):
        print(f"{name:34}{vector}")
    seconds, wall = report.audio_seconds, report.wall_seconds
    print(
        f"\n{report.done} files, {seconds:.0f} s of music in {wall:.1f} s. "
        f"The {extractor.dimension} numbers of each are in {OUTPUT / 'features.csv'}."
    )


if __name__ == "__main__":
    main()
