"""What one may do after each command, with the names that it was given."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Command = Sequence[Any]
"""Words of a command; those in capitals are for the reader to fill in."""


def next_steps(arguments: argparse.Namespace) -> list[Command]:
    """Commands that go on from what ``arguments`` did."""
    steps = _STEPS.get(arguments.command)
    return [("mirfeat", *words) for words in steps(arguments)] if steps else []


def _list(arguments: argparse.Namespace) -> list[Command]:
    return [("info", "choi2017"), ("extract", "MUSIC", "-m", "choi2017", "-o", "feats")]


def _info(arguments: argparse.Namespace) -> list[Command]:
    return [("extract", "MUSIC", "-m", arguments.name, "-o", "feats")]


def _extract(arguments: argparse.Namespace) -> list[Command]:
    folder = arguments.output
    return [
        ("map", folder, "--open"),
        ("similar", "SONG", folder),
        ("evaluate", "svm-grid", "--features", folder, "--labels", "CSV"),
    ]


def _check(arguments: argparse.Namespace) -> list[Command]:
    return [("extract", *arguments.inputs, "-m", "choi2017", "-o", "feats")]


def _tags(arguments: argparse.Namespace) -> list[Command]:
    plot = () if arguments.plot else ("--plot",)
    return [("tags", *arguments.files, *plot)] if plot else [("map", "STORE", "--tags", "--open")]


def _similar(arguments: argparse.Namespace) -> list[Command]:
    return [("map", arguments.store, "--open")]


def _map(arguments: argparse.Namespace) -> list[Command]:
    return [("similar", "SONG", arguments.store)]


def _demo(arguments: argparse.Namespace) -> list[Command]:
    return [
        ("extract", "MUSIC", "-m", "choi2017", "-o", "feats"),
        ("map", "feats", "--open"),
    ]


def _download(arguments: argparse.Namespace) -> list[Command]:
    name = arguments.names[0] if arguments.names else "choi2017"
    chosen = ("--checkpoint", arguments.checkpoint) if arguments.checkpoint else ()
    return [("extract", "MUSIC", "-m", name, *chosen, "-o", "feats")]


def _export(arguments: argparse.Namespace) -> list[Command]:
    return [("info", arguments.extractor)]


def _completion(arguments: argparse.Namespace) -> list[Command]:
    return [("list",)]


def _evaluate(arguments: argparse.Namespace) -> list[Command]:
    if not (arguments.features and arguments.labels):
        return []
    features = [word for specs in arguments.features for word in ("--features", *specs)]
    return [("report", *features, "--labels", arguments.labels, "-o", "report")]


def _report(arguments: argparse.Namespace) -> list[Command]:
    features = Path(arguments.output) / "features"
    if not arguments.extractor:
        return [("map", arguments.features[0][0], "--open")]
    return [("extract", "MUSIC", "-m", "BEST", "-o", "feats"), ("map", features / "NAME", "--open")]


def _datasets(arguments: argparse.Namespace) -> list[Command]:
    if arguments.output:
        return [("report", "-m", "choi2017", "--audio", arguments.folder,
                 "--labels", arguments.output, "-o", "report")]  # fmt: skip
    return [("datasets", arguments.name or "NAME", "FOLDER", "-o", "labels.csv")]


def _manifest(arguments: argparse.Namespace) -> list[Command]:
    return [("train", "CONFIG")]


def _on_config(arguments: argparse.Namespace) -> list[Command]:
    return [("train", arguments.config)]


def _train(arguments: argparse.Namespace) -> list[Command]:
    return [("extract", "MUSIC", "-m", "NAME", "--checkpoint", "CHECKPOINT", "-o", "feats")]


def _study(arguments: argparse.Namespace) -> list[Command]:
    following = {"list": "run", "cache": "run", "run": "collect", "collect": "list"}
    return [("study", arguments.config, following[arguments.action])]


def _calibrate(arguments: argparse.Namespace) -> list[Command]:
    # Statistics in JSON are for reading; weights can be loaded.
    weights = Path(arguments.output).with_suffix(".safetensors")
    if Path(arguments.output) != weights:
        return [("calibrate", *arguments.music, "-o", weights)]
    return [("extract", "MUSIC", "-m", "choi2017", "--checkpoint", weights, "-o", "feats")]


def _reproduce(arguments: argparse.Namespace) -> list[Command]:
    return [("datasets",)]


_STEPS: Mapping[str, Callable[[argparse.Namespace], list[Command]]] = {
    "list": _list,
    "info": _info,
    "extract": _extract,
    "check": _check,
    "tags": _tags,
    "similar": _similar,
    "map": _map,
    "demo": _demo,
    "download": _download,
    "export": _export,
    "completion": _completion,
    "evaluate": _evaluate,
    "report": _report,
    "reproduce": _reproduce,
    "datasets": _datasets,
    "manifest": _manifest,
    "cache": _on_config,
    "targets": _on_config,
    "train": _train,
    "study": _study,
    "calibrate": _calibrate,
}
