"""mirfeat as HEAR asks for it: load a model, get embeddings of scenes and at times.

The common interface of the HEAR benchmark (Turian et al. 2022, "HEAR: Holistic Evaluation of Audio
Representations"), so ``mirfeat.hear`` is a module that its tools take by name. Times are in
milliseconds, and each row is centred on its time, with silence beyond the ends of a sound.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from mirfeat.errors import OptionError
from mirfeat.extractor import Extractor
from mirfeat.loading import load_extractor

DEFAULT = "kim2019-ms-sr-fc"
# What HEAR knows; the rate of an extractor is resampled to from the next one above.
RATES = (22_050, 44_100)
# HEAR advises rows at most 50 ms apart.
HOP_SECONDS = 0.05


class HearModel(nn.Module):
    """An extractor with the attributes that HEAR reads."""

    def __init__(self, extractor: Extractor) -> None:
        """Wrap a loaded extractor."""
        super().__init__()
        self.extractor = extractor
        self.sample_rate = next(rate for rate in RATES if rate >= extractor.sample_rate)
        self.scene_embedding_size = extractor.dimension
        self.timestamp_embedding_size = extractor.row_dimension


def load_model(model_file_path: str = "") -> HearModel:
    """A model by the name of its extractor, ``NAME`` or ``NAME@CHECKPOINT``.

    ``CHECKPOINT`` is whatever ``load_extractor(checkpoint=…)`` takes; without a name it is
    kim2019-ms-sr-fc.

    Raises:
        UnknownExtractorError, CheckpointError: there is no such thing.
    """
    name, _, checkpoint = model_file_path.partition("@")
    return HearModel(load_extractor(name or DEFAULT, checkpoint=checkpoint or None))


def get_scene_embeddings(audio: Tensor, model: HearModel) -> Tensor:
    """Vectors of sounds [n, samples] at ``model.sample_rate``: float32 [n, size]."""
    vectors = model.extractor.extract_batch(_checked(audio).numpy(), model.sample_rate)
    return torch.from_numpy(vectors).to(audio.device)


def get_timestamp_embeddings(audio: Tensor, model: HearModel) -> tuple[Tensor, Tensor]:
    """Rows of sounds [n, samples]: float32 [n, times, size], and their times in ms [n, times].

    One every 50 ms from the start to the end of the sounds, each from the segment around its time,
    to the sample.
    """
    embeddings = [
        model.extractor.embed(sound, model.sample_rate, edges="pad", hop_seconds=HOP_SECONDS)
        for sound in _checked(audio).numpy()
    ]
    rows = np.stack([embedding.values for embedding in embeddings])
    # Not those of the samples, which are up to half a sample away: HEAR wants equal steps.
    times = torch.arange(rows.shape[1], dtype=torch.float32) * (1000.0 * HOP_SECONDS)
    return torch.from_numpy(rows).to(audio.device), times.repeat(len(rows), 1).to(audio.device)


def _checked(audio: Tensor) -> Tensor:
    """Sounds in the memory of the processor.

    Raises:
        OptionError: no float32 [n, samples].
    """
    if audio.dim() != 2 or not audio.numel() or audio.dtype != torch.float32:
        raise OptionError(
            f"audio of shape {tuple(audio.shape)} and type {audio.dtype}: HEAR has float32 "
            "[sounds, samples]."
        )
    return audio.detach().cpu()
