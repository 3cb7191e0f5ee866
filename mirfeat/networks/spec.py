"""Frozen records that describe extractors, and the provenance of what they compute.

A spec is data: everything that decides the numbers an extractor returns and everything a person
wants to know before using it. It sits beside its network (``mirfeat/networks/<name>.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from mirfeat.networks.checkpoint import Weights
    from mirfeat.networks.model import Model


@dataclass(frozen=True)
class DecibelScale:
    """Level in dB, ``10·log10(max(x, amin)) - reference``, cut at ``floor_db`` below the top.

    ``reference``: ``"checkpoint"`` subtracts a constant stored with the weights and cuts below it;
    ``"maximum"`` subtracts the segment's own maximum; ``"unity"`` subtracts nothing and cuts
    below the segment's maximum (librosa's ``power_to_db`` with ``top_db``). The maximum is taken
    over all channels of a segment together.
    """

    reference: Literal["checkpoint", "maximum", "unity"]
    amin: float = 1e-10
    floor_db: float = 80.0


@dataclass(frozen=True)
class LogScale:
    """Natural logarithm of ``max(x, floor)``."""

    floor: float = 1e-5


@dataclass(frozen=True)
class MelSpec:
    """How a waveform becomes a scaled mel image. Periodic Hann window, Slaney scale and norm."""

    sample_rate: int
    channels: int
    n_fft: int
    hop_samples: int
    n_mels: int
    fmax_hz: float
    scaling: DecibelScale | LogScale
    centred: bool = True
    pad_mode: Literal["constant", "reflect"] = "constant"
    power: Literal[1, 2] = 2
    fmin_hz: float = 0.0
    standardise: bool = False

    def frames(self, samples: int) -> int:
        """Number of frames T of a segment of that many samples."""
        return 1 + (samples if self.centred else samples - self.n_fft) // self.hop_samples


@dataclass(frozen=True)
class SegmentSpec:
    """How a clip is cut: lengths in samples at the extractor's rate, and batch sizes per device.

    ``short`` says what happens to a clip of less than one segment: ``tile`` repeats it to a whole
    segment, ``keep`` takes it as it is (zero-padded to ``pad_samples``).
    """

    samples: int
    hop_samples: int
    min_samples: int
    short: Literal["tile", "keep"]
    batch_cpu: int
    batch_gpu: int
    pad_samples: int = 0


@dataclass(frozen=True)
class Paper:
    """The publication an extractor comes from."""

    citation: str
    url: str
    bibtex: str


@dataclass(frozen=True)
class Checkpoint:
    """Published weights: where they are, what guards them, what may be done with them."""

    name: str
    location: str
    sha256: str
    size_bytes: int
    licence: str
    training_data: str
    note: str = ""

    @property
    def filename(self) -> str:
        """Last part of the address; also the name of the file in the cache folder."""
        return self.location.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class ForeignFormat:
    """A weight file of somebody else's making: the bytes it starts with and who reads it."""

    name: str
    signature: bytes
    read: Callable[[Path], Weights]


@dataclass(frozen=True)
class ExtractorSpec:
    """Everything about one extractor name. ``version`` goes up whenever any number moves.

    ``build(weights, options)`` assembles the model; ``initialise(seed)`` draws the untrained
    weights of ``checkpoint="random"``, and is None for an extractor that has no weights at all.
    ``options`` maps the extractor's own options to their defaults. ``checkpoint_of`` is the name of
    another extractor whose checkpoints this one reads. ``blocks`` are the named parts of a row with
    their sizes, at default options and of a checkpoint that has every source of the paper.
    """

    name: str
    version: int
    summary: str
    paper: Paper
    mel: MelSpec
    segment: SegmentSpec
    paper_statistics: tuple[str, ...]
    build: Callable[[Weights | None, Mapping[str, Any]], Model]
    initialise: Callable[[int], Weights] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    checkpoints: tuple[Checkpoint, ...] = ()
    formats: tuple[ForeignFormat, ...] = ()
    checkpoint_of: str = ""
    blocks: Mapping[str, int] = field(default_factory=dict)

    @property
    def has_weights(self) -> bool:
        """Whether the extractor takes a checkpoint."""
        return self.initialise is not None


@dataclass(frozen=True)
class Provenance:
    """Record of everything that decided the numbers. ``parts`` is filled for ``a+b``."""

    extractor: str
    spec_version: int
    options: Mapping[str, Any]
    checkpoint_name: str | None
    checkpoint_sha256: str | None
    mirfeat_version: str
    library_versions: Mapping[str, str]
    device: str
    parts: tuple[Provenance, ...] = ()

    # Versions of libraries and the device move numbers only within the stated tolerances, and
    # comparing them would make every upgrade refuse to resume a run.
    COMPARED = ("extractor", "spec_version", "options", "checkpoint_sha256")

    def differences(self, other: Provenance) -> list[str]:
        """One line for each field or option in which two ways of making features differ."""
        ours, others = self._compared(), other._compared()
        lines = [
            f"{name}: {ours.get(name)!r} here, {others.get(name)!r} there"
            for name in {**ours, **others}
            if ours.get(name) != others.get(name)
        ]
        for mine_part, their_part in zip(self.parts, other.parts, strict=False):
            lines += [
                f"{mine_part.extractor}: {line}" for line in mine_part.differences(their_part)
            ]
        return lines

    def on(self, device: str) -> Provenance:
        """The same made on another device."""
        return replace(self, device=device, parts=tuple(part.on(device) for part in self.parts))

    def _compared(self) -> dict[str, Any]:
        """What decides the numbers, flat: the options stand beside the other fields."""
        record = {name: _plain(getattr(self, name)) for name in self.COMPARED}
        options = record.pop("options")
        return {**record, **options, "parts": len(self.parts)}

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return dict(_plain(asdict(self)))

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Provenance:
        """Inverse of :meth:`to_dict`."""
        parts = tuple(cls.from_dict(part) for part in record.get("parts", ()))
        return cls(**{**record, "parts": parts})


def _plain(value: Any) -> Any:
    """Mappings, tuples and scalars as JSON would give them back."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in sorted(value.items())}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
