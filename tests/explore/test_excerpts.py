"""The excerpts that come with the package."""

from pathlib import Path

import pytest
import soundfile

import mirfeat
from mirfeat.errors import OptionError
from mirfeat.explore.excerpts import FOLDER


def test_an_example_is_a_file_of_music() -> None:
    path = mirfeat.example("folk_tavern")
    assert isinstance(path, Path)
    assert 9 < soundfile.info(path).duration < 11


def test_all_examples_are_there_with_what_is_known_of_them() -> None:
    examples = mirfeat.list_examples()
    assert len(examples) == 32
    attribution = (FOLDER / "ATTRIBUTION.md").read_text(encoding="utf-8")
    for name, record in examples.items():
        assert mirfeat.example(name) == Path(record["path"])
        assert Path(record["path"]).name in attribution
        assert {"style", "title", "artist", "group"} <= set(record)


def test_a_name_that_is_none_of_them_is_told_the_nearest() -> None:
    with pytest.raises(OptionError, match=r"no example 'folk_tavren'. Did you mean 'folk_tavern'"):
        mirfeat.example("folk_tavren")
