"""Mel spectrograms of whole tracks on disk, so that decoding is paid once.

A cache folder holds, for one kind of mel spectrogram, volumes of float16 levels (dB or natural log,
before anything that depends on a segment) and beside each volume a table of the tracks in it. A
volume is complete when its table is there, so a build that was killed goes on where it stopped (one
that was told to end keeps what it has), and several processes or machines may fill one folder (each
a ``shard``).
Letters in shapes: C channels, F mel bands, T frames.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from mirfeat.csvfiles import read_csv, write_csv
from mirfeat.errors import AudioError, MissingPackageError
from mirfeat.files import replacing
from mirfeat.networks.frontend import Frontend, MelSpec
from mirfeat.runs.progress import Shown, counted
from mirfeat.store import interrupts
from mirfeat.store.jobarray import Shard
from mirfeat.training.mel_frames import Track, track_levels

logger = logging.getLogger("mirfeat")

FORMAT = 1
HEADER = ("id", "first_frame", "frames", "seconds", "origin")
# Large enough that a million clips are a few thousand files, small enough to lose little by a kill.
VOLUME_BYTES = 1 << 28


class FailedTrack(NamedTuple):
    """A track that could not be taken in, and why."""

    id: str
    error: str


@dataclass(frozen=True, eq=False)
class _Place:
    volume: int
    first_frame: int
    frames: int
    seconds: float
    origin: str


class MelCache:
    """Reader of one cache folder. Levels are memory-mapped: resident memory is what is touched."""

    def __init__(self, folder: Path, mel: MelSpec) -> None:
        """Open the folder of ``mel`` below ``folder``; it may be empty or absent."""
        self.folder, self.mel = folder_of(folder, mel), mel
        self._places: dict[str, _Place] = {}
        self._volumes: list[np.ndarray] = []
        shape = (-1, mel.channels, mel.n_mels)
        tables = self.folder.glob("*.csv")
        # The youngest last: it has the tracks that were taken in anew.
        for table in sorted(tables, key=lambda path: (path.stat().st_mtime_ns, path.name)):
            values = np.memmap(table.with_suffix(".f16"), np.float16, "r").reshape(shape)
            for name, first, frames, seconds, origin in read_csv(table, HEADER):
                volume = len(self._volumes)
                self._places[name] = _Place(volume, int(first), int(frames), float(seconds), origin)
            self._volumes.append(values)

    def __contains__(self, id: object) -> bool:
        """Whether a track is there."""
        return id in self._places

    def is_current(self, track: Track) -> bool:
        """Whether a track is there as its file and its limit are now."""
        place = self._places.get(track.id)
        return place is not None and origin_of(track) in ("", place.origin)

    def seconds(self, id: str) -> float:
        """Duration of a track, as decoded."""
        return self._places[id].seconds

    def levels(self, id: str) -> np.ndarray:
        """A track's levels, float16 [T, C, F], without reading them yet."""
        place = self._places[id]
        return self._volumes[place.volume][place.first_frame : place.first_frame + place.frames]


def origin_of(track: Track) -> str:
    """What levels depend on besides the front end; empty where the file is not at hand."""
    try:
        size = track.file.stat().st_size
    except OSError:
        return ""
    limit = "all" if track.max_seconds is None else f"{track.max_seconds:g} s"
    return f"{size} bytes, {limit}"


def folder_of(folder: Path, mel: MelSpec) -> Path:
    """Where the levels of ``mel`` are kept: equal for all specs that differ in later steps only."""
    # Reference and floor of decibels come later; of other scalings all may matter.
    amount = getattr(mel.scaling, "amin", None) or getattr(mel.scaling, "floor", None)
    amount = amount or repr(mel.scaling)
    kept = replace(mel, scaling=type(mel.scaling).__name__, standardise=False)  # type: ignore[arg-type]
    key = hashlib.sha256(f"{FORMAT} {kept} {amount}".encode()).hexdigest()[:8]
    return folder / f"mel-{mel.n_mels}x{mel.channels}-{mel.sample_rate}-{key}"


def build(
    tracks: Sequence[Track],
    folder: Path,
    mel: MelSpec,
    *,
    workers: int = 2,
    shard: Shard | None = None,
    progress: Shown = None,
) -> list[FailedTrack]:
    """Take in what is not there, or has changed; with ``shard`` only its share of the tracks.

    Returns: those that failed. Whatever ends it before, tracks that were taken in are kept.

    Memory: one volume, and two tracks a worker (an hour of stereo at 22 kHz is 160 MB).
    """
    cache = MelCache(folder, mel)
    own = tracks if shard is None else [track for track in tracks if shard.has(track.id)]
    waiting = [track for track in own if not cache.is_current(track)]
    failures: list[FailedTrack] = []
    if not waiting:
        return failures
    cache.folder.mkdir(parents=True, exist_ok=True)
    name = "1of1" if shard is None else f"{shard.number}of{shard.total}"
    volume = _Volume(cache.folder, name, mel)
    with _one_thread_each(), ThreadPoolExecutor(workers) as pool:
        try:
            done = _in_order(waiting, mel, pool, 2 * workers)
            for track, result in counted(done, cache.folder.name, len(waiting), "tracks", progress):
                if isinstance(result, Exception):
                    logger.warning("left out: %s: %s", track.id, result)
                    failures.append(FailedTrack(track.id, str(result)))
                    continue
                levels, seconds = result
                volume.add(track, levels, seconds)
        finally:
            # Before threads are waited for: who sends SIGTERM may not wait for an hour of music.
            volume.commit()
            pool.shutdown(wait=False, cancel_futures=True)
    return failures


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Threads of torch inside threads of ours only wait for each other: a third of the speed."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


_Result = tuple[np.ndarray, float] | Exception


def _in_order(
    tracks: Sequence[Track], mel: MelSpec, pool: ThreadPoolExecutor, most: int
) -> Iterator[tuple[Track, _Result]]:
    """Levels of each track, decoded ahead by threads (decoders and FFT release the GIL)."""
    frontend = Frontend(replace(mel, centred=False))
    take = partial(_levels_or_error, frontend=frontend, mel=mel)
    ahead: list[Future[_Result]] = []
    for index in range(len(tracks) + most):
        if index < len(tracks):
            ahead.append(pool.submit(take, tracks[index]))
        if index >= most and ahead:
            yield tracks[index - most], ahead.pop(0).result()


def _levels_or_error(track: Track, *, frontend: Frontend, mel: MelSpec) -> _Result:
    try:
        return track_levels(track, frontend, mel)
    except (AudioError, OSError, MissingPackageError) as error:
        return error


class _Volume:
    """The one being filled; a table makes it part of the cache."""

    def __init__(self, folder: Path, name: str, mel: MelSpec) -> None:
        self._folder, self._name = folder, name
        self._bytes_per_frame = 2 * mel.channels * mel.n_mels
        # One list: a signal may come between any two lines.
        self._taken: list[tuple[str, np.ndarray, float, str]] = []
        self._frames = 0

    def add(self, track: Track, levels: np.ndarray, seconds: float) -> None:
        """Take a track; a full volume is written."""
        self._taken.append((track.id, levels, round(seconds, 3), origin_of(track)))
        self._frames += len(levels)
        if self._frames * self._bytes_per_frame >= VOLUME_BYTES:
            self.commit()

    def commit(self) -> None:
        """Write what was taken, levels first; a signal takes effect when that is done."""
        with interrupts.deferred():
            if self._taken:
                self._write()
            self._taken, self._frames = [], 0

    def _write(self) -> None:
        rows, first = [], 0
        for id, levels, seconds, origin in self._taken:
            rows.append((id, first, len(levels), seconds, origin))
            first += len(levels)
        names = (f"volume-{self._name}-{number:05d}.csv" for number in count())
        table = next(self._folder / name for name in names if not (self._folder / name).exists())
        with replacing(table.with_suffix(".f16")) as temporary, temporary.open("wb") as file:
            for _, levels, *_ in self._taken:
                levels.tofile(file)
        write_csv(table, HEADER, rows)
