"""Let the teachers hear a manifest's tracks: what they say, over time, as tables to learn from.

Usage::

    python open_weights/teach.py OPEN.csv TEACHERS --mn04 WEIGHTS.safetensors --classes CLASSES.csv

Leaves ``TEACHERS/musicnn/{tags,penultimate}.parquet`` and
``TEACHERS/mn04/{embedding,classes}.parquet`` (docs/training.md, "Teachers"). What was said of a
track is kept in ``TEACHERS/.heard``, so that a second run goes on where the first was stopped, and
hears only what is new.

musicnn is mirfeat's extractor of that name. Its patches are 3 s long; of every ``--every`` patches
one is heard, and training draws its crops there. mn04_as hears windows of 10 s, of which it says
something every 2.5 s; WEIGHTS are the published tensors of EfficientAT's ``mn04_as_mAP_432.pt`` as
safetensors, CLASSES is AudioSet's ``class_labels_indices.csv``.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile as sf
import soxr
import torch

if not __package__:  # started as a script: the folder above holds the package `open_weights`
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import mirfeat
from mirfeat.files import replacing
from mirfeat.networks.choi2017_network import TAGS
from mirfeat.training.manifest import Manifest, read_manifest
from open_weights.efficientat import RATE, STRETCH_SECONDS, WINDOW, EfficientAT

# Music and voices among AudioSet's 527 classes.
MUSIC_CLASSES = (*range(27, 42), *range(137, 283))
# Windows that mn04 hears at once.
BATCH = 8

Heard = dict[str, np.ndarray]
"""``start`` and ``end`` [t] in seconds, and values [t, k] by name of the table."""


def hear_musicnn(every: int) -> Callable[[Path, float], Heard]:
    """What musicnn says of a file's first seconds."""
    extractor = mirfeat.load_extractor("musicnn", layers="taggram,penultimate")

    def hear(file: Path, seconds: float) -> Heard:
        rows = extractor.embed_file(file)
        kept = slice(0, len(rows), every)
        return {
            "start": rows.starts[kept],
            "end": rows.ends[kept],
            "tags": rows.values[kept, rows.blocks["taggram"]],
            "penultimate": rows.values[kept, rows.blocks["penultimate"]],
        }

    return hear


@torch.no_grad()
def hear_windows(network: EfficientAT, audio: np.ndarray) -> Heard:
    """What mn04 says of mono audio at 32 kHz; short audio is repeated, the last window ends it."""
    if len(audio) < WINDOW:
        audio = np.tile(audio, -(-WINDOW // len(audio)))[:WINDOW]
    number = max(1, round(len(audio) / WINDOW))
    starts = [min(n * WINDOW, len(audio) - WINDOW) for n in range(number)]
    embeddings, logits = [], []
    for first in range(0, number, BATCH):
        windows = np.stack([audio[s : s + WINDOW] for s in starts[first : first + BATCH]])
        said = network.embeddings(torch.from_numpy(windows)).flatten(0, 1)
        embeddings.append(said.numpy())
        logits.append(network.logits(said).numpy()[:, MUSIC_CLASSES])
    stretches = len(embeddings[0]) // min(BATCH, number)
    offsets = np.arange(stretches) * STRETCH_SECONDS
    start = np.concatenate([offsets + s / RATE for s in starts])
    return {
        "start": start,
        "end": start + STRETCH_SECONDS,
        "embedding": np.concatenate(embeddings),
        "classes": np.concatenate(logits),
    }


def hear_mn04(weights: Path) -> Callable[[Path, float], Heard]:
    """What mn04 says of a file's first seconds."""
    network = EfficientAT(weights)

    def hear(file: Path, seconds: float) -> Heard:
        with sf.SoundFile(file) as sound:
            frames = int(seconds * sound.samplerate) if np.isfinite(seconds) else -1
            audio = sound.read(frames, dtype="float32", always_2d=True).mean(1)
            rate = sound.samplerate
        return hear_windows(network, soxr.resample(audio, rate, RATE))

    return hear


def kept(path: Path, hear: Callable[[], Heard]) -> Heard:
    """What was said, from ``path`` or heard and left there in half precision."""
    if path.is_file():
        with np.load(path) as said:
            return dict(said)
    said = hear()
    path.parent.mkdir(parents=True, exist_ok=True)
    halved = {
        name: values if name in ("start", "end") else values.astype(np.float16)
        for name, values in said.items()
    }
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **halved)  # type: ignore[arg-type]
    return halved


def all_heard(
    manifest: Manifest, folder: Path, hear: Callable[[Path, float], Heard], teacher: str
) -> Iterator[tuple[str, Heard]]:
    """Id of each track, and what was said of the part of it that is used."""
    limits = manifest.numbers("seconds")
    for number, (id, file, limit) in enumerate(
        zip(manifest.ids, manifest.files, limits, strict=True), start=1
    ):
        seconds = float("inf") if np.isnan(limit) else float(limit)
        size = file.stat().st_size
        name = hashlib.sha256(f"{id} {size} {seconds:g}".encode()).hexdigest()[:16]
        said = kept(folder / f"{name}.npz", lambda f=file, s=seconds: hear(f, s))  # type: ignore[misc]
        used = said["start"] < seconds
        yield id, {key: values[used] for key, values in said.items()}
        if number % 100 == 0:
            print(f"{teacher}: {number} of {len(manifest.ids)} tracks", file=sys.stderr)


def write_tables(
    heard: Iterator[tuple[str, Heard]], folder: Path, names: dict[str, Sequence[str] | None]
) -> None:
    """A parquet file for each of ``names``; its columns, or None for numbers."""
    said = list(heard)
    ids = np.repeat([id for id, _ in said], [len(record["start"]) for _, record in said])
    folder.mkdir(parents=True, exist_ok=True)
    for table, columns in names.items():
        values = np.concatenate([record[table] for _, record in said]).astype(np.float32)
        columns = columns or [str(number) for number in range(values.shape[1])]
        frame = pd.DataFrame(values, columns=list(columns))
        for place, name in enumerate(("start", "end")):
            frame.insert(place, name, np.concatenate([r[name] for _, r in said]).round(3))
        frame.insert(0, "id", ids)
        with replacing(folder / f"{table}.parquet") as temporary:
            frame.to_parquet(temporary)


def class_names(path: Path) -> list[str]:
    """Display names of the classes of music and voices."""
    with path.open(encoding="utf-8", newline="") as file:
        names = [row["display_name"] for row in csv.DictReader(file)]
    return [names[number] for number in MUSIC_CLASSES]


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--mn04", type=Path, required=True, help="weights, safetensors")
    parser.add_argument("--classes", type=Path, required=True, help="class_labels_indices.csv")
    parser.add_argument("--every", type=int, default=2, help="of so many patches musicnn hears one")
    args = parser.parse_args()
    torch.set_num_threads(1)
    manifest = read_manifest(args.manifest)
    mn04 = all_heard(manifest, args.output / ".heard" / "mn04", hear_mn04(args.mn04), "mn04")
    names: dict[str, Sequence[str] | None] = {
        "embedding": None,
        "classes": class_names(args.classes),
    }
    write_tables(mn04, args.output / "mn04", names)
    kept_in = args.output / ".heard" / f"musicnn-1-of-{args.every}"
    musicnn = all_heard(manifest, kept_in, hear_musicnn(args.every), "musicnn")
    write_tables(musicnn, args.output / "musicnn", {"tags": TAGS, "penultimate": None})
    return 0


if __name__ == "__main__":
    sys.exit(main())
