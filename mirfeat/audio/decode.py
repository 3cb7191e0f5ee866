"""Audio files as a stream of blocks: the only place that chooses a decoder.

The format is taken from the content, never from the name. What the first decoder refuses, or would
read only part of, goes to the second; the error names both answers. What a file announces, what
lies in it and what is decoded must agree, or it is an error: a feature of part of a file looks
right and is not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mirfeat.audio.account import LOSSY_SECONDS, LOSSY_SHARE, Account, take_stock
from mirfeat.audio.ffmpeg import ContainerDecoder, PacketDecoder
from mirfeat.audio.frames import frame_at, frames_of
from mirfeat.audio.libsndfile import SoundFileDecoder
from mirfeat.audio.opened import OpenedFile, open_object, open_path
from mirfeat.audio.reader import (
    MAX_RATE_HZ,
    MIN_RATE_HZ,
    Blocks,
    DamagedError,
    Decoder,
    RefusedError,
    damaged,
    limit_samples,
)
from mirfeat.errors import (
    DecodeError,
    EmptyAudioError,
    MirfeatError,
    MissingPackageError,
)

# A file of a few kilobytes can hold days of silence. ``max_seconds`` sets another limit.
LONGEST_SECONDS = 24 * 3600.0
# What lossless containers state may be rounded.
_STATED_SECONDS = 0.02
# Containers count the delay of an encoder in their durations, in their various ways.
_DELAY_SECONDS = 0.1
# Frames that are a stream to libmpg123.
_SEVERAL = 10


def open_file(path: Path, max_seconds: float | None = None, name: str | None = None) -> FileReader:
    """Open an audio file, whatever its name says it is.

    Only the first ``max_seconds`` are decoded (24 hours if None), and what lies behind them is not
    checked. Messages call the file ``name``; by default that is its path.

    Raises:
        DecodeError: not there, no regular file, not audio, damaged, or of contradictory length.
        EmptyAudioError: no bytes, or a header without a single sample.
        MissingPackageError: it needs PyAV, which is not installed.
    """
    return _read(open_path(path, str(path) if name is None else name), max_seconds)


def open_encoded(value: Any, name: str, max_seconds: float | None = None) -> FileReader:
    """The same for bytes or an open binary file, read from its start.

    Raises:
        AudioError: text, or a stream that cannot go back; besides what :func:`open_file` raises.
    """
    return _read(open_object(value, name), max_seconds)


def _read(file: OpenedFile, max_seconds: float | None) -> FileReader:
    try:
        account = take_stock(file, max_seconds)
        return FileReader(file, account, _choose(file, account, max_seconds), max_seconds)
    except (MirfeatError, MemoryError):
        file.close()
        raise
    except Exception as error:
        file.close()
        raise _of_the_file(file.name, error) from error
    except BaseException:
        file.close()
        raise


def _of_the_file(name: str, error: Exception) -> Exception:
    """An error of a library while it read a file, as one that belongs to the file."""
    if isinstance(error, OSError) and error.errno is not None and not error.filename:
        return DecodeError(f"{name}: {error.strerror or error}.")
    return DecodeError(f"{name}: cannot be decoded ({type(error).__name__}: {error}).")


def _choose(file: OpenedFile, account: Account, max_seconds: float | None) -> Decoder:
    """The first decoder that reads the file, and all that is wanted of it."""
    answers: list[str] = []
    last: RefusedError | None = None
    kind = ", ".join(filter(None, (account.container or "of unknown format", account.why)))
    for way in account.ways:
        try:
            if way == "libsndfile":
                decoder = SoundFileDecoder(
                    file, account.start, end=account.end, sized=account.sized, patch=account.patch
                )
                _check_offer(decoder, account, max_seconds)
                return decoder
            if way == "container":
                return ContainerDecoder(file, kind, account.start, account.end, account.patch)
            return _frame_decoder(file, account, kind)
        except RefusedError as refusal:
            answers.append(str(refusal))
            last = refusal
            kind = f"{account.container}, {refusal}"
        except MissingPackageError:
            if account.container:
                raise
            answers.append("PyAV, which reads more, is not installed: pip install av")
    what = "not a readable audio file"
    if account.container:
        what = f"not readable as {account.container}"
    # What the last one failed of may be the machine's fault, such as too many open files.
    raise DecodeError(f"{file.name}: {what} ({'; '.join(answers)}).") from last


def _check_offer(decoder: SoundFileDecoder, account: Account, max_seconds: float | None) -> None:
    """Refuse libsndfile where it would decode less than there is, or at another rate."""
    reason = ""
    if account.rate and decoder.sample_rate != account.rate:
        reason = f"at {decoder.sample_rate} Hz, it has {account.rate} Hz"
    elif decoder.samples is None:
        reason = "without an end"
    elif account.samples is not None and decoder.samples < limit_samples(
        max_seconds, decoder.sample_rate
    ):
        offered, there = decoder.samples / account.rate, account.samples / account.rate
        if offered < there - account.slack:
            reason = f"{offered:.1f} of {there:.1f} s"
    if reason:
        decoder.close()
        raise RefusedError(f"of which libsndfile would read {reason}")


def _frame_decoder(file: OpenedFile, account: Account, kind: str) -> PacketDecoder:
    assert account.frames is not None
    codec = account.frames.kind.codec
    # The decoders in floats give more than 16 bits.
    name = f"{codec}float" if codec.startswith("mp") else codec
    packets = frames_of(file, account.frames, account.skip_frames)
    return PacketDecoder(file, kind, name, packets, account.skip_samples)


class FileReader:
    """A file while it is decoded, checked against its account."""

    def __init__(
        self, file: OpenedFile, account: Account, decoder: Decoder, max_seconds: float | None
    ) -> None:
        """Read what ``decoder`` gives; ``account`` says how much that must be."""
        self.name, self.account = file.name, account
        self.sample_rate, self.channels = decoder.sample_rate, decoder.channels
        self.layout, self.notes = decoder.layout, list(account.notes)
        self.decoder, self._file, self._longest = decoder, file, max_seconds is None
        limit = LONGEST_SECONDS if max_seconds is None else max_seconds
        self._limit, self._begins = limit_samples(limit, self.sample_rate), 0
        if not MIN_RATE_HZ <= self.sample_rate <= MAX_RATE_HZ:
            self.close()
            raise DecodeError(
                f"{self.name}: its header says {self.sample_rate} Hz, which is not audio."
            )
        if decoder.samples == 0:
            self.close()
            raise EmptyAudioError(f"{self.name}: a header, but no samples.")
        self._known = None
        if account.samples is not None:
            self._known = round(account.samples * self.sample_rate / account.rate)

    def begin_before(self, sample: int) -> int:
        """Have :meth:`blocks` begin a second or more before ``sample``; where they do begin.

        After a second every decoder gives what it gives from the start of the file. Containers that
        PyAV reads are decoded from the start.
        """
        if isinstance(self.decoder, SoundFileDecoder) and sample > self.sample_rate:
            wanted = sample - self.sample_rate
            if not self._begin_at_frame(wanted):
                self._begins = self.decoder.jump(wanted)
        return self._begins

    def _begin_at_frame(self, sample: int) -> bool:
        """Begin at the frame of an mp3 that holds ``sample``; whether that can be done.

        libmpg123 would follow all frames up to it once more, a kilobyte at a time.
        """
        account, stream = self.account, self.account.frames
        if stream is None or account.container != stream.kind.word:
            return False
        # Without a header that says both, nobody knows which sample the first one is.
        if self._known is None or account.announced is None:
            return False
        number = (sample + account.skip_samples) // stream.kind.samples
        place = frame_at(self._file, stream, number + account.skip_frames)
        # It would speak on the terminal of a stream of a single frame.
        if place is None or number + _SEVERAL > stream.count:
            return False
        self.decoder.close()
        begins = number * stream.kind.samples - account.skip_samples
        self.decoder = SoundFileDecoder(self._file, place, end=account.end, begins=begins)
        # It guesses how long it is from its first frame.
        if (self.decoder.samples or 0) < min(self._limit, self._known):
            self.decoder.close()
            self.decoder = SoundFileDecoder(self._file, account.start, end=account.end)
            return False
        self._begins = begins
        return True

    def blocks(self) -> Blocks:
        """Decode block by block; DecodeError where the file is damaged."""
        done, most = self._begins, self._limit
        if self._known is not None and self.account.announced is None:
            # Where nothing is announced, libsndfile guesses, and reads what follows the audio.
            most = min(most, self._known)
        try:
            for block in self.decoder.blocks(most):
                done += block.shape[1]
                yield block
        except DamagedError as error:
            total = self._total()
            position = max(done, error.done) / self.sample_rate
            raise damaged(self.name, position, total, str(error)) from error
        except (MirfeatError, MemoryError):
            raise
        except Exception as error:
            raise _of_the_file(self.name, error) from error
        if done < self._limit:
            self._check_length(done)
        elif self._longest:
            hours = LONGEST_SECONDS / 3600
            self.notes.append(f"longer than {hours:g} h: used the first {hours:g} h")

    @property
    def announced(self) -> float | None:
        """Seconds that the file says it has, by its container or its header."""
        return getattr(self.decoder, "announced", None) or self.account.announced

    def _total(self) -> float | None:
        """Seconds that there should be, where anybody knows."""
        announced = self.announced
        if announced is None and self.decoder.samples is not None:
            announced = self.decoder.samples / self.sample_rate
        if announced is None and self._known is not None:
            announced = self._known / self.sample_rate
        return announced

    def _check_length(self, done: int) -> None:
        """All was decoded: is it what was announced and what was found?"""
        seconds, account = done / self.sample_rate, self.account
        expected, tolerance = self._known, account.tolerance
        if expected is None:
            expected = self.decoder.samples
        if expected is not None and done < expected - tolerance * self.sample_rate:
            raise damaged(self.name, seconds, self._total(), "the stream ends there")
        if self._known is not None and seconds > self._known / self.sample_rate + LOSSY_SECONDS:
            found = self._known / self.sample_rate
            raise DecodeError(
                f"{self.name}: {seconds:.1f} s were decoded, but {found:.1f} s lie in the file. "
                "No feature was made."
            )
        if (stated := getattr(self.decoder, "announced", None)) is not None:
            allowed = min(LOSSY_SECONDS, max(_DELAY_SECONDS, LOSSY_SHARE * stated))
            if getattr(self.decoder, "lossless", False):
                allowed = _STATED_SECONDS
            if seconds < stated - allowed:
                raise damaged(self.name, seconds, stated, "the stream ends there")

    def close(self) -> None:
        """Release the file."""
        self.decoder.close()
        self._file.close()
