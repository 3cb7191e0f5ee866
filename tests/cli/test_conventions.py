"""What people expect of any command line."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mirfeat.cli import main
from mirfeat.cli.commands import COMMANDS
from mirfeat.cli.parser import get_parser
from mirfeat.version import __version__


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("option", ["-h", "--help", "--version"])
def test_every_command_helps_and_says_its_version(command: str, option: str, capsys: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, option])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert shown == f"mirfeat {__version__}\n" if option == "--version" else "usage" in shown


@pytest.mark.parametrize("words", [["list", "--js"], ["extract", "a", "-m", "mfcc", "--out", "x"]])
def test_options_are_whole_words(words: list[str], capsys: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        get_parser().parse_args(words)
    assert ended.value.code == 2
    assert "--out" in capsys.readouterr().err or "--js" in words


def test_nothing_is_coloured(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert main(["list"]) == 0
    assert "\x1b" not in "".join(capsys.readouterr())


@pytest.mark.skipif(os.name != "posix", reason="other systems refuse such names")
@pytest.mark.parametrize("json", [[], ["--json"]])
def test_names_of_files_give_the_terminal_no_orders(
    json: list[str], tmp_path: Path, capsys: Any
) -> None:
    folder, orders = tmp_path / "music", "\x1b]0;title\x07\x1b[31m\x9b2J\u202egpj\r\b.wav"
    folder.mkdir()
    (folder / orders).write_text("no audio")
    line = ["extract", str(folder), "-m", "mfcc", "-o", str(tmp_path / "store"), *json]
    assert main([*line, "-v"]) == 4
    shown = "".join(capsys.readouterr())
    assert "title" in shown
    assert not set(shown) & set("\x1b\x07\x9b\u202e\r\b")


def test_lists_may_be_separated_by_nuls_and_have_comments(tmp_path: Path) -> None:
    from mirfeat.audio.lists import read_list
    from mirfeat.errors import OptionError

    (tmp_path / "nuls").write_bytes(b"a b.wav\0c\nd.wav\0# e.wav\0")
    assert read_list(str(tmp_path / "nuls")) == ["a b.wav", "c\nd.wav", "# e.wav"]
    (tmp_path / "lines").write_text("# of today\na.wav\n\n  # more\n#1.wav\n")
    assert read_list(str(tmp_path / "lines")) == ["a.wav", "#1.wav"]
    for bad in (b"RIFF\0\0\0\x01WAVE\0", b"a.wav\0b.wav"):
        (tmp_path / "bad").write_bytes(bad)
        with pytest.raises(OptionError, match="print0"):
            read_list(str(tmp_path / "bad"))


@pytest.mark.parametrize(("given", "hint"), [("-", "@-"), ("songs.txt", "@songs.txt")])
def test_a_list_without_its_mark_is_told_how_it_is_written(
    given: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("songs.txt").write_text("a.wav\n")
    assert main(["extract", given, "-m", "mfcc", "-o", "feats"]) == 2
    assert f"written {hint}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["-m", "mfc"], 2),
        (["-m", "choi2017", "--checkpoint", "none.safetensors"], 3),
        (["-m", "mfcc", "--root", "elsewhere"], 2),
    ],
)
def test_a_run_that_could_not_begin_leaves_no_folder(
    words: list[str], code: int, tmp_path: Path, music: Path, capsys: Any
) -> None:
    song = sorted(music.iterdir())[0]
    folder = tmp_path / "feats"
    assert main(["extract", str(song), *words, "-o", str(folder)]) == code
    assert not folder.exists()


def test_completion_is_a_script_that_bash_reads(capsys: Any) -> None:
    pytest.importorskip("shtab")
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    assert "--max-seconds" in script
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    assert main(["completion", "zsh", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["shell"] == "zsh"
