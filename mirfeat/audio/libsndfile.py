"""libsndfile: wav, flac, ogg, opus, mp3, aiff, au, caf, w64 … The only importer of soundfile."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import soundfile

from mirfeat.audio.opened import FileView, OpenedFile, Patch
from mirfeat.audio.reader import Blocks, DamagedError, RefusedError, block_samples

# What libsndfile says of FLAC that does not announce its length.
_UNKNOWN_FRAMES = (1 << 63) - 1
# The order of channels that Vorbis fixes, which Opus took over; libsndfile keeps it.
_XIPH = {
    3: ("FL", "FC", "FR"),
    4: ("FL", "FR", "BL", "BR"),
    5: ("FL", "FC", "FR", "BL", "BR"),
    6: ("FL", "FC", "FR", "BL", "BR", "LFE"),
    7: ("FL", "FC", "FR", "SL", "SR", "BC", "LFE"),
    8: ("FL", "FC", "FR", "SL", "SR", "BL", "BR", "LFE"),
}
_GET_CHANNEL_MAP = 0x1100
_MAP: tuple[str, ...] = (
    "",
    "FC",
    "FL",
    "FR",
    "FC",
    "FL",
    "FR",
    "FC",
    "BC",
    "BL",
    "BR",
    "LFE",
    "FLC",
    "FRC",
)
_MAP += ("SL", "SR", "TC", "TFL", "TFR", "TFC", "TBL", "TBR", "TBC")
_BYTES = {"PCM_S8": 1, "PCM_U8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4}
_BYTES |= {"DOUBLE": 8, "ULAW": 1, "ALAW": 1}
# More than this behind what libsndfile reads is no header and no tag.
_UNREAD_BYTES = 1 << 16


class SoundFileDecoder:
    """A file through libsndfile."""

    def __init__(
        self,
        file: OpenedFile,
        start: int = 0,
        *,
        end: int | None = None,
        sized: bool = True,
        patch: Patch | None = None,
        begins: int = 0,
    ) -> None:
        """Open what lies from ``start`` to ``end``; with ``sized`` it is accounted for already.

        Sample ``begins`` lies at ``start``. libsndfile sees the bytes of ``patch`` in the place of
        those that are there.

        Raises:
            RefusedError: libsndfile does not read this.
        """
        # A descriptor and not a name, for two reasons: the name's ending would decide on raw
        # formats, and a descriptor that libsndfile closes when it refuses a file may by then be
        # another thread's.
        source: Any = FileView(file, start, patch, end)
        if file.path is not None and not patch and end is None:
            file.stream.seek(start)
            source = file.stream.fileno()
        try:
            self._handle = soundfile.SoundFile(source, closefd=False)
        except (soundfile.SoundFileError, TypeError, ValueError) as error:
            raise RefusedError(f"libsndfile: {_reason(error)}") from error
        self.sample_rate: int = self._handle.samplerate
        self.channels: int = self._handle.channels
        frames: int = self._handle.frames
        self._begins = begins
        self.samples: int | None = None if frames == _UNKNOWN_FRAMES else begins + frames
        self.layout = self._layout() if self.channels > 2 else ()
        if not sized and (unread := file.size - start - self._bytes(frames)) > _UNREAD_BYTES:
            self.close()
            raise RefusedError(f"libsndfile: leaves {unread} of {file.size} bytes unread")

    def _bytes(self, frames: int) -> int:
        """Bytes that the samples take; those of compressed formats are not known."""
        width = _BYTES.get(self._handle.subtype)
        return frames * self.channels * width if width else 1 << 62

    def _layout(self) -> tuple[str, ...]:
        if self._handle.format == "OGG" and self._handle.subtype in ("VORBIS", "OPUS"):
            return _XIPH.get(self.channels, ())
        numbers = soundfile._ffi.new("int[]", self.channels)
        size = soundfile._ffi.sizeof("int") * self.channels
        if not soundfile._snd.sf_command(self._handle._file, _GET_CHANNEL_MAP, numbers, size):
            return ()
        return tuple(_MAP[n] if 0 <= n < len(_MAP) else "" for n in numbers)

    def jump(self, sample: int) -> int:
        """Have :meth:`blocks` begin at ``sample``, if it can be found; where they do begin."""
        if self.samples is not None and self._handle.seekable():
            with suppress(soundfile.SoundFileError, RuntimeError):
                self._begins = int(self._handle.seek(min(sample, self.samples)))
        return self._begins

    def blocks(self, most: int) -> Blocks:
        """Decode block by block, up to the sample ``most`` of the file."""
        size, done = block_samples(self.sample_rate, self.channels), self._begins
        most = most if self.samples is None else min(most, self.samples)
        while done < most:
            try:
                block = self._read(min(size, most - done))
            except soundfile.SoundFileError as error:
                raise DamagedError(f"libsndfile: {_reason(error)}", self._position(done)) from error
            if len(block) == 0:
                return
            done += len(block)
            yield block.T

    def _read(self, count: int) -> np.ndarray:
        """The next samples, float32 [n, C].

        Not soundfile's own ``read``: it seeks to where it is after each call, by which a decoder of
        mp3 loses what it needs of the frame before. The next 30 ms would be others.
        """
        block = np.empty((count, self.channels), np.float32)
        place = soundfile._ffi.from_buffer("float[]", block, require_writable=True)
        got = soundfile._snd.sf_readf_float(self._handle._file, place, count)
        soundfile._error_check(self._handle._errorcode)
        return block[:got]

    def _position(self, done: int) -> int:
        """Where decoding stopped inside the block that starts at ``done``."""
        try:
            return max(done, int(self._handle.tell()))
        except soundfile.SoundFileError:
            return done

    def close(self) -> None:
        """Release libsndfile's part; the file stays open."""
        self._handle.close()


def _reason(error: Exception) -> str:
    """What libsndfile says, without the number of the file descriptor."""
    return str(getattr(error, "error_string", error)).rstrip(".")
