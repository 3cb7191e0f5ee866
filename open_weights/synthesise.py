"""Compose and render music whose labels are exact: instruments, tempo, mode, style.

Usage::

    python open_weights/synthesise.py FOLDER --soundfont FILE.sf2 [FILE.sf2 ...]
        [--hours 5] [--seed 0] [--workers 2]

Needs the program ``fluidsynth`` (2.3 or newer) and a General MIDI soundfont; on Debian the
packages fluidsynth, fluid-soundfont-gm and timgm6mb-soundfont. Several soundfonts are used in
turn, so that labels and samples do not go together. It leaves

* ``FOLDER/<soundfont>/<number>-<digest>.ogg``: Ogg Vorbis, stereo, 44100 Hz, 15 to 30 s,
* ``FOLDER/tracks.csv``: a training manifest, one row a track.

The music is drawn from the seed, the same on every machine; what is already there
is kept. The sound is as free as the soundfont: the column ``licence`` names its licence.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path
from random import Random

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a script

from mirfeat.errors import ConfigError, MirfeatError
from open_weights.synthetic_pieces import plan
from open_weights.synthetic_score import Score, midi_bytes

RATE = 44100
VALID = 0.08  # share of the tracks
FADE_SECONDS = 0.05
BLOCK = 65536  # frames written at a time; libsndfile's Vorbis encoder overflows on long blocks
QUIETEST = 1e-4  # a peak below this is a render that failed
LICENCES = {"FluidR3_GM": "MIT", "TimGM6mb": "GPL-2"}


class RenderError(MirfeatError):
    """A score could not be turned into sound; the message says which and why."""


@dataclass(frozen=True)
class Row:
    """One line of the manifest, its columns in order."""

    id: str
    path: str
    title: str
    artist: str
    album: str
    year: str
    bpm: str
    genre: str
    tags: str
    dataset: str
    licence: str
    corpus: str
    split: str
    seconds: str


@dataclass(frozen=True)
class Track:
    """A score, the soundfont it is played with, and how it sounds.

    ``peak`` is the loudest sample (full scale is 1); ``room`` and ``wet`` are fluidsynth's
    reverb size (0 to 1) and level (0 to 1).
    """

    number: int
    score: Score
    soundfont: Path
    split: str
    peak: float
    room: float
    wet: float

    @property
    def path(self) -> Path:
        """Where it goes, relative to the folder; the name tells other music apart."""
        what = repr((self.score, self.soundfont.stem, self.peak, self.room, self.wet))
        digest = hashlib.sha256(what.encode()).hexdigest()[:8]
        return Path(self.soundfont.stem) / f"{self.number:05d}-{digest}.ogg"

    def row(self) -> Row:
        """Its line of the manifest."""
        font = self.soundfont.stem
        return Row(
            id=f"synthetic-{self.number:05d}",
            path=self.path.as_posix(),
            title=self.score.title,
            artist="",
            album=font,
            year="",
            bpm=str(self.score.bpm),
            genre=self.score.genre,
            tags=";".join(self.score.tags),
            dataset="synthetic",
            licence=LICENCES.get(font, ""),
            corpus="synthetic",
            split=self.split,
            seconds=f"{self.score.seconds:.3f}",
        )


def draw_tracks(hours: float, seed: int, soundfonts: Sequence[Path]) -> list[Track]:
    """Compose everything; each track depends on the seed and its number alone."""
    turns: dict[str, int] = {}
    tracks = []
    for number, job in enumerate(plan(hours)):
        rng = Random(f"{seed}/{number}")
        score = job.compose(rng)
        # Each kind of track takes the soundfonts in turn, the kinds starting at different ones.
        turn = turns.setdefault(f"{job.group}/{job.name}", len(turns))
        turns[f"{job.group}/{job.name}"] = turn + 1
        tracks.append(
            Track(
                number,
                score,
                soundfonts[turn % len(soundfonts)],
                split="valid" if rng.random() < VALID else "train",
                peak=rng.uniform(0.15, 0.85),
                room=rng.uniform(0.1, 0.8),
                wet=rng.choice((0.0, rng.uniform(0.1, 0.7))),
            )
        )
    return tracks


def synthesiser_command(track: Track, midi: Path, wav: Path) -> list[str]:
    """How to call fluidsynth: one file to float samples, nothing played."""
    settings = {
        "synth.dynamic-sample-loading": "1",  # a fifth of the time: one program is a small part
        "synth.reverb.room-size": f"{track.room:.3f}",
        "synth.reverb.level": f"{track.wet:.3f}",
        "synth.reverb.active": "1" if track.wet else "0",
    }
    options = [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]
    output = ["-F", str(wav), "-T", "wav", "-O", "float", "-r", str(RATE), "-g", "0.3"]
    return ["fluidsynth", "-niq", *options, *output, str(track.soundfont), str(midi)]


def finish(samples: NDArray[np.float32], track: Track) -> NDArray[np.float32]:
    """``samples`` (frames, 2) cut or padded to the score's length, at the track's peak.

    Raises:
        RenderError: nothing is to be heard.
    """
    frames = round(track.score.seconds * RATE)
    sound = np.zeros((frames, 2), np.float32)
    sound[: len(samples)] = samples[:frames]
    peak = float(np.abs(sound).max())
    if not np.isfinite(peak) or peak < QUIETEST:
        raise RenderError(
            f"track {track.number} ({track.score.title}) is silent with {track.soundfont.name}: "
            "does this soundfont have all General MIDI programs?"
        )
    sound *= np.float32(track.peak / peak)
    fade = round(FADE_SECONDS * RATE)
    sound[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)[:, None]
    return sound


def render(track: Track) -> NDArray[np.float32]:
    """The track's sound, shape (frames, 2), 44100 Hz, within [-1, 1].

    Raises:
        RenderError: fluidsynth fails, or nothing is to be heard.
    """
    with tempfile.TemporaryDirectory(prefix="synthesise-") as name:
        midi, wav = Path(name) / "score.mid", Path(name) / "sound.wav"
        midi.write_bytes(midi_bytes(track.score))
        command = synthesiser_command(track, midi, wav)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0 or not wav.exists():
            raise RenderError(f"`{' '.join(command)}` failed:\n{done.stderr.strip()}")
        samples, _ = sf.read(wav, dtype="float32", always_2d=True)
    return finish(samples, track)


def store(track: Track, folder: Path) -> None:
    """Leave the track's file in ``folder``, whole or not at all; one already there is kept."""
    target = folder / track.path
    if target.exists():
        return
    sound = render(track)
    partial = target.with_suffix(".partial")
    with sf.SoundFile(partial, "w", RATE, 2, format="OGG", subtype="VORBIS") as file:
        for start in range(0, len(sound), BLOCK):
            file.write(sound[start : start + BLOCK])
    partial.replace(target)


def write_manifest(tracks: Sequence[Track], folder: Path) -> None:
    """Write ``folder/tracks.csv``."""
    partial = folder / ".tracks.csv.partial"
    with partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        columns = [column.name for column in fields(Row)]
        writer.writerow(columns)
        for track in tracks:
            row = track.row()
            writer.writerow([getattr(row, column) for column in columns])
    partial.replace(folder / "tracks.csv")


def synthesise(
    folder: Path, soundfonts: Sequence[Path], hours: float, seed: int, workers: int
) -> list[Track]:
    """Compose, render and store ``hours`` of music in ``folder``; returns the tracks.

    Raises:
        ConfigError: an option is out of range, a soundfont or fluidsynth is absent.
        RenderError: a track cannot be rendered.
    """
    if not 0 < hours <= 1000 or workers < 1:
        raise ConfigError(f"hours {hours}, workers {workers}: give 0 < hours <= 1000, workers >= 1")
    for soundfont in soundfonts:
        if not soundfont.is_file():
            raise ConfigError(f"no such soundfont: {soundfont}; give the path of an .sf2 file")
    if len({soundfont.stem for soundfont in soundfonts}) < len(soundfonts):
        raise ConfigError("two soundfonts have the same file name; give each a name of its own")
    if shutil.which("fluidsynth") is None:
        raise ConfigError("the program fluidsynth is not here: install it (apt install fluidsynth)")
    tracks = draw_tracks(hours, seed, soundfonts)
    for soundfont in soundfonts:
        (folder / soundfont.stem).mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(workers) as pool:
        for done, _ in enumerate(pool.map(lambda track: store(track, folder), tracks), 1):
            if done % 100 == 0:
                print(f"{done} of {len(tracks)} tracks", flush=True)
    write_manifest(tracks, folder)
    return tracks


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where to leave the music")
    parser.add_argument("--soundfont", type=Path, nargs="+", required=True, metavar="FILE.sf2")
    parser.add_argument("--hours", type=float, default=5.0, help="default 5")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    try:
        tracks = synthesise(args.folder, args.soundfont, args.hours, args.seed, args.workers)
    except MirfeatError as error:
        print(error, file=sys.stderr)
        return 1
    total = sum(track.score.seconds for track in tracks) / 3600
    print(f"{len(tracks)} tracks, {total:.2f} h in {args.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
