"""Audio files as a stream of blocks: libsndfile for what it reads, PyAV for the rest.

The format is taken from the content, never from the name. A file that announces more than can be
decoded fails: a feature of part of a file looks right and is not.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from mirfeat.audio.mpeg import after_id3, unannounced_samples
from mirfeat.audio.reader import Blocks, Reader, block_samples, check_rate, damaged, limit_samples
from mirfeat.errors import DecodeError, EmptyAudioError, MissingPackageError

# Lossless formats announce exact lengths. Healthy MP3s of the wild are up to 0.3 s off.
_LOSSY_TOLERANCE_SECONDS, _LOSSY_TOLERANCE_SHARE = 0.5, 0.05
_LOSSY = {"MP3", "VORBIS", "OPUS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III"}
# Containers count encoder delay and padding in their durations, in their various ways.
_CONTAINER_TOLERANCE_SECONDS = 0.5
# What libsndfile logs when a chunk announces more bytes than the file has (wav, aiff, au, svx; of
# w64 the whole file), or more frames (rf64; the frames found come first).
_FEWER_BYTES = re.compile(r"(?:data|SSND|Data Size|BODY|riff)\s*: (\d+) \(should be (\d+)\)")
_FEWER_FRAMES = re.compile(r"frame count (\d+) does not match value from 'ds64' chunk of (\d+)")
# Encoders that write to a pipe cannot know the length and announce just under 2 or 4 GiB ...
_UNKNOWN_BYTES = (range((1 << 31) - 65536, (1 << 31) + 1), range((1 << 32) - 65536, 1 << 32))
# ... or, in FLAC, nothing, which libsndfile reports so.
_UNKNOWN_FRAMES = (1 << 63) - 1
# The last page of an Ogg file says that it is the last, and pages have checksums.
_OGG_IS_CUT = ("lacks an end-of-stream bit", "Junk after the last page")
_OGG_IS_DAMAGED = "Corrupted bitstream"


def open_file(path: Path, max_seconds: float | None = None, name: str | None = None) -> Reader:
    """Open an audio file, whatever its name says it is.

    Only the first ``max_seconds`` are decoded, and what lies behind them is not checked.
    Messages call the file ``name``; by default that is its path.

    Raises:
        DecodeError: not there, not readable, not audio, damaged.
        EmptyAudioError: no bytes, or a header without a single sample.
        MissingPackageError: it needs PyAV, which is not installed.
    """
    name = str(path) if name is None else name
    try:
        return _open(path, max_seconds, name)
    except DecodeError:
        raise
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DecodeError(f"{name}: there is no such file.") from error
    except PermissionError as error:
        raise DecodeError(f"{name}: no permission to read it.") from error
    except OSError as error:
        raise DecodeError(f"{name}: {error.strerror or error}.") from error


def _open(path: Path, max_seconds: float | None, name: str) -> Reader:
    if "\0" in str(path):  # a list of names that was read in the wrong encoding
        raise FileNotFoundError(str(path))
    if path.is_dir():
        raise DecodeError(f"{name}: is a directory. Give its files, or use 'mirfeat extract DIR'.")
    with path.open("rb") as file:
        head = file.read(64)
        # Raw AAC may have a tag in front as well.
        file.seek(after_id3(head))
        behind_tag = file.read(64)
    if not head:
        raise EmptyAudioError(f"{name}: the file has 0 bytes.")
    if container := _container(behind_tag):
        kind = f"{container}, which libsndfile does not read"
        return AvReader(path, max_seconds, name, kind)
    reader = SoundFileReader(path, max_seconds, name)
    if missed := reader.missed():
        reader.close()
        return AvReader(path, max_seconds, name, missed)
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


class SoundFileReader:
    """wav, flac, ogg, opus, mp3, aiff, au … through libsndfile."""

    def __init__(self, path: Path, max_seconds: float | None, name: str) -> None:
        """Open the file and check what its header announces."""
        self.name = name
        # Opened here, for two reasons. Given the name, libsndfile would let its ending decide on
        # raw formats. And a descriptor that libsndfile closes when it refuses a file may by then
        # be another thread's.
        self._file = path.open("rb", buffering=0)
        try:
            self._handle = soundfile.SoundFile(self._file.fileno(), closefd=False)
        except soundfile.SoundFileError as error:
            self._file.close()
            raise DecodeError(
                f"{name}: not a readable audio file (libsndfile: {_reason(error)})."
            ) from error
        self.sample_rate: int = self._handle.samplerate
        self.channels: int = self._handle.channels
        self._frames: int = self._handle.frames
        kind = {self._handle.format, self._handle.subtype}
        # libsndfile guesses the length of an MP3 that does not announce it, too long or too short.
        counted = unannounced_samples(path) if kind == {"MP3", "MPEG_LAYER_III"} else None
        self._expected = self._frames if counted is None else counted
        share = _LOSSY_TOLERANCE_SHARE * self._frames if kind & _LOSSY else 0.0
        self._tolerance = min(_LOSSY_TOLERANCE_SECONDS * self.sample_rate, share)
        self._limit = limit_samples(max_seconds, self.sample_rate)
        try:
            self._check_header()
        except BaseException:
            self.close()
            raise

    def missed(self) -> str | None:
        """What this file is if libsndfile cannot read all that is wanted of it."""
        if self._frames == _UNKNOWN_FRAMES:
            return "FLAC of unannounced length, which libsndfile does not read to its end"
        if self._limit > self._frames and self._expected > self._frames + self._tolerance:
            guess, real = self._frames / self.sample_rate, self._expected / self.sample_rate
            share = f"{guess:.1f} of {real:.1f} s"
            return f"an MP3 without a length header, of which libsndfile would read {share}"
        return None

    def _check_header(self) -> None:
        if self._frames == 0:
            raise EmptyAudioError(f"{self.name}: a header, but no samples.")
        check_rate(self)
        if self._limit <= self._frames:
            return
        log = self._handle.extra_info
        fewer = [(int(m[1]), int(m[2]), "bytes") for m in _FEWER_BYTES.finditer(log)]
        fewer += [(int(m[2]), int(m[1]), "frames") for m in _FEWER_FRAMES.finditer(log)]
        for announced, found, unit in fewer:
            if found < announced and not any(announced in unknown for unknown in _UNKNOWN_BYTES):
                raise DecodeError(
                    f"{self.name}: the header announces {announced} {unit} of audio, the file "
                    f"has {found}. It is truncated; no feature was made."
                )
        if all(line in log for line in _OGG_IS_CUT):
            raise DecodeError(
                f"{self.name}: an Ogg stream without an end after "
                f"{self._frames / self.sample_rate:.1f} s. It is truncated; no feature was made."
            )

    def blocks(self) -> Blocks:
        """Decode block by block; DecodeError where the file is damaged."""
        size, done = block_samples(self.sample_rate, self.channels), 0
        wanted = min(self._limit, self._frames)
        seconds = self._expected / self.sample_rate
        while done < wanted:
            try:
                block = self._handle.read(min(size, wanted - done), dtype="float32", always_2d=True)
            except soundfile.SoundFileError as error:
                reason = f"libsndfile: {_reason(error)}"
                raise damaged(self, self._position(done), seconds, reason) from error
            if len(block) == 0:
                break
            done += len(block)
            yield block.T
        if done < min(wanted, self._expected) - self._tolerance:
            raise damaged(self, done, seconds, "the stream ends there")
        if self._handle.format == "OGG" and _OGG_IS_DAMAGED in self._handle.extra_info:
            raise DecodeError(
                f"{self.name}: parts of the Ogg stream fail their checksums. "
                "The file is damaged; no feature was made."
            )

    def _position(self, done: int) -> int:
        """Where decoding stopped inside the block that starts at ``done``."""
        try:
            return max(done, int(self._handle.tell()))
        except soundfile.SoundFileError:
            return done

    def close(self) -> None:
        """Release the file."""
        self._handle.close()
        self._file.close()


def _reason(error: soundfile.SoundFileError) -> str:
    """What libsndfile says, without the number of the file descriptor."""
    return str(getattr(error, "error_string", error)).rstrip(".")


class AvReader:
    """m4a, aac, wma, webm … through PyAV (FFmpeg's libraries)."""

    def __init__(self, path: Path, max_seconds: float | None, name: str, kind: str) -> None:
        """Open the first audio stream; ``kind`` says what this is that libsndfile cannot read."""
        try:
            import av  # an extra: FFmpeg is large, and only these containers need it
        except ImportError as error:
            raise MissingPackageError(
                f"{name}: is {kind}. It needs PyAV: pip install 'mirfeat[av]'"
            ) from error
        self.name = name
        self._av: Any = av
        try:
            # FFmpeg takes "01: Intro.m4a" for an address, and tags come in any encoding.
            self._handle = av.open(str(path.absolute()), metadata_errors="replace")
        except av.FFmpegError as error:
            raise DecodeError(f"{name}: not decodable (FFmpeg: {error.strerror}).") from error
        try:
            self._start(max_seconds)
        except BaseException:
            self.close()
            raise

    def _start(self, max_seconds: float | None) -> None:
        if not self._handle.streams.audio:
            raise DecodeError(f"{self.name}: there is no audio in this file.")
        self._stream = self._handle.streams.audio[0]
        # The header of an AAC stream may say half the rate and half the channels of its frames.
        self.sample_rate: int = self._stream.codec_context.sample_rate or 1
        self._done = 0
        self._decoded = self._decode()
        first = next(self._decoded, None)
        if first is None:
            raise EmptyAudioError(f"{self.name}: a header, but no samples.")
        self._first, self.channels = first, len(first)
        check_rate(self)
        self._limit = limit_samples(max_seconds, self.sample_rate)

    def blocks(self) -> Blocks:
        """Decode frame by frame, gathered to blocks of about ten seconds."""
        size, held = block_samples(self.sample_rate, self.channels), 0
        waiting: list[np.ndarray] = []
        for frame in itertools.chain([self._first], self._decoded):
            waiting.append(frame[:, : self._limit - self._done])
            held += waiting[-1].shape[1]
            self._done += waiting[-1].shape[1]
            if held >= size:
                yield np.concatenate(waiting, axis=1)
                waiting, held = [], 0
            if self._done == self._limit:
                break
        else:
            self._check_length()
        if held:
            yield np.concatenate(waiting, axis=1)

    def _decode(self) -> Blocks:
        planar, kind = self._av.AudioResampler(format="fltp"), ""
        try:
            for frame in self._handle.decode(self._stream):
                found = f"{frame.sample_rate} Hz {frame.layout.name}"
                if kind and found != kind:
                    raise self._damaged(f"{kind} becomes {found} there")
                self.sample_rate, kind = frame.sample_rate, found
                for part in planar.resample(frame):
                    yield part.to_ndarray()
        except self._av.FFmpegError as error:
            raise self._damaged(f"FFmpeg: {error.strerror}") from error

    def _announced_seconds(self) -> float | None:
        """What the container states; elsewhere FFmpeg estimates from the bit rate."""
        kind, stream = self._handle.format.name, self._stream
        if kind.startswith(("mov", "asf")) and stream.duration is not None:
            return float(stream.duration * stream.time_base)
        # Matroska has one duration for all its streams; FFmpeg's estimate is the stream's.
        alone = len(self._handle.streams) == 1 and stream.duration is None
        if kind.startswith("matroska") and alone and self._handle.duration is not None:
            return float(self._handle.duration / self._av.time_base)
        return None

    def _check_length(self) -> None:
        announced = self._announced_seconds() or 0.0
        if self._done / self.sample_rate < announced - _CONTAINER_TOLERANCE_SECONDS:
            raise self._damaged("the stream ends there")

    def _damaged(self, reason: str) -> DecodeError:
        return damaged(self, self._done, self._announced_seconds(), reason)

    def close(self) -> None:
        """Release the file."""
        self._handle.close()
