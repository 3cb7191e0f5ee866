"""Folders of features whose files somebody wrote to hurt: our own error, in seconds."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mirfeat.cli import main
from mirfeat.errors import MirfeatError, StoreError
from mirfeat.results.table import FeatureTable
from mirfeat.store.reading import load_embeddings, load_features
from mirfeat.store.record import StoreInfo
from tests.support.stores import write_embeddings, write_store

LONG = 10**4000


def changed(**entries: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda record: {**record, **entries}


def in_provenance(**entries: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda record: {**record, "provenance": {**record["provenance"], **entries}}


RECORDS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "null": lambda record: None,
    "a list": lambda record: [],
    "another format": changed(format="../x"),
    "a format that is none": changed(format=["csv"]),
    "a long version": changed(version=LONG),
    "names null": changed(feature_names=None),
    "names a text": changed(feature_names="x.a.0.mean"),
    "names of numbers": changed(feature_names=[1, 2, 3]),
    "names without parts": changed(feature_names=["a", "b", "c"]),
    "embed null": changed(embed=None),
    "root a list": changed(root=[]),
    "earlier null": changed(earlier=None),
    "provenance null": changed(provenance=None),
    "provenance a list": changed(provenance=[]),
    "options null": in_provenance(options=None),
    "parts null": in_provenance(parts=None),
    "parts of nothing": in_provenance(parts=[None]),
    "extractor null": in_provenance(extractor=None),
    "a version that is none": in_provenance(spec_version="1"),
    "too much": in_provenance(surprise=1),
}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    block = np.arange(6, dtype=np.float32).reshape(2, 3)
    return write_store(tmp_path / "store", {"a": block}, ["1.wav", "2.wav"], "npz")


@pytest.mark.parametrize("change", RECORDS.values(), ids=RECORDS)
def test_a_malformed_record_is_our_own_error(store: Path, change: Callable[..., Any]) -> None:
    path = store / "store.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(StoreError) as caught:
        load_features(store)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("text", ["[" * 100_000, '{"version": ' + "9" * 5000 + "}", "{", "\xff"])
def test_a_record_that_is_no_json_is_our_own_error(store: Path, text: str) -> None:
    (store / "store.json").write_text(text, encoding="latin-1")
    with pytest.raises(StoreError):
        StoreInfo.read(store)
    assert (
        main(
            ["evaluate", "svm-grid", "--features", str(store), "--labels", str(store / "none.csv")]
        )
        == 2
    )


def test_statistics_of_embeddings_are_those_there_are(tmp_path: Path) -> None:
    folder = write_embeddings(tmp_path / "store", {"a.wav": np.ones((2, 3))})
    path = folder / "store.json"
    record = json.loads(path.read_text())
    record["provenance"]["options"] = {"statistics": ["median"]}
    path.write_text(json.dumps(record))
    with pytest.raises(StoreError, match="median"):
        load_features(folder)


def npz(compression: int, **arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.save(member, array)
            archive.writestr(f"{name}.npy", member.getvalue())
    return buffer.getvalue()


def claiming(shape: tuple[int, ...]) -> bytes:
    """An array whose header claims more than there is."""
    buffer = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, header)
    member = buffer.getvalue() + b"\0" * 16
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("vector.npy", member)
    return archive.getvalue()


CLIPS = {
    "nothing": b"",
    "text": b"text",
    "deflated": npz(zipfile.ZIP_DEFLATED, vector=np.zeros(10**6, np.float32)),
    "terabytes": claiming((10**12,)),
    "more than there is": claiming((10**6,)),
    "another name": npz(zipfile.ZIP_STORED, surprise=np.zeros(3, np.float32)),
    "another shape": npz(zipfile.ZIP_STORED, vector=np.zeros(4, np.float32)),
    "two dimensions": npz(zipfile.ZIP_STORED, vector=np.zeros((3, 1), np.float32)),
    "texts": npz(zipfile.ZIP_STORED, vector=np.array(["a", "b", "c"])),
}


@pytest.mark.parametrize("content", CLIPS.values(), ids=CLIPS)
def test_a_malformed_clip_is_our_own_error(store: Path, content: bytes) -> None:
    (store / "1.wav.npz").write_bytes(content)
    with pytest.raises(StoreError):
        load_features(store)


@pytest.mark.parametrize(
    "arrays",
    [
        {"vector": np.zeros(3, np.float32)},
        {"values": np.zeros((2, 3), np.float32)},
        {
            "values": np.zeros((2, 3), np.float32),
            "within_variance": np.zeros((2, 3), np.float32),
            "starts": np.zeros(3),
            "ends": np.zeros(2),
            "weights": np.zeros(2),
        },
    ],
)
def test_a_malformed_embedding_is_our_own_error(tmp_path: Path, arrays: Any) -> None:
    folder = write_embeddings(tmp_path / "store", {"a.wav": np.ones((2, 3))})
    (folder / "a.wav.npz").write_bytes(npz(zipfile.ZIP_STORED, **arrays))
    with pytest.raises(StoreError, match="not those of an embedding"):
        load_features(folder)
    with pytest.raises(StoreError, match="not those of an embedding"):
        list(load_embeddings(folder))


@pytest.mark.parametrize("cell", ["9" * 5000, "", "null", "1.5", "1e3"])
def test_an_index_with_other_things_than_numbers_is_our_own_error(store: Path, cell: str) -> None:
    (part,) = store.glob("part-*.csv")
    header, line, *rest = part.read_text().splitlines()
    cells = line.split(",")
    part.write_text("\n".join([header, ",".join([*cells[:-1], cell]), *rest]))
    with pytest.raises(StoreError, match="where numbers belong"):
        load_features(store)


HEADERS: dict[str, Any] = {
    "null": None,
    "a list": [],
    "no ids": {},
    "ids null": {"ids": None, "feature_names": [], "provenance": {}, "failures": []},
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_malformed_table_is_our_own_error(tmp_path: Path, header: Any) -> None:
    path = tmp_path / "table.npz"
    np.savez(path, values=np.zeros((1, 3), np.float32), header=np.array(json.dumps(header)))
    with pytest.raises(MirfeatError):
        FeatureTable.load(path)


def test_a_table_of_another_size_or_compressed_is_refused(store: Path, tmp_path: Path) -> None:
    table, path = load_features(store), tmp_path / "table.npz"
    table.save(path)
    np.testing.assert_array_equal(FeatureTable.load(path).values, table.values)
    with np.load(path) as file:
        header = file["header"]
    np.savez_compressed(path, values=table.values, header=header)
    with pytest.raises(StoreError, match="compressed"):
        FeatureTable.load(path)
    np.savez(path, values=table.values[:1], header=header)
    with pytest.raises(StoreError, match="numbers for 2 ids"):
        FeatureTable.load(path)
