"""What is known of an extractor and its checkpoints, as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mirfeat.checkpoints import downloads, fourtu
from mirfeat.networks.checkpoint import read_record
from mirfeat.networks.options import defaults
from mirfeat.networks.registry import get_spec
from mirfeat.networks.spec import ExtractorSpec


def describe(spec: ExtractorSpec) -> dict[str, Any]:
    """Everything in a spec, and which checkpoints there are; ready for JSON."""
    rate, record = spec.mel.sample_rate, _open_record(spec)
    blocks = _blocks(spec, record)
    return {
        "name": spec.name,
        "summary": spec.summary,
        "take_if": spec.take_if,
        "version": spec.version,
        "sample_rate": rate,
        "channels": spec.mel.channels,
        "segment_seconds": spec.segment.samples / rate,
        "hop_seconds": spec.segment.hop_samples / rate,
        "min_seconds": spec.segment.min_samples / rate,
        "blocks": blocks,
        "dimension": 2 * sum(blocks.values()),
        "paper_dimension": len(spec.paper_statistics) * sum(spec.blocks.values()),
        "options": defaults(spec.options),
        "option_help": {option.name: option.help for option in spec.options},
        "paper": spec.paper.citation,
        "url": spec.paper.url,
        "checkpoints": list(_checkpoints(spec, record)),
        "bibtex": spec.paper.bibtex,
    }


def info(name: str) -> dict[str, Any]:
    """Everything about one extractor as data: what ``mirfeat info NAME --json`` prints.

    >>> record = mirfeat.info("choi2017")
    >>> record["sample_rate"], record["dimension"], [c["name"] for c in record["checkpoints"]]
    (12000, 320, ['open', 'msd', 'random[:SEED]'])

    Raises:
        UnknownExtractorError: no such name.
    """
    return describe(get_spec(name))


def describe_loaded(extractor: Any) -> dict[str, Any]:
    """What only a loaded extractor knows: its vector, and how that is made."""
    return {
        "dimension": extractor.dimension,
        "feature_names": extractor.feature_names,
        "provenance": extractor.provenance.to_dict(),
    }


def _open_record(spec: ExtractorSpec) -> Mapping[str, Any]:
    """What the open checkpoint says of itself; empty where there is none."""
    path = downloads.packaged(spec.checkpoint_of or spec.name)
    return read_record(path) if path else {}


def _blocks(spec: ExtractorSpec, record: Mapping[str, Any]) -> dict[str, int]:
    """Parts of a row at default options: with the sources of the open checkpoint, if it has any."""
    if len(spec.blocks) > 1 and (sources := record.get("sources")):
        return dict.fromkeys(sources, next(iter(spec.blocks.values())))
    return dict(spec.blocks)


def _checkpoints(spec: ExtractorSpec, record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if record:
        corpus = record.get("training", {}).get("corpus", {})
        yield {
            "name": "open",
            "note": "trained by mirfeat on openly licensed music; installed",
            "licence": record.get("licence", ""),
            "training_data": record.get("training_data", ""),
            "sources": list(record.get("sources", ())),
            "corpus": corpus,
            "metrics": record.get("metrics", {}),
        }
    for item in spec.checkpoints:
        yield {
            "name": item.name,
            "note": item.note,
            "licence": item.licence,
            "training_data": item.training_data,
            "size_bytes": item.size_bytes,
            "sha256": item.sha256,
            "address": item.location,
        }
    if fourtu.takes(spec.name):
        note = "the authors', from the 4TU repository; experimental"
        yield {"name": f"{fourtu.NAME}[:EXPERIMENT]", "note": note}
    if spec.has_weights:
        yield {"name": "random[:SEED]", "note": "untrained"}
