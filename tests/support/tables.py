"""Feature tables without audio."""

from collections.abc import Sequence

import numpy as np

from mirfeat.provenance import Provenance
from mirfeat.results.table import FeatureTable

PROVENANCE = Provenance("mfcc", 1, {}, None, None, "0", {}, "cpu")


def table_of(values: np.ndarray, ids: Sequence[str] | None = None) -> FeatureTable:
    """``values`` [n, D] as a table; ids are clip0, clip1, … unless given."""
    ids = tuple(ids or (f"clip{row}" for row in range(len(values))))
    names = tuple(f"mfcc.block.{column}.mean" for column in range(values.shape[1]))
    return FeatureTable(values, ids, names, PROVENANCE)
