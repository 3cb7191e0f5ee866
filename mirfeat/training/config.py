"""What a training run does: a TOML file as frozen records; a wrong key or type is an error.

A configuration decides the result, whatever it runs on: device, number of processes and precision
are arguments of the run (:class:`mirfeat.training.preparation.Hardware`), and ``batch`` counts
over all processes. Where the file is silent, the paper's values hold (``recipes.DEFAULTS``), as far
as it gives them; docs/papers lists the others.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mirfeat.errors import ConfigError
from mirfeat.training.toml_records import filled, read_toml

Defaults = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Values by extractor, section and key."""


@dataclass(frozen=True)
class Sources:
    """What is learnt, and in which order.

    ``names``: learning sources, empty for all that the manifest can feed. ``factors``: size of a
    source's label distribution. ``order``: ``random`` draws one source a batch (Kim 2019,
    algorithm 1), ``alternate`` takes them in turn (Hamel 2013, section 3.3), ``together`` steps
    all of them on the same batch. ``intersect``: only tracks that have every source. ``pairs``:
    how the self source pairs crops (:func:`mirfeat.training.objectives.pairs`). ``balance``: a
    track is drawn with a probability proportional to its duration to this power; 0 (the papers)
    draws all tracks equally often, 1 all seconds. ``taste``: table of listening counts, relative
    to the manifest. ``weights``: what a source's loss counts, 1 where nothing is said.
    ``components``: principal components that a teacher's vector is reduced to, 0 for none of this.
    ``distance`` of vectors as in :func:`mirfeat.training.objectives.matching`. ``leave_out``: data
    sets of the manifest that are neither learnt nor validated (Hamel 2013, section 6.2).
    """

    names: tuple[str, ...] = ()
    factors: int = 50
    order: Literal["random", "alternate", "together"] = "random"
    intersect: bool = False
    pairs: Literal["halves", "all"] = "halves"
    balance: float = 0.0
    taste: str = ""
    weights: dict[str, float] = field(default_factory=dict)
    components: int = 0
    distance: Literal["smooth_l1", "cosine"] = "smooth_l1"
    leave_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Optimiser:
    """How many steps, and how large. One optimiser for what is shared and one for each source.

    ``epochs`` counts passes over the training tracks for each source (m·n / batch steps); ``steps``
    overrides it. ``schedule``: a constant rate, or a cosine to zero; the rate rises linearly over
    the first ``warmup`` steps. ``label_decay`` is added to ``weight_decay`` for the label vectors
    of hamel2013: the regularisation that its section 7 proposes.
    """

    name: Literal["adam", "adamw", "sgd"] = "adam"
    rate: float = 2.5e-4
    weight_decay: float = 1e-6
    batch: int = 128
    epochs: float = 200.0
    steps: int = 0
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: int = 0
    label_decay: float = 0.0


@dataclass(frozen=True)
class NetworkShape:
    """Multiples of the paper's: ``width`` (filters; kim2018-wstn alone) and ``dropout``."""

    width: float = 1.0
    dropout: float = 1.0


@dataclass(frozen=True)
class Augmentation:
    """Random changes of training crops (``augment.py``); 0 is off.

    ``gain_db`` and ``equaliser_db`` in dB, ``shift_bands`` in mel bands, ``stretch`` as a fraction
    of the duration; the others are the probability that a crop is changed in that way.
    """

    gain_db: float = 0.0
    equaliser_db: float = 0.0
    shift_bands: float = 0.0
    stretch: float = 0.0
    swap: float = 0.0
    mono: float = 0.0
    lowpass: float = 0.0
    mix: float = 0.0
    mask: float = 0.0


@dataclass(frozen=True)
class Validation:
    """Held-out tracks: their share (where the manifest has no ``split``), and how often.

    ``every`` counts steps; 0 is twenty times a run. ``choose``: the weights of the step with the
    best mean validation score, or of the last step.
    """

    share: float = 0.1
    every: int = 0
    crops: int = 4
    choose: Literal["best", "last"] = "best"


@dataclass(frozen=True)
class TrainConfig:
    """One run. ``licence`` and ``training_data`` are what the checkpoint says of itself.

    ``initial``: a checkpoint to begin with (``warm_start.py``), or nothing. ``teachers``: folders
    by name (``targets/teachers.py``); a source is then called ``name.what``. ``repeat``: another
    number draws other weights and crops from the same seed, with the same split and targets.
    """

    extractor: str
    manifest: Path
    output: Path
    cache: Path = Path("cache")
    initial: Path = Path()
    seed: int = 0
    licence: str = ""
    training_data: str = ""
    teachers: dict[str, Path] = field(default_factory=dict)
    sources: Sources = field(default_factory=Sources)
    optimiser: Optimiser = field(default_factory=Optimiser)
    augmentation: Augmentation = field(default_factory=Augmentation)
    validation: Validation = field(default_factory=Validation)
    network: NetworkShape = field(default_factory=NetworkShape)
    repeat: int = 0

    @property
    def draws(self) -> int:
        """Seed of weights, crops and the order of sources."""
        if not self.repeat:
            return self.seed
        return int(np.random.SeedSequence([self.seed, self.repeat]).generate_state(1)[0])

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form without the paths: what decides the result."""
        record = asdict(self)
        for name in ("manifest", "output", "cache", "initial"):
            del record[name]
        record["teachers"] = sorted(self.teachers)
        # A run that an earlier mirfeat began knows nothing of what follows.
        if self.network == NetworkShape():
            del record["network"]
        if not self.repeat:
            del record["repeat"]
        if not self.sources.leave_out:
            del record["sources"]["leave_out"]
        if not self.optimiser.label_decay:
            del record["optimiser"]["label_decay"]
        if not self.teachers:
            del record["teachers"]
            for name in ("weights", "components", "distance"):
                if record["sources"][name] == getattr(Sources(), name):
                    del record["sources"][name]
        return record

    @property
    def identity(self) -> str:
        """Hash of all values that decide the steps; a run goes on only with the same.

        What the files hold that it names is compared beside it
        (:func:`mirfeat.training.state.inputs_of`).
        """
        record = self.to_dict()
        # These say what is written at the end.
        del record["licence"], record["training_data"], record["validation"]["choose"]
        text = json.dumps(record, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_config(path: Path, defaults: Defaults | None = None) -> TrainConfig:
    """Read a TOML file; ``defaults`` are what it overrides. Paths are relative to the file.

    Raises:
        ConfigError: not TOML, an unknown key, a wrong type or an impossible value.
    """
    return make_config(read_toml(path), path, defaults)


def make_config(
    record: Mapping[str, Any], path: Path, defaults: Defaults | None = None
) -> TrainConfig:
    """A configuration from the keys and sections of the TOML file ``path``.

    Raises: as :func:`read_config`.
    """
    record = dict(record)
    for section, values in (defaults or {}).get(str(record.get("extractor")), {}).items():
        given = record.get(section, {})
        record[section] = {**values, **given} if isinstance(given, dict) else given
    config: TrainConfig = filled(TrainConfig, record, str(path))
    _check(config, path)
    folder = path.resolve().parent
    return replace(
        config,
        manifest=folder / config.manifest,
        output=folder / config.output,
        cache=folder / config.cache,
        initial=folder / config.initial if config.initial != Path() else Path(),
        teachers={name: folder / teacher for name, teacher in config.teachers.items()},
    )


_NAME = re.compile(r"[A-Za-z0-9_-]+")

# Lowest and highest value of each number.
_RANGES: Mapping[str, tuple[float, float]] = {
    "seed": (0, 2**63 - 1),
    "repeat": (0, 2**31 - 1),
    "sources.factors": (2, 10_000),
    "sources.balance": (0.0, 1.0),
    "sources.components": (0, 10_000),
    "optimiser.rate": (1e-9, 100.0),
    "optimiser.weight_decay": (0.0, 1.0),
    "optimiser.label_decay": (0.0, 100.0),
    "optimiser.batch": (2, 1_000_000),
    "optimiser.epochs": (1e-3, 1e6),
    "optimiser.steps": (0, 1e9),
    "optimiser.warmup": (0, 1e9),
    "augmentation.gain_db": (0.0, 40.0),
    "augmentation.equaliser_db": (0.0, 40.0),
    "augmentation.shift_bands": (0.0, 32.0),
    "augmentation.stretch": (0.0, 0.5),
    "augmentation.swap": (0.0, 1.0),
    "augmentation.mono": (0.0, 1.0),
    "augmentation.lowpass": (0.0, 1.0),
    "augmentation.mix": (0.0, 1.0),
    "augmentation.mask": (0.0, 1.0),
    "validation.share": (0.0, 0.9),
    "validation.every": (0, 1e9),
    "validation.crops": (1, 1000),
    "network.width": (0.0625, 8.0),
    "network.dropout": (0.0, 1.0),
}


def _check(config: TrainConfig, path: Path) -> None:
    for name, (low, high) in _RANGES.items():
        section, _, key = name.rpartition(".")
        value = getattr(getattr(config, section) if section else config, key)
        if not low <= value <= high:
            raise ConfigError(f"{path}: {name} = {value}: from {low:g} to {high:g}.")
    names = config.sources.names
    if len(set(names)) < len(names):
        raise ConfigError(f"{path}: sources.names has one twice: {', '.join(names)[:200]}.")
    for source, weight in config.sources.weights.items():
        if not 0.0 <= weight <= 1e6:
            raise ConfigError(f"{path}: sources.weights: {source[:80]} = {weight}: from 0 to 1e6.")
        if names and source not in names:
            raise ConfigError(
                f"{path}: sources.weights has {source[:80]!r}, sources.names has not: "
                f"{', '.join(names)[:200]}."
            )
    for name in config.teachers:
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"{path}: a teacher is called {name[:80]!r}: letters, digits, - and _ make a name."
            )
