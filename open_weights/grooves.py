"""Accompaniment in named styles: the grooves of ``mma`` over common progressions of chords.

Usage::

    python open_weights/grooves.py FOLDER --library \
        /usr/share/mma/lib --soundfont FILE.sf2 [FILE.sf2]

Needs the programs ``mma`` and ``fluidsynth`` (Debian's packages mma, fluidsynth; the soundfonts are
in fluid-soundfont-gm and timgm6mb-soundfont) and the package mido. Each file of the library gives a
piece of about 45 s in every round: rock, pop, blues, jazz, country, reggae, hip-hop, metal, funk,
latin, dance and more. Rounds differ in chords, key, tempo, soundfont, instruments, and in whether a
lead plays over it. It leaves ``FOLDER/<library>-<style>-<round>.ogg`` and ``FOLDER/tracks.csv``, a
manifest whose pieces have no labels but what a teacher says of them. All pieces of a style are in
one split. Grooves are GPL-2+; what is there is kept, so a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
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

from mirfeat.files import replacing
from open_weights.groove_midi import Arrangement, arrange, draw_arrangement
from open_weights.open_corpus import COLUMNS

LIBRARIES = ("stdlib", "casio", "yamaha", "kara", "pflib", "alexis")
# Files of the library that are no style.
NO_STYLE = re.compile("metronome|none")
# Grooves of a file that are no steady accompaniment.
NO_BODY = re.compile("intro|end|fill|break", re.IGNORECASE)
SECONDS, SHORTEST, LONGEST = 45, 15, 60
RATE = 44_100
BLOCK = 65_536  # frames written at a time; libsndfile's Vorbis encoder overflows on long blocks
QUIETEST = 1e-3
CORPUS = "grooves"
VALID_EVERY = 12  # styles
ROUNDS = 3
PROGRESSIONS = (
    *("I V vi IV", "I IV V I", "vi IV I V", "ii7 V7 Imaj7 Imaj7", "I7 I7 IV7 I7 V7 IV7 I7 V7"),
    *("i VII VI V7", "i iv VII III", "I vi ii V", "I5 VII5 IV5 I5", "I iii IV V", "I I IV IV"),
    *("IV V iii vi", "I V IV IV", "I VII IV I", "vi V IV V", "Imaj7 vi7 ii7 V7", "I ii IV V"),
    *("iii7 vi7 ii7 V7", "I7 IV7 I7 I7 IV7 IV7 I7 I7 V7 IV7 I7 V7", "I V vi iii IV I IV V"),
    *("i VI III VII", "i iv v i", "i i iv iv", "i VII i VII", "i7 iv7 i7 V7", "i VI iv V7"),
    *("i III VII iv", "i5 VI5 VII5 i5", "i7 iv7 VII7 IIImaj7", "i i VI VII"),
)
KEYS = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
SEMITONES = {"i": 0, "ii": 2, "iii": 4, "iv": 5, "v": 7, "vi": 9, "vii": 11}
MMA_NAMES = {"": "", "5": "5", "7": "7", "maj7": "M7"}
TEMPO_CHANGE = 0.15


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
    flat = found[1] == "VII" or (minor and found[1].lower() in ("iii", "vi", "vii"))
    step = SEMITONES[found[1].lower()] - flat
    quality = "m" if found[1].islower() and found[2] != "5" else ""
    return KEYS[(key + step) % 12] + quality + MMA_NAMES[found[2]]


@dataclass(frozen=True)
class Piece:
    """What is played: what mma reads, and what is done to its notes and its sound.

    ``tempo`` is in beats a minute; ``gain`` is fluidsynth's, ``room`` and ``wet`` its reverb's size
    and level (0 to 1), ``peak`` the loudest sample (full scale is 1).
    """

    text: str
    tempo: int
    arrangement: Arrangement
    gain: float
    room: float
    wet: float
    peak: float


def draw_piece(style: Style, draw: Random) -> Piece:
    """A progression, and the grooves of a style in turn every eight bars."""
    chords, key = draw.choice(PROGRESSIONS).split(), draw.randrange(12)
    minor = any(re.fullmatch(r"i\d?", degree) for degree in chords)
    change = draw.uniform(1.0 - TEMPO_CHANGE, 1.0 + TEMPO_CHANGE)
    tempo = int((style.tempo or draw.randint(75, 150)) * change)
    lines = [f"RndSeed {draw.randrange(10_000)}", f"Tempo {tempo}"]
    for bar in range(max(8, SECONDS * tempo // 240)):
        if bar % 8 == 0:
            lines.append(f"Groove {style.path.parent.name}:{draw.choice(style.grooves)}")
        lines.append(f"{bar + 1} {chord(chords[bar % len(chords)], key, minor)}")
    return Piece(
        text="\n".join(lines) + "\n",
        tempo=tempo,
        arrangement=draw_arrangement(draw, key, minor),
        gain=draw.uniform(0.4, 0.9),
        room=draw.uniform(0.1, 0.8),
        wet=draw.choice((0.0, draw.uniform(0.1, 0.7))),
        peak=draw.uniform(0.3, 0.9),
    )


def render(piece: Piece, soundfont: Path) -> np.ndarray | None:
    """Sound of a piece, float32 [N, 2]; None where mma cannot make notes of it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "score.mma").write_text(piece.text, encoding="utf-8")
        command = ["mma", "-f", str(folder / "score.mid"), str(folder / "score.mma")]
        subprocess.run(command, capture_output=True, check=False)
        if not (folder / "score.mid").is_file():
            return None
        arrange(folder / "score.mid", piece.arrangement)
        command = ["fluidsynth", "-q", "-ni", "-F", str(folder / "score.wav"), "-r", str(RATE)]
        command += ["-o", "synth.dynamic-sample-loading=1", "-g", f"{piece.gain:.2f}"]
        command += ["-o", f"synth.reverb.room-size={piece.room:.2f}"]
        command += ["-o", f"synth.reverb.level={piece.wet:.2f}"]
        command += [str(soundfont), str(folder / "score.mid")]
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


def make(folder: Path, chosen: Sequence[Style], soundfonts: Sequence[Path], rounds: int) -> None:
    """Make what is not there of some styles."""
    for number in range(rounds):
        for place, style in enumerate(chosen):
            path = folder / f"{style.name}-{number}.ogg"
            if path.is_file():
                continue
            piece = draw_piece(style, Random(f"{number}/{style.name}"))
            audio = render(piece, soundfonts[(number + place) % len(soundfonts)])
            if audio is None or not write_piece(path, audio, piece.peak):
                print(f"left out: {style.name}", file=sys.stderr)


def split_of(style: str) -> str:
    """``train`` or ``valid``, the same for all pieces of a style."""
    digest = int(hashlib.sha256(style.encode()).hexdigest(), 16)
    return "train" if digest % VALID_EVERY else "valid"


def write_manifest(folder: Path, corpus: str = CORPUS) -> int:
    """Write ``tracks.csv``; number of pieces."""
    files = sorted(folder.glob("*.ogg"))
    with (
        replacing(folder / "tracks.csv") as temporary,
        temporary.open("w", encoding="utf-8", newline="") as table,
    ):
        writer = csv.DictWriter(table, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        for file in files:
            style = file.stem.rpartition("-")[0]
            row = {
                "id": f"{corpus}-{file.stem}",
                "path": file.name,
                "title": style.split("-", 1)[1],
                "dataset": corpus,
                "licence": "GPL-2.0-or-later",
                "corpus": corpus,
                "split": split_of(style),
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
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="pieces of each style")
    parser.add_argument("--styles", type=int, help="only the first so many of the library")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    chosen = list(styles(args.library))[: args.styles]
    make(args.folder, chosen, args.soundfont, args.rounds)
    print(f"{write_manifest(args.folder)} pieces in {args.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
