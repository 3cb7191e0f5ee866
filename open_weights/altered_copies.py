"""Altered copies of a manifest's tracks: mixtures, filters, speed, distortion, codecs.

Usage::

    python open_weights/altered_copies.py OPEN.csv FOLDER [--hours 6] [--seed 0]

A teacher hears a copy like any other track, so what a student learns of it is what the teacher says
of *it*, and no guess from what was said of the original. It leaves ``FOLDER/<number>.ogg`` or
``.mp3``, 45 s each, and ``FOLDER/tracks.csv``. Only tracks whose split is ``train`` are copied:
nothing of a held-out track gets into what is learnt. What is there is kept, so a run that was
stopped goes on; numbers, and what is done, are drawn from the seed and the number of the copy.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import soundfile as sf
import soxr
from scipy.signal import butter, sosfilt

if not __package__:  # started as a script: the folder above holds the package `open_weights`
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mirfeat.errors import ConfigError
from mirfeat.files import replacing
from mirfeat.training.manifest import Manifest, read_manifest
from open_weights.open_corpus import COLUMNS

CORPUS = "copies"
SECONDS = 45.0
RATE = 44_100
BLOCK = 65_536  # frames written at a time; libsndfile's Vorbis encoder overflows on long blocks
QUIETEST = 1e-3
UNKNOWN = 180.0  # seconds of a track whose duration the manifest does not say
# How a copy is stored: kind of file, ending, sample rate, libsndfile's level of compression (0 to
# 1), and how often. The last two are 24 and 8 kbit/s: what the music lost there cannot be undone.
CODECS = (
    ("OGG", ".ogg", 44_100, 0.6, 6),
    ("OGG", ".ogg", 22_050, 1.0, 2),
    ("MP3", ".mp3", 44_100, 0.9, 2),
    ("MP3", ".mp3", 22_050, 0.9, 1),
    ("MP3", ".mp3", 22_050, 0.99, 1),
)


@dataclass(frozen=True)
class Recipe:
    """What is done, in this order; None leaves a step out.

    ``tracks``: rows of the manifest, one or two; ``places``: where their excerpts begin, as a share
    of what is there; ``level``: of the second in dB; ``speed``: times as fast, pitch with it;
    ``bands``: edges in Hz of a band that is kept; ``bell``: centre in Hz and gain in dB; ``drive``:
    dB into a limiter; ``mono``: one channel; ``peak``: loudest sample (full scale is 1); ``codec``:
    row of CODECS.
    """

    tracks: tuple[int, ...]
    places: tuple[float, ...]
    level: float
    speed: float | None
    bands: tuple[float, float] | None
    bell: tuple[float, float] | None
    drive: float | None
    mono: bool
    peak: float
    codec: int


def draw_recipe(draw: Random, seconds: Mapping[int, float]) -> Recipe:
    """Two of three copies are mixtures; of all other changes a copy has some.

    ``seconds`` of each row of the manifest, at least two; every second of music is as likely.
    """
    number = 2 if draw.random() < 2 / 3 else 1
    tracks: list[int] = []
    while len(tracks) < number:
        drawn = draw.choices(tuple(seconds), tuple(seconds.values()))
        tracks += [row for row in drawn if row not in tracks]
    weights = [codec[-1] for codec in CODECS]
    low, high = draw.choice(((20.0, 5_000.0), (150.0, 20_000.0), (100.0, 8_000.0)))
    return Recipe(
        tracks=tuple(tracks),
        places=tuple(draw.random() for _ in range(number)),
        level=draw.uniform(-12.0, 0.0),
        speed=draw.uniform(0.85, 1.18) if draw.random() < 0.5 else None,
        bands=(low * draw.uniform(0.7, 1.4), high * draw.uniform(0.7, 1.0))
        if draw.random() < 0.3
        else None,
        bell=(draw.uniform(150.0, 8_000.0), draw.uniform(-12.0, 12.0))
        if draw.random() < 0.5
        else None,
        drive=draw.uniform(6.0, 24.0) if draw.random() < 0.3 else None,
        mono=draw.random() < 0.2,
        peak=draw.uniform(0.3, 0.95),
        codec=draw.choices(range(len(CODECS)), weights)[0],
    )


def excerpt(file: Path, place: float, limit: float) -> np.ndarray:
    """Up to 45 s of a file's first ``limit`` seconds, float32 [N, 2] at 44100 Hz."""
    with sf.SoundFile(file) as sound:
        rate, frames = sound.samplerate, sound.frames
        if np.isfinite(limit):
            frames = min(frames, int(limit * rate))
        wanted = min(frames, int(SECONDS * rate))
        sound.seek(int(place * (frames - wanted)))
        audio = sound.read(wanted, dtype="float32", always_2d=True)
    audio = soxr.resample(audio[:, :2], rate, RATE)
    both: np.ndarray = np.repeat(audio, 2, axis=1) if audio.shape[1] == 1 else audio
    return both


def loudness(audio: np.ndarray) -> float:
    """Root mean square, never 0."""
    return float(np.sqrt(np.square(audio).mean())) + 1e-9


def mixed(excerpts: Sequence[np.ndarray], level: float) -> np.ndarray:
    """The first excerpt, with the second ``level`` dB above it as long as both last."""
    first = excerpts[0]
    if len(excerpts) == 1:
        return first
    length = min(len(first), len(excerpts[1]))
    second = excerpts[1][:length]
    gain = 10.0 ** (level / 20.0) * loudness(first) / loudness(second)
    mixture: np.ndarray = first[:length] + np.float32(gain) * second
    return mixture


def kept_band(audio: np.ndarray, bands: tuple[float, float]) -> np.ndarray:
    """What lies between two frequencies in Hz; 12 dB an octave beside them."""
    sections = butter(2, bands, "bandpass", fs=RATE, output="sos")
    filtered: np.ndarray = sosfilt(sections, audio, axis=0)
    return filtered


def with_bell(audio: np.ndarray, centre: float, gain_db: float) -> np.ndarray:
    """An octave around ``centre`` Hz raised or lowered: the bell filter of graphic equalisers."""
    amplitude, angle = 10.0 ** (gain_db / 40.0), 2.0 * np.pi * centre / RATE
    width = np.sin(angle) / 2.0 * np.sqrt(2.0)
    above = [1.0 + width * amplitude, -2.0 * np.cos(angle), 1.0 - width * amplitude]
    below = [1.0 + width / amplitude, -2.0 * np.cos(angle), 1.0 - width / amplitude]
    section = np.array([[*above, *below]]) / below[0]
    filtered: np.ndarray = sosfilt(section, audio, axis=0)
    return filtered


def altered(excerpts: Sequence[np.ndarray], recipe: Recipe) -> np.ndarray:
    """A copy of one or two excerpts [N, 2], at the recipe's peak."""
    audio = mixed(excerpts, recipe.level)
    if recipe.speed is not None:
        # Resampled as though it had been recorded at another rate.
        audio = soxr.resample(audio, RATE * recipe.speed, RATE)
    if recipe.bands is not None:
        audio = kept_band(audio, recipe.bands)
    if recipe.bell is not None:
        audio = with_bell(audio, *recipe.bell)
    if recipe.drive is not None:
        audio = np.tanh(audio * (10.0 ** (recipe.drive / 20.0) * 0.1 / loudness(audio)))
    if recipe.mono:
        audio = np.repeat(audio.mean(1, keepdims=True), 2, axis=1)
    copy: np.ndarray = audio * (recipe.peak / (np.abs(audio).max(initial=0.0) + 1e-9))
    return copy.astype(np.float32)


def write_copy(folder: Path, number: int, audio: np.ndarray, codec: int) -> Path:
    """Encode a copy, whole or not at all."""
    kind, ending, rate, compression, _ = CODECS[codec]
    if rate != RATE:
        audio = soxr.resample(audio, RATE, rate)
    path = folder / f"{number:05d}{ending}"
    with (
        replacing(path) as temporary,
        sf.SoundFile(temporary, "w", rate, 2, format=kind, compression_level=compression) as file,
    ):
        for start in range(0, len(audio), BLOCK):
            file.write(audio[start : start + BLOCK])
    return path


def licence_of(licences: Sequence[str]) -> str:
    """Licence of a mixture: those of its tracks, which all hold."""
    return " AND ".join(dict.fromkeys(filter(None, licences)))


def make(manifest: Manifest, folder: Path, hours: float, seed: int) -> list[dict[str, str]]:
    """Make what is not there; rows of the copies' manifest.

    Raises:
        ConfigError: the manifest has not two tracks to learn from.
    """
    rows = [int(row) for row in manifest.rows("train")]
    if len(rows) < 2:
        raise ConfigError(f"{manifest.path}: copies need two tracks of split train or more.")
    limits = manifest.numbers("seconds")
    seconds = {row: float(np.nan_to_num(limits[row], nan=UNKNOWN)) for row in rows}
    licences = [text or "" for text in manifest.texts("licence")]
    titles = [text or id for text, id in zip(manifest.texts("title"), manifest.ids, strict=True)]
    made = []
    for number in range(round(hours * 3600 / SECONDS)):
        recipe = draw_recipe(Random(f"{seed}/{number}"), seconds)
        path = folder / f"{number:05d}{CODECS[recipe.codec][1]}"
        if not path.is_file():
            excerpts = [
                excerpt(manifest.files[row], place, float(limits[row]))
                for row, place in zip(recipe.tracks, recipe.places, strict=True)
            ]
            if min(map(loudness, excerpts)) < QUIETEST:
                continue
            write_copy(folder, number, altered(excerpts, recipe), recipe.codec)
        made.append(
            {
                "id": f"{CORPUS}-{path.stem}",
                "path": path.name,
                "title": " + ".join(titles[row] for row in recipe.tracks),
                "dataset": CORPUS,
                "licence": licence_of([licences[row] for row in recipe.tracks]),
                "corpus": CORPUS,
                "split": "train",
                "seconds": f"{sf.info(path).duration:.3f}",
            }
        )
    return made


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--hours", type=float, default=6.0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    made = make(read_manifest(args.manifest), args.folder, args.hours, args.seed)
    with (
        replacing(args.folder / "tracks.csv") as temporary,
        temporary.open("w", encoding="utf-8", newline="") as table,
    ):
        writer = csv.DictWriter(table, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(made)
    print(f"{len(made)} copies in {args.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
