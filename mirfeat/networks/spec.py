"""Frozen records that describe extractors.

A spec is data: everything that decides the numbers an extractor returns and everything a person
wants to know before using it. It sits beside its network (``mirfeat/networks/<name>.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mirfeat.audio.segments import SegmentSpec
from mirfeat.networks.checkpoint import Weights
from mirfeat.networks.frontend import MelSpec
from mirfeat.networks.model import Model
from mirfeat.networks.options import Option


@dataclass(frozen=True)
class Paper:
    """The publication an extractor comes from."""

    citation: str
    url: str
    bibtex: str


@dataclass(frozen=True)
class Checkpoint:
    """Published weights: where they are, what guards them, what may be done with them.

    ``location`` is an address, or ``pip:NAME==VERSION/FILE`` for what pip fetches. Out of a file
    that holds several checkpoints ``read`` takes this one, and ``weights_sha256`` tells it from the
    others; ``sha256`` is always that of the file.
    """

    name: str
    location: str
    sha256: str
    size_bytes: int
    licence: str
    training_data: str
    note: str = ""
    weights_sha256: str = ""
    read: Callable[[Path], Weights] | None = None

    @property
    def identity(self) -> str:
        """What tells these weights from all others."""
        return self.weights_sha256 or self.sha256

    @property
    def filename(self) -> str:
        """Last part of the address; also the name of the file in the cache folder."""
        return self.location.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class ForeignFormat:
    """A weight file of somebody else's making: the bytes it starts with and who reads it."""

    name: str
    signature: bytes
    read: Callable[[Path], Weights]


@dataclass(frozen=True)
class ExtractorSpec:
    """Everything about one extractor name. ``version`` goes up whenever any number moves.

    ``build(weights, options)`` assembles the model; ``initialise(seed)`` draws the untrained
    weights of ``checkpoint="random"``, and is None for an extractor that has no weights at all.
    ``options`` are those of its own; the checked value of each reaches ``build``.
    ``checkpoint_of`` is the name of another extractor whose checkpoints this one reads. ``blocks``
    are the named parts of a row with their sizes, at default options and of a checkpoint that has
    every source of the paper. ``default_checkpoint`` is that of users who name none. ``take_if``
    ends the sentence "take this one if", for those who choose; a list shows it.
    """

    name: str
    version: int
    summary: str
    paper: Paper
    mel: MelSpec
    segment: SegmentSpec
    paper_statistics: tuple[str, ...]
    build: Callable[[Weights | None, Mapping[str, Any]], Model]
    initialise: Callable[[int], Weights] | None = None
    options: tuple[Option, ...] = ()
    checkpoints: tuple[Checkpoint, ...] = ()
    formats: tuple[ForeignFormat, ...] = ()
    checkpoint_of: str = ""
    default_checkpoint: str = "open"
    blocks: Mapping[str, int] = field(default_factory=dict)
    take_if: str = ""

    @property
    def has_weights(self) -> bool:
        """Whether the extractor takes a checkpoint."""
        return self.initialise is not None
