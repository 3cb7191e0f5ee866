"""What a run needs to go on: network, optimisers, number of the step, the best weights so far."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch

from mirfeat.errors import ConfigError
from mirfeat.files import replacing
from mirfeat.training.config import TrainConfig
from mirfeat.training.recipes import Recipe

FILE = "state.pt"


class RunState:
    """State of a run, in ``state.pt`` of its output folder; saved whole or not at all."""

    def __init__(self, config: TrainConfig) -> None:
        """A run that has not begun."""
        self._path, self._identity = config.output / FILE, config.identity
        self._loaded: dict[str, Any] = {}
        self._best: dict[str, Any] = {}
        self.step, self.last_score = 0, math.nan
        self.best_step, self.best_score = 0, -math.inf

    def remove(self) -> None:
        """Forget an earlier run."""
        self._path.unlink(missing_ok=True)

    def load(self) -> bool:
        """Read the state of an earlier run, if there is one.

        Raises:
            ConfigError: it is of another configuration, or damaged.
        """
        if not self._path.is_file():
            return False
        try:
            record = torch.load(self._path, map_location="cpu", weights_only=True)
            identity = record["identity"]
        except Exception as error:  # a damaged file fails in any way
            raise ConfigError(
                f"{self._path}: not a readable state of a run ({type(error).__name__}). Begin "
                "anew with --overwrite."
            ) from error
        if identity != self._identity:
            raise ConfigError(
                f"{self._path.parent} has a run with another configuration. Choose another output "
                "folder, or begin anew with --overwrite."
            )
        self._loaded, self._best = record, record["best"]
        self.step, self.last_score = record["step"], record["last_score"]
        self.best_step, self.best_score = record["best_step"], record["best_score"]
        return True

    def attach(self, recipe: Recipe, optimisers: Mapping[str | None, Any]) -> None:
        """Work on this network and these optimisers, and put what was loaded into them.

        Raises:
            ConfigError: what was loaded is of other sources or of targets of another size.
        """
        self._recipe, self._optimisers = recipe, optimisers
        if not self._loaded:
            return
        try:
            recipe.learner.load_state_dict(self._loaded["learner"])
            recipe.frontend.load_state_dict(self._loaded["frontend"])
            for owner, optimiser in optimisers.items():
                optimiser.load_state_dict(self._loaded["optimisers"][str(owner)])
        except (RuntimeError, ValueError, KeyError) as error:
            raise ConfigError(
                f"{self._path}: the run was begun with other tracks or labels: its network does "
                "not fit those of today. Choose another output folder, or begin anew with "
                "--overwrite."
            ) from error
        self._loaded = {}

    def keep_if_best(self, score: float) -> None:
        """Keep the weights if no earlier ones scored better; NaN (no validation) keeps the last."""
        self.last_score = score
        if math.isnan(score) or score >= self.best_score:
            self.best_step = self.step
            self.best_score = self.best_score if math.isnan(score) else score
            self._best = _copied(self._recipe.learner.state_dict())

    def restore_best(self) -> None:
        """Put the best weights back."""
        if self._best:
            self._recipe.learner.load_state_dict(self._best)

    def save(self) -> None:
        """Write the state."""
        record = {
            "identity": self._identity,
            "step": self.step,
            "last_score": self.last_score,
            "best": self._best,
            "best_step": self.best_step,
            "best_score": self.best_score,
            "learner": self._recipe.learner.state_dict(),
            "frontend": self._recipe.frontend.state_dict(),
            "optimisers": {str(key): o.state_dict() for key, o in self._optimisers.items()},
        }
        with replacing(self._path) as temporary:
            torch.save(record, temporary)

    def record(self, choose: Literal["best", "last"]) -> dict[str, Any]:
        """What the checkpoint says of how it was chosen."""
        best = choose == "best"
        score = self.best_score if best else self.last_score
        return {
            "steps": self.step,
            "chosen_step": self.best_step if best else self.step,
            "validation_score": round(score, 4) if math.isfinite(score) else None,
        }


def _copied(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key: value.detach().cpu().clone() for key, value in state.items()}
