"""A tiny corpus to train on: twelve synthesised tracks whose sound goes with their labels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mirfeat.training.config import TrainConfig, read_config
from mirfeat.training.manifest import write_manifest
from mirfeat.training.recipes import DEFAULTS
from tests.support.sounds import write_wav

RATE = 22_050
# Artist: genre, tags of all tracks, tags of single ones, data set, year, beats a minute, pitch in
# Hz, share of noise.
_ARTISTS: Mapping[str, tuple[Any, ...]] = {
    "Ann": ("drone", ["calm", "low"], ["long", "dark", "warm"], "alpha", 1971, 60, 110.0, 0.0),
    "Bob": ("noise", ["loud"], ["harsh", "wide", "dark"], "alpha", 1988, 120, 600.0, 0.6),
    "Cid": ("beeps", ["high", "calm"], ["odd", "warm", "wide"], "beta", 2004, 170, 2500.0, 0.05),
    "Dee": ("drone", ["low"], ["dark", "calm"], "alpha", 1975, 70, 140.0, 0.02),
    "Eve": ("beeps", ["high"], ["odd"], "beta", 2010, 160, 2200.0, 0.1),
}
_TRACKS = (*["Ann"] * 3, *["Bob"] * 3, *["Cid"] * 3, *["Dee"] * 2, "Eve")
VALID_ARTISTS = ("Dee", "Eve")


def rows() -> list[dict[str, Any]]:
    """Rows of the manifest: tracks 0 to 8 are for training, 9 to 11 for validation."""
    table = []
    for number, artist in enumerate(_TRACKS):
        genre, tags, own, dataset, year, bpm, _, _ = _ARTISTS[artist]
        place = _TRACKS[:number].count(artist)
        table.append(
            {
                "id": f"t{number:02d}",
                "path": f"audio/t{number:02d}.wav",
                "split": "valid" if artist in VALID_ARTISTS else "train",
                "artist": artist,
                "bpm": bpm + 7 * place,
                "year": year + place,
                "tags": [*tags, own[place]],
                "genre": genre,
                "dataset": dataset,
                "licence": "CC0-1.0",
                "corpus": "synthetic",
            }
        )
    return table


def sound(number: int) -> np.ndarray:
    """Samples of a track, float32 [2, N], 3 to 6 s at 22.05 kHz."""
    *_, bpm, pitch, noise = _ARTISTS[_TRACKS[number]]
    generator = np.random.default_rng(number)
    time = np.arange(int(RATE * (3.0 + 0.27 * number))) / RATE
    pitch *= generator.uniform(0.95, 1.05)
    tone = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 4))
    pulse = 0.5 + 0.5 * np.sign(np.sin(2 * np.pi * bpm / 60 * time))
    left = 0.2 * (1 - noise) * tone * pulse + 0.3 * noise * generator.standard_normal(len(time))
    right = np.roll(left, 40) * generator.uniform(0.6, 1.0)
    return np.stack([left, right]).clip(-0.95, 0.95).astype(np.float32)


def write_corpus(folder: Path, table: list[dict[str, Any]] | None = None) -> Path:
    """Write audio and manifest into ``folder``; the manifest's path."""
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    for number in range(len(_TRACKS)):
        write_wav(folder / "audio" / f"t{number:02d}.wav", sound(number), RATE)
    manifest = folder / "tracks.csv"
    write_manifest(manifest, rows() if table is None else table)
    return manifest


def write_config(path: Path, extractor: str, **values: Any) -> Path:
    """Write a TOML file beside the corpus; a mapping among ``values`` is a section."""
    plain = {"extractor": extractor, "manifest": "tracks.csv", "output": path.stem}
    plain |= {key: value for key, value in values.items() if not isinstance(value, dict)}
    lines = [f"{key} = {json.dumps(value)}" for key, value in plain.items()]
    for section, record in values.items():
        if isinstance(record, dict):
            lines.append(f"[{section}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in record.items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def config_of(path: Path, extractor: str, **values: Any) -> TrainConfig:
    """The configuration that :func:`write_config` writes."""
    return read_config(write_config(path, extractor, **values), DEFAULTS)
