"""The training loop: draw a source, draw crops, step; validate, save, go on after a kill.

A step depends on the seed and its number alone (``crops.py``), so a run that was killed and
continued ends with the same weights as one that was not (on the same processor and number of
processes). Devices, processes and precision are Lightning Fabric's business.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mirfeat.errors import ConfigError, MissingPackageError
from mirfeat.runs.progress import Shown
from mirfeat.training.config import TrainConfig
from mirfeat.training.loop import Training
from mirfeat.training.preparation import Hardware, prepare
from mirfeat.training.runlog import RunLog


def train(
    config: TrainConfig,
    hardware: Hardware | None = None,
    *,
    overwrite: bool = False,
    tensorboard: bool = False,
    progress: Shown = None,
) -> Path:
    """Train ``config`` to its end, going on where an earlier run stopped; the checkpoint's path.

    The output folder gets ``<extractor>.safetensors``, ``run.json``, ``log.csv``, ``state.pt`` and,
    where matplotlib is installed, the learning curve ``log.png``.

    Raises:
        ConfigError: what the configuration asks for cannot be done, or the folder has another run.
        ManifestError: the table of tracks.
        TrainingError: no labels, no audio, or a loss that is not finite.
    """
    hardware = hardware or Hardware()
    fabric = _fabric(hardware)
    _check_batch(config.optimiser.batch, fabric.world_size)
    run = prepare(config, hardware, fabric, progress=progress)
    log = RunLog(config.output, fabric.is_global_zero, tensorboard)
    Training(run, fabric, hardware, log, progress).run(overwrite)
    log.draw()
    return config.output / f"{config.extractor}.safetensors"


def _fabric(hardware: Hardware) -> Any:
    try:
        import lightning_fabric
        from lightning_fabric.strategies.ddp import DDPStrategy
    except ImportError as error:
        raise MissingPackageError("training needs: pip install 'mirfeat[train]'") from error
    several = hardware.devices * hardware.nodes > 1
    # A batch may leave branches out: the others have no gradient then.
    strategy: Any = DDPStrategy(find_unused_parameters=True) if several else "auto"
    try:
        fabric = lightning_fabric.Fabric(
            accelerator={"cuda": "gpu"}.get(hardware.device, hardware.device),
            devices=hardware.devices,
            num_nodes=hardware.nodes,
            strategy=strategy,
            precision=hardware.precision,  # type: ignore[arg-type]
        )
    except Exception as error:  # of several kinds, its own among them
        raise ConfigError(f"training on {hardware}: {error}") from error
    fabric.launch()
    return fabric


def _check_batch(batch: int, processes: int) -> None:
    """Each process has the same share, as gradients are averaged over processes."""
    if batch % processes or batch < 2 * processes:
        raise ConfigError(
            f"optimiser.batch = {batch} for {processes} processes: take a multiple of {processes} "
            f"that is {2 * processes} or more."
        )


def speaks() -> bool:
    """Whether this process is the one that reports: the first of those that train together."""
    from lightning_fabric.utilities.rank_zero import rank_zero_only

    return int(getattr(rank_zero_only, "rank", None) or 0) == 0
