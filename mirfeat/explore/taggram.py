"""Tags over time as a figure, above the mel spectrogram that the network sees."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from mirfeat.audio.clip import AudioLike
from mirfeat.errors import OptionError
from mirfeat.evaluation.pages.drawing import FULL_WIDTH_CM, Drawing, sheet
from mirfeat.evaluation.records import Table
from mirfeat.extractor import Extractor
from mirfeat.pipeline import predictions
from mirfeat.pipeline.predictions import TagsOverTime

# Wide enough for a figure, whatever the length of the song.
_MEL_COLUMNS = 200


@dataclass(frozen=True, eq=False)
class Stretch:
    """A part of a clip and the levels the network sees there, float32 [mel bands, columns]."""

    start: float
    end: float
    levels: np.ndarray


def taggram(
    extractor: Extractor,
    audio: AudioLike,
    sample_rate: int | None = None,
    *,
    top: int = 10,
    hop_seconds: float | None = None,
    title: str = "",
) -> Drawing:
    """Which tags are heard when: a row a tag, darker where it is more probable; mel levels below.

    Arguments and errors as :meth:`mirfeat.Extractor.tags_over_time`; ``title`` is the song's.
    ``drawing.save(folder, name)`` writes it as PNG, SVG and CSV.

    >>> from mirfeat.explore.taggram import taggram
    >>> taggram(extractor, song, top=3).alt
    'Probabilities of 3 tags in 1 segments.'

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    over_time = extractor.tags_over_time(audio, sample_rate, top=top, hop_seconds=hop_seconds)
    stretches = mel_levels(extractor, audio, sample_rate)
    height = 3.6 + 0.45 * len(over_time.names)
    with sheet(FULL_WIDTH_CM, height) as figure:
        tags, mel = figure.subplots(
            2, 1, sharex=True, height_ratios=(0.45 * len(over_time.names), 2.2)
        )
        _draw_tags(figure, tags, over_time)
        _draw_mel(mel, stretches)
    columns = ("start", "end", *over_time.names)
    rows = tuple(
        (start, end, *values)
        for start, end, values in zip(
            over_time.starts.tolist(),
            over_time.ends.tolist(),
            over_time.probabilities.astype(float).round(5).tolist(),
            strict=True,
        )
    )
    of = f" of {title}" if title else ""
    note = (
        f"Segments of {extractor.segment_seconds:g} s; each is drawn from where it begins to "
        "where the next one does."
    )
    alt = f"Probabilities of {len(over_time.names)} tags in {len(over_time)} segments{of}."
    return Drawing(figure, alt, Table(f"Tags over time{of}", columns, rows, note))


def mel_levels(
    extractor: Extractor, audio: AudioLike, sample_rate: int | None = None
) -> list[Stretch]:
    """The mel levels of a clip, as its network sees them, one stretch a segment, without overlap.

    Raises:
        AudioError: this audio cannot be used.
        OptionError: an extractor of several parts.
    """
    unit, source = extractor._only("mel levels"), extractor._source(audio, sample_rate)
    whole = replace(unit, segment=replace(unit.segment, hop_samples=unit.segment.samples))
    bands = unit.spec.mel.n_mels

    def columns(image: torch.Tensor) -> torch.Tensor:
        mono = image.mean(dim=1)
        return torch.nn.functional.adaptive_avg_pool1d(mono, _MEL_COLUMNS).flatten(1)

    arrays = predictions.over_time(
        whole, source, extractor.max_seconds, columns, bands * _MEL_COLUMNS
    )
    found = []
    for start, end, row in zip(arrays["starts"], arrays["ends"], arrays["values"], strict=True):
        # A clip that was repeated to fill a segment is shown once.
        share = min(1.0, (end - start) / unit.segment_seconds)
        levels = row.reshape(bands, _MEL_COLUMNS)[:, : max(1, round(share * _MEL_COLUMNS))]
        found.append(Stretch(float(start), float(end), levels))
    return found


def _draw_tags(figure: Any, axes: Any, over_time: TagsOverTime) -> None:
    edges = np.append(over_time.starts, over_time.ends[-1])
    if (np.diff(edges) <= 0).any():
        raise OptionError("segments that do not follow one another cannot be drawn.")
    rows = np.arange(len(over_time.names) + 1)
    image = axes.pcolormesh(
        edges, rows, over_time.probabilities.T, vmin=0, vmax=1, cmap="Blues", rasterized=True
    )
    axes.set_yticks(rows[:-1] + 0.5, over_time.names)
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, label="probability", fraction=0.04)
    bar.outline.set_visible(False)


def _draw_mel(axes: Any, stretches: list[Stretch]) -> None:
    every = np.concatenate([stretch.levels.ravel() for stretch in stretches])
    low, high = np.quantile(every, (0.02, 0.995))
    for stretch in stretches:
        axes.imshow(
            stretch.levels,
            origin="lower",
            aspect="auto",
            extent=(stretch.start, stretch.end, 0, len(stretch.levels)),
            vmin=low,
            vmax=max(high, low + 1e-6),
            cmap="magma",
        )
    axes.set_xlim(stretches[0].start, stretches[-1].end)
    axes.set_ylim(0, len(stretches[0].levels))
    axes.set_ylabel("mel band")
    axes.set_xlabel("seconds")
