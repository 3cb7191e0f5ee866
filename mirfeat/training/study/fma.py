"""The study of Kim 2018 from FMA-medium, which holds what it learns from and what it is scored on.

Section 4: every combination of learning sources, 85 % of the tracks to learn from and 15 % to be
scored on, stratified by genre and without regard to artists. The authors' lists of tracks are not
ours to give; ours are drawn in the same way.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from mirfeat.csvfiles import write_csv
from mirfeat.evaluation.datasets import load_labels
from mirfeat.evaluation.datasets.tables import fma_genres
from mirfeat.files import replacing
from mirfeat.training.manifest import write_manifest

NAME = "fma-medium"
_HELD_OUT = 0.15
_DESIGN = """\
# The trainings of Kim et al. 2018. Change what you like: the paper's values are the defaults.
# Its order draws one source an epoch; "random" draws one a batch.
paper = "kim2018"
output = "."

[design]
sources = {sources}

[training]
manifest = "tracks.csv"
cache = "cache"

[targets.{name}]
audio = {audio}
labels = "labels.csv"
groups = "none"
"""


def prepare_fma(root: Path, folder: Path) -> Path:
    """Write ``tracks.csv``, ``labels.csv`` and ``design.toml``; the path of the last one.

    What is there already is left as it is, so a design may be changed by hand. Sources are those
    that can be had here: subgenres where FMA's table of genres is, Essentia's descriptors where
    the package is installed.

    Args:
        root: folder with fma_metadata and fma_medium, or up to two above them.
        folder: of the study.

    Raises:
        LabelsError: no FMA-medium there.
    """
    design = folder / "design.toml"
    if design.is_file():
        return design
    table = load_labels(NAME, root)
    ids, genres = table.column("id"), table.column("label")
    held_out = _stratified(genres)
    subgenres = fma_genres(root)
    rows = []
    for id, genre, artist, out in zip(ids, genres, table.column("artist"), held_out, strict=True):
        number = Path(id).stem
        row = {"id": number, "path": str((root / id).resolve()), "artist": artist, "genre": genre}
        row |= {"split": "valid" if out else "train"}
        rows.append(row | ({"subgenres": list(subgenres.get(number, ()))} if subgenres else {}))
    write_manifest(folder / "tracks.csv", rows)
    splits = ["test" if out else "train" for out in held_out]
    lines = zip(ids, genres, splits, strict=True)
    write_csv(folder / "labels.csv", ("id", "label", "split"), lines)
    sources = ["genre"]
    sources += ["subgenre"] if subgenres else []
    sources += ["essentia"] if find_spec("essentia") else []
    sources += ["dmfcc", "mfcc"]
    text = _DESIGN.format(
        sources=json.dumps(sources), name=NAME, audio=json.dumps(str(root.resolve()))
    )
    with replacing(design) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return design


def _stratified(genres: Sequence[str], seed: int = 0) -> np.ndarray:
    """Which tracks are held out, bool [n]: of each genre the same share, one or more of two."""
    names = np.array(genres)
    held_out = np.zeros(len(names), bool)
    draw = np.random.Generator(np.random.PCG64(seed))
    for name in np.unique(names):
        rows = draw.permutation(np.flatnonzero(names == name))
        count = max(1, round(_HELD_OUT * len(rows))) if len(rows) > 1 else 0
        held_out[rows[:count]] = True
    return held_out
