"""Vectors of many clips: one after the other, as a table, or into a folder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mirfeat.audio.clip import PathLike
from mirfeat.results.outcomes import Result, RunReport
from mirfeat.results.table import FeatureTable
from mirfeat.runs.filling import Destination
from mirfeat.runs.progress import Shown
from mirfeat.runs.run import ExtractionRun, Item, OnError
from mirfeat.store.formats import Format


class ExtractsMany(ABC):
    """What :class:`mirfeat.Extractor` does with many clips."""

    @abstractmethod
    def run(
        self, on_error: OnError = "skip", workers: int | None = None, progress: Shown = None
    ) -> ExtractionRun:
        """A run over many clips."""

    @abstractmethod
    def _only(self, what: str) -> Any:
        """The one unit; an error that names ``what`` where there are several."""

    def extract_many(
        self,
        items: Iterable[Item],
        *,
        on_error: OnError = "skip",
        workers: int | None = None,
        progress: Shown = None,
    ) -> Iterator[Result]:
        """One :class:`Result` for each item, in input order, decoding ahead in ``workers`` threads.

        An item is a path, an ``Audio``, ``(array, sample_rate)`` or ``(id, any of these)``. With
        ``on_error="skip"`` a bad one gives a failed result without a vector, with ``"nan"`` one
        with a vector of NaN; ``"raise"`` ends the run there.
        ``progress``: None, a bar on a terminal and elsewhere a line every 30 s; True, a bar;
        False, nothing; ``"json"``, an object a line. On stderr.

        >>> results = extractor.extract_many([song, b"no music"], progress=False)
        >>> [(result.status, result.error_type) for result in results]
        [('ok', None), ('failed', 'DecodeError')]

        Raises:
            ExtractionError: not one of several items could be used.
        """
        return self.run(on_error, workers, progress).results(items)

    def extract_files(
        self,
        paths: Iterable[PathLike],
        *,
        root: PathLike | None = None,
        on_error: OnError = "skip",
        workers: int | None = None,
        progress: Shown = None,
    ) -> FeatureTable:
        """Vectors of many files as one table; failures are listed in it.

        With ``on_error="nan"`` they have rows of NaN too, so that row i belongs to path i.

        ``root`` is what ids are relative to; by default the common folder. A file twice is one row.

        >>> extractor.extract_files(songs[:3], progress=False)
        FeatureTable(3 clips x 320 of choi2017)
        """
        return self.run(on_error, workers, progress).table(paths, root)

    def extract_to(
        self,
        store: PathLike,
        paths: Iterable[PathLike],
        *,
        format: Format = "csv",
        embed: bool = False,
        root: PathLike | None = None,
        resume: bool = True,
        overwrite: bool = False,
        shard: tuple[int, int] | None = None,
        retry_failed: bool | None = None,
        prune: bool = False,
        on_error: OnError = "skip",
        workers: int | None = None,
        progress: Shown = None,
    ) -> RunReport:
        """Vectors of many files into a folder: csv, parquet, npz or npy.

        What is there already is not computed again. What failed before is tried again with
        ``retry_failed=True`` and not with ``False``; by default only what killed its process stays
        out, until its file changes. ``prune`` drops clips whose file is no longer there.
        The layout is in ``mirfeat/store/record.py``.
        With ``shard=(3, 20)`` only the third of twenty shares of the files, into a folder of its
        own below ``store``, for job arrays: every job gets the same paths and another shard.

        >>> report = extractor.extract_to("features", songs[:3], progress=False)
        >>> report.done, report.failed
        (3, 0)
        """
        if embed:
            self._only("embedding")
        run = self.run(on_error, workers, progress)
        destination = Destination(
            Path(store), format, embed, root, resume, overwrite, shard, retry_failed, prune
        )
        return run.to_store(destination, paths)
