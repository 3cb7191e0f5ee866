"""One loaded network with its settings: what an extractor is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from typing import Any

import torch

from mirfeat import __version__
from mirfeat.checkpoints.sources import load_weights
from mirfeat.errors import OptionError
from mirfeat.networks.model import Model, Rows
from mirfeat.networks.spec import ExtractorSpec, Provenance
from mirfeat.pipeline.clip import Part
from mirfeat.results import check_statistics

_LIBRARIES = ("torch", "numpy", "soundfile", "soxr")


@dataclass(frozen=True, eq=False)
class Settings:
    """Options that every extractor takes; None means the extractor's own value."""

    checkpoint: Any = None
    statistics: Sequence[str] = ("mean", "std")
    hop_seconds: float | None = None
    max_seconds: float | None = None
    short: str = "tile"
    device: Any = "auto"
    batch_size: int | None = None
    precision: str = "float32"


@dataclass(frozen=True, eq=False)
class Unit:
    """A network on its device with everything that decides its vector."""

    part: Part
    model: Model
    statistics: tuple[str, ...]
    provenance: Provenance

    @property
    def spec(self) -> ExtractorSpec:
        """Record of the extractor."""
        return self.part.spec

    @property
    def segment_seconds(self) -> float:
        """Length of a segment."""
        return self.part.segment.samples / self.spec.mel.sample_rate

    @property
    def hop_seconds(self) -> float:
        """Distance between the starts of segments."""
        return self.part.segment.hop_samples / self.spec.mel.sample_rate

    @property
    def min_seconds(self) -> float:
        """Shortest clip that is taken."""
        segment = self.part.segment
        samples = segment.samples if self.part.refuse_short else segment.min_samples
        return samples / self.spec.mel.sample_rate

    @property
    def row_names(self) -> tuple[str, ...]:
        """Names of the numbers of a row: ``choi2017.layer3.07``."""
        return tuple(
            f"{self.spec.name}.{block}.{index:0{max(2, len(str(size - 1)))}d}"
            for block, size in self.model.block_sizes.items()
            for index in range(size)
        )

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the vector's numbers, all means, then all stds: ``choi2017.layer3.07.std``."""
        return tuple(f"{name}.{kind}" for kind in self.statistics for name in self.row_names)

    def __repr__(self) -> str:
        """Name with checkpoint and the options that are not at their defaults."""
        defaults: dict[str, Any] = {"short": "tile", "max_seconds": None, **self.spec.options}
        defaults |= {"statistics": ("mean", "std"), "precision": "float32"}
        defaults["hop_seconds"] = self.spec.segment.hop_samples / self.spec.mel.sample_rate
        shown = {k: v for k, v in self.provenance.options.items() if v != defaults.get(k)}
        if self.provenance.checkpoint_name is not None:
            shown["checkpoint"] = self.provenance.checkpoint_name
        return f"{self.spec.name}({', '.join(f'{key}={value!r}' for key, value in shown.items())})"


def load_unit(spec: ExtractorSpec, options: Mapping[str, Any], settings: Settings) -> Unit:
    """Load the network of ``spec``; ``options`` are the ones of its own.

    Raises:
        OptionError: a value that this extractor does not take.
        CheckpointError: the weights cannot be had or do not fit.
    """
    statistics = _statistics(spec, settings.statistics)
    precision = _precision(spec, settings.precision)
    segment, device = _segment(spec, settings), pick_device(settings.device)
    options = {**spec.options, **options}
    weights = load_weights(spec, settings.checkpoint)
    model = spec.build(weights, options).to(device)
    batch = segment.batch_gpu if device.type == "cuda" else segment.batch_cpu
    part = Part(
        spec=spec,
        segment=segment,
        run=model if precision is None else _in_precision(model, device, precision),
        row_size=sum(model.block_sizes.values()),
        device=device,
        batch_size=settings.batch_size or batch,
        refuse_short=settings.short == "error",
    )
    decisive = {
        **options,
        "statistics": statistics,
        "hop_seconds": segment.hop_samples / spec.mel.sample_rate,
        # A NumPy number would not go into JSON.
        "max_seconds": None if settings.max_seconds is None else float(settings.max_seconds),
        "short": settings.short,
    }
    if precision is not None:  # not otherwise, so that older folders can be gone on with
        decisive["precision"] = settings.precision
    provenance = Provenance(
        extractor=spec.name,
        spec_version=spec.version,
        options=decisive,
        checkpoint_name=weights.name if weights else None,
        checkpoint_sha256=weights.sha256 if weights else None,
        mirfeat_version=__version__,
        library_versions={name: metadata.version(name) for name in _LIBRARIES},
        device=str(device),
    )
    return Unit(part, model, statistics, provenance)


def provenance_of(units: Sequence[Unit]) -> Provenance:
    """Record of one unit, or of several whose vectors are concatenated."""
    records = tuple(unit.provenance for unit in units)
    if len(records) == 1:
        return records[0]
    return replace(
        records[0],
        extractor="+".join(record.extractor for record in records),
        spec_version=0,
        options={},
        checkpoint_name=None,
        checkpoint_sha256=None,
        parts=records,
    )


def pick_device(device: Any) -> torch.device:
    """``auto`` is CUDA where there is a device, else the CPU; anything else is taken as it is.

    Raises:
        OptionError: torch does not know or does not have it.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise OptionError(f"device={device!r} is not to be had here: {error}") from error
    return chosen


_PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


def _precision(spec: ExtractorSpec, wanted: str) -> torch.dtype | None:
    """None for float32, and where there is no network."""
    if wanted not in _PRECISIONS:
        raise OptionError(f"precision={wanted!r}: it is one of {', '.join(_PRECISIONS)}.")
    return _PRECISIONS[wanted] if spec.has_weights else None


def _in_precision(
    model: Model, device: torch.device, dtype: torch.dtype
) -> Callable[[torch.Tensor], Rows]:
    """The network in less precision; the front end stays in float32, its levels need that."""

    def run(audio: torch.Tensor) -> Rows:
        image = model.frontend(audio)
        with torch.autocast(device.type, dtype):
            mean, variance = model.network(image)
        return mean.float(), variance.float()

    return run


def _statistics(spec: ExtractorSpec, wanted: Sequence[str]) -> tuple[str, ...]:
    if wanted != "paper":
        return check_statistics(wanted)
    if not spec.paper_statistics:
        raise OptionError(
            f"statistics='paper': the paper of {spec.name} made no vector of a clip; use embed()."
        )
    return spec.paper_statistics


def _segment(spec: ExtractorSpec, settings: Settings) -> Any:
    segment, rate = spec.segment, spec.mel.sample_rate
    if settings.short not in ("tile", "error"):
        raise OptionError(f"short={settings.short!r}: it is 'tile' or 'error'.")
    if settings.batch_size is not None and settings.batch_size < 1:
        raise OptionError(f"batch_size={settings.batch_size}: it is 1 or more segments.")
    if settings.max_seconds is not None and not settings.max_seconds > 0:
        raise OptionError(
            f"max_seconds={settings.max_seconds}: it is more than 0, or None for all."
        )
    if settings.hop_seconds is None:
        return segment
    hop = round(settings.hop_seconds * rate)
    if not 1 <= hop <= segment.samples:
        raise OptionError(
            f"hop_seconds={settings.hop_seconds}: {spec.name} has segments of "
            f"{segment.samples / rate:g} s, and hops are more than 0 and at most that."
        )
    return replace(segment, hop_samples=hop)
