"""A voice that sings: words that ``flite`` says, put on the notes of a melody by the vocoder WORLD.

Needs the program flite (Debian's package of that name; a BSD-like licence, as its voices have) and
the packages pyworld (MIT) and ``setuptools<81``, which pyworld asks for. A word is said once, taken
apart into pitch, spectrum and noise, and put together with another pitch and length: its consonants
keep their length, its vowel gets the rest.
Letters in shapes: T frames of 5 ms, F frequencies.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from random import Random

import numpy as np
import soundfile as sf

from open_weights.synthetic_score import Note

VOICES = ("slt", "rms", "awb", "kal16")
HIGH_VOICES = ("slt",)  # a woman's; the others are men's
RATE = 16_000
FRAME = 0.005  # seconds
# Ours, one syllable each, of many vowels and consonants.
WORDS = (
    *("love", "night", "home", "sun", "rain", "day", "heart", "time", "fire", "road", "blue"),
    *("light", "song", "wind", "stone", "sea", "moon", "dream", "hand", "gold", "star", "way"),
    *("down", "go", "stay", "fall", "fly", "near", "far", "slow", "wild", "true", "lost", "free"),
    *("la", "oh", "hey", "you", "me", "we"),
)
EDGE = 14  # frames at both ends of a word that keep their length
GLIDE = 12  # frames from one note's pitch to the next
VIBRATO_AFTER = 50  # frames


@dataclass(frozen=True)
class Word:
    """A word as WORLD sees it: ``spectrum`` and ``noise`` [T, F], ``voiced`` [T]."""

    spectrum: np.ndarray
    noise: np.ndarray
    voiced: np.ndarray


@dataclass(frozen=True)
class Singer:
    """``formants`` scales the spectrum (1.1: a shorter throat); ``vibrato`` is in cents."""

    voice: str
    formants: float
    vibrato: float
    vibrato_hz: float
    octave: int


def draw_singer(draw: Random) -> Singer:
    """One of flite's voices, made another by its formants."""
    voice = draw.choice(("slt", "slt", "slt", *VOICES[1:]))
    return Singer(
        voice=voice,
        formants=draw.uniform(0.9, 1.2),
        vibrato=draw.uniform(0.0, 60.0),
        vibrato_hz=draw.uniform(4.5, 6.5),
        octave=0 if voice in HIGH_VOICES else -1,
    )


@lru_cache(maxsize=len(VOICES) * len(WORDS))
def say(voice: str, word: str) -> Word:
    """A word in a voice of flite, taken apart."""
    import pyworld

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "word.wav"
        command = ["flite", "-voice", voice, "-t", word, "-o", str(path)]
        subprocess.run(command, capture_output=True, check=True)
        audio, rate = sf.read(path, dtype="float64")
    pitch, times = pyworld.dio(audio, rate, frame_period=1000.0 * FRAME)
    pitch = pyworld.stonemask(audio, pitch, times, rate)
    spectrum = pyworld.cheaptrick(audio, pitch, times, rate)
    noise = pyworld.d4c(audio, pitch, times, rate)
    level = spectrum.sum(1)
    heard = np.flatnonzero(level > 1e-4 * level.max())
    kept = slice(heard[0], heard[-1] + 1)
    return Word(spectrum[kept], noise[kept], pitch[kept] > 0.0)


def stretched(frames: int, length: int) -> np.ndarray:
    """Which of a word's ``frames`` each of ``length`` frames of a note has, int [length]."""
    edge = min(EDGE, frames // 3, length // 3)
    middle = np.linspace(edge, frames - edge - 1, length - 2 * edge).round()
    taken: np.ndarray = np.r_[np.arange(edge), middle, np.arange(frames - edge, frames)]
    return taken.astype(int)


def with_formants(spectrum: np.ndarray, scale: float) -> np.ndarray:
    """The spectrum [T, F] along another axis of frequency: what was at f is at ``scale`` × f."""
    places = np.minimum(np.arange(spectrum.shape[1]) / scale, spectrum.shape[1] - 1.0)
    lower = places.astype(int)
    upper = np.minimum(lower + 1, spectrum.shape[1] - 1)
    share = places - lower
    moved: np.ndarray = spectrum[:, lower] * (1.0 - share) + spectrum[:, upper] * share
    return moved


def pitch_of(before: float, pitch: float, length: int, singer: Singer) -> np.ndarray:
    """Hz of each frame of a note: a glide from the last note's MIDI pitch, then vibrato."""
    frames = np.arange(length)
    glide = np.clip(1.0 - frames / GLIDE, 0.0, 1.0) * (before - pitch)
    swing = np.clip((frames - VIBRATO_AFTER) / VIBRATO_AFTER, 0.0, 1.0) * singer.vibrato / 100.0
    wave = swing * np.sin(2.0 * np.pi * singer.vibrato_hz * FRAME * frames)
    hertz: np.ndarray = 440.0 * 2.0 ** ((pitch + 12 * singer.octave + glide + wave - 69.0) / 12.0)
    return hertz


def sing(notes: Sequence[Note], bpm: float, singer: Singer, draw: Random) -> np.ndarray:
    """A melody, a word a note, float32 [N] at 16 kHz; silence where there is no note."""
    import pyworld

    frame = 60.0 / bpm / FRAME  # frames a beat
    total = round(max((note.start + note.length for note in notes), default=0.0) * frame) + 1
    bins = say(singer.voice, WORDS[0]).spectrum.shape[1]
    pitch = np.zeros(total)
    spectrum, noise = np.full((total, bins), 1e-12), np.ones((total, bins))
    before = notes[0].pitch if notes else 0
    for note in notes:
        first = round(note.start * frame)
        length = min(round(note.length * frame), total - first)
        word = say(singer.voice, draw.choice(WORDS))
        taken = stretched(len(word.voiced), length)
        here = slice(first, first + length)
        pitch[here] = pitch_of(before, note.pitch, length, singer) * word.voiced[taken]
        spectrum[here] = with_formants(word.spectrum[taken], singer.formants)
        noise[here] = word.noise[taken]
        before = note.pitch
    audio = pyworld.synthesize(pitch, spectrum, noise, RATE, 1000.0 * FRAME)
    sung: np.ndarray = audio.astype(np.float32)
    return sung
