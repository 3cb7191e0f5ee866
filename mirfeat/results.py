"""Results: rows of a clip, the vector over them, and tables of many clips.

The one formula: row t has mean m, spread inside the row v and weight w; then
``mean = Σw·m / Σw`` and ``std = sqrt(Σw·(v + (m - mean)²) / Σw)`` (population, ddof 0), accumulated
in float64 and cast to float32 at the end. Letters in shapes: T rows, D row size.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mirfeat.errors import MissingPackageError, OptionError, StoreError
from mirfeat.files import replacing
from mirfeat.provenance import Provenance

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

STATISTICS = ("mean", "std")
_MALFORMED = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, MemoryError),
    *(EOFError, RuntimeError, SyntaxError, zipfile.BadZipFile, zlib.error),
)


class Moments:
    """Weighted mean and spread of rows that arrive one by one; memory is two rows.

    West's update (1979): rows are taken in the order of time, so the result does not depend on
    how they were batched.
    """

    def __init__(self, size: int) -> None:
        """Moments of rows of ``size`` numbers."""
        self._weight = 0.0
        self._mean = np.zeros(size)
        self._scatter = np.zeros(size)

    def add(self, mean: np.ndarray, variance: np.ndarray, weight: float) -> None:
        """Take one row: its mean and the variance inside it, each (D,)."""
        self._weight += weight
        # What is not finite is reported of the whole vector.
        with np.errstate(invalid="ignore", over="ignore"):
            step = mean.astype(np.float64) - self._mean
            self._mean += step * (weight / self._weight)
            self._scatter += weight * (step * (mean - self._mean) + variance)

    def vector(self, statistics: Sequence[str]) -> np.ndarray:
        """float32 vector: the statistics one after the other."""
        with np.errstate(invalid="ignore", over="ignore"):
            std = np.sqrt(np.maximum(self._scatter / self._weight, 0.0))
            parts = {"mean": self._mean, "std": std}
            return np.concatenate([parts[name] for name in statistics]).astype(np.float32)


def check_statistics(statistics: Sequence[str]) -> tuple[str, ...]:
    """A non-empty choice of mean and std, in the order given."""
    chosen = (statistics,) if isinstance(statistics, str) else tuple(statistics)
    if not chosen or len(set(chosen)) < len(chosen) or set(chosen) - set(STATISTICS):
        raise OptionError(
            f"statistics={statistics!r}: it is ('mean', 'std'), ('mean',) or ('std',); to load an "
            "extractor also 'paper'."
        )
    return chosen


def summary_of(
    values: np.ndarray,
    within_variance: np.ndarray,
    weights: np.ndarray,
    statistics: Sequence[str] = STATISTICS,
) -> np.ndarray:
    """Vector over rows [T, D] with their variances [T, D] and weights [T], float32."""
    moments = Moments(values.shape[1])
    for mean, variance, weight in zip(values, within_variance, weights, strict=True):
        moments.add(mean, variance, float(weight))
    return moments.vector(check_statistics(statistics))


@dataclass(frozen=True, eq=False, repr=False)
class Embedding:
    """All rows of one clip with their times.

    ``values`` float32 [T, D]; ``within_variance`` float32 [T, D], the variance inside each row;
    ``starts``, ``ends`` float64 [T] in seconds of real audio; ``weights`` float64 [T];
    ``blocks`` names the columns of each part of a row. ``np.asarray(embedding)`` is ``values``.
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
        """The vector over the rows, float32: what ``extract`` returns."""
        return summary_of(self.values, self.within_variance, self.weights, statistics)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The rows as an array."""
        return np.array(self.values, dtype=dtype, copy=copy)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.values)

    def __repr__(self) -> str:
        """Size, time covered and blocks."""
        rows, size = self.values.shape
        return f"Embedding({rows} rows x {size}, {self.ends[-1]:.2f} s, {', '.join(self.blocks)})"


@dataclass(frozen=True, eq=False)
class Result:
    """What became of one item: a vector, or the reason why there is none.

    ``notes`` says what a person may want to know: ``silent``, ``tiled from 3.2 s``, …
    """

    id: str
    status: Literal["ok", "failed"]
    vector: np.ndarray | None = None
    error: str | None = None
    error_type: str | None = None
    seconds: float = 0.0
    rows: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failure:
    """One item that gave no vector.

    In a folder ``size`` and ``mtime_ns`` say which state of its file failed; -1 is not known.
    """

    id: str
    error_type: str
    error: str
    size: int = field(default=-1, compare=False)
    mtime_ns: int = field(default=-1, compare=False)


@dataclass(frozen=True, eq=False, repr=False)
class FeatureTable:
    """Vectors of many clips: ``values`` float32 [n, dimension], one row for each of ``ids``.

    ``values`` is a read-only ``np.memmap`` where ``load_features(mmap=True)`` made the table.
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
        """What a notebook shows: the first clips and numbers."""
        names, rows = self.feature_names[:5], zip(self.ids[:5], self.values[:5, :5], strict=True)
        head = "".join(f"<th>{escape(name)}</th>" for name in ("id", *names))
        body = "".join(
            f"<tr><th>{escape(id)}</th>{''.join(f'<td>{value:.4g}</td>' for value in row)}</tr>"
            for id, row in rows
        )
        return f"<p>{escape(repr(self))}</p><table><tr>{head}</tr>{body}</table>"

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


@dataclass(frozen=True)
class RunReport:
    """Outcome of a run over many files; seconds of audio and of the clock.

    ``notes`` counts what :attr:`Result.notes` said, by kind: ``{"silent": 2, "tiled": 5}``.
    ``known`` of the ``failed`` were listed before, for the same state of their files; ``kept`` of
    those were not tried again. ``gone`` are clips with a row whose file is no longer there.
    ``profile`` says where the time went, in seconds: ``decode`` (with resampling) and
    ``network``, summed over threads, ``wait`` of a GPU for decoders, and ``write``.
    """

    done: int
    skipped: int
    failed: int
    audio_seconds: float
    wall_seconds: float
    failures: tuple[Failure, ...] = ()
    notes: Mapping[str, int] = field(default_factory=dict)
    profile: Mapping[str, float] = field(default_factory=dict)
    known: int = 0
    kept: int = 0
    gone: tuple[str, ...] = ()
