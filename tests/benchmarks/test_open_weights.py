"""The benchmark of the open weights: windows, cache, scores against slow twins, tables, merging."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from sklearn.metrics import accuracy_score, f1_score

import mirfeat
from benchmarks import open_weights
from benchmarks import open_weights_scores as scores
from mirfeat.errors import LabelsError, OptionError
from mirfeat.evaluation.hamel2013 import similarity

RATE = 8000
GAMES = {"game-a": ("folk", "rock"), "game-b": ("folk", "rock"), "game-c": ("folk", "jazz")}


def write(path: Path, seconds: float, pitch: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    times = np.arange(round(seconds * RATE)) / RATE
    tone = 0.3 * np.sin(2 * np.pi * pitch * times) + 0.02 * rng.standard_normal(len(times))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone, RATE)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Instruments (2 classes of 10) and music (3 games of 8 tracks, one more for training)."""
    root = tmp_path_factory.mktemp("data")
    rows = []
    for number in range(20):
        name = "cello" if number % 2 else "flute"
        write(root / "instruments" / f"{number}.wav", 1.0, 200 if number % 2 else 900, number)
        rows.append((f"{number}.wav", name))
    table(root / "instruments" / "labels.csv", ("path", "instrument"), rows)
    tracks = [("train/x", "train/x.wav", "rock", "train-game", "train")]
    for place, (game, styles) in enumerate(GAMES.items()):
        for number in range(8):
            key, style = f"{game}/{number}", styles[number % 2]
            pitch = {"folk": 300, "rock": 600, "jazz": 450}[style] + 10 * place
            write(root / "music" / f"{key}.wav", 32 if number == 0 else 2, pitch, 100 + number)
            tracks.append((key, f"{key}.wav", style, game, "test"))
    table(root / "music" / "tracks.csv", ("id", "path", "genre", "corpus", "split"), tracks)
    return root / "instruments", root / "music"


def table(path: Path, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def arguments(folders: tuple[Path, Path], out: Path, *more: str) -> list[str]:
    instruments, music = folders
    own = ["--instruments", instruments, "--music", music, "--cache", out / "cache"]
    return [*map(str, own), "-o", str(out / "r.json"), *more]


def random_task(seed: int = 0) -> tuple[np.ndarray, scores.Task]:
    rng = np.random.default_rng(seed)
    tracks = np.repeat([f"t{number:02}" for number in range(24)], 3)
    games = np.repeat(["a", "b", "c", "d"], 18)
    styles = np.tile(np.repeat(["x", "y"], 3), 12)
    values = rng.standard_normal((72, 10)) + 3 * (styles == "x")[:, None] * np.eye(10)[0]
    return values.astype(np.float32), scores.style_task(styles, games, tracks)


def test_windows_are_consecutive_and_a_short_rest_is_left_out(tmp_path: Path) -> None:
    for name, seconds in (("long", 200), ("rest", 50), ("bit", 40), ("short", 3)):
        write(tmp_path / f"{name}.wav", seconds, 100, 0)
    rows = [(name, f"{name}.wav", "g", "c", "test") for name in ("long", "rest", "bit", "short")]
    table(tmp_path / "tracks.csv", ("id", "path", "genre", "corpus", "split"), rows)
    clips = open_weights.held_out_windows(tmp_path, tmp_path / "tracks.csv")
    found = dict(clips.items())
    seconds = {key: audio.seconds for key, audio in found.items()}
    assert seconds == {
        **{f"long#{number}": 30 for number in range(6)},
        **{"rest#0": 30, "rest#1": 20, "bit#0": 30, "short#0": 3},
    }
    whole, _ = soundfile.read(tmp_path / "rest.wav", dtype="float32")
    assert np.array_equal(found["rest#1"].samples[0], whole[30 * RATE :])


def test_a_window_has_the_labels_of_its_track(folders: tuple[Path, Path]) -> None:
    clips = open_weights.held_out_windows(folders[1], folders[1] / "tracks.csv")
    ids = [key for key, _ in clips.items()]
    assert "game-a/0#0" in ids
    assert not [key for key in ids if key.startswith("train")]
    assert clips.column("genre", ["game-c/1#0", "game-a/0#0"]).tolist() == ["jazz", "folk"]


def test_style_folds_hold_a_game_out_and_drop_styles_of_one_game() -> None:
    styles = np.array(["folk", "rock", "folk", "rock", "jazz", "folk"])
    games = np.array(["a", "a", "b", "b", "c", "c"])
    task = scores.style_task(styles, games, np.arange(6).astype(str))
    assert task.dropped == ("jazz",)
    assert task.rows.tolist() == [0, 1, 2, 3, 5]
    for train, test in task.folds:
        assert not set(games[task.rows[train]]) & set(games[task.rows[test]])
        assert len(set(games[task.rows[test]])) == 1


def test_game_folds_share_no_track_and_drop_games_of_one_track() -> None:
    tracks = np.repeat([f"t{number}" for number in range(13)], 2)
    games = np.array(["a"] * 12 + ["b"] * 12 + ["lonely"] * 2)
    task = scores.game_task(games, tracks)
    assert task.dropped == ("lonely",)
    assert len(task.rows) == 24
    for train, test in task.folds:
        assert not set(task.tracks[train]) & set(task.tracks[test])


def test_task_scores_are_those_of_scikit_learn_with_an_error_of_drawn_tracks() -> None:
    values, task = random_task()
    predicted = scores.nested_predictions(values, task.labels, task.folds)
    found = scores.task_scores(values, task)
    assert found["accuracy"]["score"] == pytest.approx(accuracy_score(task.labels, predicted))
    expected = f1_score(task.labels, predicted, average="macro")
    assert found["macro-F1"]["score"] == pytest.approx(expected)
    # Tracks are of one size, so the error of the accuracy is that of a mean over tracks.
    hits = (predicted == task.labels).reshape(24, 3).mean(axis=1)
    assert found["accuracy"]["standard_error"] == pytest.approx(hits.std() / 24**0.5, rel=0.1)


def test_nested_predictions_do_not_see_the_labels_of_their_fold() -> None:
    values, task = random_task()
    before = scores.nested_predictions(values, task.labels, task.folds)
    for _, test in task.folds:
        changed = task.labels.copy()
        changed[test] = np.where(changed[test] == "x", "y", "x")
        after = scores.nested_predictions(values, changed, task.folds)
        assert np.array_equal(after[test], before[test])
    assert accuracy_score(task.labels, before) > 0.8


def test_song_vectors_pool_windows_as_if_they_were_one_clip() -> None:
    rows = np.random.default_rng(0).standard_normal((3, 2, 50, 4))  # tracks, windows, time, numbers
    windows = np.concatenate([rows.mean(axis=2), rows.std(axis=2)], axis=2).reshape(6, 8)
    order = [4, 0, 2, 5, 1, 3]
    tracks = np.repeat(["a", "b", "c"], 2)
    pooled = scores.song_vectors(windows[order], tracks[order])
    whole = rows.reshape(3, 100, 4)
    expected = np.concatenate([whole.mean(axis=1), whole.std(axis=1)], axis=1)
    np.testing.assert_allclose(pooled, expected, rtol=1e-12)


@pytest.mark.parametrize("grouped", [False, True])
def test_precision_is_that_of_the_protocol(grouped: bool) -> None:
    rng = np.random.default_rng(1)
    vectors, labels = rng.standard_normal((40, 5)), rng.choice(["x", "y", "z"], 40)
    groups = np.array(["a", "b", "c", "d"])[np.arange(40) % 4] if grouped else None
    report = similarity(
        vectors, labels, k=10, groups=None if groups is None else groups.tolist()
    ).reports[0]
    each = scores.precisions(vectors, labels, groups)
    assert each.mean() == pytest.approx(report["P@10 L1"].mean)


def test_precision_needs_ten_others() -> None:
    with pytest.raises(LabelsError, match="not 9"):
        scores.precisions(np.eye(10), np.array(["x", "y"] * 5))


def test_no_skill_is_what_noise_scores() -> None:
    _, style = random_task()
    games = np.repeat(["a", "b", "c", "d"], 18)
    game = scores.game_task(games, style.tracks)
    chance = scores.no_skill(np.array(["u", "u", "v"]), style, game, games)
    assert chance["instruments, accuracy"] == pytest.approx(2 / 3)
    assert chance["style, accuracy"] == 0.5
    assert chance["style, macro-F1"] == pytest.approx(1 / 3)
    assert chance["P@10 style, mean"] == pytest.approx(11 / 23)
    assert chance["P@10 style in other games, mean"] == pytest.approx(0.5)
    noise = [
        scores.precision_scores(
            np.abs(np.random.default_rng(seed).standard_normal((72, 10))), style, game, games
        )["P@10 game, mean"]["score"]
        for seed in range(30)
    ]
    assert np.mean(noise) == pytest.approx(chance["P@10 game, mean"], abs=0.03)


def test_a_second_run_adds_to_the_first_and_computes_nothing_again(
    folders: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scores, "INSTRUMENT_FOLDS", 2)  # the grid is 64 fits a fold
    open_weights.main(arguments(folders, tmp_path, "--only", "mfcc"))
    content = json.loads((tmp_path / "r.json").read_text())
    entry = content["features"]["mfcc"]
    assert entry["numbers"] == 120
    assert set(entry["scores"]) == {*scores.INSTRUMENTS, *scores.MUSIC, *scores.PRECISION}
    assert entry["scores"]["instruments, accuracy"]["score"] == 1.0
    assert content["tasks"]["style"]["dropped"] == ["jazz"]
    assert "| `mfcc` | 120 | 1.000 ± 0.000 |" in capsys.readouterr().out

    runs = tmp_path / "runs"
    (runs / "hamel2013-tag").mkdir(parents=True)
    more = ("--only", "mfcc", "hamel2013-tag", "--runs", str(runs))
    monkeypatch.setattr(open_weights, "features", counted(calls := []))
    open_weights.main(arguments(folders, tmp_path, *more))
    assert set(calls) == {"hamel2013-tag"}
    shown = capsys.readouterr()
    assert "skipped: hamel2013-tag, open" in shown.err
    assert "| `mfcc` | 120 |" in shown.out
    assert "| `hamel2013-tag`, untrained | 800 |" in shown.out
    assert set(json.loads((tmp_path / "r.json").read_text())["features"]) == {
        "mfcc",
        "hamel2013-tag/random",
    }


def counted(calls: list[str]):  # type: ignore[no-untyped-def]
    original = open_weights.features

    def features(extractor: mirfeat.Extractor, *rest: object) -> mirfeat.results.table.FeatureTable:
        calls.append(extractor.name)
        return original(extractor, *rest)  # type: ignore[arg-type]

    return features


def test_features_come_from_the_cache(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = open_weights.instrument_clips(folders[0])
    extractor = mirfeat.load_extractor("mfcc")
    first = open_weights.features(extractor, clips, tmp_path)
    assert np.array_equal(first.values[3], extractor.extract_file(folders[0] / "3.wav"))
    monkeypatch.setattr(mirfeat.Extractor, "extract_many", None)
    again = open_weights.features(extractor, clips, tmp_path)
    assert np.array_equal(first.values, again.values)
    assert again.ids == first.ids


def test_tables_show_single_sources_their_mean_and_their_best(
    capsys: pytest.CaptureFixture[str],
) -> None:
    columns = (*scores.INSTRUMENTS, *scores.MUSIC, *scores.PRECISION)

    def entry(extractor: str, source: str, score: float) -> dict[str, object]:
        own = {name: {"score": score, "standard_error": 0.01} for name in columns}
        return {
            **{"extractor": extractor, "source": source, "checkpoint": "open"},
            **{"numbers": 4, "scores": own},
        }

    entries = [entry("kim2019-ss-r", "tag", 0.5), entry("kim2019-ss-r", "bpm", 0.3)]
    entries += [entry("kim2019-mss-cr", "", 0.7), entry("mfcc", "", 0.2) | {"checkpoint": ""}]
    open_weights.print_tables(
        {
            "features": {str(number): one for number, one in enumerate(entries)},
            "no_skill": dict.fromkeys(columns, 0.1),
        }
    )
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("| mean of 2 (± their std) | 0.400 ± 0.141")]
    assert [line for line in lines if line.startswith("| best of them | 0.500 (tag)")]
    places = [
        next(place for place, line in enumerate(lines) if line.startswith(f"| {start}"))
        for start in ("no skill", "`mfcc` | 4", "`kim2019-mss-cr`, open weights | 4", "tag alone")
    ]
    assert places == sorted(places)


def test_results_of_other_clips_are_not_mixed(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text('{"material": {"instruments": "x"}, "features": {}}')
    with pytest.raises(OptionError, match="measured on"):
        open_weights.main(arguments(folders, tmp_path, "--only", "mfcc"))
    (tmp_path / "r.json").write_text("[]")
    with pytest.raises(OptionError, match="not written by this script"):
        open_weights.main(arguments(folders, tmp_path, "--only", "mfcc"))


def test_a_file_that_is_missing_and_a_table_without_held_out_tracks(tmp_path: Path) -> None:
    header = ("id", "path", "genre", "corpus", "split")
    table(tmp_path / "tracks.csv", header, [("a", "a.wav", "g", "c", "test")])
    with pytest.raises(LabelsError, match=r"a\.wav"):
        open_weights.held_out_windows(tmp_path, tmp_path / "tracks.csv")
    table(tmp_path / "tracks.csv", header, [("a", "a.wav", "g", "c", "train")])
    with pytest.raises(LabelsError, match="no track's split is test"):
        open_weights.held_out_windows(tmp_path, tmp_path / "tracks.csv")


def test_a_damaged_file_is_left_out_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "good.wav", 2, 100, 0)
    (tmp_path / "bad.wav").write_bytes(b"no audio")
    rows = [(name, f"{name}.wav", "g", "c", "test") for name in ("good", "bad")]
    table(tmp_path / "tracks.csv", ("id", "path", "genre", "corpus", "split"), rows)
    clips = open_weights.held_out_windows(tmp_path, tmp_path / "tracks.csv")
    found = open_weights.features(mirfeat.load_extractor("mfcc"), clips, tmp_path / "cache")
    assert found.ids == ("good#0",)
    assert [failure.id for failure in found.failures] == ["bad#0"]
    assert "left out: bad#0" in capsys.readouterr().err
