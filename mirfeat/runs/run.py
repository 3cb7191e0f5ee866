"""Runs over many clips in this process: items, progress, results, tables, folders."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sized
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from mirfeat.audio.addresses import located, shown
from mirfeat.audio.clip import Audio, PathLike, samples_of
from mirfeat.audio.ids import folder_of_all, named
from mirfeat.audio.opened import is_file_like
from mirfeat.errors import AudioError, NonFiniteFeatureError, OptionError
from mirfeat.pipeline.clip import Clip, embedding_arrays, new_clip, vector_of
from mirfeat.pipeline.profile import Profile
from mirfeat.pipeline.threads import Watch, run_many, unwatched
from mirfeat.pipeline.unit import Unit, provenance_of
from mirfeat.pipeline.workers import default_workers
from mirfeat.results.outcomes import Result, RunReport
from mirfeat.results.table import FeatureTable
from mirfeat.runs.filling import Destination, Extracted, PendingFile, fill
from mirfeat.runs.progress import Progress, Shown
from mirfeat.runs.tally import Tally, error_of, failure_of
from mirfeat.store.record import StoreInfo

Item: TypeAlias = Any
"""A path, a URL, an Audio, (array, sample_rate), or (id, any of these)."""

OnError = Literal["skip", "raise", "nan"]


@dataclass(frozen=True)
class Elsewhere:
    """Where vectors are computed if not here: on ``device``, which the record of the folder names.

    ``compute`` gives what became of each task, in any order; closing it ends what it has begun.
    """

    compute: Callable[[list[PendingFile]], Generator[Extracted, None, None]]
    device: str


@dataclass(frozen=True)
class ExtractionRun:
    """What every run needs to know: the loaded units and how to go about it."""

    units: tuple[Unit, ...]
    name: str
    max_seconds: float | None
    on_error: OnError = "skip"
    workers: int | None = None
    progress: Shown = None
    profile: Profile = field(default_factory=Profile)
    watch: Watch = unwatched

    def __post_init__(self) -> None:
        """Check the options."""
        if self.on_error not in get_args(OnError):
            raise OptionError(f"on_error={self.on_error!r}: it is 'skip', 'raise' or 'nan'.")
        if self.workers is not None and self.workers < 1:
            raise OptionError(f"workers={self.workers}: it is 1 or more decoding threads.")

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the numbers of a vector."""
        return tuple(name for unit in self.units for name in unit.feature_names)

    def clip(self, id: str, source: PathLike | Audio, *, keep_rows: bool = False) -> Clip:
        """A new clip for these units."""
        return new_clip(id, source, self.units, keep_rows=keep_rows)

    def finished(self, clips: Iterable[Clip], progress: Progress) -> Generator[Clip, None, None]:
        """Clips in input order when done; close it to end the run.

        Raises:
            AudioError: of the first bad clip, with ``on_error="raise"``.
        """
        workers = self.workers or default_workers()
        running = run_many(
            clips, self.units, self.max_seconds, workers, self.profile, watch=self.watch
        )
        with closing(running), progress as bar:
            for clip in running:
                if clip.error is None:
                    clip.error = self._of_vector(clip)
                failed = clip.error is not None
                bar.add(clip.id, clip.facts.seconds, failed, self.profile.waiting_on)
                if clip.error is not None and self.on_error == "raise":
                    raise clip.error
                yield clip

    def results(self, items: Iterable[Item]) -> Iterator[Result]:
        """One result for each item, in input order."""
        _refuse_one(items)
        total = len(items) if isinstance(items, Sized) else None
        tally = Tally()
        progress = Progress(self.name, None, total=total, shown=self.progress)
        # Threads of a run that is given up end then, not when its generator is collected.
        with closing(self.finished(map(self._item, count(), items), progress)) as clips:
            for clip in clips:
                result = self.result(clip)
                tally.count(result)
                yield result
        if self.on_error != "nan":
            tally.check()

    def result(self, clip: Clip) -> Result:
        """What became of a clip."""
        if clip.error is not None:
            vector = None
            if self.on_error == "nan":
                vector = np.full(len(self.feature_names), np.nan, np.float32)
            kind = type(clip.error).__name__
            return Result(clip.id, "failed", vector, error=str(clip.error), error_type=kind)
        return Result(
            clip.id,
            "ok",
            self._vector(clip),
            seconds=clip.facts.seconds,
            rows=sum(rows.count for rows in clip.rows),
            notes=tuple(clip.notes),
        )

    def _vector(self, clip: Clip) -> np.ndarray:
        return vector_of(clip, tuple(unit.statistics for unit in self.units))

    def _of_vector(self, clip: Clip) -> NonFiniteFeatureError | None:
        """What is wrong with the vector of a clip that was decoded well."""
        try:
            self._vector(clip)
        except NonFiniteFeatureError as error:
            return error
        return None

    def _item(self, index: int, item: Item) -> Clip:
        id: str | None = None
        if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str):
            id, item = item
        if isinstance(item, str | os.PathLike):
            return self.clip(id or shown(item), item)
        id = id or f"item {index}"
        if isinstance(item, Audio) or is_file_like(item):
            return self.clip(id, item)
        if not (isinstance(item, tuple) and len(item) == 2):
            found = "an array without a sample rate" if hasattr(item, "shape") else repr(type(item))
            raise OptionError(
                f"extract_many: {id} is {found}. Give a path, an audio file as bytes or "
                "opened with 'rb', (array, sample_rate) or mirfeat.Audio(array, sample_rate)."
            )
        try:
            return self.clip(id, samples_of(*item, name=id))
        except AudioError as error:
            clip = self.clip(id, "")
            clip.error, clip.decoded = error, True
            return clip

    def table(self, paths: Iterable[PathLike], root: PathLike | None) -> FeatureTable:
        """Vectors of files as one table."""
        _refuse_one(paths)
        files = [located(path) for path in paths]
        items = list(named(files, root or folder_of_all(files)).items())
        if self.on_error == "nan" and len(items) < len(files):
            raise OptionError(
                "on_error='nan': row i belongs to path i, and some paths are the same file. Give "
                "each once, or take 'skip' and the table's aligned(ids)."
            )
        results = list(self.results(items))
        rows = {result.id: result.vector for result in results if result.vector is not None}
        names = self.feature_names
        return FeatureTable(
            np.stack(list(rows.values())) if rows else np.zeros((0, len(names)), np.float32),
            tuple(rows),
            names,
            provenance_of(self.units),
            tuple(failure_of(result) for result in results if result.status == "failed"),
        )

    def to_store(
        self,
        destination: Destination,
        paths: Iterable[PathLike],
        elsewhere: Elsewhere | None = None,
    ) -> RunReport:
        """Vectors of files into a folder; what is there already is skipped.

        They are computed here, or ``elsewhere``: by other processes or machines.
        """
        _refuse_one(paths)
        destination.check(self.on_error)

        provenance = provenance_of(self.units)
        if elsewhere is not None:
            provenance = provenance.on(elsewhere.device)

        def info(root: str) -> StoreInfo:
            embed, format = destination.embed, destination.format
            return StoreInfo(provenance, self.feature_names, format, embed, root)

        def extract(
            tasks: list[PendingFile], there: int, watch: Watch
        ) -> Generator[Extracted, None, None]:
            sizes, total = {task.id: task.size for task in tasks}, len(tasks) + there
            bar = Progress(self.name, sizes, total=total, there=there, shown=self.progress)
            if elsewhere is None:
                return replace(self, watch=watch).extracted(tasks, bar, destination.embed)
            return self._gathered(elsewhere.compute(tasks), bar)

        return fill(destination, info, paths, extract, self.profile, self.max_seconds)

    def _gathered(
        self, items: Generator[Extracted, None, None], progress: Progress
    ) -> Generator[Extracted, None, None]:
        """What comes from elsewhere; the first failure ends the run where that is wanted."""
        with closing(items), progress as bar:
            for item in items:
                failed = item.result.status == "failed"
                bar.add(item.result.id, item.result.seconds, failed)
                if failed and self.on_error == "raise":
                    raise error_of(item.result)
                yield item

    def extracted(
        self, tasks: Iterable[PendingFile], progress: Progress, keep_rows: bool = False
    ) -> Generator[Extracted, None, None]:
        """What became of each task, in their order."""
        clips = (self.clip(task.id, task.path, keep_rows=keep_rows) for task in tasks)
        with closing(self.finished(clips, progress)) as finished:
            for clip in finished:
                arrays = None
                if keep_rows and clip.error is None:
                    arrays = embedding_arrays(clip.rows[0], self.units[0].spec.mel.sample_rate)
                yield Extracted(self.result(clip), arrays)


def _refuse_one(items: Any) -> None:
    """A path is a series too, of letters; nobody means that."""
    if isinstance(items, str | os.PathLike | Audio) or is_file_like(items):
        raise OptionError(
            f"{items!r} is one item, and a list of them is needed. For the audio files in a folder "
            "use mirfeat.find_audio([folder])."
        )
