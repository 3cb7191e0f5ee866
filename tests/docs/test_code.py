"""Every block of code in the documentation runs, every command in it is one, every example of a
docstring prints what it says."""

import contextlib
import io
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import mirfeat
from mirfeat.cli import main
from mirfeat.cli.parser import get_parser
from tests.conftest import REPOSITORY

PAGES = sorted(
    path
    for path in (REPOSITORY / "docs").rglob("*.md")
    if not {"_build", "generated", "gallery"} & {*path.relative_to(REPOSITORY / "docs").parts}
)
PARTS = re.compile(r"(<!-- not run: [^>]+ -->\n)?```(\w*)\n(.*?)```", re.S)
# What needs another machine: an object store with a cluster, the Hub, weights of others.
NOT_RUN = 7
# Commands of a page that write what its Python reads.
BEFORE = {"onnx": ("export", "choi2017", "--onnx", "choi2017.onnx")}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What pages take for granted: songs in folders, tables of labels, features of them."""
    folder = tmp_path_factory.mktemp("docs")
    songs = list(mirfeat.list_examples().values())
    lines = ["path,genre,artist"]
    for song in songs:
        path, style = Path(song["path"]), song["style"]
        (folder / "music" / style).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / "music" / style / path.name)
        lines.append(f"{style}/{path.name},{style},{song['group']}")
    (folder / "genres.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    shutil.copyfile(mirfeat.example("metal_fear"), folder / "song.mp3")
    with contextlib.chdir(folder):
        assert main(["extract", "music", "-m", "choi2017", "-o", "feats", "-q"]) == 0
        rows = ("-o", "rows", "--embed", "--format", "npz", "-q")
        assert main(["extract", "music/folk", "-m", "choi2017", *rows]) == 0
    shutil.copytree(folder / "feats", folder / "choi")
    sound, rate = soundfile.read(folder / "song.mp3")
    soundfile.write(folder / "song.wav", sound, rate)
    return folder


@pytest.fixture(scope="module")
def extractor() -> Iterator[mirfeat.Extractor]:
    with mirfeat.load_extractor("choi2017") as loaded:
        yield loaded


def names_of(home: Path, extractor: mirfeat.Extractor) -> dict[str, Any]:
    """What a page may use without saying where it is from."""
    table = mirfeat.load_features(home / "feats")
    rows = (home / "genres.csv").read_text(encoding="utf-8").splitlines()[1:]
    known = {row.split(",")[0]: row.split(",") for row in rows}
    paths = sorted((home / "music").rglob("*.*"))[:3]
    return {
        "mirfeat": mirfeat,
        "extractor": extractor,
        "vector": table.values[0],
        "genres": np.array([known[id][1] for id in table.ids]),
        "artists": np.array([known[id][2] for id in table.ids]),
        "paths": paths,
        "items": paths,
        "ids": [path.name for path in paths],
    }


def blocks_of(page: Path) -> list[tuple[bool, str, str]]:
    """Whether it runs, language and text of each block of a page."""
    text = page.read_text(encoding="utf-8")
    return [(not skipped, kind, block) for skipped, kind, block in PARTS.findall(text)]


@pytest.mark.docs
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of librosa
@pytest.mark.parametrize("page", [p for p in PAGES if any(b[1] == "python" for b in blocks_of(p))],
                         ids=lambda page: page.stem)
def test_python_on_a_page_runs_and_prints_what_it_says(
    page: Path,
    home: Path,
    extractor: mirfeat.Extractor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(home)
    if page.stem in BEFORE:
        assert main([*BEFORE[page.stem], "-q"]) == 0
    names, printed = names_of(home, extractor), ""
    for runs, kind, block in blocks_of(page):
        code = compile(block, str(page), "exec") if kind == "python" else None
        if code and runs:
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(code, names)
            printed = out.getvalue()
        elif kind == "text" and printed:
            assert printed == block
            printed = ""


def test_few_blocks_are_not_run() -> None:
    skipped = [page.name for page in PAGES for runs, kind, _ in blocks_of(page) if not runs]
    assert len(skipped) <= NOT_RUN, skipped


def commands_of(text: str) -> Iterator[str]:
    """Lines of a page that call mirfeat, put together where they are broken."""
    for line in text.replace("\\\n", " ").splitlines():
        line = line.strip().removeprefix("$ ")
        line = line.rpartition("| ")[2] if "| mirfeat " in line else line
        if re.match(r"mirfeat [a-z]", line):
            yield re.split(r" +#| > | && |\.\.\.|…", line)[0].strip()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_on_a_page_are_ones(page: Path) -> None:
    for runs, kind, block in blocks_of(page):
        if kind in ("", "bash") and runs:
            for command in commands_of(block):
                words = shlex.split(command)
                assert get_parser().parse_args(words[1:]).command == words[1], command


@pytest.mark.docs
def test_the_web_service_answers(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    testing = pytest.importorskip("fastapi.testclient")
    monkeypatch.syspath_prepend(str(REPOSITORY / "examples"))
    import service

    client = testing.TestClient(service.app)
    song = (home / "song.mp3").read_bytes()
    answer = client.post("/vector", files={"file": song})
    assert answer.status_code == 200
    expected = service.extractor.extract_file(home / "song.mp3").tolist()
    assert answer.json()["vector"] == expected
    tags = client.post("/tags", files={"file": song}).json()
    assert len(tags) == 10
    assert max(tags.values()) <= 1
    refused = client.post("/vector", files={"file": b"no audio"})
    assert refused.status_code == 422
    assert "detail" in refused.json()
    monkeypatch.setattr(service, "MOST_BYTES", 10)
    assert client.post("/vector", files={"file": song}).status_code == 413
    del sys.modules["service"]
