"""Scores of held-out tracks, always the same crops, unchanged."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mirfeat.training.crops import CropSource
from mirfeat.training.learners import SELF

if TYPE_CHECKING:
    from mirfeat.training.preparation import TrainingRun

# More tracks than this are sampled: a validation should cost less than the steps between two.
_MOST_TRACKS = 400
_BATCH = 64


class Validator:
    """Validation of one run. Memory: its crops as float16."""

    def __init__(self, run: TrainingRun, fabric: Any) -> None:
        """Take the crops of the tracks whose split is "valid"."""
        self._run, self._fabric = run, fabric
        rows = [row for row in run.manifest.rows("valid") if run.manifest.ids[row] in run.cache]
        if len(rows) > _MOST_TRACKS:
            draw = np.random.Generator(np.random.PCG64(run.config.seed))
            rows = sorted(draw.choice(rows, _MOST_TRACKS, replace=False))
        self._rows = np.array(rows, np.int64)
        # An even number, so that the self source has pairs.
        self._number = run.config.validation.crops + run.config.validation.crops % 2
        crops = CropSource(run.cache, run.manifest.ids, run.recipe.frames)
        spans = [crops.spread_spans(row, self._number) for row in rows]
        self._spans = np.concatenate(spans) if spans else np.empty((0, 2))

    @torch.no_grad()
    def scores(self) -> dict[str, float]:
        """Score of each source that held-out tracks can tell something of."""
        learner, sources = self._run.recipe.learner, list(self._run.targets)
        if not len(self._rows):
            return {}
        learner.eval()
        parts: dict[str, list[torch.Tensor]] = {source: [] for source in sources}
        tracks_a_pass = max(1, _BATCH // self._number)
        for rows in np.array_split(self._rows, -(-len(self._rows) // tracks_a_pass)):
            for source, values in self._predict(rows, sources).items():
                parts[source].append(values)
        scores = {source: self._score(source, torch.cat(parts[source])) for source in sources}
        return {source: score for source, score in scores.items() if math.isfinite(score)}

    def _score(self, source: str, predicted: torch.Tensor) -> float:
        """Score of predictions of all crops; NaN where they tell nothing."""
        learner, target = self._run.recipe.learner, self._run.targets[source]
        known = torch.from_numpy(target.known[self._rows])
        if int(known.sum()) < 2:
            return math.nan
        predicted = predicted.view(-1, self._number, predicted.shape[1])[known]
        if source != SELF:
            truth = torch.from_numpy(target.crops(self._rows.repeat(self._number), self._spans))
            truth = truth.view(-1, self._number, truth.shape[1])[known].flatten(0, 1)
            said = ~truth.isnan().all(1)  # a teacher may pass over a stretch of a track
            return learner.score(source, predicted.flatten(0, 1)[said], truth[said])
        truth = torch.from_numpy(target.values[self._rows])[known]
        # One pair of crops a track at a time: no track meets itself as another.
        pairs = [predicted[:, first : first + 2] for first in range(0, self._number, 2)]
        return float(np.mean([learner.score(source, pair.flatten(0, 1), truth) for pair in pairs]))

    def _predict(self, rows: np.ndarray, sources: list[str]) -> dict[str, torch.Tensor]:
        run = self._run
        crops = CropSource(run.cache, run.manifest.ids, run.recipe.frames)
        levels = np.concatenate([crops.spread(int(row), self._number) for row in rows])
        images = torch.from_numpy(levels).to(self._fabric.device).permute(0, 2, 3, 1).float()
        with self._fabric.autocast():
            predicted = run.recipe.learner.predict(run.recipe.frontend.scale(images), sources)
        return {source: values.float().cpu() for source, values in predicted.items()}
