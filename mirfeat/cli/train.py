"""What ``mirfeat manifest``, ``cache``, ``targets``, ``train`` and ``study`` do; others print."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

from mirfeat.cli.output import shown_progress
from mirfeat.networks.registry import get_spec
from mirfeat.store.jobarray import Shard
from mirfeat.training.config import TrainConfig, read_config
from mirfeat.training.mel_cache import MelCache
from mirfeat.training.preparation import Hardware, fill_cache, manifest_of
from mirfeat.training.recipes import DEFAULTS, targets_of


class Outcome(NamedTuple):
    """What a command has to say: ``record`` for JSON, ``text`` for a person, ``notes`` beside it.

    ``failed``: tracks that could not be read.
    """

    record: Any
    text: str
    notes: tuple[str, ...] = ()
    failed: int = 0


def run(arguments: argparse.Namespace) -> Outcome:
    """Run the command that ``arguments.command`` names."""
    return _COMMANDS[arguments.command](arguments)


def _manifest(arguments: argparse.Namespace) -> Outcome:
    from mirfeat.training.file_tags import write_from_folder

    rows, failures = write_from_folder(
        arguments.music,
        arguments.output,
        bpm=arguments.bpm,
        workers=arguments.workers,
        progress=shown_progress(arguments),
    )
    failed = [{"path": str(failure.path), "message": failure.message} for failure in failures]
    record = {"tracks": len(rows), "failures": failed}
    notes = (*(f"failed: {f.message}" for f in failures), f"{len(rows)} tracks")
    return Outcome(record, str(arguments.output), notes, len(failures))


def _cache(arguments: argparse.Namespace) -> Outcome:

    config = _config(arguments)
    shard = None if arguments.shard is None else Shard.parse(arguments.shard)
    manifest = manifest_of(config)
    workers = max(2, arguments.workers)
    failures = fill_cache(
        config, manifest, workers, shard=shard, progress=shown_progress(arguments)
    )
    cache = MelCache(config.cache, get_spec(config.extractor).mel)
    present = sum(id in cache for id in manifest.ids)
    record = {"folder": str(cache.folder), "tracks": present, "failures": len(failures)}
    return Outcome(record, str(cache.folder), (f"{present} tracks",), len(failures))


def _targets(arguments: argparse.Namespace) -> Outcome:
    config = _config(arguments)
    manifest = manifest_of(config)
    cache = MelCache(config.cache, get_spec(config.extractor).mel)
    train = manifest.rows("train")
    lines, record = [], {}
    for source, target in targets_of(config, manifest, cache).items():
        known = int(target.known[train].sum())
        record[source] = {
            "size": target.size,
            "tracks": known,
            "of": len(train),
            "names": target.names,
        }
        lines.append(f"{source:12} {target.size:4d} numbers, {known} of {len(train)} tracks")
        lines += [f"{'':12} {name}" for name in target.names]
    return Outcome(record, "\n".join(lines))


def _train(arguments: argparse.Namespace) -> Outcome:
    from mirfeat.training.trainer import speaks, train

    hardware = Hardware(
        device=arguments.device,
        devices=arguments.devices,
        nodes=arguments.nodes,
        precision=arguments.precision,
        workers=arguments.workers,
    )
    path = train(
        _config(arguments),
        hardware,
        overwrite=arguments.overwrite,
        tensorboard=arguments.tensorboard,
        progress=shown_progress(arguments),
    )
    if not speaks():
        raise SystemExit(0)  # the first process prints the result for all
    return Outcome({"checkpoint": str(path)}, str(path))


def _study(arguments: argparse.Namespace) -> Outcome:
    from mirfeat.cli.study import study

    return study(arguments)


def _config(arguments: argparse.Namespace) -> TrainConfig:
    return read_config(arguments.config, DEFAULTS)


_COMMANDS: dict[str, Callable[[argparse.Namespace], Outcome]] = {
    "manifest": _manifest,
    "cache": _cache,
    "targets": _targets,
    "train": _train,
    "study": _study,
}
