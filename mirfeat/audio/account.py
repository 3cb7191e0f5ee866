"""What a file announces and what lies in it, found before a sample is decoded.

Every container has its own way of counting; here it becomes one record, with the decoders that may
read the file, the best one first. Whoever decodes less than is there is not asked, and what cannot
be right is an error here: a feature of part of a file looks right and is not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from mirfeat.audio.chunks import ChunkFile, scan_chunks
from mirfeat.audio.containers import HEAD_BYTES, check_container, container_of
from mirfeat.audio.flac import scan_flac, totals_behind
from mirfeat.audio.frames import FrameStream, scan_frames
from mirfeat.audio.mpeg import DECODER_DELAY, LengthFrame, read_length_frame
from mirfeat.audio.ogg import OPUS_RATE, OggFile, opus_at_48_khz, scan_ogg
from mirfeat.audio.opened import OpenedFile, Patch
from mirfeat.audio.reader import damaged
from mirfeat.audio.tags import end_of_audio, start_of_audio
from mirfeat.errors import DecodeError, EmptyAudioError

Way: TypeAlias = Literal["libsndfile", "container", "frames"]

# Lossless formats announce exact lengths. Healthy MP3s of the wild are up to 0.3 s off.
LOSSY_SECONDS, LOSSY_SHARE = 0.5, 0.05
# Encoders count their first frame or not, and one more or less at the end.
_FRAMES = 2
# Less than this behind the audio of a lossless file is no music.
_UNNAMED_SECONDS, _UNNAMED_BYTES = 0.05, 4096
# Headers that count bytes in 32 bits are that much short, less what is in front.
_WRAPPED = (1 << 32) - (1 << 20)

# Share of a file behind its frames, or missing, of which libmpg123 says something.
_NOTED = 0.005


@dataclass
class Account:
    """One file's record. Lengths in seconds, None where nobody knows.

    ``samples`` per channel at ``rate`` are what must be decoded, give or take ``tolerance``
    seconds; None leaves it to what the decoder says.
    """

    container: str
    ways: tuple[Way, ...]
    announced: float | None = None
    found: float | None = None
    rate: int = 0
    samples: int | None = None
    tolerance: float = 0.0
    slack: float = 0.0
    """Seconds by which libsndfile's own count may be shorter."""
    start: int = 0
    """Where the audio begins, behind tags."""
    end: int | None = None
    """Where it ends, if libsndfile shall not see what follows."""
    sized: bool = True
    patch: Patch | None = None
    """What a decoder shall see instead of a header that is wrong."""
    frames: FrameStream | None = None
    skip_frames: int = 0
    skip_samples: int = 0
    why: str = ""
    """Why libsndfile is not asked."""
    notes: list[str] = field(default_factory=list)


def take_stock(file: OpenedFile, max_seconds: float | None) -> Account:
    """Look through a file as far as ``max_seconds`` need it.

    Raises:
        DecodeError: parts are missing or damaged, or the lengths contradict each other.
        EmptyAudioError: no bytes.
    """
    if not file.size:
        raise EmptyAudioError(f"{file.name}: the file has 0 bytes.")
    start = start_of_audio(file)
    head = file.read_at(start, HEAD_BYTES)
    if (chunks := scan_chunks(file, start)) is not None:
        return _of_chunks(file, chunks, start, max_seconds)
    if head[:4] == b"fLaC":
        return _of_flac(file, start, max_seconds)
    if (pages := scan_ogg(file, start, max_seconds)) is not None:
        return _of_ogg(file, pages, start, max_seconds)
    if container := container_of(head):
        check_container(file, container, start)
        account = Account(container, ("container",), why="which libsndfile does not read")
        end = end_of_audio(file, start)
        if start or end < file.size:  # tags of other formats, which FFmpeg does not expect there
            account.start, account.end = start, end
        return account
    end = end_of_audio(file, start)
    most = None if max_seconds is None else int((max_seconds + 1.0) * 200_000)
    if (stream := scan_frames(file, start, end, most)) is not None:
        return _of_frames(file, stream, max_seconds)
    return Account("", ("libsndfile", "container"), start=start, sized=False)


def _of_chunks(
    file: OpenedFile, chunks: ChunkFile, start: int, max_seconds: float | None
) -> Account:
    wanted = float("inf")
    if max_seconds is not None and chunks.per_second:
        wanted = max_seconds * chunks.per_second - 1e-3
    announced, found = chunks.announced, chunks.found
    if announced is not None and found < min(announced, wanted):
        raise DecodeError(
            f"{file.name}: the header announces {announced} bytes of audio, the file has {found}. "
            "It is truncated; no feature was made."
        )
    if chunks.mpeg:
        stream = scan_frames(file, chunks.start, chunks.start + found + chunks.unnamed)
        if stream is not None:
            account = _of_frames(file, stream, max_seconds)
            account.container, account.start = f"{stream.kind.word} in WAV", 0
            return account
    account = Account(chunks.container, ("libsndfile", "container"), start=start)
    if chunks.per_second:
        account.announced = None if announced is None else announced / chunks.per_second
        account.found = (found + chunks.unnamed) / chunks.per_second
    least = max(_UNNAMED_BYTES, _UNNAMED_SECONDS * chunks.per_second)
    if chunks.unnamed > least and wanted > found:
        _read_on(file, chunks, account)
    return account


def _read_on(file: OpenedFile, chunks: ChunkFile, account: Account) -> None:
    """More lies behind the audio than the header announces."""
    wrapped = chunks.unnamed >= _WRAPPED or not chunks.announced
    if chunks.container == "WAV" and wrapped and not chunks.joined:
        # As encoders say that do not know: then all that follows is audio.
        account.ways, account.patch = ("libsndfile",), Patch(chunks.start - 4, b"\xff" * 4)
        if chunks.unnamed >= _WRAPPED:  # libsndfile has no more than 32 bits either
            account.ways, account.patch = ("container",), Patch(chunks.start - 4, bytes(4))
            account.why = "of more than 4 GiB, whose header cannot say so"
        account.tolerance = account.slack = _UNNAMED_SECONDS
        return
    counts = f"{chunks.announced} bytes of audio, {chunks.unnamed} more lie behind them"
    if chunks.per_second:
        counts += f" ({account.announced:.1f} of {account.found:.1f} s)"
    kind = "and begin another file" if chunks.joined else "and belong to nothing"
    raise DecodeError(
        f"{file.name}: the header announces {counts} {kind}. Which of them is music cannot be "
        "told; no feature was made. Split it, or have it rewritten by an audio editor."
    )


def _of_flac(file: OpenedFile, start: int, max_seconds: float | None) -> Account:
    end = end_of_audio(file, start)
    flac = scan_flac(file, start, end)
    account = Account("FLAC", ("libsndfile", "container"), start=start)
    if flac is None or not flac.rate:
        return account
    account.rate, announced = flac.rate, flac.announced
    account.announced = announced / flac.rate if announced else None
    account.found = None if flac.found is None else flac.found / flac.rate
    if max_seconds is not None and max_seconds * flac.rate <= announced:
        return account
    if others := list(totals_behind(file, flac.audio, end)):
        total = (announced + sum(others)) / flac.rate
        raise DecodeError(
            f"{file.name}: {1 + len(others)} FLAC files lie in it one after the other; the "
            f"first announces {announced / flac.rate:.1f} s, all of them about {total:.1f} s. "
            "No feature was made. Split it."
        )
    if not announced:
        account.why = "which libsndfile does not read to its end"
        account.container = "FLAC of unannounced length"
    elif flac.found is not None and flac.found > announced:
        account.why = f"of which the header announces only {announced / flac.rate:.1f} s"
    if account.why:
        account.ways, account.samples = ("container",), flac.found
    return account


def _of_ogg(file: OpenedFile, ogg: OggFile, start: int, max_seconds: float | None) -> Account:
    seconds = sum(stream.samples / stream.rate for stream in ogg.streams)
    if ogg.damaged_at is not None:
        raise damaged(file.name, ogg.damaged_at, None, ogg.why)
    ended = bool(ogg.streams) and ogg.streams[-1].ended
    if ogg.cut and not ended and (max_seconds is None or max_seconds > seconds):
        raise DecodeError(
            f"{file.name}: an Ogg stream without an end after {seconds:.1f} s. "
            "It is truncated; no feature was made."
        )
    if not ogg.streams:
        return Account("Ogg", ("libsndfile", "container"), start=start)
    first = ogg.streams[0]
    account = Account(f"Ogg {first.codec.capitalize()}", ("libsndfile", "container"), start=start)
    account.rate, account.tolerance = first.rate, LOSSY_SECONDS
    account.slack = _UNNAMED_SECONDS
    if ogg.complete:
        account.announced = account.found = seconds
        several = ogg.streams if ogg.chained else [first]
        account.samples = sum(round(s.samples * first.rate / s.rate) for s in several)
    if ogg.chained:
        account.why = f"{len(ogg.streams)} recordings one after the other"
    elif first.codec == "opus" and (first.channels > 2 or first.family):
        account.why = "of more than two channels, which libsndfile does not always read"
    elif first.codec not in ("opus", "vorbis"):
        account.why = "which libsndfile does not read"
    if account.why:
        account.ways = ("container",)
    elif first.codec == "opus" and first.header_rate not in (44_100, OPUS_RATE):
        # libsndfile would decode at 8 kHz what was a recording of speech, or says nothing.
        account.patch = Patch(start, opus_at_48_khz(file.read_at(start, first.first_page)))
    return account


def _of_frames(file: OpenedFile, stream: FrameStream, max_seconds: float | None) -> Account:
    kind, header = stream.kind, read_length_frame(file, stream)
    account = Account(kind.word, ("frames",), rate=kind.rate, start=stream.first, frames=stream)
    if kind.codec.startswith("mp"):
        account.ways = ("libsndfile", "frames")
    count = stream.count - (header is not None)
    account.skip_frames = 0 if header is None else 1
    account.slack = _FRAMES * kind.samples / kind.rate
    account.tolerance = min(LOSSY_SECONDS, LOSSY_SHARE * count * kind.samples / kind.rate)
    if stream.complete:
        _check_frames(file, stream, count, max_seconds)
        account.samples, account.found = count * kind.samples, count * kind.samples / kind.rate
        _compare(account, header, count, file.size)
    if stream.lost and stream.complete:
        lost = stream.lost / kind.rate
        account.notes.append(f"damaged: about {lost:.2f} s are missing")
    if stream.junk and not stream.free_format:
        # Frames are known here; libsndfile gives up at some kinds of damage.
        account.ways = ("frames",)
    if stream.free_format:
        account.ways = ("libsndfile",)
    return account


def _check_frames(
    file: OpenedFile, stream: FrameStream, count: int, max_seconds: float | None
) -> None:
    seconds = count * stream.kind.samples / stream.kind.rate
    if max_seconds is not None and max_seconds <= seconds:
        return
    if stream.becomes is not None:
        raise damaged(file.name, seconds, None, f"{stream.kind} becomes {stream.becomes} there")
    lost = stream.lost / stream.kind.rate
    if lost > min(LOSSY_SECONDS, LOSSY_SHARE * seconds):
        raise damaged(
            file.name, seconds, seconds + lost, f"{stream.junk} bytes between frames are no audio"
        )


def _compare(account: Account, header: LengthFrame | None, count: int, size: int) -> None:
    """What the header in the first frame says, beside the frames that are there."""
    assert account.frames is not None
    assert account.samples is not None
    if header is None:
        return
    samples = account.frames.kind.samples
    trims = header.delay + DECODER_DELAY if header.delay or header.padding else 0
    account.skip_samples = trims
    first, stop = account.frames.first, account.frames.runs[-1][1]
    if account.container == account.frames.kind.word and size - stop > _NOTED * (stop - first):
        account.end = stop  # libmpg123 would write on the terminal that the sizes differ
    there = (account.end or size) - first
    if header.size and abs(header.size - there) > _NOTED * there and there < 1 << 32:
        account.patch = Patch(header.size_at, there.to_bytes(4, "big"))  # as it would of these
    if header.frames is None:
        account.why = "whose length header is empty"
        account.samples -= trims
        return
    trimmed = header.delay + header.padding
    account.announced = (header.frames * samples - trimmed) / account.rate
    account.found = (count * samples - trimmed) / account.rate
    if count > header.frames + _FRAMES:
        account.ways, account.samples = ("frames",), account.samples - trims
        account.why = f"whose header announces only {account.announced:.1f} s"
    else:
        account.samples = max(count, header.frames) * samples - trimmed
