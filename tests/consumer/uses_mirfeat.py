"""What somebody else's typed program does with mirfeat: mypy --strict and pyright check it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from typing_extensions import assert_type

import mirfeat


def vectors(paths: Sequence[Path]) -> np.ndarray:
    """Vectors of files, and what else a user asks of an extractor."""
    with mirfeat.load_extractor("choi2017", layers="135", device="cpu") as extractor:
        assert_type(extractor, mirfeat.Extractor)
        assert_type(extractor.dimension, int)
        assert_type(extractor.feature_names, tuple[str, ...])
        table = extractor.extract_files(paths, on_error="nan", progress=False)
        assert_type(table, mirfeat.FeatureTable)
        embedding = extractor.embed(np.zeros(12_000, np.float32), 12_000, edges="pad")
        assert_type(embedding, mirfeat.Embedding)
        module = extractor.module(output="rows", trainable=True)
        assert_type(module(torch.zeros(1, 1, 12_000)), torch.Tensor)
        for result in extractor.extract_many(paths):
            assert_type(result.vector, np.ndarray | None)
        for tag in extractor.tags(paths[0], top=3):
            assert_type(tag.name, str)
        return table.aligned([str(path) for path in paths])


def loaded(folder: Path) -> list[str]:
    """Ids of a store."""
    table = mirfeat.load_features(folder)
    try:
        return list(table.ids)
    except mirfeat.MirfeatError:
        return []


def written(folder: Path) -> Path:
    """Files and transformers."""
    extractor = mirfeat.load_extractor("mfcc")
    features = mirfeat.AudioFeatures("mfcc", cache=folder)
    assert_type(features.transform([folder]), np.ndarray)
    assert_type(mirfeat.list_extractors(), tuple[str, ...])
    return mirfeat.export_onnx(extractor, folder / "mfcc.onnx")
