"""Several devices at once: a process for each, and one writer.

Each process holds the network on its device and takes files from a queue that all share, so a
slow device does less. The folder is the same as that of any other run: either can go on with it.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from mirfeat.audio.clip import PathLike
from mirfeat.errors import ExtractionError, MirfeatError, OptionError
from mirfeat.loading import load_extractor
from mirfeat.pipeline.workers import default_workers
from mirfeat.results.outcomes import RunReport
from mirfeat.runs.filling import Destination, Extracted, PendingFile
from mirfeat.runs.progress import Progress, Shown
from mirfeat.runs.run import Elsewhere, OnError
from mirfeat.store.in_hand import InHand, discard

# Results that wait for the writer; a process that is ahead of it waits.
_WAITING_RESULTS = 256


def extract_on_devices(
    paths: Iterable[PathLike],
    store: PathLike,
    name: str,
    devices: Sequence[str] = ("all",),
    *,
    format: Any = "csv",
    embed: bool = False,
    root: PathLike | None = None,
    resume: bool = True,
    overwrite: bool = False,
    retry_failed: bool | None = None,
    prune: bool = False,
    shard: tuple[int, int] | None = None,
    on_error: OnError = "skip",
    workers: int | None = None,
    progress: Shown = None,
    **options: Any,
) -> RunReport:
    """Vectors of many files into a folder, with a process on each of ``devices``.

    ``devices`` are ``("cuda:0", "cuda:1")``, ``("all",)`` for every CUDA device, or ``("cpu",
    "cpu")`` for two processes. ``workers`` are decoding threads of each process; ``options`` are
    those of :func:`mirfeat.load_extractor`, all others as in :meth:`mirfeat.Extractor.extract_to`.
    In a script the call belongs under ``if __name__ == "__main__":``, since each process imports
    the script anew.

    >>> two = ("cpu", "cpu")
    >>> report = mirfeat.extract_on_devices(songs[:4], "by_two", "mfcc", two, progress=False)
    >>> report.done, report.failed
    (4, 0)

    Raises:
        OptionError: no such device, or a value that is not taken.
        ExtractionError: a process ended before its time; what is done is kept.
    """
    chosen = _devices(devices)
    with load_extractor(name, **{**options, "device": "cpu"}) as extractor:
        run = extractor.run(on_error, workers, progress)
        destination = Destination(
            Path(store), format, embed, root, resume, overwrite, shard, retry_failed, prune
        )
        jobs = _jobs(name, options, chosen, workers, destination)
        processes = Elsewhere(partial(_extracted, jobs), ",".join(chosen))
        return run.to_store(destination, paths, processes)


def _devices(devices: Sequence[str]) -> list[str]:
    # Counted without a context on any of them, which would take memory on each.
    there = torch.cuda.device_count()
    if list(devices) == ["all"]:
        if not there:
            raise OptionError("devices 'all': there is no CUDA device here.")
        return [f"cuda:{index}" for index in range(there)]
    for name in devices:
        try:
            device = torch.device(name)
        except RuntimeError as error:
            raise OptionError(f"{name!r} is not a device: {error}") from error
        if device.type == "cuda" and (device.index or 0) >= there:
            raise OptionError(f"{name!r}: there are {there} CUDA devices here, from cuda:0 on.")
    return list(devices)


@dataclass(frozen=True)
class _Job:
    """What one process is to load, and its share of the cores."""

    name: str
    options: dict[str, Any]
    workers: int
    threads: int
    keep_rows: bool
    folder: Path
    worker: str


def _jobs(
    name: str,
    options: dict[str, Any],
    devices: list[str],
    workers: int | None,
    destination: Destination,
) -> list[_Job]:
    share = len(devices)
    threads = max(1, torch.get_num_threads() // share)
    return [
        _Job(
            name,
            {**options, "device": device},
            workers or default_workers(share),
            threads,
            destination.embed,
            destination.store,
            str(number),
        )
        for number, device in enumerate(devices)
    ]


def _extracted(jobs: list[_Job], tasks: list[PendingFile]) -> Generator[Extracted, None, None]:
    """What became of each task, as they are done; closing it ends the processes."""
    context = multiprocessing.get_context("spawn")
    inbox, results = context.Queue(), context.Queue(_WAITING_RESULTS)
    for task in [*tasks, *[None] * len(jobs)]:
        inbox.put(task)
    processes = [
        context.Process(target=_work, args=(job, inbox, results), daemon=True)
        for job in jobs[: len(tasks)]  # nobody starts for nothing
    ]
    for process in processes:
        process.start()
    try:
        for _ in tasks:
            yield _next(results, processes)
    finally:
        inbox.cancel_join_thread()
        for job, process in zip(jobs, processes, strict=False):
            _end(job, process)


def _end(job: _Job, process: BaseProcess) -> None:
    """End a process that nobody waits for; of one that ended by itself its note is kept."""
    if process.exitcode is None:
        process.terminate()
        process.join()
        discard(job.folder, job.worker)


def _next(results: Any, processes: Sequence[BaseProcess]) -> Extracted:
    while True:
        # Asked before the queue: what an ended process has put there is there by now.
        codes = [process.exitcode for process in processes]
        ended = any(codes) or None not in codes
        try:
            item = results.get(timeout=0.5)
        except queue.Empty:
            if ended:
                raise ExtractionError(
                    f"a process ended before its time (exit codes {codes}; -9 is often memory). "
                    "What is done is kept; the same command goes on from there, without the file "
                    "that ended it, if one did."
                ) from None
            continue
        if isinstance(item, BaseException):
            raise item
        extracted: Extracted = item
        return extracted


def _work(job: _Job, inbox: Any, results: Any) -> None:
    """Body of a process: files from the queue until there are no more."""
    # Ctrl-C reaches every process of a terminal; the one that writes ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    note = InHand(job.folder, job.worker)
    try:
        torch.set_num_threads(job.threads)
        with load_extractor(job.name, **job.options) as extractor:
            run = extractor.run("skip", job.workers, progress=False)
            run = replace(run, watch=note.holding)
            tasks = iter(inbox.get, None)
            progress = Progress(job.name, None, total=None, shown=False)
            for item in run.extracted(tasks, progress, job.keep_rows):
                results.put(item)
    except MirfeatError as error:  # raised by the process that writes
        results.put(error)
    except BaseException as error:
        results.put(error)
        raise  # a bug: its traceback is of this process
    finally:
        note.end()


def _end_with_parent() -> None:
    """Do not wait for ever, with a device in hand, for files of a process that was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
