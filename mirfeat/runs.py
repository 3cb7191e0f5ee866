"""Runs over many clips: items, progress, results, tables, folders."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from tqdm.auto import tqdm

from mirfeat.audio import Audio, PathLike
from mirfeat.collection import ids_of
from mirfeat.errors import AudioError, ExtractionError, OptionError
from mirfeat.features import Failure, FeatureTable, Result, RunReport
from mirfeat.pipeline import (
    Clip,
    OnError,
    Part,
    default_workers,
    embedding_arrays,
    new_clip,
    run_many,
    vector_of,
)
from mirfeat.shards import Row
from mirfeat.store import StoreInfo, StoreWriter, check_format
from mirfeat.units import Unit, provenance_of

Item: TypeAlias = Any
"""A path, an Audio, (array, sample_rate), or (id, any of these)."""


@dataclass(frozen=True)
class Run:
    """What every run needs to know: the loaded units and how to go about it."""

    units: tuple[Unit, ...]
    name: str
    max_seconds: float | None
    on_error: OnError = "record"
    workers: int | None = None
    progress: bool | None = None

    def __post_init__(self) -> None:
        """Check the options."""
        if self.on_error not in ("record", "raise"):
            raise OptionError(f"on_error={self.on_error!r}: it is 'record' or 'raise'.")
        if self.workers is not None and self.workers < 1:
            raise OptionError(f"workers={self.workers}: it is 1 or more decoding threads.")

    @property
    def parts(self) -> list[Part]:
        """The parts of the pipeline."""
        return [unit.part for unit in self.units]

    def clip(self, id: str, source: PathLike | Audio, *, keep_rows: bool = False) -> Clip:
        """A new clip for these parts."""
        return new_clip(id, source, self.parts, keep_rows=keep_rows)

    def finished(self, clips: Iterable[Clip], total: int | None) -> Iterator[Clip]:
        """Clips in input order when done, with a progress bar."""
        workers = self.workers or default_workers(self.parts[0].device)
        hidden = None if self.progress is None else not self.progress
        with tqdm(total=total, desc=self.name, unit="file", disable=hidden) as bar:
            started, seconds, failed = time.monotonic(), 0.0, 0
            for clip in run_many(clips, self.parts, self.max_seconds, workers):
                seconds += clip.facts.seconds
                failed += clip.error is not None
                speed = seconds / max(time.monotonic() - started, 1e-9)
                audio = f"{seconds / 3600:.2f} h, {speed:.0f}x real time"
                bar.set_postfix_str(f"{audio}, {failed} failed" if failed else audio, refresh=False)
                bar.update()
                yield clip

    def results(self, items: Iterable[Item]) -> Iterator[Result]:
        """One result for each item, in input order."""
        total = len(items) if isinstance(items, Sized) else None
        clips = (self._item(index, item) for index, item in enumerate(items))
        tally = _Tally(self.on_error)
        for clip in self.finished(clips, total):
            tally.count(clip)
            yield self.result(clip)
        tally.check()

    def result(self, clip: Clip) -> Result:
        """What became of a clip."""
        if clip.error is not None:
            kind = type(clip.error).__name__
            return Result(clip.id, "failed", error=str(clip.error), error_type=kind)
        return Result(
            clip.id,
            "ok",
            vector_of(clip, tuple(unit.statistics for unit in self.units)),
            seconds=clip.facts.seconds,
            rows=sum(part.count for part in clip.parts),
            notes=tuple(clip.notes),
        )

    def _item(self, index: int, item: Item) -> Clip:
        id: str | None = None
        if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str):
            id, item = item
        if isinstance(item, str | os.PathLike):
            return self.clip(id or os.fspath(item), item)
        id = id or f"item {index}"
        if isinstance(item, Audio):
            return self.clip(id, item)
        if not (isinstance(item, tuple) and len(item) == 2):
            found = "an array without a sample rate" if hasattr(item, "shape") else repr(type(item))
            raise OptionError(
                f"extract_many: {id} is {found}. Give a path, (array, sample_rate) or "
                "mirfeat.Audio(array, sample_rate)."
            )
        try:
            return self.clip(id, Audio(*item, name=id))
        except AudioError as error:
            clip = self.clip(id, "")
            clip.error, clip.decoded = error, True
            return clip

    def table(self, paths: Iterable[PathLike], root: PathLike | None) -> FeatureTable:
        """Vectors of files as one table."""
        files = [Path(path) for path in paths]
        items = list(zip(ids_of(files, root), files, strict=True))
        results = list(self.results(items))
        done = {result.id: result.vector for result in results if result.vector is not None}
        names = tuple(name for unit in self.units for name in unit.feature_names)
        return FeatureTable(
            np.stack(list(done.values())) if done else np.zeros((0, len(names)), np.float32),
            tuple(done),
            names,
            provenance_of(self.units),
            tuple(_failure(result) for result in results if result.status == "failed"),
        )

    def to_store(
        self,
        folder: Path,
        paths: Iterable[PathLike],
        root: PathLike | None,
        *,
        format: Any,
        embed: bool,
        resume: bool,
        overwrite: bool,
    ) -> RunReport:
        """Vectors of files into a folder; what is there already is skipped."""
        check_format(format, embed)
        names = tuple(name for unit in self.units for name in unit.feature_names)
        info = StoreInfo(provenance_of(self.units), names, format, embed)
        files = [Path(path) for path in paths]
        items = [
            (id, path, _stamp(path)) for id, path in zip(ids_of(files, root), files, strict=True)
        ]
        started, tally = time.monotonic(), _Tally(self.on_error)
        with StoreWriter(folder, info, resume=resume, overwrite=overwrite) as store:
            todo = [item for item in items if not store.has(item[0], *item[2])]
            stamps = {id: stamp for id, _, stamp in todo}
            clips = (self.clip(id, path, keep_rows=embed) for id, path, _ in todo)
            for clip in self.finished(clips, len(todo)):
                result = self.result(clip)
                if result.status == "failed":
                    store.fail(_failure(result))
                else:
                    store.add(self._row(clip, result, stamps[clip.id], embed))
                tally.count(clip)
        if not (skipped := len(items) - len(todo)):
            tally.check()
        wall = time.monotonic() - started
        return RunReport(
            tally.done, skipped, len(tally.failures), tally.seconds, wall, tuple(tally.failures)
        )

    def _row(self, clip: Clip, result: Result, stamp: tuple[int, int], embed: bool) -> Row:
        assert result.vector is not None
        arrays = None
        if embed:
            arrays = embedding_arrays(clip.parts[0], self.units[0].spec.mel.sample_rate)
        notes = "; ".join(result.notes)
        return Row(result.id, result.seconds, result.rows, notes, *stamp, result.vector, arrays)


class _Tally:
    """Counts clips; raises where the first failure, or nothing but failures, ends a run."""

    def __init__(self, on_error: OnError) -> None:
        self._raise = on_error == "raise"
        self.done, self.seconds = 0, 0.0
        self.failures: list[Failure] = []

    def count(self, clip: Clip) -> None:
        if clip.error is None:
            self.done += 1
            self.seconds += clip.facts.seconds
            return
        if self._raise:
            raise clip.error
        self.failures.append(Failure(clip.id, type(clip.error).__name__, str(clip.error)))

    def check(self) -> None:
        if self.failures and not self.done:
            some = "\n".join(f"  {failure.error}" for failure in self.failures[:3])
            raise ExtractionError(
                f"all {len(self.failures)} files failed, the first of them:\n{some}"
            )


def _failure(result: Result) -> Failure:
    return Failure(result.id, result.error_type or "", result.error or "")


def _stamp(path: Path) -> tuple[int, int]:
    """Size and time of change; of a file that is not there, what no file has."""
    try:
        facts = path.stat()
    except OSError:
        return -1, -1
    return facts.st_size, facts.st_mtime_ns
