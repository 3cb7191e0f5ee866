"""What runs inside the actors of a cluster, and what travels to them and back.

An actor loads the extractor once and runs the pipeline of a local run on batch after batch of
files. Nothing here knows Ray.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch

from mirfeat.audio.addresses import Remote, is_url
from mirfeat.audio.clip import PathLike
from mirfeat.errors import ClusterError, OptionError
from mirfeat.loading import load_extractor
from mirfeat.provenance import Provenance
from mirfeat.results.outcomes import Result
from mirfeat.runs.filling import PendingFile
from mirfeat.store.in_hand import InHand, discard
from mirfeat.store.record import is_store

Actors: TypeAlias = int | tuple[int, int | None] | None
DEFAULT_BATCH_FILES = 32


@dataclass(frozen=True)
class Pool:
    """The actors of a run: how many, what each gets, how many files it is handed at a time.

    ``actors`` is a number, (least, most), or None: from one to what the cluster has room for.
    ``num_gpus`` may be a share of a device, 0.25 for four actors on each. ``wait_seconds`` is
    how long the first actors may take to start.
    """

    actors: Actors = None
    num_gpus: float = 0
    cpus_per_actor: int | None = None
    batch_files: int = DEFAULT_BATCH_FILES
    wait_seconds: float = 600

    def __post_init__(self) -> None:
        """Check what can be checked without a cluster."""
        least, most = self.bounds
        if least < 1 or (most is not None and most < least):
            raise OptionError(f"actors={self.actors!r}: it is 1 or more, or (least, most).")
        if self.num_gpus < 0 or (self.num_gpus > 1 and self.num_gpus != int(self.num_gpus)):
            raise OptionError(
                f"num_gpus={self.num_gpus}: it is 0, a share of a GPU below 1, or a whole number."
            )
        for name in ("cpus_per_actor", "batch_files"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise OptionError(f"{name}={value}: it is 1 or more.")

    @property
    def bounds(self) -> tuple[int, int | None]:
        """Least and most actors; None is no limit."""
        if self.actors is None:
            return 1, None
        return (self.actors, self.actors) if isinstance(self.actors, int) else self.actors

    @property
    def device(self) -> str:
        """Where the networks of its actors run."""
        return "cuda" if self.num_gpus else "cpu"


@dataclass(frozen=True)
class Job:
    """What an actor must know: which extractor, and what it must turn out to be.

    ``folder`` is where the driver writes; an actor that sees it notes there what it has in hand.
    """

    name: str
    options: Mapping[str, Any]
    provenance: Provenance
    folder: Path


def as_row(task: PendingFile) -> dict[str, Any]:
    """A task as a row of a dataset; names of files need not be text, so they go as bytes."""
    path = os.fspath(task.path)
    if not isinstance(task.path, Remote):
        path = os.path.abspath(path)  # actors have a working folder of their own
    return {"id": task.id, "path": os.fsencode(path), "size": task.size, "stamp": task.mtime_ns}


class Worker:
    """The body of an actor: an extractor that is loaded once and computes batch after batch."""

    def __init__(self, job: Job, pool: Pool) -> None:
        """Load the extractor.

        Raises:
            ClusterError: here it would compute something else than where the run was started.
        """
        cpus = pool.cpus_per_actor or 1
        torch.set_num_threads(cpus)
        self._workers = cpus
        self._folder = job.folder
        self._note = InHand(job.folder, f"{os.uname().nodename}-{os.getpid()}")
        self._extractor = load_extractor(job.name, device=pool.device, **job.options)
        if lines := self._extractor.provenance.differences(job.provenance):
            raise ClusterError(
                f"on node {os.uname().nodename} {job.name} is another extractor than where the "
                f"run was started ({'; '.join(lines)}). Use the same mirfeat and weights on all."
            )

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Results of a batch of tasks; failures are rows like others."""
        columns = zip(*(batch[name] for name in ("id", "path", "size", "stamp")), strict=True)
        items = [
            (str(id), _as_source(os.fsdecode(path), int(size), int(stamp)))
            # Long files first: one that starts last keeps a single core while the others wait.
            for id, path, size, stamp in sorted(columns, key=lambda row: row[2], reverse=True)
        ]
        run = self._extractor.run("nan", self._workers, progress=False)
        if is_store(self._folder):  # a disk that all nodes have, or the driver's own node
            run = replace(run, watch=self._note.holding)
        return packed(list(run.results(items)))


@contextmanager
def noting(job: Job) -> Iterator[None]:
    """For the driver: what actors note in the block stays only where they keep dying over it."""
    try:
        yield
    except ClusterError:
        raise  # the next run looks for the file at fault
    except BaseException:
        discard(job.folder)
        raise
    discard(job.folder)


def _as_source(path: str, size: int, stamp: int) -> PathLike:
    return Remote(path, size, stamp) if is_url(path) else path


def packed(results: Sequence[Result]) -> dict[str, np.ndarray]:
    """Results as columns; each has a vector, of NaN where there is none."""
    return {
        "id": np.array([result.id for result in results], dtype=object),
        "status": np.array([result.status for result in results], dtype=object),
        "vector": np.stack([result.vector for result in results]),  # type: ignore[misc]
        "seconds": np.array([result.seconds for result in results]),
        "rows": np.array([result.rows for result in results]),
        "notes": np.array(["\n".join(result.notes) for result in results], dtype=object),
        # Messages name files, whose names need not be text.
        "error": np.array([os.fsencode(result.error or "") for result in results], dtype=object),
        "error_type": np.array([result.error_type or "" for result in results], dtype=object),
    }


def unpacked(batch: Mapping[str, np.ndarray]) -> Iterator[Result]:
    """Inverse of :func:`packed`."""
    for index, status in enumerate(batch["status"]):
        good = status == "ok"
        yield Result(
            str(batch["id"][index]),
            "ok" if good else "failed",
            np.array(batch["vector"][index], dtype=np.float32) if good else None,
            error=None if good else os.fsdecode(batch["error"][index]),
            error_type=None if good else str(batch["error_type"][index]),
            seconds=float(batch["seconds"][index]),
            rows=int(batch["rows"][index]),
            notes=tuple(filter(None, str(batch["notes"][index]).split("\n"))),
        )
