"""From a data set that mirdata or soundata has loaded to features, labels and groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from mirfeat.errors import LabelsError
from mirfeat.extractor import Extractor
from mirfeat.results.outcomes import Failure

Told: TypeAlias = str | Callable[[Any], Any]
"""Name of an attribute of a track or clip, or a function of it."""


@dataclass(frozen=True, eq=False)
class LoadedFeatures:
    """What scikit-learn asks for: ``values`` float32 [n, dimension], and per row the rest.

    ``groups`` is None unless it was asked for. ``failures`` are clips that gave no vector.

    >>> from types import SimpleNamespace
    >>> class Tracks:  # as of mirdata.initialize("gtzan_genre")
    ...     def load_tracks(self):
    ...         return {"a": SimpleNamespace(audio_path=song, genre="folk")}
    >>> features = mirfeat.extract_loaded(Tracks(), extractor, label="genre", progress=False)
    >>> features.labels, features.ids, features.groups
    (array(['folk'], dtype='<U4'), ('a',), None)
    """

    values: np.ndarray
    labels: np.ndarray
    groups: np.ndarray | None
    ids: tuple[str, ...]
    failures: tuple[Failure, ...]


def extract_loaded(
    dataset: Any,
    extractor: Extractor,
    *,
    label: Told,
    group: Told | None = None,
    progress: bool | None = None,
) -> LoadedFeatures:
    """Features, labels and groups of a data set that mirdata or soundata initialised.

    ``label`` and ``group`` are attributes of its tracks or clips (``"genre"``), or functions of
    one. Clips without a label (None) are left out; those that cannot be decoded are in
    ``failures``.

    >>> from types import SimpleNamespace
    >>> class Tracks:  # as of mirdata.initialize("gtzan_genre")
    ...     def load_tracks(self):
    ...         return {"a": SimpleNamespace(audio_path=song, genre="folk")}
    >>> features = mirfeat.extract_loaded(Tracks(), extractor, label="genre", progress=False)
    >>> features.values.shape, features.labels, features.ids
    ((1, 320), array(['folk'], dtype='<U4'), ('a',))

    Raises:
        LabelsError: no such attribute, or no clip with a label and an audio file.
    """
    load = getattr(dataset, "load_tracks", None) or getattr(dataset, "load_clips", None)
    if load is None:
        raise LabelsError(
            f"{type(dataset).__name__} is no data set of mirdata or soundata: it has neither "
            "load_tracks nor load_clips."
        )
    clips: Mapping[str, Any] = load()
    labels = {id: _told(clip, label) for id, clip in clips.items()}
    wanted = [id for id, told in labels.items() if told is not None and clips[id].audio_path]
    if not wanted:
        raise LabelsError(f"no clip has both an audio file and a label {label!r}.")
    items = [(id, clips[id].audio_path) for id in wanted]
    results = list(extractor.extract_many(items, progress=progress))
    done = [result for result in results if result.vector is not None]
    groups = None
    if group is not None:
        groups = np.array([_told(clips[result.id], group) for result in done])
    return LoadedFeatures(
        values=np.stack([result.vector for result in done if result.vector is not None]),
        labels=np.array([labels[result.id] for result in done]),
        groups=groups,
        ids=tuple(result.id for result in done),
        failures=tuple(
            Failure(result.id, result.error_type or "", result.error or "")
            for result in results
            if result.vector is None
        ),
    )


def _told(clip: Any, what: Told) -> Any:
    if callable(what):
        return what(clip)
    if not hasattr(clip, what):
        known = sorted(name for name in dir(clip) if not name.startswith("_"))
        raise LabelsError(f"clips have no attribute {what!r}; they have {', '.join(known)}.")
    return getattr(clip, what)
