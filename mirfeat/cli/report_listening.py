"""What of a report is to be heard: clips that were confused, and a map of all with players."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mirfeat.audio.addresses import is_url
from mirfeat.evaluation.labels import Task
from mirfeat.evaluation.maps import FEWEST_CLIPS
from mirfeat.evaluation.material import Material
from mirfeat.evaluation.pages.page import Heard
from mirfeat.evaluation.records import Evaluation
from mirfeat.explore.map_page import build_map
from mirfeat.explore.players import sources
from mirfeat.explore.song_map import MOST_SONGS, make_map
from mirfeat.store.reading import load_features
from mirfeat.store.record import StoreInfo, is_store

MOST_CONFUSED = 12


def confused(evaluation: Evaluation, task: Task, root: str | None, page: Path) -> tuple[Heard, ...]:
    """Clips that the best features got wrong, those first of which they were surest."""
    known = [report for report in evaluation.reports if report.predictions is not None]
    if not known or task.regression:
        return ()
    best = max(known, key=lambda report: report.main.mean)
    predictions = best.predictions
    assert predictions is not None
    if not predictions.classes:
        return ()
    wrong = np.flatnonzero(predictions.truth != predictions.predicted)
    if predictions.probabilities is not None:
        sure = predictions.probabilities.max(axis=1)
        wrong = wrong[np.argsort(-sure[wrong], kind="stable")]
    wrong = wrong[:MOST_CONFUSED]
    ids = [task.ids[predictions.rows[place]] for place in wrong]
    sounds = sources([_path(root, id) for id in ids], page, "link") if root else [None] * len(ids)
    names = predictions.classes
    return tuple(
        Heard(
            id, sound, f"{names[predictions.truth[k]]}, taken for {names[predictions.predicted[k]]}"
        )
        for id, sound, k in zip(ids, sounds, wrong, strict=True)
    )


def map_of(material: Material, page: Path) -> str:
    """A page with the map of a store's clips, to be shown inside another; "" without a store."""
    specs = material.specs
    if len(specs) != 1 or not is_store(Path(specs[0])):
        return ""
    task = material.task(material.features)
    if not FEWEST_CLIPS <= len(task.ids) <= MOST_SONGS:
        return ""
    table = load_features(specs[0])
    labels = dict(zip(task.ids, map(str, task.labels.tolist()), strict=True))
    root = root_of([material])
    sounds = sources([_path(root, id) for id in table.ids], page, "link") if root else None
    songs = make_map(
        table,
        sounds=sounds,
        labels=[labels.get(id, "") for id in table.ids],
        label_name=task.target,
        seed=material.options.seed,
    )
    return build_map(songs, f"Map of {material.features.name}", "Click a point to hear it.")


def root_of(materials: Sequence[Material]) -> str | None:
    """What the ids of the first store among some features are relative to."""
    for material in materials:
        for spec in material.specs:
            if is_store(Path(spec)):
                return StoreInfo.read(Path(spec)).root
    return None


def _path(root: str | None, id: str) -> str:
    root = root or ""
    return f"{root.rstrip('/')}/{id}" if is_url(root) else str(Path(root) / id)
