"""FFmpeg's libraries through PyAV: m4a, wma, webm, WavPack … The only importer of av."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from mirfeat.audio.opened import FileView, OpenedFile, Patch
from mirfeat.audio.reader import Blocks, DamagedError, RefusedError, block_samples
from mirfeat.errors import EmptyAudioError, MissingPackageError

# What may be opened. Playlists and streams are not among them: they lead to other files.
_FORMATS = (
    "aac,ac3,aiff,amr,ape,apm,asf,asf_o,au,avi,caf,dsf,dts,dtshd,eac3,flac,flv,gsm,iff,ircam,"
    "loas,matroska,webm,mlp,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpc,mpc8,mpeg,mpegts,nsv,nut,oma,ogg,"
    "qcp,rm,shn,sln,sol,sox,tak,truehd,tta,voc,w64,wav,wsd,wtv,wv,xwma"
)
# Containers that state a length; for others FFmpeg estimates it from the bit rate.
_STATE_LENGTH = ("mov", "asf", "wv", "tta", "ape", "caf", "tak", "mpc8", "avi", "dsf", "aiff")
# These must have every sample that is announced and every checksum right.
_LOSSLESS = ("flac", "wavpack", "tta", "ape", "alac", "tak", "truehd", "mlp", "shorten")
# Gaps in the clock of a stream, by which losses show in containers without numbers.
_GAP_SECONDS = 0.2
# to_ndarray of planar sound is safe for as many channels as a frame has pointers for.
_PLANAR_CHANNELS = 8


def import_av(name: str, kind: str) -> Any:
    """PyAV, or an error that names the file that needs it."""
    try:
        import av  # not before a file needs it: it takes longer to load than a short clip
    except ImportError as error:
        raise MissingPackageError(f"{name}: is {kind}. It needs PyAV: pip install av") from error
    return av


class _AvDecoder:
    """What both ways through FFmpeg share: frames to blocks."""

    samples: int | None = None
    announced: float | None = None
    """Seconds that the container states."""

    def __init__(self, av: Any, frames: Iterator[Any], name: str) -> None:
        self._av, self._frames, self._kind = av, self._checked(frames), ""
        self.done = 0
        try:
            first = next(self._frames, None)
        except DamagedError as error:
            raise RefusedError(str(error)) from error
        if first is None:
            raise EmptyAudioError(f"{name}: a header, but no samples.")
        # The header of an AAC stream may say half the rate and half the channels of its frames.
        self.sample_rate: int = first.sample_rate
        self.channels: int = first.layout.nb_channels
        self.layout = tuple(channel.name for channel in first.layout.channels)
        if not any(self.layout) or self.channels <= 2:
            self.layout = ()
        self._first = first

    def blocks(self, most: int) -> Blocks:
        """Decode frame by frame, gathered to blocks of about ten seconds."""
        size, held = block_samples(self.sample_rate, self.channels), 0
        waiting: list[np.ndarray] = []
        for part in self._arrays(itertools.chain([self._first], self._frames)):
            waiting.append(part[:, : most - self.done])
            held += waiting[-1].shape[1]
            self.done += waiting[-1].shape[1]
            if held >= size:
                yield np.concatenate(waiting, axis=1)
                waiting, held = [], 0
            if self.done >= most:
                break
        if held:
            yield np.concatenate(waiting, axis=1)

    def _arrays(self, frames: Iterable[Any]) -> Iterator[np.ndarray]:
        """Float32 [C, n] of each frame."""
        planar = self.channels <= _PLANAR_CHANNELS
        converter = self._av.AudioResampler(format="fltp" if planar else "flt")
        for frame in frames:
            for part in converter.resample(frame):
                array = part.to_ndarray()
                yield array if planar else array.reshape(-1, self.channels).T

    def _checked(self, frames: Iterator[Any]) -> Iterator[Any]:
        """Frames that are all of one kind."""
        kind = ""
        try:
            for frame in frames:
                found = f"{frame.sample_rate} Hz {frame.layout.name}"
                if kind and found != kind:
                    raise DamagedError(f"{kind} becomes {found} there", self.done)
                kind = found
                yield frame
        except self._av.FFmpegError as error:
            raise DamagedError(f"FFmpeg: {error.strerror}", self.done) from error
        except EOFError as error:
            raise DamagedError(str(error), self.done) from error


class ContainerDecoder(_AvDecoder):
    """The first audio stream of a container."""

    def __init__(
        self,
        file: OpenedFile,
        kind: str,
        start: int = 0,
        end: int | None = None,
        patch: Patch | None = None,
    ) -> None:
        """Open the file; ``kind`` is its container, for messages.

        It lies from ``start`` to ``end``; ``patch`` corrects its header.

        Raises:
            RefusedError: FFmpeg does not read this.
            EmptyAudioError: not a single sample.
            MissingPackageError: PyAV is not installed.
        """
        av = import_av(file.name, kind)
        # Not its name: FFmpeg would let the ending decide, and take "01: Intro.m4a" for an address.
        source: Any = FileView(file, start, patch, end)
        options = {"format_whitelist": _FORMATS, "protocol_whitelist": "fd"}
        if file.path is not None and not start and end is None and patch is None:
            file.stream.seek(0)
            source, options["fd"] = "fd:", str(file.stream.fileno())
        # Tags come in any encoding; from version 19 on PyAV minds none, and has no such argument.
        tags = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
        try:
            self._handle = av.open(source, options=options, **tags)
        except (av.FFmpegError, UnicodeError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise RefusedError(f"FFmpeg: {reason}") from error
        try:
            self._stream = self._first_audio()
            super().__init__(av, self._decoded(), file.name)
            self.announced = self._announced()
        except BaseException:
            self._handle.close()
            raise

    def _first_audio(self) -> Any:
        if not self._handle.streams.audio:
            raise RefusedError("FFmpeg: there is no audio in this file")
        stream = self._handle.streams.audio[0]
        if stream.codec_context is None:
            raise RefusedError("FFmpeg: it has no decoder for this audio")
        self.lossless = stream.codec_context.name in _LOSSLESS or (
            stream.codec_context.name.startswith("pcm_")
        )
        if self.lossless:
            stream.codec_context.options = {"err_detect": "crccheck+explode"}
        return stream

    def _decoded(self) -> Iterator[Any]:
        clock, stated = None, self._handle.format.name.startswith("mov")
        for packet in self._handle.demux(self._stream):
            if packet.is_corrupt:
                raise DamagedError("a packet is damaged or cut", self.done)
            if packet.pts is not None and not stated:
                if clock is not None and (packet.pts - clock) * packet.time_base > _GAP_SECONDS:
                    missing = float((packet.pts - clock) * packet.time_base)
                    raise DamagedError(f"{missing:.1f} s are missing there", self.done)
                clock = packet.pts + (packet.duration or 0)
            yield from packet.decode()

    def _announced(self) -> float | None:
        kind, stream = self._handle.format.name, self._stream
        if kind.startswith(_STATE_LENGTH) and stream.duration is not None:
            return float(stream.duration * stream.time_base)
        # Matroska has one duration for all its streams; FFmpeg's estimate is the stream's.
        alone = len(self._handle.streams) == 1 and stream.duration is None
        if kind.startswith("matroska") and alone and self._handle.duration is not None:
            return float(self._handle.duration / self._av.time_base)
        return None

    def close(self) -> None:
        """Release FFmpeg's part."""
        self._handle.close()


class PacketDecoder(_AvDecoder):
    """Frames that were found here, one by one: FFmpeg's own search for them is left out."""

    def __init__(
        self, file: OpenedFile, kind: str, codec: str, packets: Iterator[bytes], skip: int
    ) -> None:
        """Decode ``packets``; the first ``skip`` samples are left out.

        Raises:
            RefusedError, EmptyAudioError, MissingPackageError: as for a container.
        """
        av = import_av(file.name, kind)
        self._packets, self._skip = packets, skip
        try:
            self._context = av.CodecContext.create(codec, "r")
        except (av.FFmpegError, ValueError) as error:
            raise RefusedError(f"FFmpeg: it has no decoder for {kind}") from error
        self._packet = av.Packet
        super().__init__(av, self._decoded(), file.name)

    def _decoded(self) -> Iterator[Any]:
        for data in self._packets:
            yield from self._context.decode(self._packet(data))
        yield from self._context.decode(None)

    def _arrays(self, frames: Iterable[Any]) -> Iterator[np.ndarray]:
        skip = self._skip
        for part in super()._arrays(frames):
            if skip < part.shape[1]:
                yield part[:, skip:]
            skip = max(0, skip - part.shape[1])

    def close(self) -> None:
        """Nothing to release."""
