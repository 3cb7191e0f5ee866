"""Checkpoints as TensorFlow writes them, written again: to read them without TensorFlow."""

import struct
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from mirfeat.networks.tensor_bundle import masked_crc32c

MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)
TYPES = {"float32": 1, "float64": 2, "int32": 3, "int64": 9, "bool": 10}


def varint(value: int) -> bytes:
    """Seven bits a byte, lowest first."""
    small = bytearray()
    while value >= 0x80:
        small.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*small, value])


def field(number: int, value: int | bytes) -> bytes:
    """A field of a protocol buffer."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def block(entries: Sequence[tuple[bytes, bytes]], restart_every: int = 16) -> bytes:
    """Entries of sorted keys, each key told by what differs from the one before."""
    content, restarts, before = b"", [], b""
    for number, (key, value) in enumerate(entries):
        shared = 0
        if number % restart_every == 0:
            restarts.append(len(content))
        else:
            while shared < min(len(key), len(before)) and key[shared] == before[shared]:
                shared += 1
        content += varint(shared) + varint(len(key) - shared) + varint(len(value))
        content += key[shared:] + value
        before = key
    restarts = restarts or [0]
    return content + struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))


def table(
    entries: Sequence[tuple[bytes, bytes]], per_block: int = 7, compression: int = 0
) -> bytes:
    """A whole table: blocks of entries, an empty meta index, the index of blocks, the footer."""
    content = b""

    def stored(piece: bytes) -> bytes:
        nonlocal content
        handle = varint(len(content)) + varint(len(piece))
        piece += bytes([compression])
        content += piece + struct.pack("<I", masked_crc32c(piece))
        return handle

    index = []
    for start in range(0, len(entries), per_block):
        some = entries[start : start + per_block]
        # TensorFlow names a block by a key between its last and the next one's first.
        index.append((some[-1][0] + b"\x00", stored(block(some))))
    footer = stored(block([])) + stored(block(index, restart_every=1))
    return content + footer.ljust(40, b"\x00") + MAGIC


def entry(array: np.ndarray, start: int, data: bytes) -> bytes:
    """Description of a tensor."""
    shape = b"".join(field(2, field(1, size) if size else b"") for size in array.shape)
    crc = varint(6 << 3 | 5) + struct.pack("<I", masked_crc32c(data))
    fields = [field(1, TYPES[str(array.dtype)]), field(2, shape)]
    return b"".join(fields) + (field(4, start) if start else b"") + field(5, len(data)) + crc


def bundle(tensors: Mapping[str, np.ndarray], data_files: int = 1) -> tuple[bytes, bytes]:
    """The two files of a checkpoint: index and data."""
    # Number of data files, byte order (little: 0, left out), version of the format.
    header = field(1, data_files) + field(3, field(1, 1))
    entries, data = [(b"", header)], b""
    for name, array in sorted(tensors.items()):
        content = array.tobytes()
        entries.append((name.encode(), entry(array, len(data), content)))
        data += content
    return table(entries), data


def kernels(tensors: Mapping[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """mirfeat's tensors of musicnn by the names and in the order of axes of the original."""
    layers = [*(f"timbral.{n}" for n in range(2)), *(f"temporal.{n}" for n in range(3))]
    layers += [f"middle.{n}" for n in range(3)]
    for number, layer in enumerate(layers):
        weight = tensors[f"network.{layer}.conv.weight"]
        prefix = f"conv2d_{number}" if number else "conv2d"
        if weight.ndim == 3:  # [filters, channels, frames]
            yield f"{prefix}/kernel", np.ascontiguousarray(weight.transpose(2, 1, 0)[:, :, None])
        else:  # [filters, 1, bands, frames]
            yield f"{prefix}/kernel", np.ascontiguousarray(weight.transpose(3, 2, 1, 0))
        yield f"{prefix}/bias", tensors[f"network.{layer}.conv.bias"]
    norms = ["image_norm", *(f"{layer}.norm" for layer in layers), "pool_norm", "dense_norm"]
    parts = {"gamma": "weight", "beta": "bias"}
    parts |= {"moving_mean": "running_mean", "moving_variance": "running_var"}
    for number, norm in enumerate(norms):
        prefix = f"batch_normalization_{number}" if number else "batch_normalization"
        for theirs, ours in parts.items():
            yield f"{prefix}/{theirs}", tensors[f"network.{norm}.{ours}"]
    for prefix, dense in (("dense", "dense"), ("dense_1", "head")):
        yield f"{prefix}/kernel", np.ascontiguousarray(tensors[f"network.{dense}.weight"].T)
        yield f"{prefix}/bias", tensors[f"network.{dense}.bias"]
