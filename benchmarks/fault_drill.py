"""A fault drill: broken files in a run that is killed again and again, and then what is left.

``mirfeat extract`` runs over small files, one in ten of them broken, gets SIGKILL at random moments
and while it writes, and is then left to end. Every good file must be there once, with the vector of
a run that nobody disturbed, and every broken one listed once with its reason. After a run that came
to its end before it was killed, some files are touched, so that the next one has work.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.tables import print_machine, print_table
from mirfeat.features import Failure, FeatureTable
from mirfeat.store import load_features

# Parts of a few files, so that there is something to lose at every moment.
CHILD = """
import sys
from mirfeat import cli, writer
writer.PART_ROWS = int(sys.argv[1])
sys.exit(cli.main(sys.argv[2:]))
"""
ENDINGS = (".wav", ".flac", ".ogg", ".mp3")
EXPECTED = {
    "csv": r"\.lock|store\.json|failures\.csv|features\.csv",
    "parquet": r"\.lock|store\.json|failures\.csv|part-\d{6}\.parquet",
}


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


@dataclass
class Drill:
    """What a drill came to: kills that struck, and everything that is not as it should be."""

    faults: Mapping[str, str]
    kills: int = 0
    kills_while_writing: int = 0
    ended: int = 0
    problems: list[str] = field(default_factory=list)
    failures: Sequence[Failure] = ()


@dataclass(frozen=True)
class Runner:
    """Starts the command over a folder of music."""

    music: Path
    format: str
    part_rows: int

    def start(self, store: Path) -> subprocess.Popen[bytes]:
        """A run that goes on where the one before was killed."""
        # One at a time: who shares a batch with whom moves a vector by rounding.
        options = ["-m", "mfcc", "--batch-size", "1", "--device", "cpu", "--format", self.format]
        command = ["extract", str(self.music), "-o", str(store), *options, "-q"]
        return subprocess.Popen(
            [sys.executable, "-c", CHILD, str(self.part_rows), *command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def drill(
    folder: Path, *, files: int, kills: int, format: str, seed: int = 0, broken: int | None = None
) -> Drill:
    """Make files, kill runs over them, let one end, and look."""
    music, calm, store = folder / "music", folder / "calm", folder / "store"
    faults = make_files(music, files, seed, files // 10 if broken is None else broken)
    found = Drill(faults)
    runner = Runner(music, format, max(2, files // (2 * kills)))
    undisturbed = runner.start(calm)
    _wait_for_work(undisturbed, calm, set())
    begun = time.monotonic()
    code = undisturbed.wait()
    # On average a kill then leaves the others their share of the work.
    longest_seconds = 2 * (time.monotonic() - begun) / kills
    if code != 1:
        found.problems.append(f"the undisturbed run: exit code {code}, not 1")
        return found
    draw = random.Random(seed)
    while found.kills < kills:
        _kill_one(runner, store, found, draw, longest_seconds)
    if (code := runner.start(store).wait()) not in (0, 1):
        found.problems.append(f"the last run: exit code {code}")
    table = load_features(store)
    found.failures = table.failures
    found.problems += [
        *differences(load_features(calm), table),
        *_listed_once(store, format, faults),
        *_leftovers(store, format),
    ]
    return found


def _kill_one(
    runner: Runner, store: Path, found: Drill, draw: random.Random, longest_seconds: float
) -> None:
    """Start a run and kill it; half of them as soon as a file is half written."""
    before = set(_names(store))
    process = runner.start(store)
    writing = draw.random() < 0.5
    _wait_for_work(process, store, before)
    deadline = time.monotonic() + draw.uniform(0.0, longest_seconds)
    while process.poll() is None:
        late = time.monotonic() > deadline
        if late and (not writing or any(".writing-" in name for name in _names(store))):
            break
        if not writing:
            time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    if process.wait() == -signal.SIGKILL:
        found.kills += 1
        found.kills_while_writing += any(".writing-" in name for name in _names(store))
        return
    found.ended += 1
    good = sorted(id for id, fault in found.faults.items() if not fault)
    for id in draw.sample(good, min(len(good), 2 * runner.part_rows)):
        os.utime(runner.music / id)


def _wait_for_work(process: subprocess.Popen[bytes], store: Path, before: set[str]) -> None:
    """Until the run has written something: starting Python takes longer than all that follows."""
    while process.poll() is None and set(_names(store)) == before:
        time.sleep(0.001)


def _names(store: Path) -> list[str]:
    try:
        return os.listdir(store)
    except FileNotFoundError:
        return []


def differences(calm: FeatureTable, killed: FeatureTable) -> list[str]:
    """How a table differs from the one of a run that nobody disturbed."""
    problems = [f"{id}: there is no vector" for id in sorted({*calm.ids} - {*killed.ids})]
    problems += [f"{id}: a vector too many" for id in sorted({*killed.ids} - {*calm.ids})]
    if not problems:
        same = (calm.values == killed.aligned(calm.ids)).all(axis=1)
        pairs = zip(calm.ids, same, strict=True)
        problems += [f"{id}: another vector" for id, equal in pairs if not equal]
    expected = {failure.id: failure for failure in calm.failures}
    listed = {failure.id: failure for failure in killed.failures}
    for id in sorted({*expected, *listed}):
        if expected.get(id) != listed.get(id):
            problems.append(f"{id}: failed with {listed.get(id)}, not {expected.get(id)}")
    return problems


def _listed_once(store: Path, format: str, faults: Mapping[str, str]) -> list[str]:
    """Whether each file is in one line of one file of the store, read without mirfeat."""
    rows, failures = Counter(_ids_in(store, format)), Counter(_column(store / "failures.csv"))
    problems = []
    for id, fault in faults.items():
        expected = (0, 1) if fault else (1, 0)
        if (rows[id], failures[id]) != expected:
            problems.append(
                f"{id} ({fault or 'good'}): {rows[id]} rows and {failures[id]} failures"
            )
    return problems + [f"{id}: unknown" for id in {*rows, *failures} - {*faults}]


def _ids_in(store: Path, format: str) -> list[str]:
    if format == "csv":
        return _column(store / "features.csv")
    import pandas as pd

    parts = sorted(store.glob("part-*.parquet"))
    return [id for path in parts for id in pd.read_parquet(path, columns=["id"])["id"]]


def _column(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        return [line[0] for line in csv.reader(file)][1:]


def _leftovers(store: Path, format: str) -> list[str]:
    names = (path.relative_to(store).as_posix() for path in store.rglob("*"))
    return [f"{name}: left over" for name in names if not re.fullmatch(EXPECTED[format], name)]


def print_faults(found: Drill) -> None:
    """A table: how often each fault, and what was reported of the first."""
    said = {failure.id: failure for failure in found.failures}
    rows = []
    for fault, count in Counter(found.faults.values()).items():
        first = next(id for id, kind in found.faults.items() if kind == fault)
        reported = said.get(first)
        if fault:
            kind = reported.error_type if reported else "none"
            text = reported.error.replace(first, "…").split("…")[-1] if reported else ""
            rows.append((fault, count, kind, text.lstrip(": ").replace("|", "/")))
    print_table("Broken files", ("fault", "files", "reported as", "reason"), sorted(rows))


def main() -> None:
    """Run the drill and print what was reported; exit code 1 if anything is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--format", choices=("csv", "parquet", "both"), default="both")
    arguments = parser.parse_args()
    problems: list[str] = []
    for format in ("csv", "parquet") if arguments.format == "both" else (arguments.format,):
        with tempfile.TemporaryDirectory() as folder:
            found = drill(
                Path(folder),
                files=arguments.files,
                kills=arguments.kills,
                format=format,
                seed=arguments.seed,
            )
        print_faults(found)
        good = sum(not fault for fault in found.faults.values())
        print(
            f"\n{format}: {good} good and {len(found.faults) - good} broken files; "
            f"{found.kills} kills, {found.kills_while_writing} of them left a file half written; "
            f"{found.ended} runs came to their end first; {len(found.problems)} problems"
        )
        problems += found.problems
    for problem in problems[:50]:
        print(f"PROBLEM: {problem}")
    sys.exit(bool(problems))


if __name__ == "__main__":
    print_machine()
    main()
