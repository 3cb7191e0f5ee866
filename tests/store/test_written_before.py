"""Stores that an earlier version wrote give the same tables, and are gone on with."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from mirfeat import load_embeddings, load_extractor, load_features
from mirfeat.store.record import StoreInfo

STORES = Path(__file__).parents[1] / "data" / "stores"
FOLDERS = sorted(path.name for path in STORES.iterdir() if path.is_dir())
LOADED = [name for name in FOLDERS if name != "embeddings_npy"]  # rows without times


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(shutil.copytree(STORES / request.param, tmp_path / request.param))


@pytest.mark.parametrize("store", LOADED, indirect=True)
def test_an_earlier_store_gives_the_table_it_gave_then(store: Path) -> None:
    table = load_features(store)
    with np.load(STORES / "loaded_before.npz") as before:
        assert list(table.ids) == before[f"{store.name}.ids"].tolist()
        assert list(table.feature_names) == before[f"{store.name}.names"].tolist()
        np.testing.assert_array_equal(table.values, before[f"{store.name}.vectors"])
    assert [failure.id for failure in table.failures] == ["broken.wav"]


def test_earlier_embeddings_have_their_rows_and_times() -> None:
    embeddings = dict(load_embeddings(STORES / "embeddings_npz"))
    assert sorted(embeddings) == ["one.wav", "sub/three.wav", "two.wav"]
    assert embeddings["one.wav"].values.shape == (1, 64)


@pytest.mark.parametrize(
    ("name", "options"),
    [("csv", {"statistics": "mean"}), ("npy", {}), ("parquet", {}), ("npz", {})],
)
def test_an_earlier_store_is_gone_on_with(name: str, options: dict[str, str]) -> None:
    stored = StoreInfo.read(STORES / name).provenance
    with load_extractor("mfcc", **options) as extractor:
        assert stored.differences(extractor.provenance) == []
