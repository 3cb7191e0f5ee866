"""The labels that a command line names: a table, folders of clips, or a column of a manifest."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from mirfeat.audio.collection import find_audio, only_local
from mirfeat.errors import OptionError
from mirfeat.evaluation.datasets import load_labels
from mirfeat.evaluation.inputs import read_features
from mirfeat.evaluation.label_sources import (
    Clips,
    folder_labels,
    manifest_labels,
    with_groups,
)
from mirfeat.evaluation.labels import LabelTable, read_labels
from mirfeat.store.record import StoreInfo, is_store

FOLDERS = "folders"


def labels_of(arguments: argparse.Namespace, clips: Callable[[], Clips]) -> LabelTable:
    """Labels as ``--labels``, ``--manifest`` or ``--dataset`` say.

    ``clips``: names of the clips and, where known, their files; called only if they are needed.

    Raises:
        OptionError: no labels, or in two ways.
        LabelsError: labels that cannot be read, or are not there.
    """
    labels, manifest = arguments.labels, arguments.manifest
    if bool(labels) == bool(arguments.dataset):
        raise OptionError(
            "labels: give --labels FILE.csv, --labels folders, --labels COLUMN with --manifest "
            "FILE.csv, or --dataset NAME with --root DIR."
        )
    if arguments.dataset:
        if arguments.root is None:
            raise OptionError(f"--dataset {arguments.dataset}: say where it is with --root DIR.")
        table = load_labels(arguments.dataset, arguments.root, target=arguments.target)
    elif labels == FOLDERS:
        table = folder_labels(clips())
    elif Path(labels).exists() or manifest is None:
        table = read_labels(labels)
    else:
        return manifest_labels(_manifest(manifest), labels, clips())
    return with_groups(table, _manifest(manifest), clips()) if manifest else table


def _manifest(path: Path) -> LabelTable:
    """A table of tracks, CSV or parquet, as training reads it."""
    if path.suffix.lower() != ".parquet":
        return read_labels(path)
    from mirfeat.training.tables import open_table  # reads parquet in chunks of text

    table = open_table(path, ())
    columns: dict[str, list[str]] = {name: [] for name in table.header}
    for chunk in table.chunks:
        for name, cells in chunk.columns.items():
            columns[name].extend(cells)
    return LabelTable(str(path), {name: tuple(cells) for name, cells in columns.items()})


def clips_of_features(sets: Sequence[Sequence[str]]) -> Clips:
    """Clips of all sets of features; with files where a store says what its ids are relative to.

    Raises:
        OptionError: features without ids.
    """
    clips: dict[str, Path | None] = {}
    for specs in sets:
        features = read_features(specs)
        if features.ids is None:
            raise OptionError(
                f"{features.name}: an array does not name its clips. Give labels as a table with a "
                "line for each row: --labels FILE.csv."
            )
        stores = [Path(spec) for spec in specs if is_store(Path(spec))]
        root = StoreInfo.read(stores[0]).root if stores else None
        for id in features.ids:
            clips.setdefault(id, None if root is None else Path(root) / id)
    return clips


def clips_of_folder(folder: Path) -> Clips:
    """Audio files below a folder, by the names that features of them will have."""
    files = only_local(find_audio([folder]))
    return {file.relative_to(folder).as_posix(): file for file in files}
