"""Extractors and checkpoints that contracts are held to, as parameters of tests."""

from collections.abc import Iterator

import pytest
from _pytest.mark.structures import ParameterSet

from tests.support.make_goldens import cases


def case_name(case: tuple[str, str | None]) -> str:
    """Name of a case in the list of tests."""
    return "-".join(filter(None, case))


def parameters() -> Iterator[ParameterSet]:
    """Every case; drawn weights are left to the slow tests where open ones take the same way."""
    every = list(cases())
    for name, checkpoint in every:
        twin = checkpoint == "random" and (name, "open") in every
        yield pytest.param((name, checkpoint), marks=[pytest.mark.slow] if twin else [])
