"""Does the data path hold training up? Whole steps against the bare network on a ready batch.

A whole step draws crops from the cache, changes and scales them, goes forward and backward and
steps the optimisers; the bare one does the second half, on images that are there already.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning_fabric
import torch

from benchmarks.tables import MUSIC, medians, print_machine, print_table
from mirfeat.training.config import Augmentation, Optimiser, Sources, TrainConfig
from mirfeat.training.file_tags import build_manifest
from mirfeat.training.loop import Training
from mirfeat.training.manifest import write_manifest
from mirfeat.training.preparation import Hardware, prepare
from mirfeat.training.runlog import RunLog

# Everything on, as for the open weights.
CHANGES = Augmentation(
    gain_db=6, equaliser_db=6, shift_bands=2, stretch=0.1, lowpass=0.1, mix=0.2, mask=0.2
)
CASES = (("kim2019-ms-sr-fc", 64), ("kim2018-stn", 64), ("choi2017", 8))


def tasks(folder: Path, extractor: str, batch: int, precision: str) -> dict[str, Callable[[], Any]]:
    """A whole step and a bare one of the same run."""
    config = TrainConfig(
        extractor,
        folder / "tracks.csv",
        folder / f"{extractor}-{precision}",
        folder / "cache",
        sources=Sources(("tag",) if extractor != "kim2018-stn" else ("genre",)),
        optimiser=Optimiser(batch=batch, steps=1_000_000),
        augmentation=CHANGES,
    )
    hardware = Hardware("cpu", precision=precision)
    fabric: Any = lightning_fabric.Fabric(accelerator="cpu", devices=1, precision=precision)  # type: ignore[arg-type]
    run = prepare(config, hardware, fabric, progress=False)
    training = Training(run, fabric, hardware, RunLog(config.output, False, False), False)
    learner = training.begin()
    learner.train()
    batches = training._batches()
    images = torch.randn(1, batch, run.cache.mel.channels, run.cache.mel.n_mels, run.recipe.frames)
    (source,) = run.targets
    bare_targets = {source: torch.from_numpy(run.targets[source].values[:1]).repeat(batch, 1)}

    def whole() -> None:
        levels, targets, step = next(batches)
        training.step(learner, levels, targets, int(step))

    def bare() -> None:
        losses = learner(images, bare_targets, 0)
        for optimiser in training._optimisers.values():
            optimiser.zero_grad(set_to_none=True)
        fabric.backward(torch.stack(list(losses.values())).sum())
        for optimiser in training._optimisers.values():
            optimiser.step()

    return {"whole": whole, "bare": bare}


def main() -> None:
    """Print the table."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tracks, _ = build_manifest([MUSIC])
        for track in tracks:
            style = Path(track["path"]).name.partition("_")[0]
            track |= {"tags": style, "genre": style, "split": "train"}
        write_manifest(folder / "tracks.csv", tracks)
        for extractor, batch in CASES:
            for precision in ("32-true", "bf16-mixed"):
                seconds = medians(tasks(folder, extractor, batch, precision), rounds=9)
                rate = batch / seconds["whole"]
                ratio = seconds["bare"] / seconds["whole"]
                rows.append((extractor, precision, f"{rate:.0f}", f"{ratio:.2f}"))
    header = ("network", "precision", "crops a second", "of the bare network's rate")
    print_table("Training steps, all augmentation on", header, rows)


if __name__ == "__main__":
    print_machine()
    main()
