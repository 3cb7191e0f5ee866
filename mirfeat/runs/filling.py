"""Filling a folder with vectors of files: what is there already is skipped, the rest computed.

How vectors are computed is not decided here: in this process (``runs.py``) or elsewhere, one
:class:`Extracted` comes back for each file, in any order.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mirfeat.audio.addresses import Location, located
from mirfeat.audio.clip import PathLike
from mirfeat.audio.collection import stamps
from mirfeat.audio.ids import common_folder, folder_of_all, is_gone, named, outside
from mirfeat.errors import (
    KilledProcessError,
    OptionError,
)
from mirfeat.pipeline.profile import Profile
from mirfeat.pipeline.threads import Watch
from mirfeat.results.outcomes import Failure, Result, RunReport
from mirfeat.runs import probe
from mirfeat.runs.tally import Tally, failure_of
from mirfeat.store.claims import claim_shard
from mirfeat.store.formats import Format, Row
from mirfeat.store.in_hand import discard, left_in_hand
from mirfeat.store.jobarray import Shard
from mirfeat.store.record import StoreInfo, check_format, is_store
from mirfeat.store.writer import StoreWriter


@dataclass(frozen=True)
class PendingFile:
    """A file to make a vector of; ``size`` and ``mtime_ns`` say which state of it."""

    id: str
    path: Location
    size: int
    mtime_ns: int


@dataclass(frozen=True, eq=False)
class Extracted:
    """What became of a file; ``arrays`` are its rows where an embedding is wanted."""

    result: Result
    arrays: Mapping[str, np.ndarray] | None = None


Extract = Callable[[list[PendingFile], int, Watch], Generator[Extracted, None, None]]
"""From tasks, how many files were done before, and what notes those in hand, to what became."""


@dataclass(frozen=True)
class Destination:
    """A folder to fill, and how."""

    folder: Path
    format: Format = "csv"
    embed: bool = False
    root: PathLike | None = None
    resume: bool = True
    overwrite: bool = False
    shard: tuple[int, int] | None = None
    retry_failed: bool | None = None
    prune: bool = False

    @property
    def share(self) -> Shard | None:
        """Which share of the files goes there, in a folder of its own; None is all."""
        return None if self.shard is None else Shard.check(*self.shard)

    @property
    def store(self) -> Path:
        """The folder that has the files of this run, for a shard below ``folder``."""
        return self.folder if self.share is None else self.share.folder(self.folder)

    def check(self, on_error: str) -> None:
        """Refuse what cannot be, before anything is computed.

        Raises:
            OptionError: unknown format, or one that cannot hold what is wanted; no such shard.
            MissingPackageError: parquet without pyarrow.
        """
        check_format(self.format, self.embed)
        _ = self.share
        if on_error == "nan":
            raise OptionError(
                "on_error='nan': a folder of features lists failures beside the vectors. Take "
                "'skip'; load_features(folder).aligned(ids) has rows of NaN for them."
            )


def fill(
    destination: Destination,
    info: Callable[[str], StoreInfo],
    paths: Iterable[PathLike],
    extract: Extract,
    profile: Profile,
    max_seconds: float | None = None,
) -> RunReport:
    """Vectors of files into a folder; ``info`` makes its record from the root of the ids.

    Raises:
        ExtractionError: every file failed.
    """
    folder, started, tally = destination.store, time.monotonic(), Tally()
    files = [located(path) for path in paths]
    root = _root_of_ids(destination, files)
    record = info(str(root))
    tasks = _tasks(destination, named(files, root))
    options = {"resume": destination.resume, "overwrite": destination.overwrite}
    if destination.share is not None:
        claim_shard(destination.folder, destination.share, record, destination.overwrite)
    with StoreWriter(folder, record, **options) as store:
        gone = _gone(destination, store, tasks, root)
        todo = [task for task in tasks if not store.has(task.id, task.size, task.mtime_ns)]
        skipped = len(tasks) - len(todo)
        listed = {
            task.id: failure
            for task in todo
            if (failure := store.failed_before(task.id, task.size, task.mtime_ns))
        }
        tally.know(listed)
        todo = [task for task in todo if not _is_kept(destination, listed.get(task.id), tally)]
        todo = _without_killers(store, folder, todo, tally, max_seconds)
        state_of = {task.id: (task.size, task.mtime_ns) for task in todo}
        there = len(tasks) - len(todo)
        with closing(extract(todo, there, store.in_hand.holding)) as extracted:
            for item in extracted:
                result = item.result
                tally.count(result)
                with profile.spent("write"):
                    if result.vector is None:
                        store.fail(failure_of(result, *state_of[result.id]))
                    else:
                        store.add(_row(item, result.vector, state_of[result.id]))
    report = tally.report(folder, skipped, time.monotonic() - started, profile)
    return replace(report, gone=gone)


def _is_kept(destination: Destination, before: Failure | None, tally: Tally) -> bool:
    """Whether a failure of before stands, without another try."""
    if before is None:
        return False
    # A file that kills its process would do so each time; all others cost little, and what was
    # missing (a package, a network) may be there by now.
    retry = destination.retry_failed
    if retry if retry is not None else before.error_type != KilledProcessError.__name__:
        return False
    tally.keep(before)
    return True


def _without_killers(
    store: StoreWriter,
    folder: Path,
    todo: list[PendingFile],
    tally: Tally,
    max_seconds: float | None,
) -> list[PendingFile]:
    """Leave out and list what ended a process of the run before."""
    held = set(left_in_hand(folder))
    suspects = [task for task in todo if task.id in held]
    found = dict(probe.killers([task.path for task in suspects], max_seconds)) if suspects else {}
    for index, how in found.items():
        task = suspects[index]
        error = (
            f"{task.path}: killed its process ({how}) while it was decoded, and is left out. "
            "--retry-failed tries it again."
        )
        failure = Failure(task.id, KilledProcessError.__name__, error, task.size, task.mtime_ns)
        store.fail(failure)
        tally.count(Result(task.id, "failed", None, error=error, error_type=failure.error_type))
    if found:
        store.commit()
    discard(folder)
    killing = {suspects[index].id for index in found}
    return [task for task in todo if task.id not in killing]


def _gone(
    destination: Destination, store: StoreWriter, tasks: Sequence[PendingFile], root: Location
) -> tuple[str, ...]:
    """Clips in the store whose file is no longer there; dropped where that is wanted.

    Of other inputs nothing is known that is not looked at: a run may be over a part of the music.
    """
    others = store.ids.difference(task.id for task in tasks)
    gone = tuple(sorted(id for id in others if is_gone(id, root)))
    if destination.prune:
        for id in gone:
            store.drop(id)
    return gone


def _tasks(destination: Destination, files: Mapping[str, Location]) -> list[PendingFile]:
    """Files to do; of a shard only its own are looked at, which on a network disk costs time."""
    share = destination.share
    own = [(id, file) for id, file in files.items() if share is None or share.has(id)]
    facts = stamps([file for _, file in own])
    return [PendingFile(*names, *stamp) for names, stamp in zip(own, facts, strict=True)]


def _row(item: Extracted, vector: np.ndarray, made_from: tuple[int, int]) -> Row:
    result = item.result
    notes = "; ".join(result.notes)
    return Row(result.id, result.seconds, result.rows, notes, *made_from, vector, item.arrays)


def _root_of_ids(destination: Destination, files: Sequence[Location]) -> Location:
    """What ids are relative to, absolute: in a folder that is there, the same as before.

    Otherwise a run over more or fewer files would find other names for those that are done.

    Raises:
        OptionError: ``root`` is not given, and a file is not below the one of before.
    """
    # A shard that is new takes the root of the others.
    folder = destination.store if is_store(destination.store) else destination.folder
    if destination.root is not None:
        return common_folder([destination.root])
    if destination.overwrite or not is_store(folder):
        return folder_of_all(files)
    before = StoreInfo.read(folder).root
    if (path := outside(files, before)) is not None:
        if isinstance(path, Path) and not os.path.lexists(path):
            raise OptionError(f"{path}: there is no such file.")
        raise OptionError(
            f"{path} is not below {before}, which the ids in {folder} are relative to. Use "
            "another folder, or if your music has moved, say where it is now: root, --root."
        )
    return located(before)
