"""Mel levels of a whole track, block by block: the frames are those of the whole signal."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from mirfeat.audio.clip import ClipFacts, checked_blocks, open_clip
from mirfeat.audio.convert import Converter
from mirfeat.errors import AudioError
from mirfeat.networks.frontend import Frontend, MelSpec


class Track(NamedTuple):
    """A track to take in: name, file, and how much of it to use (None: all)."""

    id: str
    file: Path
    max_seconds: float | None


@torch.no_grad()
def track_levels(track: Track, frontend: Frontend, mel: MelSpec) -> tuple[np.ndarray, float]:
    """Levels of a track, float16 [T, C, F] with ``T = mel.frames(N)``, and its seconds.

    ``frontend`` is that of ``mel`` without centring: the edges are padded here, once a track.

    Raises:
        AudioError: the audio is damaged, empty, or shorter than one frame.
    """
    facts, framer = ClipFacts(), _Framer(frontend, mel)
    pieces = []
    with open_clip(track.file, track.max_seconds) as reader:
        converter = Converter(reader, mel.sample_rate, mel.channels)
        block = None
        for block in checked_blocks(reader, facts):
            pieces.append(framer.push(converter.convert(block)))
        assert block is not None  # an empty clip has raised
        pieces.append(framer.push(converter.flush(block)))
    pieces.append(framer.finish())
    levels = np.concatenate(pieces)
    if not len(levels):
        raise AudioError(f"{track.file}: {facts.seconds:.3g} s is shorter than one frame.")
    return levels, facts.seconds


class _Framer:
    """A stream of samples as a stream of frames."""

    def __init__(self, frontend: Frontend, mel: MelSpec) -> None:
        self._frontend, self._mel = frontend, mel
        self._kept = np.empty((mel.channels, 0), np.float32)
        self._last = self._kept
        self._pad = mel.n_fft // 2 if mel.centred else 0
        self._begun = False

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Levels [t, C, F] of the frames that ``samples`` [C, n] complete."""
        self._kept = np.concatenate([self._kept, samples], axis=1)
        self._last = np.concatenate([self._last, samples], axis=1)[:, -self._pad - 1 :]
        if not self._begun:
            if self._kept.shape[1] <= self._mel.n_fft:
                return self._empty()
            self._begin()
        return self._frames()

    def finish(self) -> np.ndarray:
        """Levels of the last frames."""
        if not self._begun:
            if self._kept.shape[1] <= self._pad:  # reflection needs more samples than it adds
                return self._empty()
            self._begin()
        self._kept = np.concatenate([self._kept, self._edge(self._last[:, ::-1])], axis=1)
        return self._frames()

    def _begin(self) -> None:
        start = self._edge(self._kept[:, : self._pad + 1])[:, ::-1]
        self._kept = np.concatenate([start, self._kept], axis=1)
        self._begun = True

    def _edge(self, outermost_first: np.ndarray) -> np.ndarray:
        """What lies beyond an edge, going outwards."""
        beyond = outermost_first[:, 1 : self._pad + 1]
        return beyond if self._mel.pad_mode == "reflect" else np.zeros_like(beyond)

    def _frames(self) -> np.ndarray:
        hop, size = self._mel.hop_samples, self._mel.n_fft
        number = 1 + (self._kept.shape[1] - size) // hop
        if number < 1:
            return self._empty()
        audio = np.ascontiguousarray(self._kept[:, : size + (number - 1) * hop])
        self._kept = self._kept[:, number * hop :]
        levels = self._frontend.levels(torch.from_numpy(audio)[None])[0]
        frames: np.ndarray = levels.permute(2, 0, 1).half().numpy()
        return frames

    def _empty(self) -> np.ndarray:
        return np.empty((0, self._mel.channels, self._mel.n_mels), np.float16)
