"""``mirfeat evaluate`` on features and labels, from the command line to text and JSON."""

import csv
import json
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from mirfeat.cli import main
from tests.support.stores import write_embeddings, write_store

IDS = [f"sub/ü {k}.wav" for k in range(24)]
CLASSES = ["rock", "jazz", "folk"] * 8
MOODS = [round(0.05 + 0.04 * (k % 20), 3) for k in range(24)]

Evaluate = Callable[..., Any]


def rows_of(labels: Sequence[object], columns: int = 2, seed: int = 0) -> np.ndarray:
    """Vectors that tell a little about the labels."""
    numbers = np.unique(np.array(labels), return_inverse=True)[1]
    noise = np.random.default_rng(seed).standard_normal((len(labels), columns))
    return noise + 1.5 * (numbers[:, None] == np.arange(columns))


def write_csv(path: Path, columns: dict[str, Sequence[object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([list(columns), *zip(*columns.values(), strict=True)])
    return path


@pytest.fixture
def store(tmp_path: Path) -> Path:
    blocks = {"layer1": rows_of(CLASSES), "layer2": rows_of(CLASSES, 3, 1)}
    return write_store(tmp_path / "store", blocks, IDS[::-1])


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    columns = {"path": IDS, "genre": CLASSES[::-1], "mood": MOODS, "tempo": range(24)}
    return write_csv(tmp_path / "labels.csv", columns)


@pytest.fixture
def evaluate(capsys: pytest.CaptureFixture[str]) -> Evaluate:
    """Run a command that must succeed; its results from JSON that any reader takes."""

    def call(*arguments: object) -> Any:
        assert main(["evaluate", *map(str, arguments), "--json"]) == 0
        out, err = capsys.readouterr()
        assert err == ""
        return json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))

    return call


def protocols_of(result: Any) -> list[str]:
    return list(dict.fromkeys(report["protocol"] for report in result["reports"]))


def test_results_are_shown_as_text_and_written_as_json(
    store: Path, labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["evaluate", "linear", "--features", store, "--labels", labels, "--folds", "4"]
    output = tmp_path / "new" / "results.json"
    assert main([*map(str, command), "-o", str(output)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert lines[0] == "linear: 4 folds, stratified, shuffled with seed 0"
    assert lines[2].split() == ["features", "accuracy", "±", "s.e."]
    assert lines[4].split()[:2] == ["x", "(random)"]
    written = json.loads(output.read_text(encoding="utf-8"))
    (report,) = written["reports"]
    assert report["scores"][0]["mean"] == pytest.approx(float(lines[4].split()[2]), abs=5e-5)
    assert report["settings"]["numbers"] == 5
    assert [path.name for path in output.parent.iterdir()] == ["results.json"]


def test_labels_follow_the_clips_whatever_their_order(
    evaluate: Evaluate, tmp_path: Path, labels: Path
) -> None:
    # Only in the right order do features and labels agree.
    numbers = [["rock", "jazz", "folk"].index(name) for name in CLASSES[::-1]]
    order = np.random.default_rng(0).permutation(24)
    perfect = 10.0 * np.eye(3)[[0, *(numbers[k] for k in order)]]
    ids = ["without a label", *(IDS[k] for k in order)]
    store = write_store(tmp_path / "s", {"layer1": perfect}, ids)
    search = ("--scaling", "never", "--no-nested")
    for protocol, *options in (
        ("linear",),
        ("svm-grid", *search),
        ("layer-sweep", *search),
        ("mlp",),
        ("similarity", "--k", 3),
    ):
        common = ("--features", store, "--labels", labels, "--target", "genre", "--folds", 4)
        result = evaluate(protocol, *common, *options)
        assert result["reports"][0]["scores"][0]["mean"] == 1.0


@pytest.mark.parametrize(
    ("paper", "options", "expected"),
    [
        ("choi2017", ("--scaling", "never"), ["layer-sweep"]),
        ("hamel2013", ("--k", 5), ["linear", "few-shot", "similarity"]),
        ("kim2018", ("--epochs", 1), ["source-grid"]),
        ("kim2019", ("--repeats", 1), ["mlp"]),
    ],
)
def test_a_paper_runs_what_it_did(
    evaluate: Evaluate,
    store: Path,
    labels: Path,
    paper: str,
    options: tuple[object, ...],
    expected: list[str],
) -> None:
    result = evaluate(
        *(paper, "--features", store, "--labels", labels, "--target", "genre", "--folds", 3),
        *options,
    )
    assert protocols_of(result) == expected
    if paper == "choi2017":
        assert [report["features"] for report in result["reports"]] == ["12", "1", "2"]
        assert {report["origin"] for report in result["reports"]} == {"x (random)"}
    if paper == "kim2018":
        names = [report["features"] for report in result["reports"]]
        assert names == ["layer1", "layer2", "layer1+layer2"]
    if paper == "hamel2013":
        counts = [r["settings"].get("examples_per_class") for r in result["reports"]]
        assert counts == [None, 1, 2, 5, None]


def test_a_paper_runs_the_simpler_protocol_on_a_single_block(
    evaluate: Evaluate, tmp_path: Path, labels: Path
) -> None:
    array = tmp_path / "features.npy"
    np.save(array, rows_of(CLASSES))
    common = ("--features", array, "--labels", labels, "--target", "genre", "--folds", 2)
    for paper, protocol, *options in (
        ("choi2017", "svm-grid", "--scaling", "never", "--no-nested"),
        ("kim2018", "transfer-head", "--epochs", 1),
    ):
        assert protocols_of(evaluate(paper, *common, *options)) == [protocol]


def test_several_sets_of_features_stand_side_by_side(
    store: Path, labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_store(tmp_path / "other", {"b": rows_of(CLASSES[::-1])}, IDS, extractor="y")
    features = ["--features", str(store), "--features", str(other), f"extra={store}"]
    assert main(["evaluate", "linear", *features, "--labels", str(labels), "--folds", "4"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split()[:2] == ["features", "rank"]
    assert [line.split("  ")[0] for line in lines[4:6]] == ["x (random)", "y (random) + extra"]


def test_a_layer_sweep_has_everything_but_layers_as_the_baseline(
    evaluate: Evaluate, store: Path, labels: Path, tmp_path: Path
) -> None:
    # Like the blocks of mfcc, one of which ends in the number of a layer.
    blocks = {name: rows_of(CLASSES, 2, k) for k, name in enumerate(("mean", "delta", "delta2"))}
    mfcc = write_store(tmp_path / "mfcc", blocks, IDS, extractor="mfcc", checkpoint=None)
    result = evaluate(
        *("layer-sweep", "--features", store, mfcc, "--labels", labels, "--target", "genre"),
        *("--folds", 2, "--scaling", "never", "--strategies", "12", "--published", "gtzan-genre"),
    )
    numbers = {r["features"]: (r["settings"]["numbers"], r["published"]) for r in result["reports"]}
    assert numbers["12"][0] == 5
    assert numbers["12+mfcc"] == (11, None)
    assert numbers["mfcc"] == (6, pytest.approx(0.66, abs=5e-4))


@pytest.mark.parametrize(
    ("protocol", "metrics"),
    [("svm-grid", ["r2", "r2, nested", "r2, never scaled"]), ("mlp", ["r2"])],
)
def test_numbers_are_a_regression(
    evaluate: Evaluate, store: Path, labels: Path, protocol: str, metrics: list[str]
) -> None:
    result = evaluate(
        protocol, "--features", store, "--labels", labels, "--target", "mood", "--folds", 3
    )
    (report,) = result["reports"]
    assert [scores["metric"] for scores in report["scores"]] == metrics
    seed = 1234 if protocol == "mlp" else 0
    assert report["settings"]["folds"] == f"3 folds, shuffled with seed {seed}"


def test_clips_of_an_artist_stay_together_by_default(
    evaluate: Evaluate, music: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (music / "labels.csv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    styles = [line["style"] for line in lines]
    store = write_store(tmp_path / "s", {"a": rows_of(styles, 4)}, [line["path"] for line in lines])
    command = ["linear", "--features", str(store), "--labels", str(music / "labels.csv")]
    assert main(["evaluate", *command]) == 2
    assert "there are 8. Ask for fewer folds" in capsys.readouterr().err
    shuffled = ", shuffled with seed 0"
    for options, folds in (
        (["--folds", "4"], f"4 folds, stratified, disjoint in 'group'{shuffled}"),
        (
            ["--folds", "4", "--groups", "album"],
            f"4 folds, stratified, disjoint in 'album'{shuffled}",
        ),
        (
            ["--folds", "4", "--groups", "none", "--shuffle", "none"],
            "4 folds, stratified, in order",
        ),
    ):
        (report,) = evaluate(*command, *options)["reports"]
        assert report["settings"]["folds"] == folds
        torn = [note for note in report["notes"] if "'group' are in training and test" in note]
        assert len(torn) == ("none" in options)


def test_predefined_folds_are_taken_or_left(
    evaluate: Evaluate, store: Path, tmp_path: Path
) -> None:
    columns = {
        "id": IDS,
        "label": CLASSES,
        "fold": [k // 6 for k in range(24)],
        "set": ["train", "test"] * 12,
    }
    table = write_csv(tmp_path / "l.csv", columns)
    common = ["--features", store, "--labels", table, "--epochs", 1]
    for options, folds, count in (
        ([], "4 folds as the labels say", 4),
        (["--folds", "set"], "the split of the labels: tested on test, trained on the rest", 1),
        (["--folds", "3"], "3 folds, stratified, shuffled with seed 0", 3),
        (["--folds", "none"], "the first of 7 folds, stratified, shuffled with seed 0", 1),
    ):
        (report,) = evaluate("transfer-head", *common, *options)["reports"]
        assert report["settings"]["folds"] == folds
        assert len(report["scores"][0]["values"]) == count


def test_clips_that_were_left_out_are_told(evaluate: Evaluate, tmp_path: Path) -> None:
    store = write_store(tmp_path / "s", {"a": rows_of(CLASSES)}, IDS, failed=["broken.wav"])
    columns = {"id": [*IDS[1:], "broken.wav"], "label": ["", *CLASSES[2:], "rock"]}
    table = write_csv(tmp_path / "l.csv", columns)
    for protocol, *options in (
        ("linear",),
        ("few-shot", "--examples", 1),
        ("similarity", "--k", 2),
        ("transfer-head", "--epochs", 1),
        ("mlp",),
        ("svm-grid", "--scaling", "never", "--no-nested"),
    ):
        common = ("--features", store, "--labels", table, "--folds", 2)
        result = evaluate(protocol, *common, *options)
        notes = result["reports"][0]["notes"]
        assert notes[0] == "1 clips have features and no labels; left out"
        assert notes[1] == "1 labelled clips could not be read, so have no features; left out"
        assert notes[2] == "1 clips have no 'label' and were left out"


def test_rows_of_embeddings_are_learned_from(evaluate: Evaluate, tmp_path: Path) -> None:
    clips = {
        id: rows_of([name] * (1 + k % 3), 3, k)
        for k, (id, name) in enumerate(zip(IDS, CLASSES, strict=True))
    }
    store = write_embeddings(tmp_path / "s", clips)
    table = write_csv(tmp_path / "l.csv", {"id": IDS, "label": CLASSES})
    for protocol, *options in (("linear",), ("transfer-head", "--epochs", 1)):
        common = ("--features", store, "--labels", table, "--folds", 2)
        (report,) = evaluate(protocol, *common, *options)["reports"]
        assert report["settings"]["rows"] == 48
    (report,) = evaluate(
        "mlp", "--features", store, "--labels", table, "--folds", 2, "--standardise", "--seed", 3
    )["reports"]
    assert (report["settings"]["standardise"], report["settings"]["seed"]) == (True, 3)


def test_labels_from_folders_and_artists_from_a_manifest(
    evaluate: Evaluate, tmp_path: Path
) -> None:
    ids = [f"{name}/{k}.wav" for k, name in enumerate(CLASSES)]
    store = write_store(tmp_path / "s", {"a": rows_of(CLASSES, 3)}, ids)
    common = ("linear", "--features", store, "--folds", 2)
    (report,) = evaluate(*common, "--labels", "folders")["reports"]
    assert report["settings"]["folds"] == "2 folds, stratified, shuffled with seed 0"
    assert any("nothing says whose clips these are" in note for note in report["notes"])
    artists = {"id": ids, "path": ids, "artist": [f"a{k // 3}" for k in range(24)], "g": CLASSES}
    manifest = write_csv(tmp_path / "tracks.csv", artists)
    pyarrow.parquet.write_table(pyarrow.table(artists), tmp_path / "tracks.parquet")
    for labels, path in product(("folders", "g"), (manifest, tmp_path / "tracks.parquet")):
        (grouped,) = evaluate(*common, "--labels", labels, "--manifest", path)["reports"]
        assert "disjoint in 'artist'" in grouped["settings"]["folds"]
        assert not grouped["notes"]
    (alone,) = evaluate(*common, "--labels", "folders", "--groups", "none")["reports"]
    assert not alone["notes"]


def test_sets_of_features_get_a_verdict(
    labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = write_store(tmp_path / "g", {"a": 9 * np.eye(3)[[0, 1, 2] * 8]}, IDS, extractor="good")
    bad = write_store(tmp_path / "b", {"a": rows_of(MOODS, 3)}, IDS, extractor="bad")
    table = write_csv(tmp_path / "own.csv", {"id": IDS, "label": CLASSES})
    sets = ["--features", good, "--features", bad]
    command = ["evaluate", "linear", *sets, "--labels", table, "--folds", "4"]
    assert main(list(map(str, command))) == 0
    out = capsys.readouterr().out
    assert "Verdicts, linear: accuracy" in out
    assert "good (random) beats bad (random) by 0." in out


def test_tags_of_features_and_of_predictions(evaluate: Evaluate, tmp_path: Path) -> None:
    tags = [f"{name}:2;all;{'odd' if k % 2 else ''}" for k, name in enumerate(CLASSES)]
    table = write_csv(tmp_path / "t.csv", {"id": IDS, "tags": tags})
    store = write_store(tmp_path / "s", {"a": rows_of(CLASSES, 3)}, IDS)
    common = ("tagging", "--features", store, "--labels", table)
    found = evaluate(*common, "--folds", 2)
    (report,) = found["reports"]
    assert [scores["metric"] for scores in report["scores"]] == ["AUC-ROC", "AP"]
    assert [row["tag"] for row in found["tables"][0]["rows"]] == ["odd", "folk", "jazz", "rock"]
    perfect = {
        id: {w.split(":")[0]: 1.0 for w in t.split(";")} for id, t in zip(IDS, tags, strict=True)
    }
    path = tmp_path / "p.json"
    path.write_text(json.dumps(perfect), encoding="utf-8")
    (scored,) = evaluate(*common, "--folds", 2, "--predictions", path)["reports"]
    assert [scores["mean"] for scores in scored["scores"]] == [1.0, 1.0]


def test_arrays_have_no_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "a.npy", rows_of(CLASSES))
    command = ["evaluate", "linear", "--features", str(tmp_path / "a.npy"), "--labels", "folders"]
    assert main(command) == 2
    assert "an array does not name its clips" in capsys.readouterr().err
