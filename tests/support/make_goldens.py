"""Write the golden vectors that ``test_goldens.py`` compares with: ``make goldens``.

Rewriting them means that numbers moved: raise ``spec.version``, and say so in CHANGELOG.md under
"Numbers changed".
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

import mirfeat
from mirfeat.checkpoints import downloads
from mirfeat.networks.population import synthetic_segment
from mirfeat.networks.registry import get_spec

FOLDER = Path(__file__).parents[1] / "goldens"
RATE = 32_000


def cases() -> Iterator[tuple[str, str | None]]:
    """Every extractor with every checkpoint that is at hand on any machine."""
    for name in mirfeat.list_extractors():
        if not get_spec(name).has_weights:
            yield name, None
            continue
        yield name, "random"
        if downloads.packaged(get_spec(name).checkpoint_of or name):
            yield name, "open"


def clips() -> list[np.ndarray]:
    """A short stereo clip, and one with a tail."""
    return [
        np.concatenate([synthetic_segment(500 + i, 4 * RATE, RATE) for i in range(2)]),
        synthetic_segment(502, 50 * RATE, RATE),
    ]


def golden_path(name: str, checkpoint: str | None) -> Path:
    """File of one case."""
    return FOLDER / f"{name}-{checkpoint or 'none'}.npy"


def vectors(name: str, checkpoint: str | None) -> np.ndarray:
    """Vectors of the clips, float32 (clips, dimension)."""
    extractor = mirfeat.load_extractor(name, checkpoint=checkpoint)
    return np.stack([extractor.extract(clip, RATE) for clip in clips()])


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for case in cases():
        np.save(golden_path(*case), vectors(*case))
