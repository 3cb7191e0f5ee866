"""The checkpoints that the authors of Kim 2019 published, read safely.

Format (eldrin/MTLMusicRepresentation-PyTorch, musmtl/train.py and model.py): ``torch.save`` of a
dict with ``tasks``, ``branch_at`` ('null', '2', '4', '6' or 'fc'), ``scaler_fn`` and
``state_dict``, whose keys are ``shared.<stage>``, ``branches_feature.<task>.<stage>`` and
``branches_infer.<task>.<layer>``. The scaler is a file of its own (``kim2019_scaler.py``).
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mirfeat.errors import CheckpointMismatchError
from mirfeat.networks.checkpoint import Weights
from mirfeat.networks.kim2019_scaler import find_scaler, read_scaler, scaler_name

# Stages of the chain that all tasks share, by the authors' name of the branch point.
SHARED_STAGES = {"null": 0, "2": 1, "4": 3, "6": 5, "fc": 12}
# torch.save before and after version 1.6.
SIGNATURES = (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", b"PK\x03\x04")
# The paper has eight.
_MOST_TASKS = 100
_BRANCH_KEY = re.compile(r"branches_(feature|infer)\.(\d+)\.(\d+)\.(.+)")
_SHARED_KEY = re.compile(r"shared\.(\d+)\.(.+)")


def read_authors(
    name: str,
    shared_stages: int,
    path: Path,
    find: Callable[[Path, str], Path] = find_scaler,
) -> Weights:
    """Read a checkpoint of theirs as weights of extractor ``name``.

    A network of a single task fits ``kim2019-ss-r`` whatever its branch point. ``find(folder,
    name)`` is where the scaler comes from that the checkpoint names.

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
    named = str(record.get("scaler_fn", ""))
    scaler = find(path.parent, named)
    for key, values in read_scaler(scaler).items():
        tensors[f"frontend.standardise.{key}"] = torch.from_numpy(values).float()[:, None]
    factors = {source: _outputs(tensors, source) for source in sources}
    metadata = {
        "extractor": name,
        "sources": factors,
        "scaler": scaler_name(named),
        # The file states none; fourtu.py knows that of the item it is in.
        "licence": "not stated by the authors",
    }
    return Weights(tensors, metadata, str(path))


def _load(path: Path) -> dict[str, Any]:
    _refuse_inflating(path)
    try:
        record = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # A pickle is a program: a damaged one fails in any way.
        raise CheckpointMismatchError(
            f"{path}: {_reason(error)}. mirfeat reads tensors and plain values only, and runs "
            "nothing that a file brings along. Take the file that the authors published."
        ) from error
    needed = {"tasks", "branch_at", "state_dict"}
    if not isinstance(record, dict) or not needed <= record.keys():
        raise CheckpointMismatchError(
            f"{path}: has no {', '.join(sorted(needed))}; not of Kim 2019."
        )
    branch, tasks, state = record["branch_at"], record["tasks"], record["state_dict"]
    if not isinstance(branch, str | int) or str(branch) not in SHARED_STAGES:
        raise CheckpointMismatchError(f"{path}: unknown branch point {repr(branch)[:80]}.")
    named = isinstance(tasks, list) and all(isinstance(task, str) for task in tasks)
    if not (named and 0 < len(tasks) <= _MOST_TASKS and len(set(tasks)) == len(tasks)):
        raise CheckpointMismatchError(f"{path}: tasks {repr(tasks)[:80]}; not of Kim 2019.")
    plain = isinstance(state, dict) and all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    )
    if not plain:
        raise CheckpointMismatchError(f"{path}: state_dict is no dictionary of tensors by name.")
    return {**record, "branch_at": str(branch)}


def _refuse_inflating(path: Path) -> None:
    """``torch.save`` stores without compression; what is compressed may be of any size inside."""
    if not zipfile.is_zipfile(path):
        return  # the older format, whose tensors are as long as the file says
    try:
        with zipfile.ZipFile(path) as archive:
            packed = [one for one in archive.infolist() if one.compress_type != zipfile.ZIP_STORED]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise CheckpointMismatchError(f"{path}: a damaged archive: {error}.") from error
    if packed:
        raise CheckpointMismatchError(
            f"{path}: {packed[0].filename!r} in it is compressed ({packed[0].compress_size} bytes, "
            f"{packed[0].file_size} inside), which torch.save never does. Nothing was unpacked."
        )


def _reason(error: Exception) -> str:
    """Why torch refused a file; its own words advise to switch the check off."""
    if found := re.search(r"GLOBAL ([\w.]+)", str(error)):
        return f"it wants to run or build {found[1]!r}"
    return f"cannot be read as tensors and plain values ({type(error).__name__})"


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
        elif (match := _BRANCH_KEY.fullmatch(key)) and int(match[2]) < len(sources):
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
    # A head that is not there is reported as missing when the network is filled.
    last = f"network.heads.{source}.{'4.' if source == 'self' else ''}weight"
    return len(tensors[last]) if last in tensors else 1
