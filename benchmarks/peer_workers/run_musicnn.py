"""musicnn, MTT_musicnn with the weights of its wheel. Its interface reloads the model a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.peer_workers.protocol import Vectors, serve


def load(options: Sequence[str]) -> Vectors:
    """The call of its README; the features its FAQ recommends, averaged over time."""
    from musicnn.extractor import extractor  # type: ignore[import-not-found]

    def vector(path: str) -> Any:
        _taggram, _tags, features = extractor(path, model="MTT_musicnn")
        return features["max_pool"].mean(axis=0)

    return lambda paths: [vector(path) for path in paths]


if __name__ == "__main__":
    serve(load, ("musicnn", "tensorflow-cpu", "librosa", "numpy"))
