"""The tables of README and docs that say which extractor to take are those of their script."""

import json

import pytest

import mirfeat
from benchmarks import which_one


def test_the_documents_have_the_tables_as_they_are_made_now() -> None:
    kept = json.loads(which_one.KEPT.read_text(encoding="utf-8"))
    for path, text in which_one.documents(kept).items():
        assert path.read_text(encoding="utf-8") == text, "python -m benchmarks.which_one"


def test_every_extractor_says_who_should_take_it() -> None:
    for name in mirfeat.list_extractors():
        sentence = mirfeat.info(name)["take_if"]
        assert 10 < len(sentence) < 80
        assert not sentence.endswith(".")


def test_scores_of_the_default_weights_alone_are_taken_in() -> None:
    def entry(name: str, checkpoint: str, score: float) -> dict[str, object]:
        scores = {"instruments": score, "musicnn/penultimate": 0.1}
        return {"extractor": name, "checkpoint": checkpoint, "scores": scores}

    measured = {
        "choi2017/random": entry("choi2017", "random", 0.1),
        "choi2017/open": entry("choi2017", "open", 0.2),
        "mfcc/": entry("mfcc", "", 0.3),
    }
    kept: which_one.Kept = {"mfcc": {"seconds": 1.0}}
    which_one.take_in(kept, measured)
    assert kept["choi2017"] == {"scores": {"instruments": 0.2}}
    assert kept["mfcc"] == {"seconds": 1.0, "scores": {"instruments": 0.3}}
    rows = which_one.table(["choi2017", "mfcc"], kept, whole=True).splitlines()
    assert "| 320 | 0.200 | | | | 0.1 | Apache-2.0 |" in rows[2]
    assert rows[3].endswith("| 120 | 0.300 | | | 1000 ms | none | Apache-2.0 |")


def test_a_document_without_marks_is_said() -> None:
    with pytest.raises(SystemExit, match="no <!-- which one"):
        which_one.with_table("# A page", "| a |")
