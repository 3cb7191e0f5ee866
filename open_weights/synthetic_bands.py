"""Percussion, and ensembles in a few simple styles.

Pieces, grooves and styles are in ``synthetic_styles.json``: General MIDI's drum notes, and bars
written as 16 steps, one character each, where ``.`` is nothing new.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from open_weights.synthetic_patterns import Voice
from open_weights.synthetic_score import Note

DATA = json.loads(Path(__file__).with_name("synthetic_styles.json").read_text(encoding="utf-8"))
PIECES: dict[str, tuple[int, ...]] = {k: tuple(v["notes"]) for k, v in DATA["pieces"].items()}
ALSO: dict[str, list[str]] = {k: v["also"] for k, v in DATA["pieces"].items()}  # further tags
GROOVES: dict[str, list[dict[str, str]]] = DATA["grooves"]
PIECE_OF = {pitch: piece for piece, pitches in PIECES.items() for pitch in pitches}
HANDS = ("conga", "bongo", "timbales")  # one player strikes several of them
SHAKEN = ("shaker", "guiro")  # not struck
KITS = (0, 0, 8, 16, 24, 25, 32)  # standard, room, power, electronic, TR-808, jazz


@dataclass(frozen=True)
class Style:
    """How a style sounds: tempo, who may play what, and how chords and bass move.

    ``bass`` uses r root, t third, f fifth, o octave; ``chords`` uses c chord, p power chord,
    1 2 3 4 single tones. Programs are General MIDI's; ``grooves`` names the drums'.
    """

    bpm: Sequence[int]
    basses: Sequence[int]
    bass: Sequence[str]
    backing: Sequence[int]
    chords: Sequence[str]
    leads: Sequence[int]
    grooves: str = ""
    swing: bool = False
    also: Sequence[int] = ()  # a further sustained part


STYLES = {name: Style(**values) for name, values in DATA["styles"].items()}


def piece_tags(pieces: set[str]) -> tuple[str, ...]:
    """Tags of percussion: the pieces, their kinds, family and articulation."""
    tags = [tag for piece in sorted(pieces) for tag in (piece, *ALSO[piece])]
    struck = ("struck",) if pieces - set(SHAKEN) else ()
    return tuple(dict.fromkeys((*tags, "percussion", *struck)))


def heard_pieces(notes: Sequence[Note]) -> set[str]:
    """The percussion pieces that drum notes sound."""
    return {PIECE_OF[note.pitch] for note in notes}


def drum_part(rng: Random, groove: dict[str, str], beats: float) -> list[Note]:
    """A groove to the end; where it has a snare, perhaps a run over the toms every fourth bar."""
    sounds = {piece: rng.choice(PIECES[piece]) for piece in groove}
    fill = rng.random() < 0.5 and "snare drum" in groove
    notes = []
    for bar in range(int(beats // 4) + 1):
        filled = fill and bar % 4 == 3 and bar * 4 + 4 < beats
        for piece, steps in groove.items():
            for step, mark in enumerate(steps[:12] if filled else steps):
                start = bar * 4 + step / 4
                if mark == "x" and start < beats:
                    pitch = rng.choice(PIECES[piece]) if piece in HANDS else sounds[piece]
                    notes.append(Note(start, 0.2, pitch, 96 if step % 4 == 0 else 78))
        if filled:
            for k, piece in enumerate(("snare drum", "high tom", "middle tom", "low tom")):
                notes.append(Note(bar * 4 + 3 + k / 4, 0.2, PIECES[piece][0], 96))
    return notes


def single_hits(
    rng: Random, pitches: tuple[int, ...], bpm: int, beats: float, kind: str
) -> list[Note]:
    """One percussion sound alone: ``hits`` far apart, ``steady``, a ``pattern``, or a ``roll``."""
    beat = 60 / bpm
    own = rng.choice(pitches)
    if kind == "hits":
        notes, at = [], 0
        while at < beats:
            notes.append(Note(at, 1, own, 90))
            at += max(1, round(rng.uniform(0.7, 2.6) / beat))
        return notes
    fine = 0.25 if beat / 4 >= 0.1 else 0.5
    step = fine if kind != "steady" else rng.choice((fine, 0.5, 1))
    if kind == "roll":
        step = 0.125 if beat / 8 >= 0.035 else 0.25
    dense = {"pattern": 0.5, "steady": 1.0, "roll": 1.0}[kind]
    bar = [k == 0 or rng.random() < dense for k in range(int(4 / step))]
    notes = []
    for k in range(int(beats / step)):
        rest = kind == "roll" and int(k * step) % 8 >= 5  # rolls come and go
        if bar[k % len(bar)] and not rest:
            pitch = rng.choice(pitches) if kind == "pattern" else own
            notes.append(Note(k * step, step * 0.9, pitch, 94 if k * step % 1 == 0 else 76))
    return notes


def bass_line(voice: Voice, steps: str, degrees: tuple[int, ...]) -> list[Note]:
    """One of a style's bass patterns over these chords, one a bar."""
    tones = {"r": 0, "t": 2, "f": 4, "o": 7}
    return [
        Note(start, length, voice.pitch(degree + tones[mark]), 88)
        for start, length, mark, degree in spread_steps(voice, steps, degrees)
    ]


def backing(voice: Voice, steps: str, degrees: tuple[int, ...], sevenths: bool) -> list[Note]:
    """One of a style's chord patterns over these chords, one a bar."""
    full = (0, 2, 4, 6) if sevenths else (0, 2, 4)
    tones = {"c": full, "p": (0, 4), "1": (0,), "2": (2,), "3": (4,), "4": (7,)}
    return [
        Note(start, length, pitch, 74)
        for start, length, mark, degree in spread_steps(voice, steps, degrees)
        for pitch in sorted({voice.pitch(degree + tone) for tone in tones[mark]})
    ]


def spread_steps(
    voice: Voice, steps: str, degrees: tuple[int, ...]
) -> list[tuple[float, float, str, int]]:
    """Start and length in beats, character and chord of each step that is not ``.``."""
    marks = [k for k, mark in enumerate(steps) if mark != "."]
    spread = []
    for bar in range(int(voice.beats // 4) + 1):
        for k, following in zip(marks, [*marks[1:], 16], strict=True):
            length = (following - k) / 4 * 0.92
            spread.append((bar * 4 + k / 4, length, steps[k], degrees[bar % len(degrees)]))
    return spread


def swing(notes: list[Note]) -> list[Note]:
    """The same with the second half of each beat late, as three to a beat."""

    def late(beat: float) -> float:
        whole, part = divmod(beat, 1)
        return whole + (part * 4 / 3 if part <= 0.5 else 2 / 3 + (part - 0.5) * 2 / 3)

    return [
        Note(late(n.start), late(n.start + n.length) - late(n.start), n.pitch, n.velocity)
        for n in notes
    ]
