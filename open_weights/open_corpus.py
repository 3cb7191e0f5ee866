"""Write the manifest of the open corpus: who, what style, which licence, which split.

Usage::

    python open_weights/open_corpus.py FOLDER            # writes FOLDER/tracks.csv
    python open_weights/open_corpus.py FOLDER --quick    # without listening for duplicates
    python open_weights/open_corpus.py FOLDER --report   # hours by licence, package, artist, ...

Reads the audio files below ``FOLDER/<package>``, as ``debian_music.py`` leaves them, for each
package of ``open_corpus.csv`` and writes

* ``FOLDER/tracks.csv``: one row a track, with the columns ``COLUMNS``; ``seconds`` is how much of
  the file to use, from its start: the rest repeats it;
* ``FOLDER/dropped.csv``: what was left out or cut, and why.

Fingerprints are kept in ``FOLDER/.fingerprints``: a second run takes seconds, not minutes.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile as sf

if not __package__:  # started as a script: the folder above holds the package `training`
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mirfeat.errors import ManifestError, MirfeatError
from open_weights.corpus_duplicates import fingerprint
from open_weights.corpus_labels import (
    Rule,
    choose_artist,
    look_up,
    read_notes,
    read_rules,
    title_tags,
)
from open_weights.corpus_tidy import DROPPED_COLUMNS, Row, check_artists, tidy

AUDIO = {".ogg", ".oga", ".opus", ".mp3", ".flac", ".wav"}
COLUMNS = (
    "id",
    "path",
    "title",
    "artist",
    "album",
    "year",
    "bpm",
    "genre",
    "tags",
    "dataset",
    "licence",
    "corpus",
    "split",
    "seconds",
)
# Columns of the report, and how many values of each are listed.
REPORTED = (("licence", None), ("corpus", None), ("artist", 20), ("genre", None), ("split", None))


def plain(text: str) -> str:
    """``text`` in lower case, with only letters, digits, ``/`` and ``-`` between words."""
    return re.sub(r"[^a-z0-9/]+", "-", text.lower()).strip("-")


def join_tags(genre: str, tags: list[str]) -> str:
    """The genre with weight 3, then each other tag once."""
    others = [tag for tag in dict.fromkeys(tags) if tag != genre]
    return ";".join(([f"{genre}:3"] if genre else []) + others)


def describe(folder: Path, package: str, file: Path, rules: list[Rule]) -> Row:
    """The manifest's row of one audio file."""
    inside = file.relative_to(folder / package)
    with sf.SoundFile(file) as sound:
        seconds, tags = sound.frames / sound.samplerate, sound.copy_metadata()
    notes, labels = read_notes(file, tags), look_up(rules, package, inside.as_posix())
    title = notes.title or inside.stem.replace("_", " ")
    words = [*labels.tags, *title_tags(title, inside.as_posix())]
    return {
        "id": plain(f"{package}/{inside.with_suffix('').as_posix()}"),
        "path": f"{package}/{inside.as_posix()}",
        "title": title,
        "artist": choose_artist(labels, notes),
        "album": notes.album,
        "year": notes.year,
        "bpm": notes.bpm,
        "genre": labels.genre,
        "tags": join_tags(labels.genre, words),
        "dataset": labels.dataset,
        "licence": labels.licence,
        "corpus": package,
        "split": labels.split,
        "seconds": f"{seconds:.1f}",
    }


def scan(folder: Path, rules: list[Rule]) -> Iterator[Row]:
    """Rows of all audio files of the table's packages, in the order of their paths."""
    for package in sorted({rule.package for rule in rules}):
        for file in sorted((folder / package).rglob("*")):
            if file.suffix.lower() in AUDIO:
                yield describe(folder, package, file, rules)


def write_rows(file: Path, columns: tuple[str, ...], rows: list[Row]) -> None:
    """Write the CSV file, whole or not at all."""
    partial = file.with_name(f".{file.name}.partial")
    with partial.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    partial.replace(file)


def read_manifest_rows(manifest: Path) -> list[Row]:
    """Rows of a manifest that this script wrote.

    Raises:
        ManifestError: there is none.
    """
    if not manifest.is_file():
        raise ManifestError(f"no {manifest}: run this script without --report first")
    with manifest.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def report(rows: list[Row]) -> str:
    """Tables in Markdown: hours and tracks by licence, package, artist (top 20), style, split."""
    lines = []
    for column, limit in REPORTED:
        seconds: defaultdict[str, float] = defaultdict(float)
        for row in rows:
            seconds[row[column] or "(unknown)"] += float(row["seconds"])
        tracks = Counter(row[column] or "(unknown)" for row in rows)
        ranked = sorted(seconds, key=lambda name: (-seconds[name], name))[:limit]
        lines += [f"| {column} | hours | tracks |", "|---|---|---|"]
        lines += [f"| {name} | {seconds[name] / 3600:.2f} | {tracks[name]} |" for name in ranked]
        lines += [f"| all | {sum(seconds.values()) / 3600:.2f} | {len(rows)} |", ""]
    return "\n".join(lines)


def listen(folder: Path, rows: list[Row], workers: int) -> list[np.ndarray]:
    """Each track's fingerprint, read in ``workers`` threads."""
    cache = folder / ".fingerprints"
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda row: fingerprint(folder / row["path"], cache), rows))


def write_corpus(folder: Path, quick: bool, workers: int) -> tuple[int, int]:
    """Write ``tracks.csv`` and, unless ``quick``, ``dropped.csv``; rows in each.

    Raises:
        ManifestError: there is no music of the table's packages, or an artist is in two splits.
    """
    rows = list(scan(folder, read_rules()))
    if not rows:
        raise ManifestError(
            f"{folder}: holds no music of the packages in open_corpus.csv; run "
            f"`python open_weights/debian_music.py fetch {folder}` first"
        )
    dropped: list[Row] = []
    if not quick:
        rows, dropped = tidy(rows, listen(folder, rows, workers))
        write_rows(folder / "dropped.csv", DROPPED_COLUMNS, dropped)
    check_artists(rows)
    write_rows(folder / "tracks.csv", COLUMNS, rows)
    return len(rows), len(dropped)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="folder that debian_music.py filled")
    parser.add_argument("--quick", action="store_true", help="keep duplicates and repetition")
    parser.add_argument("--report", action="store_true", help="print hours, write nothing")
    parser.add_argument("--workers", type=int, default=2, help="threads that decode (default: 2)")
    args = parser.parse_args()
    try:
        if args.report:
            print(report(read_manifest_rows(args.folder / "tracks.csv")))
            return 0
        kept, dropped = write_corpus(args.folder, args.quick, args.workers)
    except MirfeatError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{args.folder / 'tracks.csv'}: {kept} tracks; dropped or cut: {dropped}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
