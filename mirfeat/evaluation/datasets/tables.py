"""Data sets whose labels stand in a table of their own."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from mirfeat.evaluation.datasets.places import find_file, find_start, relative
from mirfeat.evaluation.datasets.record import AbsentError, Columns, columns

TAG_SEPARATOR = "|"
"""Between the tags of one clip, in the column ``tags``."""

# The smaller sets of FMA are part of the larger ones.
FMA_PARTS = {"fma_small": {"small"}, "fma_medium": {"small", "medium"}}

# The two names that head each of its columns; the number of the track has none.
_NUMBER, _SUBSET, _SPLIT = ("", ""), ("set", "subset"), ("set", "split")
_GENRE, _ARTIST = ("track", "genre_top"), ("artist", "id")
_GENRES = ("track", "genres_all")


def read_urbansound8k(root: Path) -> Columns:
    """metadata/UrbanSound8K.csv: id, label, fold, recording (the Freesound number)."""
    needed = ("slice_file_name", "class", "fold", "fsID")
    lines = list(_records(find_file(root, "metadata/UrbanSound8K.csv"), needed))
    paths = [f"audio/fold{line['fold']}/{line['slice_file_name']}" for line in lines]
    ids = _ids(root, paths)
    rows = [
        (id, line["class"], line["fold"], line["fsID"]) for id, line in zip(ids, lines, strict=True)
    ]
    return columns(("id", "label", "fold", "recording"), rows)


def read_emomusic(root: Path) -> Columns:
    """static_annotations.csv and songs_info.csv: id, arousal, valence, artist, split.

    Ratings of 1 to 9 are divided by 9, as the authors of Choi et al. 2017 did: penalties and
    margins of regressions are in these units.
    """
    needed = ("song_id", "mean_arousal", "mean_valence")
    lines = list(_records(find_file(root, "static_annotations.csv"), needed))
    about = ("song_id", "Artist", "Mediaeval 2013 set")
    songs = {line["song_id"]: line for line in _records(find_file(root, "songs_info.csv"), about)}
    ids = _ids(root, [f"clips_45seconds/{line['song_id']}.mp3" for line in lines])
    splits = {"development": "train", "evaluation": "test"}
    rows = []
    for id, line in zip(ids, lines, strict=True):
        song = songs.get(line["song_id"], {})
        split = splits.get(song.get("Mediaeval 2013 set", ""))
        if split is None:
            raise AbsentError(
                f"songs_info.csv does not say if song {line['song_id']} is for development or "
                "evaluation."
            )
        rows.append((id, *_ninths(line), song["Artist"], split))
    return columns(("id", "arousal", "valence", "artist", "split"), rows)


def _ninths(line: Mapping[str, str]) -> tuple[str, str]:
    """Arousal and valence, 1/9 to 1."""
    try:
        return f"{float(line['mean_arousal']) / 9:.6g}", f"{float(line['mean_valence']) / 9:.6g}"
    except ValueError as error:
        raise AbsentError(f"song {line['song_id']} is rated with no number: {error}.") from error


def read_magnatagatune(root: Path) -> Columns:
    """annotations_final.csv and clip_info_final.csv: id, tags, artist, album."""
    needed = ("clip_id", "mp3_path")
    lines = list(_records(find_file(root, "annotations_final.csv"), needed, "\t"))
    about = ("clip_id", "artist", "album")
    clips = _records(find_file(root, "clip_info_final.csv"), about, "\t")
    info = {line["clip_id"]: line for line in clips}
    rows = []
    for id, line in zip(_ids(root, [line["mp3_path"] for line in lines]), lines, strict=True):
        tags = (name for name, value in line.items() if value == "1" and name != "clip_id")
        clip = info.get(line["clip_id"], {})
        rows.append((id, TAG_SEPARATOR.join(tags), clip.get("artist", ""), clip.get("album", "")))
    return columns(("id", "tags", "artist", "album"), rows)


def _read_fma(root: Path, folder: str) -> Columns:
    """fma_metadata/tracks.csv: id, label, artist (a number), split."""
    lines = [
        line
        for line in _fma_tracks(find_file(root, "fma_metadata/tracks.csv"))
        if line[_SUBSET] in FMA_PARTS[folder]
    ]
    numbers = [line[_NUMBER].zfill(6) for line in lines]
    ids = _ids(root, [f"{folder}/{number[:3]}/{number}.mp3" for number in numbers])
    rows = [
        (id, line[_GENRE], line[_ARTIST], line[_SPLIT]) for id, line in zip(ids, lines, strict=True)
    ]
    return columns(("id", "label", "artist", "split"), rows)


def fma_genres(root: Path) -> dict[str, tuple[str, ...]]:
    """All genres of each track of FMA, subgenres among them, by its number of six digits.

    Empty where fma_metadata has no genres.csv. The paper takes all genres of a track, the authors'
    code those that its artist named; these are all, with those above them (``genres_all``).

    Raises:
        AbsentError: no tracks.csv, or a genre that genres.csv does not have.
    """
    tracks = find_file(root, "fma_metadata/tracks.csv")
    path = tracks.parent / "genres.csv"
    if not path.is_file():
        return {}
    titles = {line["genre_id"]: line["title"] for line in _records(path, ("genre_id", "title"))}
    found = {}
    for line in _fma_tracks(tracks):
        numbers = [part.strip() for part in line.get(_GENRES, "").strip("[] ").split(",")]
        if unknown := [number for number in numbers if number and number not in titles]:
            raise AbsentError(f"{path.name} has no genre {unknown[0]} of {line[_NUMBER]}.")
        found[line[_NUMBER].zfill(6)] = tuple(titles[number] for number in numbers if number)
    return found


read_fma_small = partial(_read_fma, folder="fma_small")
read_fma_medium = partial(_read_fma, folder="fma_medium")


def read_lastfm_1k(root: Path) -> Columns:
    """How often each user heard each track that has a MusicBrainz number: user, item, count."""
    path = find_file(root, "userid-timestamp-artid-artname-traid-traname.tsv")
    counts: Counter[tuple[str, str]] = Counter()
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            # Titles hold quotes and all that: no csv, six fields between tabs.
            cells = line.rstrip("\n").split("\t")
            if len(cells) < 6:
                raise AbsentError(f"{path.name}, line {number}, has {len(cells)} fields of 6.")
            if cells[4]:
                counts[cells[0], cells[4]] += 1
    rows = [(user, item, str(count)) for (user, item), count in sorted(counts.items())]
    return columns(("user", "item", "count"), rows)


def _ids(root: Path, paths: list[str]) -> list[str]:
    """Names of clips from paths that start somewhere below ``root``."""
    if not paths:
        return []
    start = find_start(root, paths)
    return [relative(start / path, root) for path in paths]


def _records(path: Path, needed: Sequence[str], delimiter: str = ",") -> Iterator[dict[str, str]]:
    """Lines of a table by column, without spaces around cells."""
    rows = _rows(path, delimiter)
    header = [name.strip() for name in next(rows, [])]
    _check_columns(path, header, needed)
    for cells in rows:
        yield dict(zip(header, (cell.strip() for cell in cells), strict=True))


def _fma_tracks(path: Path) -> Iterator[dict[tuple[str, str], str]]:
    """Lines of FMA's table of tracks by the two names of each column."""
    rows = _rows(path, ",")
    header = list(zip(next(rows, []), next(rows, []), strict=True))
    _check_columns(path, header, (_NUMBER, _SUBSET, _SPLIT, _GENRE, _ARTIST))
    # The third line names nothing but the number.
    next(rows, None)
    for cells in rows:
        yield dict(zip(header, cells, strict=True))


def _check_columns(path: Path, header: Sequence[object], needed: Sequence[object]) -> None:
    missing = [name for name in needed if name not in header]
    if missing:
        raise AbsentError(f"{path.name} has no columns {missing}.")


def _rows(path: Path, delimiter: str) -> Iterator[list[str]]:
    """Rows that are not empty, all of one length.

    Raises:
        AbsentError: not a table.
    """
    # FMA's table has biographies, which may be longer than Python's csv takes by default.
    limit = csv.field_size_limit(2**31 - 1)
    width = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for cells in csv.reader(file, delimiter=delimiter):
                width = width or len(cells)
                if len(cells) not in (0, width):
                    raise AbsentError(f"{path.name} is damaged: its lines differ in length.")
                if cells:
                    yield cells
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise AbsentError(f"{path.name} is not readable ({error}).") from error
    finally:
        csv.field_size_limit(limit)
