"""More tables of what the teachers said: genres alone, and all numbers side by side.

Usage::

    python open_weights/teacher_tables.py TEACHERS

Reads what ``teach.py`` left in TEACHERS. Writes ``musicnn/genres.parquet`` and
``mn04/genres.parquet``, those columns of its tags and classes that are genres, and
``both/numbers.parquet``: for each stretch that musicnn heard its tags (logits) and penultimate
layer, and mn04's embedding and classes, averaged over what overlaps the stretch. One network that
shares all its layers can learn this table as one source.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from mirfeat.files import replacing

TIMES = ["id", "start", "end"]
# Of musicnn's 50 tags.
GENRE_TAGS = (
    *("rock", "pop", "alternative", "indie", "electronic", "dance", "alternative rock", "jazz"),
    *("metal", "classic rock", "soul", "indie rock", "electronica", "folk", "punk", "blues"),
    *("hard rock", "ambient", "country", "funk", "electro", "heavy metal", "Progressive rock"),
    *("rnb", "indie pop", "House", "Hip-Hop"),
)
# "Music genre" of AudioSet's ontology, first and last in the order of its classes.
GENRE_CLASSES = ("Pop music", "Independent music")
# Probabilities are kept off 0 and 1 before they become logits.
SMALLEST = 1e-4


def write_genres(teachers: Path) -> None:
    """Genres alone, from both teachers."""
    tags = pd.read_parquet(teachers / "musicnn" / "tags.parquet")
    _write(tags[[*TIMES, *GENRE_TAGS]], teachers / "musicnn" / "genres.parquet")
    classes = pd.read_parquet(teachers / "mn04" / "classes.parquet")
    names = list(classes.columns)
    first, last = (names.index(name) for name in GENRE_CLASSES)
    genres = classes[[*TIMES, *names[first : last + 1]]]
    _write(genres, teachers / "mn04" / "genres.parquet")


def write_both(teachers: Path) -> None:
    """All numbers of both teachers, for the stretches of musicnn."""
    tags, penultimate = (
        pd.read_parquet(teachers / "musicnn" / f"{name}.parquet")
        for name in ("tags", "penultimate")
    )
    embedding, classes = (
        pd.read_parquet(teachers / "mn04" / f"{name}.parquet") for name in ("embedding", "classes")
    )
    probabilities = np.clip(_numbers(tags), SMALLEST, 1.0 - SMALLEST)
    logits = np.log(probabilities / (1.0 - probabilities))
    said = np.concatenate([_numbers(embedding), _numbers(classes)], axis=1)
    other = averaged(embedding[TIMES], said, tags[TIMES])
    values = np.concatenate([logits, _numbers(penultimate), other], axis=1).astype(np.float32)
    frame = pd.DataFrame(values, columns=[str(number) for number in range(values.shape[1])])
    for place, name in enumerate(TIMES):
        frame.insert(place, name, tags[name])
    (teachers / "both").mkdir(exist_ok=True)
    _write(frame, teachers / "both" / "numbers.parquet")


def averaged(times: pd.DataFrame, values: np.ndarray, wanted: pd.DataFrame) -> np.ndarray:
    """Mean of ``values`` [n, k], said at ``times``, over each stretch of ``wanted`` [m].

    Seconds of overlap are the weights; where nothing overlaps, the track's last values stand.
    """
    rows_of = times.groupby("id").indices
    starts, ends = times["start"].to_numpy(), times["end"].to_numpy()
    found = np.empty((len(wanted), values.shape[1]), np.float32)
    stretches = zip(wanted["id"], wanted["start"], wanted["end"], strict=True)
    for index, (id, start, end) in enumerate(stretches):
        rows = rows_of[id]
        shared = np.minimum(ends[rows], end) - np.maximum(starts[rows], start)
        weights = np.maximum(shared, 0.0)
        if not weights.sum():
            weights[-1] = 1.0
        found[index] = (weights / weights.sum()) @ values[rows]
    return found


def _numbers(frame: pd.DataFrame) -> np.ndarray:
    values: np.ndarray = frame.drop(columns=TIMES).to_numpy(np.float32)
    return values


def _write(frame: pd.DataFrame, path: Path) -> None:
    with replacing(path) as temporary:
        frame.to_parquet(temporary)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("teachers", type=Path)
    teachers = parser.parse_args().teachers
    write_genres(teachers)
    write_both(teachers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
