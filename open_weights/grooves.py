"""Accompaniment in named styles: the grooves of ``mma`` over common progressions of chords.

Usage::

    python open_weights/grooves.py FOLDER --library \
        /usr/share/mma/lib --soundfont FILE.sf2 [FILE.sf2]

Needs the programs ``mma`` and ``fluidsynth`` (Debian's packages mma, fluidsynth; the soundfonts are
in fluid-soundfont-gm and timgm6mb-soundfont). Each file of the library gives one piece of about 45
s: rock, pop, blues, jazz, country, reggae, hip-hop, metal, funk, latin, dance and more. It leaves
``FOLDER/<library>-<style>-<number>.ogg`` and ``FOLDER/tracks.csv``, a manifest whose pieces have no
labels but what a teacher says of them. Grooves are GPL-2+; what is there is kept.
"""

from __future__ import annotations

import argparse
import csv
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import soundfile as sf

if not __package__:  # started as a script: the folder above holds the package `open_weights`
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from open_weights.open_corpus import COLUMNS

LIBRARIES = ("stdlib", "casio", "yamaha", "kara")
# Files of the library that are no style.
NO_STYLE = re.compile("metronome|none")
# Grooves of a file that are no steady accompaniment.
NO_BODY = re.compile("intro|end|fill|break", re.IGNORECASE)
SECONDS, SHORTEST, LONGEST = 45, 15, 60
RATE = 44_100
BLOCK = 65_536  # frames written at a time; libsndfile's Vorbis encoder overflows on long blocks
QUIETEST = 1e-3
VALID_EVERY = 12
PROGRESSIONS = (
    "I V vi IV", "I IV V I", "vi IV I V", "ii7 V7 Imaj7 Imaj7", "I7 I7 IV7 I7 V7 IV7 I7 V7",
    "i VII VI V7", "i iv VII III", "I vi ii V", "I5 VII5 IV5 I5",
)  # fmt: skip
KEYS = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
SEMITONES = {"i": 0, "ii": 2, "iii": 4, "iv": 5, "v": 7, "vi": 9, "vii": 11}
MMA_NAMES = {"": "", "5": "5", "7": "7", "maj7": "M7"}


@dataclass(frozen=True)
class Style:
    """A file of the library: its grooves and the tempo it is meant for."""

    path: Path
    grooves: tuple[str, ...]
    tempo: int

    @property
    def name(self) -> str:
        """Library and file."""
        return f"{self.path.parent.name}-{self.path.stem}"


def styles(library: Path) -> Iterator[Style]:
    """Styles of the library that have a groove."""
    for folder in LIBRARIES:
        for path in sorted((library / folder).glob("*.mma")):
            text = path.read_text(encoding="utf-8", errors="replace")
            names = re.findall(r"^\s*DefGroove\s+(\S+)", text, re.MULTILINE | re.IGNORECASE)
            body = tuple(name for name in names if not NO_BODY.search(name)) or tuple(names)
            tempo = re.search(r"^\s*Tempo\s+(\d+)", text, re.MULTILINE | re.IGNORECASE)
            if body and not NO_STYLE.search(path.name):
                yield Style(path, body, int(tempo[1]) if tempo else 0)


def chord(degree: str, key: int, minor: bool) -> str:
    """Name of a chord for mma, from its degree such as ``V7`` or ``vi``."""
    found = re.fullmatch(r"([ivIV]+)(.*)", degree)
    assert found is not None
    step = SEMITONES[found[1].lower()] - (minor and found[1].lower() in ("iii", "vi", "vii"))
    quality = "m" if found[1].islower() else ""
    return KEYS[(key + step) % 12] + quality + MMA_NAMES[found[2]]


def score(style: Style, draw: Random) -> str:
    """What mma reads: a progression, the grooves of a style in turn every eight bars."""
    chords, key = draw.choice(PROGRESSIONS).split(), draw.randrange(12)
    minor = chords[0].startswith("i")
    tempo = int((style.tempo or draw.randint(80, 150)) * draw.uniform(0.9, 1.1))
    lines = [f"RndSeed {draw.randrange(10_000)}", f"Tempo {tempo}"]
    for bar in range(max(8, SECONDS * tempo // 240)):
        if bar % 8 == 0:
            lines.append(f"Groove {draw.choice(style.grooves)}")
        lines.append(f"{bar + 1} {chord(chords[bar % len(chords)], key, minor)}")
    return "\n".join(lines) + "\n"


def render(text: str, soundfont: Path, gain: float) -> np.ndarray | None:
    """Sound of a score, float32 [N, 2]; None where mma cannot make notes of it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "score.mma").write_text(text, encoding="utf-8")
        command = ["mma", "-f", str(folder / "score.mid"), str(folder / "score.mma")]
        subprocess.run(command, capture_output=True, check=False)
        if not (folder / "score.mid").is_file():
            return None
        command = ["fluidsynth", "-q", "-ni", "-F", str(folder / "score.wav"), "-r", str(RATE)]
        command += ["-g", f"{gain:.2f}", str(soundfont), str(folder / "score.mid")]
        subprocess.run(command, capture_output=True, check=True)
        read = sf.read(folder / "score.wav", dtype="float32", frames=LONGEST * RATE)
    audio: np.ndarray = read[0]
    return audio


def write_piece(path: Path, audio: np.ndarray, peak: float) -> bool:
    """Write Ogg Vorbis, whole or not at all; False where there is next to nothing to hear."""
    loudest = float(np.abs(audio).max(initial=0.0))
    if loudest < QUIETEST or len(audio) < SHORTEST * RATE:
        return False
    partial = path.with_suffix(".partial")
    with sf.SoundFile(partial, "w", RATE, 2, format="OGG", subtype="VORBIS") as file:
        for start in range(0, len(audio), BLOCK):
            file.write(audio[start : start + BLOCK] * (peak / loudest))
    partial.replace(path)
    return True


def make(folder: Path, library: Path, soundfonts: Sequence[Path], rounds: int) -> None:
    """Make what is not there."""
    for number in range(rounds):
        for style in styles(library):
            path = folder / f"{style.name}-{number}.ogg"
            draw = Random(f"{number}/{style.path.name}")
            text, gain, peak = score(style, draw), draw.uniform(0.4, 0.9), draw.uniform(0.3, 0.9)
            if path.is_file():
                continue
            audio = render(text, soundfonts[number % len(soundfonts)], gain)
            if audio is None or not write_piece(path, audio, peak):
                print(f"left out: {style.name}", file=sys.stderr)


def write_manifest(folder: Path) -> int:
    """Write ``tracks.csv``; number of pieces."""
    files = sorted(folder.glob("*.ogg"))
    with (folder / "tracks.csv").open("w", encoding="utf-8", newline="") as table:
        writer = csv.DictWriter(table, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        for number, file in enumerate(files):
            row = {
                "id": f"groove-{file.stem}",
                "path": file.name,
                "title": file.stem.split("-", 1)[1].rpartition("-")[0],
                "dataset": "grooves",
                "licence": "GPL-2.0-or-later",
                "corpus": "grooves",
                "split": "valid" if number % VALID_EVERY == 5 else "train",
                "seconds": f"{sf.info(file).duration:.3f}",
            }
            writer.writerow(row)
    return len(files)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--library", type=Path, default=Path("/usr/share/mma/lib"))
    parser.add_argument("--soundfont", type=Path, nargs="+", required=True)
    parser.add_argument("--rounds", type=int, default=1, help="pieces of each style")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    make(args.folder, args.library, args.soundfont, args.rounds)
    print(f"{write_manifest(args.folder)} pieces in {args.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
