"""A folder of extracted vectors: what is in it, and how it is read.

``store.json`` says how it was made (provenance, feature names, format), ``failures.csv`` what
gave no vector, ``features.csv``, ``index.csv`` or ``part-*`` hold the rows. Each file is whole or
not there, so a folder can be read while it is written and after a run was killed. A folder that a
job array filled has one such store for each shard (``jobarray.py``) and is read as one.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from mirfeat.csvfiles import read_csv
from mirfeat.errors import OptionError, ProvenanceError, StoreError
from mirfeat.files import replacing
from mirfeat.networks.spec import Provenance
from mirfeat.results import Embedding, Failure, FeatureTable
from mirfeat.store import matrix
from mirfeat.store.contents import ChangedError, Contents, data_files
from mirfeat.store.formats import FORMATS, ClipFiles, CsvShards, Format, ParquetShards, Shards
from mirfeat.store.jobarray import shard_folders

logger = logging.getLogger("mirfeat")

VERSION = 1
FAILURE_COLUMNS = ("id", "error_type", "error")
# A writer that tidies up takes files away under a reader, who then looks again.
_LOOKS, _SECONDS_BETWEEN_LOOKS = 5, 0.5


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
        """Record of an existing store; of a job array's that of its first shard.

        Raises:
            StoreError: no store, or one of another version.
            ProvenanceError: shards that were made in different ways.
        """
        if not is_plain_store(folder) and (stores := _shard_stores(folder)):
            infos = {store.name: cls.read(store) for store in stores}
            _check_agreement(folder, infos)
            return infos[stores[0].name]
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

    def differences(self, other: StoreInfo) -> list[str]:
        """One line for each thing that keeps rows of two stores from standing side by side."""
        return self.provenance.differences(other.provenance) + [
            f"{name}: {mine!r} here, {theirs!r} there"
            for name in ("format", "embed")
            if (mine := getattr(self, name)) != (theirs := getattr(other, name))
        ]

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
    """Whether the folder holds features, of whatever version, in shards or not."""
    return is_plain_store(folder) or bool(_shard_stores(folder))


def is_plain_store(folder: Path) -> bool:
    """Whether the folder itself is a store, not one of shards."""
    return (folder / "store.json").exists()


def stores_in(folder: Path) -> list[Path]:
    """Folders of the stores that are read as one: the folder, or its shards.

    Raises:
        StoreError: shards of several job arrays.
    """
    return [folder] if is_plain_store(folder) else _shard_stores(folder) or [folder]


def _shard_stores(folder: Path) -> list[Path]:
    shards = {shard: path for shard, path in shard_folders(folder).items() if is_plain_store(path)}
    if len(counts := sorted({shard.total for shard in shards})) > 1:
        raise StoreError(
            f"{folder}: holds shards of {' and of '.join(map(str, counts))}. Read them one by one, "
            "or move those of one job array to a folder of their own."
        )
    return list(shards.values())


def _check_agreement(folder: Path, infos: dict[str, StoreInfo]) -> None:
    (first, expected), *others = infos.items()
    lines = [
        f"{name} ({'; '.join(found)})"
        for name, info in others
        if (found := info.differences(expected))
    ]
    if lines:
        raise ProvenanceError(
            f"{folder}: shards were made in different ways. There is {first}; here are "
            f"{', '.join(lines)}. Extract one or the other again with --overwrite."
        )


def _warn_of_missing(folder: Path) -> None:
    if is_plain_store(folder) or not (stores := _shard_stores(folder)):
        return
    there = {shard for shard, path in shard_folders(folder).items() if path in stores}
    count = next(iter(there)).total
    missing = sorted({*range(1, count + 1)} - {shard.number for shard in there})
    if missing:
        names = ", ".join(map(str, missing[:20])) + (", …" if len(missing) > 20 else "")
        logger.warning(
            "%s: %d of %d shards are there; missing: %s", folder, len(there), count, names
        )


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


def read_failures(folder: Path) -> list[Failure]:
    """Clips that gave no vector in the runs so far."""
    paths = [store / "failures.csv" for store in stores_in(folder)]
    return [
        Failure(*cells)
        for path in paths
        if path.exists()
        for cells in read_csv(path, FAILURE_COLUMNS)
    ]


def load_features(folder: Path | str, *, mmap: bool = False) -> FeatureTable:
    """All vectors of a store as one table; of an interrupted run what is complete.

    Of a store of embeddings (npz) the vectors are computed from their rows. With ``mmap`` they are
    written to ``matrix.npy`` in the folder once, and ``values`` is that file mapped into memory,
    read-only: for tables that do not fit. It is used again until the store changes.

    Raises:
        StoreError: not a store, embeddings as npy, which have no weights, or with ``mmap`` a folder
            that cannot be written.
        ProvenanceError: shards of a job array that were made in different ways.
    """
    folder = Path(folder)
    _warn_of_missing(folder)
    for _ in range(_LOOKS - 1):
        with suppress(ChangedError):
            return _load(folder, mmap)
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    return _load(folder, mmap)


def _load(folder: Path, mmap: bool) -> FeatureTable:
    info, stores = StoreInfo.read(folder), stores_in(folder)

    def state() -> list[list[Any]]:
        paths = (path for store in stores for path in _files_of(store, info))
        return matrix.state_of(paths, folder)

    def material() -> matrix.Material:
        return _material(info, [_contents(store, info) for store in stores])

    if mmap:
        ids, values = matrix.mapped(folder, state, material)
    else:
        found = material()
        ids = tuple(found.ids)
        # Once: a list of rows and then their stack would need twice the memory.
        values = np.empty((len(ids), found.dimension), np.float32)
        for row, vector in enumerate(found.vectors):
            values[row] = vector
    there = set(ids)
    # One that has failed since the rows were looked at.
    failures = tuple(failure for failure in read_failures(folder) if failure.id not in there)
    return FeatureTable(values, ids, info.feature_names, info.provenance, failures)


def _contents(store: Path, info: StoreInfo) -> Contents:
    # Before the rows: a clip that works at last is listed as failed until its row is there.
    failures = read_failures(store)
    shards = _clips_of(store, info) if info.embed else info.shards(store)
    return Contents.of(store, shards, failures)


def _material(info: StoreInfo, contents: Sequence[Contents]) -> matrix.Material:
    statistics = info.provenance.options["statistics"] if info.embed else None
    return matrix.Material(
        [id for one in contents for id in one.ids],
        len(info.feature_names),
        chain.from_iterable(one.vectors(statistics) for one in contents),
    )


def _files_of(store: Path, info: StoreInfo) -> list[Path]:
    """Files that decide which vectors a store has."""
    names = ("store.json", "failures.csv")
    return [*(store / name for name in names), *data_files(store, info.shards(store))]


def load_embeddings(folder: Path | str) -> Iterator[tuple[str, Embedding]]:
    """Id and embedding of each clip in a store made with ``embed`` as npz, one at a time.

    Raises:
        StoreError: not a store, or one of another kind.
        ProvenanceError: shards of a job array that were made in different ways.
    """
    folder = Path(folder)
    _warn_of_missing(folder)
    info = StoreInfo.read(folder)
    blocks: dict[str, slice] = {}
    for column, name in enumerate(info.row_names):
        block = name.split(".")[1]
        start = blocks[block].start if block in blocks else column
        blocks[block] = slice(start, column + 1)
    for store in stores_in(folder):
        clips = _clips_of(store, info)
        for id in Contents.of(store, clips, read_failures(store)).ids:
            yield (
                id,
                Embedding(
                    **clips.arrays(id),
                    blocks=blocks,
                    row_names=info.row_names,
                    provenance=info.provenance,
                ),
            )


def _clips_of(store: Path, info: StoreInfo) -> ClipFiles:
    shards = info.shards(store)
    if not info.embed or info.format != "npz" or not isinstance(shards, ClipFiles):
        raise StoreError(
            f"{store}: holds no embeddings with times. Extract with --embed --format npz."
        )
    return shards
