"""Files that end the process that decodes them, as a fault of a C library does."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

# To the thread, as a fault is: a signal to the process may reach it after the file was read.
KILLER = """
import resource, signal, sys, threading
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
def hook(event, arguments):
    if event == "open" and str(arguments[0]).endswith("killer.wav"):
        signal.pthread_kill(threading.get_ident(), signal.SIGSEGV)
sys.addaudithook(hook)
"""


@contextmanager
def killing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str = KILLER
) -> Iterator[None]:
    """Every Python that is started runs ``program``: it ends as soon as it opens killer.wav."""
    (tmp_path / "hooks").mkdir()
    (tmp_path / "hooks" / "sitecustomize.py").write_text(program)
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "hooks"), str(REPOSITORY)]))
        yield
