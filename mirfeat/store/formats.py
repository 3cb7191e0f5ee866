"""Files of a store: what a row is, and what every format must offer to write and read rows.

Every file appears whole or not at all. Rows arrive in files that are numbered, ``part-000001`` and
so on. Table formats hold many rows a file, the others one file a clip and files that list them. At
a clean end those in csv become one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np

Format = Literal["csv", "parquet", "npz", "npy"]
FORMATS: tuple[Format, ...] = ("csv", "parquet", "npz", "npy")
FACTS = ("id", "seconds", "rows", "notes", "size", "mtime_ns")


@dataclass(frozen=True, eq=False)
class Row:
    """One clip as stored. ``vector`` is float32 (dimension,); size and mtime are the file's.

    ``arrays`` holds the rows of the clip where an embedding was asked for.
    """

    id: str
    seconds: float
    rows: int
    notes: str
    size: int
    mtime_ns: int
    vector: np.ndarray
    arrays: Mapping[str, np.ndarray] | None = None

    def facts(self) -> list[Any]:
        """Everything but the vector, as columns."""
        return [self.id, self.seconds, self.rows, self.notes, self.size, self.mtime_ns]


Seen: TypeAlias = tuple[str, tuple[int, int]]
"""Id of a clip, and (size, mtime_ns) of the file it was made from."""

Homes: TypeAlias = Mapping[str, Path]
"""For each clip the file that has its valid row: the last one, and none once it has failed."""


class RowFiles(Protocol):
    """What a format must offer."""

    @property
    def suffix(self) -> str:
        """Ending of numbered files."""
        ...

    @property
    def joined(self) -> str | None:
        """Name of the one file that they become at a clean end, if they do."""
        ...

    @property
    def folder(self) -> str:
        """Where in the store numbered files are written: a folder in it, or "" for the store."""
        ...

    def announce(self, path: Path, rows: Sequence[Row]) -> None:
        """Before ``write(path, …)``: these clips have a row already, of another state of theirs."""
        ...

    def write(self, path: Path, rows: Iterable[Row]) -> None:
        """Write one file of rows."""
        ...

    def read(self, path: Path) -> Iterator[Row]:
        """Rows of one file, in order."""
        ...

    def seen(self, path: Path) -> Iterator[Seen]:
        """Which clips one file holds, without their vectors."""
        ...

    def tidy(self, files: Sequence[Path], homes: Homes) -> None:
        """Drop rows that are not valid any more from ``files``, and join those where that is done.

        Killed at any point, what is on disk still reads the same.
        """
        ...
