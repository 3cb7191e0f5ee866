"""The commands demo, map, similar and tags --plot."""

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import mirfeat
from mirfeat.cli import map as cli_map
from mirfeat.cli.parser import get_parser
from mirfeat.explore import excerpts
from tests.support.commands import Mirfeat, in_process
from tests.support.sounds import music, write_wav

RATE = 12_000


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Mirfeat:
    return in_process(capsys)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight clips in two folders, and their features beside them."""
    folder = tmp_path_factory.mktemp("collection")
    paths = []
    for number in range(8):
        path = folder / "music" / ("one", "two")[number % 2] / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_wav(path, music(0.5, RATE, seed=number), RATE)
        paths.append(path)
    with mirfeat.load_extractor("mfcc") as extractor:
        extractor.extract_to(folder / "feats", paths, root=folder / "music", progress=False)
    return folder / "feats"


def test_similar_finds_the_clip_itself_by_its_sound_and_leaves_it_out_by_its_name(
    run: Mirfeat, store: Path
) -> None:
    song = store.parent / "music" / "one" / "2.wav"
    by_sound = json.loads(run("similar", song, store, "--json").out)[0]["near"]
    assert by_sound[0]["id"] == "one/2.wav"
    assert by_sound[0]["similarity"] == pytest.approx(1, abs=1e-5)
    by_name = json.loads(run("similar", "one/2.wav", store, "--json").out)[0]["near"]
    assert [near["id"] for near in by_name] == [near["id"] for near in by_sound[1:]]
    assert len(by_name) == 7


def test_an_approximate_search_says_so_and_finds_the_same(run: Mirfeat, store: Path) -> None:
    query = ("similar", "one/2.wav", store, "--top", 3)
    exact, near = (
        json.loads(run(*query, *how, "--json").out)[0] for how in ((), ("--approximate",))
    )
    assert (exact.pop("approximate"), near.pop("approximate")) == (False, True)
    assert [clip["id"] for clip in near["near"]] == [clip["id"] for clip in exact["near"]]
    text = run(*query, "--approximate").out
    assert text.startswith("one/2.wav   (cosine similarity, approximate search)\n")
    song = store.parent / "music" / "one" / "2.wav"
    assert run("similar", song, store, "--approximate").out.splitlines()[1].endswith("one/2.wav")


def test_an_exact_search_of_very_many_clips_names_the_other_one(
    run: Mirfeat,
    store: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    query = ("similar", "one/2.wav", store)
    run(*query)
    monkeypatch.setattr("mirfeat.cli.similar._MANY", 8)
    run(*query, "--approximate")
    assert caplog.messages == []
    run(*query)
    assert "compared with all 8 clips; --approximate keeps an index" in caplog.text


def test_similar_writes_text_csv_and_playlists(run: Mirfeat, store: Path, tmp_path: Path) -> None:
    queries = ("one/2.wav", "two/1.wav")
    text = run("similar", *queries, store, "--top", 2).out.splitlines()
    assert text[0] == "one/2.wav   (cosine similarity)"
    assert len(text) == 6
    table = run("similar", *queries, store, "--top", 2, "--metric", "l1", "--format", "csv").out
    rows = list(csv.DictReader(io.StringIO(table)))
    assert [row["rank"] for row in rows] == ["1", "2", "1", "2"]
    assert 0 < float(rows[0]["distance"]) <= float(rows[1]["distance"])
    playlist = tmp_path / "mix.m3u"
    code, out, _ = run("similar", *queries, store, "--format", "m3u", "-o", playlist)
    assert (code, out) == (0, f"{playlist}\n")
    lines = playlist.read_text(encoding="utf-8").splitlines()
    files = [line for line in lines if not line.startswith("#")]
    assert lines[0] == "#EXTM3U"
    assert len(files) == len({*files}) == 8
    assert all(Path(file).is_file() for file in files)


def test_a_query_that_is_nothing_is_a_usage_error(run: Mirfeat, store: Path) -> None:
    code, _, err = run("similar", "three/2.wav", store)
    assert code == 2
    assert "three/2.wav: neither a file nor the id of a clip" in err
    assert "'one/0.wav'" in err


def test_a_map_plays_the_files_where_they_are(
    run: Mirfeat, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(cli_map.webbrowser, "open", lambda url: opened.append(url) or True)
    code, out, err = run("map", store, "--open")
    assert (code, out, err) == (0, f"{store / 'map.html'}\n", "")
    assert opened == [(store / "map.html").as_uri()]
    page = (store / "map.html").read_text(encoding="utf-8")
    assert '"../music/one/0.wav"' in page
    assert '"groupName":"folder"' in page
    labels = tmp_path / "labels.csv"
    lines = [
        f"{'one' if n % 2 == 0 else 'two'}/{n}.wav,{'soft' if n < 4 else 'loud'}" for n in range(8)
    ]
    labels.write_text("path,mood\n" + "\n".join(lines) + "\n")
    page_path = tmp_path / "send.html"
    sent = ("-o", page_path, "--audio", "embed", "--labels", labels, "--tags")
    code, out, err = run("map", store, *sent, "--progress", "json")
    assert (code, out) == (0, f"{page_path}\n")
    done = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    assert {(one["progress"], one["of"]) for one in done} == {("tags", 8), ("previews", 8)}
    page = page_path.read_text(encoding="utf-8")
    assert page.count("data:audio/mpeg;base64,") == 8
    assert '"groupName":"mood"' in page
    assert {"soft", "loud"} <= {word for word in ("soft", "loud") if f'"{word}"' in page}


@pytest.mark.filterwarnings("default::mirfeat.errors.MirfeatWarning")
def test_a_map_of_music_that_has_moved_says_so_and_is_told_where_it_is(
    run: Mirfeat, store: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "feats"
    shutil.copytree(store, moved)
    (moved / "map.html").unlink(missing_ok=True)
    record = json.loads((moved / "store.json").read_text())
    record["root"] = str(tmp_path / "nowhere")
    (moved / "store.json").write_text(json.dumps(record))
    code, _, err = run("map", moved)
    assert code == 0
    assert "8 of 8 clips cannot be heard" in err
    assert "--root" in err
    code, _, err = run("map", moved, "--root", store.parent / "music", "--json")
    assert code == 0
    assert "cannot be heard" not in err


def test_the_demo_needs_nothing_but_the_package(
    run: Mirfeat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = dict(list(mirfeat.list_examples().items())[::5])
    monkeypatch.setattr(cli_map, "list_examples", lambda: few)
    monkeypatch.setattr("socket.socket.connect", None)
    code, out, err = run("demo", "-o", tmp_path / "demo", "--no-open", "--progress", "json")
    assert code == 0
    assert out == f"{tmp_path / 'demo' / 'demo.html'}\n"
    *lines, last = err.splitlines()
    assert "Open it in a browser" in last
    told = [json.loads(line)["progress"] for line in lines]
    assert list(dict.fromkeys(told)) == ["choi2017", "tags", "previews"]
    page = (tmp_path / "demo" / "demo.html").read_text(encoding="utf-8")
    assert page.count("data:audio/mpeg;base64,") == len(few)
    assert all(record["title"] in page for record in few.values())
    attribution = (excerpts.FOLDER / "ATTRIBUTION.md").read_bytes()
    assert (tmp_path / "demo" / "ATTRIBUTION.md").read_bytes() == attribution
    table = mirfeat.load_features(tmp_path / "demo" / "features")
    np.testing.assert_array_equal(
        sorted(table.ids), sorted(Path(r["path"]).name for r in few.values())
    )


def test_tags_are_drawn_over_time(run: Mirfeat, tmp_path: Path) -> None:
    song = mirfeat.example("folk_tavern")
    code, out, _ = run("tags", song, "--top", 3, "--plot", "--plot-folder", tmp_path)
    assert code == 0
    assert out.splitlines()[-1] == str(tmp_path / "folk_tavern.tags.png")
    assert (tmp_path / "folk_tavern.tags.png").read_bytes().startswith(b"\x89PNG")


def test_on_a_terminal_a_command_says_what_comes_next(
    run: Mirfeat, store: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    command = ("extract", store.parent / "music", "-m", "mfcc", "-o", tmp_path / "my feats")
    assert "next:" not in run(*command).err
    monkeypatch.setattr("mirfeat.cli.output.sys.stderr.isatty", lambda: True, raising=False)
    lines = run(*command).err.splitlines()
    assert f"next: mirfeat map '{tmp_path / 'my feats'}' --open" in lines
    assert f"next: mirfeat similar SONG '{tmp_path / 'my feats'}'" in lines
    assert "next:" not in run(*command, "--quiet").err


def test_help_shows_three_examples_that_are_commands(
    capsys: pytest.CaptureFixture[str],
) -> None:
    parser = get_parser()
    text = parser.format_help()
    examples = [line.split("  ")[1] for line in text.splitlines() if line.startswith("  mirfeat ")]
    assert len(examples) == 3
    for example in examples:
        assert parser.parse_args(example.split()[1:]).command == example.split()[1]
