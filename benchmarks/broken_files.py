"""Small audio files, some of them broken in ways that music collections know.

What is drawn depends on the seed alone, so a drill can be repeated.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

ENDINGS = (".wav", ".flac", ".ogg", ".mp3")


def sound(seed: int, seconds: float, rate: int, channels: int) -> np.ndarray:
    """Gliding tones and some noise, float32 (N, C), peak below 0.9."""
    generator = np.random.default_rng(seed)
    time_seconds = np.arange(round(seconds * rate))[:, None] / rate
    pitches = generator.uniform(100.0, 1500.0, (3, 1, channels))
    clip = 0.02 * generator.standard_normal((len(time_seconds), channels))
    for pitch in pitches:
        clip += 0.2 * np.sin(2 * np.pi * pitch * (1 + 0.1 * np.sin(time_seconds)) * time_seconds)
    return clip.astype(np.float32)


def write_good(path: Path, seed: int) -> None:
    """A clip of 1 to 3 s: any of four rates, mono or stereo."""
    draw = random.Random(seed)
    rate, channels = draw.choice((16_000, 22_050, 44_100, 48_000)), draw.choice((1, 2))
    soundfile.write(path, sound(seed, draw.uniform(1.0, 3.0), rate, channels), rate)


def _cut(path: Path, seed: int) -> None:
    write_good(path, seed)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 6 // 10])


def _patched(path: Path, seed: int, offset: int, data: bytes) -> None:
    write_good(path, seed)
    whole = bytearray(path.read_bytes())
    whole[offset : offset + len(data)] = data
    path.write_bytes(whole)


def _damaged_middle(path: Path, seed: int) -> None:
    write_good(path, seed)
    whole = bytearray(path.read_bytes())
    middle = len(whole) // 2
    whole[middle : middle + 200] = random.Random(seed).randbytes(200)
    path.write_bytes(whole)


def _floats(path: Path, samples: np.ndarray) -> None:
    soundfile.write(path, samples, 22_050, subtype="FLOAT")


def _with(value: float) -> Callable[[Path, int], None]:
    def make(path: Path, seed: int) -> None:
        samples = sound(seed, 1.5, 22_050, 1)
        samples[10_000:10_100] = value
        _floats(path, samples)

    return make


def _bytes(data: bytes) -> Callable[[Path, int], None]:
    def make(path: Path, _: int) -> None:
        path.write_bytes(data)

    return make


def _header_only(path: Path, _: int) -> None:
    soundfile.write(path, np.zeros((0, 1), np.float32), 22_050)


def _loud(path: Path, seed: int) -> None:
    _floats(path, 32_000 * sound(seed, 1.0, 22_050, 2))


def _dangling(path: Path, _: int) -> None:
    path.symlink_to(path.with_name("gone.wav"))


def _forbidden(path: Path, seed: int) -> None:
    write_good(path, seed)
    path.chmod(0)


NOISE = random.Random(0).randbytes(5000)
FAULTS: dict[str, tuple[str, Callable[[Path, int], None]]] = {
    "0 bytes": (".mp3", _bytes(b"")),
    "text": (".wav", _bytes(b"this is no audio\n" * 50)),
    "web page": (".mp3", _bytes(b"<!DOCTYPE html><html><title>404</title></html>\n" * 20)),
    "header only": (".wav", _header_only),
    "wav cut short": (".wav", _cut),
    "flac cut short": (".flac", _cut),
    "ogg cut short": (".ogg", _cut),
    "mp3 cut short": (".mp3", _cut),
    "block of NaN": (".wav", _with(np.nan)),
    "infinite samples": (".wav", _with(np.inf)),
    "link to nowhere": (".wav", _dangling),
    "damaged flac frame": (".flac", _damaged_middle),
    "wrong first bytes": (".flac", lambda path, seed: _patched(path, seed, 0, b"\0\0\0\0")),
    "absurd sample rate": (
        ".wav",
        lambda path, seed: _patched(path, seed, 24, (1_900_000_000).to_bytes(4, "little")),
    ),
    "picture": (".ogg", _bytes(b"\x89PNG\r\n\x1a\n" + NOISE)),
    "noise as m4a": (".m4a", _bytes(NOISE)),
    "integers as floats": (".wav", _loud),
    "no permission": (".wav", _forbidden),
}


def faults_here() -> list[str]:
    """Kinds of faults that this machine can show."""
    everything_readable = not hasattr(os, "geteuid") or os.geteuid() == 0
    return [name for name in FAULTS if name != "no permission" or not everything_readable]


def make_files(folder: Path, count: int, seed: int, broken: int) -> dict[str, str]:
    """``count`` files in folders, ``broken`` of them so; what is wrong with each id, or ""."""
    draw, kinds = random.Random(seed), faults_here()
    faults = [kinds[number % len(kinds)] for number in range(broken)]
    plan = faults + [""] * (count - broken)
    draw.shuffle(plan)
    made = {}
    for number, fault in enumerate(plan):
        ending, make = FAULTS.get(fault, (ENDINGS[number % 4], write_good))
        # A comma, a quote and a letter beyond ASCII: names that lists must not stumble over.
        id = f'{number // 100:02d}/{number:04d}, "ü"{ending}'
        (folder / id).parent.mkdir(parents=True, exist_ok=True)
        make(folder / id, seed * 100_000 + number)
        made[id] = fault
    return made
