"""Files in exactly the format of the authors of Kim 2019, for the tests that read them."""

import gzip
import sys
import types
from collections import OrderedDict
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch

from mirfeat.networks import kim2019
from mirfeat.networks.kim2019_authors import SHARED_STAGES

SCALER = "sclr_dbmel.dat.gz"


def state_dict(tasks: list[str], branch_at: str, factors: int = 50) -> OrderedDict:
    """Random tensors under the authors' keys; task ``self_`` has their comparing head."""
    generator = torch.Generator().manual_seed(0)
    shared = SHARED_STAGES[branch_at]
    state: OrderedDict = OrderedDict()

    def put(prefix: str, module: torch.nn.Module) -> None:
        for key, value in module.state_dict().items():
            if key.endswith("num_batches_tracked"):
                continue  # torch 0.4 had none
            tensor = 0.1 * torch.randn(value.shape, generator=generator)
            state[f"{prefix}.{key}"] = tensor.abs() + 0.5 if "running_var" in key else tensor

    for index, stage in enumerate(kim2019.stages()[:shared]):
        put(f"shared.{index}", stage)
    for number, task in enumerate(tasks):
        for index, stage in enumerate(kim2019.stages()[shared:]):
            put(f"branches_feature.{number}.{index}", stage)
        head = kim2019.head(task.rstrip("_"), 2 if task == "self_" else factors)
        layers = enumerate(head) if task == "self_" else [(0, head)]  # type: ignore[arg-type]
        for index, layer in layers:
            put(f"branches_infer.{number}.{index}", layer)
    return state


def save_checkpoint(folder: Path, tasks: list[str], branch_at: str, *, legacy: bool = True) -> Path:
    """A checkpoint with its optimiser state and its scaler beside it."""
    path = folder / "conf.allsrcnull0_checkpoint_it199.pth.tar"
    record = {
        "iters": 199,
        "tasks": tasks,
        "branch_at": branch_at,
        "scaler_fn": f"/home/somebody/models/{SCALER}",
        "state_dict": state_dict(tasks, branch_at),
        "optimizer": {task: {"state": {}, "param_groups": [{"lr": 2.5e-4}]} for task in tasks},
    }
    torch.save(record, path, _use_new_zipfile_serialization=not legacy)
    save_scaler(folder / SCALER)
    return path


def save_scaler(path: Path, protocol: int = 2, **changes: Any) -> tuple[np.ndarray, np.ndarray]:
    """Mean and scale in the published ranges, as a scikit-learn 0.19 scaler, compressed."""
    generator = np.random.default_rng(0)
    mean = generator.permutation(np.linspace(-42.848, 7.958, 128))
    scale = generator.permutation(np.linspace(9.759, 13.985, 128))
    module = types.ModuleType("sklearn.preprocessing.data")
    kind = type("StandardScaler", (), {"__module__": module.__name__})
    module.StandardScaler = kind  # type: ignore[attr-defined]
    scaler = kind()
    vars(scaler).update(
        with_mean=True,
        with_std=True,
        copy=True,
        mean_=mean,
        var_=scale**2,
        scale_=scale,
        n_samples_seen_=356_427_874,
        _sklearn_version="0.19.2",
    )
    vars(scaler).update(changes)
    sys.modules[module.__name__] = module
    try:
        with gzip.open(path, "wb") as file:
            joblib.dump(scaler, file, protocol=protocol)
    finally:
        del sys.modules[module.__name__]
    return mean, scale
