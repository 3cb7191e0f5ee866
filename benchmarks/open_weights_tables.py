"""Markdown tables of what ``open_weights`` measured: for model cards and README."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.open_weights_scores import INSTRUMENTS, MUSIC, PRECISION
from benchmarks.tables import print_table

EXTRACTORS = (
    *("mfcc", "choi2017", "hamel2013-base", "hamel2013-tag", "hamel2013-genre"),
    *("kim2018-stn", "kim2018-mtn", "kim2019-ms-sr-fc", "kim2019-ms-cr-6", "kim2019-ms-cr-4"),
    *("kim2019-ms-cr-2", "kim2019-mss-cr"),
)
SINGLE = "kim2019-ss-r"
SUMMARY = (*INSTRUMENTS, *MUSIC)
_KINDS = {"": "", "random": "untrained", "open": "open weights"}

Entry = Mapping[str, Any]


def print_tables(content: Mapping[str, Any]) -> None:
    """All tables of the JSON file's content; none if nothing was measured yet."""
    entries = sorted(content["features"].values(), key=_order)
    if not entries:
        return
    whole = [entry for entry in entries if not entry["source"]]
    for title, columns in (
        ("Instruments, 10 folds: best of the grid, and nested", INSTRUMENTS),
        ("Held-out music, windows of 30 s: style in other games, game in other tracks", MUSIC),
        ("Held-out music, a vector a track: precision at 10, L1", PRECISION),
    ):
        chance = [f"{content['no_skill'][column]:.3f}" for column in columns]
        rows = [["no skill", "", *chance]]
        rows += [[_name(entry), entry["numbers"], *_cells(entry, columns)] for entry in whole]
        print_table(title, ("features", "numbers", *columns), rows)
    for label in ("random", "open"):
        own = [entry for entry in entries if entry["checkpoint"] == label]
        if any(entry["source"] for entry in own):
            title = f"Several sources against one, kim2019, {_KINDS[label]}"
            print_table(title, ("features", *SUMMARY), list(_source_rows(own)))


def _order(entry: Entry) -> tuple[int, int]:
    # Single sources stay in the order they were measured in.
    places = {name: place for place, name in enumerate((*EXTRACTORS, SINGLE))}
    return places[entry["extractor"]], list(_KINDS).index(entry["checkpoint"])


def _name(entry: Entry) -> str:
    kind = _KINDS[entry["checkpoint"]]
    return f"`{entry['extractor']}`{', ' if kind else ''}{kind}"


def _cells(entry: Entry, columns: Iterable[str]) -> list[str]:
    found = [entry["scores"][column] for column in columns]
    return [f"{cell['score']:.3f} ± {cell['standard_error']:.3f}" for cell in found]


def _source_rows(entries: Sequence[Entry]) -> Iterable[list[str]]:
    """Each single source, their mean with its spread over them, their best, all strategies."""
    single = [entry for entry in entries if entry["source"]]
    for entry in single:
        yield [f"{entry['source']} alone", *_cells(entry, SUMMARY)]
    scores = np.array([[entry["scores"][name]["score"] for name in SUMMARY] for entry in single])
    spread = scores.std(axis=0, ddof=1) if len(single) > 1 else np.zeros(len(SUMMARY))
    means = zip(scores.mean(axis=0), spread, strict=True)
    yield [f"mean of {len(single)} (± their std)", *(f"{m:.3f} ± {s:.3f}" for m, s in means)]
    best = zip(scores.argmax(axis=0), scores.max(axis=0), strict=True)
    yield ["best of them", *(f"{score:.3f} ({single[k]['source']})" for k, score in best)]
    for entry in entries:
        if entry["extractor"].startswith("kim2019") and not entry["source"]:
            yield [f"`{entry['extractor']}`", *_cells(entry, SUMMARY)]
