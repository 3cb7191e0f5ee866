"""Features of a column of audio, for ``Dataset.map`` of Hugging Face datasets.

Nothing of that library is imported: a batch is a mapping from columns to lists, and a cell is what
the library gives: a decoder object, a mapping with samples, or one with bytes or a path.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from mirfeat.adapters.vector_cache import decisive
from mirfeat.audio.clip import Audio
from mirfeat.errors import OptionError
from mirfeat.extractor import Extractor
from mirfeat.loading import load_extractor


class AudioColumn:
    """A function for ``dataset.map(…, batched=True)`` that adds a column of vectors.

    ``column`` holds the audio, ``output`` gets float32 vectors, of NaN where a cell is empty or bad
    unless ``on_error="raise"``. Everything else goes to :func:`mirfeat.load_extractor`. What it
    pickles to, and so the fingerprint by which datasets are cached, is the name, the options and
    the hash of the weights: other weights under the same path are computed anew.

    >>> column = mirfeat.AudioColumn("mfcc")
    >>> vectors = column({"audio": [str(song), None]})["vector"]
    >>> len(vectors), vectors[0].shape, vectors[1][:2]
    (2, (120,), array([nan, nan], dtype=float32))

    Raises:
        OptionError: an ``on_error`` that is neither ``"raise"`` nor ``"nan"``.
    """

    def __init__(
        self,
        extractor: str = "choi2017",
        *,
        column: str = "audio",
        output: str = "vector",
        on_error: str = "nan",
        **options: Any,
    ) -> None:
        """Load the extractor, to know its weights."""
        if on_error not in ("raise", "nan"):
            raise OptionError(f"on_error={on_error!r}: it is 'raise' or 'nan'.")
        self.extractor, self.column, self.output = extractor, column, output
        self.on_error, self.options = on_error, options
        self._loaded: Extractor | None = load_extractor(extractor, **options)
        made = json.dumps(decisive(self._loaded.provenance), sort_keys=True)
        self.made = hashlib.sha256(made.encode()).hexdigest()

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[np.ndarray]]:
        """Vectors of a batch of cells."""
        if self.column not in batch:
            raise OptionError(f"no column {self.column!r}; there are {', '.join(batch)}.")
        if self._loaded is None:  # in another process
            self._loaded = load_extractor(self.extractor, **self.options)
        extractor, cells = self._loaded, list(batch[self.column])
        vectors = [np.full(extractor.dimension, np.nan, np.float32) for _ in cells]
        there = [row for row, cell in enumerate(cells) if cell is not None]
        if len(there) < len(cells) and self.on_error == "raise":
            raise OptionError(f"column {self.column!r} has empty cells, and on_error is 'raise'.")
        results = extractor.extract_many(
            [_item(cells[row]) for row in there],
            on_error="raise" if self.on_error == "raise" else "nan",
            progress=False,
        )
        for row, result in zip(there, results, strict=True):
            assert result.vector is not None
            vectors[row] = result.vector
        return {self.output: vectors}

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the network."""
        return {**self.__dict__, "_loaded": None}


def _item(cell: Any) -> Any:
    """A cell as ``extract_many`` takes it.

    Raises:
        OptionError: no audio that is known.
    """
    if hasattr(cell, "get_all_samples"):  # a decoder of torchcodec, since datasets 4
        samples = cell.get_all_samples()
        return Audio(samples.data, samples.sample_rate)
    if isinstance(cell, Mapping):
        if cell.get("array") is not None:
            samples = np.asarray(cell["array"])
            kind = np.float32 if samples.dtype == np.float64 else samples.dtype
            return Audio(samples.astype(kind, copy=False), cell["sampling_rate"])
        if cell.get("bytes"):
            return cell["bytes"]
        if cell.get("path"):
            return cell["path"]
    elif isinstance(cell, str | bytes):
        return cell
    raise OptionError(
        f"a cell of {type(cell).__name__} is no audio. It is a decoder of datasets, a mapping with "
        "'array' and 'sampling_rate', or one with 'bytes' or 'path'."
    )
