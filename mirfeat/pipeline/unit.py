"""One network on its device with everything that decides its vector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from mirfeat.audio.segments import SegmentSpec
from mirfeat.errors import OptionError
from mirfeat.networks.model import Model, Rows
from mirfeat.networks.options import COMMON, defaults
from mirfeat.networks.spec import ExtractorSpec
from mirfeat.provenance import Provenance


@dataclass(frozen=True, eq=False)
class Unit:
    """A network on its device, ready to run, with everything that decides its vector.

    ``run`` maps float32 segments [B, C, N] on ``device`` to rows of ``row_size`` numbers: the
    model, in whatever precision. ``refuse_short`` makes a clip below one segment an error.
    """

    spec: ExtractorSpec
    segment: SegmentSpec
    model: Model
    run: Callable[[torch.Tensor], Rows]
    row_size: int
    device: torch.device
    batch_size: int
    refuse_short: bool
    statistics: tuple[str, ...]
    provenance: Provenance
    number: int = 1
    """Which of the units of this name it is, where one vector has several."""

    @property
    def label(self) -> str:
        """What the names of its numbers begin with: ``choi2017``; a second one's ``choi2017#2``."""
        return self.spec.name if self.number == 1 else f"{self.spec.name}#{self.number}"

    @property
    def segment_seconds(self) -> float:
        """Length of a segment."""
        return self.segment.samples / self.spec.mel.sample_rate

    @property
    def hop_seconds(self) -> float:
        """Distance between the starts of segments."""
        return self.segment.hop_samples / self.spec.mel.sample_rate

    @property
    def min_seconds(self) -> float:
        """Shortest clip that is taken."""
        segment = self.segment
        samples = segment.whole_samples if self.refuse_short else segment.min_samples
        return samples / self.spec.mel.sample_rate

    @property
    def row_names(self) -> tuple[str, ...]:
        """Names of the numbers of a row: ``choi2017.layer3.07``."""
        return tuple(
            f"{self.label}.{block}.{index:0{max(2, len(str(size - 1)))}d}"
            for block, size in self.model.block_sizes.items()
            for index in range(size)
        )

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the vector's numbers, all means, then all stds: ``choi2017.layer3.07.std``."""
        return tuple(f"{name}.{kind}" for kind in self.statistics for name in self.row_names)

    @property
    def changed_options(self) -> dict[str, Any]:
        """What decides the vector and is not at its default, as ``load_extractor`` takes it."""
        usual = defaults((*self.spec.options, *COMMON))
        usual["hop_seconds"] = self.spec.segment.hop_samples / self.spec.mel.sample_rate
        return {k: v for k, v in self.provenance.options.items() if v != usual.get(k)}

    def __repr__(self) -> str:
        """Name with checkpoint and the options that are not at their defaults."""
        shown = self.changed_options
        if self.provenance.checkpoint_name is not None:
            shown["checkpoint"] = self.provenance.checkpoint_name
        return f"{self.spec.name}({', '.join(f'{key}={value!r}' for key, value in shown.items())})"


def beside_one_another(units: Sequence[Unit]) -> tuple[Unit, ...]:
    """Units of one vector, those of the same name numbered.

    Raises:
        OptionError: two of them give the same numbers.
    """
    placed: list[Unit] = []
    for unit in units:
        twins = [other for other in placed if other.spec.name == unit.spec.name]
        for twin in twins:
            if not unit.provenance.differences(twin.provenance):
                name = unit.spec.name
                raise OptionError(
                    f"{name} twice, in the same way, gives the same numbers twice. Give each its "
                    f"own options or checkpoint, as in '{name}(checkpoint=random:1)+{name}'."
                )
        placed.append(replace(unit, number=1 + len(twins)))
    return tuple(placed)


def provenance_of(units: Sequence[Unit]) -> Provenance:
    """Record of one unit, or of several whose vectors are concatenated."""
    records = tuple(unit.provenance for unit in units)
    if len(records) == 1:
        return records[0]
    return replace(
        records[0],
        extractor="+".join(record.extractor for record in records),
        spec_version=0,
        options={},
        checkpoint_name=None,
        checkpoint_sha256=None,
        parts=records,
    )
