"""A map of songs: where each lies, which are nearest, what it is called, where its sound is."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mirfeat.errors import ConfigError, OptionError
from mirfeat.evaluation.maps import tsne_map
from mirfeat.explore.neighbours import Neighbours
from mirfeat.explore.placement import Metric
from mirfeat.results.table import FeatureTable

MOST_SONGS = 10_000
OTHERS = "others"


@dataclass(frozen=True, eq=False)
class SongMap:
    """Everything a page with a map shows.

    ``names``: [n]; ``positions``: float32 [n, 2] in [0, 1]; ``near``: int64 [n, k], the nearest
    songs of each; ``closeness``: float64 [n, k], cosine similarity to them, or L1 distance;
    ``labels``: [n], what songs are coloured by; ``sounds``: [n], an address for an audio element or
    None; ``tags``: [n], words for each song.
    """

    names: tuple[str, ...]
    positions: np.ndarray
    near: np.ndarray
    closeness: np.ndarray
    metric: Metric
    labels: tuple[str, ...]
    sounds: tuple[str | None, ...]
    tags: tuple[tuple[str, ...], ...] = ()
    origin: str = ""
    label_name: str = field(default="label")

    def __post_init__(self) -> None:
        """Check that all parts are of the same songs."""
        count = len(self.names)
        parts = (self.positions, self.near, self.closeness, self.labels, self.sounds)
        if any(len(part) != count for part in parts) or len(self.tags) not in (0, count):
            raise ConfigError(f"a map of {count} songs has parts of another length.")


def make_map(
    table: FeatureTable,
    *,
    sounds: Sequence[str | None] | None = None,
    labels: Sequence[str] | None = None,
    label_name: str = "label",
    tags: Sequence[Sequence[str]] = (),
    names: Sequence[str] | None = None,
    metric: Metric = "cosine",
    neighbours: int = 5,
    seed: int = 0,
) -> SongMap:
    """Lay the clips of a table out by t-SNE and find the nearest of each.

    >>> from mirfeat.explore.song_map import make_map
    >>> map = make_map(mirfeat.load_extractor("mfcc").extract_files(songs[:6], progress=False))
    >>> map.positions.shape, map.near.shape
    ((6, 2), (6, 5))

    Args:
        table: 5 clips or more, at most 10 000 (see :func:`sample`).
        sounds: an address a clip, see :func:`mirfeat.explore.players.sources`.
        labels: what to colour clips by; by default the folder each is in.
        label_name: what the labels are.
        tags: words for each clip.
        names: what to call each clip; by default its id.
        metric: of the neighbours.
        neighbours: how many of each.
        seed: start of the layout.

    Raises:
        ConfigError: fewer than five clips, or parts of another length.
        OptionError: more clips than a page shows well.
    """
    if len(table) > MOST_SONGS:
        raise OptionError(f"{table!r}: a map shows at most {MOST_SONGS} clips; take a sample.")
    positions = tsne_map(table.values, seed=seed)
    near = Neighbours(table, metric).among(range(len(table)), neighbours)
    if labels is None:
        labels, label_name = folders_of(table.ids), "folder"
    return SongMap(
        names=tuple(names or table.ids),
        positions=_in_unit_square(positions),
        near=near.rows,
        closeness=near.values,
        metric=metric,
        labels=tuple(labels),
        sounds=tuple(sounds or [None] * len(table)),
        tags=tuple(tuple(words) for words in tags),
        origin=table.provenance.extractor,
        label_name=label_name,
    )


def sample(table: FeatureTable, most: int = MOST_SONGS, seed: int = 0) -> FeatureTable:
    """The table, or ``most`` of its clips drawn at random, in their order."""
    if len(table) <= most:
        return table
    rows = np.sort(np.random.default_rng(seed).choice(len(table), most, replace=False))
    ids = tuple(table.ids[row] for row in rows)
    return FeatureTable(table.values[rows], ids, table.feature_names, table.provenance)


def folders_of(ids: Sequence[str]) -> list[str]:
    """The first folder of each id in which they differ; "" where all are in one."""
    folders = [posixpath.dirname(id).split("/") if "/" in id else [] for id in ids]
    depth = 0
    while folders and all(len(parts) > depth for parts in folders):
        if len({parts[depth] for parts in folders}) > 1:
            break
        depth += 1
    return [parts[depth] if len(parts) > depth else "" for parts in folders]


def aligned_labels(ids: Sequence[str], known: Mapping[str, str]) -> list[str]:
    """A label for each id; a clip without one gets "".

    Raises:
        ConfigError: not one id has a label.
    """
    found = [known.get(id, "") for id in ids]
    if not any(found):
        first = next(iter(known), "nothing")
        raise ConfigError(f"no label belongs to a clip: ids are like {ids[0]!r}, there {first!r}.")
    return found


def by_frequency(labels: Sequence[str]) -> list[tuple[str, int]]:
    """Labels with their counts, most frequent first, equal ones by name."""
    return sorted(Counter(labels).items(), key=lambda item: (-item[1], item[0]))


def _in_unit_square(positions: np.ndarray) -> np.ndarray:
    """Both axes by the same factor, centred in [0, 1]."""
    low, high = positions.min(axis=0), positions.max(axis=0)
    span = float((high - low).max()) or 1.0
    return np.asarray((positions - (low + high) / 2) / span + 0.5, dtype=np.float32)
