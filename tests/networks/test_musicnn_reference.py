"""The original's own numbers: tags and layers of real music, made by ``benchmarks/musicnn.py``."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import mirfeat
from mirfeat.networks.musicnn_network import LAYERS

REFERENCE = Path(__file__).parents[1] / "data" / "musicnn.json"


def reference(checkpoint: str) -> dict[str, Any]:
    """Numbers of the original: for each excerpt the taggram and sums of the layers."""
    found: dict[str, Any] = json.loads(REFERENCE.read_text())[checkpoint]
    return found


def check_reference(checkpoint: str, music: Path, tolerance: float) -> None:
    extractor = mirfeat.load_extractor("musicnn", checkpoint=checkpoint, layers=",".join(LAYERS))
    for name, expected in reference(checkpoint).items():
        embedding = extractor.embed(music / name)
        rows = {block: embedding.values[:, columns] for block, columns in embedding.blocks.items()}
        assert np.abs(rows["taggram"] - expected["taggram"]).max() < tolerance, name
        for layer in ("max_pool", "mean_pool", "penultimate"):
            every = rows[layer][:, :: len(rows[layer][0]) // 25]
            assert_allclose(every, expected[layer], rtol=1e-3, atol=2e-3, err_msg=f"{name} {layer}")


def test_the_original_with_random_weights_says_the_same(music: Path) -> None:
    check_reference("random", music, 1e-4)


@pytest.mark.network
@pytest.mark.parametrize("checkpoint", ["msd", "mtt"])
def test_tags_are_the_originals(checkpoint: str, music: Path) -> None:
    check_reference(checkpoint, music, 1e-5)
