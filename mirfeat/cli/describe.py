"""What there is to know about an extractor before using it, as a record and as text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from mirfeat.checkpoints import downloads as hub
from mirfeat.checkpoints import fourtu
from mirfeat.networks.checkpoint import read_record
from mirfeat.networks.registry import get_spec
from mirfeat.networks.spec import ExtractorSpec

_WIDTH, _INDENT = 100, 13
# What a page shows of a checkpoint, in this order.
_SHOWN = (
    *("note", "licence", "training_data", "sources", "corpus", "metrics"),
    *("size", "sha256", "address"),
)


def describe(spec: ExtractorSpec) -> dict[str, Any]:
    """Everything in a spec, and which checkpoints there are; ready for JSON."""
    rate, record = spec.mel.sample_rate, _open_record(spec)
    blocks = _blocks(spec, record)
    return {
        "name": spec.name,
        "summary": spec.summary,
        "version": spec.version,
        "sample_rate": rate,
        "channels": spec.mel.channels,
        "segment_seconds": spec.segment.samples / rate,
        "hop_seconds": spec.segment.hop_samples / rate,
        "min_seconds": spec.segment.min_samples / rate,
        "blocks": blocks,
        "dimension": 2 * sum(blocks.values()),
        "paper_dimension": len(spec.paper_statistics) * sum(spec.blocks.values()),
        "options": dict(spec.options),
        "paper": spec.paper.citation,
        "url": spec.paper.url,
        "checkpoints": list(_checkpoints(spec, record)),
        "bibtex": spec.paper.bibtex,
    }


def info(name: str) -> dict[str, Any]:
    """Everything about one extractor as data: what ``mirfeat info NAME --json`` prints.

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
    path = hub.packaged(spec.checkpoint_of or spec.name)
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


def as_line(record: Mapping[str, Any], width: int) -> str:
    """One line of a list, with the name padded to ``width``."""
    seconds = f"{record['segment_seconds']:.3g} s segments"
    numbers = f"{record['dimension']} numbers"
    return f"{record['name']:{width}}  {_input(record)}, {seconds}, {numbers}  {record['summary']}"


def as_text(record: Mapping[str, Any]) -> str:
    """A page about one extractor."""
    options = ", ".join(f"{name}={value or 'all'}" for name, value in record["options"].items())
    every = f"segments of {record['segment_seconds']:.3g} s every {record['hop_seconds']:.3g} s"
    shortest = (
        f"from {record['min_seconds']:.2g} s" if record["min_seconds"] > 1e-3 else "of any length"
    )
    lines = [
        f"{record['name']}: {record['summary']}",
        "",
        *_entry("audio", f"{_input(record)}, {every}; clips {shortest}"),
    ]
    if names := record.get("feature_names"):
        lines += _entry("vector", f"{len(names)} numbers, {names[0]} … {names[-1]}")
    else:
        paper = record["paper_dimension"] or "none"
        lines += _entry(
            "vector", f"{record['dimension']} numbers (mean, std); of the paper: {paper}"
        )
        row = ", ".join(f"{name} {size}" for name, size in record["blocks"].items())
        lines += _entry("row", f"{sum(record['blocks'].values())} numbers a segment: {row}")
    lines += [
        *_entry("options", options or "none of its own"),
        *_entry("version", f"{record['version']}, which goes up whenever a number changes"),
        *_entry("paper", record["paper"]),
        *_entry("", record["url"]),
    ]
    for checkpoint in record["checkpoints"]:
        lines += ["", *_entry("checkpoint", checkpoint["name"])]
        if "size_bytes" in checkpoint:
            checkpoint = {**checkpoint, "size": f"{checkpoint['size_bytes'] / 1e6:.1f} MB"}
        for key in _SHOWN:
            if value := checkpoint.get(key):
                lines += _entry("", f"{key.replace('_', ' ')}: {_plain(value)}")
    return "\n".join([*lines, "", record["bibtex"]])


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{name} {_plain(item)}" for name, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _input(record: Mapping[str, Any]) -> str:
    return f"{record['sample_rate']} Hz {'mono' if record['channels'] == 1 else 'stereo'}"


def _entry(name: str, text: str) -> list[str]:
    """``name`` in the margin and ``text`` beside it; addresses and hashes are never broken."""
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=f"{name:{_INDENT}}",
        subsequent_indent=" " * (_INDENT + 2),
        break_long_words=False,
        break_on_hyphens=False,
    )
