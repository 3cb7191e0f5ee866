"""Web servers that answer at random: what comes of audio and of checkpoints that they offer.

Each server answers every request in another way that its seed draws: slow, cut short, of a wrong
length, in chunks or encodings that are none, with headers of garbage, without an end, redirected.
What comes must be right, or an error of that file or checkpoint, in time, and nothing left over.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from unittest import mock

import numpy as np

import mirfeat
from benchmarks.tables import print_machine, print_table
from mirfeat.audio import remote, web
from mirfeat.audio.addresses import Remote
from mirfeat.checkpoints import downloads, transfer
from mirfeat.errors import AudioError, CheckpointUnavailableError, ChecksumError
from tests.support import hostile
from tests.support.local_server import Handler
from tests.support.sounds import music, write_wav

DATA = Random(0).randbytes(40_000)
# What these do is not seen by the client: other bytes of the same length.
FORGERS = {"other_bytes", "longer"}
# Far beyond what the limits below leave to one file, on a busy machine too.
MOST_SECONDS = 60.0
MOST_WORDS = 1000
LIMITS = (
    (remote, "_PAUSE_SECONDS", 0.0),
    (web, "SILENT_SECONDS", 0.15),
    (web, "HEADERS_SECONDS", 0.3),
    (web, "RATE_SECONDS", 0.2),
    (web, "MOST_SECONDS", 2.0),
    (web, "MOST_BYTES", 1 << 20),
    (transfer, "PAUSE_SECONDS", 0.0),
    (transfer, "TIMEOUT_SECONDS", 0.15),
    (transfer, "RATE_SECONDS", 0.2),
    (transfer, "MOST_SECONDS", 2.0),
)


@contextmanager
def small_limits(folder: Path) -> Iterator[None]:
    """Limits of tenths of seconds, and of a megabyte; what is fetched lies in ``folder``."""
    changed = {"no_proxy": "*", "MIRFEAT_CACHE": str(folder / "cache"), "HF_HUB_OFFLINE": ""}
    changed |= {remote.ALLOWED: "", web.PRIVATE: ""}
    with ExitStack() as stack:
        for module, name, value in LIMITS:
            stack.enter_context(mock.patch.object(module, name, value))
        for part in ("cache", "fetched"):
            (folder / part).mkdir()
        stack.enter_context(mock.patch.object(tempfile, "tempdir", str(folder / "fetched")))
        stack.enter_context(mock.patch.object(Handler, "do_HEAD", Handler.do_GET, create=True))
        stack.enter_context(mock.patch.dict(os.environ, changed))
        # Waits of a session are those of its first request.
        _forget_sessions()
        stack.callback(_forget_sessions)
        yield


def _forget_sessions() -> None:
    import fsspec

    fsspec.get_filesystem_class("http").clear_instance_cache()


class Song:
    """A song on servers, and its vector."""

    def __init__(self, folder: Path) -> None:
        path = write_wav(folder / "song.wav", music(0.3, 12_000), 12_000)
        self._mfcc = mirfeat.load_extractor("mfcc", device="cpu")
        self.data, self._expected = path.read_bytes(), self._mfcc.extract(path)

    def fetched(self, seed: int) -> str:
        """What came of it: "right", "error", or in words what must not be."""
        played: list[str] = []
        with hostile.server(seed, self.data, played) as server:
            url = f"{server.address}/song.wav"
            if seed % 4 == 0:  # as a run over a list does, which knows no more when that fails
                remote.asked([Remote(url)])
            try:
                vector = self._mfcc.extract(url)
            except AudioError as error:
                return _error(str(error), f"{url}: ", played)
        if left := os.listdir(tempfile.gettempdir()):
            return f"{left} left by {played}"
        if np.array_equal(vector, self._expected):
            return "right"
        forged = FORGERS & set(played) and bool(np.isfinite(vector).all())
        return "forged" if forged else f"another vector by {played}"


def checkpoint_fetched(seed: int) -> str:
    """What came of a checkpoint, in the same words."""
    played: list[str] = []
    with hostile.server(seed, DATA, played) as server:
        try:
            path = downloads.fetch(server.record(DATA, f"{seed}.hdf5"))
        except (CheckpointUnavailableError, ChecksumError) as error:
            found = _error(str(error), "", played)
        else:
            found = "right" if path.read_bytes() == DATA else f"another file by {played}"
            path.unlink()
    left = os.listdir(downloads.cache_folder())
    return f"{left} left by {played}" if left else found


def _error(text: str, start: str, played: list[str]) -> str:
    short = text.startswith(start) and len(text) < MOST_WORDS
    return "error" if short else f"{text[:200]} ({len(text)} characters) by {played}"


def run(fetched: Callable[[int], str], seeds: Sequence[int]) -> tuple[Counter[str], float]:
    """How often what came, and the seconds of the slowest server."""
    counts, slowest = Counter[str](), 0.0
    for seed in seeds:
        begun = time.monotonic()
        try:
            found = fetched(seed)
        except Exception as error:  # what a user would see as a bug
            found = f"{type(error).__name__}: {str(error)[:200]}"
        seconds = time.monotonic() - begun
        slowest = max(slowest, seconds)
        known = found in ("right", "error", "forged")
        counts[found if known and seconds < MOST_SECONDS else f"seed {seed}: {found}"] += 1
    return counts, slowest


def main(arguments: Sequence[str] | None = None) -> None:
    """Fetch, print a table; exit code 1 if anything came that must not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", type=int, default=200, help="for audio, and for checkpoints")
    parser.add_argument("--seed", type=int, default=0, help="the first; others are other servers")
    options = parser.parse_args(arguments)
    seeds = range(options.seed, options.seed + options.servers)
    lines, problems = [], list[str]()
    with tempfile.TemporaryDirectory() as name, small_limits(Path(name)):
        jobs = {"audio": Song(Path(name)).fetched, "checkpoints": checkpoint_fetched}
        for what, fetched in jobs.items():
            counts, slowest = run(fetched, seeds)
            wrong = [found for found in counts if found.startswith("seed ")]
            problems += wrong
            shown = [str(counts[kind]) for kind in ("right", "forged", "error")]
            lines.append([what, str(len(seeds)), *shown, str(len(wrong)), f"{slowest:.1f} s"])
    columns = ["", "servers", "right", "forged bytes", "error of the file", "anything else"]
    print_table("Servers that answer at random", [*columns, "slowest"], lines)
    for problem in problems:
        print(f"PROBLEM: {problem}")
    sys.exit(bool(problems))


if __name__ == "__main__":
    print_machine()
    main()
