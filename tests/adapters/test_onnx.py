"""ONNX files of extractors, run by onnxruntime."""

import json
import os
import re
import shutil
import subprocess
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
from tests.conftest import REPOSITORY
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


AROUND = """\
#include <array>
#include <cstdio>
#include <vector>
{includes}
int main() {{
    std::vector<float> samples(12000 * 30);
    std::FILE* file = std::fopen("samples.raw", "rb");
    samples.resize(std::fread(samples.data(), sizeof(float), samples.size(), file));
{lines}
    for (int number = 0; number < 320; ++number) std::printf("%.9g\\n", vector[number]);
}}
"""


@pytest.mark.slow
def test_the_lines_for_cpp_compile_and_give_the_vector_of_extract(tmp_path: Path) -> None:
    headers = Path(os.environ.get("ONNXRUNTIME_INCLUDE", "/usr/include/onnxruntime"))
    compiler = shutil.which("g++")
    if compiler is None or not (headers / "onnxruntime_cxx_api.h").exists():
        pytest.skip("g++ and onnxruntime's headers (ONNXRUNTIME_INCLUDE) are not here")
    page = (REPOSITORY / "docs" / "with" / "onnx.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```cpp\n(.*?)```", page, re.S)
    includes = "".join(line for line in block.splitlines(True) if line.startswith("#"))
    lines = block.replace(includes, "")
    source = AROUND.format(includes=includes, lines=lines)
    (tmp_path / "vector.cpp").write_text(source, encoding="utf-8")
    (library,) = (Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.1.*")
    rest = [str(library), f"-Wl,-rpath,{library.parent}", "-o", "vector"]
    shutil.copyfile(library, tmp_path / "libonnxruntime.so.1")
    command = [compiler, "-std=c++17", f"-I{headers}", "vector.cpp", *rest]
    subprocess.run(command, cwd=tmp_path, check=True)
    extractor = load("choi2017")
    audio = sound(4.0, 12_000)
    audio.tofile(tmp_path / "samples.raw")
    mirfeat.export_onnx(extractor, tmp_path / "choi2017.onnx")
    done = subprocess.run(
        ["./vector"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "LD_LIBRARY_PATH": str(tmp_path)},
    )
    given = np.array(done.stdout.split(), np.float32)
    assert_allclose(given, extractor.extract(audio, 12_000), rtol=1e-5, atol=1e-5)


def test_what_cannot_be_exported_is_said(tmp_path: Path, capsys: Any) -> None:
    assert main(["export", "mfcc+choi2017", "--onnx", str(tmp_path / "a.onnx")]) == 2
    assert "extractor.parts" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
