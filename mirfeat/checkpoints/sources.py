"""From ``checkpoint=`` to weights: the open ones, random ones, published ones, a file."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from dataclasses import replace
from pathlib import Path

from mirfeat.checkpoints import downloads, fourtu, huggingface
from mirfeat.errors import (
    CheckpointError,
    CheckpointMismatchError,
    CheckpointUnavailableError,
    OptionError,
)
from mirfeat.files import replacing, sha256_of
from mirfeat.networks import checkpoint as files
from mirfeat.networks.checkpoint import Weights
from mirfeat.networks.spec import Checkpoint, ExtractorSpec

logger = logging.getLogger("mirfeat")


def load_weights(spec: ExtractorSpec, checkpoint: str | os.PathLike[str] | None) -> Weights | None:
    """Weights of an extractor; None for one that has none.

    A path object is always the path of a file, a string only where no checkpoint has that name.

    Raises:
        OptionError: this extractor has no weights, or the value means nothing.
        CheckpointError: the weights cannot be had or do not belong to this extractor.
    """
    if spec.initialise is None:
        if checkpoint is not None:
            raise OptionError(f"{spec.name} has no weights and takes no checkpoint={checkpoint!r}.")
        return None
    if checkpoint is None:
        checkpoint = spec.default_checkpoint
    if not isinstance(checkpoint, str | os.PathLike):
        raise OptionError(f"checkpoint={checkpoint!r}: it is a name or the path of a file.")
    if isinstance(checkpoint, str) and checkpoint.startswith(huggingface.SCHEME):
        return _from_hub(spec, checkpoint)
    weights = _named(spec, checkpoint) if isinstance(checkpoint, str) else None
    weights = weights or _file(spec, Path(checkpoint))
    return replace(weights, name=os.fspath(checkpoint))


def _named(spec: ExtractorSpec, name: str) -> Weights | None:
    if name == "open":
        return _open(spec)
    kind, colon, seed = name.partition(":")
    if kind == "random":
        number = _seed(name, seed if colon else "0")
        # Not of the tensors: statistics calibrated at load differ in the last digits between
        # processors, and runs on several machines are still the same run.
        recipe = f"{spec.name} {spec.version} random {number}"
        identity = hashlib.sha256(recipe.encode()).hexdigest()
        return replace(_drawn(spec, number), sha256=identity)
    for published in spec.checkpoints:
        if published.name == name:
            return _published(spec, published)
    if kind == fourtu.NAME and fourtu.takes(spec.name):
        return _from_4tu(spec, fourtu.experiment(spec.name, name))
    return None


# Two seconds for choi2017, whose statistics come from sounds. Specs are compared by identity.
_DRAWN: dict[tuple[int, int], tuple[ExtractorSpec, Weights]] = {}
_MOST_DRAWN = 4


def _drawn(spec: ExtractorSpec, seed: int) -> Weights:
    """Untrained weights of a seed; the last ones are kept, their tensors are only read."""
    assert spec.initialise is not None
    key = id(spec), seed
    kept = _DRAWN.pop(key, None) or (spec, spec.initialise(seed))
    _DRAWN[key] = kept
    while len(_DRAWN) > _MOST_DRAWN:
        _DRAWN.pop(next(iter(_DRAWN)), None)
    return kept[1]


def _open(spec: ExtractorSpec) -> Weights:
    path = downloads.packaged(spec.checkpoint_of or spec.name)
    if path is None:
        raise CheckpointUnavailableError(
            f"{spec.name}: this version of mirfeat ships no open weights for it. "
            f"checkpoint= also takes {_others(spec)} or the path of a file."
        )
    return _read(spec, path)


def _others(spec: ExtractorSpec) -> str:
    """Names that ``checkpoint=`` takes besides "open"."""
    names = [*(c.name for c in spec.checkpoints), "random"]
    names += [fourtu.NAME] if fourtu.takes(spec.name) else []
    return ", ".join(map(repr, names))


def _seed(name: str, seed: str) -> int:
    if not (seed.isdecimal() and seed.isascii()):
        raise OptionError(f"checkpoint={name!r}: the seed is a whole number, as in 'random:7'.")
    return int(seed)


def _published(spec: ExtractorSpec, published: Checkpoint) -> Weights:
    """Read the conversion in the cache folder, making it at first use.

    The spec's version is in its name, so that a new version of mirfeat converts anew.
    """
    converted = (
        downloads.cache_folder() / f"{spec.name}-{published.name}-v{spec.version}.safetensors"
    )
    if (weights := _converted(spec, converted, published.identity)) is not None:
        return weights
    source = downloads.fetch(published)
    logger.warning(
        "%s %r: licence %s; trained on %s",
        spec.name,
        published.name,
        published.licence,
        published.training_data,
    )
    weights = published.read(source) if published.read else _read(spec, source)
    return _kept(replace(weights, sha256=published.identity), converted)


def _from_4tu(spec: ExtractorSpec, experiment: str) -> Weights:
    """Read the conversion of an experiment of the 4TU item, making it at first use."""
    converted = fourtu.converted_path(spec.name, spec.version, experiment)
    weights = _converted(spec, converted)
    return weights or _kept(fourtu.fetch(spec.name, experiment), converted)


def _kept(weights: Weights, converted: Path) -> Weights:
    try:
        files.write(converted, weights)
        record = {"sha256": sha256_of(converted), "source_sha256": weights.sha256}
        with replacing(_record_of(converted)) as temporary:
            temporary.write_text(json.dumps(record) + "\n", encoding="utf-8")
        if text := weights.metadata.get("licence_text"):
            # Licences of the ISC kind ask to stay with every copy.
            with replacing(converted.with_suffix(".LICENCE.txt")) as temporary:
                temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        # A full disk, or a cache folder that an administrator filled and others only read.
        logger.warning("%s: not kept, next time it is converted again: %s", converted, error)
    return weights


def _record_of(converted: Path) -> Path:
    """What mirfeat noted of a conversion when it made it.

    A conversion itself can say anything of the file that it was made from.
    """
    return converted.with_suffix(".json")


def _converted(spec: ExtractorSpec, path: Path, sha256: str | None = None) -> Weights | None:
    """The conversion in the cache folder, if it is there as mirfeat made it, from this very file.

    Without ``sha256`` it may be made from any, its name says from which.
    """
    if not os.path.isfile(path):
        return None
    try:
        record = json.loads(_record_of(path).read_text(encoding="utf-8"))
        made, source = record["sha256"], record["source_sha256"]
        if sha256_of(path) == made and sha256 in (None, source):
            weights = _read(spec, path)
            if weights.sha256 == source:
                return weights
        problem = "it is not the file that was made from the published one"
    except CheckpointError as error:
        problem = str(error)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        problem = f"{_record_of(path).name}, which says what it was made from, is not there"
    # Nothing of the user's is lost: the file is mirfeat's own, and its source is verified.
    logger.warning("the cached %s is of no use and is made again (%s)", path.name, problem)
    return None


def _from_hub(spec: ExtractorSpec, address: str) -> Weights:
    path, commit = huggingface.fetch(address, _filenames(spec))
    # The commit, not the branch: what a run is resumed with is what it was begun with.
    repo, _ = huggingface.parse(address)
    return replace(_read(spec, path), name=f"{huggingface.SCHEME}{repo}@{commit}")


def _filenames(spec: ExtractorSpec) -> list[str]:
    """Where a folder or repository has an extractor's checkpoint, in order of preference."""
    names = [f"{name}.safetensors" for name in (spec.name, spec.checkpoint_of) if name]
    return [*names, huggingface.WEIGHTS_FILE]


def _file(spec: ExtractorSpec, path: Path) -> Weights:
    file, _, name = str(path).rpartition("#")
    for published in spec.checkpoints:
        # One of several in a published file that the user has.
        if published.read and published.name == name and Path(file).is_file():
            return published.read(Path(file))
    if path.is_dir():
        found = [path / name for name in _filenames(spec) if (path / name).is_file()]
        path = found[0] if found else path / f"{spec.name}.safetensors"
    if not path.is_file():
        raise CheckpointUnavailableError(
            f"checkpoint {str(path)!r} is neither a file nor 'open' nor one of {_others(spec)}."
        )
    return _read(spec, path)


def _read(spec: ExtractorSpec, path: Path) -> Weights:
    """Weights in a file of mirfeat's or of a form that this extractor has a reader for."""
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise CheckpointUnavailableError(f"{path} cannot be read: {error.strerror}.") from error
    for form in spec.formats:
        if start.startswith(form.signature):
            weights = form.read(path)
            return weights if weights.sha256 else replace(weights, sha256=sha256_of(path))
    # Eight bytes of length, then JSON.
    if start[8:9] != b"{":
        known = ", ".join(["mirfeat's safetensors files", *(form.name for form in spec.formats)])
        raise CheckpointMismatchError(
            f"{path}: starts with {start[:8]!r}; {spec.name} reads {known}."
        )
    weights = files.read(path)
    if (made_for := weights.metadata.get("extractor")) not in (spec.name, spec.checkpoint_of):
        raise CheckpointMismatchError(
            f"{path}: a checkpoint for {made_for!r}, not for {spec.name!r}."
        )
    return weights
