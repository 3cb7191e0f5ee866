"""The front door: from a name to an extractor."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch

from mirfeat.errors import ConfigError, OptionError
from mirfeat.extractor import Extractor
from mirfeat.networks.registry import get_spec
from mirfeat.networks.spec import ExtractorSpec
from mirfeat.units import Settings, load_unit

CheckpointLike = str | os.PathLike[str]


def load_extractor(
    name: str,
    *,
    layers: str | None = None,
    sources: str | Sequence[str] | None = None,
    checkpoint: CheckpointLike | Mapping[str, CheckpointLike] | None = None,
    statistics: Sequence[str] | Literal["paper"] = ("mean", "std"),
    batch_norm: Literal["population", "clip"] | None = None,
    hop_seconds: float | None = None,
    max_seconds: float | None = None,
    short: Literal["tile", "error"] = "tile",
    device: str | torch.device = "auto",
    batch_size: int | None = None,
    precision: Literal["float32", "bfloat16", "float16"] = "float32",
) -> Extractor:
    """Load an extractor, or several joined by ``+`` whose vectors are concatenated.

    Args:
        name: one of :func:`list_extractors`, or for example ``"choi2017+mfcc"``.
        layers: choi2017: which layers, in this order, for example ``"135"``. All by default.
        sources: kim2018, kim2019: which learning sources of the checkpoint. All by default.
        checkpoint: ``"open"`` (default: trained by mirfeat, inside the package), ``"random"`` or
            ``"random:7"`` (untrained, that seed), a published one (see ``mirfeat info NAME``),
            ``"hf://org/repo@revision"`` or the path of a file or of a folder that
            :meth:`Extractor.save_pretrained` wrote. For ``a+b`` also a mapping from part to
            checkpoint.
        statistics: what the vector holds over the rows of a clip, ``mean`` and ``std``;
            ``"paper"`` is what the paper used.
        batch_norm: choi2017: ``"population"`` (frozen statistics, default) or ``"clip"`` (the
            authors' script with one clip a batch; a feature then depends on the whole segment).
        hop_seconds: distance between segments, at most one segment; None is the extractor's own.
        max_seconds: use only the first part of each clip; None is all of it.
        short: clips of less than a segment: ``"tile"`` repeats them, ``"error"`` refuses them.
        device: ``"auto"`` is CUDA where there is a device, else the CPU.
        batch_size: segments in one forward pass; None is a good value for the device.
        precision: of the network's convolutions; less than ``"float32"`` is faster and deviates
            (docs/many_files.md has both, measured).

    Raises:
        UnknownExtractorError: no such name.
        OptionError: an option that the extractor does not have, or a value it does not take.
        CheckpointError: the weights cannot be had, are damaged, or belong to something else.
    """
    specs = [get_spec(part) for part in name.split("+")]
    own = {"layers": layers, "sources": sources, "batch_norm": batch_norm}
    given = {key: value for key, value in own.items() if value is not None}
    _check_known(specs, given)
    if precision != "float32" and not any(spec.has_weights for spec in specs):
        raise OptionError(f"precision={precision!r}: {name} has no network to compute so.")
    settings = Settings(
        statistics=statistics,
        hop_seconds=hop_seconds,
        max_seconds=max_seconds,
        short=short,
        device=device,
        batch_size=batch_size,
        precision=precision,
    )
    checkpoints = _checkpoints(specs, checkpoint)
    units = tuple(
        load_unit(
            spec,
            {key: value for key, value in given.items() if key in spec.options},
            replace(settings, checkpoint=checkpoints.get(spec.name)),
        )
        for spec in specs
    )
    return Extractor(units, max_seconds)


def concatenate(*extractors: Extractor) -> Extractor:
    """One extractor whose vector is those of ``extractors``, in this order; one decode for all.

    Raises:
        ConfigError: nothing to join, or parts that use different lengths of each clip.
    """
    if not extractors:
        raise ConfigError("concatenate: give at least one extractor.")
    limits = {extractor.max_seconds for extractor in extractors}
    if len(limits) > 1:
        raise ConfigError(
            f"concatenate: parts with different max_seconds {sorted(map(str, limits))}."
        )
    units = tuple(unit for extractor in extractors for unit in extractor._units)
    return Extractor(units, limits.pop())


def _check_known(specs: list[ExtractorSpec], given: Mapping[str, Any]) -> None:
    names = "+".join(spec.name for spec in specs)
    if len({spec.name for spec in specs}) < len(specs):
        raise OptionError(f"{names}: the same extractor twice gives the same numbers twice.")
    for option in given:
        if not any(option in spec.options for spec in specs):
            own = [name for spec in specs for name in spec.options]
            common = ["checkpoint", "statistics", "hop_seconds", "max_seconds", "short"]
            raise OptionError(
                f"{names} has no option {option!r}. Its options: {', '.join([*own, *common])}."
            )


def _checkpoints(
    specs: list[ExtractorSpec], checkpoint: CheckpointLike | Mapping[str, CheckpointLike] | None
) -> Mapping[str, CheckpointLike]:
    """Checkpoint of each part; a single one goes to every part that has weights."""
    if checkpoint is None:
        return {}
    if isinstance(checkpoint, Mapping):
        if unknown := checkpoint.keys() - {spec.name for spec in specs}:
            raise OptionError(
                f"checkpoint for {sorted(unknown)}, which is not part of this extractor."
            )
        return checkpoint
    takers = [spec.name for spec in specs if spec.has_weights] or [spec.name for spec in specs]
    return dict.fromkeys(takers, checkpoint)
