"""Join the manifests of the open corpus and of the synthesised music into the one to train on.

Usage::

    python open_weights/open_manifest.py OUTPUT.csv MUSIC/tracks.csv SYNTHETIC/tracks.csv ...

With ``--bpm`` tempo is estimated where no label has it. ``dataset`` becomes ``music`` or
``synthetic``: tags of instruments are complete in the second only, and training must not take their
absence in the first for a fact.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mirfeat.errors import AudioError
from mirfeat.training.manifest import write_manifest
from mirfeat.training.tempo import tempo_of

SYNTHETIC = "synthetic"
# Titles of solos whose tempo is exact, but cannot be heard in a note now and then.
INAUDIBLE = ("sparse", "hits")


def read_rows(table: Path, output: Path) -> Iterator[dict[str, str]]:
    """Rows of one manifest, their paths relative to ``output``."""
    with table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            dataset = SYNTHETIC if row["corpus"] == SYNTHETIC else "music"
            path = os.path.relpath(table.parent / row["path"], output.parent)
            bpm = "" if row["title"].endswith(INAUDIBLE) else row["bpm"]
            yield {
                **row,
                "path": Path(path).as_posix(),
                "dataset": dataset,
                "bpm": bpm,
                "instrument": instrument_of(row),
            }


def instrument_of(row: dict[str, str]) -> str:
    """What plays alone in a synthesised solo, by its title; empty for all other music."""
    solo = row["corpus"] == SYNTHETIC and "solo" in row["tags"].split(";")
    return row["title"].partition(",")[0] if solo else ""


def with_tempo(row: dict[str, str], folder: Path) -> dict[str, str]:
    """The row, with an estimated tempo if it has none."""
    if row["bpm"] or row["dataset"] == SYNTHETIC:
        return row
    try:
        tempo = tempo_of(folder / row["path"])
    except AudioError as error:
        print(f"no tempo: {error}", file=sys.stderr)
        return row
    return row if tempo is None else {**row, "bpm": f"{tempo:.1f}"}


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("output", type=Path, help="the joined manifest")
    parser.add_argument("manifests", nargs="+", type=Path)
    parser.add_argument("--bpm", action="store_true", help="estimate tempo where it is not known")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    output = args.output.resolve()
    rows = [row for table in args.manifests for row in read_rows(table.resolve(), output)]
    if args.bpm:
        with ThreadPoolExecutor(args.workers) as pool:
            rows = list(pool.map(lambda row: with_tempo(row, output.parent), rows))
    write_manifest(output, rows)
    hours = sum(float(row["seconds"]) for row in rows) / 3600
    print(f"{len(rows)} tracks, {hours:.1f} h: {output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
