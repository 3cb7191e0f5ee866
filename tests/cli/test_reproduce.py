"""mirfeat reproduce: what is there is run, what is not is said, and nothing is fetched."""

import json
from pathlib import Path
from typing import Any

import pytest
import soundfile

from mirfeat.cli import main
from mirfeat.cli.reproduce import PLANS, PaperPlan, find_folder
from mirfeat.errors import LabelsError
from mirfeat.evaluation.datasets import get_dataset, gtzan
from mirfeat.evaluation.datasets.folders import IRMAS_INSTRUMENTS
from mirfeat.training.study.fma import prepare_fma
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


def fma(root: Path) -> None:
    """Ten tracks of two genres as FMA's archives unpack, with mp3 and a table of genres."""
    rows, genres = [], {"rock": (12, 45), "folk": (17, 17)}
    for number in range(10):
        genre = "rock" if number % 2 else "folk"
        top, sub = genres[genre]
        folder = root / "fma_medium" / "000"
        folder.mkdir(parents=True, exist_ok=True)
        sound = (0.8 if number % 2 else 0.05) * music(1.3, 44_100, seed=number)
        soundfile.write(folder / f"{number:06d}.mp3", sound.T, 44_100, format="MP3")
        artist, every = str(number // 2), f'"[{top}, {sub}]"' if number % 4 else f"[{top}]"
        rows.append(f"{number},{artist},training,medium,{genre},{every}")
    metadata = root / "fma_metadata"
    metadata.mkdir()
    head = ",artist,set,set,track,track\n,id,split,subset,genre_top,genres_all\ntrack_id,,,,,\n"
    (metadata / "tracks.csv").write_text(head + "\n".join(rows) + "\n")
    (metadata / "genres.csv").write_text("genre_id,title\n12,Rock\n45,Loud Rock\n17,Folk\n")


@pytest.mark.filterwarnings("ignore:.*values of 'artist' are in more than one split")
@pytest.mark.filterwarnings("ignore:fma-medium. 10 clips")
@pytest.mark.usefixtures("no_cache", "small_runs")
def test_kim2018_from_the_layout_of_fma_to_its_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    fma(data)
    design = prepare_fma(data, out / "study")
    text = design.read_text(encoding="utf-8")
    assert '"subgenre", "dmfcc", "mfcc"]' in text
    splits = [line.split(",")[-1] for line in (out / "study" / "labels.csv").read_text().split()]
    assert splits.count("test") == 2  # of five of each genre 15 %, rounded
    # Smaller, as a user may make it; what is there is not written again.
    small = text.replace('"dmfcc", "mfcc"]', "]").replace(", ]", "]")
    small = small.replace("[training]", "[training]\noptimiser.batch = 4\noptimiser.steps = 1")
    design.write_text(small.replace('groups = "none"', 'groups = "none"\nepochs = 1'))
    plan = PaperPlan("Kim 2018", (), ())
    monkeypatch.setitem(PLANS, "kim2018", plan)  # the open weights are another test's
    command = ["reproduce", "kim2018", "--data", str(data), "-o", str(out), "-q"]
    assert main(command) == 0
    found = tables(json.loads((out / "reproduce.json").read_text(encoding="utf-8")))
    assert any("3 of 3 trainings" in row["what"] for row in found["Not here"])
    assert main([*command, "--train"]) == 0
    found = tables(json.loads((out / "reproduce.json").read_text(encoding="utf-8")))
    rows = found["Combinations of learning sources (Kim et al. 2018, Table 4)"]
    assert [row["sources"] for row in rows] == ["genre", "subgenre", "genre+subgenre"]
    assert rows[2]["published MTN log-loss"] == 0.8578
    assert any("Table 5" in title for title in found)
    page = (out / "reproduce.html").read_text(encoding="utf-8")
    assert "3 of 3 trainings on genre, subgenre" in page
    assert not any("trainings" in row["what"] for row in found["Not here"])


MIRDATA = {
    "gtzan-genre": [
        f"gtzan_genre/gtzan_genre/genres/{genre}/{genre}.{number:05d}.wav"
        for genre in gtzan.GENRES
        for number in range(100)
    ],
    "irmas": [f"irmas/IRMAS-TrainingData/{c}/[{c}][cla]0001__1.wav" for c in IRMAS_INSTRUMENTS],
}


@pytest.mark.filterwarnings("ignore:irmas. 11 clips")
@pytest.mark.parametrize("name", MIRDATA)
def test_data_sets_are_found_where_mirdata_puts_them(name: str, tmp_path: Path) -> None:
    for path in MIRDATA[name]:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    folder = tmp_path / Path(MIRDATA[name][0]).parts[0]
    assert find_folder(get_dataset(name), tmp_path) == folder
    if name == "gtzan-genre":  # the same files, chosen in another way
        assert find_folder(get_dataset("gtzan-genre-fault-filtered"), tmp_path) == folder
        Path(folder / "gtzan_genre/genres/blues/blues.00000.wav").unlink()
        with pytest.raises(LabelsError, match=r"gtzan_genre: .* 1 of 1000 audio files"):
            find_folder(get_dataset(name), tmp_path)
    assert find_folder(get_dataset("homburg"), tmp_path) is None


def test_an_unknown_paper_or_folder_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["-o", str(tmp_path / "out")]
    assert main(["reproduce", "polka", "--data", str(tmp_path), *out]) == 2
    assert "it is one of choi2017, hamel2013" in capsys.readouterr().err
    assert main(["reproduce", "choi2017", "--data", str(tmp_path / "no"), *out]) == 2
    assert "there is no such folder" in capsys.readouterr().err
