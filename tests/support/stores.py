"""Rows and records for folders of features, without a network."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mirfeat.csvfiles import write_csv
from mirfeat.provenance import Provenance
from mirfeat.store.formats import Format, Row
from mirfeat.store.record import FAILURE_COLUMNS, StoreInfo

NAMES = ("x.a.0.mean", "x.a.1.mean", "x.a.0.std")
PROVENANCE = Provenance(
    extractor="x",
    spec_version=1,
    options={"layers": "12", "statistics": ("mean", "std"), "max_seconds": None},
    checkpoint_name="random",
    checkpoint_sha256="ab" * 32,
    mirfeat_version="0.1.0",
    library_versions={"torch": "2"},
    device="cpu",
)


def row(id: str, vector: np.ndarray | None = None, number: int = 7) -> Row:
    """A row whose every field depends on ``number``."""
    if vector is None:
        vector = np.arange(3, dtype=np.float32) + np.float32(number / 3)
    return Row(id, 1.5 + number, number, "silent; tiled from 3.2 s", 10**10 + number, 9**19, vector)


def assert_same(one: Row, other: Row) -> None:
    """Rows are equal to the bit."""
    assert one.facts() == other.facts()
    np.testing.assert_array_equal(one.vector, other.vector, strict=True)
    np.testing.assert_array_equal(np.signbit(one.vector), np.signbit(other.vector))


def info(format: Format = "csv", **changes: object) -> StoreInfo:
    """Record of a store of rows as above."""
    fields: dict[str, object] = {"embed": False, "root": str(Path("music").absolute()), **changes}
    fields = {"provenance": PROVENANCE, "feature_names": NAMES, "format": format, **fields}
    return StoreInfo(**fields)  # type: ignore[arg-type]


def write_store(
    folder: Path,
    blocks: Mapping[str, np.ndarray],
    ids: Sequence[str],
    format: Format = "csv",
    extractor: str = "x",
    failed: Sequence[str] = (),
    checkpoint: str | None = "random",
) -> Path:
    """A finished store of vectors, float32 [n, d] for each block, of clips ``ids``; the folder."""
    columns = [(name, k) for name, block in blocks.items() for k in range(block.shape[1])]
    names = tuple(f"{extractor}.{name}.{k}.mean" for name, k in columns)
    provenance = replace(PROVENANCE, extractor=extractor, checkpoint_name=checkpoint)
    vectors = np.concatenate(list(blocks.values()), axis=1).astype(np.float32)
    rows = [row(id, vector) for id, vector in zip(ids, vectors, strict=True)]
    return _write(folder, info(format, provenance=provenance, feature_names=names), rows, failed)


def write_embeddings(
    folder: Path,
    clips: Mapping[str, np.ndarray],
    format: Format = "npz",
    failed: Sequence[str] = (),
) -> Path:
    """A finished store of rows, [T, 3] each, in the blocks "a" (two) and "b"; the folder."""
    names = ("x.a.0.mean", "x.a.1.mean", "x.b.0.mean")
    provenance = replace(PROVENANCE, options={"statistics": ("mean",)})
    rows = []
    for id, values in clips.items():
        times = np.arange(len(values) + 1, dtype=np.float64)
        arrays = {
            "values": values.astype(np.float32),
            "within_variance": np.zeros_like(values, dtype=np.float32),
            "starts": times[:-1],
            "ends": times[1:],
            "weights": np.ones(len(values)),
        }
        rows.append(replace(row(id), arrays=arrays))
    record = info(format, embed=True, provenance=provenance, feature_names=names)
    return _write(folder, record, rows, failed)


def _write(folder: Path, record: StoreInfo, rows: Sequence[Row], failed: Sequence[str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    record.write(folder)
    if rows:
        row_files = record.row_files(folder)
        row_files.write(folder / f"part-000001{row_files.suffix}", rows)
    failures = [[id, "DecodeError", "no audio", -1, -1] for id in failed]
    write_csv(folder / "failures.csv", FAILURE_COLUMNS, failures)
    return folder
