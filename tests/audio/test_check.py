"""What a look at a collection finds."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mirfeat.audio.check import as_table, check_file
from mirfeat.cli import main
from tests.support.sounds import cut, music, write

RATE = 22_050


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    clip = np.round(0.5 * music(1.0, RATE) * 32767) / 32768
    write(tmp_path / "good.wav", clip, RATE, "WAV", "PCM_16")
    write(tmp_path / "same.flac", clip, RATE, "FLAC", "PCM_16")
    write(tmp_path / "zero.wav", np.zeros((1, RATE)), RATE, "WAV")
    write(tmp_path / "against.wav", np.concatenate([clip, -clip]), RATE, "WAV")
    write(tmp_path / "loud.wav", np.clip(20 * clip, -1, 1), RATE, "WAV", "PCM_16")
    cut(write(tmp_path / "short.wav", clip, RATE, "WAV", "PCM_16"), 0.5)
    return tmp_path


def test_what_is_wrong_is_told_and_what_is_right_is_not(
    collection: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(collection)]) == 1
    text = capsys.readouterr().out
    rows = {line.split()[-1]: line.split() for line in text.splitlines() if str(collection) in line}
    assert str(collection / "zero.wav") in rows
    assert "  silent" in text
    assert "channels cancel in the mono mix" in text
    assert "of samples at full scale" in text
    assert f"same audio as {collection / 'good.wav'}" in text
    assert "failed: the header announces 44100 bytes of audio, the file has 22" in text
    assert text.splitlines()[-1] == "6 files, 0.00 h decoded: 1 failed, 4 with a note"
    # A file without a remark is only counted.
    assert not any(
        line.endswith(" " + str(collection / "good.wav")) and "same" not in line
        for line in text.splitlines()
    )
    assert main(["check", str(collection), "--all"]) == 1
    assert any(
        line.split()[-1] == str(collection / "good.wav") and "WAV" in line
        for line in capsys.readouterr().out.splitlines()
    )


def test_findings_as_json(collection: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", str(collection / "good.wav"), str(collection / "same.flac"), "--json"])
    good, same = json.loads(capsys.readouterr().out)
    assert good["announced"] == good["found"] == good["decoded"] == 1.0
    assert (good["container"], same["container"]) == ("WAV", "FLAC")
    assert good["digest"] == same["digest"]
    assert same["notes"] == [f"same audio as {collection / 'good.wav'}"]


def test_exit_codes(collection: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(collection / "good.wav")]) == 0
    assert main(["check", str(collection / "short.wav")]) == 4
    assert main(["check", str(collection / "zero.wav")]) == 0
    capsys.readouterr()


def test_lengths_beside_one_another(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    soundfile.write(path, music(2.0, RATE)[0], RATE, format="MP3")
    finding = check_file(path)
    assert finding.decoded == pytest.approx(2.0, abs=0.1)
    assert finding.announced == pytest.approx(finding.decoded, abs=0.03)
    assert finding.found == pytest.approx(finding.decoded, abs=0.03)
    header, row = as_table([finding]).splitlines()
    assert header.split() == ["announced", "found", "decoded", "container", "file"]
    assert row.split()[3:] == ["MP3", str(path)]
