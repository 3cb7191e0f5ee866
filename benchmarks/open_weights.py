"""How good are the open weights? Beside untrained ones and MFCCs, on music they never saw.

    python -m benchmarks.open_weights --instruments DIR --music DIR --cache DIR -o FILE.json

Instruments: the grid of Choi et al. 2017, ten folds. Music: the tracks that the manifest sets aside
(``split`` is test: whole packages that were in no training), cut into windows of 30 s. A support
vector machine tells styles apart in games it was not trained on, and games in tracks it was not
trained on; nearest neighbours are those of Hamel et al. 2013. Game is an easy label in part:
what a game's files share is also their mastering and their encoding.

Features are kept in the cache under the sha256 of their weights, numbers in the JSON file, which
a later run adds to. Nothing that is there is computed again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import mirfeat
from benchmarks.open_weights_scores import (
    Scores,
    game_task,
    instrument_scores,
    no_skill,
    precision_scores,
    style_task,
    task_scores,
)
from benchmarks.open_weights_tables import EXTRACTORS, SINGLE, print_tables
from mirfeat.audio.clip import Audio, ClipFacts, checked_blocks, open_clip
from mirfeat.errors import AudioError, CheckpointError, LabelsError, OptionError
from mirfeat.evaluation.labels import read_labels
from mirfeat.files import replacing
from mirfeat.networks.registry import get_spec
from mirfeat.results.outcomes import Failure
from mirfeat.results.table import FeatureTable

WINDOW_SECONDS = 30
WINDOWS = 6
# What is left at the end of a track is a window of its own from here on.
FEWEST_SECONDS = 15


@dataclass(frozen=True, eq=False)
class Clips:
    """What features are made of, and the labels of each: columns of strings by the clip's id.

    ``items`` gives (id, path or audio) for ``extract_many``. Ids of windows are the track's id, #
    and a number. ``digest`` stands for all files.
    """

    name: str
    items: Callable[[], Iterator[tuple[str, Any]]]
    columns: Mapping[str, Mapping[str, str]]
    digest: str

    def column(self, name: str, ids: Sequence[str]) -> np.ndarray:
        """Labels of clips, or of the tracks they are windows of."""
        values = self.columns[name]
        return np.array([values[track_of(key)] for key in ids], dtype=str)


def track_of(window: str) -> str:
    """Id of the track that a window is of; of any other clip its own."""
    return window.rpartition("#")[0] or window


def instrument_clips(folder: Path) -> Clips:
    """Clips of ``folder/labels.csv``, which has the columns path and instrument."""
    table = read_labels(folder / "labels.csv")
    paths = table.column("path")
    labels = dict(zip(paths, table.column("instrument"), strict=True))
    items = [(path, folder / path) for path in paths]
    return Clips("instruments", lambda: iter(items), {"instrument": labels}, _digest(folder, paths))


def held_out_windows(folder: Path, manifest: Path) -> Clips:
    """Windows of the tracks whose split is test, six of each at most."""
    table = read_labels(manifest)
    tested = [row for row, split in enumerate(table.column("split")) if split == "test"]
    if not tested:
        raise LabelsError(f"{manifest}: no track's split is test; held-out tracks are needed.")

    def own(name: str) -> list[str]:
        return [table.column(name)[row] for row in tested]

    ids, paths = own("id"), own("path")
    columns = {name: dict(zip(ids, own(name), strict=True)) for name in ("genre", "corpus")}
    files = [(key, folder / path) for key, path in zip(ids, paths, strict=True)]
    return Clips("windows", lambda: _windows(files), columns, _digest(folder, paths))


def _windows(files: Sequence[tuple[str, Path]]) -> Iterator[tuple[str, Any]]:
    for key, path in files:
        try:
            with open_clip(path, WINDOW_SECONDS * WINDOWS) as reader:
                samples = np.concatenate(list(checked_blocks(reader, ClipFacts())), axis=1)
                rate = reader.sample_rate
        except AudioError:
            yield f"{key}#0", path  # fails again where failures are recorded
            continue
        size = WINDOW_SECONDS * rate
        for number, start in enumerate(range(0, samples.shape[1], size)):
            window = samples[:, start : start + size]
            if number == 0 or window.shape[1] >= FEWEST_SECONDS * rate:
                yield f"{key}#{number}", Audio(window, rate, f"{key}#{number}")


def _digest(folder: Path, paths: Sequence[str]) -> str:
    """Changes when a file is added, goes, or has another size."""
    try:
        lines = [f"{path} {(folder / path).stat().st_size}" for path in paths]
    except OSError as error:
        raise LabelsError(f"a file of the table is not there: {error}") from error
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def features(extractor: mirfeat.Extractor, clips: Clips, cache: Path) -> FeatureTable:
    """Features of all clips, from the cache if they are there."""
    record = extractor.provenance
    weights = (record.checkpoint_sha256 or "no-weights")[:16]
    version = extractor.spec.version
    path = cache / f"{extractor.name}-{weights}-v{version}-{clips.name}-{clips.digest}.npz"
    if path.exists():
        return FeatureTable.load(path)
    results = list(extractor.extract_many(clips.items(), workers=1))
    vectors = {result.id: result.vector for result in results if result.vector is not None}
    failures = [
        Failure(result.id, result.error_type or "", result.error or "")
        for result in results
        if result.vector is None
    ]
    for failure in failures:
        say(f"left out: {failure.id}: {failure.error}")
    names = extractor.feature_names
    stacked = np.stack(list(vectors.values()))
    table = FeatureTable(stacked, tuple(vectors), names, record, tuple(failures))
    path.parent.mkdir(parents=True, exist_ok=True)
    table.save(path)
    return table


@dataclass(frozen=True)
class Results:
    """The JSON file: what was measured on what, one entry for each set of features."""

    path: Path
    content: dict[str, Any]

    @classmethod
    def open(cls, path: Path, material: Mapping[str, str]) -> Results:
        """The file as it is, or a new one.

        Raises:
            OptionError: it was measured on other clips, or is no such file.
        """
        if not path.exists():
            return cls(path, {"material": dict(material), "features": {}})
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            known = content["material"]
            content["features"].items()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise OptionError(f"{path}: not written by this script ({error!r}).") from error
        if known != material:
            raise OptionError(f"{path}: measured on {known}, these clips are {material}.")
        return cls(path, content)

    def has(self, key: str, identity: Mapping[str, Any]) -> bool:
        """Whether these features of these weights were measured."""
        entry = self.content["features"].get(key)
        return entry is not None and identity.items() <= entry.items()

    def add(self, key: str, entry: Mapping[str, Any], context: Mapping[str, Any]) -> None:
        """Put an entry in, or in place of one of other weights, and write the file.

        ``context`` says what styles and games were told apart, and what no skill would score.
        """
        self.content["features"][key] = dict(entry)
        self.content.update(context)
        with replacing(self.path) as temporary:
            temporary.write_text(json.dumps(self.content, indent=1) + "\n", encoding="utf-8")


def checkpoint_of(name: str, label: str, runs: Path | None) -> str | Path | None:
    """What ``load_extractor`` is to load: a file of ``runs`` in place of "open" where given."""
    if label == "open" and runs is not None:
        return runs / name / f"{name}.safetensors"
    return label or None


def measure(
    name: str, label: str, runs: Path | None, clips: Sequence[Clips], cache: Path, results: Results
) -> None:
    """Score one extractor with one checkpoint, and each of its sources where they are separate.

    Raises:
        CheckpointError: the weights are not there or do not fit.
    """
    extractor = mirfeat.load_extractor(name, checkpoint=checkpoint_of(name, label, runs))
    identity = {
        "sha256": extractor.provenance.checkpoint_sha256,
        "spec_version": extractor.spec.version,
    }
    sources = list(dict.fromkeys(feature.split(".")[1] for feature in extractor.feature_names))
    # Sources of mss-cr share no layer: its columns are what a network for each would give.
    parts = [*(sources if name == "kim2019-mss-cr" else []), ""]
    keys = {part: "/".join(filter(None, (SINGLE if part else name, part, label))) for part in parts}
    if all(results.has(key, identity) for key in keys.values()):
        return
    tables = [features(extractor, material, cache) for material in clips]
    for part, key in keys.items():
        say(key)
        instruments, windows = [table.select(part) if part else table for table in tables]
        scores, context = _scores(instruments, windows, clips)
        entry = {
            "extractor": key.split("/")[0],
            "source": part,
            "checkpoint": label,
            **identity,
            "numbers": len(windows.feature_names),
            "left_out": [failure.id for table in tables for failure in table.failures],
            "scores": scores,
        }
        results.add(key, entry, context)


def _scores(
    instruments: FeatureTable, windows: FeatureTable, clips: Sequence[Clips]
) -> tuple[Scores, dict[str, Any]]:
    """Scores, and what they are to be read with: tasks, scores of no skill."""
    labelled, music = clips
    classes = labelled.column("instrument", instruments.ids)
    tracks = np.array([track_of(key) for key in windows.ids])
    games = music.column("corpus", windows.ids)
    style = style_task(music.column("genre", windows.ids), games, tracks)
    game = game_task(games, tracks)
    scores = instrument_scores(instruments.values, classes)
    for name, task in (("style", style), ("game", game)):
        own = task_scores(windows.values, task)
        scores |= {f"{name}, {metric}": score for metric, score in own.items()}
    scores |= precision_scores(windows.values, style, game, games)
    described = {"style": style.describe(), "game": game.describe()}
    return scores, {"tasks": described, "no_skill": no_skill(classes, style, game, games)}


def say(line: str) -> None:
    """Progress on stderr; tables go to stdout."""
    print(line, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is asked for and print all tables of the JSON file."""
    options = _parser().parse_args(arguments)
    manifest = options.manifest or options.music / "tracks.csv"
    clips = [instrument_clips(options.instruments), held_out_windows(options.music, manifest)]
    results = Results.open(options.output, {material.name: material.digest for material in clips})
    for name in options.only or EXTRACTORS:
        for label in ["random", "open"] if get_spec(name).has_weights else [""]:
            try:
                measure(name, label, options.runs, clips, options.cache, results)
            except CheckpointError as error:
                say(f"skipped: {name}, {label}: {error}")
    print_tables(results.content)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.open_weights")
    parser.add_argument("--instruments", type=Path, required=True, help="folder with labels.csv")
    parser.add_argument("--music", type=Path, required=True, help="folder of the open corpus")
    parser.add_argument("--manifest", type=Path, help="its table; by default MUSIC/tracks.csv")
    parser.add_argument("--only", nargs="+", choices=EXTRACTORS, metavar="NAME")
    parser.add_argument("--runs", type=Path, help="weights <name>/<name>.safetensors to measure")
    parser.add_argument("--cache", type=Path, required=True, help="folder to keep features in")
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file")
    return parser


if __name__ == "__main__":
    main()
