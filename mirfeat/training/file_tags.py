"""A manifest from a folder of music: what the tags of its files say, and tempo where they do not.

Tags are read by tinytag (MIT licence), which knows ID3, Vorbis, MP4, ASF, RIFF and AIFF tags.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from mirfeat.audio.clip import ClipFacts, PathLike, checked_blocks, open_clip
from mirfeat.audio.collection import only_local, survey
from mirfeat.audio.ids import ids_of
from mirfeat.errors import AudioError, ManifestError, MissingPackageError
from mirfeat.runs.progress import Shown, counted
from mirfeat.training.manifest import RANGES, write_manifest
from mirfeat.training.tempo import tempo_of

logger = logging.getLogger("mirfeat")

Row = dict[str, Any]

# Between genres of one tag.
_SEPARATORS = re.compile(r"[;/,|]")
_YEAR = re.compile(r"(?<!\d)[12]\d{3}(?!\d)")
# What programs write where nobody said a genre or an artist.
_NO_GENRE = {"", "other", "unknown", "none", "undefined", "default", "genre", "misc"}
_NO_ARTIST = {"", "unknown", "unknown artist", "various", "various artists", "va", "none"}


class FailedFile(NamedTuple):
    """A file that is no row: its id, where it is, and why."""

    id: str
    path: Path
    message: str


def build_manifest(
    inputs: Iterable[PathLike],
    *,
    bpm: bool = False,
    workers: int | None = None,
    progress: Shown = None,
) -> tuple[list[Row], list[FailedFile]]:
    """A row of a manifest for each audio file among ``inputs``, and the files that are none.

    ``inputs`` are folders, files and ``@lists``. A row has ``id`` (relative to the nearest folder
    that has all of them), ``path`` (absolute), ``seconds``, and of ``title``, ``artist``,
    ``album``, ``year``, ``genre`` (the first), ``tags`` (all genres) and ``bpm`` those that the
    file's tags have; genres are in lower case. ``bpm`` computes the tempo where no tag has it.
    ``workers`` threads, by default one a core; neither they nor the order they finish in change a
    row. ``progress``: see :data:`mirfeat.runs.progress.Shown`.

    Raises:
        OptionError: nothing was found, or a file was given twice.
        MissingPackageError: tinytag is not installed.
    """
    _use_tinytag()
    located, root = survey(inputs)
    paths = only_local(located)
    ids = ids_of(paths, root)
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        found = pool.map(partial(_row, bpm=bpm), ids, paths)
        try:
            results = list(counted(found, "tags", len(ids), "files", progress))
        except BaseException:  # also Ctrl-C: the pool would finish all files first
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    rows = [result for result in results if not isinstance(result, FailedFile)]
    return rows, [result for result in results if isinstance(result, FailedFile)]


def write_from_folder(
    inputs: Iterable[PathLike],
    output: PathLike,
    *,
    bpm: bool = False,
    workers: int | None = None,
    progress: Shown = None,
) -> tuple[list[Row], list[FailedFile]]:
    """Write the manifest of :func:`build_manifest` as CSV and return its rows and failures.

    Paths below the folder of ``output`` are relative to it, so that both can be moved together.

    Raises:
        ManifestError: not one file could be read; nothing is written.
        OptionError, MissingPackageError: as :func:`build_manifest`.
    """
    rows, failures = build_manifest(inputs, bpm=bpm, workers=workers, progress=progress)
    if not rows:
        raise ManifestError(
            f"{output}: none of {len(failures)} files can be read; the first: {failures[0].message}"
        )
    folder = Path(os.path.abspath(output)).parent
    for row in rows:
        path = Path(row["path"])
        if path.is_relative_to(folder):
            row["path"] = path.relative_to(folder).as_posix()
    write_manifest(output, rows)
    return rows, failures


def _row(id: str, path: Path, *, bpm: bool) -> Row | FailedFile:
    absolute = os.path.abspath(path)
    try:
        absolute.encode("utf-8")
        with open_clip(path, None):
            pass  # what its header announces was checked
        tags = _tags(path)
        row = {"id": id, "path": absolute, **_labels(tags)}
        row["seconds"] = round(_first_number(tags.get("duration")) or _decoded_seconds(path), 3)
        if bpm and "bpm" not in row and (tempo := tempo_of(path)) is not None:
            row["bpm"] = round(tempo, 2)
    except UnicodeEncodeError:
        return FailedFile(
            id, path, f"{id}: its name is not UTF-8, which a table must be. Rename it."
        )
    except (AudioError, MissingPackageError) as error:
        return FailedFile(id, path, str(error))
    return row


def _tags(path: Path) -> Mapping[str, Any]:
    """Tags as tinytag names them, texts in lists; none where it cannot read them."""
    tinytag = _use_tinytag()
    try:
        tags: Mapping[str, Any] = tinytag.TinyTag.get(path).as_dict()
    except tinytag.UnsupportedFormatError:
        return {}  # audio all the same
    except Exception as error:  # a parser of bytes that anyone may have written
        logger.warning("%s: its tags cannot be read (%s)", path, error)
        return {}
    return tags


def _labels(tags: Mapping[str, Any]) -> Row:
    """Columns of a manifest of what tags say."""
    row: Row = {}
    for column in ("title", "album"):
        if texts := _texts(tags, column):
            row[column] = texts[0]
    artists = _texts(tags, "artist") + _texts(tags, "albumartist")
    if artists := [name for name in artists if name.casefold() not in _NO_ARTIST]:
        row["artist"] = artists[0]
    years = (int(found) for text in _texts(tags, "year") for found in _YEAR.findall(text))
    if found := next((year for year in years if _allowed("year", year)), None):
        row["year"] = found
    texts = _texts(tags, "genre")
    words = (word.strip(" ()[]<>").lower() for text in texts for word in _SEPARATORS.split(text))
    if genres := list(dict.fromkeys(word for word in words if word not in _NO_GENRE)):
        row["genre"], row["tags"] = genres[0], dict.fromkeys(genres, 1.0)
    tempo = _first_number(tags.get("bpm"))
    if tempo is not None and _allowed("bpm", tempo):
        row["bpm"] = tempo
    return row


def _allowed(column: str, value: float) -> bool:
    low, high = RANGES[column]
    return low <= value <= high


def _texts(tags: Mapping[str, Any], name: str) -> list[str]:
    """Values of a tag on one line each, without empty ones."""
    values = tags.get(name, ())
    values = [values] if isinstance(values, (str, int, float)) else values
    lines = (" ".join(_as_utf8(str(value)).split()) for value in values)
    return [line for line in lines if line]


def _as_utf8(text: str) -> str:
    """Text without what a table cannot hold."""
    return text.replace("\0", "; ").encode("utf-8", "replace").decode("utf-8")


def _first_number(value: Any) -> float | None:
    """A number, or the first of several texts if it is one above 0."""
    first = next(iter(value), None) if isinstance(value, (list, tuple)) else value
    try:
        number = float(first) if first is not None else 0.0
    except ValueError:
        return None
    return number if 0.0 < number < float("inf") else None


def _decoded_seconds(path: Path) -> float:
    """Duration by decoding, where tinytag does not know the format."""
    facts = ClipFacts()
    with open_clip(path, None) as reader:
        for _ in checked_blocks(reader, facts):
            pass
    return facts.seconds


def _use_tinytag() -> Any:
    try:
        import tinytag  # an extra: only this command reads tags
    except ImportError as error:
        raise MissingPackageError(
            "reading tags needs tinytag: pip install 'mirfeat[train]'"
        ) from error
    return tinytag
