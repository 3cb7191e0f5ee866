"""Runs on Ray: what travels to actors and back, and clusters that lose nodes and drivers."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import mirfeat
from mirfeat.audio.addresses import Remote
from mirfeat.audio.collection import find_audio
from mirfeat.cli import main
from mirfeat.distributed import cluster
from mirfeat.distributed.actors import Job, Pool, Worker, as_row, noting, packed, unpacked
from mirfeat.distributed.cluster import extract_dataset
from mirfeat.errors import (
    ClusterError,
    DecodeError,
    ExtractionError,
    MissingPackageError,
    OptionError,
)
from mirfeat.pipeline import clip
from mirfeat.results.outcomes import Result, RunReport
from mirfeat.runs.filling import PendingFile
from mirfeat.store import in_hand
from mirfeat.store.in_hand import left_in_hand
from mirfeat.store.reading import load_features
from tests.support.killers import killing
from tests.support.sounds import music, write_wav

RATE, CLIPS, BAD = 12_000, 24, "album-1/07.wav"

# Ray's own code, and what it does to this process, is not under test.
on_ray = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def mfcc() -> mirfeat.Extractor:
    return mirfeat.load_extractor("mfcc", device="cpu")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Files in two folders, one of them no audio."""
    root = tmp_path_factory.mktemp("music")
    for index in range(CLIPS):
        path = root / f"album-{index % 2}" / f"{index:02d}.wav"
        path.parent.mkdir(exist_ok=True)
        write_wav(path, music(2.0 + index / 10, RATE, seed=index), RATE)
    (root / BAD).write_text("this is no audio")
    return [path for path in find_audio([root]) if isinstance(path, Path)]


@pytest.fixture(scope="module")
def expected(mfcc: mirfeat.Extractor, clips: list[Path]) -> mirfeat.FeatureTable:
    return mfcc.extract_files(clips)


def assert_complete(store: Path, expected: mirfeat.FeatureTable) -> None:
    """Every row once and to the bit, every failure listed."""
    table = load_features(store)
    assert sorted(table.ids) == sorted(expected.ids)
    assert len(set(table.ids)) == len(table.ids)
    np.testing.assert_array_equal(table.aligned(expected.ids), expected.values, strict=True)
    assert [failure.id for failure in table.failures] == [
        failure.id for failure in expected.failures
    ]


def fake_ray(*, connected: bool, client: bool = False) -> SimpleNamespace:
    """What is asked of Ray before a run; ``client`` says that it is connected by ray://."""
    stub = SimpleNamespace(is_connected=lambda: client)
    util = SimpleNamespace(client=SimpleNamespace(ray=stub))
    return SimpleNamespace(is_initialized=lambda: connected, util=util)


# -- without a cluster ----------------------------------------------------------------------------


def test_results_survive_the_way_back() -> None:
    results = [
        Result("a", "ok", np.arange(3, dtype=np.float32), None, None, 1.5, 2, ("silent", "x; y")),
        Result("ü", "failed", None, "b\udcff.wav: no", "DecodeError"),
    ]
    sent = [results[0], Result("ü", "failed", np.full(3, np.nan, np.float32), *vars_of(results[1]))]
    for before, after in zip(results, unpacked(packed(sent)), strict=True):
        assert vars(after) | {"vector": None} == vars(before) | {"vector": None}
        assert (after.vector is None) == (before.vector is None)
        if before.vector is not None:
            np.testing.assert_array_equal(after.vector, before.vector, strict=True)


def vars_of(result: Result) -> tuple[str | None, str | None]:
    return result.error, result.error_type


def test_an_actor_computes_what_a_local_run_does(
    mfcc: mirfeat.Extractor,
    clips: list[Path],
    expected: mirfeat.FeatureTable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MIRFEAT_PROTOCOLS", "file")
    worker = Worker(Job("mfcc", {}, mfcc.provenance, Path("none")), Pool(cpus_per_actor=1))
    places = [path if index % 2 else Remote(path.as_uri()) for index, path in enumerate(clips)]
    tasks = [
        PendingFile(str(index), place, clips[index].stat().st_size, 7)
        for index, place in enumerate(places)
    ]
    rows = [as_row(task) for task in tasks]
    batch = {name: np.array([row[name] for row in rows], dtype=object) for name in rows[0]}
    results = list(unpacked(worker(batch)))
    sizes = {task.id: task.size for task in tasks}
    done = [sizes[result.id] for result in results]
    assert done == sorted(sizes.values(), reverse=True)  # the long ones first
    results.sort(key=lambda result: int(result.id))
    assert [result.id for result in results] == [task.id for task in tasks]
    good = [result.vector for result in results if result.vector is not None]
    np.testing.assert_array_equal(good, expected.values)
    (bad,) = (result for result in results if result.status == "failed")
    assert bad.error_type == "DecodeError"
    assert BAD in (bad.error or "")


def test_an_actor_that_would_compute_something_else_refuses(mfcc: mirfeat.Extractor) -> None:
    with pytest.raises(ClusterError, match=r"another extractor .*statistics"):
        Worker(
            Job("mfcc", {"statistics": ("mean",)}, mfcc.provenance, Path("none")),
            Pool(cpus_per_actor=1),
        )


@pytest.mark.parametrize("seen", [True, False])
def test_an_actor_that_sees_the_folder_notes_there_what_it_decodes(
    seen: bool,
    mfcc: mirfeat.Extractor,
    clips: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store, held = tmp_path / "feats", []
    mfcc.extract_to(store, clips[:1])
    job = Job("mfcc", {}, mfcc.provenance, store if seen else tmp_path / "elsewhere")
    worker, real = Worker(job, Pool(cpus_per_actor=1)), clip.open_clip

    def opened(*arguments: Any) -> Any:
        held.append(left_in_hand(store))
        return real(*arguments)

    monkeypatch.setattr(clip, "open_clip", opened)
    row = as_row(PendingFile("a", clips[0], 1, 2))
    worker({name: np.array([value], dtype=object) for name, value in row.items()})
    assert held == [("a",) if seen else ()]
    assert left_in_hand(store) == ()
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("error", "kept"), [(ClusterError("died"), True), (KeyboardInterrupt(), False), (None, False)]
)
def test_notes_of_actors_stay_where_these_died(
    error: BaseException | None, kept: bool, mfcc: mirfeat.Extractor, tmp_path: Path
) -> None:
    caught: BaseException | None = None
    try:
        with noting(Job("mfcc", {}, mfcc.provenance, tmp_path)):
            (tmp_path / f"{in_hand.NAME}-node-1").write_text('+"a"\n')
            if error is not None:
                raise error
    except BaseException as raised:
        caught = raised
    assert caught is error
    assert left_in_hand(tmp_path) == (("a",) if kept else ())


def test_paths_reach_actors_absolute_and_whatever_their_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    row = as_row(PendingFile("x", Path(os.fsdecode(b"caf\xe9.wav")), 1, 2))
    assert row == {"id": "x", "path": bytes(tmp_path) + b"/caf\xe9.wav", "size": 1, "stamp": 2}
    assert as_row(PendingFile("x", Remote("s3://b/a"), 1, 2))["path"] == b"s3://b/a"


@pytest.mark.parametrize(
    "wrong",
    [
        {"actors": 0},
        {"actors": (0, 3)},
        {"actors": (3, 2)},
        {"num_gpus": -1},
        {"num_gpus": 1.5},
        {"cpus_per_actor": 0},
        {"batch_files": 0},
        {"device": "cpu"},
        {"on_error": "nan"},
    ],
)
def test_options_that_there_are_not_are_refused(
    tmp_path: Path, clips: list[Path], wrong: dict[str, Any]
) -> None:
    with pytest.raises(OptionError, match=next(iter(wrong))):
        extract_dataset(clips, tmp_path / "feats", "mfcc", format="csv", **wrong)
    assert not (tmp_path / "feats").exists()


@pytest.mark.parametrize(
    ("actors", "bounds"), [(None, (1, None)), (3, (3, 3)), ((2, 5), (2, 5)), ((2, None), (2, None))]
)
def test_how_many_actors(actors: Any, bounds: tuple[int, int | None]) -> None:
    assert Pool(actors).bounds == bounds


@pytest.mark.parametrize(
    ("cores", "expected"), [([0, 2], 2), ([16, 64], 4), ([0], 4), ([], 4), ([1, 1], 1)]
)
def test_cores_of_an_actor_follow_from_the_nodes(cores: list[int], expected: int) -> None:
    nodes = [{"Alive": True, "Resources": {"CPU": float(count)}} for count in cores]
    assert cluster._usual_cpus([*nodes, {"Alive": False, "Resources": {"CPU": 3.0}}]) == expected


def test_one_path_in_place_of_a_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="one item"):
        extract_dataset("music", tmp_path / "feats", "mfcc")


def test_without_ray_the_extra_is_named(
    tmp_path: Path, clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'mirfeat\[ray\]'"):
        extract_dataset(clips, tmp_path / "feats", "mfcc", format="csv")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--embed", "--format", "npz"], "--embed does not go together with --ray"),
        (["--shard", "1/2"], "--shard does not go together with --ray"),
        (["--workers", "2"], "--workers does not go together with --ray"),
        (["--actors", "2-5"], "write N, LEAST:MOST"),
        (["--device", "cuda"], "--gpus-per-actor"),
    ],
)
def test_the_command_refuses_what_ray_does_not_do(
    tmp_path: Path,
    clips: list[Path],
    options: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["extract", str(clips[0]), "-m", "mfcc", "-o", str(tmp_path / "f"), "--ray", "local"]
    assert main([*command, *options]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "actors"), [(None, (1, None)), ("3", 3), ("2:50", (2, 50)), ("2:", (2, None))]
)
def test_the_command_hands_its_options_on(
    tmp_path: Path, clips: list[Path], monkeypatch: pytest.MonkeyPatch, text: str, actors: Any
) -> None:
    seen: dict[str, Any] = {}

    def instead(paths: Any, store: Any, name: str, **options: Any) -> RunReport:
        seen.update(options, store=store, name=name)
        return RunReport(1, 0, 0, 1.0, 1.0)

    monkeypatch.setattr(cluster, "extract_dataset", instead)
    command = ["extract", str(clips[0]), "-m", "mfcc", "-o", str(tmp_path / "f"), "--ray", "auto"]
    command += ["--gpus-per-actor", "0.25", "--cpus-per-actor", "3", "--max-seconds", "9", "-q"]
    assert main([*command, *(["--actors", text] if text else [])]) == 0
    assert seen["actors"] == actors
    assert (seen["num_gpus"], seen["cpus_per_actor"], seen["address"]) == (0.25, 3, "auto")
    assert (seen["name"], seen["max_seconds"], seen["format"]) == ("mfcc", 9.0, "csv")


def test_a_task_that_does_not_come_back_is_an_error_and_one_that_comes_twice_is_not(
    tmp_path: Path, clips: list[Path], mfcc: mirfeat.Extractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def batches(ray: Any, job: Job, pool: Pool, tasks: list[PendingFile]) -> Iterator[Any]:
        results = list(mfcc.extract_many([(task.id, task.path) for task in tasks[:-1]]))
        some = packed([result for result in results if result.vector is not None])
        yield some
        yield some

    monkeypatch.setattr(cluster, "_import_ray", lambda: fake_ray(connected=True))
    monkeypatch.setattr(cluster, "_batches", batches)
    good = [path for path in clips if BAD not in path.as_posix()]
    store = tmp_path / "feats"
    with pytest.raises(ClusterError, match=rf"1 of 23 files did not come back.*{good[-1].name}"):
        extract_dataset(good, store, "mfcc", format="csv")
    assert len(load_features(store)) == len(set(load_features(store).ids)) == 22


def test_a_cluster_that_is_not_there_is_named(
    tmp_path: Path, clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def init(address: str, **options: Any) -> None:
        raise Exception("The current node timed out during startup.")

    fake = fake_ray(connected=False)
    fake.init = init
    monkeypatch.setattr(cluster, "_import_ray", lambda: fake)
    with pytest.raises(ClusterError, match=r"no Ray cluster at 'head:6379': .* timed out"):
        extract_dataset(clips, tmp_path / "f", "mfcc", format="csv", address="head:6379")


@pytest.mark.parametrize("named", ["address", "environment", "connected"])
def test_ray_client_is_refused_before_anything_is_made(
    tmp_path: Path, clips: list[Path], monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    fake = fake_ray(connected=named == "connected", client=True)
    monkeypatch.setattr(cluster, "_import_ray", lambda: fake)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if named == "environment":
        monkeypatch.setenv("RAY_ADDRESS", "ray://head:10001")
    address = "ray://head:10001" if named == "address" else None
    with pytest.raises(OptionError, match=r"ray://.* address 'auto', --ray auto"):
        extract_dataset(clips, tmp_path / "f", "mfcc", format="csv", address=address)
    assert not (tmp_path / "f").exists()


# -- on clusters of processes on this machine -----------------------------------------------------


class Nodes:
    """A head without cores and two nodes of two cores each."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        small = {"object_store_memory": 80_000_000}
        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **small})
        # That they have a GPU is only said, for Ray to deal out.
        self.nodes = [self.cluster.add_node(num_cpus=2, num_gpus=1, **small) for _ in range(2)]

    def kill_one_that_works(self) -> None:
        """End all processes of a node that has an actor, by SIGKILL."""
        import ray

        busy = {
            actor["Address"]["NodeID"]
            for actor in ray._private.state.actors().values()
            if actor["State"] == "ALIVE" and "MapWorker" in actor["ActorClassName"]
        }
        node = next(node for node in self.nodes if node.node_id in busy)
        self.cluster.remove_node(node, allow_graceful=False)
        self.nodes.remove(node)


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    ray = pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    nodes = Nodes()
    yield nodes
    ray.shutdown()
    nodes.cluster.shutdown()


@pytest.mark.ray
@on_ray
def test_a_cluster_gives_the_rows_of_a_local_run_and_loses_none_with_a_node(
    nodes: Nodes,
    tmp_path: Path,
    clips: list[Path],
    expected: mirfeat.FeatureTable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import ray

    ray.init(nodes.cluster.address, log_to_driver=False)
    came = 0

    def watched(batch: Any) -> Iterator[Result]:
        nonlocal came
        came += 1
        if came == 2:
            nodes.kill_one_that_works()
        yield from unpacked(batch)

    monkeypatch.setattr(cluster, "unpacked", watched)
    store, options = tmp_path / "feats", {"actors": 2, "cpus_per_actor": 1, "batch_files": 2}
    report = extract_dataset(clips, store, "mfcc", **options)
    assert (report.done, report.skipped, report.failed) == (CLIPS - 1, 0, 1)
    assert len(nodes.nodes) == 1
    assert_complete(store, expected)
    assert ray.is_initialized()  # left as it was found

    # What failed is tried again; at URLs as on disk.
    urls, again = [path.as_uri() for path in clips], tmp_path / "again"
    report = extract_dataset(urls, again, "mfcc", format="csv", **options)
    assert (report.done, report.failed) == (CLIPS - 1, 1)
    assert_complete(again, expected)
    with pytest.raises(DecodeError, match=r"07\.wav: not a readable audio file"):
        extract_dataset(clips, tmp_path / "raise", "mfcc", on_error="raise", **options)
    with pytest.raises(ExtractionError, match="no features: "):
        extract_dataset([clips[0].parents[1] / BAD], tmp_path / "none", "mfcc", **options)
    with pytest.raises(ClusterError, match=r"no actor could start in 3 s\. Each needs 9 cores"):
        extract_dataset(clips, tmp_path / "room", "mfcc", cpus_per_actor=9, wait_seconds=3)


@pytest.mark.ray
@on_ray
def test_actors_share_a_gpu_and_one_that_is_not_there_is_an_error(
    nodes: Nodes,
    tmp_path: Path,
    clips: list[Path],
    expected: mirfeat.FeatureTable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options: dict[str, Any] = {
        "address": nodes.cluster.address, "num_gpus": 0.5, "cpus_per_actor": 1, "actors": 4,
        "batch_files": 2,
    }  # fmt: skip
    if not torch.cuda.is_available():
        with pytest.raises(ClusterError, match=r"broke off: .*device='cuda' is not to be had here"):
            extract_dataset(clips, tmp_path / "none", "mfcc", **options)
    notes = tmp_path / "notes"

    class CpuWorker(Worker):
        def __init__(self, job: Job, pool: Pool) -> None:
            import ray

            node = ray.get_runtime_context().get_node_id()
            with notes.open("a") as file:
                file.write(f"{os.environ['CUDA_VISIBLE_DEVICES']} {node}\n")
            super().__init__(job, replace(pool, num_gpus=0))

    monkeypatch.setattr(cluster, "Worker", CpuWorker)
    extract_dataset(clips, tmp_path / "feats", "mfcc", **options)
    assert_complete(tmp_path / "feats", expected)
    given = Counter(notes.read_text().splitlines())
    assert [line.split()[0] for line in given] == ["0", "0"]
    assert list(given.values()) == [2, 2]


@pytest.mark.ray
@on_ray
def test_a_file_that_kills_actors_is_left_out_by_the_next_run(
    tmp_path: Path, clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(cluster, "_MAX_RESTARTS", 1)
    killer = write_wav(tmp_path / "killer.wav", music(0.5, RATE), RATE)
    paths, store = [*clips[:6], killer], tmp_path / "feats"
    options: dict[str, Any] = {
        "address": "local", "cpus_per_actor": 1, "actors": 1, "batch_files": 2, "root": "/",
    }  # fmt: skip
    with killing(tmp_path, monkeypatch):
        with pytest.raises(ClusterError, match="The next run leaves it out"):
            extract_dataset(paths, store, "mfcc", **options)
        assert [Path(id).name for id in left_in_hand(store)] == ["killer.wav"]
        report = extract_dataset(paths, store, "mfcc", **options)
    assert (report.done + report.skipped, report.failed) == (6, 1)
    assert "killed its process (SIGSEGV)" in report.failures[0].error
    assert left_in_hand(store) == ()


DRIVER = """
import sys
import mirfeat.store.writer
from mirfeat.audio.collection import find_audio
from mirfeat.distributed.cluster import extract_dataset
mirfeat.store.writer.MOST_ROWS = 2
extract_dataset(find_audio([sys.argv[1]]), sys.argv[2], "mfcc", address=sys.argv[3],
                actors=1, cpus_per_actor=1, batch_files=2)
"""


@pytest.mark.ray
@on_ray
def test_a_killed_driver_is_gone_on_with_here_and_on_ray(
    nodes: Nodes,
    tmp_path: Path,
    clips: list[Path],
    mfcc: mirfeat.Extractor,
    expected: mirfeat.FeatureTable,
) -> None:
    store, root = tmp_path / "feats", clips[0].parents[1]
    command = [sys.executable, "-c", DRIVER, str(root), str(store), nodes.cluster.address]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as driver:
        deadline = time.monotonic() + 300
        while not list(store.glob("part-*")) and time.monotonic() < deadline:
            time.sleep(0.01)
        driver.send_signal(signal.SIGKILL)
    there = len(load_features(store))
    assert 0 < there < CLIPS - 1
    # On this machine alone, with half of the files; then on Ray, with all.
    half = clips[: CLIPS // 2]
    local = mfcc.extract_to(store, half, format="parquet")
    assert local.skipped + local.done + local.failed == len(half)
    address = nodes.cluster.address
    report = extract_dataset(clips, store, "mfcc", address=address, cpus_per_actor=1)
    assert report.skipped >= max(there, local.done)
    assert report.skipped + report.done + report.failed == CLIPS
    assert_complete(store, expected)
    report = mfcc.extract_to(store, clips, format="parquet")
    assert (report.done, report.skipped, report.failed) == (0, CLIPS - 1, 1)
