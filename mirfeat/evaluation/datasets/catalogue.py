"""Every data set by name."""

from __future__ import annotations

from mirfeat.errors import ConfigError, did_you_mean
from mirfeat.evaluation.datasets.genre_sets import GENRE_SETS
from mirfeat.evaluation.datasets.other_sets import OTHER_SETS
from mirfeat.evaluation.datasets.record import Dataset

_DATASETS = {dataset.name: dataset for dataset in (*GENRE_SETS, *OTHER_SETS)}


def list_datasets(paper: str | None = None) -> tuple[str, ...]:
    """Names of all data sets, or of those that a paper used ("choi2017", "hamel2013", …)."""
    return tuple(
        name for name, dataset in _DATASETS.items() if paper is None or paper in dataset.papers
    )


def get_dataset(name: str) -> Dataset:
    """The record of one data set.

    Raises:
        ConfigError: with the nearest names.
    """
    if name in _DATASETS:
        return _DATASETS[name]
    guess = did_you_mean(name, _DATASETS)
    raise ConfigError(f"unknown data set {name!r}.{guess} All names: {', '.join(_DATASETS)}.")
