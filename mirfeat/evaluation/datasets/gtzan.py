"""GTZAN: a thousand files in ten folders, some of them the same recording or beyond recognition.

Two lists stand beside it, both facts about its files:

* ``gtzan_fault_filtered.csv``: the split of Kereliuk, Sturm and Larsen 2015 ("Deep learning and
  music adversaries"), without repetitions and distortions and with artists on one side only, as
  the repository coreyker/dnn-mgr has it (443 train, 197 valid, 290 test); torchaudio has the same.
* ``gtzan_artists.csv``: files by the same artist, from Sturm 2013 ("The GTZAN dataset: its
  contents, its faults, their effects on evaluation, and its future use") as the repository
  julianofoleiss/gtzan_sturm_filter_3folds_stratified has it. It leaves out 52 repetitions and
  distorted files, whose artist is therefore empty here, and takes one artist in two genres for
  two. One artist of it (five disco files) is in train and test of the split.
"""

from __future__ import annotations

import csv
import importlib.resources
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from mirfeat.evaluation.datasets.places import find_start, relative
from mirfeat.evaluation.datasets.record import AbsentError, Columns, columns

GENRES = (
    "blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock",
)  # fmt: skip
FILES_PER_GENRE = 100
ENDINGS = (".au", ".wav")

_NAME = re.compile(rf"({'|'.join(GENRES)})\.(\d{{5}})")


def read_all(root: Path) -> Columns:
    """All 1000 files: id, label, artist."""
    names = [f"{genre}.{number:05d}" for genre in GENRES for number in range(FILES_PER_GENRE)]
    rows = [(id, name.split(".")[0], artist_of(name)) for id, name in _ids(root, names)]
    return columns(("id", "label", "artist"), rows)


def read_fault_filtered(root: Path) -> Columns:
    """The 930 files of the fault-filtered split: id, label, artist, split."""
    split = fault_filtered()
    rows = [
        (id, name.split(".")[0], artist_of(name), split[name])
        for id, name in _ids(root, sorted(split))
    ]
    return columns(("id", "label", "artist", "split"), rows)


@cache
def fault_filtered() -> dict[str, str]:
    """train, valid or test by file name without ending, such as "blues.00012"."""
    return {
        f"{genre}.{number:05d}": split
        for split, genre, files in _lines("gtzan_fault_filtered.csv")
        for number in _numbers(files)
    }


def artist_of(name: str) -> str:
    """A name for the artist of a file: alike for files by the same artist, empty if unknown."""
    if not _NAME.fullmatch(name):
        raise AbsentError(f"{name!r} is no file of GTZAN, such as 'blues.00012'.")
    # An artist of one file only is called like the file.
    return _artists().get(name, name)


@cache
def _artists() -> dict[str, str]:
    return {
        f"{genre}.{number:05d}": artist
        for artist, genre, files in _lines("gtzan_artists.csv")
        for number in _numbers(files)
    }


def _ids(root: Path, names: list[str]) -> Iterator[tuple[str, str]]:
    """Paths from ``root`` of files called like ``names``, whatever format this copy has."""
    for ending in ENDINGS:
        paths = [f"{name.split('.')[0]}/{name}{ending}" for name in names]
        try:
            start = find_start(root, paths[:: FILES_PER_GENRE // 2])
        except AbsentError:
            continue
        return (
            (relative(start / path, root), name) for path, name in zip(paths, names, strict=True)
        )
    raise AbsentError("there is no audio: blues/blues.00000.au and others are not there.")


def _lines(name: str) -> list[list[str]]:
    file = importlib.resources.files("mirfeat.evaluation.datasets") / name
    return list(csv.reader(file.read_text(encoding="utf-8").splitlines()))[1:]


def _numbers(files: str) -> Iterator[int]:
    """Numbers in "0-11 29", ranges with both ends."""
    for part in files.split():
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)
