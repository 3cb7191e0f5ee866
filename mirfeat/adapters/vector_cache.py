"""Vectors of files in a folder, so that nothing is extracted twice, whoever asks.

One small file a vector, named by a hash of path, size and time of change of its audio file and of
everything that decides the numbers. A file that changes gets another name; what
is in the folder never has to be thrown away, and may be at any time. Any number of processes may
share it: a file appears whole or not at all, and all of them would write the same.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mirfeat.files import replacing
from mirfeat.provenance import Provenance


class VectorCache:
    """Vectors of one extractor in ``folder``, which is made when the first one is kept."""

    def __init__(self, folder: str | os.PathLike[str], provenance: Provenance, size: int) -> None:
        """Vectors of ``size`` numbers, made as ``provenance`` says."""
        self._folder, self._made, self._size = Path(folder), decisive(provenance), size

    def place(self, item: Any) -> Path | None:
        """Where the vector of an item belongs; None unless it is a file on a disk."""
        if not isinstance(item, str | os.PathLike):
            return None
        try:
            path = os.path.abspath(os.fspath(item))
            status = os.stat(path)
        except (OSError, TypeError, ValueError):
            return None  # an address, or no file: whoever opens it says so
        state = [os.fsdecode(path), status.st_size, status.st_mtime_ns, self._made]
        key = hashlib.sha256(json.dumps(state).encode()).hexdigest()
        return self._folder / key[:2] / f"{key}.npy"

    def find(self, place: Path | None) -> np.ndarray | None:
        """The vector that is kept there, if one is."""
        if place is None:
            return None
        try:
            vector: np.ndarray = np.load(place, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None  # not there, or damaged: it is made again
        fits = vector.dtype == np.float32 and vector.shape == (self._size,)
        return vector if fits else None

    def keep(self, place: Path | None, vector: np.ndarray) -> None:
        """Keep a vector of a file."""
        if place is not None:
            with replacing(place) as temporary, temporary.open("wb") as file:
                np.save(file, vector)


def decisive(provenance: Provenance) -> Mapping[str, Any]:
    """What of a provenance decides the numbers: neither versions of libraries nor the device."""
    record = provenance.to_dict()
    kept = {name: record[name] for name in Provenance.COMPARED}
    return {**kept, "parts": [decisive(part) for part in provenance.parts]}
