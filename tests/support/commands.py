"""Commands in the process of the test: what they print, and their exit codes."""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from mirfeat.cli import main


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


Mirfeat = Callable[..., Outcome]


def in_process(capsys: pytest.CaptureFixture[str]) -> Mirfeat:
    def call(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Outcome(code, *capsys.readouterr())

    return call
