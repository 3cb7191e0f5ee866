"""The extractor: what ``load_extractor`` returns and everything it can do.

One clip: ``extract``, ``embed``, ``tags`` and other predictions. Many: ``extract_many`` (any
source), ``extract_files`` (a table), ``extract_to`` (a folder).
"""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from mirfeat.audio.addresses import located
from mirfeat.audio.clip import AudioLike, PathLike, Source, batch_of, needs_rate, source_of
from mirfeat.checkpoints import sharing
from mirfeat.checkpoints.sharing import Metrics
from mirfeat.errors import AudioError, ConfigError, MirfeatWarning, OptionError
from mirfeat.networks.spec import ExtractorSpec
from mirfeat.pipeline.centred import embedding_around
from mirfeat.pipeline.clip import embedding_of, new_clip, vector_of
from mirfeat.pipeline.module import FeatureModule, Output
from mirfeat.pipeline.predicting import Predicting
from mirfeat.pipeline.threads import run_one
from mirfeat.pipeline.unit import Unit, provenance_of
from mirfeat.provenance import Provenance
from mirfeat.results.embedding import Embedding
from mirfeat.results.notebook import facts
from mirfeat.runs.extracting import ExtractsMany
from mirfeat.runs.progress import Shown
from mirfeat.runs.run import ExtractionRun, OnError


class Extractor(Predicting, ExtractsMany, AbstractContextManager["Extractor"]):
    """Turns audio into a feature vector. Made by :func:`mirfeat.load_extractor`.

    Settings do not change after loading. A context manager: leaving it, or :meth:`close`, gives
    the network's memory back.

    >>> with mirfeat.load_extractor("mfcc") as mfcc:
    ...     print(mfcc)
    mfcc() 120 numbers, 12000 Hz mono, 29 s segments, cpu
    >>> extractor.name, extractor.dimension, extractor.feature_names[0]
    ('choi2017', 320, 'choi2017.layer1.00.mean')
    """

    def __init__(self, units: tuple[Unit, ...], max_seconds: float | None) -> None:
        """Wrap loaded units; use :func:`mirfeat.load_extractor`."""
        self._units: tuple[Unit, ...] = units
        self._warned = False
        self.max_seconds = max_seconds
        self.name = "+".join(unit.spec.name for unit in units)
        self.provenance: Provenance = provenance_of(units)
        self.feature_names: tuple[str, ...] = tuple(
            name for unit in units for name in unit.feature_names
        )
        self.dimension = len(self.feature_names)
        self.row_dimension = sum(unit.row_size for unit in units)
        self.sample_rate = max(unit.spec.mel.sample_rate for unit in units)
        self.channels = max(unit.spec.mel.channels for unit in units)
        self.segment_seconds = max(unit.segment_seconds for unit in units)
        self.hop_seconds = max(unit.hop_seconds for unit in units)
        self.min_seconds = max(unit.min_seconds for unit in units)

    @property
    def spec(self) -> ExtractorSpec:
        """Record of the extractor; of ``a+b`` use ``parts``."""
        return self._only("spec").spec

    @property
    def parts(self) -> tuple[Extractor, ...]:
        """The extractors that ``a+b`` consists of; just this one otherwise."""
        joined = len(self._units) > 1
        return tuple(Extractor((u,), self.max_seconds) for u in self._units) if joined else (self,)

    def extract(self, audio: AudioLike, sample_rate: int | None = None) -> np.ndarray:
        """Feature vector of one clip, float32 (dimension,).

        ``audio``: array or CPU tensor (N,) or (C, N), :class:`mirfeat.Audio`, a path, or an audio
        file as ``bytes`` or opened with ``"rb"``. An array comes with its ``sample_rate`` in Hz.

        >>> noise = np.random.default_rng(0).normal(0, 0.1, 44100).astype("float32")
        >>> extractor.extract(noise, 44100).shape
        (320,)

        Raises:
            AudioError: this audio cannot be used; the message says why and what to do.
        """
        clip = new_clip("audio", self._source(audio, sample_rate), self._open(), keep_rows=False)
        statistics = tuple(unit.statistics for unit in self._units)
        return vector_of(run_one(clip, self._open(), self.max_seconds), statistics)

    def extract_file(self, path: PathLike) -> np.ndarray:
        """Feature vector of one file or URL, float32 (dimension,).

        >>> extractor.extract_file(song).dtype
        dtype('float32')
        """
        return self.extract(located(path))

    def extract_batch(
        self, samples: Any, sample_rate: int, *, workers: int | None = None
    ) -> np.ndarray:
        """Vectors of clips in one array or CPU tensor, float32 (B, dimension).

        ``samples``: (B, N), or (B, C, N) with channels; any rate. With gradients: :meth:`module`.

        >>> extractor.extract_batch(np.full((3, 16000), 0.1, "float32"), 16000).shape
        (3, 320)

        Raises:
            AudioError: of the first clip that cannot be used.
        """
        clips = batch_of(samples, sample_rate)
        results = self.run("raise", workers, progress=False).results(clips)
        return np.stack([result.vector for result in results if result.vector is not None])

    def embed(
        self,
        audio: AudioLike,
        sample_rate: int | None = None,
        *,
        edges: Literal["inside", "pad"] = "inside",
        hop_seconds: float | None = None,
    ) -> Embedding:
        """All rows of one clip with their times; arguments and errors as :meth:`extract`.

        Segments lie inside the clip. With ``edges="pad"`` they are centred on every hop from 0 on,
        with silence beyond the ends, and ``hop_seconds`` may be any.

        >>> mfcc = mirfeat.load_extractor("mfcc")
        >>> mfcc.embed(song)
        Embedding(1 rows x 60, 10.00 s, coefficient, delta, delta2)
        >>> mfcc.embed(song, edges="pad", hop_seconds=2.5).starts
        array([-14.5, -12. ,  -9.5,  -7. ])

        Raises:
            OptionError: ``hop_seconds`` without ``edges="pad"``, or less than a sample.
        """
        unit, source = self._only("embed"), self._source(audio, sample_rate)
        if edges not in ("inside", "pad") or (edges == "inside" and hop_seconds is not None):
            raise OptionError(
                f"embed: edges={edges!r}, hop_seconds={hop_seconds}. Edges are 'inside' or 'pad'; "
                "without 'pad' the hop is that of load_extractor(hop_seconds=…)."
            )
        if edges == "pad":
            return embedding_around(source, unit, self.max_seconds, hop_seconds)
        clip = new_clip("audio", source, [unit], keep_rows=True)
        return embedding_of(run_one(clip, [unit], self.max_seconds).rows[0], unit)

    def embed_file(self, path: PathLike) -> Embedding:
        """All rows of one file with their times.

        >>> len(extractor.embed_file(song))
        1
        """
        return self.embed(located(path))

    def module(self, *, output: Output = "vector", trainable: bool = False) -> FeatureModule:
        """The extractor as an ``nn.Module``, from samples [B, C, N] at ``sample_rate``.

        To rows [B, T, row_dimension] or vectors [B, dimension], on the same device, with gradients
        to samples and, if ``trainable``, to a copy of the weights. ``torch.compile`` and
        ``torch.export`` take it, with any number of clips.

        >>> import torch
        >>> module = mirfeat.load_extractor("mfcc").module()
        >>> module(torch.full((2, 1, 24000), 0.1)).shape
        torch.Size([2, 120])

        Raises:
            OptionError: of ``a+b``, of an extractor in less precision than float32.
        """
        return FeatureModule(self._only("module"), output, trainable)

    def save_pretrained(self, folder: PathLike, *, metrics: Metrics | None = None) -> Path:
        """Write weights, config.json and a model card; ``checkpoint=folder`` loads them again.

        >>> extractor.save_pretrained("mine").name
        'mine'
        >>> mirfeat.load_extractor("choi2017", checkpoint="mine").dimension
        320
        """
        return sharing.save(self._only("checkpoint"), Path(folder), metrics)

    def push_to_hub(
        self,
        repo: str,
        *,
        private: bool | None = None,
        token: str | None = None,
        revision: str | None = None,
        commit_message: str | None = None,
        metrics: Metrics | None = None,
    ) -> str:
        """Save into ``org/repo`` on the Hub, made if need be; the address of the commit."""
        unit = self._only("checkpoint")
        where = sharing.HubRepository(repo, private, token, revision, commit_message)
        return sharing.push(unit, where, metrics)

    def close(self) -> None:
        """Give the network's memory back; the extractor cannot be used any more."""
        self._units = ()

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def __repr__(self) -> str:
        """Name, options that differ from their defaults, and what comes out."""
        units = "+".join(map(repr, self._units)) or f"{self.name} (closed)"
        return (
            f"{units} {self.dimension} numbers, {self.sample_rate} Hz "
            f"{'mono' if self.channels == 1 else 'stereo'}, {self.segment_seconds:g} s segments, "
            f"{self.provenance.device}"
        )

    def _repr_html_(self) -> str:
        return facts(repr(self), self.provenance.to_dict())

    @property
    def device(self) -> torch.device:
        """Where the network runs."""
        return self._open()[0].device

    def run(
        self,
        on_error: OnError = "skip",
        workers: int | None = None,
        progress: Shown = None,
    ) -> ExtractionRun:
        """A run over many clips, for those who drive it themselves."""
        self._open()
        return ExtractionRun(self._units, self.name, self.max_seconds, on_error, workers, progress)

    def _open(self) -> tuple[Unit, ...]:
        if not self._units:
            raise ConfigError(f"{self.name}: this extractor was closed. Load it again.")
        return self._units

    def _only(self, what: str) -> Unit:
        self._open()
        if len(self._units) > 1:
            raise OptionError(
                f"{self.name} has no {what} of its own: its parts differ. Use extractor.parts."
            )
        return self._units[0]

    def _source(self, audio: AudioLike, sample_rate: int | None) -> Source:
        if sample_rate is not None or not needs_rate(audio):
            return source_of(audio, sample_rate)
        if len({unit.spec.mel.sample_rate for unit in self._units}) > 1:
            raise AudioError(f"{self.name}: give the sample_rate of the array.")
        if not self._warned:
            self._warned = True
            guess = f"taking the array to be at {self.sample_rate} Hz, the rate of {self.name}"
            text = f"no sample_rate given: {guess}. Pass extract(array, sample_rate)."
            warnings.warn(text, MirfeatWarning, stacklevel=3)
        return source_of(audio, self.sample_rate)
