"""Accompaniment with a voice over it: grooves of ``mma``, and words of ``flite`` on a melody.

Usage::

    python open_weights/sung_grooves.py FOLDER --soundfont FILE.sf2 [FILE.sf2] [--pieces 90]

Needs what grooves.py and singer.py need. It leaves ``FOLDER/<library>-<style>-<number>.ogg`` and
``FOLDER/tracks.csv``. In a fifth of the pieces a second voice sings a third or a fifth above, in
another fifth the voice is alone. All pieces of a style are in the split that grooves.py gives it.
What is there is kept, so a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import soxr

if not __package__:  # started as a script: the folder above holds the package `open_weights`
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from open_weights import grooves, singer
from open_weights.altered_copies import loudness
from open_weights.groove_midi import phrases
from open_weights.synthetic_score import Note

CORPUS = "sung"
PIECES = 90
SLOWEST = 110  # beats a minute; of a faster piece a note of the voice lasts twice as long
ABOVE = (3, 4, 5, 7, 12)  # semitones of a second voice
LEVELS = (-6.0, 9.0)  # dB of the voice over the accompaniment
ECHOES = ((0.031, 0.35), (0.047, 0.3), (0.083, 0.25), (0.127, 0.2), (0.211, 0.12))


def sung_line(piece: grooves.Piece, seconds: float, draw: Random) -> np.ndarray:
    """One voice or two over a piece's key and tempo, float32 [N] at 44100 Hz."""
    slow = 1.0 if piece.tempo <= SLOWEST else 2.0
    beats = seconds * piece.tempo / 60.0 / slow
    arrangement = piece.arrangement
    notes = phrases(draw, arrangement.key, arrangement.minor, beats)
    who = singer.draw_singer(draw)
    lines = [singer.sing(notes, piece.tempo / slow, who, Random(arrangement.seed))]
    if draw.random() < 0.2:
        above = draw.choice(ABOVE)
        second = [replace_pitch(note, above) for note in notes]
        other = replace(who, formants=who.formants * draw.uniform(0.9, 1.1))
        lines.append(singer.sing(second, piece.tempo / slow, other, Random(arrangement.seed)))
    mixed: np.ndarray = soxr.resample(np.sum(lines, axis=0), singer.RATE, grooves.RATE)
    return mixed


def replace_pitch(note: Note, above: int) -> Note:
    """The note, so many semitones higher."""
    return replace(note, pitch=note.pitch + above)


def with_room(audio: np.ndarray) -> np.ndarray:
    """The audio [N] with a few early echoes: a dry voice is heard as speech."""
    wet = audio.copy()
    for delay, gain in ECHOES:
        frames = int(delay * grooves.RATE)
        wet[frames:] += gain * audio[:-frames]
    return wet


def over(accompaniment: np.ndarray, voice: np.ndarray, level: float) -> np.ndarray:
    """Voice [M] over accompaniment [N, 2], ``level`` dB louder where both sound."""
    length = min(len(accompaniment), len(voice))
    gain = 10.0 ** (level / 20.0) * loudness(accompaniment) / loudness(voice[voice != 0.0])
    mixed = accompaniment.copy()
    mixed[:length] += np.float32(gain) * voice[:length, None]
    return mixed


def make(folder: Path, library: Path, soundfonts: Sequence[Path], pieces: int) -> None:
    """Make what is not there."""
    styles = list(grooves.styles(library))
    Random(CORPUS).shuffle(styles)
    for number in range(pieces):
        style = styles[number % len(styles)]
        path = folder / f"{style.name}-{number}.ogg"
        if path.is_file():
            continue
        draw = Random(f"{CORPUS}/{number}")
        piece = grooves.draw_piece(style, draw)
        piece = replace(piece, arrangement=replace(piece.arrangement, lead=None))
        audio = grooves.render(piece, soundfonts[number % len(soundfonts)])
        if audio is None:
            print(f"left out: {style.name}", file=sys.stderr)
            continue
        voice = with_room(sung_line(piece, len(audio) / grooves.RATE, draw))
        alone = draw.random() < 0.2
        level = draw.uniform(*LEVELS)
        audio = np.repeat(voice[:, None], 2, axis=1) if alone else over(audio, voice, level)
        grooves.write_piece(path, audio, piece.peak)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--library", type=Path, default=Path("/usr/share/mma/lib"))
    parser.add_argument("--soundfont", type=Path, nargs="+", required=True)
    parser.add_argument("--pieces", type=int, default=PIECES)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    make(args.folder, args.library, args.soundfont, args.pieces)
    print(f"{grooves.write_manifest(args.folder, CORPUS)} pieces in {args.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
