"""Data sets as text and as JSON: what ``mirfeat datasets`` shows."""

from __future__ import annotations

from typing import Any

from mirfeat.evaluation.datasets.catalogue import get_dataset, list_datasets
from mirfeat.evaluation.datasets.record import Dataset


def describe(name: str | None) -> tuple[list[dict[str, Any]], str]:
    """One data set, or all of them: as JSON, and as a page or a list.

    Raises:
        ConfigError: no such data set.
    """
    chosen = [get_dataset(one) for one in ([name] if name else list_datasets())]
    text = "\n".join(map(as_text if name else as_line, chosen))
    return [to_dict(dataset) for dataset in chosen], text


def to_dict(dataset: Dataset) -> dict[str, Any]:
    """Everything in the record, JSON-ready."""
    record = {name: value for name, value in vars(dataset).items() if name != "read"}
    return {**record, "clips": dict(dataset.clips)}


def as_line(dataset: Dataset) -> str:
    """One line of a list."""
    clips = "/".join(str(count) for count in dict.fromkeys(dataset.clips.values()))
    papers = f" ({', '.join(dataset.papers)})" if dataset.papers else ""
    return f"{dataset.name:26} {dataset.kind:14} {clips:>11} clips  {dataset.title}{papers}"


def as_text(dataset: Dataset) -> str:
    """A page about one data set."""
    clips = ", ".join(f"{count} ({who})" for who, count in dataset.clips.items())
    entries = [
        ("kind", f"{dataset.kind}: {', '.join(dataset.targets)}"),
        ("classes", ", ".join(dataset.classes)),
        ("clips", f"{clips}; {dataset.clip_length}"),
        ("papers", ", ".join(dataset.papers)),
        ("terms", dataset.terms),
        *(("get it", place) for place in dataset.where),
        ("layout", dataset.layout),
        ("package", dataset.package or ""),
        *(("note", note) for note in dataset.notes),
        ("cite", dataset.citation),
    ]
    lines = [f"{name:9}{text}" for name, text in entries if text]
    return "\n".join([f"{dataset.name}: {dataset.title}", "", *lines])
