"""A piece of a long file, for about the price of the piece."""

from __future__ import annotations

import math

import numpy as np

from mirfeat.audio.clip import Audio, PathLike, open_clip
from mirfeat.audio.decode import FileReader
from mirfeat.audio.opened import FileLike
from mirfeat.errors import EmptyAudioError, OptionError


def load_audio(
    source: PathLike | FileLike | bytes, *, offset: float = 0.0, duration: float | None = None
) -> Audio:
    """Samples of a file from ``offset`` on, for ``duration`` seconds or up to its end.

    The same samples as those of the whole file, to the bit. What libsndfile reads (mp3, flac, ogg,
    opus, wav, …) is not decoded before the piece; what lies outside is not checked. ``source`` is a
    path, a URL, or a file as ``bytes`` or opened with ``"rb"``.

    >>> piece = mirfeat.load_audio(song, offset=2.0, duration=3.0)
    >>> piece.samples.shape, piece.sample_rate, piece.seconds
    ((1, 144000), 48000, 3.0)

    Raises:
        OptionError: an offset below 0, or a duration that is not more than 0.
        EmptyAudioError: the file ends before ``offset``.
        DecodeError: the piece cannot be decoded.
    """
    if not (math.isfinite(offset) and offset >= 0.0):
        raise OptionError(f"offset={offset}: it is 0 or more seconds.")
    if duration is not None and not (math.isfinite(duration) and duration > 0.0):
        raise OptionError(f"duration={duration}: it is more than 0 seconds, or None.")
    with open_clip(source, None if duration is None else offset + duration) as reader:
        rate = reader.sample_rate
        first = round(offset * rate)
        most = None if duration is None else max(1, round(duration * rate))
        begins = reader.begin_before(first) if isinstance(reader, FileReader) else 0
        parts, position, got = [], begins, 0
        for block in reader.blocks():
            part = block[:, max(0, first - position) :]
            part = part if most is None else part[:, : most - got]
            position, got = position + block.shape[1], got + part.shape[1]
            parts.append(np.array(part, np.float32))
        if not got:
            raise EmptyAudioError(
                f"{reader.name}: offset={offset:g} s is not before its end, {position / rate:g} s."
            )
        return Audio(np.concatenate(parts, axis=1), rate, reader.name)
