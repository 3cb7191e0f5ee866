"""An extractor that makes vectors in the same way as those of a table."""

from __future__ import annotations

from mirfeat.errors import ProvenanceError
from mirfeat.extractor import Extractor
from mirfeat.loading import CheckpointLike, concatenate, load_extractor
from mirfeat.provenance import Provenance


def load_same(
    provenance: Provenance, checkpoint: CheckpointLike | None = None, *, device: str = "auto"
) -> Extractor:
    """Load the extractor that a table or store was made with, with its options and weights.

    >>> from mirfeat.explore.same_way import load_same
    >>> table = mirfeat.load_extractor("choi2017", layers="15").extract_files(songs[:1])
    >>> load_same(table.provenance).dimension
    128

    Args:
        provenance: of the table.
        checkpoint: where the weights are now, if they are not where they were. Not for ``a+b``.
        device: where to compute.

    Raises:
        ProvenanceError: these are other weights, or this version computes other numbers.
        CheckpointError: the weights are not there any more.
    """
    parts = provenance.parts or (provenance,)
    extractor = concatenate(*(_load(part, checkpoint, device) for part in parts))
    if differences := provenance.differences(extractor.provenance):
        raise ProvenanceError(
            "these features cannot be made again here:\n  "
            + "\n  ".join(differences)
            + "\nExtract them again, or name the same weights as the checkpoint."
        )
    return extractor


def _load(part: Provenance, checkpoint: CheckpointLike | None, device: str) -> Extractor:
    weights = part.checkpoint_name if checkpoint is None else checkpoint
    return load_extractor(
        part.extractor,
        checkpoint=weights if part.checkpoint_sha256 else None,
        device=device,
        **part.options,
    )
