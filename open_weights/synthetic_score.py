"""What the synthetic music is written in: notes, parts, scores, instruments; and MIDI files.

Times are in beats (quarter notes), pitches are MIDI numbers, velocities 1 to 127. The
instruments are in ``synthetic_instruments.csv``: General MIDI program (counted from 0), names,
families, articulation, lowest and highest pitch, and role, which says what phrases it can play.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from random import Random

from mirfeat.errors import MissingPackageError

TABLE = Path(__file__).with_name("synthetic_instruments.csv")
TICKS = 480  # a beat
BEND = 8192 / 200  # pitch bend a cent, at General MIDI's range of two semitones
DRUM_CHANNEL = 9  # counted from 0


@dataclass(frozen=True)
class Note:
    """One note: start and length in beats, MIDI pitch, velocity."""

    start: float
    length: float
    pitch: int
    velocity: int


@dataclass(frozen=True)
class Part:
    """What one MIDI channel plays; ``tags`` names it. Channel 9 is the drum kit.

    ``pan``, ``volume``, ``reverb`` and ``chorus`` are controller values 0 to 127; ``cents``
    detunes the part.
    """

    channel: int
    program: int
    tags: tuple[str, ...]
    notes: tuple[Note, ...]
    volume: int = 100
    pan: int = 64
    reverb: int = 0
    chorus: int = 0
    cents: float = 0.0


@dataclass(frozen=True)
class Score:
    """A piece: tempo in beats a minute, length in seconds, parts and what is known of it."""

    title: str
    bpm: int
    seconds: float
    parts: tuple[Part, ...]
    tags: tuple[str, ...]
    genre: str = ""


@dataclass(frozen=True)
class Instrument:
    """A row of the table of instruments."""

    program: int
    names: tuple[str, ...]
    families: tuple[str, ...]
    articulation: str
    low: int
    high: int
    role: str

    @property
    def tags(self) -> tuple[str, ...]:
        """Names, families and articulation, each once."""
        given = (*self.names, *self.families, self.articulation)
        return tuple(dict.fromkeys(filter(None, given)))


def read_instruments() -> list[Instrument]:
    """The table of instruments, in its order."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        return [
            Instrument(
                int(row["program"]),
                tuple(row["names"].split(";")),
                tuple(row["family"].split(";")),
                row["articulation"],
                int(row["low"]),
                int(row["high"]),
                row["role"],
            )
            for row in csv.DictReader(file)
        ]


def humanise(rng: Random, notes: Iterable[Note], bpm: int, seconds: float) -> tuple[Note, ...]:
    """Uneven velocities and onsets, as of a player; nothing starts after ``seconds``.

    The spread of the onsets is at most 8 ms, small beside what a listener takes for a beat.
    """
    level, spread = rng.randint(-25, 25), rng.uniform(2, 9)
    jitter = rng.uniform(0, 0.008) * bpm / 60
    played = []
    for note in notes:
        start = max(0.0, note.start + rng.gauss(0, jitter))
        velocity = round(min(127, max(20, note.velocity + level + rng.gauss(0, spread))))
        if start * 60 / bpm < seconds:
            played.append(Note(start, note.length, note.pitch, velocity))
    return tuple(sorted(played, key=lambda note: (note.start, note.pitch)))


def midi_bytes(score: Score) -> bytes:
    """``score`` as a standard MIDI file that ends after exactly its length.

    Raises:
        MissingPackageError: mido is not installed.
    """
    try:
        import mido
    except ImportError as error:
        raise MissingPackageError("MIDI files need mido: pip install 'mirfeat[train]'") from error
    end = round(score.seconds * score.bpm / 60 * TICKS)
    file = mido.MidiFile(type=1, ticks_per_beat=TICKS)
    tempo = mido.MetaMessage("set_tempo", tempo=round(60e6 / score.bpm))
    file.tracks.append(mido.MidiTrack([tempo, mido.MetaMessage("end_of_track", time=end)]))
    for part in score.parts:
        events = sorted([*setup(part), *sounding(part, end)])
        track, now = mido.MidiTrack(), 0
        for tick, _, kind, values in events:
            message = mido.Message(kind, channel=part.channel, **dict(values))
            track.append(message.copy(time=tick - now))
            now = tick
        track.append(mido.MetaMessage("end_of_track", time=end - now))
        file.tracks.append(track)
    buffer = BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


Event = tuple[int, int, str, tuple[tuple[str, int], ...]]  # tick, rank in the tick, kind, values


def setup(part: Part) -> list[Event]:
    """What a channel is told before its first note."""
    controls = ((7, part.volume), (10, part.pan), (91, part.reverb), (93, part.chorus))
    bend = max(-8192, min(8191, round(part.cents * BEND)))
    return [
        (0, 0, "program_change", (("program", part.program),)),
        *((0, 1, "control_change", (("control", c), ("value", v))) for c, v in controls),
        (0, 2, "pitchwheel", (("pitch", bend),)),
    ]


def sounding(part: Part, end: int) -> list[Event]:
    """Note on and off; a note still sounding when its pitch is struck again ends there."""
    events: list[Event] = []
    following: dict[int, int] = {}
    for note in reversed(part.notes):
        start = round(note.start * TICKS)
        until = min(start + max(1, round(note.length * TICKS)), following.get(note.pitch, end), end)
        following[note.pitch] = start
        if until <= start:  # struck twice at once, or after the end
            continue
        on = (("note", note.pitch), ("velocity", note.velocity))
        events.append((start, 4, "note_on", on))
        events.append((until, 3, "note_off", (("note", note.pitch),)))
    return events
