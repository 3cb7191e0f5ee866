"""Feature vectors from music, with the networks of four transfer-learning papers.

    >>> import mirfeat
    >>> extractor = mirfeat.load_extractor("choi2017", layers="12345", checkpoint="msd")
    >>> vector = extractor.extract_file("song.mp3")

Importing mirfeat reads no data, opens no connection and does not import torch; what is used is
imported at first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mirfeat.audio.clip import Audio
    from mirfeat.cli.describe import info
    from mirfeat.errors import MirfeatError, MirfeatWarning
    from mirfeat.extractor import Extractor
    from mirfeat.loading import concatenate, load_extractor
    from mirfeat.networks.registry import list_extractors
    from mirfeat.results import Embedding, FeatureTable
    from mirfeat.store.reading import load_embeddings, load_features

_HOME = {
    "Audio": "audio.clip",
    "Embedding": "results",
    "Extractor": "extractor",
    "FeatureTable": "results",
    "MirfeatError": "errors",
    "MirfeatWarning": "errors",
    "concatenate": "loading",
    "info": "cli.describe",
    "list_extractors": "networks.registry",
    "load_embeddings": "store.reading",
    "load_extractor": "loading",
    "load_features": "store.reading",
}

__all__ = [
    "Audio",
    "Embedding",
    "Extractor",
    "FeatureTable",
    "MirfeatError",
    "MirfeatWarning",
    "__version__",
    "concatenate",
    "info",
    "list_extractors",
    "load_embeddings",
    "load_extractor",
    "load_features",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its module when it is first used (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'mirfeat' has no attribute {name!r}")
    return getattr(import_module(f"mirfeat.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    """Public names, for completion."""
    return list(__all__)
