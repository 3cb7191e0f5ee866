"""mirfeat report: from music and labels to one page, twice."""

import csv
import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from mirfeat.cli import main
from mirfeat.cli.report import parse_extractor
from mirfeat.errors import OptionError
from mirfeat.store import interrupts
from mirfeat.store.reading import load_features
from tests.support.sounds import music, write_wav

pytest.importorskip("matplotlib")

RATE = 12_000


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """Twelve clips of two classes that differ in level, by six artists; one is broken."""
    folder = tmp_path / "music"
    folder.mkdir()
    lines = []
    for number in range(12):
        loud = number % 2
        name = f"{'loud' if loud else 'quiet'}-{number}.wav"
        write_wav(folder / name, (0.9 if loud else 0.01) * music(1.0, RATE, seed=number), RATE)
        level, artist = "<b>loud</b>" if loud else "quiet", f"artist {number // 2}"
        lines.append([name, level, f"{number / 10 + loud:.2f}", artist])
    (folder / "loud-11.wav").write_bytes(b"not audio at all")
    with (tmp_path / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([["path", "label", "energy", "artist"], *lines])
    return tmp_path


def report(folder: Path, *more: str) -> int:
    arguments = ["report", "--labels", str(folder / "labels.csv"), "-o", str(folder / "out"), "-q"]
    return main([*arguments, "--folds", "2", *more])


def test_a_report_has_every_protocol_figure_and_number(
    collection: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    music_folder = ["--audio", str(collection / "music")]
    extractors = ["-m", "mfcc", "-m", "choi2017?checkpoint=random&layers=12"]
    protocols = "svm-grid,layer-sweep,similarity,few-shot,map"
    code = report(collection, *music_folder, *extractors, "--protocols", protocols)
    assert code == 2  # similarity at 10 has too few clips: said, not skipped
    assert "precision at 10 needs 10 other clips" in capsys.readouterr().err
    protocols = "svm-grid,layer-sweep,few-shot,map"
    more = [*extractors, "--protocols", protocols, "--no-nested"]
    assert report(collection, *music_folder, *more) == 0
    out = collection / "out"
    assert capsys.readouterr().out.strip() == str(out / "report.html")
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;loud&lt;/b&gt;" in page
    assert "<b>loud</b>" not in page
    assert "Folds share no artist" in page
    assert "11 clips" in page
    record = json.loads((out / "report.json").read_text(encoding="utf-8"))
    found = {(one["protocol"], one["features"]) for one in record["reports"]}
    assert {("svm-grid", "mfcc"), ("svm-grid", "choi2017 (random)")} <= found
    assert ("layer-sweep", "12") in found
    for one in record["reports"]:
        assert one["scores"][0]["values"]
    names = {path.stem for path in (out / "figures").glob("*.png")}
    assert {"svm-grid", "svm-grid-confusion", "layer-sweep", "few-shot", "map-1", "map-2"} <= names
    assert names == {path.stem for path in (out / "figures").glob("*.csv")}
    compared = record["tables"][-1]["rows"]
    assert [row["clips"] for row in compared] == [11, 11]
    assert [row["failed"] for row in compared] == [1, 1]


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
@pytest.mark.parametrize("number", interrupts.SIGNALS)
def test_a_report_that_is_told_to_end_keeps_its_features_and_says_so(
    number: int, collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(*arguments: Any) -> Any:
        signal.raise_signal(number)
        raise AssertionError

    arguments = ["--audio", str(collection / "music"), "-m", "mfcc", "--protocols", "few-shot"]
    with monkeypatch.context() as patch:
        patch.setattr("mirfeat.cli.report.run", ended)
        assert report(collection, *arguments) == 128 + number
    assert len(load_features(collection / "out" / "features" / "mfcc").ids) == 11
    assert not (collection / "out" / "report.html").exists()
    assert not list((collection / "out").rglob(".writing-*"))


def test_a_second_run_takes_features_up_again(collection: Path) -> None:
    arguments = ["--audio", str(collection / "music"), "-m", "mfcc", "--protocols", "few-shot"]
    assert report(collection, *arguments) == 0
    features = collection / "out" / "features" / "mfcc" / "features.csv"
    page = collection / "out" / "report.html"
    before, stamp = page.read_bytes(), features.stat().st_mtime_ns
    assert report(collection, *arguments) == 0
    assert features.stat().st_mtime_ns == stamp
    assert page.read_bytes() == before


def test_the_first_screen_says_what_is_best_and_what_to_do(collection: Path) -> None:
    extractors = ["-m", "mfcc", "-m", "choi2017?checkpoint=random&layers=12"]
    more = ["--audio", str(collection / "music"), *extractors, "--sections", "svm-grid,map"]
    assert report(collection, *more, "--quick") == 0
    out = collection / "out"
    page = (out / "report.html").read_text(encoding="utf-8")
    short = page[page.index("<h2>In short") : page.index("<h2>Support vector machines")]
    assert re.search(r"<p>Best: (mfcc|choi2017 \(random\)): accuracy \d\.\d{3}", short)
    assert "Does the difference matter?" in short
    assert "Next: " in short
    assert "label more: 11 clips" in short
    rows = re.findall(r'<th scope="row">(.*?)</th>', short)
    assert {row.replace("<wbr>", "") for row in rows} == {"mfcc", "choi2017 (random)"}
    # Two maps with players, whose script alone may run.
    assert page.count("<iframe ") == 2
    assert "../music/quiet-0.wav" in page
    assert "script-src &#x27;sha256-" in page
    record = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert {one["protocol"] for one in record["reports"]} == {"svm-grid"}
    assert not any("nested" in s["metric"] for r in record["reports"] for s in r["scores"])


def test_a_regression_leaves_out_what_needs_classes(collection: Path) -> None:
    arguments = ["--audio", str(collection / "music"), "-m", "mfcc", "--target", "energy"]
    protocols = "svm-grid,few-shot,similarity,map"
    assert report(collection, *arguments, "--protocols", protocols, "--no-nested") == 0
    record = json.loads((collection / "out" / "report.json").read_text(encoding="utf-8"))
    assert {one["protocol"] for one in record["reports"]} == {"svm-grid"}
    assert record["reports"][0]["scores"][0]["metric"] == "r2"
    page = (collection / "out" / "report.html").read_text(encoding="utf-8")
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert headings == ["In short", "Support vector machines", "Maps", "Features"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "name extractors"),
        (["-m", "mfcc"], "--audio DIR"),
        (["--features", "nowhere"], "nowhere: no features"),
        (["--protocols", "svm-gird", "--features", "x"], "no protocols ['svm-gird']"),
        (["-m", "mfcc?layers", "--audio", "."], "OPTION=VALUE"),
    ],
)
def test_what_is_missing_is_said(
    collection: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    assert report(collection, *more) == 2
    assert message in capsys.readouterr().err


def test_extractors_take_options() -> None:
    assert parse_extractor("mfcc") == ("mfcc", {})
    text = "choi2017?checkpoint=random:7&layers=13&max_seconds=29&batch_size=2&statistics=mean"
    name, options = parse_extractor(text)
    assert name == "choi2017"
    assert options == {
        "checkpoint": "random:7",
        "layers": "13",
        "max_seconds": 29.0,
        "batch_size": 2,
        "statistics": ["mean"],
    }
    assert parse_extractor("a?statistics=paper")[1] == {"statistics": "paper"}
    with pytest.raises(OptionError, match="max_seconds=long"):
        parse_extractor("mfcc?max_seconds=long")


@pytest.mark.parametrize("command", ["report", "evaluate"])
def test_without_matplotlib_nothing_long_is_begun(
    collection: Path,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    labels = ["--labels", str(collection / "nowhere.csv")]
    figures = ["svm-grid", "--figures", str(collection)] if command == "evaluate" else []
    output = ["-o", str(collection / "out")] if command == "report" else []
    assert main([command, *figures, *labels, *output]) == 2
    assert "pip install 'mirfeat[evaluation]'" in capsys.readouterr().err
    assert not (collection / "out").exists()
