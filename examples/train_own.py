"""Train a network on your own music, and use it.

Usage: python examples/train_own.py [FOLDER [STEPS]]

FOLDER holds audio files; without it the excerpts beside this script are taken, with their genres as
tags. A few steps teach a network little: this shows the way, not the destination. Needs
``pip install 'mirfeat[train]'``.
"""

import csv
import sys
from pathlib import Path

import mirfeat
from mirfeat.training.config import read_config
from mirfeat.training.file_tags import build_manifest
from mirfeat.training.manifest import write_manifest
from mirfeat.training.recipes import DEFAULTS
from mirfeat.training.trainer import train

MUSIC = Path(__file__).parent / "music"
WORK = Path("train_own")

CONFIG = """\
extractor = "kim2019-ms-cr-2"
manifest = "tracks.csv"
output = "run"

[sources]
names = ["self", "tag"]
order = "together"
pairs = "all"

[optimiser]
rate = 1e-3
batch = 16
steps = {steps}

[augmentation]
gain_db = 6
mix = 0.3
"""


def main(folder: str = str(MUSIC), steps: str = "20") -> None:
    rows, failures = build_manifest([folder])
    print(f"{len(rows)} tracks, {len(failures)} files that cannot be read")
    if Path(folder) == MUSIC:
        with (MUSIC / "labels.csv").open(encoding="utf-8", newline="") as file:
            labels = {line["path"]: line for line in csv.DictReader(file)}
        for row in rows:
            line = labels[Path(row["path"]).name]
            row["tags"], row["artist"] = line["style"], line["group"]
    WORK.mkdir(exist_ok=True)
    write_manifest(WORK / "tracks.csv", rows)
    (WORK / "run.toml").write_text(CONFIG.format(steps=steps), encoding="utf-8")

    checkpoint = train(read_config(WORK / "run.toml", DEFAULTS))
    extractor = mirfeat.load_extractor("kim2019-ms-cr-2", checkpoint=checkpoint)
    print(f"{extractor!r}\n{extractor.extract_file(rows[0]['path'])[:8]}")


if __name__ == "__main__":
    main(*sys.argv[1:])
