"""The front door: from a name to an extractor."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib import metadata
from typing import Any, Literal

import torch

from mirfeat.audio.segments import SegmentSpec
from mirfeat.checkpoints.sources import load_weights
from mirfeat.errors import ConfigError, OptionError
from mirfeat.extractor import Extractor
from mirfeat.networks.checkpoint import Weights
from mirfeat.networks.model import Model, Rows
from mirfeat.networks.options import common, parts_of, refuse_unknown
from mirfeat.networks.registry import get_spec
from mirfeat.networks.spec import ExtractorSpec
from mirfeat.pipeline.unit import Unit, beside_one_another
from mirfeat.provenance import Provenance
from mirfeat.results.moments import check_statistics
from mirfeat.version import __version__

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
    **options: Any,
) -> Extractor:
    """Load an extractor, or several joined by ``+`` whose vectors are concatenated.

    >>> mirfeat.load_extractor("choi2017", layers="135").dimension
    192
    >>> mirfeat.load_extractor("choi2017+mfcc", statistics=["mean"]).dimension
    220

    Args:
        name: one of :func:`list_extractors`, or for example ``"choi2017+mfcc"``. A part may have
            options of its own, which stand above the others: ``"kim2019-ss-r(sources=self)+
            kim2019-ss-r(sources=bpm,checkpoint=my.safetensors)"``.
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
        options: whatever else the extractor takes; ``mirfeat info NAME`` lists it. None is its
            default. Of ``a+b`` each part takes the options that it has.

    Raises:
        UnknownExtractorError: no such name.
        OptionError: an option that the extractor does not have, or a value it does not take.
        CheckpointError: the weights cannot be had, are damaged, or belong to something else.
    """
    parts = parts_of(name)
    specs = [get_spec(part.name) for part in parts]
    options |= {"layers": layers, "sources": sources, "batch_norm": batch_norm}
    own = {option: value for option, value in options.items() if value is not None}
    settings = {
        "statistics": statistics,
        "hop_seconds": hop_seconds,
        "max_seconds": max_seconds,
        "short": short,
        "device": device,
        "batch_size": batch_size,
        "precision": precision,
    }
    limit = common(settings)["max_seconds"]
    refuse_unknown(name, own, [option for spec in specs for option in spec.options])
    for part, spec in zip(parts, specs, strict=True):
        refuse_unknown(spec.name, part.options, spec.options)
    if precision != "float32" and not any(spec.has_weights for spec in specs):
        raise OptionError(f"precision={precision!r}: {name} has no network to compute so.")
    checkpoints = _checkpoints(specs, checkpoint)
    units = [
        load_unit(
            spec,
            {**own, **part.options},
            common({**settings, "checkpoint": checkpoints.get(spec.name), **part.options}),
        )
        for part, spec in zip(parts, specs, strict=True)
    ]
    return Extractor(beside_one_another(units), limit)


def concatenate(*extractors: Extractor) -> Extractor:
    """One extractor whose vector is those of ``extractors``, in this order; one decode for all.

    >>> mirfeat.concatenate(extractor, mirfeat.load_extractor("mfcc")).dimension
    440

    Raises:
        ConfigError: nothing to join, or parts that use different lengths of each clip.
        OptionError: the same extractor twice, in the same way.
    """
    if not extractors:
        raise ConfigError("concatenate: give at least one extractor.")
    limits = {extractor.max_seconds for extractor in extractors}
    if len(limits) > 1:
        raise ConfigError(
            f"concatenate: parts with different max_seconds {sorted(map(str, limits))}."
        )
    units = [unit for extractor in extractors for unit in extractor._units]
    return Extractor(beside_one_another(units), limits.pop())


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


def load_unit(spec: ExtractorSpec, given: Mapping[str, Any], settings: Mapping[str, Any]) -> Unit:
    """Load the network of ``spec``.

    ``given`` are values for options of its own, and perhaps of other extractors; ``settings`` has
    a checked value for each option that every extractor takes
    (:data:`mirfeat.networks.options.COMMON`).

    Raises:
        OptionError: a value that this extractor does not take.
        CheckpointError: the weights cannot be had or do not fit.
    """
    options = {
        option.name: option.take(given[option.name]) if option.name in given else option.default
        for option in spec.options
    }
    statistics = _statistics(spec, settings["statistics"])
    precision = _PRECISIONS[settings["precision"]] if spec.has_weights else None
    segment, device = _segment(spec, settings["hop_seconds"]), pick_device(settings["device"])
    weights = load_weights(spec, settings["checkpoint"])
    model = spec.build(weights, options).to(device)
    decisive = {
        **options,
        "statistics": statistics,
        "hop_seconds": segment.hop_samples / spec.mel.sample_rate,
        "max_seconds": settings["max_seconds"],
        "short": settings["short"],
    }
    if precision is not None:  # not otherwise, so that older folders can be gone on with
        decisive["precision"] = settings["precision"]
    return Unit(
        spec=spec,
        segment=segment,
        model=model,
        run=model if precision is None else partial(_in_precision, model, device, precision),
        row_size=sum(model.block_sizes.values()),
        device=device,
        batch_size=settings["batch_size"]
        or (segment.batch_gpu if device.type == "cuda" else segment.batch_cpu),
        refuse_short=settings["short"] == "error",
        statistics=statistics,
        provenance=_provenance(spec, decisive, weights, device),
    )


_LIBRARIES = ("torch", "numpy", "soundfile", "soxr")


def _provenance(
    spec: ExtractorSpec, options: Mapping[str, Any], weights: Weights | None, device: torch.device
) -> Provenance:
    return Provenance(
        extractor=spec.name,
        spec_version=spec.version,
        options=options,
        checkpoint_name=weights.name if weights else None,
        checkpoint_sha256=weights.sha256 if weights else None,
        mirfeat_version=__version__,
        library_versions={name: metadata.version(name) for name in _LIBRARIES},
        device=str(device),
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


def _in_precision(
    model: Model, device: torch.device, dtype: torch.dtype, audio: torch.Tensor
) -> Rows:
    """The network in less precision; the front end stays in float32, its levels need that."""
    image = model.frontend(audio)
    with torch.autocast(device.type, dtype):
        mean, variance = model.network(image)
    return mean.float(), variance.float()


def _statistics(spec: ExtractorSpec, wanted: Sequence[str]) -> tuple[str, ...]:
    if wanted != "paper":
        return check_statistics(wanted)
    if not spec.paper_statistics:
        raise OptionError(
            f"statistics='paper': the paper of {spec.name} made no vector of a clip; use embed()."
        )
    return spec.paper_statistics


def _segment(spec: ExtractorSpec, hop_seconds: float | None) -> SegmentSpec:
    segment, rate = spec.segment, spec.mel.sample_rate
    if hop_seconds is None:
        return segment
    hop = round(hop_seconds * rate)
    if not 1 <= hop <= segment.samples:
        raise OptionError(
            f"hop_seconds={hop_seconds}: {spec.name} has segments of "
            f"{segment.samples / rate:g} s, and hops are more than 0 and at most that."
        )
    return replace(segment, hop_samples=hop)
