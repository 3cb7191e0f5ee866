"""Checkpoint files: safetensors with one JSON record in the header.

The record, under the key ``mirfeat``, holds what the reader of a weight file wants to know
(extractor, licence, training data, labels, …). Beside it stands a hash of record and tensors, so
that a flipped byte is found before it becomes a feature.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from mirfeat.errors import CheckpointMismatchError, ChecksumError
from mirfeat.files import replacing, sha256_of

FORMAT = 1
# What torch counts while training, and nothing needs.
_COUNTER = "num_batches_tracked"
_HALF = (torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Weights:
    """Tensors of a checkpoint with what is known of them.

    ``name`` is what the user asked for; ``sha256`` is that of the published or given file, or of
    the recipe of random weights.
    """

    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    sha256: str = ""


def write(path: Path, weights: Weights) -> None:
    """Write a checkpoint; the file appears whole or not at all.

    Equal tensors and metadata give equal bytes. The order of tensors and of the entries of the
    metadata does not matter, that within an entry does.
    """
    tensors = {key: value.contiguous() for key, value in weights.tensors.items()}
    record = {**weights.metadata, "format": FORMAT, "source_sha256": weights.sha256}
    # Not sort_keys: within an entry the order counts, that of sources is that of features.
    text = json.dumps(dict(sorted(record.items())))
    header = {"mirfeat": text, "mirfeat_sha256": _seal(text, tensors)}
    contents = _in_order(save(tensors, header))
    with replacing(path) as temporary:
        # Not save_file: it puts a new file, readable by its owner alone, in place of this one.
        temporary.write_bytes(contents)


def _in_order(contents: bytes) -> bytes:
    """A safetensors file with the keys of its header sorted.

    The library leaves the order of metadata to a hash map, so that equal checkpoints would be other
    bytes every time.
    """
    end = 8 + int.from_bytes(contents[:8], "little")
    header = json.loads(contents[8:end])
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the format has tensors begin at a multiple of 8
    return b"".join([len(text).to_bytes(8, "little"), text, memoryview(contents)[end:]])


def read(path: Path) -> Weights:
    """Read a checkpoint written by mirfeat; half-precision tensors become float32.

    Raises:
        CheckpointMismatchError: not a safetensors file, or one of somebody else.
        ChecksumError: record or tensors are not those that were written.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointMismatchError(
            f"{path}: not a readable safetensors file: {error}"
        ) from error
    if "mirfeat" not in header:
        raise CheckpointMismatchError(
            f"{path}: a safetensors file without mirfeat's metadata. Use a checkpoint that mirfeat "
            "wrote."
        )
    if (found := _seal(header["mirfeat"], tensors)) != (said := header.get("mirfeat_sha256")):
        raise ChecksumError(
            f"{path}: sha256 of the contents is {found}, the file says {said}. It is damaged: "
            "take another copy."
        )
    metadata = json.loads(header["mirfeat"])
    if (version := metadata.pop("format")) != FORMAT:
        raise CheckpointMismatchError(
            f"{path}: checkpoint format {version}, this mirfeat reads {FORMAT}."
        )
    sha256 = metadata.pop("source_sha256") or sha256_of(path)
    tensors = {
        key: tensor.float() if tensor.dtype in _HALF else tensor for key, tensor in tensors.items()
    }
    return Weights(tensors, metadata, str(path), sha256)


def read_record(path: Path) -> dict[str, Any]:
    """What a checkpoint says of itself, without reading its tensors.

    Raises:
        CheckpointMismatchError: not a safetensors file, or one of somebody else.
    """
    try:
        with safe_open(path, framework="pt") as file:
            record: dict[str, Any] = json.loads((file.metadata() or {})["mirfeat"])
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise CheckpointMismatchError(f"{path}: not a checkpoint of mirfeat: {error}") from error
    return record


def _seal(record: str, tensors: Mapping[str, Tensor]) -> str:
    return hashlib.sha256(f"{digest(tensors)} {record}".encode()).hexdigest()


def gather(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """Tensors of modules by prefix, as checkpoints hold them: the inverse of :func:`fill`."""
    return {
        f"{prefix}.{key}": tensor
        for prefix, module in modules.items()
        for key, tensor in module.state_dict().items()
        if not key.endswith(_COUNTER)
    }


def fill(modules: Mapping[str, nn.Module], weights: Weights, unused: Sequence[str] = ()) -> None:
    """Load tensors into modules by prefix; keys that end in one of ``unused`` are left alone.

    Raises:
        CheckpointMismatchError: tensors missing, unexpected or of another shape, all listed.
    """
    given = {key: t for key, t in weights.tensors.items() if not key.endswith(tuple(unused))}
    wanted = {key: t for key, t in gather(modules).items() if not key.endswith(tuple(unused))}
    problems = [f"missing {key}" for key in sorted(wanted.keys() - given.keys())]
    problems += [f"unexpected {key}" for key in sorted(given.keys() - wanted.keys())]
    problems += [
        f"{key} is {list(given[key].shape)} instead of {list(wanted[key].shape)}"
        for key in sorted(wanted.keys() & given.keys())
        if given[key].shape != wanted[key].shape
    ]
    if problems:
        raise CheckpointMismatchError(
            f"{weights.name}: does not fit this extractor: {'; '.join(problems)}."
        )
    with torch.no_grad():
        for key, tensor in wanted.items():
            tensor.copy_(given[key])


def digest(tensors: Mapping[str, Tensor]) -> str:
    """sha256 over names, types, shapes and bytes, in the order of names."""
    hasher = hashlib.sha256()
    for key in sorted(tensors):
        tensor = tensors[key]
        hasher.update(f"{key} {tensor.dtype} {list(tensor.shape)}".encode())
        values = tensor.cpu().contiguous().flatten()
        hasher.update(values.view(torch.uint8).numpy().tobytes())
    return hasher.hexdigest()
