"""Feature vectors from music, with the networks of four transfer-learning papers.

    >>> import mirfeat
    >>> extractor = mirfeat.load_extractor("choi2017")
    >>> vector = extractor.extract_file(mirfeat.example("folk_tavern"))
    >>> vector.shape, vector.dtype
    ((320,), dtype('float32'))

Importing mirfeat reads no data, opens no connection and does not import torch; what is used is
imported at first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mirfeat.version import __version__

if TYPE_CHECKING:
    from mirfeat.adapters.audio_column import AudioColumn
    from mirfeat.adapters.loaded_sets import extract_loaded
    from mirfeat.adapters.onnx import export_onnx
    from mirfeat.adapters.scikit_learn import AudioFeatures
    from mirfeat.audio.clip import Audio
    from mirfeat.audio.piece import load_audio
    from mirfeat.checkpoints.info import info
    from mirfeat.errors import MirfeatError, MirfeatWarning
    from mirfeat.explore.excerpts import example, list_examples
    from mirfeat.extractor import Extractor
    from mirfeat.loading import concatenate, load_extractor
    from mirfeat.networks.registry import list_extractors, register
    from mirfeat.results.embedding import Embedding
    from mirfeat.results.table import FeatureTable
    from mirfeat.store.reading import load_embeddings, load_features

_HOME = {
    "Audio": "audio.clip",
    "AudioColumn": "adapters.audio_column",
    "AudioFeatures": "adapters.scikit_learn",
    "Embedding": "results.embedding",
    "Extractor": "extractor",
    "FeatureTable": "results.table",
    "MirfeatError": "errors",
    "MirfeatWarning": "errors",
    "concatenate": "loading",
    "example": "explore.excerpts",
    "export_onnx": "adapters.onnx",
    "extract_dataset": "distributed.cluster",
    "extract_loaded": "adapters.loaded_sets",
    "extract_on_devices": "distributed.devices",
    "find_audio": "audio.collection",
    "info": "checkpoints.info",
    "list_examples": "explore.excerpts",
    "list_extractors": "networks.registry",
    "load_audio": "audio.piece",
    "load_embeddings": "store.reading",
    "load_extractor": "loading",
    "load_features": "store.reading",
    "register": "networks.registry",
}

__all__ = [
    "Audio",
    "AudioColumn",
    "AudioFeatures",
    "Embedding",
    "Extractor",
    "FeatureTable",
    "MirfeatError",
    "MirfeatWarning",
    "__version__",
    "concatenate",
    "example",
    "export_onnx",
    "extract_dataset",
    "extract_loaded",
    "extract_on_devices",
    "find_audio",
    "info",
    "list_examples",
    "list_extractors",
    "load_audio",
    "load_embeddings",
    "load_extractor",
    "load_features",
    "register",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its module when it is first used (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'mirfeat' has no attribute {name!r}")
    return getattr(import_module(f"mirfeat.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    """Public names, for completion."""
    return list(__all__)
