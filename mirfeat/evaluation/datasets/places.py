"""Where things lie below a folder, when copies of a data set differ in their outer folders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mirfeat.audio.collection import find_audio, only_local
from mirfeat.errors import OptionError
from mirfeat.evaluation.datasets.record import AbsentError

DEPTH = 2
"""How many folders below the given one a data set may begin."""

SAMPLE = 50
"""How many names of a list are tried to find the folder that it starts from."""


def find_file(root: Path, name: str) -> Path:
    """The file called ``name`` (or "folder/name") in ``root`` or up to two folders below it.

    Raises:
        AbsentError: there is none.
    """
    for folder in _folders(root, DEPTH):
        if (folder / name).is_file():
            return folder / name
    raise AbsentError(f"there is no {name}.")


def find_start(root: Path, names: Sequence[str]) -> Path:
    """The folder, ``root`` or up to two below it, that relative paths start from.

    Raises:
        AbsentError: none of the first names is a file in any of these folders.
    """
    for folder in _folders(root, DEPTH):
        if any((folder / name).is_file() for name in names[:SAMPLE]):
            return folder
    raise AbsentError(f"there is no audio: {names[0]!r} and others are not there.")


def relative(path: Path, root: Path) -> str:
    """Name of a clip: its path from ``root``, with slashes."""
    return path.relative_to(root).as_posix()


def clips_of_folders(root: Path, labels: Mapping[str, str] | None = None) -> list[tuple[Path, str]]:
    """Audio files at any depth, sorted, with the class that their folder stands for.

    ``labels``: class by name of the folder in lower case; files in other folders are not clips.
    None: every folder is a class, spelled as it is.

    Raises:
        AbsentError: no audio, or none of some class.
    """
    try:
        files = only_local(find_audio([root]))
    except OptionError as error:
        raise AbsentError("there is no audio.") from error
    if labels is None:
        return [(path, path.parent.name) for path in files if path.parent != root]
    clips = [
        (path, labels[path.parent.name.lower()])
        for path in files
        if path.parent.name.lower() in labels
    ]
    missing = sorted(set(labels.values()) - {label for _, label in clips})
    if missing:
        raise AbsentError(f"there is no audio in folders of {len(missing)} classes: {missing}.")
    return clips


def _folders(root: Path, depth: int) -> Iterator[Path]:
    yield root
    if depth:
        for folder in sorted(path for path in root.iterdir() if path.is_dir()):
            if not folder.name.startswith("."):
                yield from _folders(folder, depth - 1)
