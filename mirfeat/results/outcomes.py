"""What became of clips: of one, and of a run over many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np


@dataclass(frozen=True, eq=False)
class Result:
    """What became of one item: a vector, or the reason why there is none.

    ``notes`` says what a person may want to know: ``silent``, ``tiled from 3.2 s``, …
    """

    id: str
    status: Literal["ok", "failed"]
    vector: np.ndarray | None = None
    error: str | None = None
    error_type: str | None = None
    seconds: float = 0.0
    rows: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failure:
    """One item that gave no vector.

    In a folder ``size`` and ``mtime_ns`` say which state of its file failed; -1 is not known.
    """

    id: str
    error_type: str
    error: str
    size: int = field(default=-1, compare=False)
    mtime_ns: int = field(default=-1, compare=False)


@dataclass(frozen=True)
class RunReport:
    """Outcome of a run over many files; seconds of audio and of the clock.

    ``notes`` counts what :attr:`Result.notes` said, by kind: ``{"silent": 2, "tiled": 5}``.
    ``known`` of the ``failed`` were listed before, for the same state of their files; ``kept`` of
    those were not tried again. ``gone`` are clips with a row whose file is no longer there.
    ``profile`` says where the time went, in seconds: ``decode`` (with resampling) and
    ``network``, summed over threads, ``wait`` of a GPU for decoders, and ``write``.
    """

    done: int
    skipped: int
    failed: int
    audio_seconds: float
    wall_seconds: float
    failures: tuple[Failure, ...] = ()
    notes: Mapping[str, int] = field(default_factory=dict)
    profile: Mapping[str, float] = field(default_factory=dict)
    known: int = 0
    kept: int = 0
    gone: tuple[str, ...] = ()
