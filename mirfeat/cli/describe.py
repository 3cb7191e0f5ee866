"""What there is to know about an extractor before using it, as a record and as text."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

_WIDTH, _INDENT = 100, 13
# What a page shows of a checkpoint, in this order.
_SHOWN = (
    *("note", "licence", "training_data", "sources", "corpus", "metrics"),
    *("size", "sha256", "address"),
)


def as_line(record: Mapping[str, Any], width: int) -> str:
    """One line of a list, with the name padded to ``width``: what it is, and who should take it."""
    what = f"{_input(record)}, {record['segment_seconds']:.3g} s, {record['dimension']} numbers"
    why = f"take it if {record['take_if']}" if record["take_if"] else record["summary"]
    return f"{record['name']:{width}}  {what:36}  {why}"


def as_text(record: Mapping[str, Any]) -> str:
    """A page about one extractor."""
    options = ", ".join(f"{name}={value or 'all'}" for name, value in record["options"].items())
    every = f"segments of {record['segment_seconds']:.3g} s every {record['hop_seconds']:.3g} s"
    shortest = (
        f"from {record['min_seconds']:.2g} s" if record["min_seconds"] > 1e-3 else "of any length"
    )
    lines = [
        f"{record['name']}: {record['summary']}",
        *([f"Take it if {record['take_if']}."] if record["take_if"] else []),
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
        *(
            line
            for name, text in record["option_help"].items()
            for line in _entry("", f"{name}: {text}")
        ),
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
