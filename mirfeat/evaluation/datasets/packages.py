"""Data sets through their loaders in mirdata and soundata.

These packages know which files belong to a data set by an index, which they fetch when their user
calls ``download(["index"])``; mirfeat downloads nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mirfeat.errors import LabelsError, MissingPackageError
from mirfeat.evaluation.datasets.folders import irmas_song
from mirfeat.evaluation.datasets.gtzan import artist_of
from mirfeat.evaluation.datasets.places import relative
from mirfeat.evaluation.datasets.record import AbsentError, Columns, Dataset, columns

# A clip of the package -> its columns beside id, or None for clips the papers did not use.
_Describe = Callable[[Any, Path], Mapping[str, str] | None]


def read_with_package(dataset: Dataset, root: Path) -> Columns:
    """Labels as :attr:`Dataset.read` gives them, by the index of mirdata or soundata.

    Raises:
        LabelsError: no loader for this data set, or its index has not been downloaded.
        MissingPackageError: the package is not installed.
        AbsentError: its annotations are not in ``root``.
    """
    if dataset.package is None:
        raise LabelsError(
            f"{dataset.name} has no loader in mirdata or soundata; read it without use_package."
        )
    module, _, name = dataset.package.partition(":")
    try:
        package = importlib.import_module(module)
    except ImportError as error:
        raise MissingPackageError(
            f"{module} reads {dataset.name} with use_package: pip install 'mirfeat[datasets]'"
        ) from error
    # An absolute path: mirdata joins it with paths of its own.
    loader = package.initialize(name, data_home=str(root.resolve()))
    if not Path(loader.index_path).is_file():
        raise LabelsError(
            f"{module} has no index of {name} yet; fetch it once: "
            f"{module}.initialize({name!r}, data_home={str(root)!r}).download(['index'])"
        )
    try:
        clips = loader.load_tracks() if module == "mirdata" else loader.load_clips()
        rows = [
            {"id": relative(Path(clip.audio_path), root.resolve()), **described}
            for clip in clips.values()
            if (described := _DESCRIBE[name](clip, Path(clip.audio_path))) is not None
        ]
    except FileNotFoundError as error:
        raise AbsentError(f"{error}.") from error
    if not rows:
        raise AbsentError("there are no clips.")
    return columns(list(rows[0]), [tuple(row.values()) for row in rows])


def _gtzan(track: Any, path: Path) -> Mapping[str, str]:
    # mirdata says hip-hop where folders and papers say hiphop.
    return {"label": track.genre.replace("-", ""), "artist": artist_of(path.stem)}


def _irmas(track: Any, path: Path) -> Mapping[str, str] | None:
    if track.split != "train":
        return None
    return {"label": track.predominant_instrument, "song": irmas_song(path.stem)}


def _urbansound8k(clip: Any, path: Path) -> Mapping[str, str]:
    return {
        "label": clip.class_label,
        "fold": str(clip.fold),
        "recording": str(clip.freesound_id),
    }


_DESCRIBE: Mapping[str, _Describe] = {
    "gtzan_genre": _gtzan,
    "irmas": _irmas,
    "urbansound8k": _urbansound8k,
}
