"""Streams that are closed, and mirfeat inside a zip."""

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import soundfile

import mirfeat
from mirfeat.store.reading import load_features
from tests.support.sounds import music, write_wav


def run(redirection: str) -> tuple[int, str]:
    """A command under a shell; its exit code and all that came out."""
    command = f'"{sys.executable}" -m mirfeat datasets {redirection}'
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, timeout=120, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
def test_closed_streams_are_no_bug() -> None:
    assert run(">&-") == (0, "")
    code, text = run("2>&-")
    assert (code, text[:5]) == (0, "gtzan")
    # Not even when there is something to say: it must not end in what is left.
    done = subprocess.run(
        ["sh", "-c", f'"{sys.executable}" -m mirfeat datasets nothing-like-it 2>&-'],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX pipes")
def test_nobody_who_leaves_stderr_ends_a_run(tmp_path: Path) -> None:
    (tmp_path / "music").mkdir()
    for number in range(3):
        write_wav(tmp_path / "music" / f"{number}.wav", music(0.2, 12_000, seed=number), 12_000)
    (tmp_path / "music" / "bad.wav").write_text("no audio")
    reading, writing = os.pipe()
    os.close(reading)  # nobody reads it: each word is an error
    line = ["extract", str(tmp_path / "music"), "-m", "mfcc", "-o", str(tmp_path / "store"), "-v"]
    done = subprocess.run(
        [sys.executable, "-m", "mirfeat", *line],
        stdout=subprocess.PIPE,
        stderr=writing,
        text=True,
        timeout=120,
        check=False,
    )
    os.close(writing)
    assert done.returncode == 1  # one file failed, and that is what is said
    assert done.stdout.strip() == str(tmp_path / "store")
    assert len(load_features(tmp_path / "store").ids) == 3


# What libsndfile and libmpg123 do: they write past Python, to the descriptor.
PRINTING = """
import os, sys
from mirfeat.audio import libsndfile
from mirfeat.cli import main
read = libsndfile.SoundFileDecoder._read
def loud(self, count):
    os.write(1, b"a word of a decoder\\n")
    os.write(2, b"another one\\n")
    return read(self, count)
libsndfile.SoundFileDecoder._read = loud
sys.exit(main(sys.argv[1:]))
"""


def test_what_decoders_print_is_not_in_the_json(tmp_path: Path) -> None:
    folder = tmp_path / "music"
    folder.mkdir()
    write_wav(folder / "a.wav", music(0.2, 12_000), 12_000)
    whole = io.BytesIO()
    soundfile.write(whole, music(8.0, 44_100).T, 44_100, format="MP3")
    # libmpg123 says of its own accord that half of it is missing.
    (folder / "cut.mp3").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    line = ["extract", str(folder), "-m", "mfcc", "-o", str(tmp_path / "store"), "--json"]
    done = subprocess.run(
        [sys.executable, "-c", PRINTING, *line],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    record = json.loads(done.stdout)
    assert (record["done"], record["failed"]) == (1, 1)
    assert "a word of a decoder" in done.stderr
    assert "Xing" not in done.stderr


def test_mirfeat_works_inside_a_zip(tmp_path: Path) -> None:
    package = Path(mirfeat.__file__).parent
    archive = tmp_path / "app.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in package.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts and "weights" not in path.parts:
                file.write(path, path.relative_to(package.parent))
        file.writestr("mirfeat/weights/mfcc.safetensors", b"weights")
    program = (
        f"import sys; sys.path.insert(0, {str(archive)!r})\n"
        "import numpy, mirfeat\n"
        "from mirfeat.checkpoints.downloads import packaged\n"
        "assert 'app.zip' in mirfeat.__file__\n"
        "print(mirfeat.load_extractor('mfcc').extract(numpy.zeros(9000, 'f4'), 22050).shape)\n"
        "print(packaged('mfcc').read_bytes(), packaged('kim2018-none'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    shape, weights = done.stdout.splitlines()
    assert shape.startswith("(")
    assert weights == "b'weights' None"
