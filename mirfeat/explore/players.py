"""How a page gets at the sound of a clip: a link to the file, or a preview inside the page."""

from __future__ import annotations

import base64
import io
import os
from collections import deque
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import numpy as np
import soundfile
import soxr

from mirfeat.audio.addresses import is_url
from mirfeat.audio.clip import PathLike, open_clip
from mirfeat.errors import AudioError, OptionError
from mirfeat.files import readable
from mirfeat.runs.progress import Shown, counted

Sound = Literal["link", "embed", "none"]
SOUNDS: tuple[Sound, ...] = ("link", "embed", "none")

PREVIEW_SECONDS = 10.0
# Many songs begin with silence; few have not begun after half a minute.
_PREVIEW_START = 30.0
_PREVIEW_RATE = 32_000
# Each preview is about 80 kB of the page.
MOST_PREVIEWS = 1000


class Players:
    """Songs to hear in a notebook or a page of documentation: ten seconds of each.

    ``paths``: audio files; ``titles``: what to write beside each, its file name by default. A file
    that cannot be read has no player, and says so.
    """

    def __init__(self, paths: Sequence[PathLike], titles: Sequence[str] | None = None) -> None:
        self.paths = tuple(paths)
        self.titles = tuple(titles or (os.path.basename(os.fspath(path)) for path in paths))

    def _repr_html_(self) -> str:
        rows = [
            f"<tr><td>{_player(path)}</td><td>{escape(readable(title))}</td></tr>"
            for path, title in zip(self.paths, self.titles, strict=True)
        ]
        return f"<table>{''.join(rows)}</table>"

    def __repr__(self) -> str:
        """The titles."""
        return f"{type(self).__name__}({', '.join(self.titles)})"


class Player(Players):
    """One song to hear, see :class:`Players`."""

    def __init__(self, path: PathLike, title: str | None = None) -> None:
        super().__init__([path], None if title is None else [title])


def _player(path: PathLike) -> str:
    source = _preview(path)
    if source is None:
        return "this file cannot be read"
    return f'<audio controls preload="metadata" src="{source}"></audio>'


def sources(
    paths: Sequence[PathLike], page: PathLike, sound: Sound, *, progress: Shown = False
) -> list[str | None]:
    """What an audio element of ``page`` plays for each file; None for those that are not there.

    >>> from mirfeat.explore.players import sources
    >>> sources([song.parent / "folk_tavern.opus", "gone.mp3"], song.parent / "map.html", "link")
    ['folk_tavern.opus', None]

    Args:
        paths: of the clips.
        page: where the page will be; links are relative to its folder where they can be.
        sound: ``link`` to the files, ``embed`` a preview of 10 s of each, or ``none``.
        progress: of previews, as in :meth:`mirfeat.Extractor.extract_many`.

    Raises:
        OptionError: another value, or more previews than a page should hold.
    """
    if sound not in SOUNDS:
        raise OptionError(f"sound={sound!r}: it is 'link', 'embed' or 'none'.")
    if sound == "none":
        return [None] * len(paths)
    if sound == "link":
        return [_link(path, Path(page).absolute().parent) for path in paths]
    if len(paths) > MOST_PREVIEWS:
        raise OptionError(
            f"{len(paths)} previews would make a page of {len(paths) * 0.08:.0f} MB; at most "
            f"{MOST_PREVIEWS} are embedded. Link to the files instead."
        )
    return [_preview(path) for path in counted(paths, "previews", len(paths), "files", progress)]


def _link(path: PathLike, folder: Path) -> str | None:
    text = os.fspath(path)
    if is_url(text):
        # Browsers play what they can fetch; object stores have protocols of their own.
        return text if text.startswith(("http://", "https://")) else None
    absolute = os.path.abspath(text)
    if not os.path.isfile(absolute):
        return None
    try:
        relative = os.path.relpath(absolute, folder)
    except ValueError:  # another drive
        return Path(absolute).as_uri()
    return quote(os.fsencode(relative.replace(os.sep, "/")))


def _preview(path: PathLike) -> str | None:
    try:
        return "data:audio/mpeg;base64," + base64.b64encode(preview(path)).decode()
    except (AudioError, OSError):
        return None  # it had a vector once, and is gone or damaged now


def preview(path: PathLike) -> bytes:
    """Ten seconds of a file as mono mp3 (32 kHz): from 30 s on, or its last ten.

    Raises:
        AudioError: the file cannot be read.
    """
    held: deque[np.ndarray] = deque()
    samples = 0
    with open_clip(path, _PREVIEW_START + PREVIEW_SECONDS) as reader:
        wanted = round(PREVIEW_SECONDS * reader.sample_rate)
        for block in reader.blocks():
            held.append(block.mean(axis=0, dtype=np.float32))
            samples += block.shape[1]
            while samples - len(held[0]) >= wanted:
                samples -= len(held.popleft())
        rate = reader.sample_rate
    sound = np.concatenate(held)[-wanted:] if held else np.zeros(0, np.float32)
    if rate != _PREVIEW_RATE:
        sound = soxr.resample(sound, rate, _PREVIEW_RATE)
    buffer = io.BytesIO()
    soundfile.write(
        buffer,
        np.clip(sound, -1, 1),
        _PREVIEW_RATE,
        format="MP3",
        subtype="MPEG_LAYER_III",
        bitrate_mode="VARIABLE",
        compression_level=0.6,
    )
    return buffer.getvalue()
