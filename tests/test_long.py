"""What `make test-fast` leaves out is there."""

import pytest

from tests.conftest import LONG, REPOSITORY


@pytest.mark.parametrize("name", sorted(LONG))
def test_a_long_test_is_there(name: str) -> None:
    path, _, test = name.partition("::")
    assert f"def {test}" in (REPOSITORY / path).read_text(encoding="utf-8")
