"""Rows centred on times of one's choice, with silence where a segment reaches over the ends.

Elsewhere segments lie inside a clip; here one may be asked for at any time, as benchmarks of events
do. The whole clip is in memory at once: at 22 050 Hz 5 MB a minute.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mirfeat.audio.clip import ClipFacts, Source, checked_blocks, open_clip
from mirfeat.audio.convert import Converter
from mirfeat.errors import NonFiniteFeatureError, OptionError
from mirfeat.pipeline.clip import embedding_from
from mirfeat.pipeline.forward import Forward, lane_to
from mirfeat.pipeline.unit import Unit
from mirfeat.results.embedding import Embedding


def converted(source: Source, unit: Unit, max_seconds: float | None) -> np.ndarray:
    """All samples of a clip at the rate and with the channels of ``unit``, float32 [C, N].

    Raises:
        AudioError: this audio cannot be used.
    """
    mel = unit.spec.mel
    with open_clip(source, max_seconds) as reader:
        converter, parts, block = Converter(reader, mel.sample_rate, mel.channels), [], None
        for block in checked_blocks(reader, ClipFacts()):
            parts.append(converter.convert(block))
        assert block is not None  # an empty clip has raised
        return np.concatenate([*parts, converter.flush(block)], axis=1)


def embedding_around(
    source: Source, unit: Unit, max_seconds: float | None, hop_seconds: float | None
) -> Embedding:
    """Rows centred on every hop from the start of a clip on, before its end.

    ``starts`` and ``ends`` are those of the segments, half of the first of which lies before 0.

    Raises:
        AudioError: this audio cannot be used.
        OptionError: a hop of less than a sample.
    """
    rate, size = unit.spec.mel.sample_rate, unit.segment.samples
    hop = (unit.hop_seconds if hop_seconds is None else hop_seconds) * rate
    if not hop >= 1.0:
        raise OptionError(f"hop_seconds={hop_seconds}: at least one sample, {1 / rate:.2g} s.")
    audio = converted(source, unit, max_seconds)
    centres = np.round(np.arange(0.0, audio.shape[1], hop)).astype(int)
    values, within = rows_at(unit, audio, centres.tolist())
    if not (np.isfinite(values).all() and np.isfinite(within).all()):
        raise NonFiniteFeatureError("audio: numbers of its features are NaN or infinite.")
    starts = (centres - size // 2) / rate
    return embedding_from(
        {
            "values": values,
            "within_variance": within,
            "starts": starts,
            "ends": starts + size / rate,
            "weights": np.ones(len(centres)),
        },
        unit,
    )


def rows_at(unit: Unit, audio: np.ndarray, centres: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of segments whose middle is at the samples ``centres`` of ``audio`` [C, N].

    Two of float32 [T, D]: means and the variance inside each.
    """
    size = unit.segment.samples
    before = size // 2
    padded = np.pad(audio, ((0, 0), (before, size - before)))
    forward: Forward[None] = Forward(
        unit.spec.name, lane_to(unit.device, unit.run), unit.batch_size
    )
    rows = []
    for start in range(0, len(centres), unit.batch_size):
        some = centres[start : start + unit.batch_size]
        segments = [np.ascontiguousarray(padded[:, at : at + size]) for at in some]
        rows += list(forward.push(segments, [None] * len(some)))
    rows += list(forward.drain())
    return np.stack([mean for _, mean, _ in rows]), np.stack([spread for *_, spread in rows])
