"""The checkpoints and scalers that the authors of Kim 2019 published, read safely.

Format (eldrin/MTLMusicRepresentation-PyTorch, musmtl/train.py and model.py): ``torch.save`` of a dict
with ``tasks``, ``branch_at`` ('null', '2', '4', '6' or 'fc'), ``scaler_fn`` and ``state_dict``, whose
keys are ``shared.<stage>``, ``branches_feature.<task>.<stage>`` and ``branches_infer.<task>.<layer>``.
The scaler is a file of its own, a pickled scikit-learn object; it is read through a whitelist.
"""

from __future__ import annotations

import gzip
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib.numpy_pickle import NumpyArrayWrapper, NumpyUnpickler
from torch import Tensor

from mirfeat.checkpoint import Weights
from mirfeat.errors import CheckpointMismatchError, CheckpointUnavailableError

# Stages of the chain that all tasks share, by the authors' name of the branch point.
SHARED_STAGES = {"null": 0, "2": 1, "4": 3, "6": 5, "fc": 12}
STAGES = 12
# torch.save before and after version 1.6.
SIGNATURES = (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", b"PK\x03\x04")
_BRANCH_KEY = re.compile(r"branches_(feature|infer)\.(\d+)\.(\d+)\.(.+)")
_SHARED_KEY = re.compile(r"shared\.(\d+)\.(.+)")


def read_authors(name: str, shared_stages: int, path: Path) -> Weights:
    """Read a checkpoint of theirs as weights of extractor ``name``.

    A network of a single task fits ``kim2019-ss-r`` whatever its branch point.

    Raises:
        CheckpointMismatchError: not such a file, or of another sharing strategy.
        CheckpointUnavailableError: its scaler is not beside it.
    """
    record = _load(path)
    sources = [task.rstrip("_") for task in record["tasks"]]
    theirs = SHARED_STAGES[record["branch_at"]]
    if theirs != shared_stages and not (len(sources) == 1 and name == "kim2019-ss-r"):
        fitting = "kim2019-ss-r" if len(sources) == 1 else _fitting(record["branch_at"])
        raise CheckpointMismatchError(
            f"{path}: branches at {record['branch_at']!r} with sources {', '.join(sources)}; "
            f"load it as {fitting!r}, not as {name!r}."
        )
    tensors = dict(_renamed(record["state_dict"], sources, theirs, shared_stages))
    scaler = find_scaler(path.parent, str(record.get("scaler_fn", "")))
    for key, values in read_scaler(scaler).items():
        tensors[f"frontend.standardise.{key}"] = torch.from_numpy(values).float()[:, None]
    factors = {source: _outputs(tensors, source) for source in sources}
    metadata = {"extractor": name, "sources": factors, "scaler": scaler.name}
    return Weights(tensors, metadata, str(path))


def _load(path: Path) -> dict[str, Any]:
    try:
        record = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise CheckpointMismatchError(
            f"{path}: cannot be read as tensors and plain values only, and nothing else is ever "
            f"read from it: {str(error).splitlines()[0]}"
        ) from error
    needed = {"tasks", "branch_at", "state_dict"}
    if not isinstance(record, dict) or not needed <= record.keys():
        raise CheckpointMismatchError(
            f"{path}: has no {', '.join(sorted(needed))}; not of Kim 2019."
        )
    if record["branch_at"] not in SHARED_STAGES:
        raise CheckpointMismatchError(f"{path}: unknown branch point {record['branch_at']!r}.")
    return dict(record)


def _fitting(branch_at: str) -> str:
    return {"null": "kim2019-mss-cr", "fc": "kim2019-ms-sr-fc"}.get(
        branch_at, f"kim2019-ms-cr-{branch_at}"
    )


def _renamed(
    state: Mapping[str, Tensor], sources: list[str], theirs: int, ours: int
) -> list[tuple[str, Tensor]]:
    """Their tensors under our names, with our branch point."""
    renamed = []
    for key, tensor in state.items():
        if key.endswith("num_batches_tracked"):
            continue
        if match := _SHARED_KEY.fullmatch(key):
            for prefix in _places(int(match[1]), sources, ours):
                renamed.append((f"network.{prefix}.{match[2]}", tensor))
        elif match := _BRANCH_KEY.fullmatch(key):
            source, layer = sources[int(match[2])], int(match[3])
            if match[1] == "infer":
                inner = f"{layer}.{match[4]}" if source == "self" else match[4]
                renamed.append((f"network.heads.{source}.{inner}", tensor))
            else:
                for prefix in _places(layer + theirs, [source], ours):
                    renamed.append((f"network.{prefix}.{match[4]}", tensor))
        else:
            renamed.append((key, tensor))  # reported as unexpected when the network is filled
    return renamed


def _places(stage: int, sources: list[str], shared_stages: int) -> list[str]:
    """Where a stage of the chain sits in our network."""
    if stage < shared_stages:
        return [f"trunk.{stage}"]
    return [f"branches.{source}.{stage - shared_stages}" for source in sources]


def _outputs(tensors: Mapping[str, Tensor], source: str) -> int:
    last = f"network.heads.{source}.{'4.' if source == 'self' else ''}weight"
    return len(tensors[last]) if last in tensors else 0


def find_scaler(folder: Path, named: str) -> Path:
    """The scaler that a checkpoint names, beside it: the authors' file, or an npz of its numbers.

    Raises:
        CheckpointUnavailableError: it is not there.
    """
    name = Path(named.replace("\\", "/")).name or "sclr_dbmel.dat.gz"
    candidates = [folder / name, folder / f"{name.split('.')[0]}.npz"]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise CheckpointUnavailableError(
        f"the checkpoint was trained with the scaler {name!r}; put that file into {folder}. It is in "
        "the authors' repository eldrin/MTLMusicRepresentation-PyTorch, folder models."
    )


def read_scaler(path: Path) -> dict[str, np.ndarray]:
    """Mean and scale of 128 mel bands, float64, from their pickle or from an npz.

    Raises:
        CheckpointMismatchError: not a scaler of 128 bands, or a pickle of anything else.
    """
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                values = {key: file[key] for key in file.files}
        else:
            with gzip.open(path) as stream:
                values = vars(
                    _ScalerUnpickler(str(path), stream, ensure_native_byte_order=True).load()
                )
    except (OSError, ValueError, EOFError, TypeError, pickle.UnpicklingError) as error:
        raise CheckpointMismatchError(f"{path}: not a scaler of the authors: {error}") from error
    mean = values.get("mean_", values.get("mean"))
    scale = values.get("scale_", values.get("scale", values.get("sd")))
    if mean is None or scale is None or mean.shape != (128,) or scale.shape != (128,):
        raise CheckpointMismatchError(f"{path}: no mean and scale of 128 mel bands in it.")
    # The authors' floor on the scale (musmtl/model.py, SpecStandardScaler).
    return {"mean": mean, "scale": np.maximum(scale, 1e-10)}


class _Plain:
    """Stands for the scikit-learn scaler: attributes, no behaviour."""


class _NumbersOnly(NumpyArrayWrapper):  # type: ignore[misc]
    """Arrays of numbers; joblib would unpickle an array of objects with no whitelist."""

    def read_array(self, unpickler: Any, ensure_native_byte_order: bool) -> Any:
        if self.dtype.hasobject:
            raise pickle.UnpicklingError("an array of objects")
        return super().read_array(unpickler, ensure_native_byte_order)


class _ScalerUnpickler(NumpyUnpickler):  # type: ignore[misc]
    """Knows the scaler, arrays of numbers, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        if name == "StandardScaler" and module.startswith("sklearn.preprocessing"):
            return _Plain
        if name == "NumpyArrayWrapper" and module.endswith("joblib.numpy_pickle"):
            return _NumbersOnly
        if name in ("scalar", "_reconstruct") and module.endswith("core.multiarray"):
            return getattr(np._core.multiarray, name)
        if (module, name) in (("copyreg", "_reconstructor"), ("copy_reg", "_reconstructor")):
            return _new
        if name == "object" and module in ("builtins", "__builtin__"):
            return object
        raise pickle.UnpicklingError(f"{module}.{name} is not part of a scaler")


def _new(kind: type, base: type, state: Any) -> Any:
    """``copyreg._reconstructor`` for plain objects."""
    return kind()
