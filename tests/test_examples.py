"""Examples and the README's code run, on the excerpts that are in the repository."""

import re
import runpy
import shlex
from pathlib import Path

import pytest

import mirfeat
from mirfeat.cli.parser import get_parser
from tests.conftest import REPOSITORY

EXAMPLES = REPOSITORY / "examples"


def run(name: str, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    runpy.run_path(str(EXAMPLES / name))["main"](*arguments)
    return capsys.readouterr().out


def test_the_demo_prints_and_writes_a_vector_for_every_excerpt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    printed = run("demo.py", capsys)
    table = mirfeat.load_features(tmp_path / "demo")
    assert len(table) == 32
    assert all(name in printed for name in table.ids)
    assert (tmp_path / "demo" / "features.csv").exists()


def test_genres_beat_chance(capsys: pytest.CaptureFixture[str]) -> None:
    printed = run("genres.py", capsys)
    scores = [float(score) for score in re.findall(r"(\d\.\d\d) ±", printed)]
    assert len(scores) == 3
    assert min(scores) > 0.3


def test_features_are_compared_without_shared_composers(capsys: pytest.CaptureFixture[str]) -> None:
    printed = run("compare.py", capsys)
    assert "disjoint in 'composer'" in printed
    scores = re.findall(r"accuracy (\d\.\d\d).*nested (\d\.\d\d); P@3 (\d\.\d\d)", printed)
    assert len(scores) == 2
    assert min(float(score) for line in scores for score in line) > 0.3


def test_every_metal_excerpt_is_nearest_to_metal(capsys: pytest.CaptureFixture[str]) -> None:
    lines = run("similar.py", capsys).splitlines()
    metal = [line.split() for line in lines if line.startswith("metal_")]
    assert len(metal) == 8
    assert sum(words[1].startswith("metal_") for words in metal) >= 7


@pytest.mark.slow
def test_a_network_is_trained_on_the_excerpts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    printed = run("train_own.py", capsys, str(EXAMPLES / "music"), "3")
    assert "32 tracks, 0 files that cannot be read" in printed
    assert (tmp_path / "train_own" / "run" / "kim2019-ms-cr-2.safetensors").is_file()
    assert "kim2019-ms-cr-2(" in printed


def test_excerpts_are_small_attributed_and_labelled() -> None:
    music = EXAMPLES / "music"
    audio = {
        path.name: path
        for path in music.iterdir()
        if path.suffix in {".opus", ".ogg", ".mp3", ".flac"}
    }
    assert sum(path.stat().st_size for path in music.iterdir()) < 3_000_000
    attribution = (music / "ATTRIBUTION.md").read_text(encoding="utf-8")
    labels = (music / "labels.csv").read_text(encoding="utf-8")
    for name in audio:
        assert name in attribution
        assert name in labels


def test_the_readmes_links_lead_somewhere() -> None:
    docs = REPOSITORY / "docs"
    written = [
        page
        for page in docs.rglob("*.md")
        if not {"_build", "generated", "gallery"} & {*page.relative_to(docs).parts}
    ]
    for page in (REPOSITORY / "README.md", *written):
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
            target = (page.parent / link).resolve()
            if target.parent == REPOSITORY / "docs" / "gallery":  # made when the site is built
                target = EXAMPLES / "gallery" / target.with_suffix(".py").name
                made = target.name == "index.py"
            else:
                made = "generated" in target.parts  # the same; Sphinx refuses what is not there
            assert "://" in link or made or target.exists(), f"{page.name}: {link}"


def test_the_readme_prints_what_it_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its Python blocks one after the other; a block of text is what the one before it prints."""
    monkeypatch.chdir(tmp_path)
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(python|text)\n(.*?)```", text, re.S)
    names: dict[str, object] = {}
    printed, checked = "", 0
    for kind, block in blocks:
        if kind == "python":
            exec(block, names)
            printed = capsys.readouterr().out
        else:
            assert printed == block
            checked += 1
    assert checked == 2


def test_the_readme_is_short_and_its_commands_are_ones() -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    for line in re.findall(r"^mirfeat (.+?)(?:  +#.*)?$", text, re.M):
        assert get_parser().parse_args(shlex.split(line)).command == line.split()[0]


@pytest.mark.slow
def test_fine_tuning_beats_the_frozen_features() -> None:
    before, after = runpy.run_path(str(EXAMPLES / "fine_tune.py"))["main"]([])
    assert after > before + 0.1
