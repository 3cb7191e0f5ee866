"""opensmile, eGeMAPSv02 functionals; the number of its processes as an option."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.peer_workers.protocol import Vectors, serve


def load(options: Sequence[str]) -> Vectors:
    """All files in one call."""
    import opensmile  # type: ignore[import-not-found]

    workers = int((*options, "1")[0])
    smile = opensmile.Smile(
        feature_set=opensmile.FeatureSet.eGeMAPSv02,
        feature_level=opensmile.FeatureLevel.Functionals,
        num_workers=workers,
        multiprocessing=workers > 1,
    )

    def vectors(paths: Sequence[str]) -> Sequence[Any]:
        return list(smile.process_files(list(paths)).to_numpy())

    return vectors


if __name__ == "__main__":
    serve(load, ("opensmile", "audinterface", "numpy"))
