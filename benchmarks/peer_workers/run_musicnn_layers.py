"""The original musicnn, every layer of every patch, into a file: what mirfeat's port is held to.

    python -m benchmarks.peer_workers.run_musicnn_layers WHAT.json OUT.npz

``WHAT.json`` lists jobs: name, model, files, and the folder of the checkpoints or "" for its own.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np


def main() -> None:
    """Run all jobs and write one array for each job, file and layer."""
    import musicnn.configuration  # type: ignore[import-not-found]
    import musicnn.extractor  # type: ignore[import-not-found]

    # One batch of all patches: with its own size of 1 it repeats the first patch's penultimate,
    # cnn1, cnn2 and cnn3 for all of them.
    musicnn.configuration.BATCH_SIZE = 10_000
    own, arrays = musicnn.extractor.__file__, {}
    for job in json.loads(Path(sys.argv[1]).read_text()):
        musicnn.extractor.__file__ = f"{job['folder']}/any" if job["folder"] else own
        for path in job["files"]:
            taggram, _tags, layers = musicnn.extractor.extractor(path, model=job["model"])
            layers = {
                # As rows: the mean over frames of what has frames.
                name: np.asarray(values).reshape(len(taggram), -1, values.shape[-1]).mean(1)
                for name, values in layers.items()
            }
            for name, values in (("taggram", taggram), *layers.items()):
                arrays[f"{job['name']}|{Path(path).stem}|{name}"] = values
    np.savez(sys.argv[2], **arrays)


if __name__ == "__main__":
    main()
