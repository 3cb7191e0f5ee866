"""Audio files as a stream of blocks: libsndfile for what it reads, PyAV for the rest.

The format is taken from the content, never from the name. A file that announces more than can be
decoded fails: a feature of part of a file looks right and is not.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import soundfile

from mirfeat.errors import DecodeError, EmptyAudioError, MissingPackageError
from mirfeat.mpeg import unannounced_samples

Blocks = Iterator[np.ndarray]

BLOCK_SECONDS = 10.0
# Bounds a block of a many-channel file to 16 MiB as well.
_BLOCK_VALUES = 1 << 22
# Lossless formats announce exact lengths. Healthy MP3s of the wild are up to 0.3 s off.
_LOSSY_TOLERANCE_SECONDS, _LOSSY_TOLERANCE_SHARE = 0.5, 0.05
_LOSSY = {"MP3", "VORBIS", "OPUS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III"}
# Containers count encoder delay and padding in their durations, in their various ways.
_CONTAINER_TOLERANCE_SECONDS = 0.5
# What libsndfile logs when a chunk announces more bytes than the file has (wav, aiff, au, w64).
_SHORTER_THAN_ANNOUNCED = re.compile(r"(?:data|SSND|Data Size)\s*:\s*(\d+) \(should be (\d+)\)")
# Encoders that write to a pipe cannot know the length and announce (nearly) 2 or 4 GiB.
_UNKNOWN_LENGTH_BYTES = 0x7FFF0000


class Reader(Protocol):
    """An opened clip. ``name`` is for messages; rate in Hz."""

    name: str
    sample_rate: int
    channels: int

    def blocks(self) -> Blocks:
        """The samples as float32 [C, n] blocks, in order."""
        ...

    def close(self) -> None:
        """Release the file."""
        ...


def open_file(path: Path, max_seconds: float | None = None) -> Reader:
    """Open an audio file, whatever its name says it is.

    Only the first ``max_seconds`` are decoded, and what lies behind them is not checked.

    Raises:
        DecodeError: not there, not readable, not audio, damaged.
        EmptyAudioError: no bytes, or a header without a single sample.
        MissingPackageError: it needs PyAV, which is not installed.
    """
    try:
        return _open(path, max_seconds)
    except DecodeError:
        raise
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DecodeError(f"{path}: there is no such file.") from error
    except PermissionError as error:
        raise DecodeError(f"{path}: no permission to read it.") from error
    except OSError as error:
        raise DecodeError(f"{path}: {error.strerror or error}.") from error


def _open(path: Path, max_seconds: float | None) -> Reader:
    if path.is_dir():
        raise DecodeError(f"{path}: is a directory. Give its files, or use 'mirfeat extract DIR'.")
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        raise EmptyAudioError(f"{path}: the file has 0 bytes.")
    if container := _container(head):
        return AvReader(path, max_seconds, f"{container}, which libsndfile does not read")
    reader = SoundFileReader(path, max_seconds)
    if reader.estimated and reader.wants_all:
        counted = unannounced_samples(path)
        if counted is not None and counted > reader.frames + reader.tolerance:
            reader.close()
            share = (
                f"{reader.frames / reader.sample_rate:.1f} of {counted / reader.sample_rate:.1f} s"
            )
            why = f"an MP3 without a length header, of which libsndfile would read {share}"
            return AvReader(path, max_seconds, why)
    return reader


def _container(head: bytes) -> str | None:
    """Name of the container that only PyAV reads, from the first bytes."""
    if head[4:8] == b"ftyp":
        return "MPEG-4 audio (m4a, mp4, aac)"
    if head[:2] in (b"\xff\xf1", b"\xff\xf9"):
        return "raw AAC"
    if head[:4] == b"\x30\x26\xb2\x75":
        return "Windows Media audio (wma)"
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "Matroska or WebM audio"
    return None


def block_samples(sample_rate: float, channels: int) -> int:
    """Samples per channel in one block: ten seconds, less for very many channels."""
    return max(1, min(int(BLOCK_SECONDS * sample_rate), _BLOCK_VALUES // channels))


def limit_samples(max_seconds: float | None, sample_rate: float) -> float:
    """Samples per channel in ``max_seconds``; infinite for None."""
    return math.inf if max_seconds is None else math.ceil(max_seconds * sample_rate - 1e-6)


class SoundFileReader:
    """wav, flac, ogg, opus, mp3, aiff, au … through libsndfile."""

    def __init__(self, path: Path, max_seconds: float | None) -> None:
        """Open the file and check what its header announces."""
        self.name = str(path)
        self._handle = self._open(path)
        self.sample_rate: int = self._handle.samplerate
        self.channels: int = self._handle.channels
        self.frames: int = self._handle.frames
        self.estimated = self._handle.format == "MP3"
        lossy = bool({self._handle.format, self._handle.subtype} & _LOSSY)
        allowed = _LOSSY_TOLERANCE_SECONDS * self.sample_rate
        self.tolerance = min(allowed, _LOSSY_TOLERANCE_SHARE * self.frames) if lossy else 0.0
        limit = limit_samples(max_seconds, self.sample_rate)
        self.wants_all = limit > self.frames
        self._wanted = int(min(limit, self.frames))
        self._check_header()

    def _open(self, path: Path) -> soundfile.SoundFile:
        # A descriptor instead of the name: libsndfile would let the ending decide on raw formats.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:
            return soundfile.SoundFile(descriptor, closefd=True)
        except soundfile.SoundFileError as error:
            os.close(descriptor)
            raise DecodeError(
                f"{path}: not a readable audio file (libsndfile: {_reason(error)})."
            ) from error

    def _check_header(self) -> None:
        try:
            if self.frames == 0:
                raise EmptyAudioError(f"{self.name}: a header, but no samples.")
            for match in _SHORTER_THAN_ANNOUNCED.finditer(self._handle.extra_info):
                announced, found = map(int, match.groups())
                if found < announced < _UNKNOWN_LENGTH_BYTES and self.wants_all:
                    raise DecodeError(
                        f"{self.name}: the header announces {announced} bytes of audio, the file "
                        f"has {found}. It is truncated; no feature was made."
                    )
        except BaseException:
            self.close()
            raise

    def blocks(self) -> Blocks:
        """Decode block by block; DecodeError where the file is damaged."""
        size, done = block_samples(self.sample_rate, self.channels), 0
        while done < self._wanted:
            count = min(size, self._wanted - done)
            try:
                block = self._handle.read(count, dtype="float32", always_2d=True)
            except soundfile.SoundFileError as error:
                raise self._damaged(done, _reason(error)) from error
            if len(block) == 0:
                break
            done += len(block)
            yield block.T
        if done < self._wanted - self.tolerance:
            raise self._damaged(done, "the stream ends there")

    def _damaged(self, done: int, reason: str) -> DecodeError:
        return DecodeError(
            f"{self.name}: decoding stopped at {done / self.sample_rate:.1f} s of about "
            f"{self.frames / self.sample_rate:.1f} s (libsndfile: {reason}). "
            "The file is damaged; no feature was made."
        )

    def close(self) -> None:
        """Release the file."""
        self._handle.close()


def _reason(error: soundfile.SoundFileError) -> str:
    """What libsndfile says, without the number of the file descriptor."""
    return str(getattr(error, "error_string", error)).rstrip(".")


class AvReader:
    """m4a, aac, wma, webm … through PyAV (FFmpeg's libraries)."""

    def __init__(self, path: Path, max_seconds: float | None, reason: str) -> None:
        """Open the first audio stream; ``reason`` says what libsndfile cannot do here."""
        try:
            import av  # an extra: FFmpeg is large, and only these containers need it
        except ImportError as error:
            raise MissingPackageError(
                f"{path}: is {reason}. It needs PyAV: pip install 'mirfeat[av]'"
            ) from error
        self.name = str(path)
        self._av: Any = av
        try:
            self._handle = av.open(str(path))
        except av.FFmpegError as error:
            raise DecodeError(f"{path}: not decodable (FFmpeg: {error.strerror}).") from error
        if not self._handle.streams.audio:
            self.close()
            raise DecodeError(f"{path}: there is no audio in this file.")
        self._stream = self._handle.streams.audio[0]
        self.sample_rate: int = self._stream.codec_context.sample_rate
        self.channels: int = self._stream.codec_context.channels
        self._limit = limit_samples(max_seconds, self.sample_rate)

    def blocks(self) -> Blocks:
        """Decode frame by frame, gathered to blocks of about ten seconds."""
        size = block_samples(self.sample_rate, self.channels)
        waiting: list[np.ndarray] = []
        held = done = 0
        for frame in self._frames():
            part = (
                frame
                if done + frame.shape[1] <= self._limit
                else frame[:, : int(self._limit) - done]
            )
            waiting.append(part)
            held += part.shape[1]
            done += part.shape[1]
            if held >= size or done >= self._limit:
                yield np.concatenate(waiting, axis=1)
                waiting, held = [], 0
            if done >= self._limit:
                return
        if waiting:
            yield np.concatenate(waiting, axis=1)
        self._check_length(done)

    def _frames(self) -> Blocks:
        planar = self._av.AudioResampler(format="fltp")
        try:
            for decoded in self._handle.decode(self._stream):
                for frame in planar.resample(decoded):
                    yield frame.to_ndarray()
        except self._av.FFmpegError as error:
            raise DecodeError(
                f"{self.name}: decoding failed (FFmpeg: {error.strerror}). "
                "The file is damaged; no feature was made."
            ) from error

    def _check_length(self, done: int) -> None:
        # Only these containers state a duration; elsewhere FFmpeg estimates it from the bit rate.
        stated = self._handle.format.name.startswith(("mov", "asf"))
        if not stated or self._stream.duration is None or self._stream.time_base is None:
            return
        announced = float(self._stream.duration * self._stream.time_base)
        if done / self.sample_rate < announced - _CONTAINER_TOLERANCE_SECONDS:
            raise DecodeError(
                f"{self.name}: decoding stopped at {done / self.sample_rate:.1f} s of "
                f"{announced:.1f} s. The file is damaged; no feature was made."
            )

    def close(self) -> None:
        """Release the file."""
        self._handle.close()
