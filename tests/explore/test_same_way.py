"""From a record of how vectors were made to an extractor that makes them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import mirfeat
from mirfeat.errors import ProvenanceError
from mirfeat.explore.same_way import load_same
from tests.support.sounds import music


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mfcc", {"statistics": ("mean",), "max_seconds": 5.0}),
        ("choi2017", {"layers": "13", "hop_seconds": 10.0}),
        ("choi2017+mfcc", {}),
    ],
)
def test_the_same_audio_gives_the_same_vector(name: str, options: dict) -> None:
    extractor = mirfeat.load_extractor(name, **options)
    again = load_same(extractor.provenance)
    clip = music(6.0, 16_000)
    np.testing.assert_array_equal(extractor.extract(clip, 16_000), again.extract(clip, 16_000))
    assert again.feature_names == extractor.feature_names


def test_weights_that_have_moved_are_named_and_others_refused(tmp_path: Path) -> None:
    extractor = mirfeat.load_extractor("choi2017")
    saved = extractor.save_pretrained(tmp_path / "here")
    provenance = mirfeat.load_extractor("choi2017", checkpoint=saved).provenance
    moved = saved.rename(tmp_path / "there")
    assert load_same(provenance, moved).dimension == 320
    with pytest.raises(ProvenanceError, match="checkpoint_sha256"):
        load_same(replace(provenance, checkpoint_sha256="0" * 64), moved)


def test_numbers_of_another_version_cannot_be_made_again() -> None:
    provenance = mirfeat.load_extractor("mfcc").provenance
    with pytest.raises(ProvenanceError, match=r"spec_version: 99 here[\s\S]*Extract them again"):
        load_same(replace(provenance, spec_version=99))
