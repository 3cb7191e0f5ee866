"""Scores of held-out tracks, always the same crops, unchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mirfeat.training.crops import CropSource

if TYPE_CHECKING:
    from mirfeat.training.trainer import Run

# More tracks than this are sampled: a validation should cost less than the steps between two.
_MOST_TRACKS = 400
_BATCH = 64


class Validator:
    """Validation of one run. Memory: its crops as float16."""

    def __init__(self, run: Run, fabric: Any) -> None:
        """Take the crops of the tracks whose split is "valid"."""
        self._run, self._fabric = run, fabric
        rows = [row for row in run.manifest.rows("valid") if run.manifest.ids[row] in run.cache]
        if len(rows) > _MOST_TRACKS:
            draw = np.random.Generator(np.random.PCG64(run.config.seed))
            rows = sorted(draw.choice(rows, _MOST_TRACKS, replace=False))
        self._rows = np.array(rows, np.int64)
        # An even number, so that the self source has pairs.
        self._number = run.config.validation.crops + run.config.validation.crops % 2

    @torch.no_grad()
    def scores(self) -> dict[str, float]:
        """Score of each source that some held-out track has a label for."""
        learner, sources = self._run.recipe.learner, list(self._run.targets)
        if not len(self._rows):
            return {}
        learner.eval()
        parts: dict[str, list[torch.Tensor]] = {source: [] for source in sources}
        for rows in np.array_split(self._rows, -(-len(self._rows) * self._number // _BATCH)):
            for source, values in self._predict(rows, sources).items():
                parts[source].append(values)
        tracks = np.repeat(self._rows, self._number)
        scores = {}
        for source in sources:
            target = self._run.targets[source]
            known = torch.from_numpy(target.known[tracks])
            if int(known.sum()) > 1:
                predicted = torch.cat(parts[source])[known]
                truth = torch.from_numpy(target.values[tracks])[known]
                scores[source] = learner.score(source, predicted, truth)
        return scores

    def _predict(self, rows: np.ndarray, sources: list[str]) -> dict[str, torch.Tensor]:
        run = self._run
        crops = CropSource(run.cache, run.manifest.ids, run.recipe.frames)
        levels = np.concatenate([crops.spread(int(row), self._number) for row in rows])
        images = torch.from_numpy(levels).to(self._fabric.device).permute(0, 2, 3, 1).float()
        with self._fabric.autocast():
            predicted = run.recipe.learner.predict(run.recipe.frontend.scale(images), sources)
        return {source: values.float().cpu() for source, values in predicted.items()}
