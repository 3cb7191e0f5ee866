"""The steps of a run: draw a source, draw crops, step; validate, save, settle statistics.

A step depends on the seed and its number alone (``crops.py``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mirfeat.errors import TrainingError
from mirfeat.networks import checkpoint
from mirfeat.runs.progress import Shown, Steps
from mirfeat.store import interrupts
from mirfeat.training import schedule
from mirfeat.training.augment import Augmenter
from mirfeat.training.crops import Batch, CropSource, augmentation_seed, crop_stream
from mirfeat.training.export import as_checkpoint, write_run
from mirfeat.training.learners import SELF
from mirfeat.training.preparation import Hardware, TrainingRun
from mirfeat.training.runlog import RunLog
from mirfeat.training.state import RunState, inputs_of
from mirfeat.training.targets.make import Targets, weights_by_key
from mirfeat.training.targets.timed import TimedTargets
from mirfeat.training.validation import Validator
from mirfeat.training.warm_start import warm_start

# Training crops that settle scales and statistics.
_SAMPLE = 512


class _StepBatches(Dataset[tuple[Tensor, dict[str, Tensor], int]]):
    """Crops and their targets by number of the step."""

    def __init__(
        self, plan: schedule.Plan, crops: CropSource, targets: Mapping[str, Targets],
        seed: int, place: tuple[int, int],
    ) -> None:  # fmt: skip
        self._plan, self._crops, self._targets = plan, crops, targets
        self._seed, self._place = seed, place

    def __getitem__(self, step: int) -> tuple[Tensor, dict[str, Tensor], int]:
        sources = self._plan.sources(step)
        rows, chances = self._plan.eligible(sources)
        process, processes = self._place
        batch: Batch = self._crops.draw(
            rows,
            chances,
            self._plan.batch,
            crop_stream(self._seed, step),
            views=2 if SELF in sources else 1,
            process=process,
            processes=processes,
            suits=self._told(sources),
        )
        # Targets of all views one after the other, as the learner sees them.
        rows, spans = np.tile(batch.rows, len(batch.spans)), batch.spans.reshape(-1, 2)
        targets = {
            source: torch.from_numpy(self._targets[source].crops(rows, spans)) for source in sources
        }
        return torch.from_numpy(batch.levels), targets, step

    def _told(self, sources: Sequence[str]) -> Callable[[int, tuple[float, float]], bool] | None:
        """Whether every teacher that heard a track says enough of a crop; None without teachers."""
        said = [self._targets[source] for source in sources]
        timed = [targets for targets in said if isinstance(targets, TimedTargets)]
        if not timed:
            return None
        return lambda row, span: all(t.covers(row, span) for t in timed if t.known[row])


class Training:
    """The loop itself, and what it needs from step to step."""

    def __init__(
        self, run: TrainingRun, fabric: Any, hardware: Hardware, log: RunLog, progress: Shown
    ) -> None:
        config = run.config
        self._run, self._fabric, self._hardware, self._log = run, fabric, hardware, log
        self._progress = progress
        self._plan = schedule.make_plan(config, run.manifest, run.cache, run.targets)
        self._crops = CropSource(
            run.cache, run.manifest.ids, run.recipe.frames, config.augmentation
        )
        self._augment = Augmenter(config.augmentation, run.cache.mel)
        self._weights = weights_by_key(config.sources.weights)
        self._state = RunState(config, inputs_of(run))

    def run(self, overwrite: bool) -> None:
        """From the last saved step to the end."""
        learner = self.begin(overwrite)
        self._loop(learner)
        self._finish()

    def begin(self, overwrite: bool = False) -> Any:
        """Network and optimisers as they were last saved, or new ones; the network to step."""
        recipe, fabric, config = self._run.recipe, self._fabric, self._run.config
        if overwrite and fabric.is_global_zero:
            self._state.remove()
        fabric.barrier()
        resumed = self._state.load()
        if not resumed:
            recipe.prepare(self._sample())
            if config.initial != Path():
                warm_start(recipe, checkpoint.read(config.initial))
        recipe.frontend.to(fabric.device)
        owners: list[str | None] = [None, *self._plan.names]
        optimisers = {
            # What a source of hamel2013 has alone are its label vectors.
            owner: schedule.make_optimiser(config.optimiser, parameters, labels=owner is not None)
            for owner in owners
            if (parameters := recipe.learner.parameters_of(owner))
        }
        learner, *wrapped = fabric.setup(recipe.learner, *optimisers.values())
        self._optimisers = dict(zip(optimisers, wrapped, strict=True))
        self._state.attach(recipe, optimisers, fabric.strategy.precision)
        self._validator = Validator(self._run, fabric)
        return learner

    def _loop(self, learner: Any) -> None:
        state, plan, fabric = self._state, self._plan, self._fabric
        self._log.truncate(state.step)
        self._saved, self._losses = time.monotonic(), _Averages()
        learner.train()
        shown = self._progress if fabric.is_global_zero else False
        name = self._run.config.extractor
        done = Steps(name, plan.steps, "steps", shown, done=state.step)
        whole = False
        try:
            with closing(done):
                for levels, targets, step in self._batches():
                    # A network that is saved has made whole steps.
                    with interrupts.deferred():
                        whole = False
                        self._advance(learner, levels, targets, int(step), done)
                        whole = True
        except KeyboardInterrupt:
            if whole and fabric.is_global_zero:
                with interrupts.deferred():
                    state.save()
            raise

    def _advance(
        self, learner: Any, levels: Tensor, targets: dict[str, Tensor], step: int, done: Steps
    ) -> None:
        """A step, with the validation and the saving that are due after it."""
        state, plan, fabric = self._state, self._plan, self._fabric
        for source, loss in self.step(learner, levels, targets, step).items():
            self._losses.add(source, loss)
        state.step = step + 1
        last = state.step == plan.steps
        if state.step % plan.every == 0 or last:
            self._validate(self._losses.values(), done)
            learner.train()
        due = torch.tensor(time.monotonic() - self._saved > self._hardware.save_seconds)
        if fabric.broadcast(bool(due)) or last:
            if fabric.is_global_zero:
                state.save()
            self._saved = time.monotonic()
        done()

    def _batches(self) -> Iterator[tuple[Tensor, dict[str, Tensor], int]]:
        fabric, workers = self._fabric, self._hardware.workers
        place = (fabric.global_rank, fabric.world_size)
        batches = _StepBatches(
            self._plan, self._crops, self._run.targets, self._run.config.draws, place
        )
        steps = range(self._state.step, self._plan.steps)
        on_gpu = fabric.device.type == "cuda"
        loader: Any = DataLoader(
            batches, batch_size=None, sampler=steps, num_workers=workers, pin_memory=on_gpu
        )
        return iter(loader)

    def step(
        self, learner: Any, levels: Tensor, targets: Mapping[str, Tensor], step: int
    ) -> dict[str, Tensor]:
        """One step on one batch: loss of each of its sources, before its weight."""
        config, fabric, plan = self._run.config, self._fabric, self._plan
        sources = plan.sources(step)
        seed = augmentation_seed(config.draws, step, fabric.global_rank)
        torch.manual_seed(seed)  # dropout
        with torch.no_grad():
            views, size = levels.shape[:2]
            levels = levels.to(fabric.device, non_blocking=True).flatten(0, 1)
            mixed = self._augment(levels.permute(0, 2, 3, 1).float(), seed)
            images = self._run.recipe.frontend.scale(mixed.levels)
            images = images.view(views, size, *images.shape[1:])
            targets = {
                source: mixed.targets(targets[source].to(fabric.device)) for source in sources
            }
        losses: dict[str, Tensor] = learner(images, targets, seed)
        total = torch.stack([self._weights.get(s, 1.0) * loss for s, loss in losses.items()]).sum()
        if not torch.isfinite(total):
            raise TrainingError(
                f"step {step}: the loss of {', '.join(sources)} is {total.item()}. A smaller "
                "optimiser.rate may help; the run goes on from its last saved step."
            )
        rate = schedule.rate(config.optimiser, step, plan.steps)
        chosen = [
            self._optimisers[owner] for owner in (None, *sources) if owner in self._optimisers
        ]
        for optimiser in self._optimisers.values():
            optimiser.zero_grad(set_to_none=True)
        fabric.backward(total)
        for optimiser in chosen:
            for group in optimiser.param_groups:
                group["lr"] = rate
            optimiser.step()
        self._run.recipe.learner.constrain()
        return {source: loss.detach() for source, loss in losses.items()}

    def _validate(self, losses: dict[str, float], done: Steps) -> None:
        state = self._state
        scores = self._validator.scores() if self._fabric.is_global_zero else {}
        self._fabric.barrier()
        if self._fabric.is_global_zero:
            mean = float(np.mean(list(scores.values()))) if scores else float("nan")
            self._log.add(state.step, losses, scores, mean)
            done.tell(
                _in_words(state.step, losses, scores), step=state.step, loss=losses, held_out=scores
            )
            state.keep_if_best(mean)

    def _sample(self) -> Tensor:
        """Unchanged crops of training tracks, levels [B, C, F, T]."""
        rows = self._plan.eligible(self._plan.names)[0]
        number = -(-_SAMPLE // len(rows))
        draw = np.random.Generator(np.random.PCG64(self._run.config.seed))
        chosen = draw.permutation(rows)[:_SAMPLE]
        plain = CropSource(self._run.cache, self._run.manifest.ids, self._run.recipe.frames)
        crops = np.concatenate([plain.spread(int(row), number) for row in chosen])
        return torch.from_numpy(crops).permute(0, 2, 3, 1).float()

    def _finish(self) -> None:
        """Settle statistics and write the checkpoint."""
        config, recipe = self._run.config, self._run.recipe
        if not self._fabric.is_global_zero:
            return
        if config.validation.choose == "best":
            self._state.restore_best()
        recipe.learner.cpu()
        recipe.frontend.cpu()
        recipe.finish(self._sample())
        weights = as_checkpoint(
            recipe.weights(), self._run, self._state.record(config.validation.choose)
        )
        checkpoint.write(config.output / f"{config.extractor}.safetensors", weights)
        write_run(config.output, weights)


def _in_words(step: int, losses: Mapping[str, float], scores: Mapping[str, float]) -> str:
    said = [f"loss of {name} {value:.3f}" for name, value in losses.items()]
    said += [f"held-out {name} {value:.3f}" for name, value in scores.items()]
    return f"step {step}: {', '.join(said)}"


class _Averages:
    """Mean loss of each source since it was last asked for."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[float, int]] = {}

    def add(self, source: str, loss: Tensor) -> None:
        total, number = self._sums.get(source, (0.0, 0))
        self._sums[source] = (total + float(loss), number + 1)

    def values(self) -> dict[str, float]:
        means = {source: total / number for source, (total, number) in self._sums.items()}
        self._sums.clear()
        return means
