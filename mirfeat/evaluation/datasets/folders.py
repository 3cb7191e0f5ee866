"""Data sets whose folders are their classes."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from mirfeat.evaluation.datasets.places import clips_of_folders, find_file, relative
from mirfeat.evaluation.datasets.record import AbsentError, Columns, columns

BALLROOM_DANCES = (
    "Chacha", "Foxtrot", "Jive", "Pasodoble", "Quickstep", "Rumba", "Salsa", "Samba", "Slowwaltz",
    "Tango", "Viennesewaltz", "Waltz", "Wcswing",
)  # fmt: skip
BALLROOM_METADATA = "extendedballroom_v1.1.xml"

HOMBURG_GENRES = (
    "alternative", "blues", "electronic", "folkcountry", "funksoulrnb", "jazz", "pop", "raphiphop",
    "rock",
)  # fmt: skip

IRMAS_INSTRUMENTS = (
    "cel", "cla", "flu", "gac", "gel", "org",
    "pia", "sax", "tru", "vio", "voi",  # codespell:ignore tru
)  # fmt: skip


def read_any_classes(root: Path) -> Columns:
    """Every folder is a class, spelled as it is: id, label."""
    return _read(root, None)


def read_homburg(root: Path) -> Columns:
    """One folder a genre: id, label."""
    return _read(root, {genre: genre for genre in HOMBURG_GENRES})


def read_music_speech(root: Path) -> Columns:
    """Folders music_wav and speech_wav: id, label."""
    return _read(root, {"music_wav": "music", "speech_wav": "speech"})


def read_ballroom(root: Path) -> Columns:
    """One folder a dance: id, label, and artist if the file with the metadata is there."""
    found = _read(root, {dance.lower(): dance for dance in BALLROOM_DANCES})
    try:
        metadata = find_file(root, BALLROOM_METADATA)
    except AbsentError:
        return found
    artists = _ballroom_artists(metadata)
    return found | {"artist": tuple(artists.get(Path(id).stem, "") for id in found["id"])}


def read_irmas(root: Path) -> Columns:
    """The training set, one folder an instrument: id, label, song."""
    clips = clips_of_folders(root, {code: code for code in IRMAS_INSTRUMENTS})
    rows = [(relative(path, root), label, irmas_song(path.stem)) for path, label in clips]
    return columns(("id", "label", "song"), rows)


def irmas_song(name: str) -> str:
    """Number of the recording in a name like "[cel][pop_roc]0126__3"; empty if there is none.

    Numbers go through all instruments: number and excerpt name a clip in mirdata's index. Kim et
    al. keep clips with the same number on one side of their split.
    """
    found = re.search(r"\](\d+)__\d+$", name)
    return found[1] if found else ""


def _read(root: Path, labels: dict[str, str] | None) -> Columns:
    clips = clips_of_folders(root, labels)
    return columns(("id", "label"), [(relative(path, root), label) for path, label in clips])


def _ballroom_artists(path: Path) -> dict[str, str]:
    """Artists by the number that files are called with."""
    try:
        dances = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise AbsentError(f"{path.name} is damaged ({error}).") from error
    return {
        song.get("id", ""): song.get("artist", "").strip() for dance in dances for song in dance
    }
