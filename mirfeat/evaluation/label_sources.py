"""Labels that need no table of their own: folders of clips, and the table of a training run.

A manifest (``mirfeat manifest``) has a line for each track with its artist, album, genre and more;
its paths start from where it lies, names of features from the folder they were extracted from.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from mirfeat.errors import LabelsError
from mirfeat.evaluation.folds import TEST_SPLITS, TRAINING_SPLITS, VALIDATION_SPLITS
from mirfeat.evaluation.labels import FOLD_COLUMNS, GROUP_COLUMNS, ID_COLUMNS, LabelTable

Clips = Mapping[str, Path | None]
"""Names of clips as features have them, and their files where these are known."""

_SPLITS = TRAINING_SPLITS | VALIDATION_SPLITS | TEST_SPLITS


def folder_labels(clips: Clips) -> LabelTable:
    """The folder of each clip as its class; columns id, label and, of train/rock/a.wav, split.

    Raises:
        LabelsError: a clip that lies in no folder, or all of them in one.
    """
    ids = tuple(clips)
    parts = [PurePosixPath(id).parts for id in ids]
    bare = [id for id, names in zip(ids, parts, strict=True) if len(names) < 2]
    if bare or not ids:
        raise LabelsError(
            f"labels from folders: {len(bare)} of {len(ids)} clips lie in none, first "
            f"{next(iter(bare), '')!r}. Names are like rock/a.wav: extract with --root at the "
            "folder that holds the classes."
        )
    labels = tuple(names[-2] for names in parts)
    if len(set(labels)) < 2:
        raise LabelsError(f"labels from folders: all {len(ids)} clips lie in {labels[0]!r}.")
    columns = {"id": ids, "label": labels}
    outer = tuple(names[0].lower() if len(names) > 2 else "" for names in parts)
    if len(set(outer)) > 1 and set(outer) <= _SPLITS:
        columns["split"] = outer
    return LabelTable("labels from folders", columns)


def manifest_labels(manifest: LabelTable, column: str, clips: Clips) -> LabelTable:
    """A column of a manifest as labels, called as in the features; with groups and split.

    Lines of tracks that are no clips keep their own name. A split that only some tracks have is
    left out.

    Raises:
        LabelsError: no such column, or none of the clips in the manifest.
    """
    target = manifest.column(column)
    names = _names(manifest, clips)
    known = {group for group in manifest.columns if group.lower() in GROUP_COLUMNS}
    folds = {
        name
        for name, cells in manifest.columns.items()
        if name.lower() in FOLD_COLUMNS and all(cell.strip() for cell in cells)
    }
    others = {name: manifest.columns[name] for name in sorted(known | folds) if name != column}
    return LabelTable(manifest.path, {"id": names, column: target, **others})


def with_groups(table: LabelTable, manifest: LabelTable, clips: Clips) -> LabelTable:
    """Labels with the groups of a manifest (artist, album, …) beside them.

    Columns that the labels have already stay as they are; a clip that is not in the manifest has no
    group.

    Raises:
        LabelsError: the labels do not name their clips, or none of the clips is in the manifest.
    """
    key = table.first_of(ID_COLUMNS)
    if key is None:
        raise LabelsError(
            f"{table.path}: no column says which clip a line is about, so {manifest.path} cannot "
            f"say whose it is; name one of {', '.join(ID_COLUMNS)}."
        )
    place = {name: line for line, name in enumerate(_names(manifest, clips))}
    lines = [place.get(id) for id in table.column(key)]
    added = {
        name: tuple("" if line is None else cells[line] for line in lines)
        for name, cells in manifest.columns.items()
        if name.lower() in GROUP_COLUMNS and name not in table.columns
    }
    return LabelTable(table.path, {**table.columns, **added})


def _names(manifest: LabelTable, clips: Clips) -> tuple[str, ...]:
    """What features call each track: by id, by path, or by the file; the way that finds most."""
    folder = Path(manifest.path).parent
    files = {os.path.realpath(file): id for id, file in clips.items() if file is not None}
    ways: list[tuple[str, ...]] = [
        manifest.columns[name] for name in manifest.columns if name.lower() in ID_COLUMNS
    ]
    if path := manifest.first_of(["path", "filepath", "file"]):
        cells = manifest.columns[path]
        real = [os.path.realpath(folder / cell) for cell in cells]
        ways.append(tuple(files.get(one, cell) for one, cell in zip(real, cells, strict=True)))
    if not ways:
        raise LabelsError(f"{manifest.path}: no column names the tracks: {', '.join(ID_COLUMNS)}.")
    found = [sum(name in clips for name in way) for way in ways]
    best = max(range(len(ways)), key=found.__getitem__)
    if not found[best]:
        raise LabelsError(
            f"{manifest.path}: none of its {len(manifest)} tracks is among the {len(clips)} clips; "
            f"the first is {ways[best][0]!r}, features are called like {next(iter(clips), '')!r}."
        )
    if twice := [name for name, times in Counter(ways[best]).items() if times > 1]:
        raise LabelsError(f"{manifest.path}: {twice[0]!r} stands there twice.")
    return ways[best]
