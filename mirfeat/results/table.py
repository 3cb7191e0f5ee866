"""Vectors of many clips as a table."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mirfeat.errors import MissingPackageError, OptionError, StoreError
from mirfeat.files import replacing
from mirfeat.provenance import Provenance
from mirfeat.results.notebook import paragraph, picture, table
from mirfeat.results.outcomes import Failure

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

_MALFORMED = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, MemoryError),
    *(EOFError, RuntimeError, SyntaxError, zipfile.BadZipFile, zlib.error),
)


@dataclass(frozen=True, eq=False, repr=False)
class FeatureTable:
    """Vectors of many clips: ``values`` float32 [n, dimension], one row for each of ``ids``.

    ``values`` is a read-only ``np.memmap`` where ``load_features(mmap=True)`` made the table.

    >>> table = extractor.extract_files(songs[:2], progress=False)
    >>> table.ids, table.values.shape
    (('electronic_coherence.opus', 'electronic_through_space.opus'), (2, 320))
    >>> table.select("layer1", "layer2").values.shape
    (2, 128)
    >>> table.save("table.npz")
    >>> mirfeat.FeatureTable.load("table.npz")
    FeatureTable(2 clips x 320 of choi2017)
    """

    values: np.ndarray
    ids: tuple[str, ...]
    feature_names: tuple[str, ...]
    provenance: Provenance
    failures: tuple[Failure, ...] = ()

    def __len__(self) -> int:
        """Number of clips with a vector."""
        return len(self.ids)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The values as an array."""
        return np.array(self.values, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        """Size and origin."""
        rows, size = self.values.shape
        failed = f", {len(self.failures)} failed" if self.failures else ""
        return f"FeatureTable({rows} clips x {size} of {self.provenance.extractor}{failed})"

    def _repr_html_(self) -> str:
        """What a notebook shows: the first clips and numbers, and all of them as shades."""
        rows = [(id, *row) for id, row in zip(self.ids[:5], self.values[:5, :5], strict=True)]
        shades = "" if not self.values.size else picture(self.values, "all values as shades")
        head = ("id", *self.feature_names[:5])
        return f"{paragraph(repr(self))}{table(head, rows)}{shades}"

    def select(self, *blocks: str) -> FeatureTable:
        """The columns of some blocks only, in their order here: ``select("layer1", "layer3")``.

        Raises:
            OptionError: no such block.
        """
        known = dict.fromkeys(name.split(".")[1] for name in self.feature_names)
        if unknown := [block for block in blocks if block not in known]:
            raise OptionError(f"no blocks {unknown} in this table; it has {list(known)}.")
        columns = [
            index for index, name in enumerate(self.feature_names) if name.split(".")[1] in blocks
        ]
        names = tuple(self.feature_names[index] for index in columns)
        values = self.values[:, columns]
        return FeatureTable(values, self.ids, names, self.provenance, self.failures)

    def aligned(self, ids: Sequence[str]) -> np.ndarray:
        """Values in the order of ``ids``; NaN rows for those that failed.

        Raises:
            OptionError: an id is neither in the table nor among its failures.
        """
        rows = {key: index for index, key in enumerate(self.ids)}
        failed = {failure.id for failure in self.failures}
        if unknown := [key for key in ids if key not in rows and key not in failed]:
            raise OptionError(f"{len(unknown)} ids are not in this table, first {unknown[0]!r}.")
        values = np.full((len(ids), self.values.shape[1]), np.nan, dtype=np.float32)
        for index, key in enumerate(ids):
            if key in rows:
                values[index] = self.values[rows[key]]
        return values

    def to_frame(self) -> pd.DataFrame:
        """Pandas frame indexed by id, one column a feature name.

        Raises:
            MissingPackageError: pandas is not installed.
        """
        try:
            import pandas as pd  # optional: only for those who work with it
        except ImportError as error:
            raise MissingPackageError("to_frame needs pandas: pip install pandas") from error
        return pd.DataFrame(self.values, index=list(self.ids), columns=list(self.feature_names))

    def to_polars(self) -> pl.DataFrame:
        """Polars frame: a column ``id``, then one column (float32) a feature name.

        Raises:
            MissingPackageError: polars is not installed.
        """
        try:
            import polars as pl  # optional: only for those who work with it
        except ImportError as error:
            raise MissingPackageError("to_polars needs polars: pip install polars") from error
        columns = zip(self.feature_names, self.values.T, strict=True)
        return pl.DataFrame(
            [
                pl.Series("id", self.ids, dtype=pl.String),
                *(pl.Series(name, np.array(column), dtype=pl.Float32) for name, column in columns),
            ]
        )

    def save(self, path: Path | str) -> None:
        """Write everything to one file (npz, whatever it is called), whole or not at all."""
        header = {
            "ids": self.ids,
            "feature_names": self.feature_names,
            "provenance": self.provenance.to_dict(),
            "failures": [vars(failure) for failure in self.failures],
        }
        with replacing(Path(path)) as temporary, temporary.open("wb") as file:
            np.savez(file, values=self.values, header=np.array(json.dumps(header)))

    @classmethod
    def load(cls, path: Path | str) -> FeatureTable:
        """Read what :meth:`save` wrote.

        Raises:
            StoreError: not such a file.
        """
        try:
            with zipfile.ZipFile(path) as archive:
                if any(one.compress_type != zipfile.ZIP_STORED for one in archive.infolist()):
                    raise ValueError("it is compressed, which mirfeat never does")
            with np.load(path, allow_pickle=False) as file:
                values, header = file["values"], json.loads(str(file["header"]))
            ids, names = tuple(header["ids"]), tuple(header["feature_names"])
            if values.shape != (len(ids), len(names)) or not all(
                isinstance(text, str) for text in (*ids, *names)
            ):
                raise ValueError(f"{values.shape} numbers for {len(ids)} ids, {len(names)} names")
            provenance = Provenance.from_dict(header["provenance"])
            failures = tuple(Failure(**failure) for failure in header["failures"])
        # Anybody may have written it: null, deep nesting, arrays that claim any size.
        except _MALFORMED as error:
            raise StoreError(f"{path}: not a feature table that mirfeat saved: {error}") from error
        return cls(values, ids, names, provenance, failures)
