"""What is in a vector: instruments, and how much of what musicnn and mn04 hear in unknown music.

    python -m benchmarks.teacher_agreement --instruments DIR --manifest OPEN.csv --teachers DIR
        --cache DIR -o FILE.json [--only NAME ...] [--runs DIR]

Instruments: a support vector machine (radial kernel, C of 3 and 30, the better one), ten folds, on
the recordings of ``DIR/labels.csv``. Agreement: windows of 30 s, two a track, of the music whose
split is ``valid`` or ``test``, which no training saw; ridge regression from vectors to what the
teachers say of a window on average, eight folds that share no track; R² over all numbers of a
teacher's table, each standardised. It is the share of what the teacher hears that a linear model
finds in the vector. Vectors are mean and standard deviation over a clip. ``--runs`` has weights
NAME/NAME.safetensors in place of those that ship.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile as sf
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold, StratifiedKFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import mirfeat
from benchmarks.tables import print_table
from mirfeat.checkpoints.downloads import packaged
from mirfeat.evaluation.labels import read_labels
from mirfeat.files import replacing
from mirfeat.networks.registry import get_spec
from mirfeat.training.manifest import read_manifest

NAMES = (
    *("mfcc", "choi2017", "hamel2013-base", "hamel2013-tag", "hamel2013-genre"),
    *("kim2018-stn", "kim2018-mtn", "kim2019-ss-r"),
    *("kim2019-ms-sr-fc", "kim2019-ms-cr-6", "kim2019-ms-cr-4", "kim2019-ms-cr-2"),
    "kim2019-mss-cr",
)
TABLES = ("musicnn/tags", "musicnn/penultimate", "mn04/embedding")
SECONDS, APART = 30.0, 75.0
MADE = ("synthetic", "grooves", "sung", "copies")
PENALTIES = 10.0 ** np.arange(1, 6)


def windows_of(manifest_path: Path) -> list[tuple[str, Path, float]]:
    """Id of the track, file and start of each window."""
    manifest = read_manifest(manifest_path)
    corpora, limits = manifest.texts("corpus"), manifest.numbers("seconds")
    found = []
    for row, (id, file, split) in enumerate(
        zip(manifest.ids, manifest.files, manifest.split, strict=True)
    ):
        if split not in ("valid", "test") or corpora[row] in MADE:
            continue
        seconds = min(sf.info(file).duration, float(limits[row]))
        starts = np.linspace(0.0, max(0.0, seconds - SECONDS), 2 if seconds > APART else 1)
        found += [(id, file, float(start)) for start in starts]
    return found


def said_of(windows: Sequence[tuple[str, Path, float]], table: Path) -> np.ndarray:
    """Standardised mean of what a teacher says of each window, [n, k]."""
    tracks = dict(tuple(pd.read_parquet(table).groupby("id")))
    rows = []
    for id, _, start in windows:
        said = tracks[id]
        inside = said[(said["end"] > start) & (said["start"] < start + SECONDS)]
        rows.append(inside.drop(columns=["id", "start", "end"]).to_numpy().mean(0))
    values = np.array(rows)
    if table.stem == "tags":
        values = logits_of(values)
    standardised: np.ndarray = (values - values.mean(0)) / (values.std(0) + 1e-6)
    return standardised


def logits_of(probabilities: np.ndarray) -> np.ndarray:
    """Logits, of probabilities kept off 0 and 1."""
    clipped = np.clip(probabilities, 1e-5, 1.0 - 1e-5)
    logits: np.ndarray = np.log(clipped / (1.0 - clipped))
    return logits


def vectors_of(extractor: Any, clips: Iterable[tuple[Path, float]], cache: Path) -> np.ndarray:
    """A vector for each clip, kept under the digest of the weights."""
    if cache.is_file():
        kept: np.ndarray = np.load(cache)
        return kept
    rows = []
    for file, start in clips:
        with sf.SoundFile(file) as sound:
            sound.seek(min(int(start * sound.samplerate), sound.frames - 1))
            audio = sound.read(int(SECONDS * sound.samplerate), dtype="float32", always_2d=True)
            rows.append(extractor.extract(np.ascontiguousarray(audio.T), sound.samplerate))
    cache.parent.mkdir(parents=True, exist_ok=True)
    with replacing(cache) as temporary, temporary.open("wb") as stream:
        np.save(stream, np.array(rows))
    return np.array(rows)


def instruments_of(vectors: np.ndarray, labels: np.ndarray) -> float:
    """Accuracy, ten folds."""
    folds = StratifiedKFold(10, shuffle=True, random_state=0)
    return max(
        float(
            cross_val_score(
                make_pipeline(StandardScaler(), SVC(C=cost)), vectors, labels, cv=folds
            ).mean()
        )
        for cost in (3.0, 30.0)
    )


def agreement(vectors: np.ndarray, said: np.ndarray, tracks: np.ndarray) -> float:
    """R² of ridge regression, folds that share no track."""
    model = make_pipeline(StandardScaler(), RidgeCV(PENALTIES))
    predicted = cross_val_predict(model, vectors, said, groups=tracks, cv=GroupKFold(8))
    return 1.0 - float(np.square(predicted - said).sum() / np.square(said).sum())


def measure(name: str, label: str, options: argparse.Namespace) -> dict[str, Any]:
    """Everything about one extractor with one checkpoint."""
    checkpoint = label
    if label == "open" and options.runs is not None:
        path = options.runs / name / f"{name}.safetensors"
        checkpoint = str(path) if path.is_file() else "open"
    extractor = mirfeat.load_extractor(name, checkpoint=checkpoint or None)
    digest = (extractor.provenance.checkpoint_sha256 or "none")[:12]
    table = read_labels(options.instruments / "labels.csv")
    files = [(options.instruments / path, 0.0) for path in table.column("path")]
    windows = windows_of(options.manifest)
    begun = time.perf_counter()
    cache = options.cache / f"{name}-{digest}"
    own = vectors_of(extractor, files, cache / "instruments.npy")
    music = vectors_of(extractor, [w[1:] for w in windows], cache / "windows.npy")
    seconds = time.perf_counter() - begun
    tracks = np.array([w[0] for w in windows])
    scores = {"instruments": instruments_of(own, np.array(table.column("instrument")))}
    for thing in TABLES:
        said = said_of(windows, options.teachers / f"{thing}.parquet")
        scores[thing] = agreement(music, said, tracks)
    return {
        "extractor": name,
        "checkpoint": label,
        "sha256": digest,
        "numbers": int(own.shape[1]),
        "seconds": round(seconds, 1),
        "scores": {key: round(score, 3) for key, score in scores.items()},
    }


def main() -> None:
    """Measure what is asked for and print the table of the JSON file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.teacher_agreement")
    for name in ("instruments", "manifest", "teachers", "cache"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--only", nargs="+", default=NAMES)
    parser.add_argument("--labels", nargs="+", default=("random", "open"))
    parser.add_argument("--runs", type=Path)
    options = parser.parse_args()
    content = json.loads(options.output.read_text()) if options.output.is_file() else {}
    for name in options.only:
        # What ships without weights is measured as it is loaded by default.
        shipped = packaged(get_spec(name).checkpoint_of or name) is not None
        for label in options.labels if shipped else ("",):
            content[f"{name}/{label}"] = measure(name, label, options)
            with replacing(options.output) as temporary:
                temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    rows = [
        [key, entry["numbers"], *(f"{score:.3f}" for score in entry["scores"].values())]
        for key, entry in content.items()
    ]
    print_table(
        "Instruments, and agreement (R²)", ("features", "numbers", "instruments", *TABLES), rows
    )


if __name__ == "__main__":
    main()
