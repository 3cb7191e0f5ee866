"""All rows of one clip with their times. Letters in shapes: T rows, D row size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mirfeat.provenance import Provenance
from mirfeat.results.moments import STATISTICS, summary_of
from mirfeat.results.notebook import paragraph, picture, table


@dataclass(frozen=True, eq=False, repr=False)
class Embedding:
    """All rows of one clip with their times.

    ``values`` float32 [T, D]; ``within_variance`` float32 [T, D], the variance inside each row;
    ``starts``, ``ends`` float64 [T] in seconds of real audio; ``weights`` float64 [T];
    ``blocks`` names the columns of each part of a row. ``np.asarray(embedding)`` is ``values``.

    >>> rows = extractor.embed(song)
    >>> rows.values.shape, list(rows.blocks), rows.ends - rows.starts
    ((1, 160), ['layer1', 'layer2', 'layer3', 'layer4', 'layer5'], array([10.]))
    """

    values: np.ndarray
    within_variance: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    weights: np.ndarray
    blocks: Mapping[str, slice]
    row_names: tuple[str, ...]
    provenance: Provenance

    def summary(self, statistics: Sequence[str] = STATISTICS) -> np.ndarray:
        """The vector over the rows, float32: what ``extract`` returns.

        >>> extractor.embed(song).summary(["mean"]).shape
        (160,)
        """
        return summary_of(self.values, self.within_variance, self.weights, statistics)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The rows as an array."""
        return np.array(self.values, dtype=dtype, copy=copy)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.values)

    def _repr_html_(self) -> str:
        """What a notebook shows: the blocks, and rows over time as shades."""
        rows = [(name, f"{cols.start} to {cols.stop - 1}") for name, cols in self.blocks.items()]
        shades = (
            picture(self.values, "rows over time as shades", upright=True) if len(self) > 1 else ""
        )
        return f"{paragraph(repr(self))}{table(('block', 'numbers'), rows)}{shades}"

    def __repr__(self) -> str:
        """Size, time covered and blocks."""
        rows, size = self.values.shape
        return f"Embedding({rows} rows x {size}, {self.ends[-1]:.2f} s, {', '.join(self.blocks)})"
