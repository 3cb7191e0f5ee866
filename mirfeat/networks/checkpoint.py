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
_FLOATS = (torch.float32, torch.float64, *_HALF)
# Entries of a record that are texts.
_TEXTS = ("extractor", "licence", "training_data", "source_sha256", "parent_sha256")
# Of a record alone, without tensors to compare with.
_MOST_OUTPUTS = 1 << 24
# Learning sources, or data sets with labels; papers have up to eight.
_MOST_PARTS = 100
# Ends of the names of tensors that stand in a denominator: least value, and whether it is allowed.
_POSITIVE = {".running_var": ("0 or more", 0.0), ".standardise.scale": ("more than 0", 5e-324)}


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
    metadata = _record(path, header["mirfeat"])
    if (version := metadata.pop("format", None)) != FORMAT:
        raise CheckpointMismatchError(
            f"{path}: checkpoint format {repr(version)[:80]}, this mirfeat reads {FORMAT}."
        )
    _check_record(path, metadata, tensors)
    sha256 = metadata.pop("source_sha256", None) or sha256_of(path)
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
            text = (file.metadata() or {})["mirfeat"]
    except (SafetensorError, OSError, KeyError) as error:
        raise CheckpointMismatchError(f"{path}: not a checkpoint of mirfeat: {error}") from error
    record = _record(path, text)
    _check_record(path, record, {})
    return record


def _record(path: Path, text: str) -> dict[str, Any]:
    """The record in the header of a checkpoint, which anybody may have written."""
    try:
        record = json.loads(text)
    # Deep nesting; a number of thousands of digits is a ValueError.
    except (ValueError, RecursionError) as error:
        raise CheckpointMismatchError(
            f"{path}: its record is not JSON that can be read ({error})."
        ) from error
    if not isinstance(record, dict):
        raise CheckpointMismatchError(
            f"{path}: its record is {type(record).__name__}, not an object of names and values."
        )
    return record


def _check_record(path: Path, record: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Check what networks are built from, so that a claim cannot cost more than the file holds.

    ``tensors`` may be left out.

    Raises:
        CheckpointMismatchError: labels that are no lists of names, sources with impossible sizes,
            texts that are none.
    """
    for key in _TEXTS:
        if not isinstance(value := record.get(key, ""), str):
            raise _wrong(path, key, value, "a text")
    rows = max((len(t) for t in tensors.values() if t.ndim and t.numel()), default=_MOST_OUTPUTS)
    for key, allowed in (("sources", "outputs"), ("labels", "names")):
        parts = record.get(key, {})
        if not isinstance(parts, dict) or len(parts) > _MOST_PARTS:
            raise _wrong(path, key, parts, f"an object of up to {_MOST_PARTS} entries")
        for name, value in parts.items():
            if not (_is_name(name) and 1 <= _size(value, key) <= rows):
                raise _wrong(path, f"{key}.{name}", value, f"1 to {rows} {allowed}")


def _size(value: Any, key: str) -> int:
    """Number of outputs that an entry means; 0 for one that means nothing."""
    if key == "labels":
        named = isinstance(value, list) and all(isinstance(item, str) for item in value)
        return len(value) if named else 0
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def sources_of(weights: Weights) -> dict[str, int]:
    """Learning sources of a checkpoint, in order, and how many outputs each has.

    Raises:
        CheckpointMismatchError: it names none.
    """
    if not (sources := weights.metadata.get("sources")):
        raise CheckpointMismatchError(f"{weights.name}: its record names no learning sources.")
    return dict(sources)


def _is_name(name: str) -> bool:
    """Whether torch takes it as the name of a part of a network."""
    return name != "" and "." not in name and not hasattr(nn.ModuleDict, name)


def _wrong(path: Path, key: str, value: Any, allowed: str) -> CheckpointMismatchError:
    shown = repr(value) if isinstance(value, str | float | bool | None) else type(value).__name__
    if isinstance(value, int) and abs(value) < 1 << 63:
        shown = str(value)
    return CheckpointMismatchError(
        f"{path}: its record has {shown[:80]} as {key[:80]!r}, where {allowed} belongs."
    )


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
        CheckpointMismatchError: tensors missing, unexpected or of another shape, all listed; or of
            another type than floats, not finite, or a negative variance.
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
    # Of tensors that fit: of others nothing is known that would be worth reading them for.
    problems = problems or [
        f"{key} {problem}"
        for key in sorted(wanted)
        if (problem := _unusable(key, given[key], wanted[key].dtype))
    ]
    if problems:
        raise CheckpointMismatchError(
            f"{weights.name}: does not fit this extractor: {'; '.join(problems)}."
        )
    with torch.no_grad():
        for key, tensor in wanted.items():
            tensor.copy_(given[key])


def _unusable(key: str, tensor: Tensor, dtype: torch.dtype) -> str:
    """Why a tensor would give wrong numbers, or nothing."""
    if tensor.dtype not in _FLOATS or tensor.layout != torch.strided:
        kind = str(tensor.dtype).removeprefix("torch.")
        return f"is of type {kind}, where float32, float64, float16 or bfloat16 belongs"
    # As the network has it: a float64 may be too large.
    values = tensor.detach().to(dtype)
    if broken := int((~torch.isfinite(values)).sum()):
        return f"has {broken} of {values.numel()} numbers that are NaN or infinite"
    for ending, (allowed, least) in _POSITIVE.items():
        if key.endswith(ending) and float(values.double().min()) < least:
            return f"goes down to {float(values.min()):g}, where {allowed} is allowed"
    return ""


def digest(tensors: Mapping[str, Tensor]) -> str:
    """sha256 over names, types, shapes and bytes, in the order of names."""
    hasher = hashlib.sha256()
    for key in sorted(tensors):
        tensor = tensors[key]
        hasher.update(f"{key} {tensor.dtype} {list(tensor.shape)}".encode())
        values = tensor.cpu().contiguous().flatten()
        hasher.update(values.view(torch.uint8).numpy().tobytes())
    return hasher.hexdigest()
