"""Whole pieces with their exact tags: solos, percussion alone, ensembles; and what to make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

from open_weights.synthetic_bands import (
    GROOVES,
    KITS,
    PIECES,
    STYLES,
    backing,
    bass_line,
    drum_part,
    heard_pieces,
    piece_tags,
    single_hits,
    swing,
)
from open_weights.synthetic_patterns import MODELESS, PHRASES, Voice, draw_key, walk
from open_weights.synthetic_score import (
    DRUM_CHANNEL,
    Instrument,
    Note,
    Part,
    Score,
    humanise,
    read_instruments,
)

SHORTEST, LONGEST = 15.0, 30.0  # seconds
TAIL = 1.5  # seconds at the end where nothing starts
FAST, SLOW = 5.0, 1.5  # onsets a second of a solo from which, and up to which, it has the tag
FAST_BPM, SLOW_BPM = 130, 80  # the same for ensembles
TOMS = ("low tom", "middle tom", "high tom")
ALONE: tuple[tuple[str, tuple[str, ...], str], ...] = (
    *(("bass drum", ("bass drum",), kind) for kind in ("hits", "pattern", "steady")),
    *(("snare drum", ("snare drum",), kind) for kind in ("hits", "pattern", "roll", "steady")),
    *(("closed hi-hat", ("closed hi-hat",), kind) for kind in ("hits", "pattern", "steady")),
    *(("open hi-hat", ("open hi-hat",), kind) for kind in ("hits", "pattern")),
    ("hi-hat", ("closed hi-hat", "open hi-hat"), "pattern"),
    *(
        ("toms", ("low tom", "middle tom", "high tom"), kind)
        for kind in ("hits", "pattern", "roll")
    ),
    ("cymbals", ("crash cymbal", "ride cymbal"), "pattern"),
    ("crash cymbal", ("crash cymbal",), "hits"),
    *(("ride cymbal", ("ride cymbal",), kind) for kind in ("hits", "steady")),
    *(("claps", ("claps",), kind) for kind in ("hits", "pattern")),
    *(("congas", ("conga",), kind) for kind in ("hits", "pattern")),
    *((name, (name,), "pattern") for name in ("bongo", "timbales", "tambourine", "cowbell")),
    *((name, (name,), "pattern") for name in ("shaker", "wood block", "agogo", "claves")),
    *((name, (name,), "pattern") for name in ("triangle", "side stick", "guiro")),
)
DRUM_PROGRAMS = (  # program, tags, pitches
    (115, ("wood block",), (60, 64, 67, 72)),
    (116, ("taiko", "drums"), (40, 45, 50, 55)),
    (117, ("tom", "drums"), (45, 50, 55, 60)),
    (118, ("synth drum", "drums", "synth"), (40, 45, 50, 57)),
)


@dataclass(frozen=True)
class Job:
    """One track to make: ``group`` solo, percussion or ensemble, ``name`` what of it."""

    group: str
    name: str
    compose: Callable[[Random], Score]


def draw_tempo(rng: Random, low: int = 50, high: int = 200) -> int:
    """A whole number of beats a minute, equally often in equal ratios."""
    ratio: float = (high / low) ** rng.random()
    return min(high, max(low, round(low * ratio)))


def draw_part(
    rng: Random, channel: int, program: int, tags: Sequence[str], notes: tuple[Note, ...]
) -> Part:
    """A part with a volume, place and effects of its own."""
    return Part(
        channel,
        program,
        tuple(tags),
        notes,
        volume=rng.randint(80, 110),
        pan=rng.randint(24, 104),
        reverb=rng.choice((0, rng.randint(10, 90))),
        chorus=rng.choice((0, 0, rng.randint(10, 80))),
        cents=0.0 if channel == DRUM_CHANNEL else rng.uniform(-30, 30),
    )


def speed(notes: Sequence[Note], seconds: float) -> tuple[str, ...]:
    """``fast`` or ``slow`` by the onsets a second; chords count once."""
    rate = len({round(note.start, 1) for note in notes}) / seconds
    return ("fast",) * (rate >= FAST) + ("slow",) * (rate <= SLOW)


def window(rng: Random, instrument: Instrument) -> tuple[int, int]:
    """Lowest and highest pitch of a piece: an octave or two of the instrument's range."""
    span = min(instrument.high - instrument.low, rng.randint(14, 28))
    low = rng.randint(instrument.low, instrument.high - span)
    return low, low + span


def compose_solo(rng: Random, instrument: Instrument, turn: int) -> Score:
    """One instrument alone; ``turn`` goes through the kinds of phrase it can play."""
    seconds, bpm, key = rng.uniform(SHORTEST, LONGEST), draw_tempo(rng), draw_key(rng)
    beats = (seconds - TAIL) * bpm / 60
    kinds = PHRASES[instrument.role]
    kind = kinds[(turn + instrument.program) % len(kinds)]
    voice = Voice(rng, key, *window(rng, instrument), bpm, beats)
    notes = humanise(rng, kind(voice), bpm, seconds - TAIL)
    mode = (key.mode,) if kind not in MODELESS and key.is_heard(notes) else ()
    tags = (*instrument.tags, "solo", *mode, *speed(notes, seconds))
    part = draw_part(rng, 0, instrument.program, instrument.tags, notes)
    title = f"{instrument.names[-1]}, {kind.__name__}"
    return Score(title, bpm, seconds, (part,), tags)


def percussion_score(rng: Random, title: str, bpm: int, seconds: float, part: Part) -> Score:
    """``part`` alone."""
    tags = (*part.tags, "solo", *speed(part.notes, seconds))
    return Score(title, bpm, seconds, (part,), tuple(dict.fromkeys(tags)))


def compose_percussion(rng: Random, pieces: tuple[str, ...], kind: str) -> Score:
    """One or a few kindred percussion instruments alone."""
    seconds, bpm = rng.uniform(SHORTEST, LONGEST), draw_tempo(rng)
    pitches = tuple(pitch for piece in pieces for pitch in PIECES[piece])
    drawn = single_hits(rng, pitches, bpm, (seconds - TAIL) * bpm / 60, kind)
    notes = humanise(rng, drawn, bpm, seconds - TAIL)
    heard = heard_pieces(notes)
    part = draw_part(rng, DRUM_CHANNEL, rng.choice(KITS), piece_tags(heard), notes)
    return percussion_score(rng, f"{', '.join(sorted(heard))}, {kind}", bpm, seconds, part)


def compose_drum_program(
    rng: Random, program: int, tags: tuple[str, ...], pitches: tuple[int, ...]
) -> Score:
    """A drum that is a program of its own."""
    seconds, bpm = rng.uniform(SHORTEST, LONGEST), draw_tempo(rng)
    kind = rng.choice(("hits", "pattern", "pattern"))
    drawn = single_hits(rng, pitches, bpm, (seconds - TAIL) * bpm / 60, kind)
    notes = humanise(rng, drawn, bpm, seconds - TAIL)
    part = draw_part(rng, 0, program, (*tags, "percussion", "struck"), notes)
    return percussion_score(rng, f"{tags[0]}, {kind}", bpm, seconds, part)


def compose_kit(rng: Random, name: str) -> Score:
    """A whole drum kit alone, in the manner of a style."""
    low, high = next((style.bpm for style in STYLES.values() if style.grooves == name), (50, 200))
    seconds, bpm = rng.uniform(SHORTEST, LONGEST), draw_tempo(rng, low, high)
    drawn = drum_part(rng, rng.choice(GROOVES[name]), (seconds - TAIL) * bpm / 60)
    notes = humanise(rng, swing(drawn) if name == "jazz" else drawn, bpm, seconds - TAIL)
    heard = heard_pieces(notes)
    tags = ("drum kit", *piece_tags(heard)) if "bass drum" in heard else piece_tags(heard)
    part = draw_part(rng, DRUM_CHANNEL, rng.choice(KITS), tags, notes)
    return percussion_score(rng, f"percussion, {name} groove", bpm, seconds, part)


def compose_ensemble(rng: Random, name: str) -> Score:
    """Bass, chords, tune and, in most styles, drums; now and then a part is left out."""
    style = STYLES[name]
    instruments = {instrument.program: instrument for instrument in read_instruments()}
    seconds, key = rng.uniform(20, LONGEST), draw_key(rng)
    bpm = draw_tempo(rng, style.bpm[0], style.bpm[1])
    beats = (seconds - TAIL) * bpm / 60
    parts: list[Part] = []

    def add(program: int, low: int, high: int, play: Callable[[Voice], list[Note]]) -> None:
        own = instruments[program]
        low, high = max(low, own.low), min(high, own.high)
        if high - low < 12:  # the part lies outside the instrument's range
            low, high = own.low, own.high
        notes = play(Voice(rng, key, low, high, bpm, beats))
        played = humanise(rng, swing(notes) if style.swing else notes, bpm, seconds - TAIL)
        parts.append(draw_part(rng, len(parts), program, own.tags, played))

    chords = (0, *Voice(rng, key, 48, 72, bpm, beats).progression()[1:])
    bass, comping = rng.choice(style.bass), rng.choice(style.chords)
    low = 28 if name != "chiptune" else 48
    add(rng.choice(style.basses), low, low + 24, lambda v: bass_line(v, bass, chords))
    add(rng.choice(style.backing), 43, 69, lambda v: backing(v, comping, chords, style.swing))
    if style.also and rng.random() < 0.5:
        add(rng.choice(style.also), 52, 76, lambda v: backing(v, "c" + "." * 15, chords, False))
    if rng.random() < 0.8:
        gate = rng.choice((0.98, 0.98, 0.35))
        add(rng.choice(style.leads), 60, 84, lambda v: walk(v, gate, chords))
    if style.grooves and rng.random() < 0.85:
        drawn = drum_part(rng, rng.choice(GROOVES[style.grooves]), beats)
        notes = humanise(rng, swing(drawn) if style.swing else drawn, bpm, seconds - TAIL)
        tags = piece_tags(heard_pieces(notes))
        parts.append(draw_part(rng, DRUM_CHANNEL, drum_kit(rng, name), tags, notes))
    return ensemble_score(name, bpm, seconds, parts, key.mode)


def drum_kit(rng: Random, style: str) -> int:
    """A kit that suits the style."""
    return rng.choice(
        {"dance": (24, 25), "chiptune": (24, 25), "jazz": (32,)}.get(style, (0, 8, 16))
    )


def ensemble_score(name: str, bpm: int, seconds: float, parts: list[Part], mode: str) -> Score:
    """The parts together, with the tags of all of them."""
    pace = ("fast",) * (bpm >= FAST_BPM) + ("slow",) * (bpm <= SLOW_BPM)
    tags = [tag for part in parts for tag in part.tags]
    tags = list(dict.fromkeys([*tags, "ensemble", mode, *pace, name]))
    names = ", ".join(dict.fromkeys(part.tags[0] for part in parts))
    return Score(f"{name}: {names}", bpm, seconds, tuple(parts), tuple(tags), name)


def plan(hours: float) -> list[Job]:
    """What to make for about this many hours of sound; the same for equal ``hours``.

    Of the time 30 % are ensembles. Of the solos 15 % are percussion, the rest goes to all
    instruments in turn, so that no two differ by more than one track.
    """
    tracks = hours * 3600 / ((SHORTEST + LONGEST) / 2)
    solos = round(0.7 * 0.85 * tracks)
    percussion = round(0.7 * 0.15 * tracks)
    ensembles = round(hours * 3600 * 0.3 / ((20 + LONGEST) / 2))
    pitched, hit, styles = read_instruments(), percussion_jobs(), list(STYLES)
    jobs = []
    for k in range(solos):
        instrument, turn = pitched[k % len(pitched)], k // len(pitched)
        jobs.append(
            Job(
                "solo",
                instrument.names[-1],
                partial(compose_solo, instrument=instrument, turn=turn),
            )
        )
    jobs += [hit[k % len(hit)] for k in range(percussion)]
    for k in range(ensembles):
        style = styles[k % len(styles)]
        jobs.append(Job("ensemble", style, partial(compose_ensemble, name=style)))
    return jobs


def percussion_jobs() -> list[Job]:
    """One of each percussion solo there is, kits in turn with single instruments."""
    alone = [
        Job("percussion", name, partial(compose_percussion, pieces=pieces, kind=kind))
        for name, pieces, kind in ALONE
    ]
    programs = [
        Job("percussion", tags[0], partial(compose_drum_program, program=p, tags=tags, pitches=n))
        for p, tags, n in DRUM_PROGRAMS
    ]
    kits = [Job("percussion", f"{name} kit", partial(compose_kit, name=name)) for name in GROOVES]
    return [*kits, *alone, *programs]
