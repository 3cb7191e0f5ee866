"""What ``mirfeat evaluate`` refuses, and its protocols that start from other files."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mirfeat
from mirfeat.cli import main
from tests.evaluation.test_comparison import small_experiment
from tests.networks.test_hamel2013 import labelled
from tests.support.sounds import music, write_wav
from tests.support.stores import write_embeddings, write_store

IDS = [f"t{k}" for k in range(24)]
F, L = ("--features", "store"), ("--labels", "labels.csv")
GENRE = (*F, *L, "--target", "genre")

Evaluate = Callable[..., Any]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a store, arrays and labels, which commands run in."""
    random = np.random.default_rng(0)
    blocks = {name: random.standard_normal((24, 2)) for name in ("a", "b")}
    write_store(tmp_path / "store", blocks, IDS)
    write_store(tmp_path / "layers", {"layer1": blocks["a"]}, IDS)
    write_store(tmp_path / "empty", {"a": np.zeros((0, 2))}, [], failed=["t0"])
    write_embeddings(tmp_path / "bare", {"t0": np.ones((2, 3))}, "npy")
    np.save(tmp_path / "short.npy", np.ones((23, 2)))
    np.save(tmp_path / "nan.npy", np.full((24, 2), np.nan))
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        columns = ("id", "genre", "mood", "same", "own")
        cells = (["x", "y"] * 12, [f"0.{k}" for k in range(24)], ["z"] * 24, ["x", "y"] * 12)
        csv.writer(file).writerows([columns, *zip(IDS, *cells, strict=True)])
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def evaluate(here: Path, capsys: pytest.CaptureFixture[str]) -> Evaluate:
    """Run a command that must succeed; its results from JSON that any reader takes."""

    def call(*arguments: object) -> Any:
        assert main(["evaluate", *map(str, arguments), "--json"]) == 0
        out, err = capsys.readouterr()
        assert err == ""
        return json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))

    return call


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("mlp", *F), "labels: give --labels FILE.csv, --labels folders"),
        (("mlp", *GENRE, "--dataset", "gtzan-genre", "--root", "."), "give --labels FILE.csv,"),
        (("mlp", *F, "--dataset", "gtzan-genre"), "say where it is with --root DIR"),
        (("mlp", *L, "--target", "genre"), "no features: give --features"),
        (("mlp", "--features", "nowhere", *L), "nowhere: no features. Give a folder"),
        (("mlp", *F, "--labels", "nowhere.csv"), "nowhere.csv: not a readable table"),
        (("mlp", *F, *L, "--target", "polka"), "labels.csv: no column 'polka'"),
        (("mlp", *F, *L, "--target", "genre", "--task", "regression"), "must be numbers for a"),
        (("mlp", *F, *L, "--target", "same"), "all 24 clips are of the class z"),
        (("mlp", *GENRE, "--folds", "50"), "50 folds need 2 or more of them and clips of the"),
        (("mlp", *GENRE, "--folds", "1"), "1 folds need 2 or more"),
        (("mlp", *GENRE, "--folds", "²"), "no column '²'"),
        (("mlp", *GENRE, "--groups", "polka"), "no column 'polka'"),
        (("mlp", *GENRE, "--groups", "own", "--folds", "2"), "has only clips of the class"),
        (("mlp", *F, *L, "--target", "mood", "--folds", "20"), "r² needs 2 or more"),
        (("mlp", "--features", "short.npy", *L, "--target", "genre"), "24 lines for 23 rows"),
        (("mlp", "--features", "nan.npy", *L, "--target", "genre"), "all finite"),
        (("mlp", "--features", "empty", *L, "--target", "genre"), "have no features"),
        (("linear", "--features", "empty", *L, "--target", "genre"), "have no features"),
        (("linear", "--features", "bare", *L, "--target", "genre"), "--embed --format npz"),
        (("mlp", "--features", "store", "store", *L), "are there already"),
        (("linear", *F, *L, "--target", "mood"), "linear classifies, and 'mood' holds numbers"),
        (("similarity", *F, *L, "--target", "mood"), "--task classification"),
        (("similarity", *GENRE, "--k", "24"), "precision at 24 needs 24 other clips"),
        (("layer-sweep", *GENRE), "has no layers but ['a', 'b']"),
        (("layer-sweep", "--features", "layers", *GENRE[2:], "--strategies", "13"), "layers ['3']"),
        (
            ("layer-sweep", "--features", "layers", *GENRE[2:], "--strategies", ""),
            "strategies ['']",
        ),
        (("svm-grid", *GENRE, "--published", "polka"), "choi2017 has no numbers for 'polka'"),
        (("few-shot", *GENRE, "--examples", "1,few"), "whole numbers, such as 1,2,5,10"),
        (("few-shot", *GENRE, "--examples", "0"), "1 or more"),
        (("few-shot", *GENRE, "--examples", "99"), "no class has more than"),
        (("source-grid", *GENRE, "--sources", "a,c"), "no blocks ['c']"),
        (("source-grid", *GENRE, "--sources", "a,a"), "each once"),
        (("transfer-head", *GENRE, "--device", "gpu"), "device='gpu' is not to be had here"),
        (("svm-grid", *GENRE, "--folds", "2", "-o", "labels.csv/x", "--no-nested"), "labels.csv"),
        (("recommendation", *F), "recommendation needs --interactions"),
        (("recommendation", "--interactions", "labels.csv"), "labels.csv: line 1"),
        (("comparison",), "comparison needs --runs"),
        (("comparison", "--runs", "labels.csv"), "labels.csv: line 1 has the columns"),
        (("nearest-labels",), "nearest-labels needs --extractor"),
        (("nearest-labels", "-m", "polka"), "polka"),
        (("nearest-labels", "-m", "hamel2013-base"), "no labels"),
        (("map", *F), "map needs --topics FILE.csv"),
    ],
)
def test_what_cannot_be_evaluated_is_explained(
    here: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...], message: str
) -> None:
    assert main(["evaluate", *command]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("mirfeat: ")
    assert message in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "option", ["--k=0", "--epochs=-1", "--workers=0", "--repeats=x", "--task=y"]
)
def test_options_out_of_range_are_usage_errors(option: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["evaluate", "mlp", option])
    assert stopped.value.code == 2


def test_features_of_items_recommend_them(here: Path, evaluate: Evaluate) -> None:
    random = np.random.default_rng(0)
    lines = [f"u{u},{item},{1 + u}" for u in range(12) for item in IDS if random.random() < 0.5]
    (here / "plays.csv").write_text("\n".join(["user,item,count", *lines]) + "\n")
    command = ["recommendation", "--interactions", "plays.csv", "--repeats", "2"]
    result = evaluate(*command, "--features", "store", "--features", "layers")
    assert [report["features"] for report in result["reports"]] == ["x (random)", "x (random)"]
    for report in result["reports"]:
        assert [s["metric"] for s in report["scores"]] == ["nDCG@500", "recall@80", "AP@80"]
        assert len(report["scores"][0]["values"]) == 2
    again = evaluate(*command, "--features", "store", "--variant", "authors", "--seed", 3)
    assert again["reports"][0]["settings"]["seed"] == 3
    assert again["reports"][0]["scores"] != result["reports"][0]["scores"]


def test_users_and_items_of_few_interactions_are_left_out(
    here: Path, evaluate: Evaluate, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"u{u},{item}" for u in range(6) for item in IDS] + ["lonely,a rare item"]
    (here / "plays.csv").write_text("\n".join(["user,item", *lines]) + "\n")
    command = ["recommendation", "--interactions", "plays.csv", "--repeats", "1", *F]
    settings = evaluate(*command)["reports"][0]["settings"]
    assert (settings["users"], settings["items"]) == (6, len(IDS))
    assert main(["evaluate", *command, "--fewest", "1"]) == 2
    assert "1 of" in (message := capsys.readouterr().err)
    assert "have no features, first 'a rare item'" in message
    assert main(["evaluate", *command, "--fewest", "7"]) == 2
    assert "no user has 7 items" in capsys.readouterr().err


def test_runs_of_an_experiment_are_compared(here: Path, evaluate: Evaluate) -> None:
    lines = [
        f"{r.strategy},{' '.join(r.sources)},{r.dataset},{r.score}" for r in small_experiment()
    ]
    (here / "runs.csv").write_text("\n".join(["strategy,sources,dataset,score", *lines]) + "\n")
    result = evaluate("comparison", "--runs", "runs.csv")
    assert result["reports"] == []
    titles = " ".join(table["title"] for table in result["tables"])
    assert len(result["tables"]) == 12
    assert all(f"Fig. {number})" in titles for number in (8, 9, 10, 13))
    assert "section 5.1" in titles
    assert all(table["title"] and table["rows"] for table in result["tables"])


def test_labels_of_a_checkpoint_have_neighbours(here: Path, evaluate: Evaluate) -> None:
    path = labelled(here)
    result = evaluate("nearest-labels", "-m", "hamel2013-tag", "--checkpoint", path)
    (table,) = result["tables"]
    assert [row["class"] for row in table["rows"]] == [
        "A/rock",
        "A/jazz",
        "A/folk",
        "B/rock",
        "B/techno",
    ]
    for row in table["rows"]:
        near = [row["class"], *(row[str(k)] for k in range(1, 5))]
        assert len(set(near)) == 5
        distances = [row[f"distance {k}"] for k in range(1, 5)]
        assert 0 < distances[0] <= distances[1] <= distances[2] <= distances[3]


def test_a_map_has_the_topics_of_its_clips(here: Path, evaluate: Evaluate) -> None:
    lines = [f"{id},{k % 2},{1 - k % 2}" for k, id in enumerate(IDS)]
    (here / "topics.csv").write_text("\n".join(["id,calm,loud", *lines]) + "\n")
    every = evaluate("map", *F, "--topics", "topics.csv")["tables"][1]["rows"]
    assert [row["clip"] for row in every] == IDS
    assert [row["topic"] for row in every] == ["loud", "calm"] * 12


def test_a_map_takes_its_topics_from_what_a_network_predicts(
    tmp_path: Path, evaluate: Evaluate
) -> None:
    files = []
    for k in range(5):
        write_wav(tmp_path / f"ü{k}.wav", music(2.6, 22_050, seed=k), 22_050)
        files.append(str(tmp_path / f"ü{k}.wav"))
    store = tmp_path / "own"
    assert main(["extract", *files, "-m", "mfcc", "-o", str(store), "-q"]) == 0
    tables = evaluate("map", "--features", store, "-m", "kim2019-mss-cr")["tables"]
    assert [row["clip"] for row in tables[1]["rows"]] == [f"ü{k}.wav" for k in range(5)]
    with mirfeat.load_extractor("kim2019-mss-cr") as extractor:
        ((name, _),) = extractor.factors(files[0])["tag"].strongest(1)
    assert tables[1]["rows"][0]["topic"] == name


def test_sharing_strategies_have_their_sizes(evaluate: Evaluate) -> None:
    table, growth = evaluate("compactness")["tables"]
    assert len(table["rows"]) == 6
    counts = {(row["strategy"], row["sources"]): row["parameters"] for row in growth["rows"]}
    assert len(counts) == 1 + 5 * 7
    # The authors' numbers of a single source and of all eight.
    assert counts["SS-R", 1] == 576_482
    assert counts["MSS-CR", 8] == 4_665_184
    assert counts["MS-SR@FC", 8] == 719_760
    assert counts["MS-CR@2", 3] > counts["MS-CR@2", 2]
