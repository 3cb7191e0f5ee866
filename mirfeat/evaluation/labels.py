"""Labels: a table of strings with one row a clip, and what a protocol needs of it.

A CSV or TSV file with a header. One column names the clips as features do (``id``, or ``path``),
one is the target; columns such as ``artist``, ``fold`` or ``split`` say who may be tested on whom.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mirfeat.errors import LabelsError

ID_COLUMNS = ("id", "path", "filepath", "file", "filename")
TARGET_COLUMNS = ("label", "target", "class", "genre", "style", "category")
# The narrowest first: clips of one recording are the closest relatives.
GROUP_COLUMNS = ("group", "artist", "composer", "performer", "album", "song", "recording", "source")
FOLD_COLUMNS = ("fold", "split")

Kind = Literal["classification", "regression"]


@dataclass(frozen=True)
class LabelTable:
    """Columns of strings by name, one string a clip; ``path`` is for messages."""

    path: str
    columns: Mapping[str, tuple[str, ...]]

    def __len__(self) -> int:
        """Number of clips."""
        return len(next(iter(self.columns.values())))

    def column(self, name: str) -> tuple[str, ...]:
        """One column.

        Raises:
            LabelsError: no such column.
        """
        if name not in self.columns:
            columns = ", ".join(list(self.columns)[:20])
            raise LabelsError(f"{self.path}: no column {name!r}. Columns: {columns}.")
        return self.columns[name]

    def first_of(self, names: Sequence[str]) -> str | None:
        """The first of ``names`` that is a column, whatever its case."""
        known = {column.lower(): column for column in self.columns}
        return next((known[name] for name in names if name in known), None)

    def target_column(self) -> str:
        """The column to predict: one with a usual name, or the only one that is nothing else.

        Raises:
            LabelsError: several columns could be meant.
        """
        if usual := self.first_of(TARGET_COLUMNS):
            return usual
        taken = {*ID_COLUMNS, *GROUP_COLUMNS, *FOLD_COLUMNS, ""}
        left = [column for column in self.columns if column.lower() not in taken]
        if len(left) != 1:
            raise LabelsError(
                f"{self.path}: which column is to be predicted? Say --target with one of "
                f"{', '.join(list(left or self.columns)[:20])}."
            )
        return left[0]


def read_labels(path: Path | str) -> LabelTable:
    """Read a CSV file (or TSV, by its ending) with a header.

    Raises:
        LabelsError: not readable, no rows, columns twice, or a line of another length.
    """
    path = Path(path)
    delimiter = "\t" if path.suffix.lower() in {".tsv", ".tab"} else ","
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(_lines(csv.reader(file, delimiter=delimiter), path))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LabelsError(f"{path}: not a readable table of labels: {error}") from error
    if len(lines) < 2:
        raise LabelsError(f"{path}: needs a line with column names and a line for each clip.")
    header = [name.strip() for name in lines[0]]
    if len(set(header)) < len(header):
        raise LabelsError(f"{path}: two columns have the same name among {', '.join(header[:20])}.")
    return LabelTable(str(path), dict(zip(header, zip(*lines[1:], strict=True), strict=True)))


def _lines(reader: Any, path: Path) -> Iterator[list[str]]:
    width = 0
    for cells in reader:
        if not cells:
            continue
        width = width or len(cells)
        if len(cells) != width:
            raise LabelsError(
                f"{path}: line {reader.line_num} has {len(cells)} cells, the header has {width}."
            )
        yield cells


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be predicted, aligned with features.

    ``rows``: int64 [m], rows of the features that are used; ``labels``: [m], strings for a
    classification, float64 for a regression; ``groups`` and ``predefined`` (folds): [m] strings or
    None; ``ignored_groups``: groups that the labels carry and that folds are not to respect;
    ``notes``: what a reader must know, for example of clips that were left out.
    """

    target: str
    kind: Kind
    ids: tuple[str, ...]
    rows: np.ndarray
    labels: np.ndarray
    groups: tuple[str, ...] | None = None
    ignored_groups: tuple[str, ...] | None = None
    group_name: str = "group"
    predefined: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()

    @property
    def regression(self) -> bool:
        """Whether labels are numbers to be approximated."""
        return self.kind == "regression"


def make_task(
    table: LabelTable,
    ids: Sequence[str] | None,
    *,
    target: str | None = None,
    kind: Kind | None = None,
    groups: str | None = None,
    folds: str | None = None,
    count: int | None = None,
    failed: Sequence[str] = (),
) -> Task:
    """Labels in the order of features whose clips are called ``ids``.

    ``ids`` None: features come without names, row k belongs to line k, and there must be
    ``count`` of both. ``groups``: a column, "none", or None for the first of
    :data:`GROUP_COLUMNS` that is there; ``folds`` likewise. Clips with an empty label are left out.
    ``failed``: clips that are known to have no features; labelled ones are left out with a note.

    Raises:
        LabelsError: a clip of the features without labels, labels without features, or a target
            that is not what ``kind`` says.
    """
    target = target or table.target_column()
    values = table.column(target)
    names, rows, lines, notes = _align(table, ids, count, failed, values)
    filled = [k for k, line in enumerate(lines) if values[line].strip()]
    if not filled:
        raise LabelsError(f"{table.path}: the column {target!r} is empty for all clips.")
    if len(filled) < len(lines):
        notes.append(f"{len(lines) - len(filled)} clips have no {target!r} and were left out")
    names, rows = [names[k] for k in filled], [rows[k] for k in filled]
    lines = [lines[k] for k in filled]
    chosen = [values[line].strip() for line in lines]
    kind = kind or ("regression" if _is_regression(chosen) else "classification")
    labels = _numbers(chosen, table, target) if kind == "regression" else np.array(chosen)
    # Whether ignored groups leak is worth knowing too.
    ignored = groups == "none"
    group_name = _choose(table, None if ignored else groups, GROUP_COLUMNS, target)
    fold_name = _choose(table, folds, FOLD_COLUMNS, target)

    def pick(name: str | None) -> tuple[str, ...] | None:
        return None if name is None else tuple(table.column(name)[line].strip() for line in lines)

    return Task(
        target,
        kind,
        tuple(names),
        np.array(rows, dtype=np.int64),
        labels,
        None if ignored else pick(group_name),
        pick(group_name) if ignored else None,
        group_name or "group",
        pick(fold_name),
        tuple(notes),
    )


def _align(
    table: LabelTable,
    ids: Sequence[str] | None,
    count: int | None,
    failed: Sequence[str],
    values: Sequence[str],
) -> tuple[list[str], list[int], list[int], list[str]]:
    """Names of clips, their rows of the features, their lines of the labels; notes."""
    id_column = table.first_of(ID_COLUMNS)
    if ids is None:
        if count != len(table):
            raise LabelsError(
                f"{table.path}: {len(table)} lines for {count} rows of features without ids."
            )
        every = list(range(len(table)))
        return [str(k) for k in every], every, every, []
    if id_column is None:
        raise LabelsError(
            f"{table.path}: no column says which clip a line is about; name it one of "
            f"{', '.join(ID_COLUMNS)}. Columns: {', '.join(table.columns)}."
        )
    keys = table.column(id_column)
    place = {key: line for line, key in enumerate(keys)}
    if len(place) < len(keys):
        twice = next(key for line, key in enumerate(keys) if place[key] != line)
        raise LabelsError(
            f"{table.path}: {twice!r} is twice in the column {id_column!r}; each clip has one line."
        )
    rows = [row for row, key in enumerate(ids) if key in place]
    known, without = set(ids), set(failed)
    missing = [
        key
        for key, value in zip(keys, values, strict=True)
        if value.strip() and key not in known and key not in without
    ]
    if missing or not rows:
        raise LabelsError(
            f"{table.path}: {len(missing or keys)} of {len(keys)} clips have no features, first "
            f"{(missing or keys)[0]!r}; features are called like {next(iter(ids), '')!r}. Names "
            "must be the same: extract with --root at the folder that paths in the labels start "
            "from."
        )
    notes = []
    if len(rows) < len(ids):
        notes.append(f"{len(ids) - len(rows)} clips have features and no labels; left out")
    if lost := [key for key in keys if key in without]:
        notes.append(f"{len(lost)} labelled clips could not be read, so have no features; left out")
    return [ids[row] for row in rows], rows, [place[ids[row]] for row in rows], notes


def _choose(table: LabelTable, wanted: str | None, usual: Sequence[str], target: str) -> str | None:
    if wanted == "none":
        return None
    if wanted is not None:
        table.column(wanted)
        return wanted
    return table.first_of([name for name in usual if name != target.lower()])


def _is_regression(values: Sequence[str]) -> bool:
    """Numbers of which at least one is not whole; whole numbers count classes."""
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        return False
    return any(not number.is_integer() for number in numbers)


def _numbers(values: Sequence[str], table: LabelTable, target: str) -> np.ndarray:
    try:
        numbers = np.array([float(value) for value in values])
    except ValueError as error:
        raise LabelsError(
            f"{table.path}: {target!r} must be numbers for a regression: {str(error)[:200]}"
        ) from error
    if not np.isfinite(numbers).all():
        raise LabelsError(f"{table.path}: {target!r} holds a number that is not finite.")
    return numbers
