"""How much of what the teachers hear a linear model finds in a vector, from many and few windows.

    python -m benchmarks.teacher_probe --manifest OPEN.csv --teachers DIR --cache DIR -o FILE.json
        [--only NAME ...] [--weights LABEL=NAME=CHECKPOINT ...]

Windows of 30 s, two a track, of recorded music: those of the split ``train`` to learn from (about
1000), those of ``valid`` and ``test``, which no training saw, to be judged by. Vectors are mean and
standard deviation over crops at even distances, from the spectrograms that training keeps
(``--cache``), so that a probe costs a minute or two, not half an hour.

*linear*: ridge regression on the windows of ``train``; R² on the others, over all numbers of a
table, each standardised. *area*: of the same model, the area under the ROC curve of each tag of
musicnn, the fifth of the windows that it gives the tag most against the others, mean over tags.
*few*: ridge regression on the held-out windows alone, eight folds that share no track. *kinds*:
held-out windows fall into six kinds by what both teachers say (k-means on principal components,
three draws); accuracy of a support vector machine, five folds that share no track.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeCV
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import (
    GroupKFold,
    StratifiedGroupKFold,
    cross_val_predict,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from benchmarks.tables import print_table
from benchmarks.teacher_agreement import APART, MADE, SECONDS, logits_of
from mirfeat.checkpoints.sources import load_weights
from mirfeat.files import replacing
from mirfeat.networks.options import defaults
from mirfeat.networks.registry import get_spec
from mirfeat.training.manifest import Manifest, read_manifest
from mirfeat.training.mel_cache import MelCache, build
from mirfeat.training.mel_frames import Track

TABLES = ("musicnn/tags", "musicnn/penultimate", "mn04/embedding", "mn04/classes")
FEW = TABLES[:3]
# Crops of a window; choi2017's is as long as the window.
CROPS = 8
PENALTIES = 10.0 ** np.arange(0, 6)
KINDS, SMALLEST_KIND, DRAWS = 6, 8, 3
AXES = 20
# The share of windows that have a tag most.
UPPER = 0.2


class Windows(NamedTuple):
    """Windows of tracks ``ids`` from ``starts`` s; the first ``learnt`` are to learn from."""

    ids: list[str]
    starts: list[float]
    learnt: int


def windows_of(manifest: Manifest, cache: MelCache) -> Windows:
    """Two windows of every recorded track in the cache that is long enough, else one."""
    corpora = manifest.texts("corpus")
    found: dict[bool, list[tuple[str, float]]] = {True: [], False: []}
    for id, split, corpus in zip(manifest.ids, manifest.split, corpora, strict=True):
        if corpus in MADE or id not in cache:
            continue
        seconds = cache.seconds(id)
        number = 2 if seconds > APART else 1
        starts = np.linspace(0.0, max(0.0, seconds - SECONDS), number)
        found[split == "train"] += [(id, float(start)) for start in starts]
    both = found[True] + found[False]
    return Windows([id for id, _ in both], [start for _, start in both], len(found[True]))


def said_of(windows: Windows, table: Path) -> np.ndarray:
    """Mean of what a teacher says of each window, tags as logits, [n, k]."""
    tracks = dict(tuple(pd.read_parquet(table).groupby("id")))
    rows = []
    for id, start in zip(windows.ids, windows.starts, strict=True):
        said = tracks[id]
        inside = said[(said["end"] > start) & (said["start"] < start + SECONDS)]
        inside = inside if len(inside) else said.iloc[-1:]
        rows.append(inside.drop(columns=["id", "start", "end"]).to_numpy().mean(0))
    return logits_of(np.array(rows)) if table.stem == "tags" else np.array(rows)


@torch.no_grad()
def vectors_of(name: str, weights: str, cache: MelCache, windows: Windows) -> np.ndarray:
    """Vectors of all windows, [n, numbers]."""
    spec = get_spec(name)
    loaded = load_weights(spec, weights) if spec.has_weights else None
    model = spec.build(loaded, defaults(spec.options))
    frames = spec.mel.frames(spec.segment.samples)
    frame = spec.mel.hop_samples / spec.mel.sample_rate
    number = CROPS if 2 * frames * frame < SECONDS else 1
    rows = []
    for id, start in zip(windows.ids, windows.starts, strict=True):
        levels = cache.levels(id)[int(start / frame) : int((start + SECONDS) / frame)]
        room = max(0, len(levels) - frames)
        places = np.linspace(0, room, number).round().astype(int)
        crops = np.stack([levels[(p + np.arange(frames)) % len(levels)] for p in places])
        images = torch.from_numpy(crops).permute(0, 2, 3, 1).float()
        means, variances = model.network(model.frontend.scale(images))
        spread = means.var(0, unbiased=False) + variances.mean(0)
        rows.append(torch.cat([means.mean(0), spread.sqrt()]).numpy())
    return np.array(rows)


def ridge() -> Any:
    """Ridge regression whose penalty is chosen by leaving out."""
    return make_pipeline(StandardScaler(), RidgeCV(PENALTIES))


def linear(vectors: np.ndarray, said: np.ndarray, learnt: int) -> tuple[float, np.ndarray]:
    """R² on windows that were not learnt from, and what was predicted of them."""
    mean, deviation = said[:learnt].mean(0), said[:learnt].std(0) + 1e-6
    standard = (said - mean) / deviation
    predicted = ridge().fit(vectors[:learnt], standard[:learnt]).predict(vectors[learnt:])
    truth = standard[learnt:]
    error, whole = np.square(predicted - truth).sum(), np.square(truth - truth.mean(0)).sum()
    return 1.0 - float(error / whole), predicted


def area(predicted: np.ndarray, said: np.ndarray) -> float:
    """Mean over tags of the area under the ROC curve of windows that have the tag most."""
    truth = said >= np.quantile(said, 1.0 - UPPER, axis=0)
    return float(roc_auc_score(truth, predicted, average="macro"))


def few(vectors: np.ndarray, said: np.ndarray, tracks: np.ndarray) -> float:
    """R² of ridge regression on few windows, folds that share no track."""
    standard = (said - said.mean(0)) / (said.std(0) + 1e-6)
    predicted = cross_val_predict(ridge(), vectors, standard, groups=tracks, cv=GroupKFold(8))
    return 1.0 - float(np.square(predicted - standard).sum() / np.square(standard).sum())


def kinds_of(said: Sequence[np.ndarray], learnt: int) -> list[np.ndarray]:
    """Kind of each window that is not learnt from, one array a draw."""
    axes = [
        PCA(AXES, random_state=0).fit_transform(StandardScaler().fit_transform(v)) for v in said
    ]
    points = np.concatenate(axes, axis=1)
    return [
        KMeans(KINDS, n_init=3, random_state=draw).fit_predict(points)[learnt:]
        for draw in range(DRAWS)
    ]


def kinds(vectors: np.ndarray, truths: Sequence[np.ndarray], tracks: np.ndarray) -> float:
    """Accuracy of a support vector machine, the better of C = 1 and 10, mean over draws."""
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    found = []
    for truth in truths:
        common = np.isin(truth, np.flatnonzero(np.bincount(truth) >= SMALLEST_KIND))
        part = {"X": vectors[common], "y": truth[common], "groups": tracks[common], "cv": folds}
        models = [make_pipeline(StandardScaler(), SVC(C=cost)) for cost in (1.0, 10.0)]
        found.append(max(cross_val_score(model, **part).mean() for model in models))
    return float(np.mean(found))


def judge(vectors: np.ndarray, windows: Windows, said: dict[str, np.ndarray]) -> dict[str, float]:
    """All scores of the vectors of one extractor."""
    learnt, tracks = windows.learnt, np.array(windows.ids[windows.learnt :])
    scores: dict[str, float] = {}
    for table, values in said.items():
        scores[f"linear {table}"], predicted = linear(vectors, values, learnt)
        if table == TABLES[0]:
            scores["area"] = area(predicted, values[learnt:])
    for table in FEW:
        scores[f"few {table}"] = few(vectors[learnt:], said[table][learnt:], tracks)
    truths = kinds_of((said["musicnn/penultimate"], said["mn04/embedding"]), learnt)
    scores["kinds"] = kinds(vectors[learnt:], truths, tracks)
    return {key: round(score, 3) for key, score in scores.items()}


def cache_of(name: str, manifest: Manifest, folder: Path) -> MelCache:
    """Training's spectrograms, with those of the split ``test``, which training does not need."""
    mel, corpora = get_spec(name).mel, manifest.texts("corpus")
    limits = manifest.numbers("seconds")
    tracks = [
        Track(id, file, None if np.isnan(limit) else float(limit))
        for id, file, limit, corpus in zip(
            manifest.ids, manifest.files, limits, corpora, strict=True
        )
        if corpus not in MADE
    ]
    build(tracks, folder, mel, workers=1)
    return MelCache(folder, mel)


def main() -> None:
    """Probe what is asked for and print the table of the JSON file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.teacher_probe")
    for name in ("manifest", "teachers", "cache"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=())
    parser.add_argument("--weights", nargs="+", default=(), help="LABEL=NAME=CHECKPOINT of others")
    options = parser.parse_args()
    asked = [(name, name, "open") for name in options.only]
    asked += [tuple(text.split("=", 2)) for text in options.weights]
    manifest = read_manifest(options.manifest)
    content = json.loads(options.output.read_text()) if options.output.is_file() else {}
    names = {name for _, name, _ in asked}
    caches = {name: cache_of(name, manifest, options.cache) for name in names}
    for label, name, weights in asked:
        cache = caches[name]
        windows = windows_of(manifest, cache)
        said = {t: said_of(windows, options.teachers / f"{t}.parquet") for t in TABLES}
        vectors = vectors_of(name, weights, cache, windows)
        content[label] = {"numbers": vectors.shape[1], "scores": judge(vectors, windows, said)}
        with replacing(options.output) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    columns = list(next(iter(content.values()))["scores"])
    rows = [
        [label, entry["numbers"], *(f"{entry['scores'][key]:.3f}" for key in columns)]
        for label, entry in content.items()
    ]
    print_table("What the teachers hear", ("features", "numbers", *columns), rows)


if __name__ == "__main__":
    main()
