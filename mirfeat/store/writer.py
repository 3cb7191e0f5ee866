"""Writing a folder of features: atomic, resumable, one writer at a time.

A row counts once its file is complete; a run that was killed goes on from there. A folder made in
another way, or one that holds something else, is refused.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import filelock

from mirfeat.csvfiles import write_csv
from mirfeat.errors import ProvenanceError, StoreError, StoreLockedError
from mirfeat.results.outcomes import Failure
from mirfeat.store import interrupts, matrix
from mirfeat.store.claims import LOCK, refuse_foreign, remove_leftovers
from mirfeat.store.clip_files import ClipFiles
from mirfeat.store.contents import data_files
from mirfeat.store.formats import Row
from mirfeat.store.in_hand import InHand, left_in_hand
from mirfeat.store.jobarray import is_plain_store, parent_of
from mirfeat.store.record import FAILURE_COLUMNS, StoreInfo, read_failures

MOST_ROWS = 500
# A file of rows is closed after this long even if small, so that a kill costs little.
MOST_SECONDS = 30.0


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
        self._row_files = info.row_files(folder)
        self._waiting: dict[str, Row] = {}
        self._last_commit = time.monotonic()
        with _disk(folder):
            # Before anything of ours is put there.
            refuse_foreign(folder)
            self._made = not folder.exists()
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = filelock.FileLock(folder / LOCK)
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
        remove_leftovers(self._folder)
        self._recorded = False
        if is_plain_store(self._folder):
            there = StoreInfo.read(self._folder)
            if overwrite:
                self._clear(there)
            elif resume:
                self._continue(there)
            else:
                raise StoreError(
                    f"{self._folder}: holds features already. Resume or overwrite them."
                )
        if overwrite or not is_plain_store(self._folder):
            self._record()
        self.failures = {failure.id: failure for failure in read_failures(self._folder)}
        self.in_hand = InHand(self._folder)
        self._changed = False
        self._locate()
        if any([self._forget(id) for id in self.failures]):
            # A run was killed after a clip had failed whose earlier file gave a row. That row must
            # not come back when the clip works again and this run is killed too.
            self._tidy()
            self._locate()

    def _locate(self) -> None:
        """Look for the rows that are there."""
        # Of each clip that is done: what it was made from, and the file that has its row.
        self._made_from: dict[str, tuple[int, int]] = {}
        self._homes: dict[str, Path] = {}
        self._stale = False
        files = data_files(self._folder, self._row_files)
        for path in files:
            for id, made_from in self._row_files.seen(path):
                self._place(id, made_from, path)
        self._next_number = _number_after(files)

    def _continue(self, there: StoreInfo) -> None:
        """Check that rows of this run can stand beside those that are there."""
        if lines := self._info.differences(there):
            raise ProvenanceError(
                f"{self._folder} was made in another way ({'; '.join(lines)}). "
                "Use another folder, or --overwrite."
            )
        known = {str(record.to_dict()): record for record in (*there.earlier, there.provenance)}
        known.pop(str(self._info.provenance.to_dict()), None)
        self._info = replace(self._info, earlier=tuple(known.values()))

    def _clear(self, there: StoreInfo) -> None:
        row_files = there.row_files(self._folder)
        files = data_files(self._folder, row_files)
        if isinstance(row_files, ClipFiles):
            for path in files:
                row_files.delete(path, keep={})
        for path in (*files, self._folder / "failures.csv"):
            path.unlink(missing_ok=True)
        self._discard_matrix()

    def has(self, id: str, size: int, mtime_ns: int) -> bool:
        """Whether this very file is done."""
        return self._made_from.get(id) == (size, mtime_ns)

    def failed_before(self, id: str, size: int, mtime_ns: int) -> Failure | None:
        """The failure of this very file, if it is listed."""
        failure = self.failures.get(id)
        same = failure is not None and (failure.size, failure.mtime_ns) == (size, mtime_ns)
        return failure if same else None

    @property
    def ids(self) -> set[str]:
        """Clips that have a row or are listed as failed."""
        return {*self._homes, *self._waiting, *self.failures}

    def drop(self, id: str) -> None:
        """Forget a clip: its row and its failure go at the end."""
        self._waiting.pop(id, None)
        failed = self.failures.pop(id, None) is not None
        self._changed |= self._forget(id) or failed

    def add(self, row: Row) -> None:
        """Take a row; it is safe once its file is written."""
        self._waiting[row.id] = row
        self.failures.pop(row.id, None)
        self._commit_if_due()

    def fail(self, failure: Failure) -> None:
        """Note a clip that gave no vector; one of an earlier state of its file does not count."""
        self.failures[failure.id] = failure
        self._waiting.pop(failure.id, None)
        self._changed |= self._forget(failure.id)
        self._commit_if_due()

    def _commit_if_due(self) -> None:
        elapsed = time.monotonic() - self._last_commit
        if len(self._waiting) >= MOST_ROWS or elapsed > MOST_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Write the list of failures, and what is waiting as a file of rows."""
        self._last_commit = time.monotonic()
        with _disk(self._folder):
            # Failures first: a row whose clip is still listed there would not count.
            lines = (
                (item.id, item.error_type, item.error, item.size, item.mtime_ns)
                for item in self.failures.values()
            )
            write_csv(self._folder / "failures.csv", FAILURE_COLUMNS, lines)
            if not self._waiting:
                return
            if not self._recorded:
                self._record()
            self._write_rows(list(self._waiting.values()))
        self._waiting = {}

    def _write_rows(self, rows: list[Row]) -> None:
        name = f"part-{self._next_number:06d}{self._row_files.suffix}"
        path = self._folder / self._row_files.folder / name
        # Noted first: where writing fails, there may be such a file all the same.
        self._next_number, stale = self._next_number + 1, self._stale
        self._stale = self._changed = True
        if again := [row for row in rows if row.id in self._homes]:
            self._row_files.announce(path, again)
        self._row_files.write(path, rows)
        self._stale = stale
        for row in rows:
            self._place(row.id, (row.size, row.mtime_ns), path)

    def close(self, *, tidy: bool = True) -> None:
        """Write what is waiting, drop rows that are not valid any more, release the folder.

        Who presses Ctrl-C twice loses nothing: this comes to its end first.
        """
        with interrupts.deferred():
            try:
                self.commit()
                if tidy:
                    self._tidy()
                    if self._changed:
                        self._discard_matrix()
            finally:
                self.in_hand.end()
                self._lock.release()

    def _record(self) -> None:
        """Say how rows are made, from the first row of this run on."""
        self._info.write(self._folder)
        self._recorded = True

    def _tidy(self) -> None:
        files = data_files(self._folder, self._row_files)
        joined = self._row_files.joined
        if self._stale or (joined and files not in ([], [self._folder / joined])):
            with _disk(self._folder):
                self._row_files.tidy(files, self._homes)
            self._changed = True

    def _discard_matrix(self) -> None:
        """Delete what load_features(mmap=True) made of the rows of before."""
        with _disk(self._folder):
            for folder in (self._folder, parent_of(self._folder)):
                if folder is not None:
                    matrix.discard(folder)

    def _place(self, id: str, made_from: tuple[int, int], path: Path) -> None:
        self._stale |= id in self._homes
        self._made_from[id], self._homes[id] = made_from, path

    def _forget(self, id: str) -> bool:
        """Whether the clip had a row."""
        had = self._homes.pop(id, None) is not None
        self._made_from.pop(id, None)
        self._stale |= had
        return had

    def __enter__(self) -> StoreWriter:
        """Nothing more than the constructor did."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        """Keep what is done, whatever ended the run; who interrupts it does not wait for more."""
        self.close(tidy=kind is None)
        # What a worker had in hand when it ended is for the next run to look at.
        empty = not (self._homes or self.failures or left_in_hand(self._folder))
        if kind is not None and self._made and empty:
            self._unmake()

    def _unmake(self) -> None:
        """Take a folder away that this run has made and put nothing into."""
        with suppress(OSError):
            for name in ("store.json", "failures.csv", LOCK):
                (self._folder / name).unlink(missing_ok=True)
            self._folder.rmdir()


def _number_after(files: list[Path]) -> int:
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
