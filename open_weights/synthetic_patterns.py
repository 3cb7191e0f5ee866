"""Keys, and phrases for one pitched instrument.

Every phrase is drawn by a few rules of our own from a ``random.Random``: equal seeds give equal
notes. Times are in beats (quarter notes).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from random import Random

from open_weights.synthetic_score import Note

MODES = {
    "major": ((0, 2, 4, 5, 7, 9, 11),),
    "minor": ((0, 2, 3, 5, 7, 8, 10), (0, 2, 3, 5, 7, 8, 11)),  # natural, harmonic
}
PROGRESSIONS = {  # degrees counted from 0, one a bar
    "major": ((0, 4, 5, 3), (0, 5, 3, 4), (0, 3, 4, 0), (1, 4, 0, 0), (0, 3, 0, 4), (0, 2, 3, 4)),
    "minor": ((0, 5, 2, 6), (0, 3, 4, 0), (0, 6, 5, 4), (0, 0, 3, 4), (0, 5, 3, 4), (0, 3, 6, 2)),
}
RHYTHMS = (  # lengths in beats that fill a bar of four
    (1, 1, 1, 1),
    (1, 0.5, 0.5, 1, 1),
    (0.5, 0.5, 1, 0.5, 0.5, 1),
    (1.5, 0.5, 1, 1),
    (2, 1, 1),
    (1, 1, 2),
    (0.5, 0.5, 0.5, 0.5, 1, 1),
    (0.75, 0.25, 1, 0.75, 0.25, 1),
    (1.5, 0.5, 1.5, 0.5),
    (3, 1),
    (0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5),
)
SHORTEST = 0.11  # seconds between notes; faster is no longer played by hand


@dataclass(frozen=True)
class Key:
    """A tonic (pitch class 0 to 11), ``major`` or ``minor``, and the steps of its scale."""

    tonic: int
    mode: str
    steps: tuple[int, ...]

    def ladder(self, low: int, high: int) -> list[int]:
        """The scale's pitches from ``low`` to ``high``, both inclusive, rising."""
        return [p for p in range(low, high + 1) if (p - self.tonic) % 12 in self.steps]

    def is_heard(self, notes: Iterable[Note]) -> bool:
        """Whether the tonic triad sounds, without which nobody can tell the mode."""
        heard = {(note.pitch - self.tonic) % 12 for note in notes}
        return {0, self.steps[2], 7} <= heard


@dataclass
class Voice:
    """What a phrase is drawn from: a key, the pitches at hand, tempo and length in beats."""

    rng: Random
    key: Key
    low: int
    high: int
    bpm: int
    beats: float
    ladder: list[int] = field(init=False)
    root: int = field(init=False)  # where in the ladder the lowest tonic is

    def __post_init__(self) -> None:
        self.ladder = self.key.ladder(self.low, self.high)
        pitches = [(pitch - self.key.tonic) % 12 for pitch in self.ladder]
        self.root = pitches.index(0)

    def pitch(self, degree: int) -> int:
        """Pitch of a scale degree counted from the lowest tonic, folded into the range."""
        index = self.root + degree
        while index >= len(self.ladder):
            index -= 7
        while index < 0:
            index += 7
        return self.ladder[min(index, len(self.ladder) - 1)]

    def value(self, *beats: float) -> float:
        """One of these note values that is not too fast at this tempo."""
        slow_enough = [b for b in beats if b * 60 / self.bpm >= SHORTEST]
        return self.rng.choice(slow_enough or [max(beats)])

    def long_beats(self, least: float, most: float) -> int:
        """A whole number of beats that lasts about ``least`` to ``most`` seconds."""
        return max(1, round(self.rng.uniform(least, most) * self.bpm / 60))

    def progression(self) -> tuple[int, ...]:
        """Degrees of the chords, one a bar."""
        return self.rng.choice(PROGRESSIONS[self.key.mode])


def draw_key(rng: Random) -> Key:
    """Any tonic, major or minor."""
    mode = rng.choice(sorted(MODES))
    return Key(rng.randrange(12), mode, rng.choice(MODES[mode]))


def sparse(voice: Voice) -> list[Note]:
    """Single long notes with silence between."""
    notes, at = [], 0
    while at < voice.beats:
        length = voice.long_beats(0.6, 4)
        notes.append(Note(at, length, voice.rng.choice(voice.ladder), 80))
        at += length + voice.long_beats(0.5, 2.5)
    return notes


def scale(voice: Voice) -> list[Note]:
    """Scales from the tonic up an octave or two and back, some of them in thirds."""
    notes, at = [], 0.0
    value, gate = voice.value(0.25, 0.5, 1), voice.rng.choice((0.5, 0.95))
    octaves = 2 if voice.ladder[-1] - voice.ladder[voice.root] >= 24 else 1
    steps = [*range(7 * octaves), *range(7 * octaves, -1, -1)]
    if voice.rng.random() < 0.3:
        steps = [step for k in steps[:-1] for step in (k, k + 2)] + [0]
    while at < voice.beats:
        for k, step in enumerate(steps):
            length = value * 2 if k == len(steps) - 1 else value
            notes.append(Note(at, length * gate, voice.pitch(step), 80))
            at += length
        at += voice.rng.choice((0, 1, 2))
    return notes


def arpeggio(voice: Voice) -> list[Note]:
    """Broken chords, a bar each."""
    order = voice.rng.choice(((0, 2, 4, 7), (0, 4, 2, 4), (7, 4, 2, 0), (0, 2, 4, 2)))
    value, chords = voice.value(0.25, 0.5, 1), voice.progression()
    count = int(voice.beats / value)
    return [
        Note(
            k * value, value * 0.95, voice.pitch(chords[int(k * value) // 4 % 4] + order[k % 4]), 80
        )
        for k in range(count)
    ]


def nearest_tone(chord: int, degree: int) -> int:
    """The tone of the triad on ``chord`` that is nearest to a scale degree."""
    tones = (chord + tone for tone in (-7, -5, -3, 0, 2, 4, 7, 9))
    return min(tones, key=lambda tone: abs(tone - degree))


def walk(voice: Voice, gate: float, chords: tuple[int, ...]) -> list[Note]:
    """A tune: two rhythms, chord tones on the strong beats, a root at the end of a phrase."""
    rhythms = [voice.rng.choice(RHYTHMS) for _ in range(2)]
    notes, degree = [], voice.rng.choice((0, 2, 4))
    for bar in range(int(voice.beats // 4) + 1):
        chord, at = chords[bar % len(chords)], bar * 4.0
        if bar % 4 == 3:
            home = voice.pitch(chord + voice.rng.choice((0, 7)))
            notes.append(Note(at, 3 * max(gate, 0.5), home, 85))
            continue
        for length in rhythms[bar % 2]:
            degree = max(-2, min(12, degree + voice.rng.choice((-2, -1, -1, 0, 1, 1, 2))))
            if at % 2 == 0:  # to the nearest tone of the chord
                degree = min(
                    (chord + t for t in (-7, -5, -3, 0, 2, 4, 7, 9)), key=lambda d: abs(d - degree)
                )
            notes.append(Note(at, length * gate, voice.pitch(degree), 90 if at % 4 == 0 else 78))
            at += length
    return notes


def legato(voice: Voice) -> list[Note]:
    """A tune with joined notes."""
    return walk(voice, 0.98, (0, *voice.progression()[1:3], 0))


def staccato(voice: Voice) -> list[Note]:
    """A tune with short notes."""
    return walk(voice, 0.35, (0, *voice.progression()[1:3], 0))


def repeated(voice: Voice) -> list[Note]:
    """One note again and again, then another."""
    notes, at = [], 0.0
    value, gate = voice.value(0.25, 0.5, 1), voice.rng.choice((0.4, 0.9))
    while at < voice.beats:
        pitch = voice.rng.choice(voice.ladder)
        for k in range(voice.rng.choice((4, 8, 8, 16))):
            notes.append(Note(at, value * gate, pitch, 88 if k % 4 == 0 else 76))
            at += value
        at += voice.rng.choice((0, 0, 1, 2))
    return notes


def stack(voice: Voice, tones: tuple[int, ...], *values: float) -> list[Note]:
    """Chords of these tones above each degree of a progression, each ``values`` beats long."""
    value, gate = voice.value(*values), voice.rng.choice((0.45, 0.97))
    chords, shift = voice.progression(), voice.rng.choice((0, 7))
    notes = []
    for k in range(int(voice.beats / value)):
        degree = chords[int(k * value) // 4 % 4] + shift
        pitches = sorted({voice.pitch(degree + tone) for tone in tones})
        notes += [Note(k * value, value * gate, pitch, 78) for pitch in pitches]
    return notes


def chords(voice: Voice) -> list[Note]:
    """Triads and sevenths."""
    tones = voice.rng.choice(((0, 2, 4), (0, 4, 9), (-7, 2, 4, 7), (0, 2, 4, 6)))
    return stack(voice, tones, 0.5, 1, 2, 4)


def held(voice: Voice) -> list[Note]:
    """Long chords, for sounds that come slowly."""
    return stack(voice, voice.rng.choice(((0, 2, 4), (0, 4, 9), (0, 2, 4, 7))), 2, 4)


def power(voice: Voice) -> list[Note]:
    """Root, fifth and octave."""
    return stack(voice, (0, 4, 7), 0.5, 1, 2, 4)


def double(voice: Voice) -> list[Note]:
    """Two notes at a time, a third, a fifth or a sixth apart."""
    gap = voice.rng.choice((2, 2, 4, 5))
    tune = walk(voice, 0.97, (0, *voice.progression()[1:3], 0))
    above = [
        replace(n, pitch=voice.ladder[voice.ladder.index(n.pitch) + gap])
        for n in tune
        if voice.ladder.index(n.pitch) + gap < len(voice.ladder)
    ]
    return sorted([*tune, *above], key=lambda n: (n.start, n.pitch))


def riff(voice: Voice) -> list[Note]:
    """A bar of syncopated low notes, repeated on changing chords."""
    step = 0.25 if 15 / voice.bpm >= SHORTEST else 0.5
    hits = [0, *(k for k in range(1, int(4 / step)) if voice.rng.random() < 0.45)]
    tones = [0, *(voice.rng.choice((0, 0, 4, 7, 6, 2)) for _ in hits[1:])]
    degrees, notes = voice.progression(), []
    for bar in range(int(voice.beats // 4) + 1):
        for k, (hit, tone) in enumerate(zip(hits, tones, strict=True)):
            until = hits[k + 1] if k + 1 < len(hits) else int(4 / step)
            length = min((until - hit) * step, 1.5) * 0.85
            pitch = voice.pitch(degrees[bar % 4] + tone)
            notes.append(Note(bar * 4 + hit * step, length, pitch, 92 if hit == 0 else 80))
    return notes


Phrase = Callable[[Voice], list[Note]]
LINE: tuple[Phrase, ...] = (sparse, legato, scale, staccato, arpeggio, repeated)
PHRASES: dict[str, tuple[Phrase, ...]] = {
    "line": LINE,
    "double": (*LINE, double),
    "keys": (*LINE, chords, chords),
    "guitar": (*LINE, chords, chords),
    "mallet": (*LINE, double),
    "power": (*LINE, power, riff),
    "bass": (sparse, legato, scale, arpeggio, repeated, riff, riff),
    "pad": (sparse, held, held, legato, chords),
}
MODELESS = (sparse, repeated, power, riff)  # no tonic to be heard there
