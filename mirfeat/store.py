"""A folder of extracted vectors: atomic, resumable, and faithful to how they were made.

``store.json`` says what is in it (provenance, feature names, format), ``failures.csv`` what is
not, ``part-*`` hold the rows. A row counts once its shard is complete; a run that was killed goes
on from there. A folder made in another way, or in use by another writer, is refused.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import filelock
import numpy as np

from mirfeat.errors import OptionError, ProvenanceError, StoreError, StoreLockedError
from mirfeat.features import Failure, FeatureTable
from mirfeat.files import replacing
from mirfeat.shards import (
    FORMATS,
    ClipFiles,
    CsvShards,
    Format,
    ParquetShards,
    Row,
    Shards,
    read_csv,
    write_csv,
)
from mirfeat.spec import Provenance

VERSION = 1
SHARD_ROWS = 500
# A shard is closed after this long even if small, so that a kill costs little.
SHARD_SECONDS = 30.0
_FAILURES = ("id", "error_type", "error")


@dataclass(frozen=True)
class StoreInfo:
    """What ``store.json`` records."""

    provenance: Provenance
    feature_names: tuple[str, ...]
    format: Format
    embed: bool

    def to_json(self) -> str:
        """Text of ``store.json``."""
        record = {
            "version": VERSION,
            "format": self.format,
            "embed": self.embed,
            "dimension": len(self.feature_names),
            "provenance": self.provenance.to_dict(),
            "feature_names": self.feature_names,
        }
        return json.dumps(record, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def read(cls, folder: Path) -> StoreInfo:
        """Record of an existing store.

        Raises:
            StoreError: no store, or one of another version.
        """
        path = folder / "store.json"
        try:
            record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise StoreError(
                f"{folder}: not a folder of features ({path.name}: {error})."
            ) from error
        if record.get("version") != VERSION:
            raise StoreError(
                f"{folder}: store version {record.get('version')}, this mirfeat reads {VERSION}."
            )
        return cls(
            Provenance.from_dict(record["provenance"]),
            tuple(record["feature_names"]),
            record["format"],
            record["embed"],
        )

    def shards(self, folder: Path) -> Shards:
        """Reader and writer of this store's files."""
        if self.format == "csv":
            return CsvShards(self.feature_names)
        if self.format == "parquet":
            return ParquetShards(len(self.feature_names))
        return ClipFiles(folder, self.format)


def check_format(format: str, embed: bool) -> None:
    """Whether a store of this kind exists.

    Raises:
        OptionError: unknown, or a table format asked to hold embeddings.
    """
    if format not in FORMATS:
        raise OptionError(f"format={format!r}: it is one of {', '.join(FORMATS)}.")
    if embed and format in ("csv", "parquet"):
        raise OptionError(f"format={format!r} holds vectors only; embed=True needs npz or npy.")


class StoreWriter:
    """One writer of a store; a context manager that holds its lock."""

    def __init__(self, folder: Path, info: StoreInfo, *, resume: bool, overwrite: bool) -> None:
        """Open or create a store.

        Raises:
            ProvenanceError: the folder holds features made in another way.
            StoreError: the folder holds something else, or ``resume=False`` and it is not empty.
            StoreLockedError: another process is writing to it.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._info, self._shards = folder, info, info.shards(folder)
        self._lock = filelock.FileLock(folder / ".lock")
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout as error:
            raise StoreLockedError(f"{folder}: another process is writing to it.") from error
        try:
            self._prepare(resume, overwrite)
        except BaseException:
            self._lock.release()
            raise
        self._waiting: list[Row] = []
        self._last_commit = time.monotonic()

    def _prepare(self, resume: bool, overwrite: bool) -> None:
        for leftover in self._folder.rglob(".writing-*"):
            leftover.unlink(missing_ok=True)
        if (self._folder / "store.json").exists():
            if overwrite:
                self._clear()
            elif not resume:
                raise StoreError(
                    f"{self._folder}: holds features already. Resume or overwrite them."
                )
            else:
                self._check_same()
        elif any(path.name != ".lock" for path in self._folder.iterdir()):
            raise StoreError(f"{self._folder}: is not empty and not a folder of features.")
        with replacing(self._folder / "store.json") as temporary:
            temporary.write_text(self._info.to_json(), encoding="utf-8")
        self._done: dict[str, tuple[int, int]] = {}
        self._replaced = False
        for path in data_files(self._folder):
            for id, made_from in self._shards.seen(path):
                self._replaced |= id in self._done
                self._done[id] = made_from
        self.failures = {failure.id: failure for failure in read_failures(self._folder)}

    def _check_same(self) -> None:
        there = StoreInfo.read(self._folder)
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

    def _clear(self) -> None:
        there = StoreInfo.read(self._folder)
        if isinstance(shards := there.shards(self._folder), ClipFiles):
            for path in data_files(self._folder):
                shards.delete(path)
        for path in (*data_files(self._folder), self._folder / "failures.csv"):
            path.unlink(missing_ok=True)

    def has(self, id: str, size: int, mtime_ns: int) -> bool:
        """Whether this very file is done."""
        return self._done.get(id) == (size, mtime_ns)

    def add(self, row: Row) -> None:
        """Take a row; it is safe once its shard is written."""
        self._waiting.append(row)
        self.failures.pop(row.id, None)
        elapsed = time.monotonic() - self._last_commit
        if len(self._waiting) >= SHARD_ROWS or elapsed > SHARD_SECONDS:
            self.commit()

    def fail(self, failure: Failure) -> None:
        """Note a clip that gave no vector."""
        self.failures[failure.id] = failure

    def commit(self) -> None:
        """Write what is waiting as a shard, and the list of failures."""
        rows, self._waiting = self._waiting, []
        self._last_commit = time.monotonic()
        if rows:
            number = 1 + max(map(_number, data_files(self._folder)), default=0)
            name = f"part-{number:06d}{self._shards.suffix}"
            self._shards.write(self._folder / name, rows)
            for row in rows:
                self._replaced |= row.id in self._done
                self._done[row.id] = (row.size, row.mtime_ns)
        lines = ((item.id, item.error_type, item.error) for item in self.failures.values())
        write_csv(self._folder / "failures.csv", _FAILURES, lines)

    def close(self) -> None:
        """Write what is waiting, tidy up and release the folder."""
        try:
            self.commit()
            if self._info.format == "csv":
                self._join()
            elif self._info.format == "parquet" and self._replaced:
                self._drop_replaced()
        finally:
            self._lock.release()

    def _latest(self) -> dict[str, Path]:
        """The file that holds the valid row of each clip: the last one that has it."""
        return {id: path for path in data_files(self._folder) for id, _ in self._shards.seen(path)}

    def _join(self) -> None:
        """One ``features.csv``; the parts go once it is complete."""
        files, latest = data_files(self._folder), self._latest()
        joined = self._folder / "features.csv"
        if files in ([], [joined]):
            return
        rows = (row for path in files for row in self._shards.read(path) if latest[row.id] == path)
        self._shards.write(joined, rows)
        for path in files:
            if path != joined:
                path.unlink()

    def _drop_replaced(self) -> None:
        """Rewrite shards without the rows of clips that were made anew since."""
        latest = self._latest()
        for path in data_files(self._folder):
            rows = list(self._shards.read(path))
            kept = [row for row in rows if latest[row.id] == path]
            if not kept:
                path.unlink()
            elif len(kept) < len(rows):
                self._shards.write(path, kept)

    def __enter__(self) -> StoreWriter:
        """Nothing more than the constructor did."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        """Keep what is done, whatever ended the run."""
        self.close()


def data_files(folder: Path) -> list[Path]:
    """Files with rows, oldest first."""
    joined = folder / "features.csv"
    parts = sorted(path for path in folder.glob("part-*") if path.suffix in (".csv", ".parquet"))
    return [joined, *parts] if joined.exists() else parts


def _number(path: Path) -> int:
    return int(path.stem.rpartition("-")[2]) if path.stem.startswith("part-") else 0


def read_failures(folder: Path) -> list[Failure]:
    """Clips that gave no vector in the runs so far."""
    path = folder / "failures.csv"
    if not path.exists():
        return []
    return [Failure(*cells) for cells in read_csv(path, _FAILURES)]


def load_features(folder: Path | str) -> FeatureTable:
    """All vectors of a store as one table; of an interrupted run what is complete.

    Raises:
        StoreError: not a store, or one that holds embeddings.
    """
    folder = Path(folder)
    info = StoreInfo.read(folder)
    if info.embed:
        raise StoreError(f"{folder}: holds one embedding a clip; read its files one by one.")
    shards = info.shards(folder)
    rows = {row.id: row.vector for path in data_files(folder) for row in shards.read(path)}
    values = np.stack(list(rows.values())) if rows else np.zeros((0, len(info.feature_names)))
    return FeatureTable(
        values.astype(np.float32, copy=False),
        tuple(rows),
        info.feature_names,
        info.provenance,
        tuple(read_failures(folder)),
    )
