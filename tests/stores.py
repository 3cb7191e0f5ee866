"""Rows and records for folders of features, without a network."""

from pathlib import Path

import numpy as np

from mirfeat.shards import Format, Row
from mirfeat.spec import Provenance
from mirfeat.store import StoreInfo

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
