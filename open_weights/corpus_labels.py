"""Labels of the open corpus: file tags, album notes and the hand-made table ``open_corpus.csv``.

The table has one row for each package and pattern of paths. All rows that match a track apply,
in the table's order: a later ``genre``, ``licence``, ``dataset`` or ``split`` replaces an earlier
one, ``tags`` add up. An ``artist`` in a row for ``*`` counts where the file and its notes name
nobody, in any other row it outranks them; ``-`` says that the artist is unknown.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from pathlib import Path
from xml.etree import ElementTree

from mirfeat.errors import LabelsError

TABLE = Path(__file__).with_name("open_corpus.csv")
GENRES = (
    "orchestral",
    "ambient",
    "electronic",
    "rock",
    "metal",
    "folk",
    "chiptune",
    "jazz",
    "world",
    "industrial",
)
SPLITS = ("train", "valid", "test")

# Tagged name (lower case): the one spelling used.
SPELLINGS = {
    'christian "crystan" hoffmann': "Christian Hoffmann",
    "www.indiedb.com/members/crystan": "Christian Hoffmann",
    "manuel 'vanethian' marino": "Manuel Marino",
    "paulb": "Paul Bee",
    "gerd (elysis) raudenbusch": "Gerd Raudenbusch",
    "elysis": "Gerd Raudenbusch",
    "www.elysis.de": "Gerd Raudenbusch",
    "joseph g. toscano (zhaytee)": "Joseph G. Toscano",
    "http://zhaymusic.com/": "Joseph G. Toscano",
    "wansti": "Marek Moeckel",
    "martin strohmeier (k-pone)": "Martin Strohmeier",
    "klaus halfmann aka hasi50": "Klaus Halfmann",
    "neoncorridor": "Shawn Parrotte",
    "ozoneone": "0zone0ne",
    "max freeman": "0zone0ne",
    "max freeman & chris leutwyler": "Chris Leutwyler & 0zone0ne",
    "chris leutwyler & max freeman": "Chris Leutwyler & 0zone0ne",
    "ozoneone and krobonil": "Chris Leutwyler & 0zone0ne",
    "ozoneone & krobonil": "Chris Leutwyler & 0zone0ne",
    "krobonil & ozoneone": "Chris Leutwyler & 0zone0ne",
    "krobonil": "Chris Leutwyler",
    "chris leutwyler (krobonil)": "Chris Leutwyler",
    "keith baylis aka vim": "Keith Baylis",
    "http://opengameart.org, from bart": "",
    "one abe": "iamoneabe",
    "tiyuri": "John Dum",
    "<unknown>": "",
}

# A word of a title or a folder: the tag it stands for.
WORDS = {
    "battle": "battle",
    "fight": "battle",
    "combat": "battle",
    "war": "battle",
    "boss": "battle",
    "siege": "battle",
    "menu": "menu",
    "intro": "menu",
    "theme": "theme",
    "win": "victory",
    "victory": "victory",
    "victorious": "victory",
    "sad": "sad",
    "tears": "sad",
    "lose": "defeat",
    "dark": "dark",
    "shadows": "dark",
    "hell": "dark",
    "ghost": "dark",
    "graveyard": "dark",
    "calm": "calm",
    "ambient": "calm",
    "ambience": "calm",
    "forest": "forest",
    "jungle": "jungle",
    "ice": "ice",
    "icyland": "ice",
    "snow": "ice",
    "snowy": "ice",
    "arctic": "ice",
    "cave": "cave",
    "caves": "cave",
    "underground": "cave",
    "desert": "desert",
    "ocean": "water",
    "sea": "water",
    "seafight": "battle",
    "space": "space",
    "nebula": "space",
    "mountain": "mountain",
    "mountains": "mountain",
    "castle": "castle",
    "march": "march",
    "dance": "dance",
    "credits": "credits",
    "remix": "remix",
    "epic": "epic",
    "tension": "tension",
    "suspense": "tension",
    "suspicion": "tension",
    "love": "love",
    "city": "city",
    "town": "city",
    "temple": "temple",
    "night": "night",
}


@dataclass(frozen=True)
class Rule:
    """One row of the table; empty cells say nothing."""

    package: str
    pattern: str
    dataset: str
    split: str
    artist: str
    genre: str
    tags: str
    licence: str
    source: str


@dataclass
class Notes:
    """What a track's own tags and the text files beside it say; empty where they say nothing."""

    title: str = ""
    artist: str = ""
    album: str = ""
    year: str = ""
    bpm: str = ""
    genre: str = ""


@dataclass
class Labels:
    """What the table says of one track."""

    dataset: str = ""
    split: str = "train"
    artist: str = ""
    fallback_artist: str = ""
    genre: str = ""
    licence: str = ""
    tags: list[str] = field(default_factory=list)


def read_rules(table: Path = TABLE) -> list[Rule]:
    """Read the table.

    Raises:
        LabelsError: a column is missing, or a genre or split is not one of those known.
    """
    names = [column.name for column in fields(Rule)]
    rules = []
    with table.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames != names:
            raise LabelsError(f"{table}: columns are {reader.fieldnames}, must be {names}")
        for row in reader:
            if None in row or None in row.values():
                raise LabelsError(
                    f"{table}, line {reader.line_num}: must have {len(names)} cells; quote a "
                    "cell that holds a comma"
                )
            rule = Rule(**{name: row[name].strip() for name in names})
            for value, allowed in ((rule.genre, GENRES), (rule.split, SPLITS)):
                if value and value not in allowed:
                    raise LabelsError(
                        f"{table}, line {reader.line_num}: {value!r} must be one of "
                        f"{', '.join(allowed)}"
                    )
            rules.append(rule)
    return rules


def look_up(rules: Iterable[Rule], package: str, path: str) -> Labels:
    """What the table says of the track at ``path`` (below the package's folder)."""
    labels = Labels()
    for rule in rules:
        if rule.package != package or not fnmatchcase(path, rule.pattern):
            continue
        for name in ("dataset", "split", "genre", "licence"):
            if getattr(rule, name):
                setattr(labels, name, getattr(rule, name))
        if rule.artist:
            name = "fallback_artist" if rule.pattern == "*" else "artist"
            setattr(labels, name, rule.artist)
        labels.tags.extend(tag for tag in rule.tags.split(";") if tag)
    return labels


def one_spelling(artist: str) -> str:
    """The artist's one spelling; empty where the tag names nobody."""
    plain = " ".join(artist.split())
    return SPELLINGS.get(plain.lower(), plain)


def choose_artist(labels: Labels, notes: Notes) -> str:
    """The artist: the table's for this very file, else the notes', else the package's."""
    if labels.artist == "-":
        return ""
    return labels.artist or one_spelling(notes.artist) or labels.fallback_artist


def title_tags(*texts: str) -> list[str]:
    """Tags for the descriptive words of titles and paths."""
    words = re.findall(r"[a-z]+", " ".join(texts).lower())
    return [WORDS[word] for word in words if word in WORDS]


def year_of(text: str) -> str:
    """The first year from 1980 to 2029 that a date names, else empty."""
    found = re.search(r"\b(19[89]\d|20[0-2]\d)", text)
    return found.group() if found else ""


def album_notes(file: Path) -> Notes:
    """Notes from ``album.json`` beside the track (Warzone 2100's format), as far as it goes."""
    notes_file = file.with_name("album.json")
    if not notes_file.is_file():
        return Notes()
    album = json.loads(notes_file.read_text(encoding="utf-8"))
    for track in album["tracks"]:
        if track["filename"] == file.name:
            return Notes(
                title=track.get("title", ""),
                artist=track.get("author", ""),
                album=album.get("title", ""),
                year=year_of(str(album.get("date", ""))),
                bpm=str(track.get("bpm", "")),
            )
    return Notes()


def kart_notes(file: Path) -> Notes:
    """Notes from the ``.music`` XML file beside the track that names it (SuperTuxKart)."""
    for notes_file in sorted(file.parent.glob("*.music")):
        text = notes_file.read_text(encoding="utf-8")
        if not text.lstrip().startswith("<"):
            return Notes()  # SuperTux: the same ending, another format, no authors
        music = ElementTree.fromstring(text)
        if music.get("file") == file.name:
            return Notes(title=music.get("title", ""), artist=music.get("composer", ""))
    return Notes()


def tag_notes(tags: dict[str, str]) -> Notes:
    """Notes from the tags in the audio file itself."""
    clean = {key: " ".join(value.split()) for key, value in tags.items()}
    return Notes(
        title=clean.get("title", ""),
        artist=clean.get("artist", ""),
        album=clean.get("album", ""),
        year=year_of(clean.get("date", "")),
        genre=clean.get("genre", ""),
    )


def merge(*layers: Notes) -> Notes:
    """For each field the first that says something."""
    merged = Notes()
    for column in fields(Notes):
        values = (getattr(layer, column.name) for layer in layers)
        setattr(merged, column.name, next((value for value in values if value), ""))
    return merged


def read_notes(file: Path, tags: dict[str, str]) -> Notes:
    """All that the files say of the track; text files outrank its tags."""
    return merge(album_notes(file), kart_notes(file), tag_notes(tags))
