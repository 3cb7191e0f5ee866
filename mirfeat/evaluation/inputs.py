"""Features as protocols take them: named blocks of columns, whatever file they come from."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mirfeat.errors import OptionError, StoreError
from mirfeat.evaluation.records import System
from mirfeat.provenance import Provenance
from mirfeat.results.table import FeatureTable
from mirfeat.store.reading import load_embeddings, load_features
from mirfeat.store.record import StoreInfo, is_store, read_failures


@dataclass(frozen=True, eq=False)
class Features:
    """Vectors of n clips in named blocks.

    ``blocks``: float32 [n, d] each; ``ids``: names of the clips, None where the file has none;
    ``failed``: clips that were tried and have no vector; ``systems``: what made them, empty where
    nobody knows. ``name`` is what results call them.
    """

    name: str
    blocks: Mapping[str, np.ndarray]
    ids: tuple[str, ...] | None = None
    failed: tuple[str, ...] = ()
    systems: tuple[System, ...] = ()

    def __post_init__(self) -> None:
        """Check that blocks have as many rows, and finite numbers."""
        if len({len(block) for block in self.blocks.values()}) != 1:
            sizes = {name: block.shape for name, block in self.blocks.items()}
            raise OptionError(f"{self.name}: blocks differ in their number of clips: {sizes}.")
        if self.ids is not None and not len(set(self.ids)) == len(self.ids) == len(self):
            raise OptionError(
                f"{self.name}: {len(self.ids)} ids, {len(set(self.ids))} of them different, for "
                f"{len(self)} clips; each clip has one of its own."
            )
        for name, block in self.blocks.items():
            if block.ndim != 2 or not np.isfinite(block).all():
                raise OptionError(
                    f"{self.name}, {name}: shape {block.shape}; features are [clips, numbers], all "
                    "finite."
                )

    def __len__(self) -> int:
        """Number of clips."""
        return len(next(iter(self.blocks.values())))

    @property
    def values(self) -> np.ndarray:
        """All blocks side by side, [n, D]."""
        return np.concatenate(list(self.blocks.values()), axis=1)

    @property
    def layers(self) -> dict[str, np.ndarray]:
        """Blocks that are layers of a network, by their digits."""
        return {
            name[5:]: block
            for name, block in self.blocks.items()
            if name.startswith("layer") and name[5:].isdigit()
        }

    def in_order_of(self, ids: Sequence[str]) -> np.ndarray:
        """All blocks side by side for these clips, [len(ids), D]; arrays without ids as they are.

        Raises:
            OptionError: a clip without features, or another number of rows where there are no ids.
        """
        if self.ids is None:
            if len(ids) != len(self):
                raise OptionError(
                    f"{self.name}: {len(self)} rows without ids for {len(ids)} clips."
                )
            return self.values
        place = {id: row for row, id in enumerate(self.ids)}
        if missing := [id for id in ids if id not in place]:
            raise OptionError(
                f"{self.name}: {len(missing)} of {len(ids)} clips have no features, first "
                f"{missing[0]!r}; features are called like {self.ids[0]!r}."
            )
        return self.values[[place[id] for id in ids]]


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows (windows, segments) of n clips in named blocks.

    ``blocks``: [R, d] each; ``clips``: int64 [R], which clip a row is of, in rising order;
    ``ids``: names of the n clips; ``failed``, ``systems``: as of :class:`Features`.
    """

    name: str
    blocks: Mapping[str, np.ndarray]
    clips: np.ndarray
    ids: tuple[str, ...] | None
    failed: tuple[str, ...] = ()
    systems: tuple[System, ...] = ()

    def __len__(self) -> int:
        """Number of clips."""
        return int(self.clips.max(initial=-1)) + 1 if self.ids is None else len(self.ids)

    @property
    def values(self) -> np.ndarray:
        """All blocks side by side, [R, D]."""
        return np.concatenate(list(self.blocks.values()), axis=1)

    def of(self, clips: np.ndarray) -> Rows:
        """Rows of some clips only, which are then numbered in the order given."""
        order = np.argsort(self.clips, kind="stable")
        starts = np.searchsorted(self.clips[order], clips, side="left")
        ends = np.searchsorted(self.clips[order], clips, side="right")
        picks = [order[start:end] for start, end in zip(starts, ends, strict=True)]
        rows = np.concatenate(picks) if picks else np.zeros(0, np.int64)
        numbers = np.repeat(np.arange(len(clips)), ends - starts)
        ids = None if self.ids is None else tuple(self.ids[clip] for clip in clips)
        blocks = {name: block[rows] for name, block in self.blocks.items()}
        return Rows(self.name, blocks, numbers, ids, self.failed, self.systems)


def one_row_each(features: Features) -> Rows:
    """Vectors as rows: one a clip."""
    clips = np.arange(len(features))
    return Rows(
        features.name, features.blocks, clips, features.ids, features.failed, features.systems
    )


def read_rows(spec: str) -> Rows:
    """Rows of a store made with ``mirfeat extract --embed --format npz``; of others the vectors.

    Raises:
        StoreError: no features, or no clip in them.
    """
    path = Path(spec)
    info = StoreInfo.read(path) if path.is_dir() and is_store(path) else None
    if info is None or not info.embed:
        return one_row_each(read_features([spec]))
    ids, values, blocks = [], [], {}
    for id, embedding in load_embeddings(path):
        ids.append(id)
        values.append(embedding.values)
        blocks = dict(embedding.blocks)
    if not ids:
        raise StoreError(f"{path}: no clip has features.")
    clips = np.repeat(np.arange(len(ids)), [len(rows) for rows in values])
    every = np.concatenate(values)
    named = {name: every[:, columns] for name, columns in blocks.items()}
    failed = tuple(failure.id for failure in read_failures(path))
    name, systems = describe(info.provenance), systems_of(info.provenance)
    return Rows(name, named, clips, tuple(ids), failed, systems)


def from_table(table: FeatureTable, name: str | None = None) -> Features:
    """Features of a table: the blocks that its feature names speak of.

    A block of an extractor joined to others by ``+`` keeps its own name; names that two of them
    share are told apart by the extractor's name.
    """
    parts: dict[tuple[str, str], list[int]] = {}
    for column, feature in enumerate(table.feature_names):
        extractor, block, *_ = feature.split(".")
        parts.setdefault((extractor, block), []).append(column)
    often = [block for _, block in parts]
    blocks = {
        block if often.count(block) == 1 else f"{extractor}.{block}": table.values[:, columns]
        for (extractor, block), columns in parts.items()
    }
    failed = tuple(failure.id for failure in table.failures)
    systems = systems_of(table.provenance)
    return Features(name or describe(table.provenance), blocks, table.ids, failed, systems)


def systems_of(record: Provenance) -> tuple[System, ...]:
    """What made features, one for each extractor that was joined."""
    found = []
    for part in record.parts or (record,):
        statistics = part.options.get("statistics") or ()
        words = (statistics,) if isinstance(statistics, str) else tuple(map(str, statistics))
        weights = part.checkpoint_name
        found.append(System(part.extractor, None if weights is None else str(weights), words))
    return tuple(found)


def describe(record: Provenance) -> str:
    """Extractor and weights, as a name for results."""
    weights = [
        # Of a file its name: where it lay says nothing.
        Path(part.checkpoint_name).name
        for part in (record.parts or (record,))
        if part.checkpoint_name
    ]
    return f"{record.extractor} ({', '.join(weights)})" if weights else record.extractor


def read_features(specs: Sequence[str]) -> Features:
    """Features from files: one store or table, or several arrays side by side.

    Each of ``specs`` is a folder that ``mirfeat extract`` wrote, a table that
    :meth:`mirfeat.FeatureTable.save` wrote, or a ``.npy`` array [clips, numbers], which has no ids
    and follows the order of the labels. ``NAME=FILE`` names a block: ``layer1=a.npy layer2=b.npy``.

    Raises:
        OptionError: nothing given, or ids that differ between files.
        StoreError: a file that is none of these.
    """
    if not specs:
        raise OptionError("no features: give a folder that 'mirfeat extract' wrote.")
    parts = [_read_one(spec) for spec in specs]
    if len(parts) == 1:
        return parts[0]
    blocks: dict[str, np.ndarray] = {}
    first = next((part for part in parts if part.ids is not None), parts[0])
    for spec, part in zip(specs, parts, strict=True):
        if twice := set(blocks) & set(part.blocks):
            raise OptionError(
                f"{spec}: blocks {sorted(twice)} are there already. Name it NAME=FILE to "
                "stand beside them, or say --features again for another set to compare."
            )
        blocks |= {name: _in_order(block, part, first) for name, block in part.blocks.items()}
    names = list(dict.fromkeys(part.name for part in parts))
    name = " + ".join(names) if len(names) < 4 else f"{names[0]} … {names[-1]}"
    known = all(part.systems for part in parts)
    systems = tuple(system for part in parts for system in part.systems) if known else ()
    return Features(name, blocks, first.ids, first.failed, systems)


def _in_order(block: np.ndarray, part: Features, first: Features) -> np.ndarray:
    """Rows of a block in the order of the clips of ``first``."""
    if part.ids == first.ids:
        return block
    if part.ids is None or first.ids is None or set(part.ids) != set(first.ids):
        raise OptionError(
            f"{part.name} and {first.name} are features of different clips ({len(part)} and "
            f"{len(first)}); they cannot stand side by side."
        )
    place = {id: row for row, id in enumerate(part.ids)}
    return block[[place[id] for id in first.ids]]


def _read_one(spec: str) -> Features:
    name, equals, rest = spec.partition("=")
    path = Path(rest if equals and not Path(spec).exists() else spec)
    block = name if equals and not Path(spec).exists() else ""
    if path.is_dir() and is_store(path):
        features = from_table(load_features(path))
    elif path.suffix == ".npy":
        return Features(block or path.stem, {block or path.stem: _read_array(path)})
    elif path.is_file() and zipfile.is_zipfile(path):
        features = from_table(FeatureTable.load(path))
    else:
        raise StoreError(
            f"{path}: no features. Give a folder that 'mirfeat extract' wrote, a table that "
            "FeatureTable.save wrote, or a .npy array [clips, numbers]."
        )
    if not block:
        return features
    return Features(
        block, {block: features.values}, features.ids, features.failed, features.systems
    )


def _read_array(path: Path) -> np.ndarray:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise StoreError(f"{path}: not a readable array: {error}") from error
    if not isinstance(array, np.ndarray):
        raise StoreError(f"{path}: several arrays, not one [clips, numbers].")
    if array.ndim != 2 or array.dtype.kind not in "fiu":
        raise StoreError(
            f"{path}: an array of shape {array.shape} and type {array.dtype}; [clips, numbers] "
            "is needed."
        )
    # Published arrays are float64 and carry digits that protocols can see.
    values: np.ndarray = array.astype(np.promote_types(array.dtype, np.float32))
    return values
