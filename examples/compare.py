"""Which features know the style? Two protocols of the papers, with folds that share no composer.

    python examples/compare.py [CHECKPOINT]

32 excerpts are a demonstration, not a result. The same from the shell, as a page with figures:

    mirfeat report -m mfcc -m choi2017 --audio examples/music \
        --labels examples/music/labels.csv --folds 4 -o report
"""

import csv
import sys
from pathlib import Path

import numpy as np

import mirfeat
from mirfeat.evaluation.choi2017 import svm_grid
from mirfeat.evaluation.folds import make_folds
from mirfeat.evaluation.hamel2013 import similarity

MUSIC = Path(__file__).parent / "music"


def main(checkpoint: str = "open") -> None:
    with (MUSIC / "labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    paths = [MUSIC / row["path"] for row in rows]
    styles = np.array([row["style"] for row in rows])
    composers = [row["group"] for row in rows]
    folds = make_folds(styles, count=4, groups=composers, group_name="composer")
    print(f"{len(rows)} excerpts; {folds.description}")
    for title, name, weights in (
        ("mfcc, the baseline", "mfcc", None),
        (f"choi2017, {checkpoint} weights", "choi2017", checkpoint),
    ):
        with mirfeat.load_extractor(name, checkpoint=weights) as extractor:
            vectors = extractor.extract_files(paths, progress=False).values
        scores = svm_grid(vectors, styles, folds, name=name)
        near = similarity(vectors, styles, k=3, groups=composers, name=name).reports[0]
        print(
            f"  {title:26}accuracy {scores.main.mean:.2f} ± {scores.main.standard_error:.2f}, "
            f"nested {scores['accuracy, nested'].mean:.2f}; P@3 {near.main.mean:.2f}"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
