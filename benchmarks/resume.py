"""How long a run over many finished files takes: 100 000 of them that need nothing, and one new.

The files are empty, because nobody opens what is done; the command is the real one, in a process of
its own, with clocks around its steps.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

import mirfeat
from benchmarks.tables import excerpt_loop, print_machine, print_table
from mirfeat.store.formats import Format, Row
from mirfeat.store.parquet_rows import ParquetRows
from mirfeat.store.record import StoreInfo

CHILD = """
import json, resource, sys, time
from pathlib import Path
started = float(sys.argv[1])
spent = {}
from mirfeat.cli import extract as extracting, main
from mirfeat.runs import filling
from mirfeat.store import reading as store
from mirfeat.store.writer import StoreWriter

def clocked(place, name, what):
    work = getattr(place, name)
    def call(*arguments, **options):
        begun = time.monotonic()
        try:
            return work(*arguments, **options)
        finally:
            spent[what] = spent.get(what, 0.0) + time.monotonic() - begun
    setattr(place, name, call)

spent["start"] = time.time() - started
clocked(extracting, "load_extractor", "load")
clocked(extracting, "survey", "list")
clocked(filling, "_root_of_ids", "list")
clocked(filling, "named", "list")
clocked(filling, "stamps", "list")
clocked(StoreWriter, "_prepare", "store")
clocked(StoreWriter, "close", "close")
add = StoreWriter.add
def noted(self, row):
    spent.setdefault("first vector", time.time() - started)
    add(self, row)
StoreWriter.add = noted
code = main(sys.argv[2:])
scale = 1 if sys.platform == "darwin" else 1024
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
if (status := Path("/proc/self/status")).exists():
    # The other one counts what the process that started this one held.
    peak = next(int(line.split()[1]) for line in status.open() if line.startswith("VmHWM"))
spent["memory"] = peak * scale
used = resource.getrusage(resource.RUSAGE_SELF)
spent["CPU"] = used.ru_utime + used.ru_stime
print(json.dumps({"code": code, **spent}), file=sys.stderr)
"""
FOLDER_FILES = 250
NAMES = ("mfcc", "choi2017")


def make_files(folder: Path, count: int) -> list[str]:
    """Empty files in folders of 250; their ids."""
    ids = [f"{n // FOLDER_FILES:04d}/{n:06d} - name of a song.wav" for n in range(count)]
    folder.mkdir()
    for start in range(0, count, FOLDER_FILES):
        (folder / ids[start]).parent.mkdir()
    for id in ids:
        (folder / id).touch()
    return ids


def rows_of(folder: Path, ids: list[str], dimension: int) -> Iterator[Row]:
    """A finished row for each file; few different vectors, since only their size matters."""
    vectors = np.random.default_rng(0).standard_normal((100, dimension)).astype(np.float32)
    for number, id in enumerate(ids):
        facts = (folder / id).stat()
        stamp = facts.st_size, facts.st_mtime_ns
        yield Row(id, 29.5, 2, "", *stamp, vectors[number % len(vectors)])


def make_store(store: Path, info: StoreInfo, rows: Iterator[Row]) -> None:
    """A finished store, written without waiting for the disk."""
    store.mkdir()
    info.write(store)
    (store / "failures.csv").write_text("id,error_type,error\n")
    facts = "id,seconds,rows,notes,size,mtime_ns"
    if info.format == "parquet":
        shards = ParquetRows(len(info.feature_names))
        for number in range(1, 10**6):
            if not (part := list(islice(rows, 500))):
                return
            shards.write(store / f"part-{number:06d}.parquet", part)
    texts: dict[int, str] = {}
    name = "features.csv" if info.format == "csv" else "index.csv"
    with (store / name).open("w") as file:
        file.write(",".join([facts, *(info.feature_names if info.format == "csv" else ())]))
        file.write("\n")
        for row in rows:
            line = ",".join(map(str, row.facts()))
            if info.format == "csv":
                key = id(row.vector.base) + row.vector.ctypes.data
                if key not in texts:
                    texts[key] = "," + ",".join(map(str, row.vector))
                line += texts[key]
            else:
                path = store / f"{row.id}.npz"
                path.parent.mkdir(exist_ok=True)
                np.savez(path, vector=row.vector)
            file.write(f"{line}\n")


def rerun(music: Path, store: Path, name: str, format: str) -> dict[str, Any]:
    """Run the command again; seconds of its steps and bytes of memory at most."""
    command = ["extract", str(music), "-m", name, "-o", str(store), "--format", format, "-q"]
    if name != "mfcc":
        command += ["--checkpoint", "random"]
    began = time.time()
    child = [sys.executable, "-c", CHILD, str(began), *command]
    done = subprocess.run(child, capture_output=True, text=True, check=False)
    found: dict[str, Any] = json.loads(done.stderr.splitlines()[-1])
    if found["code"]:
        raise SystemExit(done.stderr)
    return {**found, "all": time.time() - began}


def measure(folder: Path, name: str, format: Format, count: int) -> list[tuple[str, ...]]:
    """Rows of the table for one extractor and format."""
    music, store = folder / "music", folder / "store"
    ids = make_files(music, count)
    with mirfeat.load_extractor(name, checkpoint=None if name == "mfcc" else "random") as extractor:
        names = extractor.feature_names
        info = StoreInfo(extractor.provenance, names, format, False, str(music))
    make_store(store, info, rows_of(music, ids, len(names)))
    rows = []
    for what in ("all done", "one new") if count else ("one new",):
        if what == "one new":
            soundfile.write(music / "new.wav", excerpt_loop(10.0, 22_050), 22_050)
        found = rerun(music, store, name, format)
        steps = ("start", "load", "list", "store", "first vector", "close", "all", "CPU")
        times = [f"{found[step]:.1f}" if step in found else "" for step in steps]
        rows.append((name, format, f"{count}", what, *times, f"{found['memory'] / 1e6:.0f}"))
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--extractors", default=",".join(NAMES))
    parser.add_argument("--formats", default="csv,parquet,npz")
    parser.add_argument("--folder", type=Path, help="where files are made; default: temporary")
    options = parser.parse_args(arguments)
    header = ("extractor", "format", "files done", "new", "Python s", "network s", "list, stat s")
    more = ("read store s", "first vector after s", "end of run s", "all s", "CPU s", "MB")
    for name in options.extractors.split(","):
        for format in options.formats.split(","):
            rows = []
            for count in (0, options.files):
                with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                    rows += measure(Path(folder), name, format, count)
            title = f"Running again over finished files (load average {os.getloadavg()[0]:.1f})"
            print_table(title, (*header, *more), rows)


if __name__ == "__main__":
    print_machine()
    main()
