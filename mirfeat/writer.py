"""Writing a folder of features: atomic, resumable, one writer at a time.

A row counts once its part is complete; a run that was killed goes on from there. A folder made in
another way, or one that holds something else, is refused.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import filelock

from mirfeat.csvfiles import write_csv
from mirfeat.errors import ProvenanceError, StoreError, StoreLockedError
from mirfeat.features import Failure
from mirfeat.shards import ClipFiles, Row
from mirfeat.store import FAILURE_COLUMNS, StoreInfo, data_files, is_store, read_failures

PART_ROWS = 500
# A part is closed after this long even if small, so that a kill costs little.
PART_SECONDS = 30.0
_LOCK, _UNFINISHED = ".lock", ".writing-"


class StoreWriter:
    """One writer of a store; a context manager that holds its lock.

    Leaving it keeps what is done; leaving it without an error also tidies up.
    """

    def __init__(self, folder: Path, info: StoreInfo, *, resume: bool, overwrite: bool) -> None:
        """Open or create a store.

        Raises:
            ProvenanceError: the folder holds features made in another way.
            StoreError: the folder holds something else, or ``resume=False`` and it is not empty.
            StoreLockedError: another process is writing to it.
        """
        self._folder, self._info = folder, info
        self._shards = info.shards(folder)
        self._waiting: list[Row] = []
        self._last_commit = time.monotonic()
        with _disk(folder):
            # Before anything of ours is put there.
            _refuse_foreign(folder)
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = filelock.FileLock(folder / _LOCK)
            try:
                self._lock.acquire(timeout=0)
            except filelock.Timeout as error:
                raise StoreLockedError(f"{folder}: another process is writing to it.") from error
            try:
                self._prepare(resume, overwrite)
            except BaseException:
                self._lock.release()
                raise

    def _prepare(self, resume: bool, overwrite: bool) -> None:
        for leftover in self._folder.rglob(f"{_UNFINISHED}*"):
            leftover.unlink(missing_ok=True)
        self._recorded = False
        if is_store(self._folder):
            there = StoreInfo.read(self._folder)
            if overwrite:
                self._clear(there)
            elif resume:
                self._continue(there)
            else:
                raise StoreError(
                    f"{self._folder}: holds features already. Resume or overwrite them."
                )
        if overwrite or not is_store(self._folder):
            self._record()
        self.failures = {failure.id: failure for failure in read_failures(self._folder)}
        # Of each clip that is done: what it was made from, and the file that has its row.
        self._made_from: dict[str, tuple[int, int]] = {}
        self._homes: dict[str, Path] = {}
        self._stale = False
        for path in data_files(self._folder, self._shards):
            for id, made_from in self._shards.seen(path):
                self._place(id, made_from, path)
        for id in self.failures:
            self._forget(id)

    def _continue(self, there: StoreInfo) -> None:
        """Check that rows of this run can stand beside those that are there."""
        lines = self._info.provenance.differences(there.provenance)
        lines += [
            f"{name}: {mine!r} here, {theirs!r} there"
            for name in ("format", "embed")
            if (mine := getattr(self._info, name)) != (theirs := getattr(there, name))
        ]
        if lines:
            raise ProvenanceError(
                f"{self._folder} was made in another way ({'; '.join(lines)}). "
                "Use another folder, or --overwrite."
            )
        known = {str(record.to_dict()): record for record in (*there.earlier, there.provenance)}
        known.pop(str(self._info.provenance.to_dict()), None)
        self._info = replace(self._info, earlier=tuple(known.values()))

    def _clear(self, there: StoreInfo) -> None:
        shards = there.shards(self._folder)
        files = data_files(self._folder, shards)
        if isinstance(shards, ClipFiles):
            for path in files:
                shards.delete(path, keep={})
        for path in (*files, self._folder / "failures.csv"):
            path.unlink(missing_ok=True)

    def has(self, id: str, size: int, mtime_ns: int) -> bool:
        """Whether this very file is done."""
        return self._made_from.get(id) == (size, mtime_ns)

    def add(self, row: Row) -> None:
        """Take a row; it is safe once its part is written."""
        self._waiting.append(row)
        self.failures.pop(row.id, None)
        elapsed = time.monotonic() - self._last_commit
        if len(self._waiting) >= PART_ROWS or elapsed > PART_SECONDS:
            self.commit()

    def fail(self, failure: Failure) -> None:
        """Note a clip that gave no vector; one of an earlier state of its file does not count."""
        self.failures[failure.id] = failure
        self._forget(failure.id)

    def commit(self) -> None:
        """Write the list of failures, and what is waiting as a part."""
        self._last_commit = time.monotonic()
        with _disk(self._folder):
            # Failures first: a row whose clip is still listed there would not count.
            lines = ((item.id, item.error_type, item.error) for item in self.failures.values())
            write_csv(self._folder / "failures.csv", FAILURE_COLUMNS, lines)
            if not self._waiting:
                return
            if not self._recorded:
                self._record()
            parts = data_files(self._folder, self._shards)
            path = self._folder / f"part-{_next_number(parts):06d}{self._shards.suffix}"
            self._shards.write(path, self._waiting)
        for row in self._waiting:
            self._place(row.id, (row.size, row.mtime_ns), path)
        self._waiting = []

    def close(self, *, tidy: bool = True) -> None:
        """Write what is waiting, drop rows that are not valid any more, release the folder."""
        try:
            self.commit()
            if tidy:
                self._tidy()
        finally:
            self._lock.release()

    def _record(self) -> None:
        """Say how rows are made, from the first row of this run on."""
        self._info.write(self._folder)
        self._recorded = True

    def _tidy(self) -> None:
        files = data_files(self._folder, self._shards)
        joined = self._shards.joined
        if self._stale or (joined and files not in ([], [self._folder / joined])):
            with _disk(self._folder):
                self._shards.tidy(files, self._homes)

    def _place(self, id: str, made_from: tuple[int, int], path: Path) -> None:
        self._stale |= id in self._homes
        self._made_from[id], self._homes[id] = made_from, path

    def _forget(self, id: str) -> None:
        self._stale |= self._homes.pop(id, None) is not None
        self._made_from.pop(id, None)

    def __enter__(self) -> StoreWriter:
        """Nothing more than the constructor did."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        """Keep what is done, whatever ended the run; who interrupts it does not wait for more."""
        self.close(tidy=kind is None)


def _refuse_foreign(folder: Path) -> None:
    if not folder.exists() or is_store(folder):
        return
    if any(not path.name.startswith((_LOCK, _UNFINISHED)) for path in folder.iterdir()):
        raise StoreError(
            f"{folder}: is not empty and not a folder of features. Choose another one."
        )


def _next_number(files: list[Path]) -> int:
    number = files[-1].stem.removeprefix("part-") if files else "0"
    return 1 + (int(number) if number.isdecimal() else 0)


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    """Say what a full or read-only disk means for the run."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{folder}: cannot be written ({error.strerror or error}). What was complete is safe; "
            "the same command goes on from there."
        ) from error
