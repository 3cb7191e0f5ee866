"""The commands ``mirfeat map`` and ``mirfeat demo``: pages on which music is seen and heard."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import warnings
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mirfeat.audio.addresses import is_url
from mirfeat.cli.output import shown_progress
from mirfeat.errors import AudioError, LabelsError, MirfeatWarning
from mirfeat.evaluation.labels import ID_COLUMNS, read_labels
from mirfeat.explore.excerpts import FOLDER, list_examples
from mirfeat.explore.map_page import write_map
from mirfeat.explore.players import sources
from mirfeat.explore.song_map import aligned_labels, make_map, sample
from mirfeat.loading import load_extractor
from mirfeat.runs.progress import Shown, counted
from mirfeat.store.reading import load_features
from mirfeat.store.record import StoreInfo


@dataclass(frozen=True)
class MapFile:
    """A page that was written, and the store it shows."""

    path: Path
    store: Path
    count: int

    def open(self) -> bool:
        """Show it in the browser; whether there is one."""
        if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
            return False  # else a browser for text might take the terminal
        return webbrowser.open(self.path.absolute().as_uri())


def map_store(arguments: argparse.Namespace) -> MapFile:
    """Write the page of a store that the command line asks for."""
    store = arguments.store
    whole = load_features(store)
    table = sample(whole, arguments.most, arguments.seed)
    root = arguments.root or StoreInfo.read(store).root
    paths = [_joined(str(root), id) for id in table.ids]
    output = arguments.output or store / "map.html"
    shown = shown_progress(arguments)
    sounds = sources(paths, output, arguments.audio, progress=shown)
    silent = sounds.count(None)
    if silent and arguments.audio != "none":
        warnings.warn(
            f"{silent} of {len(paths)} clips cannot be heard: their files are not below {root}. "
            "Say --root where they are.",
            MirfeatWarning,
            stacklevel=2,
        )
    labels, label_name = None, "label"
    if arguments.labels:
        columns = read_labels(arguments.labels)
        label_name = arguments.target or columns.target_column()
        key = columns.first_of(ID_COLUMNS)
        if key is None:
            raise LabelsError(f"{arguments.labels}: no column id or path.")
        known = dict(zip(columns.column(key), columns.column(label_name), strict=True))
        labels = aligned_labels(table.ids, known)
    songs = make_map(
        table,
        sounds=sounds,
        labels=labels,
        label_name=label_name,
        tags=tags_of(paths, progress=shown) if arguments.tags else (),
        metric=arguments.metric,
        neighbours=arguments.neighbours,
        seed=arguments.seed,
    )
    drawn = f"{len(table)} clips" + (f" of {len(whole)}" if len(whole) > len(table) else "")
    note = f"{drawn}, laid out by {songs.origin}: clips near each other sound alike to it."
    write_map(output, songs, arguments.title or store.resolve().name, note)
    return MapFile(output, store, len(table))


def demo(arguments: argparse.Namespace) -> MapFile:
    """Extract the bundled excerpts and write ``demo.html``; all of it without a network."""
    folder, records = arguments.output, list_examples()
    paths = [Path(record["path"]) for record in records.values()]
    shown = shown_progress(arguments)
    with load_extractor("choi2017") as extractor:
        extractor.extract_to(folder / "features", paths, root=FOLDER, progress=shown)
    tags = tags_of([str(path) for path in paths], progress=shown)
    table = load_features(folder / "features")
    by_file = {path.name: number for number, path in enumerate(paths)}
    order = [by_file[id] for id in table.ids]
    rows = [list(records.values())[number] for number in order]
    page = folder / "demo.html"
    songs = make_map(
        table,
        sounds=sources([row["path"] for row in rows], page, "embed", progress=shown),
        labels=[row["style"] for row in rows],
        label_name="style",
        tags=[tags[number] for number in order],
        names=[f"{row['title']} · {row['artist']}" for row in rows],
    )
    write_map(page, songs, "What music sounds like to a network", _DEMO_NOTE)
    shutil.copyfile(FOLDER / "ATTRIBUTION.md", folder / "ATTRIBUTION.md")
    return MapFile(page, folder / "features", len(table))


_DEMO_NOTE = (
    "32 excerpts of openly licensed music, laid out by the 320 numbers of choi2017 with open "
    "weights. It was told nothing of styles; colours show them. The tags are what it hears. "
    "Whose music this is, and under which licences: ATTRIBUTION.md beside this page."
)


def tags_of(paths: Sequence[str], top: int = 4, progress: Shown = None) -> list[list[str]]:
    """Tags of each file by the open weights of choi2017; none of one that cannot be read."""
    found = []
    with load_extractor("choi2017") as extractor:
        for path in counted(paths, "tags", len(paths), "files", progress):
            try:
                found.append([tag.name for tag in extractor.tags(path, top=top)])
            except AudioError:
                found.append([])
    return found


def _joined(root: str, id: str) -> str:
    return f"{root.rstrip('/')}/{id}" if is_url(root) else str(Path(root) / id)
