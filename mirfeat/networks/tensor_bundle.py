"""Tensors of a TensorFlow checkpoint, read without TensorFlow.

A checkpoint of ``tf.compat.v1.train.Saver`` (version 2, a "tensor bundle") is two files: ``.index``
is a table of sorted keys as LevelDB writes them, ``.data-00000-of-00001`` the bytes of all tensors.
The value of a key is a small protocol buffer with type, shape, place and checksum of its tensor.

Sources: ``tensorflow/core/lib/io/table_format.txt``, ``table_builder.cc`` and
``tensorflow/core/protobuf/tensor_bundle.proto`` of TensorFlow 2.15.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

# Two handles, padded, and the number that ends every table.
_FOOTER_BYTES, _MAGIC = 48, 0xDB4775248B80FB57
# After each block: its compression and a checksum over both.
_UNCOMPRESSED, _TRAILER_BYTES = 0, 5
# Of DataType in types.proto; checkpoints of other types are refused.
_TYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype("<f4"),
    2: np.dtype("<f8"),
    3: np.dtype("<i4"),
    9: np.dtype("<i8"),
}


class BundleError(ValueError):
    """The bytes are damaged, or not a checkpoint of the form that is read here."""


def read_bundle(
    index: bytes, data: bytes, wanted: Callable[[str], bool] = lambda name: True
) -> dict[str, np.ndarray]:
    """Tensors by name, in the order of names, those that are ``wanted``; checksums are verified.

    Raises:
        BundleError: damaged, in several data files, compressed, or of a type not known here.
    """
    try:
        return {name: _tensor(name, entry, data) for name, entry in _index(index) if wanted(name)}
    except (IndexError, KeyError, struct.error, UnicodeDecodeError, TypeError) as error:
        raise BundleError(f"the index is damaged ({error!r})") from error


def masked_crc32c(data: bytes) -> int:
    """Castagnoli's CRC, rotated and shifted as LevelDB stores it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC32C[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _crc32c_table() -> list[int]:
    table = list(range(256))
    for _ in range(8):
        table = [crc >> 1 ^ (0x82F63B78 if crc & 1 else 0) for crc in table]
    return table


_CRC32C = _crc32c_table()


def _index(index: bytes) -> Iterator[tuple[str, bytes]]:
    """Name and entry of each tensor; the empty key holds the header of the whole bundle."""
    footer = index[-_FOOTER_BYTES:]
    if len(footer) < _FOOTER_BYTES or struct.unpack("<Q", footer[-8:])[0] != _MAGIC:
        raise BundleError("not the index of a TensorFlow checkpoint")
    # The first handle is that of the meta index, which checkpoints leave empty.
    _, _, at = _handle(footer, 0)
    for _, value in _entries(_block(index, footer[at:])):
        for key, entry in _entries(_block(index, value)):
            if key:
                yield key.decode(), entry
            elif dict(_fields(entry)).get(1, 1) != 1:
                raise BundleError("a checkpoint in several data files")


def _handle(data: bytes, at: int) -> tuple[int, int, int]:
    """Offset and size of a block, and the place behind them."""
    offset, at = _varint(data, at)
    size, at = _varint(data, at)
    return offset, size, at


def _block(index: bytes, handle: bytes) -> bytes:
    """Contents of a block."""
    offset, size, _ = _handle(handle, 0)
    end = offset + size
    compression, crc = struct.unpack_from("<BI", index[end : end + _TRAILER_BYTES])
    if masked_crc32c(index[offset : end + 1]) != crc:
        raise BundleError(f"the block at byte {offset} of the index is damaged")
    if compression != _UNCOMPRESSED:
        raise BundleError("a compressed index, which TensorFlow does not write for checkpoints")
    return index[offset:end]


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys, each stored as what differs from the one before, with their values."""
    (restarts,) = struct.unpack_from("<I", block, len(block) - 4)
    end, at, key = len(block) - 4 * (restarts + 1), 0, b""
    while at < end:
        shared, at = _varint(block, at)
        fresh, at = _varint(block, at)
        size, at = _varint(block, at)
        key = key[:shared] + block[at : at + fresh]
        at += fresh + size
        yield key, block[at - size : at]


def _fields(message: Any) -> Iterator[tuple[int, Any]]:
    """Numbers and values of a protocol buffer's fields."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(message, at)
            yield number, value
        elif wire == 2:
            size, at = _varint(message, at)
            yield number, message[at : at + size]
            at += size
        elif wire == 5:
            yield number, struct.unpack_from("<I", message, at)[0]
            at += 4
        else:
            raise BundleError(f"an entry of unknown form ({wire})")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, lowest first, and the place behind it."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _tensor(name: str, entry: bytes, data: bytes) -> np.ndarray:
    """The array that a BundleEntryProto describes."""
    fields = dict(_fields(entry))
    kind = _TYPES.get(int(fields[1]))
    if kind is None or 7 in fields:
        raise BundleError(f"{name}: of type {fields[1]!r} or in slices, which is not read here")
    shape = [_size(dimension) for number, dimension in _fields(fields.get(2, b"")) if number == 2]
    start, size = int(fields.get(4, 0)), int(fields.get(5, 0))
    content = data[start : start + size]
    if len(content) != size or size != kind.itemsize * int(np.prod(shape, dtype=np.int64)):
        raise BundleError(f"{name}: {len(content)} bytes where {shape} of {kind} should be")
    if masked_crc32c(content) != fields[6]:
        raise BundleError(f"{name}: its bytes are damaged")
    return np.frombuffer(content, kind).reshape(shape)


def _size(dimension: bytes) -> int:
    return int(dict(_fields(dimension)).get(1, 0))
