"""Servers that answer at random: what comes is right, or an error of ours, in time.

A few seconds in the default tests; ``make fuzz`` takes as many servers as FUZZ_INPUTS says.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import mirfeat
from benchmarks.hostile_servers import Song, checkpoint_fetched, run, small_limits
from mirfeat.errors import DecodeError
from tests.support import hostile

pytest.importorskip("fsspec")
pytest.importorskip("aiohttp")

SEEDS = range(int(os.environ.get("FUZZ_INPUTS", "15")))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Iterator[Path]:
    with small_limits(tmp_path):
        yield tmp_path


def test_audio_of_a_hostile_server_is_right_or_an_error_of_its_file(folder: Path) -> None:
    counts, _ = run(Song(folder).fetched, SEEDS)
    assert set(counts) - {"forged"} == {"right", "error"}


def test_a_checkpoint_of_a_hostile_server_is_right_or_an_error() -> None:
    counts, _ = run(checkpoint_fetched, SEEDS)
    assert set(counts) == {"right", "error"}


def only(kind: hostile.Piece, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, kinds in (("HONEST", (kind,)), ("HOSTILE", ()), ("SLOW", (kind,))):
        monkeypatch.setattr(hostile, name, kinds)


@pytest.mark.parametrize("kind", [*hostile.HONEST, *hostile.SLOW, *hostile.HOSTILE])
def test_every_kind_of_answer_ends(
    kind: hostile.Piece, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = kind in hostile.HONEST
    only(kind, monkeypatch)
    for fetched in (Song(folder).fetched, checkpoint_fetched):
        counts, slowest = run(fetched, range(1, 2))
        assert set(counts) <= ({"right"} if honest else {"right", "error", "forged"})
        assert slowest < 20


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (hostile.has_no_end, "has more than 1048576 bytes, or no end"),
        (hostile.bomb, "has more than 1048576 bytes, or no end"),
        (hostile.drips, "comes slower than 4096 bytes a second"),
        (hostile.drips_headers, "cannot be fetched, tried 3 times .*Timeout"),
        (hostile.falls_silent, "cannot be fetched, tried 3 times .*(Timeout|Payload)"),
        (hostile.says_nothing, "cannot be fetched, tried 3 times .*Timeout"),
    ],
)
def test_audio_that_never_ends_is_given_up_and_says_so(
    kind: hostile.Piece, said: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(kind, monkeypatch)
    with (
        hostile.server(0, bytes(5000), []) as server,
        pytest.raises(DecodeError, match=f"^{server.address}/song.wav: {said}"),
    ):
        mirfeat.load_extractor("mfcc", device="cpu").extract(f"{server.address}/song.wav")
