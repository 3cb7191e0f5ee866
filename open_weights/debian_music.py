"""Fetch openly licensed music from Debian's game packages.

Usage (on Debian or a derivative, after ``apt-get update``)::

    python open_weights/debian_music.py list
    python open_weights/debian_music.py fetch FOLDER [--debs DIR] [--only PACKAGE ...]

``fetch`` downloads each package with apt (nothing is installed), unpacks it and leaves

* ``FOLDER/<package>/...``: the audio files of 25 s and more, with the small text files that
  name authors and licences,
* ``FOLDER/<package>/copyright``: the package's copyright file, which says who may do what,
* ``FOLDER/fetched.csv``: package, file, seconds, title, artist (as tagged; often empty).
  ``open_corpus.py`` writes the training manifest.

A package that is already there is left alone, and a package appears only once it is complete.
The names are those of Debian 12; another release may carry other versions. Everything stays
under its own licence: read ``copyright`` before passing any of it on.
"""

from __future__ import annotations

import argparse
import csv
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

import soundfile as sf

if not __package__:  # started as a script: the folder above holds the package `training`
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from open_weights.debian_packages import EXCLUDED, NOT_TAKEN, PACKAGES, Package

SHORTEST = 25.0  # seconds; shorter files are jingles and sound effects
AUDIO = {".ogg", ".oga", ".opus", ".mp3", ".flac", ".wav"}
NOTES = {".txt", ".json", ".yaml", ".ini", ".music"}  # authors, titles, tempo, licences


class FetchError(RuntimeError):
    """A package cannot be had; the message says why and what to do."""


def run(command: list[str], folder: Path) -> None:
    """Run ``command`` in ``folder``; FetchError where it fails, exit where it is absent."""
    if shutil.which(command[0]) is None:
        raise SystemExit(
            f"{command[0]} is not on this machine: run this on Debian or a derivative "
            "(a container will do); --debs takes packages downloaded elsewhere, but needs dpkg-deb"
        )
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise FetchError(f"`{' '.join(command)}` failed:\n{done.stderr.strip()}")


def obtain(package: Package, debs: Path | None, folder: Path) -> Path:
    """Return the package's .deb: one found in ``debs``, else downloaded into ``folder``."""
    pattern = f"{package.name}_*.deb"
    found = sorted(debs.glob(pattern)) if debs else []
    if not found:
        run(["apt-get", "download", package.name], folder)
        found = sorted(folder.glob(pattern))
    return found[-1].resolve()


def is_wanted(package: Package, path: PurePosixPath) -> bool:
    """Whether to take the file at ``path`` (relative to the package's root)."""
    if path.suffix.lower() in NOTES:
        return True
    if path.suffix.lower() not in AUDIO or not path.is_relative_to(package.music):
        return False
    return not any(fnmatchcase(f"{package.name}/{path}", pattern) for pattern in EXCLUDED)


def starts_as_ogg(file: Path) -> bool:
    """Whether the file's first bytes are those of an Ogg stream."""
    with file.open("rb") as content:
        return content.read(4) == b"OggS"


def read_members(package: Package, unpacked: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Yield path below the root, and content, of each wanted file of an unpacked package."""
    if package.archive:
        with zipfile.ZipFile(unpacked / package.archive) as archive:
            for name in archive.namelist():
                inside = PurePosixPath(name)
                if not inside.is_relative_to(package.root):
                    continue
                path = inside.relative_to(package.root)
                if is_wanted(package, path):
                    yield path, archive.read(name)
        return
    root = unpacked / package.root
    for file in sorted(root.rglob("*")):
        path = PurePosixPath(file.relative_to(root).as_posix())
        if not file.is_file():
            continue
        if package.adds_suffix and not path.suffix and starts_as_ogg(file):
            path = path.with_suffix(".ogg")
        if is_wanted(package, path):
            yield path, file.read_bytes()


def safe_path(path: PurePosixPath) -> Path:
    """``path`` with only parts that every system takes and that stay below the folder."""
    parts = (re.sub(r'[<>:"|?*\\\x00-\x1f]', "_", part).rstrip(". ") for part in path.parts)
    return Path(*(part for part in parts if part))


def is_long(file: Path) -> bool:
    """Whether the audio file decodes and lasts SHORTEST or more."""
    try:
        return float(sf.info(file).duration) >= SHORTEST
    except sf.LibsndfileError as error:
        print(f"left out, cannot be decoded: {error}", file=sys.stderr)
        return False


def unpack(package: Package, deb: Path, scratch: Path) -> Path:
    """Unpack ``deb`` in ``scratch``; the folder with what is to be kept of it."""
    raw, kept = scratch / "raw", scratch / "kept"
    run(["dpkg-deb", "-x", str(deb), str(raw)], scratch)
    kept.mkdir()
    shutil.copyfile(raw / "usr/share/doc" / package.name / "copyright", kept / "copyright")
    for path, content in read_members(package, raw):
        target, probe = kept / safe_path(path), scratch / f"probe{path.suffix}"
        probe.write_bytes(content)
        if path.suffix.lower() in AUDIO and not is_long(probe):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        probe.rename(target)
    if not any(file.suffix.lower() in AUDIO for file in kept.rglob("*")):
        raise FetchError(f"{deb.name} holds no music under {package.root}: another version?")
    return kept


def fetch(package: Package, folder: Path, debs: Path | None) -> None:
    """Leave the package's music in ``folder/<package>``, whole or not at all."""
    target = folder / package.name
    if target.exists():
        print(f"{package.name}: already there")
        return
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as name:
        scratch = Path(name)
        kept = unpack(package, obtain(package, debs, scratch), scratch)
        kept.rename(target)
    print(f"{package.name}: fetched")


def read_tracks(folder: Path) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield package, file (below the package's folder), seconds, title, artist of each track."""
    for package in PACKAGES:
        root = folder / package.name
        for file in sorted(root.rglob("*")):
            if file.suffix.lower() not in AUDIO:
                continue
            with sf.SoundFile(file) as sound:
                seconds, tags = sound.frames / sound.samplerate, sound.copy_metadata()
            path = file.relative_to(root).as_posix()
            title, artist = (tags.get(key, "").strip() for key in ("title", "artist"))
            yield package.name, path, f"{seconds:.1f}", title, artist


def write_tracks(folder: Path) -> None:
    """Write ``folder/fetched.csv`` and print each package's hours and number of tracks."""
    rows = list(read_tracks(folder))
    partial = folder / ".fetched.csv.partial"
    with partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("package", "file", "seconds", "title", "artist"))
        writer.writerows(rows)
    partial.replace(folder / "fetched.csv")
    for package in (*(package.name for package in PACKAGES), "all"):
        seconds = [float(row[2]) for row in rows if package in (row[0], "all")]
        if seconds:
            print(f"{sum(seconds) / 3600:6.2f} h {len(seconds):4d} tracks  {package}")


def fetch_all(folder: Path, debs: Path | None, only: list[str]) -> int:
    """Fetch the packages, write fetched.csv; the number of packages that cannot be had."""
    unknown = set(only) - {package.name for package in PACKAGES}
    if unknown:
        raise SystemExit(f"not in the list of packages: {', '.join(sorted(unknown))}")
    if debs and not debs.is_dir():
        raise SystemExit(f"--debs: no such folder: {debs}")
    folder.mkdir(parents=True, exist_ok=True)
    folder = folder.resolve()  # commands run in a folder of their own
    failed = 0
    for package in PACKAGES:
        if only and package.name not in only:
            continue
        try:
            fetch(package, folder, debs)
        except FetchError as error:
            print(f"{package.name}: MISSING: {error}", file=sys.stderr)
            failed += 1
    write_tracks(folder)
    return failed


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="print the packages with their licences, and what is left out")
    getting = commands.add_parser("fetch", help="download and unpack the music")
    getting.add_argument("folder", type=Path, help="where to leave it (2 GB; 6 GB are downloaded)")
    getting.add_argument("--debs", type=Path, help="folder with .deb files already downloaded")
    getting.add_argument("--only", nargs="+", default=[], metavar="PACKAGE", help="only these")
    args = parser.parse_args()
    if args.command == "fetch":
        return 1 if fetch_all(args.folder, args.debs, args.only) else 0
    for package in PACKAGES:
        print(f"{package.name}: {package.licence}")
    for pattern, reason in EXCLUDED.items():
        print(f"left out: {pattern}: {reason}")
    for name, reason in NOT_TAKEN.items():
        print(f"not taken: {name}: {reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
