"""The downloader, against a real HTTP server that misbehaves in every way we know of."""

import errno
import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from mirfeat.checkpoints import downloads, transfer
from mirfeat.errors import CheckpointUnavailableError, ChecksumError
from mirfeat.networks.spec import Checkpoint
from tests.support.local_server import (
    Handler,
    LocalServer,
    cut,
    drip,
    drip_headers,
    redirect,
    reset,
    stall,
    status,
    unannounced,
    whole,
)

# More than one chunk, and no multiple of one.
DATA = random.Random(0).randbytes(3 * transfer._CHUNK_BYTES + 17)
HALF = 100_000


@pytest.fixture(autouse=True)
def _plain_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PAUSE_SECONDS", 0.0)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with LocalServer(whole(DATA)) as server:
        yield server


def cached() -> dict[str, bytes]:
    """Everything in the cache folder."""
    folder = downloads.cache_folder()
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def put(record: Checkpoint, data: bytes) -> Path:
    """Put a file where the user would."""
    path = downloads.cache_folder() / record.filename
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_a_file_is_downloaded_once(server: LocalServer) -> None:
    path = downloads.fetch(server.record(DATA))
    assert path == downloads.cache_folder() / "weights.hdf5"
    assert downloads.fetch(server.record(DATA)) == path
    assert server.ranges == [None]
    assert cached() == {"weights.hdf5": DATA}


def test_a_redirection_is_followed(server: LocalServer) -> None:
    server.answers = [redirect("elsewhere.bin"), whole(DATA)]
    assert downloads.fetch(server.record(DATA)).read_bytes() == DATA
    assert cached() == {"weights.hdf5": DATA}


def test_a_broken_download_goes_on_where_it_stopped(server: LocalServer) -> None:
    server.answers = [cut(DATA, HALF), whole(DATA)]
    assert downloads.fetch(server.record(DATA)).read_bytes() == DATA
    assert server.ranges == [None, f"bytes={HALF}-"]
    assert cached() == {"weights.hdf5": DATA}


def test_a_reset_connection_is_tried_again(server: LocalServer) -> None:
    # How much of the first half arrives is up to the system.
    server.answers = [reset(DATA, HALF), whole(DATA)]
    assert downloads.fetch(server.record(DATA)).read_bytes() == DATA
    assert len(server.ranges) == 2


def test_a_server_that_sends_a_byte_at_a_time_is_given_up(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "RATE_SECONDS", 0.1)
    server.answers = [drip(DATA)]
    with pytest.raises(CheckpointUnavailableError, match="slower than 4096 bytes a second"):
        downloads.fetch(server.record(DATA))
    assert len(server.ranges) == transfer.TRIES
    with pytest.raises(CheckpointUnavailableError, match="slower than 4096 bytes a second"):
        downloads.fetch_small(f"{server.address}/x", len(DATA))
    assert cached() == {}


def test_a_download_ends_after_its_time(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "MOST_SECONDS", 0.1)
    server.answers = [drip(DATA)]
    with pytest.raises(CheckpointUnavailableError, match=r"not done after 0\.1 s"):
        downloads.fetch(server.record(DATA))
    assert len(server.ranges) == 1


def test_headers_have_to_come_in_time(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "TIMEOUT_SECONDS", 0.3)
    monkeypatch.setattr(transfer, "TRIES", 1)
    server.answers = [drip_headers()]
    with pytest.raises(CheckpointUnavailableError, match="could not be downloaded"):
        downloads.fetch(server.record(DATA))


def test_leftovers_of_killed_downloads_are_swept(server: LocalServer) -> None:
    folder = downloads.cache_folder() / "kim2019"
    folder.mkdir(parents=True)
    old, young, other = (folder / name for name in (".writing-1.tar", ".writing-2.tar", "x.tar"))
    for path in (old, young, other):
        path.write_bytes(b"half")
    for path in (old, other):
        os.utime(path, (0, 0))
    downloads.fetch(server.record(DATA))
    assert sorted(path.name for path in folder.iterdir()) == [young.name, other.name]


def test_every_try_may_bring_a_part(server: LocalServer) -> None:
    server.answers = [cut(DATA, 1000), cut(DATA, HALF), whole(DATA)]
    assert downloads.fetch(server.record(DATA)).read_bytes() == DATA
    assert server.ranges == [None, "bytes=1000-", f"bytes={HALF}-"]


def test_a_server_that_knows_no_ranges_sends_everything_again(server: LocalServer) -> None:
    server.answers = [cut(DATA, HALF, ranges=False), whole(DATA, ranges=False)]
    assert downloads.fetch(server.record(DATA)).read_bytes() == DATA
    assert server.ranges == [None, f"bytes={HALF}-"]


def test_a_server_without_ranges_that_stops_earlier_leaves_no_old_tail(server: LocalServer) -> None:
    server.answers = [cut(DATA, end, ranges=False) for end in (HALF, 1000, 1000)]
    with pytest.raises(CheckpointUnavailableError, match=f"1000 of {len(DATA)} bytes came"):
        downloads.fetch(server.record(DATA))
    assert server.ranges == [None, f"bytes={HALF}-", "bytes=1000-"]


def test_a_download_that_always_breaks_off_names_both_sizes(server: LocalServer) -> None:
    server.answers = [cut(DATA, 1000)]
    with pytest.raises(CheckpointUnavailableError) as caught:
        downloads.fetch(server.record(DATA))
    message = str(caught.value)
    assert f"1000 of {len(DATA)} bytes came" in message
    assert f"{server.address}/weights.hdf5" in message
    assert str(downloads.cache_folder()) in message
    assert len(server.ranges) == transfer.TRIES
    assert cached() == {}


def test_a_file_that_ends_early_without_announcement_names_both_sizes(server: LocalServer) -> None:
    server.answers = [unannounced(DATA[:1000])]
    with pytest.raises(CheckpointUnavailableError, match=f"416.*1000 of {len(DATA)} bytes came"):
        downloads.fetch(server.record(DATA))
    assert cached() == {}


def test_an_unannounced_whole_file_is_taken(server: LocalServer) -> None:
    server.answers = [unannounced(DATA)]
    assert downloads.fetch(server.record(DATA)).read_bytes() == DATA


@pytest.mark.parametrize("found", [DATA[:-1], DATA + b"more", b"<html>log in first</html>", b""])
def test_another_size_is_refused_before_anything_is_read(server: LocalServer, found: bytes) -> None:
    server.answers = [whole(found)]
    with pytest.raises(ChecksumError, match=f"has {len(found)} bytes, expected {len(DATA)}"):
        downloads.fetch(server.record(DATA))
    assert server.ranges == [None]
    assert cached() == {}


def test_a_file_without_end_is_not_read_to_its_end(server: LocalServer) -> None:
    sent = 0
    stopped = threading.Event()

    def endless(request: Handler) -> None:
        nonlocal sent
        request.head(200)
        try:
            while sent < 1000 * len(DATA):
                request.wfile.write(DATA)
                sent += len(DATA)
        except ConnectionError:
            stopped.set()

    server.answers = [endless]
    with pytest.raises(ChecksumError, match=f"has more than {len(DATA)} bytes, expected"):
        downloads.fetch(server.record(DATA))
    assert stopped.wait(30)
    assert server.ranges == [None]
    assert cached() == {}


def test_other_bytes_of_the_right_size_are_refused(server: LocalServer) -> None:
    record = server.record(DATA)
    wrong = DATA[:-1] + bytes([DATA[-1] ^ 1])
    server.answers = [whole(wrong)]
    with pytest.raises(ChecksumError) as caught:
        downloads.fetch(record)
    message = str(caught.value)
    assert record.sha256 in message
    assert server.record(wrong).sha256 in message
    assert record.location in message
    assert server.ranges == [None]
    assert cached() == {}


@pytest.mark.parametrize("code", [400, 403, 404, 410])
def test_a_missing_file_is_not_asked_for_again(server: LocalServer, code: int) -> None:
    server.answers = [status(code)]
    with pytest.raises(CheckpointUnavailableError, match=f"HTTP {code}") as caught:
        downloads.fetch(server.record(DATA))
    assert f"0 of {len(DATA)} bytes" in str(caught.value)
    assert len(server.ranges) == 1
    assert cached() == {}


@pytest.mark.parametrize("code", [408, 429, 500, 503])
def test_a_passing_trouble_of_the_server_is_waited_out(server: LocalServer, code: int) -> None:
    server.answers = [status(code), cut(DATA, HALF), whole(DATA)]
    assert downloads.fetch(server.record(DATA)).read_bytes() == DATA
    assert server.ranges == [None, None, f"bytes={HALF}-"]


def test_a_lasting_trouble_of_the_server_ends_the_download(server: LocalServer) -> None:
    server.answers = [status(503)]
    with pytest.raises(CheckpointUnavailableError, match="HTTP 503 Service Unavailable"):
        downloads.fetch(server.record(DATA))
    assert len(server.ranges) == transfer.TRIES
    assert cached() == {}


def test_pauses_between_tries_grow(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(transfer, "PAUSE_SECONDS", 0.5)
    monkeypatch.setattr("time.sleep", pauses.append)
    server.answers = [status(500)]
    with pytest.raises(CheckpointUnavailableError):
        downloads.fetch(server.record(DATA))
    assert pauses == [0.5, 1.0]


def test_nobody_listens() -> None:
    with LocalServer() as gone:
        record = gone.record(DATA)
    with pytest.raises(CheckpointUnavailableError, match="refused") as caught:
        downloads.fetch(record)
    assert record.location in str(caught.value)
    assert cached() == {}


def test_a_server_that_says_nothing(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "TIMEOUT_SECONDS", 0.05)
    server.answers = [lambda request: request.server.over.wait()]
    with pytest.raises(CheckpointUnavailableError, match="timed out"):
        downloads.fetch(server.record(DATA))
    assert cached() == {}


def test_a_server_that_falls_silent(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "TIMEOUT_SECONDS", 0.2)
    server.answers = [stall(DATA, HALF), whole(DATA)]
    assert downloads.fetch(server.record(DATA)).read_bytes() == DATA
    assert len(server.ranges) == 2


def test_an_answer_that_is_not_http(server: LocalServer) -> None:
    server.answers = [lambda request: request.wfile.write(b"SSH-2.0\r\n")]
    with pytest.raises(CheckpointUnavailableError, match=r"could not be downloaded: SSH-2\.0"):
        downloads.fetch(server.record(DATA))


@pytest.mark.parametrize("value", ["1", "ON", "yes", "True"])
def test_offline_names_address_folder_and_file(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    with pytest.raises(CheckpointUnavailableError) as caught:
        downloads.fetch(server.record(DATA))
    assert str(caught.value) == (
        "checkpoint 'msd' is not cached and HF_HUB_OFFLINE is set. "
        f"Fetch {server.address}/weights.hdf5 elsewhere and put it into "
        f"{downloads.cache_folder()} as weights.hdf5, or run 'mirfeat download' there and copy "
        "that folder."
    )
    assert server.ranges == []
    assert cached() == {}


@pytest.mark.parametrize("value", ["", "0", "no"])
def test_online_is_the_default(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    assert downloads.fetch(server.record(DATA)).read_bytes() == DATA


def test_a_file_put_there_by_hand_is_used_offline(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    path = put(server.record(DATA), DATA)
    assert downloads.fetch(server.record(DATA)) == path
    assert server.ranges == []


@pytest.mark.parametrize("wrong", [b"", DATA[:-1], b"<html></html>"])
def test_a_wrong_file_put_there_by_hand_is_refused_and_kept(
    server: LocalServer, wrong: bytes
) -> None:
    record = server.record(DATA)
    path = put(record, wrong)
    with pytest.raises(ChecksumError) as caught:
        downloads.fetch(record)
    message = str(caught.value)
    assert str(path) in message
    assert f"{len(wrong)} bytes, expected {len(DATA)}" in message
    assert "Delete the file" in message
    assert cached() == {"weights.hdf5": wrong}


def test_a_cached_file_that_was_damaged_afterwards_is_found(server: LocalServer) -> None:
    record = server.record(DATA)
    path = downloads.fetch(record)
    damaged = bytearray(DATA)
    damaged[HALF] ^= 0x10
    path.write_bytes(damaged)
    with pytest.raises(ChecksumError, match="Delete the file to have it fetched again"):
        downloads.fetch(record)
    path.unlink()
    assert downloads.fetch(record).read_bytes() == DATA


def test_a_cache_folder_that_cannot_be_made_is_named(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("MIRFEAT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(CheckpointUnavailableError, match="MIRFEAT_CACHE") as caught:
        downloads.fetch(server.record(DATA))
    assert str(tmp_path / "file" / "cache" / "weights.hdf5") in str(caught.value)
    assert server.ranges == []


def test_a_cache_folder_that_cannot_be_written_is_named(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def read_only(path: Any, *arguments: Any, **options: Any) -> int:
        if str(path).startswith(str(downloads.cache_folder())):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(CheckpointUnavailableError, match=r"Read-only.*MIRFEAT_CACHE"):
        downloads.fetch(server.record(DATA))
    assert server.ranges == []


def test_a_cache_folder_without_permission_is_named(server: LocalServer) -> None:
    downloads.cache_folder().chmod(0o500)
    try:
        if os.access(downloads.cache_folder(), os.W_OK):
            pytest.skip("this user may write everywhere")
        with pytest.raises(CheckpointUnavailableError, match=r"denied.*MIRFEAT_CACHE"):
            downloads.fetch(server.record(DATA))
    finally:
        downloads.cache_folder().chmod(0o700)


def test_a_folder_in_the_place_of_the_file_is_named(server: LocalServer) -> None:
    (downloads.cache_folder() / "weights.hdf5").mkdir()
    with pytest.raises(CheckpointUnavailableError, match=r"weights\.hdf5 cannot be used"):
        downloads.fetch(server.record(DATA))


def test_a_full_disk_is_told_apart_from_the_network(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.open

    def open_on_a_full_disk(path: Path, mode: str = "r", **options: Any) -> Any:
        file = real(path, mode, **options)
        return FullDisk(file) if mode == "wb" and path.name.startswith(".writing-") else file

    monkeypatch.setattr(Path, "open", open_on_a_full_disk)
    with pytest.raises(CheckpointUnavailableError, match=r"No space left.*MIRFEAT_CACHE"):
        downloads.fetch(server.record(DATA))
    assert server.ranges == [None]
    assert cached() == {}


class FullDisk:
    """A file on a disk that takes one chunk and no more."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> "FullDisk":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def write(self, chunk: bytes) -> None:
        if self._file.tell():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._file.write(chunk)


FETCH = """
import json, sys
from mirfeat.checkpoints import downloads
from mirfeat.networks.spec import Checkpoint
print(downloads.fetch(Checkpoint(**json.loads(sys.argv[1]))))
"""


def start_fetching(record: Checkpoint) -> "subprocess.Popen[str]":
    """A process of its own that fetches into the same cache folder."""
    command = [sys.executable, "-c", FETCH, json.dumps(asdict(record))]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_may_fetch_the_same_file_at_once(server: LocalServer) -> None:
    both_are_here = threading.Barrier(2)

    def answer(request: Handler) -> None:
        both_are_here.wait(60)
        whole(DATA)(request)

    server.answers = [answer]
    processes = [start_fetching(server.record(DATA)) for _ in range(2)]
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert {stdout.strip() for stdout, _ in outputs} == {
        str(downloads.cache_folder() / "weights.hdf5")
    }
    assert server.ranges == [None, None]
    assert cached() == {"weights.hdf5": DATA}


def test_a_killed_download_leaves_nothing_under_the_final_name(server: LocalServer) -> None:
    half_is_sent = threading.Event()
    server.answers = [stall(DATA, HALF, half_is_sent), whole(DATA)]
    with start_fetching(server.record(DATA)) as process:
        assert half_is_sent.wait(60)
        process.kill()
        process.communicate(timeout=60)
    assert "weights.hdf5" not in cached()
    assert downloads.fetch(server.record(DATA)).read_bytes() == DATA
    assert server.ranges == [None, None]


def test_the_cache_folder_is_the_users_choice_or_the_systems(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MIRFEAT_CACHE", str(tmp_path / "mine"))
    assert downloads.cache_folder() == tmp_path / "mine"
    assert not (tmp_path / "mine").exists()
    monkeypatch.setenv("MIRFEAT_CACHE", "~/mine")
    assert downloads.cache_folder() == Path.home() / "mine"
    monkeypatch.delenv("MIRFEAT_CACHE")
    assert downloads.cache_folder().is_absolute()
    assert "mirfeat" in downloads.cache_folder().parts


def test_a_packaged_checkpoint_is_found_by_its_extractors_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("importlib.resources.files", lambda _: tmp_path)
    (tmp_path / "weights").mkdir()
    assert downloads.packaged("choi2017") is None
    (tmp_path / "weights" / "choi2017.safetensors").touch()
    assert downloads.packaged("choi2017") == tmp_path / "weights" / "choi2017.safetensors"
    assert downloads.packaged("choi") is None
