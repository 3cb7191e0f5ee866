"""mirfeat: a folder of files to a table, the extractor and its checkpoint as options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.peer_workers.protocol import Vectors, serve


def load(options: Sequence[str]) -> Vectors:
    """The extractor ``options[0]``; with ``options[1]`` "random" an untrained one."""
    import mirfeat

    extractor = mirfeat.load_extractor(options[0], checkpoint=(*options[1:], None)[0])

    def vectors(paths: Sequence[str]) -> Sequence[Any]:
        table = extractor.extract_files(paths, progress=False)
        if table.failures:
            raise SystemExit(str(table.failures[0]))
        return list(table.values)

    return vectors


if __name__ == "__main__":
    serve(load, ("mirfeat", "torch", "numpy", "soundfile", "soxr"))
