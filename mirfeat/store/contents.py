"""What one store holds: which rows count, and their vectors one after the other.

A store may be read while it is written. A row counts if it is the last one of its clip and the
clip has not failed since; the order is that of the files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mirfeat.errors import StoreError
from mirfeat.results.moments import summary_of
from mirfeat.results.outcomes import Failure
from mirfeat.store.clip_files import ClipFiles
from mirfeat.store.formats import RowFiles


class ChangedError(StoreError):
    """A writer joined or replaced files between two looks at them; look again."""


def data_files(folder: Path, row_files: RowFiles) -> list[Path]:
    """Files with rows, oldest first."""
    # An earlier mirfeat wrote parquet beside store.json.
    folders = dict.fromkeys((folder, folder / row_files.folder))
    pattern = f"part-{'[0-9]' * 6}{row_files.suffix}"
    found = [path for place in folders for path in place.glob(pattern)]
    numbered = sorted(found, key=lambda path: path.name)
    joined = folder / row_files.joined if row_files.joined else None
    return [joined, *numbered] if joined and joined.exists() else numbered


@dataclass(frozen=True, eq=False)
class Contents:
    """Rows of a store that count, and where they are; vectors are not held.

    ``homes`` says for each clip which of ``files`` has its row, and the how-manieth it is there.
    """

    folder: Path
    row_files: RowFiles
    files: Sequence[Path]
    homes: Mapping[str, tuple[int, int]]

    @classmethod
    def of(cls, folder: Path, row_files: RowFiles, failures: Sequence[Failure]) -> Contents:
        """Look through a store; ``failures`` were read before.

        Raises:
            ChangedError: a writer was at work.
            StoreError: a file that is damaged or not of this store.
        """
        homes: dict[str, tuple[int, int]] = {}
        files = data_files(folder, row_files)
        with _unchanged(folder):
            for number, path in enumerate(files):
                for line, (id, _) in enumerate(row_files.seen(path)):
                    homes[id] = number, line
        # A file that was replaced by a broken one keeps its old row until the run has ended.
        for failure in failures:
            homes.pop(failure.id, None)
        return cls(folder, row_files, files, homes)

    @property
    def ids(self) -> list[str]:
        """Clips in the order of their rows."""
        return sorted(self.homes, key=self.homes.__getitem__)

    def vectors(self, statistics: Sequence[str] | None = None) -> Iterator[np.ndarray]:
        """A vector, float32, for each of ``ids``; with ``statistics`` those over stored rows.

        Raises:
            ChangedError: a writer was at work.
            StoreError: a file that is damaged or not of this store.
        """
        count = 0
        with _unchanged(self.folder):
            for vector in self._stored() if statistics is None else self._computed(statistics):
                count += 1
                yield vector
        if count != len(self.homes):
            raise ChangedError(f"{self.folder}: is being written too fast to be read. Try again.")

    def _stored(self) -> Iterator[np.ndarray]:
        for number, path in enumerate(self.files):
            for line, row in enumerate(self.row_files.read(path)):
                if self.homes.get(row.id) == (number, line):
                    yield row.vector

    def _computed(self, statistics: Sequence[str]) -> Iterator[np.ndarray]:
        if not isinstance(self.row_files, ClipFiles):
            raise StoreError(f"{self.folder}: tables hold no embeddings.")
        for id in self.ids:
            arrays = self.row_files.arrays(id)
            yield summary_of(
                arrays["values"], arrays["within_variance"], arrays["weights"], statistics
            )


@contextmanager
def _unchanged(folder: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise ChangedError(f"{folder}: files went while they were read. Try again.") from error
