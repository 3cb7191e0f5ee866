"""Cut the excerpts in examples/music out of the music that debian_music.py fetches.

Usage::

    python open_weights/debian_music.py fetch FOLDER
    python open_weights/make_example_excerpts.py FOLDER [--output examples/music]

``example_excerpts.csv`` beside this script says what is cut: output name, style, group (the
artist: no group may be on both sides of a split), source, start and length in seconds, credits
and licence. Only CC0, CC-BY and CC-BY-SA music is in it, because the excerpts are passed on.
This writes the excerpts, ``labels.csv`` and ``ATTRIBUTION.md``, and checks what it wrote. The
Ogg encoders number their streams at random, so another run gives other bytes, the same sound.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
import soxr
from numpy.typing import NDArray

TABLE = Path(__file__).with_name("example_excerpts.csv")
OUTPUT = Path(__file__).parent.parent / "examples" / "music"
LABELS = ("path", "style", "title", "artist", "album", "group")
LOUDEST = 0.7  # peak after scaling (-3 dB); leaves room for what lossy coding adds
QUIETEST = 0.05  # a peak below this is no music
FADE = 0.01  # seconds; without it the cuts click
MOST_BYTES = 2_600_000  # all excerpts together: they are part of the repository

LICENCES = {
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC-BY-3.0": "https://creativecommons.org/licenses/by/3.0/",
    "CC-BY-SA-3.0": "https://creativecommons.org/licenses/by-sa/3.0/",
}


@dataclass(frozen=True)
class Coding:
    """How to write files of one suffix; ``rate`` in Hz, ``channels`` 1 (downmix) or 2."""

    rate: int
    channels: int
    options: dict[str, Any]  # for soundfile.write


# Several formats, so that the examples read what users have.
CODINGS = {
    ".opus": Coding(
        48000, 1, {"format": "OGG", "subtype": "OPUS", "compression_level": 0.82}
    ),  # about 65 kbit/s
    ".ogg": Coding(
        44100, 2, {"format": "OGG", "subtype": "VORBIS", "compression_level": 0.9}
    ),  # about 80 kbit/s
    ".mp3": Coding(
        44100, 1, {"format": "MP3", "subtype": "MPEG_LAYER_III", "compression_level": 0.8}
    ),
    ".flac": Coding(44100, 1, {"format": "FLAC", "subtype": "PCM_16"}),
}

HEADER = """# Where the excerpts come from

The audio files in this folder are excerpts of openly licensed music. **They are not under this
project's Apache-2.0 licence: each excerpt stays under the licence of the work it was cut from**,
named in the table. Authors and licences were taken from the copyright files of the Debian
packages named there, and from the licence files and tags that come with the music.

Changes made to every work: only the seconds given under "cut" were kept, faded over 10 ms at both
ends, turned down where their peak was above -3 dB, and re-encoded; all but the `.ogg` files were
mixed down to one channel. The authors do not endorse this project or its use of their work.

* CC0-1.0: <https://creativecommons.org/publicdomain/zero/1.0/>
* CC-BY-3.0: <https://creativecommons.org/licenses/by/3.0/>
* CC-BY-SA-3.0: <https://creativecommons.org/licenses/by-sa/3.0/>, text in
  [CC-BY-SA-3.0.txt](CC-BY-SA-3.0.txt)

| file | title | author | work, source | Debian package: file | licence | cut (s) |
|---|---|---|---|---|---|---|
"""

FOOTER = """
Notes:

* Wildfire Games: the music of 0 A.D. is Copyright (C) 2009 Wildfire Games,
  <http://www.wildfiregames.com/>, under CC-BY-SA-3.0.
* Warzone 2100 - Aftermath Soundtrack: Copyright (C) 2021-2022 LupusMechanicus, CC-BY-SA-3.0 or,
  at your discretion, any later version (or GPL-2.0 or later).
* Muldjord: the package holds each song as two files, without the lead guitar and the guitar
  alone; the excerpts are of the first. The note that comes with the songs:

  > This song was composed by El Senator of the danish metal band Muldjord. It
  > is licensed under the Creative Commons Attribute Share-Alike license which
  > can be viewed at http://creativecommons.org/licenses/by-sa/3.0 or in the
  > included license.txt file.
  >
  > Feel free to adapt my work to suit your needs, as long as you give credit to
  > Muldjord as the original author and make sure to include this text file and
  > the license with the redistribution of the work.
  >
  > Thank you,
  > El Senator
  > www.muldjord.com

The list and the script that cuts the excerpts are `open_weights/example_excerpts.csv` and
`open_weights/make_example_excerpts.py`; `labels.csv` gives style and group. The styles are a
reading of tags, titles and the authors' own words; they serve the examples and claim no more.
"""


@dataclass(frozen=True)
class Excerpt:
    """A row of example_excerpts.csv; ``start`` and ``seconds`` in seconds."""

    path: str
    style: str
    group: str
    package: str
    file: str
    start: float
    seconds: float
    title: str
    artist: str
    album: str
    licence: str
    source: str


def read_table(table: Path) -> list[Excerpt]:
    """Return the rows of the table; ValueError where one cannot be used."""
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    excerpts = []
    for row in rows:
        if set(row) != {field.name for field in fields(Excerpt)}:
            raise ValueError(f"{table}: wrong columns in {row}")
        start, seconds = float(row.pop("start")), float(row.pop("seconds"))
        excerpts.append(Excerpt(start=start, seconds=seconds, **row))
    for excerpt in excerpts:
        if excerpt.licence not in LICENCES:
            raise ValueError(f"{excerpt.path}: {excerpt.licence} is not one of {list(LICENCES)}")
        if Path(excerpt.path).suffix not in CODINGS:
            raise ValueError(f"{excerpt.path}: write one of {list(CODINGS)}")
    for name in ("path", "package, file"):
        keys = [tuple(getattr(excerpt, part) for part in name.split(", ")) for excerpt in excerpts]
        if len(set(keys)) < len(keys):
            raise ValueError(f"{table}: the same {name} twice")
    return excerpts


def cut(source: Path, start: float, seconds: float, coding: Coding) -> NDArray[np.float32]:
    """Return part of ``source`` as float32 samples, shape (frames, coding.channels)."""
    with sf.SoundFile(source) as sound:
        rate = int(sound.samplerate)
        sound.seek(round(start * rate))
        samples = sound.read(round(seconds * rate), dtype="float32", always_2d=True)
    if len(samples) < round(seconds * rate):
        raise ValueError(f"{source} ends before {start + seconds} s")
    if coding.channels == 1:
        samples = samples.mean(axis=1, keepdims=True)
    samples = np.asarray(soxr.resample(samples, rate, coding.rate), dtype=np.float32)
    ramp = np.linspace(0, 1, round(FADE * coding.rate), dtype=np.float32)[:, None]
    samples[: len(ramp)] *= ramp
    samples[-len(ramp) :] *= ramp[::-1]
    peak = float(np.abs(samples).max())
    return samples * np.float32(min(1.0, LOUDEST / max(peak, 1e-9)))


def write_excerpt(excerpt: Excerpt, music: Path, output: Path) -> None:
    """Cut one excerpt out of ``music`` and write it below ``output``."""
    source = music / excerpt.package / excerpt.file
    if not source.is_file():
        raise ValueError(f"no {source}: run debian_music.py fetch {music} first")
    coding = CODINGS[Path(excerpt.path).suffix]
    samples = cut(source, excerpt.start, excerpt.seconds, coding)
    partial = output / f".{excerpt.path}.partial"
    sf.write(partial, samples, coding.rate, **coding.options)
    partial.replace(output / excerpt.path)


def write_labels(excerpts: list[Excerpt], output: Path) -> None:
    """Write ``output/labels.csv``."""
    with (output / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(LABELS)
        writer.writerows([getattr(excerpt, name) for name in LABELS] for excerpt in excerpts)


def write_attribution(excerpts: list[Excerpt], output: Path) -> None:
    """Write ``output/ATTRIBUTION.md``: credit, licence and changes of every excerpt."""
    rows = [
        f"| {row.path} | {row.title} | {row.artist} | {row.album}, <{row.source}> "
        f"| {row.package}: `{row.file}` | [{row.licence}]({LICENCES[row.licence]}) "
        f"| {row.start:g}-{row.start + row.seconds:g} |\n"
        for row in excerpts
    ]
    text = HEADER + "".join(rows) + FOOTER
    (output / "ATTRIBUTION.md").write_text(text, encoding="utf-8")


def check(excerpts: list[Excerpt], output: Path) -> None:
    """Decode every excerpt; ValueError where one is silent, clipped, cut short or doubled."""
    total, digests = 0, set()
    for excerpt in excerpts:
        file = output / excerpt.path
        samples, rate = sf.read(file, dtype="float32", always_2d=True)
        peak, seconds = float(np.abs(samples).max()), len(samples) / rate
        if not QUIETEST < peak < 1.0:
            raise ValueError(f"{file.name}: peak {peak:.3f}")
        if abs(seconds - excerpt.seconds) > 0.1:
            raise ValueError(f"{file.name}: {seconds:.2f} s")
        total += file.stat().st_size
        digests.add(hashlib.sha256(samples.tobytes()).digest())
        print(f"{file.name:34s} {seconds:5.2f} s {rate} Hz x{samples.shape[1]} peak {peak:.2f}")
    if len(digests) < len(excerpts):
        raise ValueError("two excerpts are the same")
    if total > MOST_BYTES:
        raise ValueError(f"{total} bytes in all, more than {MOST_BYTES}")
    print(f"{len(excerpts)} excerpts, {total} bytes")


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("music", type=Path, help="folder that debian_music.py filled")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="default: %(default)s")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    try:
        excerpts = read_table(TABLE)
        for excerpt in excerpts:
            write_excerpt(excerpt, args.music, args.output)
        write_labels(excerpts, args.output)
        write_attribution(excerpts, args.output)
        check(excerpts, args.output)
    except (ValueError, sf.LibsndfileError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
