"""A loaded extractor as a folder that the Hub understands: weights, config.json, model card.

The layout is that of the Hub's own mixin (``huggingface_hub.ModelHubMixin``). Weights whose licence
is not known to allow it are saved with a note, for the user alone, and never pushed.
"""

from __future__ import annotations

import json
import logging
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mirfeat.checkpoints import huggingface
from mirfeat.checkpoints.huggingface import HubRepository
from mirfeat.checkpoints.sources import load_weights
from mirfeat.errors import CheckpointError, CheckpointMismatchError, OptionError
from mirfeat.files import replacing
from mirfeat.networks import checkpoint
from mirfeat.networks.checkpoint import Weights
from mirfeat.pipeline.unit import Unit
from mirfeat.version import __version__

__all__ = ["HubRepository", "Metrics", "push", "save"]

logger = logging.getLogger("mirfeat")

Metrics = Mapping[str, float | str]

# Names that huggingface.co knows, of licences that allow passing on.
_HUB_LICENCE = re.compile(
    r"apache-2\.0|mit|isc|unlicense|bsd-[23]-clause|mpl-2\.0|l?gpl-3\.0|gpl-2\.0|agpl-3\.0|"
    r"cc0-1\.0|cc-by-[234]\.0|cc-by-sa-[34]\.0|cc-by-nc(-sa)?-[234]\.0"
)


@dataclass(frozen=True)
class _Origin:
    """What is known of the weights' origin; ``licence`` is "" where nobody stated one."""

    licence: str
    training_data: str
    datasets: tuple[str, ...] = ()

    @property
    def hub_licence(self) -> str | None:
        """The Hub's name for the licence, if it has one."""
        name = re.split(r"[(:;,]|\s+https?:", self.licence)[0].strip().lower().replace(" ", "-")
        name = {"cc0": "cc0-1.0"}.get(name, name)
        return name if _HUB_LICENCE.fullmatch(name) else None

    @property
    def may_be_shared(self) -> bool:
        """Whether nothing speaks against it: weights without a record are the user's own."""
        return not self.licence or self.hub_licence is not None


def save(unit: Unit, folder: Path, metrics: Metrics | None = None) -> Path:
    """Write ``model.safetensors``, ``config.json`` and ``README.md``; an existing card is kept.

    Raises:
        OptionError: the extractor has no weights, or the folder is a file.
        CheckpointError: the weights are not to be had any more.
    """
    weights = _weights(unit)
    if folder.exists() and not folder.is_dir():
        raise OptionError(f"{folder} is a file; give a folder.")
    if not (origin := _origin(unit, weights)).may_be_shared:
        logger.warning("%s: for your own use only (%s)", folder, origin.licence)
    return _save(unit, weights, folder, metrics)


def push(unit: Unit, to: HubRepository, metrics: Metrics | None = None) -> str:
    """Save into a repository on the Hub, made if need be, in one commit; the commit's address.

    Raises:
        OptionError: the extractor has no weights.
        CheckpointError: the licence does not allow it, or the Hub refuses.
    """
    weights = _weights(unit)
    if not (origin := _origin(unit, weights)).may_be_shared:
        raise CheckpointError(
            f"{unit.spec.name} {unit.provenance.checkpoint_name!r} is not pushed: its licence, "
            f"{origin.licence!r}, is not known to allow that. save_pretrained(folder) keeps "
            "a copy for yourself."
        )
    to = huggingface.create(to)
    with tempfile.TemporaryDirectory() as temporary:
        folder = _save(unit, weights, Path(temporary), metrics, to.repo)
        return huggingface.upload(folder, to, f"{unit.spec.name} by mirfeat {__version__}")


def _save(
    unit: Unit, weights: Weights, folder: Path, metrics: Metrics | None, repo: str | None = None
) -> Path:
    origin = _origin(unit, weights)
    known = {
        "licence": origin.licence,
        "training_data": origin.training_data,
        "spec_version": unit.spec.version,
        "mirfeat_version": __version__,
    }
    # Its sha256 stays: the copy is the same weights, and a run can be resumed with it.
    weights = replace(weights, metadata={**known, **weights.metadata})
    checkpoint.write(folder / huggingface.WEIGHTS_FILE, weights)
    config = json.dumps(_config(unit), indent=2, ensure_ascii=False)
    _write(folder / huggingface.CONFIG_FILE, config + "\n")
    if text := weights.metadata.get("licence_text"):
        _write(folder / "LICENCE.txt", text)
    # As the Hub's mixin does: somebody may have written into it.
    if not (readme := folder / huggingface.CARD_FILE).exists():
        _write(readme, _card(unit, origin, metrics or {}, repo))
    return folder


def _weights(unit: Unit) -> Weights:
    """The weights that the unit was loaded with, read again: a unit keeps its network only."""
    weights = load_weights(unit.spec, unit.provenance.checkpoint_name)
    if weights is None:
        raise OptionError(f"{unit.spec.name} has no weights: there is nothing to save.")
    if weights.sha256 != unit.provenance.checkpoint_sha256:
        raise CheckpointMismatchError(
            f"checkpoint {weights.name!r} has changed since the extractor was loaded. Reload it."
        )
    return weights


def _origin(unit: Unit, weights: Weights) -> _Origin:
    # By hash: copies, and calibrations of published weights, have their licence too.
    identities = {weights.sha256, weights.metadata.get("parent_sha256")}
    for published in unit.spec.checkpoints:
        if published.identity in identities:
            return _Origin(published.licence, published.training_data)
    metadata = weights.metadata
    if weights.name.partition(":")[0] == "random":
        return _Origin("Apache-2.0", "None: the weights are random numbers.")
    return _Origin(
        metadata.get("licence", ""),
        metadata.get("training_data", ""),
        # Ids on the Hub; a training script puts them into its checkpoint.
        tuple(metadata.get("datasets", ())),
    )


def _config(unit: Unit) -> dict[str, Any]:
    """What config.json holds. No name of the checkpoint: it can be a path on this machine."""
    provenance = unit.provenance
    return {
        "library_name": "mirfeat",
        "mirfeat_version": __version__,
        "extractor": unit.spec.name,
        "spec_version": unit.spec.version,
        "options": provenance.to_dict()["options"],
        "sample_rate": unit.spec.mel.sample_rate,
        "channels": unit.spec.mel.channels,
        "segment_seconds": unit.segment_seconds,
        "hop_seconds": unit.hop_seconds,
        "blocks": dict(unit.model.block_sizes),
        "dimension": len(unit.feature_names),
        "checkpoint_sha256": provenance.checkpoint_sha256,
    }


def _card(unit: Unit, origin: _Origin, metrics: Metrics, repo: str | None) -> str:
    data: dict[str, Any] = {
        "library_name": "mirfeat",
        "pipeline_tag": "feature-extraction",
        "tags": ["mirfeat", "music", "audio", "music-information-retrieval", unit.spec.name],
        "license": origin.hub_licence or "other",
    }
    if origin.hub_licence is None:
        data["license_name"] = "not-stated" if origin.may_be_shared else "no-redistribution"
    if origin.datasets:
        data["datasets"] = list(origin.datasets)
    return huggingface.card(data, _body(unit, origin, metrics, repo))


def _body(unit: Unit, origin: _Origin, metrics: Metrics, repo: str | None) -> str:
    spec = unit.spec
    channels = "mono" if spec.mel.channels == 1 else "stereo"
    licence = origin.licence or "Not stated."
    if not origin.may_be_shared:
        licence = f"**Not to be redistributed.** {licence}"
    return f"""\
# {spec.name}

Weights for mirfeat, which turns music into feature vectors. `{spec.name}`: {spec.summary}.

- **Paper:** [{spec.paper.citation}]({spec.paper.url})
- **Audio:** {spec.mel.sample_rate} Hz {channels}, resampled as needed; segments of \
{unit.segment_seconds:.3g} s
- **Vector:** {len(unit.feature_names)} numbers a clip, {" and ".join(unit.statistics)} of \
{", ".join(unit.model.block_sizes)}

## Usage

`pip install mirfeat`, then

```python
{_usage(unit, repo)}
```

## Training data

{origin.training_data or "Not stated."}

## Licence

{licence}

## Metrics

{_table(metrics)}

## Citation

```bibtex
{spec.paper.bibtex.strip()}
```
"""


def _usage(unit: Unit, repo: str | None) -> str:
    given = "".join(f", {key}={value!r}" for key, value in unit.changed_options.items())
    address = f"hf://{repo}" if repo else "."
    comment = (
        "" if repo else '# "." is the folder of this file; on the Hub it is "hf://org/repo".\n'
    )
    return f"""\
import mirfeat

{comment}extractor = mirfeat.load_extractor({unit.spec.name!r}, checkpoint={address!r}{given})
vector = extractor.extract("song.wav")
print(vector.shape, extractor.feature_names[:3])"""


def _table(metrics: Metrics) -> str:
    if not metrics:
        return "Not measured."
    rows = [f"| {name} | {value} |" for name, value in metrics.items()]
    return "\n".join(["| metric | value |", "|---|---|", *rows])


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
