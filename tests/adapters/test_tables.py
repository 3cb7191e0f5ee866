"""A parquet store opened by the libraries of others, and vectors in their indexes."""

import json
from pathlib import Path

import numpy as np
import pytest

from mirfeat.store.reading import load_features
from tests.store.test_writer import NAMES, info, row, write

pa = pytest.importorskip("pyarrow")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store") / "feats"
    write(folder, info("parquet"), row("a.wav"), row("sub/b.wav", number=8))
    write(folder, info("parquet"), row("c.wav", number=9))
    return folder


def test_pyarrow_opens_the_rows_with_names_and_provenance(store: Path) -> None:
    import pyarrow.dataset

    data = pyarrow.dataset.dataset(store / "rows")
    table = data.to_table()
    assert table["id"].to_pylist() == ["a.wav", "sub/b.wav", "c.wav"]
    about = json.loads(data.schema.metadata[b"mirfeat"])
    assert about["feature_names"] == list(NAMES)
    assert about["provenance"]["extractor"] == info("parquet").provenance.extractor
    vectors = table["vector"].combine_chunks().flatten().to_numpy().reshape(len(table), -1)
    expected = load_features(store)
    np.testing.assert_array_equal(vectors, expected.aligned(table["id"].to_pylist()))


def test_pandas_opens_the_rows(store: Path) -> None:
    import pandas as pd

    frame = pd.read_parquet(store / "rows")
    np.testing.assert_array_equal(np.stack(frame["vector"]), load_features(store).values)


def test_polars_opens_the_rows(store: Path) -> None:
    polars = pytest.importorskip("polars")
    frame = polars.read_parquet(store / "rows")
    np.testing.assert_array_equal(frame["vector"].to_numpy(), load_features(store).values)


def test_duckdb_opens_the_rows(store: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    found = duckdb.sql(f"select id, vector[1] from '{store}/rows/*.parquet' order by id").fetchall()
    assert [id for id, _ in found] == ["a.wav", "c.wav", "sub/b.wav"]


VECTORS = np.random.default_rng(0).standard_normal((2000, 32)).astype(np.float32)


def test_faiss_finds_neighbours() -> None:
    faiss = pytest.importorskip("faiss")
    index = faiss.IndexFlatL2(VECTORS.shape[1])
    index.add(VECTORS)
    distances, found = index.search(VECTORS[7:8], 3)
    assert found[0, 0] == 7
    assert distances[0, 0] <= 1e-4


def test_sqlite_vec_finds_neighbours() -> None:
    apsw, sqlite_vec = pytest.importorskip("apsw"), pytest.importorskip("sqlite_vec")
    base = apsw.Connection(":memory:")
    base.enable_load_extension(True)
    base.load_extension(sqlite_vec.loadable_path())
    base.execute("create virtual table songs using vec0(vector float[32])")
    base.executemany(
        "insert into songs(rowid, vector) values (?, ?)",
        ((number, vector.tobytes()) for number, vector in enumerate(VECTORS)),
    )
    query = "select rowid from songs where vector match ? and k = 3 order by distance"
    assert base.execute(query, (VECTORS[7].tobytes(),)).fetchone() == (7,)
    base.close()
