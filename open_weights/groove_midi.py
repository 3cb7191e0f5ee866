"""What is done to the notes that ``mma`` makes: other instruments of the same kind, and a lead.

A file of mma's library always has the same instruments. Here a channel may get another program of
its General MIDI family (another guitar for a guitar) and the drums another kit, and a lead plays
pentatonic phrases over the whole: of the five notes none is wrong over any chord of the key, so
they need not know the chords.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from open_weights.synthetic_score import DRUM_CHANNEL, Note

if TYPE_CHECKING:
    import mido

FAMILY = 8  # programs of a General MIDI family
# Room, power, electronic, TR-808, jazz, brush, orchestra. A soundfont without one plays kit 0.
KITS = (0, 8, 16, 24, 25, 32, 40, 48)
# Guitars, saxophones, trumpet, flute, violin, harmonica, organs, piano, synthesised leads, voices.
LEADS = (
    *(0, 4, 11, 16, 18, 21, 22, 25, 26, 27, 29, 30, 40, 52, 53, 54, 56, 61, 65, 66, 71, 73),
    *(80, 81, 82, 85, 87),
)
PENTATONIC = {False: (0, 2, 4, 7, 9), True: (0, 3, 5, 7, 10)}
LOWEST, HIGHEST = 57, 81
LENGTHS = (0.5, 0.5, 0.5, 1.0, 1.0, 1.5, 2.0)
PHRASE, REST = 8.0, (1.0, 2.0, 4.0, 8.0)  # beats


@dataclass(frozen=True)
class Arrangement:
    """How a piece departs from what mma makes of it.

    ``programs`` is the chance of a channel to get another program; ``lead`` a General MIDI program,
    or None for no lead; ``key`` 0 to 11; ``volume`` of the lead 0 to 127; ``seed`` what all else is
    drawn from.
    """

    programs: float
    lead: int | None
    key: int
    minor: bool
    volume: int
    seed: str


def draw_arrangement(draw: Random, key: int, minor: bool) -> Arrangement:
    """As the library means it in a third of the pieces; with a lead in half of them."""
    programs = draw.choice((0.0, 0.3, 0.6))
    lead = draw.choice(LEADS) if draw.random() < 0.5 else None
    return Arrangement(programs, lead, key, minor, draw.randint(70, 120), str(draw.random()))


def phrases(draw: Random, key: int, minor: bool, beats: float) -> list[Note]:
    """A melody of ``beats`` quarter notes: phrases that walk up and down the scale, and rests."""
    ladder = [
        pitch for pitch in range(LOWEST, HIGHEST + 1) if (pitch - key) % 12 in PENTATONIC[minor]
    ]
    notes: list[Note] = []
    now, place = draw.choice(REST), draw.randrange(len(ladder))
    while now < beats:
        until = min(beats, now + PHRASE)
        while now < until:
            length = draw.choice(LENGTHS)
            notes.append(Note(now, 0.9 * length, ladder[place], draw.randint(75, 115)))
            step = draw.choice((-2, -1, -1, 0, 1, 1, 2))
            place = max(0, min(len(ladder) - 1, place + step))
            now += length
        now += draw.choice(REST)
    return notes


def arrange(path: Path, arrangement: Arrangement) -> None:
    """Change a MIDI file of mma in place."""
    import mido

    draw, file = Random(arrangement.seed), mido.MidiFile(path)
    change_programs(file, arrangement.programs, draw)
    channel = free_channel(file)
    if arrangement.lead is not None and channel is not None:
        file.tracks.append(lead_track(file, arrangement, channel, draw))
    file.save(path)


def change_programs(file: mido.MidiFile, chance: float, draw: Random) -> None:
    """Another program of the same family for some channels, another kit for the drums."""
    for track in file.tracks:
        for message in track:
            if message.type == "program_change" and draw.random() < chance:
                first = message.program - message.program % FAMILY
                drums = message.channel == DRUM_CHANNEL
                message.program = draw.choice(KITS) if drums else first + draw.randrange(FAMILY)


def free_channel(file: mido.MidiFile) -> int | None:
    """A channel that plays nothing and is not the drums'; None where there is none."""
    used = {message.channel for track in file.tracks for message in track if not message.is_meta}
    free = sorted(set(range(16)) - used - {DRUM_CHANNEL})
    return free[0] if free else None


def lead_track(
    file: mido.MidiFile, arrangement: Arrangement, channel: int, draw: Random
) -> mido.MidiTrack:
    """The lead, as long as the rest of the piece."""
    import mido

    beat = file.ticks_per_beat
    ticks = max(sum(message.time for message in track) for track in file.tracks)
    events = []
    for note in phrases(draw, arrangement.key, arrangement.minor, ticks / beat):
        start, end = round(note.start * beat), round((note.start + note.length) * beat)
        events.append((start, 1, "note_on", note.pitch, note.velocity))
        events.append((min(end, ticks), 0, "note_off", note.pitch, 0))
    program = mido.Message("program_change", channel=channel, program=arrangement.lead)
    volume = mido.Message("control_change", channel=channel, control=7, value=arrangement.volume)
    track, now = mido.MidiTrack([program, volume]), 0
    for tick, _, kind, pitch, velocity in sorted(events):
        track.append(
            mido.Message(kind, channel=channel, note=pitch, velocity=velocity, time=tick - now)
        )
        now = tick
    track.append(mido.MetaMessage("end_of_track", time=0))
    return track
