"""Codecs that no library here can write, by programs where they are installed."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.sounds import decode, music, write_wav

RATE = 48_000


@pytest.mark.parametrize(
    ("ending", "commands"),
    [
        (
            "dts",
            [["ffmpeg", "-loglevel", "error", "-i", "IN", "-strict", "-2", "-c:a", "dca", "OUT"]],
        ),
        ("mpc", [["mpcenc", "--silent", "IN", "OUT"]]),
    ],
)
def test_as_many_samples_as_ffmpeg_itself_finds(
    ending: str, commands: list[list[str]], tmp_path: Path
) -> None:
    for program in ("ffmpeg", *(command[0] for command in commands)):
        if shutil.which(program) is None:
            pytest.skip(f"the program {program} is not here")
    source = write_wav(tmp_path / "in.wav", music(3.0, RATE, 2), RATE)
    path = tmp_path / f"out.{ending}"
    for command in commands:
        words = [{"IN": str(source), "OUT": str(path)}.get(word, word) for word in command]
        subprocess.run(words, check=True, capture_output=True)
    raw = ["ffmpeg", "-loglevel", "error", "-i", str(path), "-f", "s16le", "-"]
    count = len(subprocess.run(raw, check=True, capture_output=True).stdout) // 4
    assert count >= 3 * RATE
    assert decode(path).shape == (2, count)
