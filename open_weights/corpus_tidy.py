"""Decide which tracks of the open corpus stay: no recording twice, no artist in two splits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from mirfeat.errors import ManifestError
from open_weights.corpus_duplicates import (
    FRAMES_PER_SECOND,
    Match,
    find_matches,
    period_seconds,
    sounding_seconds,
)

Row = dict[str, str]
DROPPED_COLUMNS = ("id", "path", "seconds_dropped", "reason", "same_as", "similarity")
# Held-out music outranks training music: of a pair across splits the training copy goes.
PRECEDENCE = {"test": 0, "valid": 1, "train": 2}
LONG_SILENCE_SECONDS = 6.0
SHORTEST_SECONDS = 25.0  # a track with less music than this is left out


def _dropped(row: Row, seconds: float, reason: str, same_as: str = "", cosine: str = "") -> Row:
    values = (row["id"], row["path"], f"{seconds:.1f}", reason, same_as, cosine)
    return dict(zip(DROPPED_COLUMNS, values, strict=True))


def cut_repetition(
    rows: Sequence[Row], prints: Sequence[np.ndarray]
) -> tuple[list[Row], list[np.ndarray], list[Row]]:
    """Rows whose ``seconds`` end where the file begins to repeat itself.

    Returns the rows, their fingerprints cut to the same length, and what was cut.
    """
    kept, short, dropped = [], [], []
    for row, rows_of_print in zip(rows, prints, strict=True):
        period = period_seconds(rows_of_print)
        if period is None:
            kept.append(row)
            short.append(rows_of_print)
            continue
        kept.append({**row, "seconds": f"{period:.1f}"})
        short.append(rows_of_print[: int(period * FRAMES_PER_SECOND)])
        rest = float(row["seconds"]) - period
        dropped.append(_dropped(row, rest, f"the file repeats itself after {period:.0f} s"))
    return kept, short, dropped


def cut_silence(
    rows: Sequence[Row], prints: Sequence[np.ndarray]
) -> tuple[list[Row], list[np.ndarray], list[Row]]:
    """Rows whose ``seconds`` end where a long silence up to the file's end begins.

    Returns the rows, their fingerprints cut to the same length, and what was cut.
    """
    kept, short, dropped = [], [], []
    for row, rows_of_print in zip(rows, prints, strict=True):
        end = sounding_seconds(rows_of_print)
        rest = float(row["seconds"]) - end
        if end > 0 and rest >= LONG_SILENCE_SECONDS:
            row = {**row, "seconds": f"{end:.1f}"}
            rows_of_print = rows_of_print[: int(end * FRAMES_PER_SECOND)]
            dropped.append(_dropped(row, rest, f"silence from {end:.0f} s to the end"))
        kept.append(row)
        short.append(rows_of_print)
    return kept, short, dropped


def _rank(row: Row) -> tuple[int, bool, float, str]:
    return PRECEDENCE[row["split"]], not row["artist"], -float(row["seconds"]), row["id"]


def drop_duplicates(rows: Sequence[Row], matches: Sequence[Match]) -> tuple[list[Row], list[Row]]:
    """Rows without those that share a recording with one that stays, and those dropped.

    Of two, the one in the more guarded split stays (test, valid, train), then one whose artist is
    known, then the longer, then the first by id.
    """
    partners: defaultdict[int, list[tuple[int, Match]]] = defaultdict(list)
    for match in matches:
        partners[match.first].append((match.second, match))
        partners[match.second].append((match.first, match))
    order = sorted(
        range(len(rows)),
        key=lambda k: _rank(rows[k]),
    )
    stays: set[int] = set()
    dropped = []
    for k in order:
        taken = [(match.similarity, other) for other, match in partners[k] if other in stays]
        if not taken:
            stays.add(k)
            continue
        similarity, other = max(taken)
        dropped.append(
            _dropped(
                rows[k],
                float(rows[k]["seconds"]),
                "the same recording as another track",
                rows[other]["id"],
                f"{similarity:.2f}",
            )
        )
    kept = [row for k, row in enumerate(rows) if k in stays]
    return kept, sorted(dropped, key=lambda row: row["id"])


def tidy(rows: Sequence[Row], prints: Sequence[np.ndarray]) -> tuple[list[Row], list[Row]]:
    """Rows that stay, with ``seconds`` cut where a file repeats itself; and what was dropped."""
    sounds, short, silent = cut_silence(rows, prints)
    once, short, repeated = cut_repetition(sounds, short)
    long = [k for k, row in enumerate(once) if float(row["seconds"]) >= SHORTEST_SECONDS]
    brief = [row for row in once if float(row["seconds"]) < SHORTEST_SECONDS]
    matches = list(find_matches([short[k] for k in long]))
    kept, twice = drop_duplicates([once[k] for k in long], matches)
    twice += [_dropped(row, float(row["seconds"]), "too short") for row in brief]
    gone = {row["id"] for row in twice}
    return kept, [*twice, *(row for row in [*repeated, *silent] if row["id"] not in gone)]


def check_artists(rows: Sequence[Row]) -> None:
    """Raise ManifestError where an artist is in more than one split."""
    splits: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row["artist"]:
            splits[row["artist"]].add(row["split"])
    torn = sorted(artist for artist, found in splits.items() if len(found) > 1)
    if torn:
        raise ManifestError(
            f"artists in more than one split: {', '.join(torn)}; give their tracks one split in "
            "open_weights/open_corpus.csv"
        )
