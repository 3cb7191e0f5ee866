"""Features as protocols take them: from stores, tables and arrays."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import mirfeat
from mirfeat.errors import OptionError, StoreError
from mirfeat.evaluation.inputs import Features, describe, from_table, read_features
from mirfeat.store.reading import load_features
from tests.support.stores import write_store

IDS = ("b/ü.wav", "a.wav", "c.wav")


def block(rows: int, columns: int, first: int = 0) -> np.ndarray:
    return (first + np.arange(rows * columns, dtype=np.float32)).reshape(rows, columns)


def saved(path: Path, array: np.ndarray) -> str:
    np.save(path, array)
    return str(path)


# -- vectors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["csv", "parquet", "npz", "npy"])
def test_a_store_is_read_by_its_blocks(tmp_path: Path, format: str) -> None:
    blocks = {"layer1": block(3, 2), "layer2": block(3, 1, 50), "delta2": block(3, 1, 90)}
    folder = write_store(tmp_path / "s", blocks, IDS, format, failed=["bad.wav"])  # type: ignore[arg-type]
    features = read_features([str(folder)])
    assert (features.name, features.ids) == ("x (random)", IDS)
    assert features.failed == ("bad.wav",)
    assert list(features.blocks) == list(blocks)
    for name, values in blocks.items():
        np.testing.assert_array_equal(features.blocks[name], values, strict=True)
    np.testing.assert_array_equal(features.values, np.concatenate([*blocks.values()], axis=1))
    assert list(features.layers) == ["1", "2"]
    assert len(features) == 3
    assert list(Features("f", dict.fromkeys(("layers", "layer12"), block(1, 1))).layers) == ["12"]


def test_a_saved_table_is_read_as_its_store(tmp_path: Path) -> None:
    folder = write_store(tmp_path / "s", {"a": block(3, 2)}, IDS, failed=["bad.wav"])
    load_features(folder).save(tmp_path / "table")
    one, other = read_features([str(folder)]), read_features([str(tmp_path / "table")])
    assert (one.name, one.ids, one.failed) == (other.name, other.ids, other.failed)
    np.testing.assert_array_equal(one.blocks["a"], other.blocks["a"], strict=True)


@pytest.mark.parametrize(
    ("type", "expected"),
    [("f2", "f4"), ("f4", "f4"), ("f8", "f8"), ("i2", "f4"), ("i8", "f8"), ("u1", "f4")],
)
def test_arrays_keep_the_digits_they_have(tmp_path: Path, type: str, expected: str) -> None:
    array = np.arange(6).reshape(3, 2).astype(type)
    features = read_features([saved(tmp_path / "layer3.npy", array)])
    assert features.values.dtype == np.dtype(expected)
    np.testing.assert_array_equal(features.values, array)
    assert (features.name, features.ids, list(features.layers)) == ("layer3", None, ["3"])


def test_a_block_can_be_given_a_name(tmp_path: Path) -> None:
    path = saved(tmp_path / "x=y.npy", block(3, 2))
    assert list(read_features([path]).blocks) == ["x=y"]
    assert list(read_features([f"layer1={path}"]).blocks) == ["layer1"]
    folder = write_store(tmp_path / "s", {"a": block(3, 2), "b": block(3, 1)}, IDS)
    named = read_features([f"layer2={folder}"])
    assert (named.name, named.ids, list(named.layers)) == ("layer2", IDS, ["2"])
    assert named.values.shape == (3, 3)


def test_arrays_stand_side_by_side(tmp_path: Path) -> None:
    paths = [saved(tmp_path / f"{k}.npy", block(3, k + 1, k)) for k in range(2)]
    features = read_features([f"layer1={paths[0]}", f"mfcc={paths[1]}"])
    assert (features.name, list(features.blocks)) == ("layer1 + mfcc", ["layer1", "mfcc"])
    assert features.values.shape == (3, 3)
    with pytest.raises(OptionError, match=r"blocks \['0'\] are there already. Name it NAME=FILE"):
        read_features([paths[0], paths[0]])
    with pytest.raises(OptionError, match="differ in their number of clips"):
        read_features([paths[0], saved(tmp_path / "more.npy", block(4, 1))])


def test_stores_of_another_order_are_put_in_order(tmp_path: Path) -> None:
    first = write_store(tmp_path / "1", {"a": block(3, 1)}, IDS, failed=["bad"])
    second = write_store(tmp_path / "2", {"b": block(3, 1, 7)}, IDS[::-1], extractor="y")
    features = read_features([str(first), str(second)])
    assert (features.ids, features.failed) == (IDS, ("bad",))
    np.testing.assert_array_equal(features.values, [[0, 9], [1, 8], [2, 7]])
    assert features.name == "x (random) + y (random)"


def test_features_of_other_clips_do_not_stand_side_by_side(tmp_path: Path) -> None:
    first = str(write_store(tmp_path / "1", {"a": block(3, 1)}, IDS))
    fewer = str(write_store(tmp_path / "2", {"b": block(2, 1)}, IDS[:2]))
    array = saved(tmp_path / "c.npy", block(3, 1))
    for other in (fewer, array):
        for specs in ([first, other], [other, first]):
            with pytest.raises(OptionError, match="features of different clips"):
                read_features(specs)


def test_blocks_of_joined_extractors_keep_their_names_where_they_can(tmp_path: Path) -> None:
    write_store(tmp_path / "s", {"a": block(2, 1), "b": block(2, 2, 5)}, IDS[:2])
    table = load_features(tmp_path / "s")
    for names, expected in (
        (("x.a.0.mean", "y.b.0.mean", "y.b.1.mean"), {"a": [0], "b": [1, 2]}),
        (("x.a.0.mean", "y.a.0.mean", "y.b.0.mean"), {"x.a": [0], "y.a": [1], "b": [2]}),
        (("x.a.0.mean", "x.b.0.mean", "x.a.0.std"), {"a": [0, 2], "b": [1]}),
    ):
        joined = mirfeat.FeatureTable(table.values, table.ids, names, table.provenance)
        features = from_table(joined, "joined")
        assert list(features.blocks) == list(expected)
        for name, columns in expected.items():
            np.testing.assert_array_equal(features.blocks[name], table.values[:, columns])


def test_names_of_features_say_which_weights_made_them(tmp_path: Path) -> None:
    for checkpoint, name in (("random", "x (random)"), (None, "x"), ("/a/b/c.npz", "x (c.npz)")):
        folder = tmp_path / name
        write_store(folder, {"a": block(1, 1)}, ["a"], checkpoint=checkpoint)
        assert describe(load_features(folder).provenance) == name


# -- what is refused ------------------------------------------------------------------------------


def no_array(path: Path) -> None:
    path.write_text("1 2 3")


def empty_file(path: Path) -> None:
    path.touch()


def half_an_array(path: Path) -> None:
    np.save(path, block(9, 9))
    path.write_bytes(path.read_bytes()[:200])


def several_arrays(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, a=block(2, 2))


def objects(path: Path) -> None:
    np.save(path, np.array([[{}, 1]], dtype=object), allow_pickle=True)


def one_dimension(path: Path) -> None:
    np.save(path, np.arange(3.0))


def three_dimensions(path: Path) -> None:
    np.save(path, np.zeros((2, 2, 2)))


def words(path: Path) -> None:
    np.save(path, np.array([["a", "b"]]))


def complex_numbers(path: Path) -> None:
    np.save(path, np.zeros((2, 2), complex))


@pytest.mark.parametrize(
    "write",
    [
        no_array,
        empty_file,
        half_an_array,
        several_arrays,
        objects,
        one_dimension,
        three_dimensions,
        words,
        complex_numbers,
        Path.exists,
    ],
)
def test_arrays_that_are_none_are_refused(tmp_path: Path, write: Callable[[Path], None]) -> None:
    path = tmp_path / "array.npy"
    write(path)
    with pytest.raises(StoreError, match=re.escape(str(path))):
        read_features([f"layer1={path}"])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    array = block(3, 2)
    array[1, 1] = value
    with pytest.raises(OptionError, match=r"layer1.*\(3, 2\).*all finite"):
        read_features([f"layer1={saved(tmp_path / 'a.npy', array)}"])


def test_what_holds_no_features_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("id,label\n")
    for spec in (tmp_path, tmp_path / "labels.csv", tmp_path / "nowhere", "layer1="):
        with pytest.raises(StoreError, match=r"no features\. Give a folder that 'mirfeat extract'"):
            read_features([str(spec)])
    with pytest.raises(OptionError, match="no features: give a folder"):
        read_features([])


def test_each_clip_has_an_id_of_its_own() -> None:
    with pytest.raises(OptionError, match="3 ids, 2 of them different, for 3 clips"):
        Features("f", {"a": block(3, 1)}, ("a", "b", "a"))
    with pytest.raises(OptionError, match="2 ids, 2 of them different, for 3 clips"):
        Features("f", {"a": block(3, 1)}, ("a", "b"))


def test_values_can_be_asked_for_by_clip() -> None:
    features = Features("f", {"a": block(3, 1), "b": block(3, 1, 10)}, IDS)
    order = features.in_order_of(["c.wav", "b/ü.wav", "c.wav"])
    np.testing.assert_array_equal(order, [[2, 12], [0, 10], [2, 12]])
    with pytest.raises(OptionError, match=r"2 of 3 clips have no .* 'x'; .* like 'b/ü.wav'"):
        features.in_order_of(["x", "a.wav", "y"])
    nameless = Features("f", {"a": block(3, 1)})
    np.testing.assert_array_equal(nameless.in_order_of("xyz"), nameless.values)
    with pytest.raises(OptionError, match="3 rows without ids for 2 clips"):
        nameless.in_order_of("xy")
