import logging
import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from threadpoolctl import threadpool_limits

# A busy machine is no failure of the code.
settings.register_profile("mirfeat", deadline=None)
settings.load_profile("mirfeat")

# Small networks and matrices: threads that wait for each other on a shared machine cost more than
# they gain (measured: twice the time). The environment is for the processes that tests start.
torch.set_num_threads(1)
threadpool_limits(1)
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

# Only a machine that loses its power tells a file on the disk from one on the way there; waiting
# for disks took most of the time of tests that write.
FSYNC = os.fsync
os.fsync = lambda fd: None

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def _caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("caches")
    return (folder / str(number) for number in count())


@pytest.fixture(autouse=True)
def _own_cache(_caches: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or fills the user's cache folder."""
    folder = next(_caches)
    folder.mkdir()
    monkeypatch.setenv("MIRFEAT_CACHE", str(folder))


@pytest.fixture(autouse=True)
def _own_messages() -> Iterator[None]:
    """What a command does to log messages ends with its test."""
    loggers = [logging.getLogger(name) for name in ("mirfeat", "mirfeat.failures")]
    root = logging.getLogger()
    levels, handlers = [logger.level for logger in loggers], root.handlers[:]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
    root.handlers[:] = handlers


LONG = frozenset(
    line
    for line in (REPOSITORY / "tests" / "long.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what ``make test-fast`` leaves out."""
    for item in items:
        test = item.nodeid.partition("[")[0]
        if not LONG.isdisjoint((test, test.partition("::")[0])):
            item.add_marker(pytest.mark.long)


@pytest.fixture
def small_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings of tiny corpora: few crops settle statistics, a word is one of few, no figure."""
    from mirfeat.training import loop, runlog
    from mirfeat.training.targets import frames

    monkeypatch.setattr(loop, "_SAMPLE", 8)
    monkeypatch.setattr(frames, "WORDS", 16)
    # A figure takes longer than most trainings here, and has a test of its own.
    monkeypatch.setattr(runlog.RunLog, "draw", lambda _: None)


@pytest.fixture(scope="session")
def music() -> Path:
    """The excerpts that examples use."""
    return REPOSITORY / "examples" / "music"


@pytest.fixture(scope="session")
def choi2017_data() -> Path:
    """The authors' files and our independent computation with them."""
    folder = REPOSITORY.parent / "shared" / "data" / "choi2017"
    if not folder.is_dir():
        pytest.skip("the authors' files (shared/data/choi2017) are not here")
    return folder
