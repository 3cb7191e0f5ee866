"""Labels as points of the space that frames are embedded in (Hamel et al. 2013, section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mirfeat.errors import OptionError


class Neighbour(NamedTuple):
    """A label and its L1 distance."""

    name: str
    distance: float


@dataclass(frozen=True, eq=False)
class LabelSpace:
    """Labels of all data sets of a checkpoint.

    ``names``: "dataset/label"; ``vectors``: float32 [labels, D], one row for each name.
    """

    names: tuple[str, ...]
    vectors: np.ndarray

    def nearest(self, query: str | np.ndarray, top: int = 10) -> tuple[Neighbour, ...]:
        """The labels nearest to a label (itself left out) or to a point (D,), by L1 distance.

        Raises:
            OptionError: no such label, or a point of another size.
        """
        if isinstance(query, str) and query not in self.names:
            known = ", ".join(self.names[:5]) + (", …" if len(self.names) > 5 else "")
            raise OptionError(f"no label {query!r} among {len(self.names)}: {known}")
        point = query if not isinstance(query, str) else self.vectors[self.names.index(query)]
        if np.shape(point) != self.vectors.shape[1:]:
            raise OptionError(
                f"a point of shape {np.shape(point)}; labels have shape {self.vectors.shape[1:]}."
            )
        distances = np.abs(self.vectors - point).sum(axis=1)
        itself = self.names.index(query) if isinstance(query, str) else None
        order = [i for i in np.argsort(distances, kind="stable") if i != itself]
        return tuple(Neighbour(self.names[i], float(distances[i])) for i in order[:top])

    def __repr__(self) -> str:
        """Number of labels and where they come from."""
        sets = dict.fromkeys(name.partition("/")[0] for name in self.names)
        return f"LabelSpace({len(self.names)} labels of {', '.join(sets)})"
