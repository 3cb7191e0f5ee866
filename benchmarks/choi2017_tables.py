"""The scores of Choi et al. 2017 from the authors' own features, beside what they published.

    python -m benchmarks.choi2017_tables FEATURES [LABELS]

FEATURES holds ``<task>_layer_0.npy`` … ``_4.npy`` and ``<task>_mfcc.npy`` (data_feats of
keunwoochoi/transfer_learning_music), LABELS their tables ``<task>.csv`` (data_csv); by default the
same folder. Tasks whose files are missing are left out.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

from benchmarks.tables import print_machine, print_table
from mirfeat.evaluation.labels import read_labels
from mirfeat.evaluation.material import Options
from mirfeat.evaluation.protocols import evaluate
from mirfeat.evaluation.text import as_text, reproduced

# The authors' name of the files, the column, and what the published scores call the task.
TASKS = (
    ("gtzan_genre", "label", "gtzan-genre"),
    ("emoMusic", "label_arousal", "emomusic-arousal"),
    ("emoMusic", "label_valence", "emomusic-valence"),
    ("ballroom_extended", "label", "extended-ballroom"),
    ("gtzan_speechmusic", "label", "gtzan-music-speech"),
)


def main(features: Path, labels: Path) -> None:
    """Print every task's table, and how far it is from the published one."""
    rows = []
    for name, target, task in TASKS:
        if not (features / f"{name}_mfcc.npy").exists():
            continue
        specs = [f"layer{k + 1}={features / f'{name}_layer_{k}.npy'}" for k in range(5)]
        specs.append(f"mfcc={features / f'{name}_mfcc.npy'}")
        options = Options(target=target, published=task)
        started = time.perf_counter()
        result = evaluate("layer-sweep", [specs], read_labels(labels / f"{name}.csv"), options)
        seconds = time.perf_counter() - started
        print(f"{task}\n{as_text(result)}\n", flush=True)
        differences = sorted(
            abs(reproduced(report) - report.published)
            for report in result.reports
            if report.published is not None
        )
        middle, largest = statistics.median(differences), differences[-1]
        rows.append((task, len(differences), f"{middle:.5f}", f"{largest:.5f}", f"{seconds:.0f} s"))
    header = ("task", "scores", "median difference", "largest", "time")
    print_table("Published scores of Choi et al. 2017, reproduced", header, rows)


if __name__ == "__main__":
    print_machine()
    main(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else sys.argv[1]))
