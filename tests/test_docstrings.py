"""What the reference documents has examples in its docstring, and they print what they say."""

import doctest
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mirfeat
from mirfeat.networks import registry
from tests.conftest import REPOSITORY

REFERENCE = (REPOSITORY / "docs" / "reference.md").read_text(encoding="utf-8")
DOCUMENTED = re.findall(r"^\.\. auto(?:function|class):: (\S+)", REFERENCE, re.MULTILINE)
MARKS = {
    "mirfeat.export_onnx": pytest.mark.slow,
    "mirfeat.extract_on_devices": pytest.mark.slow,
    "mirfeat.extract_dataset": pytest.mark.ray,
}
ERRORS = ["mirfeat.MirfeatError", "mirfeat.MirfeatWarning"]  # on the page with all errors
NAMES = [pytest.param(name, marks=MARKS.get(name, ())) for name in (*DOCUMENTED, *ERRORS)]


def found(name: str) -> Any:
    module, _, last = name.rpartition(".")
    return getattr(importlib.import_module(module), last)


def members(name: str) -> Iterator[tuple[str, Any]]:
    """A function or class, and of a class its public methods and properties of mirfeat."""
    thing = found(name)
    yield name, thing
    if inspect.isclass(thing):
        for base in thing.__mro__:
            if base.__module__.startswith("mirfeat"):
                for key, value in vars(base).items():
                    if not key.startswith("_") and (callable(value) or isinstance(value, property)):
                        yield f"{name}.{key}", value


@pytest.fixture(scope="module")
def shared() -> Iterator[dict[str, Any]]:
    """The names that docs/reference.md says examples share."""
    text = re.search(r"```python\n(.*?)```", REFERENCE, re.DOTALL)
    assert text
    names: dict[str, Any] = {}
    exec(text[1], names)
    yield names
    names["extractor"].close()


@pytest.mark.parametrize("name", NAMES)
def test_examples_print_what_they_say(
    name: str, shared: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_SPECS", dict(registry._SPECS))
    finder = doctest.DocTestFinder(recurse=False)
    # Values differ in their last digits from machine to machine.
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    said: list[str] = []
    for place, thing in members(name):
        for test in finder.find(thing, place, module=False, globs=dict(shared)):
            runner.run(test, out=said.append)
    assert runner.failures == 0, "".join(said)
    assert runner.tries > 0, f"{name}: no example in its docstring"


def test_all_that_is_public_is_documented() -> None:
    public = {f"mirfeat.{name}" for name in mirfeat.__all__} - {"mirfeat.__version__"}
    assert public - {*ERRORS} <= {*DOCUMENTED}
    assert ".. automodule:: mirfeat.errors" in REFERENCE
