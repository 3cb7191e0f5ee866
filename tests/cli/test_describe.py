"""What a person reads about an extractor."""

import json
from pathlib import Path

import pytest

import mirfeat
from mirfeat.checkpoints import info as describing
from mirfeat.checkpoints.info import describe, describe_loaded
from mirfeat.cli.describe import as_line, as_text
from mirfeat.networks import checkpoint
from mirfeat.networks.checkpoint import Weights
from mirfeat.networks.registry import get_spec


@pytest.mark.parametrize("name", mirfeat.list_extractors())
def test_every_extractor_has_a_record_a_line_and_a_page(name: str) -> None:
    spec = get_spec(name)
    record = json.loads(json.dumps(describe(spec)))
    assert record["name"] == name
    assert mirfeat.info(name) == describe(spec)
    assert record["dimension"] == 2 * sum(record["blocks"].values()) > 0
    line = as_line(record, 12)
    assert line.startswith(f"{name:12}  {spec.mel.sample_rate} Hz")
    assert "\n" not in line
    page = as_text(record)
    assert page.startswith(f"{name}: {spec.summary}\n")
    assert page.endswith(spec.paper.bibtex)
    assert " ".join(spec.paper.citation.split()) in " ".join(page.split())
    for published in spec.checkpoints:
        # Whole, so that they can be copied.
        assert published.location in page
        assert published.sha256 in page
        assert published.licence in " ".join(page.split())
    assert ("random[:SEED]" in page) == spec.has_weights
    lines = page.removesuffix(spec.paper.bibtex).splitlines()
    assert all(len(line) <= 100 or " " not in line.strip() for line in lines)


def test_a_loaded_extractor_adds_its_vector() -> None:
    with mirfeat.load_extractor("mfcc", statistics=("std",)) as extractor:
        record = describe(get_spec("mfcc")) | describe_loaded(extractor)
    assert record["dimension"] == 60
    assert "60 numbers, mfcc.coefficient.00.std … mfcc.delta2.19.std" in as_text(record)
    assert "any length" in as_text(record)


def test_open_weights_are_named_where_there_are_some(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def names() -> list[str]:
        return [item["name"] for item in describe(get_spec("choi2017"))["checkpoints"]]

    monkeypatch.setattr(describing.downloads, "packaged", lambda _: None)
    assert "open" not in names()
    path = tmp_path / "choi2017.safetensors"
    checkpoint.write(path, Weights({}, {"licence": "CC0-1.0", "training_data": "songs"}))
    monkeypatch.setattr(describing.downloads, "packaged", lambda name: path)
    assert names()[0] == "open"
    page = as_text(describe(get_spec("choi2017")))
    assert "licence: CC0-1.0" in page
    assert "training data: songs" in page


def test_the_vector_is_that_of_the_open_weights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "weights.safetensors"
    checkpoint.write(path, Weights({}, {"sources": {"tag": 50, "self": 2}}))
    monkeypatch.setattr(describing.downloads, "packaged", lambda name: path)
    assert describe(get_spec("kim2019-mss-cr"))["blocks"] == {"tag": 256, "self": 256}
    assert describe(get_spec("kim2019-mss-cr"))["dimension"] == 1024
    assert describe(get_spec("kim2019-ms-sr-fc"))["blocks"] == {"shared": 256}
    assert describe(get_spec("kim2019-ss-r"))["dimension"] == 512
