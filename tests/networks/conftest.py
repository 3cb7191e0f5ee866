import importlib.util
import os
import sys

import pytest


@pytest.fixture(scope="session")
def tensorflow_python() -> str:
    """A Python that has TensorFlow: the environment variable TENSORFLOW_PYTHON, or this one."""
    if named := os.environ.get("TENSORFLOW_PYTHON"):
        return named
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("no TensorFlow here; TENSORFLOW_PYTHON can name a Python that has it")
    return sys.executable
