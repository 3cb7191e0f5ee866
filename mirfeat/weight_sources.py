"""From ``checkpoint=`` to weights: the open ones, random ones, published ones, a file."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path

from mirfeat import checkpoint as files
from mirfeat import hub
from mirfeat.checkpoint import Weights
from mirfeat.errors import CheckpointMismatchError, CheckpointUnavailableError, OptionError
from mirfeat.files import sha256_of
from mirfeat.spec import Checkpoint, ExtractorSpec

logger = logging.getLogger("mirfeat")


def load_weights(spec: ExtractorSpec, checkpoint: str | os.PathLike[str] | None) -> Weights | None:
    """Weights of an extractor; None for one that has none.

    Raises:
        OptionError: this extractor has no weights, or the name means nothing.
        CheckpointError: the weights cannot be had or do not belong to this extractor.
    """
    if spec.initialise is None:
        if checkpoint is not None:
            raise OptionError(f"{spec.name} has no weights and takes no checkpoint={checkpoint!r}.")
        return None
    name = os.fspath(checkpoint) if checkpoint is not None else "open"
    if name == "open":
        return replace(_open(spec), name=name)
    if name.split(":")[0] == "random":
        weights = spec.initialise(_seed(name))
        return replace(weights, name=name, sha256=files.digest(weights.tensors))
    for published in spec.checkpoints:
        if published.name == name:
            return replace(_published(spec, published), name=name)
    return replace(_file(spec, Path(name)), name=name)


def _open(spec: ExtractorSpec) -> Weights:
    path = hub.packaged(spec.name)
    if path is None:
        raise CheckpointUnavailableError(
            f"{spec.name}: this version of mirfeat ships no open weights for it. "
            f"Choose one of {', '.join(map(repr, _choices(spec)))}, or the path of a file."
        )
    return _checked(spec, files.read(path))


def _choices(spec: ExtractorSpec) -> list[str]:
    return [
        *(f"checkpoint={published.name}" for published in spec.checkpoints),
        "checkpoint=random",
    ]


def _seed(name: str) -> int:
    text = name.partition(":")[2] or "0"
    if not (text.isdecimal() and text.isascii()):
        raise OptionError(f"checkpoint={name!r}: the seed is a whole number, as in 'random:7'.")
    return int(text)


def _published(spec: ExtractorSpec, published: Checkpoint) -> Weights:
    """Read the conversion in the cache folder, making it at first use.

    The spec's version is in its name, so that a new version of mirfeat converts anew.
    """
    converted = hub.cache_folder() / f"{spec.name}-{published.name}-v{spec.version}.safetensors"
    if converted.exists():
        return _checked(spec, files.read(converted))
    source = hub.fetch(published)
    logger.warning(
        "%s %r: licence %s; trained on %s",
        spec.name,
        published.name,
        published.licence,
        published.training_data,
    )
    weights = replace(_foreign(spec, source), sha256=published.sha256)
    files.write(converted, weights)
    return weights


def _file(spec: ExtractorSpec, path: Path) -> Weights:
    if path.is_dir():
        path = path / f"{spec.name}.safetensors"
    if not path.is_file():
        raise CheckpointUnavailableError(
            f"checkpoint {str(path)!r} is neither a file nor one of "
            f"{', '.join(map(repr, ['open', *_choices(spec)]))}."
        )
    with path.open("rb") as file:
        start = file.read(16)
    if any(start.startswith(form.signature) for form in spec.formats):
        return replace(_foreign(spec, path), sha256=sha256_of(path))
    return _checked(spec, files.read(path))


def _foreign(spec: ExtractorSpec, path: Path) -> Weights:
    with path.open("rb") as file:
        start = file.read(16)
    for form in spec.formats:
        if start.startswith(form.signature):
            return form.read(path)
    raise CheckpointMismatchError(
        f"{path}: starts with {start[:8]!r}; {spec.name} reads safetensors and "
        f"{', '.join(form.name for form in spec.formats)}."
    )


def _checked(spec: ExtractorSpec, weights: Weights) -> Weights:
    made_for = weights.metadata.get("extractor")
    if made_for != spec.name:
        raise CheckpointMismatchError(
            f"{weights.name}: a checkpoint for {made_for!r}, not for {spec.name!r}."
        )
    return weights
