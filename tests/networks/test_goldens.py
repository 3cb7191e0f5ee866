"""Vectors of fixed clips do not move from version to version."""

import numpy as np
import pytest

from tests.support.extractor_cases import case_name
from tests.support.make_goldens import FOLDER, cases, golden_path, vectors

# soxr, FFT and BLAS differ between platforms by about 1e-6 of a feature's scale.
TOLERANCE = 1e-4


@pytest.mark.parametrize("case", list(cases()), ids=case_name)
def test_vectors_are_those_of_the_golden_file(case: tuple[str, str | None]) -> None:
    golden = np.load(golden_path(*case), allow_pickle=False)
    np.testing.assert_allclose(vectors(*case), golden, rtol=TOLERANCE, atol=TOLERANCE)


def test_every_golden_file_belongs_to_a_case() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {golden_path(*case).name for case in cases()}
