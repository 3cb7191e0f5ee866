"""Importing mirfeat costs nothing: no torch, no network, no files."""

import subprocess
import sys
from pathlib import Path

CHECK = """
import socket, sys, builtins, os

def forbidden(*args, **kwargs):
    raise AssertionError("not at import")

socket.socket.connect = socket.socket.bind = forbidden
real_open = builtins.open

def reading_only(file, mode="r", *args, **kwargs):
    # dill, which torch imports where it is installed, opens that one to see what comes of it.
    assert file == os.devnull or set(mode) <= set("rbt"), (file, mode)
    return real_open(file, mode, *args, **kwargs)

builtins.open = reading_only
os.mkdir = os.makedirs = forbidden
import mirfeat
assert mirfeat.__version__
heavy = {"torch", "numpy", "sklearn", "soundfile", "soxr", "librosa", "pandas"} & set(sys.modules)
assert not heavy, heavy
assert "load_extractor" in dir(mirfeat)
mirfeat.load_extractor  # now torch comes, and still nothing is written or connected
"""


def test_import_opens_no_socket_writes_nothing_and_leaves_torch_alone(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path), "PATH": ""}
    command = [sys.executable, "-B", "-c", CHECK]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_attribute_is_an_attribute_error() -> None:
    import pytest

    import mirfeat

    with pytest.raises(AttributeError, match="no attribute 'load_extractr'"):
        mirfeat.load_extractr  # noqa: B018
