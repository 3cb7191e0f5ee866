"""A folder of extracted vectors: what is in it, and how it is read.

``store.json`` says how it was made (provenance, feature names, format), ``failures.csv`` what
gave no vector, ``features.csv``, ``index.csv`` or ``part-*`` hold the rows. Each file is whole or
not there, so a folder can be read while it is written and after a run was killed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mirfeat.csvfiles import read_csv
from mirfeat.errors import OptionError, StoreError
from mirfeat.features import Embedding, Failure, FeatureTable
from mirfeat.files import replacing
from mirfeat.shards import FORMATS, ClipFiles, CsvShards, Format, ParquetShards, Shards
from mirfeat.spec import Provenance

VERSION = 1
FAILURE_COLUMNS = ("id", "error_type", "error")


@dataclass(frozen=True)
class StoreInfo:
    """What ``store.json`` records.

    ``root`` is the folder that ids are relative to. ``earlier`` lists how rows were made that are
    older than ``provenance``; it differs from that in versions and device only.
    """

    provenance: Provenance
    feature_names: tuple[str, ...]
    format: Format
    embed: bool
    root: str
    earlier: tuple[Provenance, ...] = ()

    @property
    def row_names(self) -> tuple[str, ...]:
        """Names of the numbers in a row: those of the vector without their statistic."""
        return tuple(dict.fromkeys(name.rpartition(".")[0] for name in self.feature_names))

    def write(self, folder: Path) -> None:
        """Write ``store.json``."""
        record = {
            "version": VERSION,
            "format": self.format,
            "embed": self.embed,
            "dimension": len(self.feature_names),
            "root": self.root,
            "provenance": self.provenance.to_dict(),
            "earlier": [provenance.to_dict() for provenance in self.earlier],
            "feature_names": self.feature_names,
        }
        text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
        with replacing(folder / "store.json") as temporary:
            # A root that is not UTF-8 becomes \udcff, which JSON reads back.
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")

    @classmethod
    def read(cls, folder: Path) -> StoreInfo:
        """Record of an existing store.

        Raises:
            StoreError: no store, or one of another version.
        """
        path = folder / "store.json"
        try:
            record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if record["version"] != VERSION:
                raise StoreError(
                    f"{folder}: store version {record['version']}, this mirfeat reads {VERSION}."
                )
            return cls(
                Provenance.from_dict(record["provenance"]),
                tuple(record["feature_names"]),
                record["format"],
                record["embed"],
                record["root"],
                tuple(map(Provenance.from_dict, record["earlier"])),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            kind = type(error).__name__
            raise StoreError(
                f"{folder}: not a folder of features ({path.name}: {kind}: {error})."
            ) from error

    def shards(self, folder: Path) -> Shards:
        """Reader and writer of this store's files.

        Raises:
            MissingPackageError: parquet without pyarrow.
        """
        if self.format == "csv":
            return CsvShards(self.feature_names)
        if self.format == "parquet":
            return ParquetShards(len(self.feature_names))
        return ClipFiles(folder, self.format)


def is_store(folder: Path) -> bool:
    """Whether the folder holds features, of whatever version."""
    return (folder / "store.json").exists()


def check_format(format: str, embed: bool) -> None:
    """Whether a store of this kind can be made here.

    Raises:
        OptionError: unknown, or a table format asked to hold embeddings.
        MissingPackageError: parquet without pyarrow.
    """
    if format not in FORMATS:
        raise OptionError(f"format={format!r}: it is one of {', '.join(FORMATS)}.")
    if embed and format in ("csv", "parquet"):
        raise OptionError(
            f"format={format!r} holds vectors only; for embeddings choose npz or npy."
        )
    if format == "parquet":
        ParquetShards(1)


def data_files(folder: Path, shards: Shards) -> list[Path]:
    """Files with rows, oldest first."""
    parts = sorted(folder.glob(f"part-{'[0-9]' * 6}{shards.suffix}"))
    joined = folder / shards.joined if shards.joined else None
    return [joined, *parts] if joined and joined.exists() else parts


def read_failures(folder: Path) -> list[Failure]:
    """Clips that gave no vector in the runs so far."""
    path = folder / "failures.csv"
    if not path.exists():
        return []
    return [Failure(*cells) for cells in read_csv(path, FAILURE_COLUMNS)]


def load_features(folder: Path | str) -> FeatureTable:
    """All vectors of a store as one table; of an interrupted run what is complete.

    Of a store of embeddings (npz) the vectors are computed from their rows.

    Raises:
        StoreError: not a store, or embeddings as npy, which have no weights.
    """
    folder = Path(folder)
    info = StoreInfo.read(folder)
    failures = read_failures(folder)
    if info.embed:
        statistics = info.provenance.options["statistics"]
        rows = {id: embedding.summary(statistics) for id, embedding in load_embeddings(folder)}
    else:
        shards, failed = info.shards(folder), {failure.id for failure in failures}
        rows = {
            row.id: row.vector
            for path in data_files(folder, shards)
            for row in shards.read(path)
            # A file that was replaced by a broken one keeps its old row until the run has ended.
            if row.id not in failed
        }
    values = np.stack(list(rows.values())) if rows else np.zeros((0, len(info.feature_names)))
    return FeatureTable(
        values.astype(np.float32, copy=False),
        tuple(rows),
        info.feature_names,
        info.provenance,
        tuple(failures),
    )


def load_embeddings(folder: Path | str) -> Iterator[tuple[str, Embedding]]:
    """Id and embedding of each clip in a store made with ``embed`` as npz, one at a time.

    Raises:
        StoreError: not a store, or one of another kind.
    """
    folder = Path(folder)
    info = StoreInfo.read(folder)
    shards = info.shards(folder)
    if not info.embed or info.format != "npz" or not isinstance(shards, ClipFiles):
        raise StoreError(
            f"{folder}: holds no embeddings with times. Extract with --embed --format npz."
        )
    blocks: dict[str, slice] = {}
    for column, name in enumerate(info.row_names):
        block = name.split(".")[1]
        start = blocks[block].start if block in blocks else column
        blocks[block] = slice(start, column + 1)
    failed = {failure.id for failure in read_failures(folder)}
    ids = dict.fromkeys(id for path in data_files(folder, shards) for id, _ in shards.seen(path))
    for id in ids:
        if id not in failed:
            yield (
                id,
                Embedding(
                    **shards.arrays(id),
                    blocks=blocks,
                    row_names=info.row_names,
                    provenance=info.provenance,
                ),
            )
