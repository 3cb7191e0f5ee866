"""What a run needs to go on: network, optimisers, number of the step, the best weights so far.

Beside it stands what the run was begun with, as a run that goes on with other data is another one.
"""

from __future__ import annotations

import hashlib
import io
import logging
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import torch

from mirfeat.errors import ConfigError, TrainingError
from mirfeat.files import replacing, sha256_of
from mirfeat.networks import checkpoint
from mirfeat.training.config import TrainConfig
from mirfeat.training.preparation import TrainingRun
from mirfeat.training.recipe import Recipe
from mirfeat.training.targets.teachers import digest_of, split_source

logger = logging.getLogger("mirfeat")

FILE = "state.pt"


def inputs_of(run: TrainingRun) -> dict[str, str]:
    """sha256 of what a run reads beside its configuration: ``manifest``, ``taste``, ``initial``.

    Only what is used is there, and each source of a teacher by its name. Empty for an ``initial``
    that is no longer at hand, which a run that goes on does not need.

    Raises:
        CheckpointMismatchError, ChecksumError: ``initial`` is no checkpoint, or damaged.
    """
    config = run.config
    inputs = {"manifest": run.manifest.sha256}
    if config.sources.taste and "taste" in run.targets:
        inputs["taste"] = sha256_of(_path_of("taste", config))
    for source in config.sources.names:
        if found := split_source(source, config.teachers):
            inputs[source] = digest_of(config.teachers[found[0]], found[1])
    if config.initial != Path():
        # Its tensors alone: the run it comes from writes it anew each time its command is repeated,
        # with the record of the day.
        at_hand = config.initial.is_file()
        tensors = checkpoint.read(config.initial).tensors if at_hand else {}
        inputs["initial"] = checkpoint.digest(tensors) if at_hand else ""
    return inputs


def _path_of(name: str, config: TrainConfig) -> Path:
    if found := split_source(name, config.teachers):
        return config.teachers[found[0]]
    taste = config.manifest.parent / config.sources.taste
    return {"manifest": config.manifest, "taste": taste, "initial": config.initial}[name]


class RunState:
    """State of a run, in ``state.pt`` of its output folder; saved whole or not at all."""

    def __init__(self, config: TrainConfig, inputs: Mapping[str, str]) -> None:
        """A run that has not begun; ``inputs`` as :func:`inputs_of` gives them."""
        self._path, self._identity = config.output / FILE, config.identity
        self._config, self._inputs = config, dict(inputs)
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
            ConfigError: it is of another configuration or of other data, or damaged.
        """
        if not self._path.is_file():
            return False
        try:
            record = torch.load(self._path, map_location="cpu", weights_only=True)
            identity, said = record["identity"], record.pop("sha256", None)
            found = said and seal_of(record)
        except Exception as error:  # a damaged file fails in any way
            raise ConfigError(
                f"{self._path}: not a readable state of a run ({type(error).__name__}). Begin "
                "anew with --overwrite."
            ) from error
        if found != said:
            raise ConfigError(
                f"{self._path}: sha256 of the contents is {found}, the file says {said}. It is "
                "damaged: take a copy of it, or begin anew with --overwrite."
            )
        if said is None:
            logger.warning(
                "%s: an earlier mirfeat saved it without a sha256, so damage to it would not be "
                "noticed. From the next save on it is.", self._path,
            )  # fmt: skip
        if identity != self._identity:
            raise ConfigError(
                f"{self._path.parent} has a run with another configuration. Choose another output "
                "folder, or begin anew with --overwrite."
            )
        self._check_inputs(record.get("inputs"))
        self._loaded, self._best = record, record["best"]
        self.step, self.last_score = record["step"], record["last_score"]
        self.best_step, self.best_score = record["best_step"], record["best_score"]
        return True

    def _check_inputs(self, before: Mapping[str, str] | None) -> None:
        """Refuse to go on with other data; keep the hashes of what is no longer at hand."""
        if before is None:
            # Days of computing are not refused for what their state cannot say.
            logger.warning(
                "%s: an earlier mirfeat began this run and did not note the sha256 of %s. Take "
                "care that nothing changed there; from the next save on it is checked.",
                self._path, ", ".join(self._inputs),
            )  # fmt: skip
            return
        if differences := list(self._differences(before)):
            raise ConfigError(
                f"{self._path.parent} has a run with other data: {'; '.join(differences)}. Put "
                "back what it was begun with, choose another output folder, or begin anew with "
                "--overwrite."
            )
        self._inputs = {name: now or before[name] for name, now in self._inputs.items()}

    def _differences(self, before: Mapping[str, str]) -> Iterator[str]:
        for name in dict.fromkeys([*before, *self._inputs]):
            then, now = before.get(name), self._inputs.get(name)
            if now is None:
                yield f"it was begun with {name!r}, which is not used now"
            elif then is None:
                yield f"it was begun without {name!r}, now {_path_of(name, self._config)}"
            elif then and now and then != now:
                path = _path_of(name, self._config)
                yield f"{name!r}, {path}, has changed (sha256 {now[:12]}…, it was {then[:12]}…)"

    def attach(self, recipe: Recipe, optimisers: Mapping[str | None, Any], precision: Any) -> None:
        """Work on this network and these optimisers, and put what was loaded into them.

        ``precision``: Fabric's plugin, which for float16 scales losses by what steps so far allow.

        Raises:
            ConfigError: what was loaded is of other sources or of targets of another size.
        """
        self._recipe, self._optimisers, self._precision = recipe, optimisers, precision
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
        # Nothing there: it ran in another precision, which is no part of a run, or an earlier
        # mirfeat saved it. A scaler then begins as in a new run.
        if scaler := self._loaded.get("precision"):
            precision.load_state_dict(scaler)
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
        """Write the state.

        Raises:
            TrainingError: the disk is full, or takes nothing for another reason.
        """
        record = {
            "identity": self._identity,
            "inputs": self._inputs,
            "step": self.step,
            "last_score": self.last_score,
            "best": self._best,
            "best_step": self.best_step,
            "best_score": self.best_score,
            "learner": self._recipe.learner.state_dict(),
            "frontend": self._recipe.frontend.state_dict(),
            "optimisers": {str(key): o.state_dict() for key, o in self._optimisers.items()},
            "precision": self._precision.state_dict(),
        }
        # Not into the file: of a full disk torch says that a position was not expected.
        contents = io.BytesIO()
        torch.save({**record, "sha256": seal_of(record)}, contents)
        try:
            with replacing(self._path) as temporary:
                temporary.write_bytes(contents.getbuffer())
        except OSError as error:
            raise TrainingError(
                f"{self._path}: cannot be written ({error.strerror or error}). The state saved "
                "before is whole; once there is room, the same command goes on from there."
            ) from error

    def record(self, choose: Literal["best", "last"]) -> dict[str, Any]:
        """What the checkpoint says of how it was chosen."""
        best = choose == "best"
        score = self.best_score if best else self.last_score
        return {
            "steps": self.step,
            "chosen_step": self.best_step if best else self.step,
            "validation_score": round(score, 4) if math.isfinite(score) else None,
        }


def seal_of(value: Any) -> str:
    """sha256 of a state: dictionaries, lists, tensors and plain values."""
    hasher = hashlib.sha256()
    _feed(hasher, value)
    return hasher.hexdigest()


def _feed(hasher: Any, value: Any) -> None:
    if isinstance(value, Mapping):
        hasher.update(b"{ ")
        for key, item in value.items():
            hasher.update(f"{key!r}: ".encode())
            _feed(hasher, item)
        hasher.update(b"} ")
    elif isinstance(value, list | tuple):
        hasher.update(b"[ ")
        for item in value:
            _feed(hasher, item)
        hasher.update(b"] ")
    elif isinstance(value, torch.Tensor):
        hasher.update(checkpoint.digest({"": value}).encode())
    else:
        hasher.update(f"{type(value).__name__} {value!r} ".encode())


def _copied(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key: value.detach().cpu().clone() for key, value in state.items()}
