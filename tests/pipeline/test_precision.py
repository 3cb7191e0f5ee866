"""Networks in less precision: how far vectors move, and what is said of it."""

from pathlib import Path

import numpy as np
import pytest

import mirfeat
from mirfeat.errors import OptionError, ProvenanceError
from tests.support.sounds import music, write_wav

RATE = 22_050
CLIP = music(35.0, RATE, seed=3)[0]
# Of the largest number in the vector.
MOST = {"bfloat16": 0.02, "float16": 0.003}


@pytest.mark.parametrize("precision", MOST)
@pytest.mark.parametrize("name", ["choi2017", "hamel2013-tag", "kim2019-ms-sr-fc"])
def test_less_precision_moves_the_vector_a_little(name: str, precision: str) -> None:
    exact = mirfeat.load_extractor(name, device="cpu").extract(CLIP, RATE)
    extractor = mirfeat.load_extractor(name, device="cpu", precision=precision)  # type: ignore[arg-type]
    vector = extractor.extract(CLIP, RATE)
    assert vector.dtype == np.float32
    assert not np.array_equal(vector, exact)
    assert np.abs(vector - exact).max() < MOST[precision] * np.abs(exact).max()
    assert f"precision='{precision}'" in repr(extractor)


def test_vectors_of_different_precision_are_not_put_into_one_folder(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", music(1.0, RATE), RATE)
    name = "kim2019-ms-sr-fc"
    mirfeat.load_extractor(name, device="cpu").extract_to(tmp_path / "feats", [path])
    rough = mirfeat.load_extractor(name, device="cpu", precision="bfloat16")
    with pytest.raises(ProvenanceError, match="precision"):
        rough.extract_to(tmp_path / "feats", [path])


def test_of_several_extractors_those_with_a_network_are_meant() -> None:
    both = mirfeat.load_extractor("choi2017+mfcc", device="cpu", precision="bfloat16")
    parts = [part.provenance.options.get("precision") for part in both.parts]
    assert parts == ["bfloat16", None]


def test_where_there_is_no_network_or_no_such_precision() -> None:
    with pytest.raises(OptionError, match="no network"):
        mirfeat.load_extractor("mfcc", precision="bfloat16")
    with pytest.raises(OptionError, match="one of float32, bfloat16, float16"):
        mirfeat.load_extractor("choi2017", precision="half")  # type: ignore[arg-type]
