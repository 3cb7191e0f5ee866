"""Checkpoint files: safetensors with one JSON record in the header.

The record, under the key ``mirfeat``, holds what the reader of a weight file wants to know
(extractor, licence, training data, labels, …) and a hash of the tensors, so that a flipped byte
is found before it becomes a feature.
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
from safetensors.torch import save_file
from torch import Tensor, nn

from mirfeat.errors import CheckpointMismatchError, ChecksumError
from mirfeat.files import replacing, sha256_of

FORMAT = 1


@dataclass(frozen=True)
class Weights:
    """Tensors of a checkpoint with what is known of them.

    ``name`` is what the user asked for; ``sha256`` is that of the published or given file, or of
    the tensors themselves where there is no file.
    """

    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    sha256: str = ""


def write(path: Path, weights: Weights) -> None:
    """Write a checkpoint; the file appears whole or not at all."""
    tensors = {key: value.contiguous() for key, value in weights.tensors.items()}
    record = {**weights.metadata, "format": FORMAT, "tensors_sha256": digest(tensors)}
    if weights.sha256:
        record["source_sha256"] = weights.sha256
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata={"mirfeat": json.dumps(record)})


def read(path: Path) -> Weights:
    """Read a checkpoint written by mirfeat; half-precision tensors become float32.

    Raises:
        CheckpointMismatchError: not a safetensors file, or one of somebody else.
        ChecksumError: the tensors are not those that were written.
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
    metadata = json.loads(header["mirfeat"])
    if metadata.get("tensors_sha256") != (found := digest(tensors)):
        raise ChecksumError(
            f"{path}: the tensors hash to {found[:12]}…, the file says "
            f"{str(metadata.get('tensors_sha256'))[:12]}…. It is damaged: delete it and fetch it "
            "again."
        )
    sha256 = metadata.get("source_sha256") or sha256_of(path)
    tensors = {key: tensor.float() for key, tensor in tensors.items()}
    return Weights(tensors, metadata, str(path), sha256)


def fill(modules: Mapping[str, nn.Module], weights: Weights, unused: Sequence[str] = ()) -> None:
    """Load tensors into modules by prefix; keys that end in one of ``unused`` are left alone.

    Raises:
        CheckpointMismatchError: tensors missing, unexpected or of another shape, all listed.
    """
    given = {key: t for key, t in weights.tensors.items() if not key.endswith(tuple(unused))}
    wanted = {
        f"{prefix}.{key}": tensor
        for prefix, module in modules.items()
        for key, tensor in module.state_dict().items()
        if not key.endswith(("num_batches_tracked", *unused))
    }
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
            if key in given:
                tensor.copy_(given[key])


def digest(tensors: Mapping[str, Tensor]) -> str:
    """sha256 over names, types, shapes and bytes, in the order of names."""
    hasher = hashlib.sha256()
    for key in sorted(tensors):
        tensor = tensors[key]
        hasher.update(f"{key} {tensor.dtype} {list(tensor.shape)}".encode())
        hasher.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return hasher.hexdigest()
