"""ONNX files of extractors, run by onnxruntime."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

import mirfeat
from mirfeat.adapters.onnx import exported_module
from mirfeat.cli import main
from mirfeat.extractor import Extractor
from tests.pipeline.test_module import FAMILIES
from tests.test_contract import sound

onnxruntime = pytest.importorskip("onnxruntime")


def opened(extractor: Extractor, path: Path, output: Any = "vector") -> Any:
    mirfeat.export_onnx(extractor, path, output=output)
    return onnxruntime.InferenceSession(path)


def load(name: str) -> Extractor:
    untrained = name in ("musicnn", "kim2019-ss-r")
    return mirfeat.load_extractor(name, checkpoint="random" if untrained else None)


def check(extractor: Extractor, session: Any) -> None:
    """Any number of clips of any length: as the module in double precision, and as extract."""
    module, rate = exported_module(extractor), extractor.sample_rate
    for count, segments in ((1, 0.4), (3, 1.0), (2, 1.3), (1, 2.7)):
        seconds = segments * extractor.segment_seconds
        clips = [sound(seconds, rate, extractor.channels, seed) for seed in range(count)]
        (vectors,) = session.run(None, {"samples": np.stack(clips)})
        assert vectors.dtype == np.float32
        exact = module(torch.from_numpy(np.stack(clips))).numpy()
        assert_allclose(vectors, exact, rtol=1e-5, atol=1e-5)
        expected = extractor.extract_batch(np.stack(clips), rate)
        assert_allclose(vectors, expected, rtol=1e-5, atol=1e-5)


def test_what_is_exported_gives_the_vectors_of_extract() -> None:
    for name in ("mfcc", "hamel2013-tag", "musicnn"):
        extractor = load(name)
        audio = sound(1.3 * extractor.segment_seconds, extractor.sample_rate)
        vectors = exported_module(extractor)(torch.from_numpy(audio)[None]).numpy()
        expected = extractor.extract(audio, extractor.sample_rate)
        assert_allclose(vectors[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_an_exported_extractor_gives_the_vectors_of_extract(tmp_path: Path) -> None:
    extractor = load("kim2018-stn")
    session = opened(extractor, tmp_path / "a.onnx")
    check(extractor, session)
    properties = session.get_modelmeta().custom_metadata_map
    assert json.loads(properties["names"]) == list(extractor.feature_names)
    assert properties["sample_rate"] == "44100"
    assert json.loads(properties["provenance"])["extractor"] == "kim2018-stn"


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_exported(name: str, tmp_path: Path) -> None:
    extractor = load(name)
    check(extractor, opened(extractor, tmp_path / "a.onnx"))


@pytest.mark.slow
def test_rows_are_exported_by_the_command(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "rows.onnx"
    assert main(["export", "hamel2013-tag", "--onnx", str(path), "--rows", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sample_rate"] == 22_050
    audio = sound(4.0, 22_050)
    (rows,) = onnxruntime.InferenceSession(path).run(None, {"samples": audio[None]})
    expected = load("hamel2013-tag").embed(audio, 22_050).values
    assert rows[0].shape == expected.shape
    assert_allclose(rows[0], expected, rtol=1e-5, atol=1e-5)


def test_what_cannot_be_exported_is_said(tmp_path: Path, capsys: Any) -> None:
    assert main(["export", "mfcc+choi2017", "--onnx", str(tmp_path / "a.onnx")]) == 2
    assert "extractor.parts" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
