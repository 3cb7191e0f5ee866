"""Every command has ``--json``, and then one JSON document is all there is on stdout."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mirfeat.cli import main
from mirfeat.cli.commands import COMMANDS
from mirfeat.cli.parser import get_parser
from tests.support.sounds import music, write_wav
from tests.support.stores import write_store

IDS = ["a.wav", "b.wav", "c.wav", "d.wav"]
TABLES = ["--features", "store", "--labels", "labels.csv"]
# Words of each command, in a folder with a.wav to d.wav, a store and labels. What it then asks of
# the library is done here for commands that take seconds or a network for it.
CASES: dict[str, tuple[list[str], dict[str, Any]]] = {
    "list": ([], {}),
    "info": (["mfcc"], {}),
    "extract": (["a.wav", "-m", "mfcc", "-o", "new"], {}),
    "check": (["a.wav", "b.wav"], {}),
    "tags": (["a.wav", "--top", "2"], {}),
    "demo": (["-o", "page"], {"map.demo": None}),
    "map": (["store"], {"map.map_store": None}),
    "similar": (["a.wav", "store"], {}),
    "export": (["mfcc", "--onnx", "a.onnx"], {"export.export_onnx": Path("store/store.json")}),
    "download": (["mfcc"], {}),
    "calibrate": (["a.wav", "-o", "a.json"], {"calibrate": None}),
    "completion": (["bash"], {}),
    "manifest": ([".", "-o", "a.csv"], {"train.run": None}),
    "cache": (["a.toml"], {"train.run": None}),
    "targets": (["a.toml"], {"train.run": None}),
    "train": (["a.toml"], {"train.run": None}),
    "study": (["a.toml", "list"], {"train.run": None}),
    "evaluate": (["svm-grid", *TABLES], {"evaluate.run": None}),
    "report": ([*TABLES, "-o", "x"], {"report.report": Path("x.html")}),
    "reproduce": (["kim2019", "--data", ".", "-o", "x"], {"reproduce.reproduce": Path("x.html")}),
    "datasets": ([], {}),
}


class Finished(SimpleNamespace):
    """What long work gives, as far as its command asks."""

    def __init__(self) -> None:
        super().__init__(path=Path("page.html"), store=Path("store"), count=1)
        self.record, self.text, self.notes, self.failed = {"tracks": 1}, "", (), 0

    def write(self, path: Path) -> None:
        path.write_text("{}")

    def open(self) -> bool:
        return False

    def to_dict(self) -> dict[str, Any]:
        return self.record


def parsers(parser: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, Any]]:
    """All commands and the commands below them."""
    below = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    for action in below:
        for word, each in action.choices.items():
            yield from parsers(each, f"{name} {word}".strip())
    if not below:
        yield name, parser


@pytest.mark.parametrize(("name", "parser"), list(parsers(get_parser())))
def test_every_command_takes_json(name: str, parser: argparse.ArgumentParser) -> None:
    assert "--json" in parser._option_string_actions, name


def test_every_command_is_tried() -> None:
    assert CASES.keys() == COMMANDS.keys()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("json")
    for seed, id in enumerate(IDS):
        write_wav(home / id, music(0.3, 12_000, seed=seed), 12_000)
    write_store(home / "store", {"layer1": np.eye(4, 3)}, IDS)
    (home / "labels.csv").write_text("path,genre\na.wav,x\nb.wav,y\nc.wav,x\nd.wav,y\n")
    return home


@pytest.mark.parametrize("command", COMMANDS)
def test_json_is_all_there_is_on_stdout(
    command: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    words, replaced = CASES[command]
    monkeypatch.chdir(folder)
    for name, result in replaced.items():
        module = "training.calibration" if name == "calibrate" else "cli"
        outcome = Finished() if result is None else result
        monkeypatch.setattr(f"mirfeat.{module}.{name}", lambda *_, **__: outcome)  # noqa: B023
    assert main([command, *words, "--json", "--quiet"]) == 0
    out = capsys.readouterr().out
    json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert out.startswith(("{", "["))
