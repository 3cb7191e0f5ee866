"""Mutated audio files through both decoders to segments, as many as are asked for.

Every input is a small healthy file with a few changes, most of them where headers are or in the
headers of frames. It must become a vector that is finite, or an error that belongs to the file;
half of them are read from a disk, half from memory. A process of its own does the work: one that
ends, or takes too long over an input, is counted and named by its seed, and the next one goes on.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import mirfeat
from benchmarks.tables import print_machine, print_table
from mirfeat.audio import decode, ogg
from mirfeat.audio.libsndfile import SoundFileDecoder
from mirfeat.errors import AudioError
from tests.support.encoded import by_ffmpeg, by_libsndfile, without_length_frame
from tests.support.sounds import music

SECONDS, RATE, OPUS_RATE = 0.4, 22_050, 48_000
_OGG_HEADER = 27
# Longer than any input takes: then it hangs. Loading the library counts too.
PATIENCE_SECONDS = 60.0
FINE = ("vector", "error of the file", "exception of a decoder, given to the file")
WRONG = ("not finite", "unclassified", "crash", "hang")
OUTCOMES, DECODERS = (*FINE, *WRONG), ("libsndfile", "FFmpeg")


def _snd(format: str, subtype: str, rate: int = RATE) -> Callable[[], bytes]:
    return lambda: by_libsndfile(music(SECONDS, rate), rate, format, subtype)


def _av(codec: str, container: str, rate: int = RATE, **options: str) -> Callable[[], bytes]:
    return lambda: by_ffmpeg(music(SECONDS, rate), rate, codec, container, **options)


# Most of these libsndfile reads.
LIBSNDFILE: dict[str, Callable[[], bytes]] = {
    "wav": _snd("WAV", "PCM_16"),
    "wav float": _snd("WAV", "FLOAT"),
    "flac": _snd("FLAC", "PCM_16"),
    "vorbis": _snd("OGG", "VORBIS"),
    "vorbis, checksums right": _snd("OGG", "VORBIS"),
    "opus": _snd("OGG", "OPUS", OPUS_RATE),
    "opus, checksums right": _snd("OGG", "OPUS", OPUS_RATE),
    "mp3": _snd("MP3", "MPEG_LAYER_III"),
    "aiff": _snd("AIFF", "PCM_16"),
    "au": _snd("AU", "PCM_16"),
    "caf": _snd("CAF", "PCM_16"),
    "w64": _snd("W64", "PCM_16"),
}
# FFmpeg reads these.
FFMPEG: dict[str, Callable[[], bytes]] = {
    "mp3 without length": lambda: without_length_frame(_snd("MP3", "MPEG_LAYER_III")()),
    "mp3 in wav": _av("libmp3lame", "wav"),
    "mp2": _av("mp2", "mp2"),
    "aac": _av("aac", "adts"),
    "ac3": _av("ac3", "ac3", OPUS_RATE),
    "m4a aac": _av("aac", "ipod"),
    "m4a alac": _av("alac", "ipod"),
    "mp4 in fragments": _av("aac", "mp4", movflags="frag_keyframe+empty_moov"),
    "mov pcm": _av("pcm_s16be", "mov"),
    "webm": _av("libopus", "webm", OPUS_RATE),
    "mka flac": _av("flac", "matroska"),
    "wma": _av("wmav2", "asf"),
    "wavpack": _av("wavpack", "wv"),
    "tta": _av("tta", "tta"),
    "avi": _av("libmp3lame", "avi"),
    "flv": _av("aac", "flv"),
    "mpeg-ts": _av("mp2", "mpegts", OPUS_RATE),
    "flac in ogg": _av("flac", "ogg"),
    "flac in ogg, checksums right": _av("flac", "ogg"),
    "alac in caf": _av("alac", "caf"),
}


def input_of(kind: str, whole: bytes, draw: random.Random) -> bytes:
    """A mutated file of a kind."""
    changed = mutated(whole, draw)
    return _with_checksums(changed) if kind.endswith("checksums right") else changed


def _with_checksums(data: bytes) -> bytes:
    """Ogg whose pages say that they are intact: what was changed in them reaches the decoder."""
    found, at = bytearray(data), data.find(b"OggS")
    while at >= 0:
        table = at + _OGG_HEADER
        sizes = found[table : table + int.from_bytes(found[table - 1 : table], "little")]
        end = table + len(sizes) + sum(sizes)
        found[at + 22 : at + 26] = ogg.checksum(bytes(found[at:end]))
        at = data.find(b"OggS", at + 4)
    return bytes(found)


def mutated(data: bytes, draw: random.Random) -> bytes:
    """One to four changes, most of them near the start, where headers are."""
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 4))):
        end = min(len(changed), draw.choice((64, 512, len(changed) or 1)))
        place = draw.randrange(max(1, end))
        kind = draw.randrange(7)
        if kind == 6:  # a header of a frame, of which most formats have many
            place = max(0, changed.find(changed[:2], place))
            kind = draw.randrange(3)
        if kind == 0 and place < len(changed):
            changed[place] ^= 1 << draw.randrange(8)
        elif kind == 1:
            changed[place : place + 4] = draw.choice((b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"))
        elif kind == 2:
            changed[place : place + draw.randint(1, 64)] = draw.randbytes(draw.randint(0, 64))
        elif kind == 3:
            del changed[place : place + draw.randint(1, 256)]
        elif kind == 4:
            changed[place:place] = changed[place : place + draw.randint(1, 256)]
        else:
            del changed[draw.randrange(len(changed) + 1) :]
    return bytes(changed)


def outcome(extractor: mirfeat.Extractor, audio: Path | bytes) -> str:
    """What became of one input: one of OUTCOMES."""
    try:
        vector = extractor.extract(audio)
    except AudioError as error:
        # What a library raises is given to the file, and counted for itself here.
        return FINE[2] if "cannot be decoded (" in str(error) else FINE[1]
    except Exception:
        return "unclassified"
    return "vector" if np.isfinite(vector).all() else "not finite"


class Counts:
    """Numbers that the process at work shares: outcomes, where it is and since when."""

    def __init__(self, kinds: Sequence[str], first: int) -> None:
        """Nothing so far."""
        self.kinds, self._width = tuple(kinds), len(OUTCOMES) + len(DECODERS)
        self._numbers = multiprocessing.RawArray("l", len(kinds) * self._width)
        self.seed = multiprocessing.RawValue("l", first)
        self.since = multiprocessing.RawValue("d", 0.0)
        self.slowest = multiprocessing.RawValue("d", 0.0)
        self.megabytes = multiprocessing.RawValue("l", 0)

    @property
    def kind(self) -> int:
        """Of which kind the input is that is decoded now."""
        return int(self.seed.value) % len(self.kinds)

    def count(self, what: str) -> None:
        """One more, of the input that is decoded now."""
        self._numbers[self.kind * self._width + (*OUTCOMES, *DECODERS).index(what)] += 1

    def of(self, kind: str) -> dict[str, int]:
        """All numbers of a kind."""
        start = self.kinds.index(kind) * self._width
        found = self._numbers[start : start + self._width]
        return dict(zip((*OUTCOMES, *DECODERS), found, strict=True))


def _work(counts: Counts, files: Sequence[bytes], last: int, path: Path) -> None:
    """Body of the process that decodes, from the seed that is next to ``last``."""
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what decoders print
    choose = decode._choose

    def counted(*arguments: Any) -> Any:
        decoder = choose(*arguments)
        counts.count(DECODERS[not isinstance(decoder, SoundFileDecoder)])
        return decoder

    decode._choose = counted  # type: ignore[assignment]
    with mirfeat.load_extractor("mfcc", device="cpu", max_seconds=2.0) as extractor:
        while (seed := counts.seed.value) < last:
            started = counts.since.value = time.time()
            kind = counts.kind
            draw = random.Random(seed)
            data = input_of(counts.kinds[kind], files[kind], draw)
            on_disk = bool(seed // len(files) % 2)
            if on_disk:
                path.write_bytes(data)
            counts.count(outcome(extractor, path if on_disk else data))
            counts.slowest.value = max(counts.slowest.value, time.time() - started)
            counts.megabytes.value = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
            counts.seed.value += 1


def run(
    kinds: Mapping[str, Callable[[], bytes]], first: int, inputs: int, heard: float = 60.0
) -> tuple[Counts, list[str]]:
    """Decode ``inputs`` of them, from seed ``first`` on; the numbers, and what was wrong where.

    Progress is told every ``heard`` seconds on stderr.
    """
    files, last = [make() for make in kinds.values()], first + inputs
    counts, problems, told = Counts(list(kinds), first), list[str](), time.time()
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        while counts.seed.value < last:
            counts.since.value = time.time()
            arguments = (counts, files, last, Path(folder) / "mutated")
            process = context.Process(target=_work, args=arguments, daemon=True)
            process.start()
            hangs = False
            while process.is_alive() and not hangs:
                process.join(0.2)
                hangs = time.time() - counts.since.value > PATIENCE_SECONDS
                if time.time() - told > heard:
                    told = time.time()
                    print(f"{counts.seed.value - first} of {inputs}", file=sys.stderr, flush=True)
            process.kill()
            process.join()
            if counts.seed.value < last:
                what = "hang" if hangs else "crash"
                counts.count(what)
                kind = counts.kinds[counts.kind]
                problems.append(f"seed {counts.seed.value} ({kind}): {what}")
                counts.seed.value += 1
    return counts, problems


def print_counts(title: str, counts: Counts) -> int:
    """A table of what became of each kind; how many were not as they should be."""
    rows, total = [], dict.fromkeys((*OUTCOMES, *DECODERS), 0)
    for kind in counts.kinds:
        found = counts.of(kind)
        total = {what: total[what] + number for what, number in found.items()}
        rows.append((kind, sum(found[what] for what in OUTCOMES), *found.values()))
    rows.append(("all", sum(total[what] for what in OUTCOMES), *total.values()))
    header = ("made of", "inputs", *OUTCOMES, *(f"read by {name}" for name in DECODERS))
    print_table(title, header, rows)
    print(f"\nslowest input {counts.slowest.value:.1f} s, process {counts.megabytes.value} MB")
    return sum(total[what] for what in WRONG)


def main(arguments: Sequence[str] | None = None) -> None:
    """Decode, print tables; exit code 1 if an input did anything but what it should."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=1000, help="of each of the two decoders")
    parser.add_argument("--seed", type=int, default=0, help="the first; others give other inputs")
    options = parser.parse_args(arguments)
    wrong, problems = 0, list[str]()
    for decoder, kinds in (("libsndfile", LIBSNDFILE), ("FFmpeg", FFMPEG)):
        counts, found = run(kinds, options.seed, options.inputs)
        wrong += print_counts(f"Mutated files that are for {decoder}", counts)
        problems += found
    for problem in problems:
        print(f"PROBLEM: {problem}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    print_machine()
    main()
