"""Extraction on a Ray cluster; the only importer of Ray.

The driver, which is the process that calls :func:`extract_dataset`, lists the files, sends those
that are not done to actors as small batches of paths, and writes what comes back. An actor loads
the extractor once and runs the pipeline of a local run, so decoding and network stay side by side
and no audio crosses the network between nodes.
"""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mirfeat.audio.clip import PathLike
from mirfeat.distributed.actors import (
    DEFAULT_BATCH_FILES,
    Actors,
    Job,
    Pool,
    Worker,
    as_row,
    noting,
    unpacked,
)
from mirfeat.distributed.false_alarms import quiet_actors, quiet_tokens
from mirfeat.errors import ClusterError, MissingPackageError, OptionError
from mirfeat.loading import load_extractor
from mirfeat.results.outcomes import RunReport
from mirfeat.runs.filling import Destination, Extracted, PendingFile
from mirfeat.runs.progress import Shown
from mirfeat.runs.run import Elsewhere
from mirfeat.store.formats import Format

# A node that goes takes its actors and their batches along; both begin anew elsewhere. Actors this
# often, which ends a run whose files crash them; batches without a limit, since Ray counts a try
# every second or so until it has noticed that the node is gone.
_MAX_RESTARTS, _NO_LIMIT = 10, -1
# While a batch is computed nothing moves, and a batch of day-long files takes its time.
_NO_PROGRESS_SECONDS = 6 * 3600
# What passes through Ray's memory here is names and vectors.
_LOCAL_STORE_BYTES = 200_000_000
_DEFAULT_CPUS = 4
_ERROR_LINE = re.compile(r"[A-Za-z_.]*(Error|Exception): ")


def extract_dataset(
    paths: Iterable[PathLike],
    store: PathLike,
    name: str,
    *,
    actors: Actors = None,
    num_gpus: float = 0,
    cpus_per_actor: int | None = None,
    address: str | None = None,
    batch_files: int = DEFAULT_BATCH_FILES,
    wait_seconds: float = 600,
    format: Format = "parquet",
    root: PathLike | None = None,
    resume: bool = True,
    overwrite: bool = False,
    retry_failed: bool | None = None,
    prune: bool = False,
    on_error: Literal["skip", "raise"] = "skip",
    progress: Shown = None,
    **load_options: Any,
) -> RunReport:
    """Vectors of many files or URLs into a folder, computed by actors on a Ray cluster.

    The folder is the same as :meth:`mirfeat.Extractor.extract_to` makes, and either goes on with
    what the other has begun. Actors read the files themselves: every node must see the same paths,
    or they are URLs.

    >>> mirfeat.extract_dataset(songs[:2], "by_ray", "mfcc", actors=1, progress=False).done
    2

    Args:
        paths: files and URLs, for example of :func:`mirfeat.audio.collection.find_audio`.
        store: the folder to fill; only this process writes to it.
        name: of the extractor, as for :func:`mirfeat.load_extractor`.
        actors: how many, (least, most), or None: as many as the cluster has room for.
        num_gpus: of each actor; shares are allowed. The network runs on the CPU with 0.
        cpus_per_actor: cores of each actor; 4 by default, fewer where no node has 4.
        address: of the cluster: ``"auto"``, the one this machine belongs to, or ``"host:port"``;
            ``"local"`` starts Ray on this machine. None is the Ray this process is connected to,
            else ``RAY_ADDRESS``, else ``"local"``.
        batch_files: files handed to an actor at a time; at most these are computed again when an
            actor dies.
        wait_seconds: how long to wait for the first actors to start.
        format: ``"parquet"``, ``"csv"``, ``"npz"`` or ``"npy"``.
        root: what ids are relative to.
        resume: go on with a folder that is there.
        overwrite: discard what is in it.
        retry_failed: try again what failed before; None: but for what killed its process.
        prune: drop clips whose file is no longer there.
        on_error: ``"raise"`` ends the run at the first bad file.
        progress: see :data:`mirfeat.runs.progress.Shown`.
        load_options: options of :func:`mirfeat.load_extractor`.

    Raises:
        ClusterError: the cluster has no room for an actor, actors keep dying, or files did not
            come back.
        OptionError: a value that is not allowed, a ``ray://`` address among them.
        ExtractionError: every file failed.
        MissingPackageError: Ray is not installed.
    """
    pool = Pool(actors, num_gpus, cpus_per_actor, batch_files, wait_seconds)
    destination = Destination(
        Path(store), format, False, root, resume, overwrite, None, retry_failed, prune
    )
    if load_options.pop("device", "auto") != "auto":
        raise OptionError("device: on Ray it follows from num_gpus, --gpus-per-actor.")
    address = _chosen_address(_import_ray(), address)
    if isinstance(checkpoint := load_options.get("checkpoint"), os.PathLike):
        load_options["checkpoint"] = os.path.abspath(checkpoint)
    with load_extractor(name, device="cpu", **load_options) as extractor:
        folder = Path(os.path.abspath(destination.store))
        job = Job(name, load_options, extractor.provenance, folder)
        cluster = Elsewhere(partial(_computed, job, pool, address), pool.device)
        run = extractor.run(on_error, progress=progress)
        return run.to_store(destination, paths, cluster)


def _computed(
    job: Job, pool: Pool, address: str | None, tasks: Sequence[PendingFile]
) -> Generator[Extracted, None, None]:
    """What became of each task, as they come."""
    waiting = {task.id for task in tasks}
    if not waiting:
        return
    with (
        noting(job),
        _connected(address) as ray,
        _silenced(logging.getLogger("ray.data")),
        quiet_actors(),
        closing(_batches(ray, job, pool, tasks)) as batches,
    ):
        for batch in batches:
            for result in unpacked(batch):
                # What a lost node had done already may come a second time.
                if result.id in waiting:
                    waiting.remove(result.id)
                    yield Extracted(result)
    if waiting:
        raise ClusterError(
            f"{len(waiting)} of {len(tasks)} files did not come back from Ray, for example "
            f"{min(waiting)}. The same command computes them."
        )


def _batches(
    ray: Any, job: Job, pool: Pool, tasks: Sequence[PendingFile]
) -> Generator[dict[str, np.ndarray], None, None]:
    """What actors give back, batch by batch, in any order; close it to end them."""
    pool = replace(pool, cpus_per_actor=pool.cpus_per_actor or _usual_cpus(ray.nodes()))
    tables = _tables(tasks, pool.batch_files)
    least, most = pool.bounds
    source = ray.data.from_arrow(tables)
    # This dataset's own copy: what the caller does with Ray Data is not touched.
    context = source.context
    context.enable_progress_bars = context.print_on_execution_start = False
    context.wait_for_min_actors_s = pool.wait_seconds
    context.execution_no_progress_timeout_s = _NO_PROGRESS_SECONDS
    with warnings.catch_warnings():
        # Limits of restarts and tries have no names of their own yet; hence Ray < 2.64.
        warnings.filterwarnings("ignore", message=".*ray_remote_args")
        computed = source.map_batches(
            Worker,
            fn_constructor_args=(job, pool),
            batch_size=pool.batch_files,
            compute=ray.data.ActorPoolStrategy(
                min_size=min(least, len(tables)),
                max_size=len(tables) if most is None else min(most, len(tables)),
                max_tasks_in_flight_per_actor=2,
            ),
            num_cpus=pool.cpus_per_actor,
            num_gpus=pool.num_gpus or None,
            max_restarts=_MAX_RESTARTS,
            max_task_retries=_NO_LIMIT,
        )
    try:
        with closing(iter(computed.iter_batches(batch_size=None, batch_format="numpy"))) as given:
            yield from given
    except Exception as error:  # Ray wraps them in classes of its own, in various ways
        raise ClusterError(
            f"the run on Ray broke off: {_reason(error, pool)} What was done is kept; the same "
            "command goes on."
        ) from error


def _tables(tasks: Sequence[PendingFile], batch_files: int) -> list[Any]:
    """Tasks as Ray takes them, a table for each batch; smaller tables Ray would join."""
    import pyarrow as pa  # Ray Data itself needs it

    starts = range(0, len(tasks), batch_files)
    return [pa.Table.from_pylist(list(map(as_row, tasks[at : at + batch_files]))) for at in starts]


def _reason(error: BaseException, pool: Pool) -> str:
    """What a person needs of Ray's error: the last line of the traceback in an actor."""
    import ray

    if isinstance(error, ray.exceptions.GetTimeoutError):
        gpus = f" and {pool.num_gpus:g} GPUs" if pool.num_gpus else ""
        return (
            f"no actor could start in {pool.wait_seconds:g} s. Each needs {pool.cpus_per_actor} "
            f"cores{gpus} on one node; see 'ray status'."
        )
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # The traceback of the actor is part of the text; around it Ray says things of its own.
    named = [line for line in lines if _ERROR_LINE.match(line) and "ray." not in line[:4]]
    if named:
        return f"{named[-1].rstrip('.')}."
    if isinstance(error, ray.exceptions.ActorDiedError):
        return (
            "the process of an actor died again and again: out of memory, or a file that ends "
            "its decoder. The next run leaves it out where all nodes see the folder of features."
        )
    return f"{type(error).__name__}: {' '.join(lines[:1])[:300].rstrip('.')}."


@contextmanager
def _silenced(logger: logging.Logger) -> Iterator[None]:
    """Without its messages on stderr: our errors say what matters, Ray's log files all of it."""
    handlers = [found for found in logger.handlers if isinstance(found, logging.StreamHandler)]
    for handler in handlers:
        handler.addFilter(_nothing)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(_nothing)


def _nothing(record: logging.LogRecord) -> bool:
    return False


def _usual_cpus(nodes: Iterable[Mapping[str, Any]]) -> int:
    """Cores of an actor where nobody said: four, or what the largest node has."""
    found = [int(node["Resources"].get("CPU", 0)) for node in nodes if node["Alive"]]
    return min(_DEFAULT_CPUS, max(found, default=0) or _DEFAULT_CPUS)


def _import_ray() -> Any:
    try:
        import ray  # an extra: large, and only clusters need it
        import ray.data
    except ImportError as error:
        raise MissingPackageError("this needs Ray: pip install 'mirfeat[ray]'") from error
    return ray


def _chosen_address(ray: Any, address: str | None) -> str | None:
    """Where to connect to; None where this process is connected already.

    Raises:
        OptionError: it is Ray Client, through which Ray Data does not run.
    """
    if ray.is_initialized():
        client, address = ray.util.client.ray.is_connected(), None
    else:
        address = address or os.environ.get("RAY_ADDRESS") or "local"
        client = address.startswith("ray://")
    if client:
        raise OptionError(
            "Ray Data does not run through Ray Client (ray://…). Start this on a machine of the "
            "cluster with address 'auto', --ray auto, for example by 'ray job submit'."
        )
    return address


@contextmanager
def _connected(address: str | None) -> Iterator[Any]:
    """Ray, connected to what :func:`_chosen_address` gave; left as it was found."""
    ray = _import_ray()
    if address is None:
        yield ray
        return
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "warning"}
    if address == "local":
        options |= {"include_dashboard": False, "object_store_memory": _LOCAL_STORE_BYTES}
    try:
        with quiet_tokens():
            ray.init(address, **options)
    except Exception as error:  # a node that does not start in time raises just that
        raise ClusterError(f"no Ray cluster at {address!r}: {error}") from error
    try:
        yield ray
    finally:
        ray.shutdown()
