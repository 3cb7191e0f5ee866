"""Vectors of fixed clips do not move from version to version."""

import numpy as np
import pytest

from tests.support.make_goldens import FOLDER, cases, golden_path, vectors

# soxr, FFT and BLAS differ between platforms by about 1e-6 of a feature's scale.
TOLERANCE = 1e-4
# Minima of log bands lie near the floor of 1e-5, where float32 rounding of the spectrum, another on
# every processor, is a part in a thousand.
ABSOLUTE = {"hamel2013-base": 1e-3}


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: "-".join(filter(None, case)))
def test_vectors_are_those_of_the_golden_file(case: tuple[str, str | None]) -> None:
    golden = np.load(golden_path(*case), allow_pickle=False)
    absolute = ABSOLUTE.get(case[0], TOLERANCE)
    np.testing.assert_allclose(vectors(*case), golden, rtol=TOLERANCE, atol=absolute)


def test_every_golden_file_belongs_to_a_case() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {golden_path(*case).name for case in cases()}
