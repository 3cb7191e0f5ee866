"""A fault drill: broken files in a run that is killed again and again, and then what is left.

``mirfeat extract`` runs over small files, one in ten of them broken, gets SIGKILL at random moments
and while it writes, and is then left to end. Every good file must be there once, with the vector of
a run that nobody disturbed, and every broken one listed once with its reason. After a run that came
to its end before it was killed, some files are touched, so that the next one has work.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import os
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np

from benchmarks.broken_files import make_files
from benchmarks.tables import print_machine, print_table
from mirfeat.cli import main as run_command
from mirfeat.results.outcomes import Failure
from mirfeat.results.table import FeatureTable
from mirfeat.store import writer
from mirfeat.store.reading import load_features
from mirfeat.store.record import StoreInfo, read_failures

EXPECTED = {
    "csv": r"\.lock|store\.json|failures\.csv|features\.csv",
    "parquet": r"\.lock|store\.json|failures\.csv|rows|rows/part-\d{6}\.parquet",
    "npz": r"\.lock|store\.json|failures\.csv|index\.csv|\d\d|\d\d/[^.][^/]*\.npz",
    "npy": r"\.lock|store\.json|failures\.csv|index\.csv|\d\d|\d\d/[^.][^/]*\.npy",
}
KINDS = ("csv", "parquet", "npz", "npy", "npz+embed", "npy+embed")
"""Formats of folders, with and without all rows of a clip."""
# Loaded once, in a process that every run is a fork of: loading takes longer than a run.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["benchmarks.broken_files", "benchmarks.tables", "mirfeat.cli.extract"]
)


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
    kind: str
    part_rows: int

    def start(self, store: Path) -> BaseProcess:
        """A run that goes on where the one before was killed."""
        format, _, embed = self.kind.partition("+")
        # One at a time: who shares a batch with whom moves a vector by rounding.
        options = ["-m", "mfcc", "--batch-size", "1", "--device", "cpu", "--format", format, "-q"]
        command = ["extract", str(self.music), "-o", str(store), *options]
        command += ["--embed"] if embed else []
        process = _CONTEXT.Process(target=_command, args=(command, self.part_rows))
        process.start()
        return process


def _command(command: list[str], part_rows: int) -> None:
    """Body of a run; parts of a few files, so that there is something to lose at every moment."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    writer.MOST_ROWS = part_rows
    sys.exit(run_command(command))


def _wait(process: BaseProcess) -> int:
    process.join()
    assert process.exitcode is not None
    return process.exitcode


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
    code = _wait(undisturbed)
    # On average a kill then leaves the others their share of the work.
    longest_seconds = 2 * (time.monotonic() - begun) / kills
    if code != 1:
        found.problems.append(f"the undisturbed run: exit code {code}, not 1")
        return found
    draw = random.Random(seed)
    while found.kills < kills:
        _kill_one(runner, store, found, draw, longest_seconds)
    if (code := _wait(runner.start(store))) not in (0, 1):
        found.problems.append(f"the last run: exit code {code}")
    table = _contents(store, format)
    found.failures = table.failures
    found.problems += [
        *differences(_contents(calm, format), table),
        *_listed_once(store, format, faults),
        *_leftovers(store, format),
    ]
    return found


def _contents(store: Path, kind: str) -> FeatureTable:
    """What a folder holds; of bare rows, which have no vector, a digest of each clip's."""
    if kind != "npy+embed":
        return load_features(store)
    ids = _column(store / "index.csv")
    digests = [list(sha256((store / f"{id}.npy").read_bytes()).digest()) for id in ids]
    return FeatureTable(
        np.array(digests, np.float32).reshape(len(ids), 32),
        tuple(ids),
        tuple("x" * 32),
        StoreInfo.read(store).provenance,
        tuple(read_failures(store)),
    )


def _kill_one(
    runner: Runner, store: Path, found: Drill, draw: random.Random, longest_seconds: float
) -> None:
    """Start a run and kill it; half of them as soon as a file is half written."""
    before = set(_names(store))
    process = runner.start(store)
    writing = draw.random() < 0.5
    _wait_for_work(process, store, before)
    deadline = time.monotonic() + draw.uniform(0.0, longest_seconds)
    while process.is_alive():
        late = time.monotonic() > deadline
        if late and (not writing or any(".writing-" in name for name in _names(store))):
            break
        if not writing:
            time.sleep(0.001)
    process.kill()
    if _wait(process) == -signal.SIGKILL:
        found.kills += 1
        found.kills_while_writing += any(".writing-" in name for name in _names(store))
        return
    found.ended += 1
    good = sorted(id for id, fault in found.faults.items() if not fault)
    for id in draw.sample(good, min(len(good), 2 * runner.part_rows)):
        os.utime(runner.music / id)


def _wait_for_work(process: BaseProcess, store: Path, before: set[str]) -> None:
    """Until the run has written something: starting takes longer than all that follows."""
    while process.is_alive() and set(_names(store)) == before:
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
    if format != "parquet":
        return _column(store / "index.csv")
    import pandas as pd

    parts = sorted(store.rglob("part-*.parquet"))
    return [id for path in parts for id in pd.read_parquet(path, columns=["id"])["id"]]


def _column(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        return [line[0] for line in csv.reader(file)][1:]


def _leftovers(store: Path, format: str) -> list[str]:
    names = (path.relative_to(store).as_posix() for path in store.rglob("*"))
    allowed = EXPECTED[format.partition("+")[0]]
    return [f"{name}: left over" for name in names if not re.fullmatch(allowed, name)]


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


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the drill and print what was reported; exit code 1 if anything is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--format", choices=(*KINDS, "all"), default="all")
    options = parser.parse_args(arguments)
    problems, rows = list[str](), list[tuple[str | int, ...]]()
    for kind in KINDS if options.format == "all" else (options.format,):
        with tempfile.TemporaryDirectory() as folder:
            found = drill(
                Path(folder),
                files=options.files,
                kills=options.kills,
                format=kind,
                seed=options.seed,
            )
        if not rows:
            print_faults(found)
        bad = sum(map(bool, found.faults.values()))
        counts = len(found.faults) - bad, bad, found.kills, found.kills_while_writing, found.ended
        rows.append((kind, *counts, len(found.problems)))
        print(*rows[-1], file=sys.stderr, flush=True)
        problems += [f"{kind}: {problem}" for problem in found.problems]
    header = ("format", "good files", "broken", "kills", "while writing", "ended first", "problems")
    print_table("Killed runs", header, rows)
    for problem in problems[:50]:
        print(f"PROBLEM: {problem}")
    sys.exit(bool(problems))


if __name__ == "__main__":
    print_machine()
    main()
