"""essentia's MusicExtractor with the statistics of its tutorial."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.peer_workers.protocol import Vectors, serve


def load(options: Sequence[str]) -> Vectors:
    """Numbers of its result in the order of their names, without those on file and analysis."""
    import essentia  # type: ignore[import-not-found]
    import essentia.standard  # type: ignore[import-not-found]

    essentia.log.infoActive = False
    statistics = ["mean", "stdev"]
    extractor = essentia.standard.MusicExtractor(
        lowlevelStats=statistics, rhythmStats=statistics, tonalStats=statistics
    )

    def vector(path: str) -> Any:
        pool, _frames = extractor(path)
        names = (name for name in pool.descriptorNames() if not name.startswith("metadata."))
        values = (np.ravel(pool[name]) for name in sorted(names))
        return np.concatenate([value for value in values if value.dtype.kind in "fi"])

    return lambda paths: [vector(path) for path in paths]


if __name__ == "__main__":
    serve(load, ("essentia", "numpy"))
