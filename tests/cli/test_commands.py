"""The command line: what is printed where, and what the exit code says."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import mirfeat
from mirfeat.errors import CheckpointUnavailableError
from mirfeat.store.reading import load_features
from tests.support.commands import Mirfeat, in_process
from tests.support.sounds import music, write_wav

RATE = 12_000
COMMANDS = (
    *("list", "info", "extract", "tags", "download", "calibrate"),
    *("evaluate", "report", "datasets"),
)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Mirfeat:
    """Run a command in this process."""
    return in_process(capsys)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five clips, one of them in a folder below."""
    for number, name in enumerate(["a.wav", "b.wav", "c.wav", "d.wav", "sub/e.wav"]):
        path = tmp_path / "music" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_wav(path, music(0.5, RATE, seed=number), RATE)
    return tmp_path / "music"


@pytest.fixture(scope="module")
def choi() -> mirfeat.Extractor:
    return mirfeat.load_extractor("choi2017", checkpoint="random")


@pytest.fixture
def loaded(choi: mirfeat.Extractor, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What is loaded is ``choi``; the options it was asked for with."""
    asked: list[dict[str, Any]] = []

    def load(name: str, **options: Any) -> mirfeat.Extractor:
        asked.append({"name": name, **options})
        return choi

    for module in ("loading", "cli.extract"):
        monkeypatch.setattr(f"mirfeat.{module}.load_extractor", load)
    monkeypatch.setattr(type(choi), "close", lambda _: None)
    return asked


def damage(path: Path) -> Path:
    path.write_text("this is no audio")
    return path


# -- extract --------------------------------------------------------------------------------------


def test_extract_writes_a_table_and_says_so(run: Mirfeat, folder: Path, tmp_path: Path) -> None:
    code, out, err = run("extract", folder, "-m", "mfcc", "-o", tmp_path / "feats")
    assert code == 0
    assert out == f"{tmp_path / 'feats'}\n"
    assert re.fullmatch(r"5 done, 2\.5 s of audio in [\d.]+ s\n", err)
    table = load_features(tmp_path / "feats")
    assert table.ids == ("a.wav", "b.wav", "c.wav", "d.wav", "sub/e.wav")
    extractor = mirfeat.load_extractor("mfcc")
    np.testing.assert_array_equal(table.values[0], extractor.extract(folder / "a.wav"))


def test_extract_again_computes_only_what_is_new(
    run: Mirfeat, folder: Path, tmp_path: Path
) -> None:
    command = ("extract", folder, "-m", "mfcc", "-o", tmp_path / "feats")
    run(*command)
    assert run(*command) == (0, f"{tmp_path / 'feats'}\n", "0 done, 5 there already\n")
    write_wav(folder / "new.wav", music(0.5, RATE), RATE)
    assert run(*command).err.startswith("1 done, 5 there already, 0.5 s of audio in ")


def test_ids_stay_the_same_when_a_folder_gets_more_audio(
    run: Mirfeat, folder: Path, tmp_path: Path
) -> None:
    # At first all audio is in one subfolder; ids must not be relative to that.
    for name in "abcd":
        (folder / f"{name}.wav").rename(folder.parent / f"{name}.wav")
    run("extract", folder, "-m", "mfcc", "-o", tmp_path / "feats")
    (folder.parent / "a.wav").rename(folder / "a.wav")
    report = run("extract", folder, "-m", "mfcc", "-o", tmp_path / "feats", "--json")
    assert json.loads(report.out)["skipped"] == 1
    assert load_features(tmp_path / "feats").ids == ("sub/e.wav", "a.wav")
    # And not when only a part of it is asked for.
    report = run("extract", folder / "sub", "-m", "mfcc", "-o", tmp_path / "feats", "--json")
    assert json.loads(report.out)["skipped"] == 1


def test_failures_are_listed_and_told_by_the_exit_code(
    run: Mirfeat, folder: Path, tmp_path: Path
) -> None:
    damage(folder / "b.wav")
    (folder / "d.wav").write_bytes(b"")
    code, out, err = run("extract", folder, "-m", "mfcc", "-o", tmp_path / "feats")
    assert code == 1
    assert out == f"{tmp_path / 'feats'}\n"
    lines = err.splitlines()
    assert re.match(rf"failed: {re.escape(str(folder / 'b.wav'))}: .*audio", lines[0])
    assert re.match(rf"failed: {re.escape(str(folder / 'd.wav'))}: .*0 bytes", lines[1])
    assert lines[2].startswith(f"3 done, 2 failed ({tmp_path / 'feats' / 'failures.csv'}), 1.5 s")
    assert "Traceback" not in err
    listed = (tmp_path / "feats" / "failures.csv").read_text()
    assert "b.wav,DecodeError," in listed
    assert "d.wav,EmptyAudioError," in listed


def test_many_failures_do_not_fill_the_screen(run: Mirfeat, folder: Path, tmp_path: Path) -> None:
    for number in range(30):
        damage(folder / f"bad {number}.wav")
    err = run("extract", folder, "-m", "mfcc", "-o", tmp_path / "feats").err
    assert err.count("failed: ") == 21
    assert "failed: and 10 more\n" in err
    assert (tmp_path / "feats" / "failures.csv").read_text().count("DecodeError") == 30


def test_quiet_says_nothing_but_failures(run: Mirfeat, folder: Path, tmp_path: Path) -> None:
    damage(folder / "b.wav")
    code, out, err = run("extract", "-q", folder, "-m", "mfcc", "-o", tmp_path / "feats")
    assert (code, out) == (1, "")
    assert re.fullmatch(r"failed: .*b\.wav: .*\n", err)


@pytest.mark.parametrize("bad", [[], ["b.wav"]])
def test_the_report_as_json_is_all_there_is_on_stdout(
    run: Mirfeat, folder: Path, tmp_path: Path, bad: list[str]
) -> None:
    for name in bad:
        damage(folder / name)
    write_wav(folder / "c.wav", np.zeros((1, RATE), np.float32), RATE)
    code, out, err = run("extract", folder, "-m", "mfcc", "-o", tmp_path / "feats", "--json")
    report = json.loads(out)
    assert (code, report["done"], report["skipped"]) == (len(bad), 5 - len(bad), 0)
    assert report["failed"] == len(bad)
    assert [failure["id"] for failure in report["failures"]] == bad
    assert report["notes"] == {"silent": 1}
    assert err == ""


def test_progress_is_shown_on_a_terminal_only(
    run: Mirfeat, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    def shown(*options: str) -> str:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", Terminal())
            run("extract", folder, "-m", "mfcc", "-o", tmp_path / "feats", *options)
            return sys.stderr.getvalue()  # type: ignore[attr-defined,no-any-return]

    assert "5/5" in (bar := shown())
    assert re.search(r"5 done, .* s\nnext: ", bar)
    # Nothing to do: no bar. One file more: those that are there count.
    assert shown().startswith("0 done, 5 there already\nnext: ")
    write_wav(folder / "new.wav", music(0.5, RATE), RATE)
    assert "6/6" in (bar := shown())
    assert "0/6" not in bar
    assert shown("--overwrite", "--quiet") == ""


def test_notes_are_counted(run: Mirfeat, folder: Path, tmp_path: Path) -> None:
    write_wav(folder / "c.wav", np.zeros((1, RATE), np.float32), RATE)
    err = run("extract", folder, "-m", "mfcc", "-o", tmp_path / "feats").err
    assert err.splitlines()[0] == "note: silent (1 of 5)"


@pytest.mark.parametrize("names", [["b.wav"], ["a.wav", "b.wav"]])
def test_every_file_failing_has_its_own_exit_code(
    run: Mirfeat, folder: Path, tmp_path: Path, names: list[str]
) -> None:
    paths = [damage(folder / name) for name in names]
    code, out, err = run("extract", *paths, "-m", "mfcc", "-o", tmp_path / "one")
    assert (code, out) == (4, "")
    assert re.fullmatch(r"mirfeat: no features: .*[ab]\.wav: .*\n", err)
    code, out, err = run("extract", *paths, "-m", "mfcc", "-o", tmp_path / "two", "--json")
    assert code == 4
    assert [failure["id"] for failure in json.loads(out)["failures"]] == names


def test_on_error_raise_stops_at_the_first(run: Mirfeat, folder: Path, tmp_path: Path) -> None:
    damage(folder / "b.wav")
    code, out, err = run(
        *("extract", folder, "-m", "mfcc", "-o", tmp_path / "feats", "--on-error", "raise")
    )
    assert (code, out) == (1, "")
    assert re.fullmatch(r"mirfeat: .*b\.wav: .*\n", err)
    assert load_features(tmp_path / "feats").ids == ("a.wav",)


@pytest.mark.parametrize("format", ["csv", "parquet", "npz", "npy"])
def test_all_formats_can_be_asked_for(
    run: Mirfeat, folder: Path, tmp_path: Path, format: str
) -> None:
    command = ("extract", folder, "-m", "mfcc", "-o", tmp_path / "feats", "--format", format)
    assert run(*command).code == 0
    assert len(load_features(tmp_path / "feats")) == 5
    assert "5 there already" in run(*command).err


def test_inputs_are_files_folders_and_lists(
    run: Mirfeat, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "list.txt").write_text(f"{folder / 'a.wav'}\n{folder / 'b.wav'}\n")
    output = ("-m", "mfcc", "-o", tmp_path / "feats")
    run("extract", f"@{tmp_path / 'list.txt'}", folder / "sub", *output)
    assert load_features(tmp_path / "feats").ids == ("a.wav", "b.wav", "sub/e.wav")
    listed = io.BytesIO(os.fsencode(folder / "c.wav") + b"\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(listed))
    run("extract", "@-", *output, "--overwrite", "--root", tmp_path)
    assert load_features(tmp_path / "feats").ids == ("music/c.wav",)
    run("extract", folder, *output, "--overwrite", "--no-recursive")
    assert "sub/e.wav" not in load_features(tmp_path / "feats").ids


def test_embed_keeps_rows(run: Mirfeat, folder: Path, tmp_path: Path) -> None:
    command = ("extract", folder, "-m", "mfcc", "-o", tmp_path / "feats", "--embed")
    assert run(*command, "--format", "npz").code == 0
    with np.load(tmp_path / "feats" / "a.wav.npz") as file:
        assert "within_variance" in file
    code, _, err = run(*command)
    assert (code, err.count("\n")) == (2, 1)
    assert "npz or npy" in err


def test_options_reach_the_extractor(
    run: Mirfeat, folder: Path, tmp_path: Path, loaded: list[dict[str, Any]]
) -> None:
    options = "--checkpoint random:3 --layers 13 --statistics mean --batch-norm clip --short error"
    options += " --hop-seconds 2.5 --max-seconds 20 --device cpu --batch-size 3"
    options += " --precision bfloat16"
    run("extract", folder, "-m", "choi2017", "-o", tmp_path / "feats", *options.split())
    assert loaded == [
        {
            "name": "choi2017",
            "checkpoint": "random:3",
            "layers": "13",
            "statistics": ["mean"],
            "batch_norm": "clip",
            "short": "error",
            "hop_seconds": 2.5,
            "max_seconds": 20.0,
            "device": "cpu",
            "batch_size": 3,
            "precision": "bfloat16",
        }
    ]


@pytest.mark.parametrize(
    ("given", "meant"), [("paper", "paper"), ("std", ["std"]), ("mean,std", ["mean", "std"])]
)
def test_statistics_are_a_list_or_paper(
    run: Mirfeat, folder: Path, tmp_path: Path, loaded: list[dict[str, Any]], given: str, meant: Any
) -> None:
    run("extract", folder, "-m", "choi2017", "-o", tmp_path / "feats", "--statistics", given)
    assert loaded[0]["statistics"] == meant


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-m", "choi2007"], "Did you mean 'choi2017'"),
        (["-m", "mfcc", "--layers", "12"], "mfcc has no option 'layers'"),
        (["-m", "mfcc", "--statistics", "median"], "statistics="),
        (["-m", "mfcc", "--hop-seconds", "99"], "hop_seconds=99"),
        (["-m", "mfcc", "--checkpoint", "random"], "takes no checkpoint"),
        (["-m", "mfcc", "--device", "abacus"], "device='abacus'"),
        (["-m", "mfcc", "--root", "elsewhere"], "is not below"),
    ],
)
def test_wrong_settings_are_one_line_and_exit_code_2(
    run: Mirfeat, folder: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    code, out, err = run("extract", folder, "-o", tmp_path / "feats", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("mirfeat: ")
    assert said in err
    assert err.count("\n") == 1
    assert not (tmp_path / "feats").exists()


def test_a_folder_of_other_features_is_refused_with_the_difference(
    run: Mirfeat, folder: Path, tmp_path: Path
) -> None:
    command = ("extract", folder, "-m", "mfcc", "-o", tmp_path / "feats")
    run(*command)
    code, out, err = run(*command, "--max-seconds", "0.2")
    assert (code, out) == (2, "")
    assert "max_seconds: 0.2 here, None there" in err
    assert "--overwrite" in err
    assert run(*command, "--max-seconds", "0.2", "--overwrite").code == 0


def test_inputs_are_checked_before_a_network_is_loaded(
    run: Mirfeat,
    folder: Path,
    tmp_path: Path,
    loaded: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "empty").mkdir()
    output = ("-m", "choi2017", "-o", tmp_path / "feats")
    assert "no audio files" in run("extract", tmp_path / "empty", *output).err
    assert "npz or npy" in run("extract", folder, *output, "--embed").err
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, _, err = run("extract", folder, *output, "--format", "parquet")
    assert (code, err) == (2, "mirfeat: parquet needs pyarrow: pip install 'mirfeat[parquet]'\n")
    assert loaded == []


def test_a_checkpoint_that_is_not_to_be_had_is_exit_code_3(
    run: Mirfeat, folder: Path, tmp_path: Path
) -> None:
    code, out, err = run(
        *("extract", folder, "-m", "choi2017", "-o", tmp_path / "feats"),
        *("--checkpoint", tmp_path / "nowhere.safetensors"),
    )
    assert (code, out) == (3, "")
    assert re.fullmatch(r"mirfeat: .*nowhere\.safetensors.*\n", err)


def test_a_bug_is_exit_code_5_with_the_traceback(
    run: Mirfeat, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("mirfeat.pipeline.batcher.Batcher.add", bug)
    code, out, err = run("extract", folder, "-m", "mfcc", "-o", tmp_path / "feats")
    assert (code, out) == (5, "")
    assert "Traceback" in err
    assert "ZeroDivisionError: a bug" in err


def test_an_interruption_is_exit_code_130_and_says_how_to_go_on(
    run: Mirfeat, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("mirfeat.store.writer.StoreWriter.add", interrupt)
        code, out, err = run("extract", folder, "-m", "mfcc", "-o", tmp_path / "feats")
    assert (code, out) == (130, "")
    assert f"what is done is in {tmp_path / 'feats'}; run again to go on" in err
    assert "Traceback" not in err
    assert run("extract", folder, "-m", "mfcc", "-o", tmp_path / "feats").code == 0


def test_a_full_disk_is_one_line(
    run: Mirfeat, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mirfeat.files.os.fsync", full)
    code, out, err = run("extract", folder, "-m", "mfcc", "-o", tmp_path / "feats")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "No space left on device" in err


def test_verbose_shows_where_an_error_came_from(run: Mirfeat, folder: Path, tmp_path: Path) -> None:
    err = run("extract", "-v", folder, "-m", "nothing", "-o", tmp_path / "feats").err
    assert "Traceback" in err
    assert err.endswith("All names: mirfeat list\n")


# -- the other commands ---------------------------------------------------------------------------


def test_list_is_a_line_for_each_extractor(run: Mirfeat) -> None:
    code, out, err = run("list")
    assert (code, err) == (0, "")
    names = [line.split()[0] for line in out.splitlines()]
    assert names == list(mirfeat.list_extractors())
    assert [line.split()[0] for line in run("list", "mf*").out.splitlines()] == ["mfcc"]
    records = json.loads(run("list", "--json").out)
    assert [record["name"] for record in records] == names
    assert records[0]["sample_rate"] == 12_000


def test_a_pattern_that_matches_nothing_is_a_mistake(run: Mirfeat) -> None:
    code, out, err = run("list", "zz*")
    assert (code, out) == (2, "")
    assert "'zz*'" in err


def test_info_is_a_page_about_one_extractor(run: Mirfeat) -> None:
    code, out, err = run("info", "choi2017")
    assert (code, err) == (0, "")
    for text in ("ISMIR 2017", "12000 Hz mono", "layers=12345", "licence", "caf89f81", "@inproc"):
        assert text in out
    record = json.loads(run("info", "choi2017", "--json").out)
    assert record["name"] == "choi2017"
    assert record["options"]["layers"] == "12345"
    assert {"msd", "random[:SEED]"} <= {item["name"] for item in record["checkpoints"]}


def test_info_shows_the_vector_where_it_is_known(run: Mirfeat) -> None:
    out = run("info", "mfcc").out
    assert "120 numbers, mfcc.coefficient.00.mean … mfcc.delta2.19.std" in out
    record = json.loads(run("info", "mfcc", "--json").out)
    assert record["dimension"] == len(record["feature_names"]) == 120
    assert record["provenance"]["extractor"] == "mfcc"


def test_info_with_a_checkpoint_loads_it(run: Mirfeat, loaded: list[dict[str, Any]]) -> None:
    record = json.loads(run("info", "choi2017", "--checkpoint", "random", "--json").out)
    assert loaded == [{"name": "choi2017", "checkpoint": "random"}]
    assert record["dimension"] == 320


def test_info_about_nothing_names_what_is_near(run: Mirfeat) -> None:
    code, out, err = run("info", "mfc")
    assert (code, out) == (2, "")
    assert "Did you mean 'mfcc'" in err


def test_tags_are_shown_with_a_bar(
    run: Mirfeat, folder: Path, loaded: list[dict[str, Any]], choi: mirfeat.Extractor
) -> None:
    code, out, err = run("tags", folder / "a.wav", "--checkpoint", "random", "--top", "3")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == str(folder / "a.wav")
    for line, (name, probability) in zip(
        lines[1:], choi.tags(folder / "a.wav", top=3), strict=True
    ):
        assert line.startswith(f"  {probability:5.3f} #")
        assert line.endswith(f" {name}")
        assert line.count("#") == round(40 * probability)


def test_tags_of_a_bad_file_cost_no_other(
    run: Mirfeat, folder: Path, loaded: list[dict[str, Any]]
) -> None:
    damage(folder / "b.wav")
    files = [folder / "a.wav", folder / "b.wav", folder / "c.wav"]
    code, out, err = run("tags", *files, "--json")
    assert code == 1
    assert list(json.loads(out)) == [str(files[0]), str(files[2])]
    assert len(json.loads(out)[str(files[0])]) == 10
    assert re.fullmatch(r"failed: .*b\.wav: .*\n", err)
    assert run("tags", folder / "b.wav").code == 4


def test_tags_of_an_extractor_without_tags_are_refused(run: Mirfeat, folder: Path) -> None:
    code, out, err = run("tags", folder / "a.wav", "-m", "mfcc")
    assert (code, out, err.count("\n")) == (2, "", 1)


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What would have been downloaded."""
    fetched: list[tuple[str, str]] = []

    def load(spec: Any, checkpoint: str) -> None:
        if checkpoint == "absent":
            raise CheckpointUnavailableError("checkpoint 'absent' could not be downloaded")
        fetched.append((spec.name, checkpoint))

    monkeypatch.setattr("mirfeat.checkpoints.sources.load_weights", load)
    return fetched


def test_download_fetches_what_is_published(run: Mirfeat, fetched: list[tuple[str, str]]) -> None:
    code, out, _ = run("download", "choi2017")
    assert code == 0
    assert re.fullmatch(r"choi2017 msd: ready in .*\n", out)
    assert fetched == [("choi2017", "msd")]
    assert run("download", "mfcc") == (0, "", "mfcc: nothing to download\n")
    out = run("download", "--all", "--json").out
    assert {"extractor": "choi2017", "checkpoint": "msd"} in json.loads(out)


def test_download_needs_names_or_all(run: Mirfeat, fetched: list[tuple[str, str]]) -> None:
    assert run("download").code == run("download", "mfcc", "--all").code == 2
    assert fetched == []


def test_a_download_that_fails_is_exit_code_3(run: Mirfeat, fetched: list[tuple[str, str]]) -> None:
    code, out, err = run("download", "choi2017", "--checkpoint", "absent")
    assert (code, out) == (3, "")
    assert err == "mirfeat: checkpoint 'absent' could not be downloaded\n"


def test_calibrate_hands_its_arguments_on_and_writes_the_result(
    run: Mirfeat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Result:
        record: ClassVar = {"db_reference": 12.345, "provenance": {"segments": {"a": 3, "b": 4}}}

        def write(self, path: Path) -> None:
            path.write_text("written")

    def calibrate(*arguments: object, progress: object) -> Result:
        asked.append(arguments)
        return Result()

    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr("mirfeat.training.calibration.calibrate", calibrate)
    output = tmp_path / "statistics.json"
    assert run("calibrate", "a", "b", "-o", output) == (
        0,
        f"{output}\n",
        "7 segments, dB reference 12.35\n",
    )
    assert output.read_text() == "written"
    out = run(
        *("calibrate", "a", "-o", output, "--checkpoint", "x", "--segments", 9, "--seed", 2),
        "--json",
    ).out
    assert json.loads(out) == Result.record
    assert asked == [(["a", "b"], "msd", 400, 0), (["a"], "x", 9, 2)]


def test_a_file_that_cannot_be_written_is_one_line(
    run: Mirfeat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, progress: object) -> None:
        raise PermissionError(13, "Permission denied", "x.json")

    monkeypatch.setattr("mirfeat.training.calibration.calibrate", refuse)
    code, _, err = run("calibrate", "a", "-o", tmp_path / "x.json")
    assert (code, err) == (2, "mirfeat: [Errno 13] Permission denied: 'x.json'\n")


# -- the parser -----------------------------------------------------------------------------------


def test_without_a_command_there_is_help(run: Mirfeat) -> None:
    code, out, err = run()
    assert (code, err) == (0, "")
    assert all(command in out for command in COMMANDS)


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_every_command_has_help_that_fits_a_terminal(
    run: Mirfeat,
    command: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as caught:
        run(*command, "--help")
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert " ".join(["usage: mirfeat", *command]) in out
    assert "SUPPRESS" not in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["dance"],
        ["extract"],
        ["extract", "a.wav", "-o", "feats"],
        ["extract", "a.wav", "-m", "mfcc"],
        ["extract", "a.wav", "-m", "mfcc", "-o", "feats", "--format", "hdf5"],
        ["extract", "a.wav", "-m", "mfcc", "-o", "feats", "--workers", "0"],
        ["extract", "a.wav", "-m", "mfcc", "-o", "feats", "--batch-size", "many"],
        ["tags", "a.wav", "--top", "0"],
        ["tags", "a.wav", "--layers", "1"],
        ["calibrate", "a"],
        ["info"],
    ],
)
def test_usage_errors_are_exit_code_2_on_stderr(
    run: Mirfeat, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run(*arguments)
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: mirfeat")


# -- as a program ---------------------------------------------------------------------------------


def program(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mirfeat", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, **options
    )


def test_the_module_is_a_program_with_a_version() -> None:
    done = program("--version")
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        f"mirfeat {mirfeat.__version__}\n",
        "",
    )


@pytest.mark.skipif(sys.platform != "linux", reason="needs names of any bytes")
def test_the_program_survives_names_and_terminals_of_any_encoding(
    folder: Path, tmp_path: Path
) -> None:
    (folder / os.fsdecode(b"caf\xe9 \xc3\xbc.wav")).write_text("no audio")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii:strict"}
    done = program("extract", folder, "-m", "mfcc", "-o", tmp_path / "ü", env=environment)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("failed: ") == 1
    assert done.stdout == f"{tmp_path}/\\xfc\n"


@pytest.mark.skipif(os.name != "posix", reason="needs a closed pipe")
def test_a_reader_that_leaves_early_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    # With its usual buffer, which is written when the program ends.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    with os.fdopen(writing, "w") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "mirfeat", "info", "choi2017"],
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
            env=environment,
        )
    assert (done.returncode, done.stderr) == (0, "")


def test_extract_on_several_devices_into_one_folder(
    run: Mirfeat, folder: Path, tmp_path: Path
) -> None:
    damage(folder / "b.wav")
    command = ("extract", folder, "-m", "mfcc", "-o")
    one = run(*command, tmp_path / "one")
    two = run(*command, tmp_path / "two", "--device", "cpu,cpu")
    assert (one.code, two.code) == (1, 1)
    tables = [load_features(tmp_path / name) for name in ("one", "two")]
    np.testing.assert_array_equal(tables[0].values, tables[1].aligned(tables[0].ids))
    assert tables[0].failures == tables[1].failures


def test_the_profile_of_a_run_says_where_the_time_went(
    run: Mirfeat, folder: Path, tmp_path: Path
) -> None:
    err = run("extract", folder, "-m", "mfcc", "-o", tmp_path / "feats", "--profile").err
    lines = [line.split() for line in err.splitlines() if line.endswith("%")]
    assert sorted(line[0] for line in lines) == ["decode", "network", "write"]
    assert all(float(line[1]) >= 0 for line in lines)
