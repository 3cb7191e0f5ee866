"""Runs over many clips: items, progress, results, tables, folders."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence, Sized
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from tqdm.auto import tqdm

from mirfeat.audio import Audio, PathLike
from mirfeat.clips import Clip, Part, embedding_arrays, new_clip, vector_of
from mirfeat.collection import common_folder, ids_of
from mirfeat.errors import AudioError, ExtractionError, OptionError
from mirfeat.features import Failure, FeatureTable, Result, RunReport
from mirfeat.pipeline import OnError, default_workers, run_many
from mirfeat.shards import Row
from mirfeat.store import StoreInfo, check_format, is_store
from mirfeat.units import Unit, provenance_of
from mirfeat.writer import StoreWriter

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

    def finished(
        self, clips: Iterable[Clip], total: int | None, there: int = 0
    ) -> Generator[Clip, None, None]:
        """Clips in input order when done, with a progress bar; close it to end the run.

        ``there`` of ``total`` clips were done before.
        """
        workers = self.workers or default_workers(self.parts[0].device)
        hidden = total == there or (None if self.progress is None else not self.progress)
        with (
            closing(run_many(clips, self.parts, self.max_seconds, workers)) as running,
            tqdm(total=total, initial=there, desc=self.name, unit=" files", disable=hidden) as bar,
        ):
            started, seconds, failed = time.monotonic(), 0.0, 0
            for clip in running:
                seconds += clip.facts.seconds
                failed += clip.error is not None
                speed = seconds / max(time.monotonic() - started, 1e-9)
                audio = f"{duration(seconds)} of audio, {speed:.0f}x real time"
                bar.set_postfix_str(f"{audio}, {failed} failed" if failed else audio, refresh=False)
                bar.update()
                yield clip

    def results(self, items: Iterable[Item]) -> Iterator[Result]:
        """One result for each item, in input order."""
        _refuse_one(items)
        total = len(items) if isinstance(items, Sized) else None
        tally = _Tally(self.on_error)
        # Threads of a run that is given up end then, not when its generator is collected.
        with closing(self.finished(map(self._item, count(), items), total)) as clips:
            for clip in clips:
                result = self.result(clip)
                tally.count(clip, result)
                yield result
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
        _refuse_one(paths)
        files = [Path(path) for path in paths]
        base = root or common_folder(path.parent for path in files)
        items = list(zip(ids_of(files, base), files, strict=True))
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
        _refuse_one(paths)
        check_format(format, embed)
        files = [Path(path) for path in paths]
        base = _root_of_ids(folder, files, root, overwrite)
        ids = ids_of(files, base)
        items = [(id, path, _stamp(path)) for id, path in zip(ids, files, strict=True)]
        names = tuple(name for unit in self.units for name in unit.feature_names)
        info = StoreInfo(provenance_of(self.units), names, format, embed, str(base))
        started, tally = time.monotonic(), _Tally(self.on_error)
        with StoreWriter(folder, info, resume=resume, overwrite=overwrite) as store:
            todo = [item for item in items if not store.has(item[0], *item[2])]
            stamps = {id: stamp for id, _, stamp in todo}
            new = (self.clip(id, path, keep_rows=embed) for id, path, _ in todo)
            skipped = len(items) - len(todo)
            with closing(self.finished(new, len(items), skipped)) as clips:
                for clip in clips:
                    result = self.result(clip)
                    if result.status == "failed":
                        store.fail(_failure(result))
                    else:
                        store.add(self._row(clip, result, stamps[clip.id], embed))
                    tally.count(clip, result)
        return tally.report(folder, skipped, time.monotonic() - started)

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
        self._done, self._seconds = 0, 0.0
        self._failures: list[Failure] = []
        self._notes = Counter[str]()

    def count(self, clip: Clip, result: Result) -> None:
        if clip.error is not None:
            if self._raise:
                raise clip.error
            self._failures.append(_failure(result))
            return
        self._done += 1
        self._seconds += result.seconds
        # By kind: how long a tiled clip was does not matter here.
        self._notes.update(re.sub(r"^\d+ | from [\d.]+ s", "", note) for note in result.notes)

    def check(self, listed: str = "") -> None:
        if self._failures and not self._done:
            count, first = len(self._failures), self._failures[0].error
            raise ExtractionError(
                f"no features: {first}"
                if count == 1
                else f"no features: all {count} files failed{listed}, the first one: {first}"
            )

    def report(self, folder: Path, skipped: int, wall_seconds: float) -> RunReport:
        if not skipped:
            self.check(f" ({folder / 'failures.csv'})")
        failures = tuple(self._failures)
        return RunReport(
            *(self._done, skipped, len(failures), self._seconds, wall_seconds, failures),
            notes=dict(self._notes.most_common()),
        )


def duration(seconds: float) -> str:
    """A time for people: ``42.0 s``, ``5.2 min``, ``35.1 h``."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _refuse_one(items: Any) -> None:
    """A path is a series too, of letters; nobody means that."""
    if isinstance(items, str | os.PathLike | Audio):
        raise OptionError(
            f"{items!r} is one item, and a list of them is needed. For the audio files in a folder "
            "use mirfeat.collection.find_audio([folder])."
        )


def _root_of_ids(
    folder: Path, files: Sequence[Path], root: PathLike | None, overwrite: bool
) -> Path:
    """What ids are relative to, absolute: in a folder that is there, the same as before.

    Otherwise a run over more or fewer files would find other names for those that are done.

    Raises:
        OptionError: ``root`` is not given, and a file is not below the one of before.
    """
    if root is not None:
        return common_folder([Path(root)])
    if overwrite or not is_store(folder):
        return common_folder(path.parent for path in files)
    before = Path(StoreInfo.read(folder).root)
    for path in files:
        if not Path(os.path.abspath(path)).is_relative_to(before):
            raise OptionError(
                f"{path} is not below {before}, which the ids in {folder} are relative to. Use "
                "another folder, or if your music has moved, say where it is now: root, --root."
            )
    return before


def _failure(result: Result) -> Failure:
    return Failure(result.id, result.error_type or "", result.error or "")


def _stamp(path: Path) -> tuple[int, int]:
    """Size and time of change; of a file that is not there, what no file has."""
    try:
        facts = path.stat()
    except OSError:
        return -1, -1
    return facts.st_size, facts.st_mtime_ns
