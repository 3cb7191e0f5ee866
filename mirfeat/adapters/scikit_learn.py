"""Features inside scikit-learn: a transformer from paths or audio to vectors."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags

from mirfeat.adapters.vector_cache import VectorCache
from mirfeat.errors import EmptyAudioError, OptionError
from mirfeat.extractor import Extractor
from mirfeat.loading import load_extractor


class AudioFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Feature vectors of audio files or arrays, for pipelines and grid searches.

    X is a list of items (paths, :class:`mirfeat.Audio`, ``(array, sample_rate)``) or an array or
    frame column of paths, (n,) or (n, 1). The output is float32 (n, dimension). Nothing is learnt
    from X, so ``transform`` works without ``fit``. The network is loaded at first use; clones and
    pickles carry the parameters only.

    A grid search asks for the same files again in every fold: give it a folder as ``cache``, and
    each file is extracted once for each setting of the extractor. Vectors are kept by path, size
    and time of change of a file and by what decides the numbers, so changed files are extracted
    anew. Several processes may share the folder. Arrays and URLs are not kept.

    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> pipeline = make_pipeline(mirfeat.AudioFeatures("mfcc"), StandardScaler())
    >>> pipeline.fit_transform(songs[:3]).shape
    (3, 120)

    Args:
        extractor: name for :func:`mirfeat.load_extractor`.
        layers: as in ``load_extractor``, as are all others down to ``batch_size``.
        sources: as in ``load_extractor``.
        checkpoint: as in ``load_extractor``.
        statistics: as in ``load_extractor``.
        batch_norm: as in ``load_extractor``.
        options: whatever else the extractor takes, by name: ``{"depth": 3}``.
        hop_seconds: as in ``load_extractor``.
        max_seconds: as in ``load_extractor``.
        short: as in ``load_extractor``.
        device: as in ``load_extractor``.
        batch_size: as in ``load_extractor``.
        precision: as in ``load_extractor``.
        on_error: ``"raise"`` stops at the first bad item, ``"nan"`` gives it a row of NaN; so for
            empty cells (None, NaN, pandas.NA).
        workers: decoding threads; None is a good number for the machine.
        cache: folder in which vectors of files are kept; None is none.
    """

    def __init__(
        self,
        extractor: str = "choi2017",
        *,
        layers: str | None = None,
        sources: str | Sequence[str] | None = None,
        checkpoint: str | os.PathLike[str] | Mapping[str, Any] | None = None,
        statistics: Sequence[str] | Literal["paper"] = ("mean", "std"),
        batch_norm: Literal["population", "clip"] | None = None,
        options: Mapping[str, Any] | None = None,
        hop_seconds: float | None = None,
        max_seconds: float | None = None,
        short: Literal["tile", "error"] = "tile",
        device: str = "auto",
        batch_size: int | None = None,
        precision: Literal["float32", "bfloat16", "float16"] = "float32",
        on_error: Literal["raise", "nan"] = "raise",
        workers: int | None = None,
        cache: str | os.PathLike[str] | None = None,
    ) -> None:
        self.extractor = extractor
        self.layers = layers
        self.sources = sources
        self.checkpoint = checkpoint
        self.statistics = statistics
        self.batch_norm = batch_norm
        self.options = options
        self.hop_seconds = hop_seconds
        self.max_seconds = max_seconds
        self.short = short
        self.device = device
        self.batch_size = batch_size
        self.precision = precision
        self.on_error = on_error
        self.workers = workers
        self.cache = cache

    def fit(self, X: Any = None, y: Any = None) -> AudioFeatures:  # noqa: N803
        """Load the network; nothing is learnt from X."""
        self._load()
        return self

    def transform(self, X: Any) -> np.ndarray:  # noqa: N803
        """Vectors of the items of X, float32 (n, dimension).

        Raises:
            AudioError: an item cannot be used and ``on_error="raise"``.
            OptionError: X is not a list of items.
        """
        if self.on_error not in ("raise", "nan"):
            raise OptionError(f"on_error={self.on_error!r}: it is 'raise' or 'nan'.")
        extractor, items = self._load(), _items(X)
        values = np.full((len(items), extractor.dimension), np.nan, dtype=np.float32)
        kept: VectorCache | None = None
        if self.cache is not None:
            kept = VectorCache(self.cache, extractor.provenance, extractor.dimension)
        # By place, so that a file that comes twice is extracted once.
        asked: dict[Any, list[int]] = {}
        for row in self._filled(items):
            place = kept.place(items[row]) if kept else None
            if kept and (vector := kept.find(place)) is not None:
                values[row] = vector
            else:
                asked.setdefault(place or row, []).append(row)
        results = extractor.extract_many(
            [items[rows[0]] for rows in asked.values()],
            on_error=self.on_error,
            workers=self.workers,
            progress=False,
        )
        for (place, rows), result in zip(asked.items(), results, strict=True):
            values[rows] = result.vector
            if kept and isinstance(place, Path) and result.status == "ok":
                assert result.vector is not None
                kept.keep(place, result.vector)
        return values

    def _filled(self, items: Sequence[Any]) -> Iterator[int]:
        """Indices of the items that are there."""
        for row, item in enumerate(items):
            if not _empty(item):
                yield row
            elif self.on_error == "raise":
                raise EmptyAudioError(
                    f"X[{row}] is {item!r}, where audio belongs. on_error='nan' makes such cells "
                    "rows of NaN."
                )

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns, for example ``choi2017.layer3.07.std``."""
        return np.array(self._load().feature_names, dtype=object)

    def _load(self) -> Extractor:
        """The extractor for the current parameters, loaded once for each set of them."""
        options = self.get_params(deep=False)
        for name in ("extractor", "on_error", "workers", "cache"):
            del options[name]
        options |= options.pop("options") or {}
        wanted = (self.extractor, options)
        loaded: tuple[Any, Extractor] | None = getattr(self, "_loaded", None)
        if loaded is None or loaded[0] != wanted:
            loaded = self._loaded = (wanted, load_extractor(self.extractor, **options))
        return loaded[1]

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = dict(super().__getstate__())
        state.pop("_loaded", None)
        return state

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.no_validation = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return True


def _empty(item: Any) -> bool:
    """Whether a cell of a table holds nothing: None, NaN, pandas.NA, pandas.NaT."""
    missing = type(item).__name__ in ("NAType", "NaTType")
    return item is None or missing or (isinstance(item, float) and math.isnan(item))


def _items(X: Any) -> list[Any]:  # noqa: N803
    """Items of X: a list, or an array, series or frame of paths with one column."""
    if isinstance(X, str | os.PathLike) or not isinstance(X, Iterable):
        raise OptionError(f"X={X!r}: give a list of paths or of (array, sample_rate).")
    if not hasattr(X, "__array__"):
        return list(X)
    array = np.asarray(X)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or array.dtype.kind not in "OUT":
        raise OptionError(
            f"X of shape {array.shape} and type {array.dtype}: an array X holds paths, (n,) or "
            "(n, 1). Give audio as a list of (array, sample_rate)."
        )
    return list(array)
