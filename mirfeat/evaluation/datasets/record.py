"""One data set as a record, and what readers of folders hand back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Kind = Literal["classification", "regression", "multi-label", "recommendation"]

Columns = dict[str, tuple[str, ...]]
"""Columns of strings by name, one string a row."""

Reader = Callable[[Path], Columns]
"""Reads the labels of a folder; raises :class:`AbsentError` if they are not there."""


class AbsentError(Exception):
    """What a reader misses, as a sentence; becomes a LabelsError that says where to get it."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set of the papers, as they describe it.

    ``papers``: the names that extractors begin with (``choi2017``, …). ``targets``: columns of the
    labels that can be predicted. ``classes``: as labels spell them; empty where there are none, or
    where their spelling on disk is not known for certain. ``clips``: their number, by who says it.
    ``where``: pages to get it from, the first its homepage; old ones may have moved. ``terms``:
    licence as far as its makers state one. ``layout``: the files that :attr:`read` expects.
    ``package``: its loader in mirdata or soundata, "mirdata:gtzan_genre". ``notes``: what decides
    numbers and is easily missed.
    """

    name: str
    title: str
    papers: tuple[str, ...]
    kind: Kind
    targets: tuple[str, ...]
    clips: Mapping[str, int]
    clip_length: str
    terms: str
    where: tuple[str, ...]
    citation: str
    layout: str
    read: Reader = field(repr=False)
    classes: tuple[str, ...] = ()
    package: str | None = None
    notes: tuple[str, ...] = ()


def columns(names: Sequence[str], rows: Iterable[Sequence[str]]) -> Columns:
    """Rows turned into named columns.

    Raises:
        AbsentError: there are no rows.
    """
    turned = list(zip(*rows, strict=True))
    if not turned:
        raise AbsentError("there are no clips.")
    return dict(zip(names, turned, strict=True))
