"""mirfeat reproduce: what is there is run, what is not is said, and nothing is fetched."""

import json
from pathlib import Path
from typing import Any

import pytest

from mirfeat.cli import main
from mirfeat.cli.reproduce import PLANS
from tests.support.sounds import music, write_wav

pytest.importorskip("matplotlib")
RATE = 12_000


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Ten clips in the layout of GTZAN music/speech."""
    for kind, level in (("music", 0.9), ("speech", 0.01)):
        folder = tmp_path / "data" / "gtzan_music_speech" / f"{kind}_wav"
        folder.mkdir(parents=True)
        for number in range(5):
            path = folder / f"{kind}{number}.wav"
            write_wav(path, level * music(1.0, RATE, seed=number), RATE)
    return tmp_path / "data"


@pytest.fixture
def no_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MIRFEAT_CACHE", str(tmp_path / "cache"))


def tables(record: Any) -> dict[str, list[dict[str, Any]]]:
    return {table["title"]: table["rows"] for table in record["tables"]}


@pytest.mark.filterwarnings("ignore:gtzan-music-speech. 10 clips")
@pytest.mark.usefixtures("no_cache")
def test_a_paper_on_one_of_its_data_sets(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["reproduce", "choi2017", "--data", str(data), "-o", str(out), "-q"]
    command += ["--folds", "2", "--strategies", "12345,5"]
    assert main(command) == 0
    assert capsys.readouterr().out.strip() == str(out / "reproduce.html")
    record = json.loads((out / "reproduce.json").read_text(encoding="utf-8"))
    found = tables(record)
    (summary,) = found["Summary of all tasks (Choi et al. 2017, Fig. 2)"]
    assert summary["task"] == "gtzan-music-speech"
    assert summary["state of the art then"] == 1.0
    assert {"12345", "5", "12345+mfcc", "mfcc"} <= {one["features"] for one in record["reports"]}
    classes = found["Accuracy by class (Choi et al. 2017, Fig. 5)"]
    assert {row["class"] for row in classes} == {"music", "speech"}
    # Other weights than the paper's: its scores stand apart, but for MFCC.
    assert "Published by choi2017 for gtzan-music-speech, with its own systems" in found
    beside = {one["features"] for one in record["reports"] if one["published"] is not None}
    assert beside == {"mfcc"}
    absent = [row["what"] for row in found["Not here"]]
    assert any(what.startswith("weights of choi2017?checkpoint=msd") for what in absent)
    assert any("GTZAN" in what for what in absent)
    page = (out / "reproduce.html").read_text(encoding="utf-8")
    assert "1 tasks could be run" in page


@pytest.mark.parametrize("paper", [name for name in PLANS if name != "choi2017"])
def test_without_data_every_data_set_is_named(paper: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["reproduce", paper, "--data", str(tmp_path), "-o", str(out), "-q"]) == 0
    record = json.loads((out / "reproduce.json").read_text(encoding="utf-8"))
    assert record["reports"] == []
    assert len(tables(record)["Not here"]) > len(PLANS[paper].missing)


def test_an_unknown_paper_or_folder_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["-o", str(tmp_path / "out")]
    assert main(["reproduce", "polka", "--data", str(tmp_path), *out]) == 2
    assert "it is one of choi2017, hamel2013" in capsys.readouterr().err
    assert main(["reproduce", "choi2017", "--data", str(tmp_path / "no"), *out]) == 2
    assert "there is no such folder" in capsys.readouterr().err
