"""What a trained network becomes: a checkpoint with the record of how it was made."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from mirfeat.files import replacing
from mirfeat.networks.checkpoint import Weights, digest
from mirfeat.version import __version__

if TYPE_CHECKING:
    from mirfeat.training.preparation import TrainingRun


def as_checkpoint(weights: Weights, run: TrainingRun, progress: Mapping[str, Any]) -> Weights:
    """The weights in half precision, with everything there is to say of their origin."""
    tensors = halved(weights.tensors)
    config = run.config
    metadata = {
        **weights.metadata,
        "spec_version": run.recipe.spec.version,
        "paper": run.recipe.spec.paper.citation,
        "licence": config.licence,
        "training_data": config.training_data or _summary(run),
        "training": {
            **progress,
            "config": config.to_dict(),
            "corpus": corpus_record(run),
            "factor_words": {s: list(t.names) for s, t in run.targets.items() if t.names},
            "manifest_sha256": run.manifest.sha256,
            "mirfeat_version": __version__,
            "torch_version": torch.__version__,
        },
    }
    return replace(weights, tensors=tensors, metadata=metadata, sha256=digest(tensors))


def halved(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Kernels and matrices as float16, everything else as float32.

    Statistics of batch norm, scalers and references leave the range of half precision.
    """
    return {
        key: value.half() if key.startswith("network.") and value.dim() > 1 else value.float()
        for key, value in tensors.items()
    }


def corpus_record(run: TrainingRun) -> dict[str, Any]:
    """Training tracks and hours, by licence and by corpus; tracks with a label, by source."""
    manifest = run.manifest
    rows = [row for row in manifest.rows("train") if manifest.ids[row] in run.cache]
    seconds = {row: run.cache.seconds(manifest.ids[row]) for row in rows}

    def hours_by(column: str) -> dict[str, float]:
        texts, hours = manifest.texts(column), defaultdict[str, float](float)
        for row in rows:
            hours[texts[row] or "not stated"] += seconds[row] / 3600.0
        return {name: round(hours[name], 2) for name in sorted(hours, key=lambda n: -hours[n])}

    artists = manifest.artists()
    return {
        "tracks": len(rows),
        "hours": round(sum(seconds.values()) / 3600.0, 2),
        "artists": len({artists[row] for row in rows} - {None}),
        "hours_by_licence": hours_by("licence"),
        "hours_by_corpus": hours_by("corpus"),
        "tracks_by_source": {s: int(t.known[rows].sum()) for s, t in run.targets.items()},
    }


def _summary(run: TrainingRun) -> str:
    record = corpus_record(run)
    return f"{record['tracks']} tracks, {record['hours']} hours, {record['artists']} artists."


def write_run(folder: Path, weights: Weights) -> None:
    """Write ``run.json``: the record that is in the checkpoint, for reading."""
    with replacing(folder / "run.json") as temporary:
        text = json.dumps(weights.metadata, indent=1, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8")
