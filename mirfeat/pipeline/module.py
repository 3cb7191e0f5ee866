"""An extractor as a module of PyTorch: segments, front end, network and statistics in one graph.

The way of a clip is that of ``clip.py`` and ``segments.py``, in whole tensors: every clip of a
batch has the same length, so all are cut at the same places. Letters in shapes: B clips,
C channels, N samples, T rows, D row size.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from torch import Tensor, nn

from mirfeat.errors import AudioTooShortError, OptionError
from mirfeat.networks.model import Rows, Strippable
from mirfeat.pipeline.unit import Unit

Output = Literal["rows", "vector"]


class FeatureModule(nn.Module):
    """Samples [B, C, N] at ``sample_rate`` to rows [B, T, D] or vectors [B, dimension].

    The numbers of :meth:`Extractor.embed` and :meth:`Extractor.extract` to 1e-5, with gradients to
    samples and, where it was made ``trainable``, to weights; only what rows need is trained. ``C``
    is 1 or more, mixed as of files. It has a copy of the weights; norms keep their statistics and
    dropout stays off in ``train()`` too.

    >>> import torch
    >>> rows = extractor.module(output="rows", trainable=True)
    >>> rows(torch.full((2, 1, 12000), 0.1)).requires_grad
    True

    Raises:
        OptionError: samples of another shape or type.
        AudioTooShortError: fewer samples than the extractor takes.
    """

    def __init__(self, unit: Unit, output: Output, trainable: bool) -> None:
        """Copy the network of ``unit``; use :meth:`mirfeat.Extractor.module`."""
        super().__init__()
        if output not in get_args(Output):
            raise OptionError(f"output={output!r}: it is 'rows' or 'vector'.")
        if unit.provenance.options.get("precision", "float32") != "float32":
            raise OptionError(
                "module: it computes in float32. Load the extractor without precision=, and call "
                "the module inside torch.autocast."
            )
        self.output, self.statistics = output, unit.statistics
        self.name, self.sample_rate = unit.spec.name, unit.spec.mel.sample_rate
        self.channels, self.min_samples = (
            unit.spec.mel.channels,
            round(unit.min_seconds * unit.spec.mel.sample_rate),
        )
        self.dimension = unit.row_size * (1 if output == "rows" else len(unit.statistics))
        self._segment = unit.segment
        self.model = deepcopy(unit.model)
        if trainable and isinstance(self.model.network, Strippable):
            self.model.network.strip()
        self.model.requires_grad_(trainable)
        self.train(trainable)

    if TYPE_CHECKING:

        def __call__(self, samples: Tensor) -> Tensor:
            """As :meth:`forward`; torch says Any."""

    def train(self, mode: bool = True) -> FeatureModule:
        """Set ``training``; what is inside stays as it is at inference."""
        self.training = mode
        return self

    def forward(self, samples: Tensor) -> Tensor:
        """Rows or vectors, float32, of a batch of clips of one length."""
        segments, weights = self.segments(self._mixed(samples))
        clips, count = segments.shape[:2]
        both: Rows = self.model(segments.flatten(0, 1))
        mean, variance = (values.view(clips, count, -1) for values in both)
        if self.output == "rows":
            return mean
        return pooled(mean, variance, weights, self.statistics)

    def segments(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Segments [B, T, C, samples] and their weights [T] of clips [B, C, N]."""
        spec, device = self._segment, audio.device
        if spec.short == "tile":
            audio = _tiled(audio, spec.whole_samples)
            samples: Any = spec.samples
        else:
            audio = _padded(audio, spec.pad_samples)
            samples = _smaller(audio.shape[2], spec.samples)
        if spec.lead_samples:
            audio = nn.functional.pad(audio, (spec.lead_samples, 0))
        last = audio.shape[2] - samples
        whole = last // spec.hop_samples
        # A last segment from the end back, where half a hop or more would not be covered.
        count = 1 + whole + 2 * (last - whole * spec.hop_samples) // spec.hop_samples
        places = torch.arange(count, device=device) * spec.hop_samples
        starts = places.clamp(max=last)
        weights = ((last + spec.hop_samples - places) / spec.hop_samples).clamp(max=1.0)
        index = starts[:, None] + torch.arange(samples, device=device)
        return audio[:, :, index].transpose(1, 2), weights

    def _mixed(self, samples: Tensor) -> Tensor:
        """Samples with the channels of the extractor, checked."""
        if samples.dim() != 3 or samples.dtype != torch.float32:
            raise OptionError(
                f"{self.name}: samples of shape {tuple(samples.shape)} and type {samples.dtype}; "
                "the module takes float32 [clips, channels, samples]. One channel: x[:, None]."
            )
        if isinstance(samples.shape[2], int) and samples.shape[2] < self.min_samples:
            raise AudioTooShortError(
                f"{self.name}: {samples.shape[2]} samples, this extractor takes "
                f"{self.min_samples} or more."
            )
        if samples.shape[1] == self.channels:
            return samples
        if self.channels == 1:
            return samples.mean(1, keepdim=True)
        return samples[:, :2] if samples.shape[1] > 2 else samples.expand(-1, 2, -1)


def _known(condition: Any) -> bool:
    """Whether a condition on lengths holds, as far as is known while torch.export traces."""
    if isinstance(condition, bool):
        return condition
    # Sympy and a second of importing, for those who trace only.
    from torch.fx.experimental.symbolic_shapes import statically_known_true

    return statically_known_true(condition)


# Lengths are symbols while torch.export traces.
def _smaller(one: Any, other: Any) -> Any:
    return torch.sym_min(one, other)  # type: ignore[no-untyped-call]


def _larger(one: Any, other: Any) -> Any:
    return torch.sym_max(one, other)  # type: ignore[no-untyped-call]


def _tiled(audio: Tensor, whole: int) -> Tensor:
    """Clips of at least ``whole`` samples: shorter ones repeated."""
    length = audio.shape[2]
    if _known(length >= whole):
        return audio
    places = torch.arange(_larger(length, whole), device=audio.device)
    return audio[:, :, places % torch.full((), length, device=audio.device)]


def _padded(audio: Tensor, least: int) -> Tensor:
    """Clips of at least ``least`` samples: zeros behind shorter ones."""
    if _known(audio.shape[2] >= least):
        return audio
    return nn.functional.pad(audio, (0, _larger(least - audio.shape[2], 0)))


def pooled(mean: Tensor, variance: Tensor, weights: Tensor, statistics: Sequence[str]) -> Tensor:
    """Statistics over rows [B, T, D] and the variance inside them: the formula of results.py."""
    share = (weights / weights.sum())[:, None]
    average = (share * mean).sum(1)
    values = {"mean": average}
    if "std" in statistics:
        spread = (share * (variance + (mean - average[:, None]).square())).sum(1)
        # The root of nothing has no slope: rows that are all equal get a gradient of 0.
        varies = spread > 0
        root = torch.where(varies, spread, torch.ones_like(spread)).sqrt()
        values["std"] = torch.where(varies, root, torch.zeros_like(root))
    return torch.cat([values[name] for name in statistics], dim=1)
