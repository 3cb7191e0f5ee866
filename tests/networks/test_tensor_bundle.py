"""TensorFlow's checkpoints without TensorFlow: hand-made ones, and TensorFlow's own reading."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mirfeat.networks.tensor_bundle import BundleError, masked_crc32c, read_bundle
from tests.support.tensor_bundles import bundle, field, table

TENSORS = {
    "a/kernel": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "a/kernel/Adam": np.full((2, 3, 4), 0.25, np.float32),
    "step": np.array(7, np.int64),
    "double": np.linspace(0, 1, 5),
    "empty": np.zeros((0, 3), np.float32),
    **{f"layer_{n}/bias": np.full(n + 1, n, np.int32) for n in range(40)},
}


def test_the_checksum_is_castagnolis() -> None:
    # The check value of CRC-32C (iSCSI), and LevelDB's mask over it.
    crc = 0xE3069283
    expected = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    assert masked_crc32c(b"123456789") == expected


def test_every_tensor_comes_back_as_it_was() -> None:
    found = read_bundle(*bundle(TENSORS))
    assert list(found) == sorted(TENSORS)
    for name, array in TENSORS.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        assert_array_equal(found[name], array)


def test_only_what_is_wanted_is_read() -> None:
    index, data = bundle(TENSORS)
    assert list(read_bundle(index, data, lambda name: name == "step")) == ["step"]


@pytest.mark.parametrize("place", ["index", "data"])
def test_a_flipped_bit_never_gives_other_numbers(place: str) -> None:
    index, data = bundle({"a": TENSORS["a/kernel"], "b": TENSORS["double"]})
    intact, found, size = read_bundle(index, data), 0, len(index if place == "index" else data)
    for at in range(size):
        files = {"index": bytearray(index), "data": bytearray(data)}
        files[place][at] ^= 1 << at % 8
        try:
            tensors = read_bundle(bytes(files["index"]), bytes(files["data"]))
        except BundleError:
            found += 1
            continue
        # The empty meta index and the padding before the end are not looked at.
        assert all(np.array_equal(tensors[name], intact[name]) for name in intact)
    assert found > size / 2


@pytest.mark.parametrize("length", [0, 10, 47, 48, 100])
def test_half_an_index_is_refused(length: int) -> None:
    index, data = bundle(TENSORS)
    with pytest.raises(BundleError, match="not the index"):
        read_bundle(index[:length], data)


def test_missing_data_is_refused_with_the_tensor() -> None:
    index, data = bundle({"a": TENSORS["a/kernel"], "b": TENSORS["double"]})
    with pytest.raises(BundleError, match=r"b: 39 bytes where \[5\] of float64"):
        read_bundle(index, data[:-1])


def test_what_is_not_read_here_is_refused_by_name() -> None:
    with pytest.raises(BundleError, match="flag: of type 10"):
        read_bundle(*bundle({"flag": np.array([True])}))
    with pytest.raises(BundleError, match="several data files"):
        read_bundle(*bundle(TENSORS, data_files=2))
    with pytest.raises(BundleError, match="compressed"):
        read_bundle(table([(b"", field(1, 1))], compression=1), b"")


WRITE = """
import sys, numpy as np, tensorflow as tf
tf.compat.v1.disable_eager_execution()
generator, graph = np.random.default_rng(0), {}
with tf.compat.v1.Session() as session:
    for number in range(60):
        shape = tuple(generator.integers(1, 6, number % 4))
        kind = [np.float32, np.float64, np.int32, np.int64][number % 4]
        values = generator.integers(-99, 99, shape).astype(kind)
        tf.compat.v1.get_variable(f"layer_{number}/kernel", initializer=values)
    session.run(tf.compat.v1.global_variables_initializer())
    tf.compat.v1.train.Saver().save(session, sys.argv[1])
reader = tf.compat.v1.train.NewCheckpointReader(sys.argv[1])
names = reader.get_variable_to_shape_map()
np.savez(sys.argv[2], **{name: reader.get_tensor(name) for name in names})
"""


@pytest.mark.slow
def test_tensorflow_reads_the_same(tmp_path: Path, tensorflow_python: str) -> None:
    written, theirs = tmp_path / "model", tmp_path / "theirs.npz"
    subprocess.run([tensorflow_python, "-c", WRITE, str(written), str(theirs)], check=True)
    index = written.with_suffix(".index").read_bytes()
    found = read_bundle(index, (tmp_path / "model.data-00000-of-00001").read_bytes())
    expected = np.load(theirs)
    assert sorted(expected.files) == list(found)
    for name in found:
        assert found[name].dtype == expected[name].dtype
        assert_array_equal(found[name], expected[name])
