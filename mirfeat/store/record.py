"""A folder of extracted vectors: what is in it, and what it says of itself.

``store.json`` says how it was made (provenance, feature names, format), ``failures.csv`` what
gave no vector; ``features.csv``, ``index.csv``, ``part-*`` or ``rows/part-*`` hold the rows. Each
file is whole or not there. A folder that a job array filled has one such store for each shard
(``jobarray.py``) and is read as one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mirfeat.csvfiles import read_csv
from mirfeat.errors import OptionError, ProvenanceError, StoreError
from mirfeat.files import replacing
from mirfeat.provenance import Provenance
from mirfeat.results.moments import check_statistics
from mirfeat.results.outcomes import Failure
from mirfeat.store.clip_files import ClipFiles
from mirfeat.store.csv_rows import CsvRows
from mirfeat.store.formats import FORMATS, Format, RowFiles
from mirfeat.store.ids import checked_id
from mirfeat.store.jobarray import is_plain_store, shard_folders
from mirfeat.store.parquet_rows import ParquetRows

VERSION = 1
FAILURE_COLUMNS = ("id", "error_type", "error", "size", "mtime_ns")
_MOST_FEATURES = 1_000_000
# Of an earlier mirfeat, which did not note which state of a file had failed.
_EARLIER_COLUMNS = FAILURE_COLUMNS[:3]


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
        if not is_plain_store(folder) and (stores := shard_stores(folder)):
            infos = {store.name: cls.read(store) for store in stores}
            _check_agreement(folder, infos)
            return infos[stores[0].name]
        path = folder / "store.json"
        try:
            record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if record["version"] != VERSION:
                raise StoreError(
                    f"{folder}: store version {repr(record['version'])[:80]}, this mirfeat reads "
                    f"{VERSION}."
                )
            _check(record)
            return cls(
                Provenance.from_dict(record["provenance"]),
                tuple(record["feature_names"]),
                record["format"],
                record["embed"],
                record["root"],
                tuple(map(Provenance.from_dict, record["earlier"])),
            )
        # Anybody may have written it: deep nesting, null, numbers of thousands of digits.
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
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

    def row_files(self, folder: Path) -> RowFiles:
        """Reader and writer of this store's files.

        Raises:
            MissingPackageError: parquet without pyarrow.
        """
        if self.format == "csv":
            return CsvRows(self.feature_names)
        if self.format == "parquet":
            about = {
                "feature_names": self.feature_names,
                "provenance": self.provenance.to_dict(),
            }
            return ParquetRows(len(self.feature_names), about)
        return ClipFiles(folder, self.format)


def _check(record: Mapping[str, Any]) -> None:
    """ValueError for a record that no mirfeat has written."""
    if (format := record["format"]) not in FORMATS:
        raise ValueError(f"format {repr(format)[:80]} is none of {', '.join(FORMATS)}")
    names, kinds = record["feature_names"], record["provenance"]["options"].get("statistics")
    if not isinstance(names, list) or len(names) > _MOST_FEATURES:
        raise ValueError(f"feature_names is no list of up to {_MOST_FEATURES} names")
    if not all(isinstance(name, str) and name.count(".") > 1 for name in names):
        raise ValueError("a feature name that is not of the form extractor.block.number.statistic")
    if not isinstance(record["embed"], bool) or not isinstance(record["root"], str):
        raise ValueError("embed is true or false, and root is a text")
    if record["embed"]:
        check_statistics(kinds)


def is_store(folder: Path) -> bool:
    """Whether the folder holds features, of whatever version, in shards or not."""
    return is_plain_store(folder) or bool(shard_stores(folder))


def stores_in(folder: Path) -> list[Path]:
    """Folders of the stores that are read as one: the folder, or its shards.

    Raises:
        StoreError: shards of several job arrays.
    """
    return [folder] if is_plain_store(folder) else shard_stores(folder) or [folder]


def shard_stores(folder: Path) -> list[Path]:
    """Stores of the shards in a folder, in order; empty where there are none.

    Raises:
        StoreError: shards of several job arrays.
    """
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
        ParquetRows(1)


def read_failures(folder: Path) -> list[Failure]:
    """Clips that gave no vector in the runs so far.

    Raises:
        StoreError: a list that is damaged, or not of a store.
    """
    paths = [store / "failures.csv" for store in stores_in(folder)]
    return [failure for path in paths if path.exists() for failure in _failures(path)]


def _failures(path: Path) -> Iterator[Failure]:
    for id, kind, error, *state in read_csv(path, FAILURE_COLUMNS, _EARLIER_COLUMNS):
        try:
            numbers = [int(cell) for cell in state]
        except ValueError as error_of_number:
            raise StoreError(
                f"{path}: the line of {id[:200]!r} has something else where numbers belong."
            ) from error_of_number
        yield Failure(checked_id(id, path), kind, error, *numbers)
