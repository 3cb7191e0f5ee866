"""Population statistics for choi2017 from any folder of music (``mirfeat calibrate``).

The published weights come without usable batch-norm statistics, since the authors normalised with
those of the current batch. This finds frozen ones: a few hundred segments, spread evenly over the
sources of music given, pass through the network layer by layer (``networks/population.py``).
"""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mirfeat.audio.clip import ClipFacts, open_clip
from mirfeat.audio.collection import find_audio, only_local
from mirfeat.audio.convert import Converter
from mirfeat.audio.segments import Segment, Segmenter
from mirfeat.checkpoints.sources import load_weights
from mirfeat.errors import AudioError, ConfigError
from mirfeat.files import replacing
from mirfeat.networks import checkpoint as checkpoints
from mirfeat.networks import choi2017
from mirfeat.networks.checkpoint import Weights, fill
from mirfeat.networks.choi2017_network import Choi2017
from mirfeat.networks.registry import get_spec
from mirfeat.pipeline.clip import cut
from mirfeat.runs.progress import Shown, counted
from mirfeat.version import __version__

logger = logging.getLogger("mirfeat")

# Keeps near-silent openings and endings out of a population of music: -60 dB.
_MIN_PEAK = 1e-3


@dataclass(frozen=True)
class Source:
    """One collection that gives its share of segments."""

    name: str
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Calibration:
    """Calibrated weights, and a record of how they came about."""

    weights: Weights
    record: dict[str, Any]

    def write(self, path: Path) -> None:
        """Write a checkpoint (``.safetensors``) or the bare statistics (``.json``)."""
        if path.suffix == ".json":
            with replacing(path) as temporary:
                temporary.write_text(json.dumps(self.record, indent=1) + "\n", encoding="utf-8")
        elif path.suffix == ".safetensors":
            checkpoints.write(path, self.weights)
        else:
            raise ConfigError(f"{path}: the name ends in .safetensors or .json.")


def calibrate(
    music: Sequence[str],
    checkpoint: str,
    segments: int = 400,
    seed: int = 0,
    *,
    progress: Shown = None,
) -> Calibration:
    """Frozen statistics and dB reference for the choi2017 weights ``checkpoint``.

    ``music``: folders or files, each a source that gives an equal share of ``segments``.
    Memory: 2.5 MB a segment. The same arguments give the same numbers.

    Raises:
        ConfigError: no usable music.
        CheckpointError: the weights cannot be had.
    """
    sources = [Source(Path(given).name, tuple(only_local(find_audio([given])))) for given in music]
    weights = load_weights(get_spec("choi2017"), checkpoint)
    assert weights is not None
    network = Choi2017()
    unused = ("running_mean", "running_var", "scaling.reference")
    fill({"network": network}, weights, unused=unused)
    chosen = {
        source.name: list(_choose(source, len(sources), segments, seed, progress))
        for source in sources
    }
    waves = [wave for share in chosen.values() for wave in share]
    if not waves:
        raise ConfigError("calibrate: none of the files given could be used.")
    reference = choi2017.calibrate(network, waves)
    record = {
        "checkpoint_sha256": weights.sha256,
        "db_reference": reference,
        "layers": [
            {
                "mean": _numbers(block.norm.running_mean),
                "variance": _numbers(block.norm.running_var),
            }
            for block in network.blocks
        ],
        "provenance": {
            "made_with": f"mirfeat {__version__} calibrate",
            "seed": seed,
            "segments": {name: len(share) for name, share in chosen.items()},
            "files": {source.name: len(source.files) for source in sources},
        },
    }
    calibrated = choi2017.weights_of(network, reference)
    parent = weights.metadata.get("parent_sha256", weights.sha256)
    metadata = {
        **calibrated.metadata,
        "statistics": record["provenance"],
        "parent_sha256": parent,
    }
    return Calibration(replace(calibrated, metadata=metadata, name=checkpoint), record)


def _choose(
    source: Source, sources: int, segments: int, seed: int, progress: Shown
) -> Iterator[np.ndarray]:
    """This source's share of segments, each [1, 348000], spread over its files."""
    share = -(-segments // sources)
    files = list(source.files)
    random.Random(f"{seed} {source.name}").shuffle(files)
    per_file = -(-share // len(files))
    found = 0
    chosen = files[:share]
    for path in counted(chosen, source.name, len(chosen), "files", progress):
        for segment in _sample(path, min(per_file, share - found), seed):
            found += 1
            yield segment.audio


def _sample(path: Path, count: int, seed: int) -> list[Segment]:
    """Up to ``count`` segments of a file, each equally likely (reservoir sampling)."""
    draw = random.Random(f"{seed} {path.name}")
    kept: list[Segment] = []
    try:
        for index, segment in enumerate(_segments(path)):
            if len(kept) < count:
                kept.append(segment)
            elif (slot := draw.randrange(index + 1)) < count:
                kept[slot] = segment
    except AudioError as error:
        logger.warning("left out: %s", error)
        return []
    return kept


def _segments(path: Path) -> Iterator[Segment]:
    """Segments of a file that are not near silence."""
    rate = choi2017.MEL.sample_rate
    with open_clip(path, None) as reader:
        segmenter = Segmenter(choi2017.SEGMENT, rate, reader.name, refuse_short=False)
        for _, segment in cut(reader, ClipFacts(), [(Converter(reader, rate, 1), segmenter)]):
            if np.abs(segment.audio).max() > _MIN_PEAK:
                yield segment


def _numbers(values: Any) -> list[float]:
    return [float(value) for value in values]
