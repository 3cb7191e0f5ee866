"""Manifests from folders: what tags become, what is no row, and tempo."""

import struct
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mirfeat.errors import DecodeError, ManifestError, MissingPackageError, OptionError
from mirfeat.training.file_tags import build_manifest, write_from_folder
from mirfeat.training.manifest import read_manifest
from mirfeat.training.tempo import estimate_tempo, tempo_of
from tests.support.sounds import music, write, write_wav


def id3(**frames: str | bytes) -> bytes:
    """An ID3v2.4 tag with text frames in UTF-8."""
    body = b""
    for name, text in frames.items():
        data = b"\x03" + (text.encode() if isinstance(text, str) else text)
        body += name.encode() + struct.pack(">I", len(data)) + b"\0\0" + data
    assert len(body) < 1 << 14
    return b"ID3\x04\0\0" + bytes([0, 0, len(body) >> 7, len(body) & 127]) + body


def tagged_mp3(path: Path, **frames: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, music(1.0, 22050), 22050, "MP3", "MPEG_LAYER_III")
    path.write_bytes(id3(**frames) + path.read_bytes())
    return path


def tagged_flac(path: Path, **tags: str) -> Path:
    with soundfile.SoundFile(path, "w", 22050, 1, format="FLAC") as file:
        for name, text in tags.items():
            setattr(file, name, text)
        file.write(music(1.5, 22050)[0])
    return path


def clicks(bpm: float, seconds: float = 30.0, rate: int = 11025) -> np.ndarray:
    """A click on each beat in soft noise, float32 (1, N)."""
    clip = 0.005 * np.random.default_rng(0).standard_normal(round(seconds * rate))
    moments = np.arange(rate // 20) / rate
    click = 0.5 * np.sin(2 * np.pi * 1000.0 * moments) * np.exp(-moments / 0.01)
    for beat in np.arange(0.3, seconds - 0.1, 60.0 / bpm):
        start = int(beat * rate)
        clip[start : start + len(click)] += click
    return clip[None].astype(np.float32)


# -- tags -----------------------------------------------------------------------------------------


def test_tags_of_two_formats_become_columns(tmp_path: Path) -> None:
    tagged_mp3(
        tmp_path / "in" / "a" / "1.mp3",
        TIT2="  The\nSong ",
        TPE1="Ann",
        TALB="Best",
        TDRC="1999-05-01",
        TCON="Hip-Hop/Rap; hip-hop",
        TBPM="93",
    )
    tagged_flac(tmp_path / "in" / "ü.flac", title="Lied", artist="Bob", date="2004", genre="Rock")
    write_wav(tmp_path / "in" / "z.wav", music(2.0, 8000), 8000)
    rows, failures = build_manifest([tmp_path / "in"])
    assert failures == []
    assert [row["id"] for row in rows] == ["a/1.mp3", "z.wav", "ü.flac"]
    assert [Path(row["path"]) for row in rows] == [tmp_path / "in" / row["id"] for row in rows]
    assert [row["seconds"] for row in rows] == [pytest.approx(1.0, abs=0.15), 2.0, 1.5]
    first, second, third = ({k: row[k] for k in row if k not in FACTS} for row in rows)
    assert first == {
        **{"title": "The Song", "artist": "Ann", "album": "Best", "year": 1999, "bpm": 93.0},
        **{"genre": "hip-hop", "tags": {"hip-hop": 1.0, "rap": 1.0}},
    }
    assert second == {}
    assert third == {
        **{"title": "Lied", "artist": "Bob", "year": 2004},
        **{"genre": "rock", "tags": {"rock": 1.0}},
    }


FACTS = ("id", "path", "seconds")


@pytest.mark.parametrize(
    ("frames", "columns"),
    [
        ({"TPE1": "Various Artists", "TPE2": "Ann"}, {"artist": "Ann"}),
        ({"TPE1": "unknown", "TPE2": "VA"}, {}),
        ({"TPE2": "Bob"}, {"artist": "Bob"}),
        ({"TPE1": "Ann\0Bob"}, {"artist": "Ann"}),
        ({"TDRC": "0"}, {}),
        ({"TDRC": "12345"}, {}),
        ({"TDRC": "3000"}, {}),
        ({"TDRC": "2150"}, {}),
        ({"TDRC": "1/5/1987"}, {"year": 1987}),
        ({"TCON": "Other"}, {}),
        ({"TCON": "(none)"}, {}),
        ({"TCON": "(17)"}, {"genre": "rock", "tags": {"rock": 1.0}}),
        ({"TCON": "Unknown; Jazz"}, {"genre": "jazz", "tags": {"jazz": 1.0}}),
        ({"TBPM": "0"}, {}),
        ({"TBPM": "fast"}, {}),
        ({"TBPM": "1200"}, {}),
        ({"TBPM": "128.5"}, {"bpm": 128.5}),
        ({"TIT2": " "}, {}),
    ],
)
def test_tags_that_say_nothing_are_left_out(
    tmp_path: Path, frames: dict[str, str], columns: dict[str, object]
) -> None:
    [row], _ = build_manifest([tagged_mp3(tmp_path / "a.mp3", **frames)])
    assert {name: value for name, value in row.items() if name not in FACTS} == columns


def test_damaged_tags_leave_a_row_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import tinytag

    def broken(path: Path) -> None:
        raise struct.error("unpack requires a buffer of 4 bytes")

    monkeypatch.setattr(tinytag.TinyTag, "get", broken)
    path = write_wav(tmp_path / "a.wav", music(1.25, 8000), 8000)
    [row], failures = build_manifest([path])
    assert row == {"id": "a.wav", "path": str(path), "seconds": 1.25}
    assert not failures
    assert "a.wav: its tags cannot be read (unpack requires" in caplog.text


def test_formats_that_tinytag_does_not_know_have_a_duration(tmp_path: Path) -> None:
    write(tmp_path / "a.au", music(1.75, 8000), 8000, "AU", "PCM_16")
    [row], _ = build_manifest([tmp_path])
    assert row["seconds"] == 1.75


# -- files that are no rows -----------------------------------------------------------------------


def test_files_that_cannot_be_read_are_reported(tmp_path: Path) -> None:
    write_wav(tmp_path / "good.wav", music(1.0, 8000), 8000)
    (tmp_path / "text.mp3").write_text("this is not audio")
    (tmp_path / "empty.flac").touch()
    (tmp_path / "link.ogg").symlink_to("nowhere")
    rows, failures = write_from_folder([tmp_path], tmp_path / "tracks.csv", progress=False)
    assert [row["id"] for row in rows] == ["good.wav"]
    assert [failure.id for failure in failures] == ["empty.flac", "link.ogg", "text.mp3"]
    assert [failure.path.name for failure in failures] == [failure.id for failure in failures]
    for failure, why in zip(failures, ("0 bytes", "no such file", "not a readable"), strict=True):
        assert why in failure.message
    assert read_manifest(tmp_path / "tracks.csv").ids == ("good.wav",)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere file names are text")
def test_names_that_are_no_text_are_reported(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", music(1.0, 8000), 8000)
    path.rename(tmp_path / "caf\udce9.wav")
    rows, [failure] = build_manifest([tmp_path])
    assert not rows
    assert failure.id == r"caf\xe9.wav"
    assert "not UTF-8" in failure.message


def test_without_one_readable_file_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "text.mp3").write_text("this is not audio")
    with pytest.raises(ManifestError, match=r"none of 1 files can be read; the first: .*text\.mp3"):
        write_from_folder([tmp_path], tmp_path / "t.csv")
    assert not (tmp_path / "t.csv").exists()
    (tmp_path / "none").mkdir()
    with pytest.raises(OptionError, match="no audio files"):
        build_manifest([tmp_path / "none"])


def test_an_optional_package_is_asked_for_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tinytag", None)
    with pytest.raises(MissingPackageError, match=r"tinytag: pip install 'mirfeat\[train\]'"):
        build_manifest([tmp_path])


# -- the table ------------------------------------------------------------------------------------


def test_the_table_is_read_back_and_can_be_moved_with_its_music(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    tagged_mp3(here / "music" / "a, b.mp3", TPE1='"Ann", the', TCON="Rock/Pop")
    tagged_mp3(there / "c.mp3", TPE1="Bob")
    write_from_folder([here / "music", there], here / "tracks.csv")
    here.rename(tmp_path / "moved")
    manifest = read_manifest(tmp_path / "moved" / "tracks.csv")
    assert manifest.ids == ("here/music/a, b.mp3", "there/c.mp3")
    assert manifest.columns["path"] == ("music/a, b.mp3", str(there / "c.mp3"))
    assert all(file.is_file() for file in manifest.files)
    assert manifest.artists() == ['"Ann", the', "Bob"]
    assert manifest.bags("tags") == [{"rock": 1.0, "pop": 1.0}, None]
    assert manifest.numbers("seconds") == pytest.approx([1.0, 1.0], abs=0.15)


def test_threads_do_not_change_a_row(tmp_path: Path) -> None:
    for bpm in (80, 100, 125):
        write_wav(tmp_path / f"{bpm}.wav", clicks(bpm, 20.0), 11025)
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    assert build_manifest([tmp_path], bpm=True, workers=1) == build_manifest(
        [tmp_path], bpm=True, workers=3
    )


def test_an_interrupted_run_does_not_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def interrupted(id: str, path: Path, bpm: bool) -> None:
        seen.append(id)
        time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr("mirfeat.training.file_tags._row", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build_manifest([tmp_path / f"{k}.wav" for k in range(300)], workers=1)
    assert 0 < len(seen) < 300


# -- tempo ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("bpm", [90.0, 120.0, 150.0])
@pytest.mark.parametrize("rate", [11025, 44100])
def test_tempo_of_clicks(tmp_path: Path, bpm: float, rate: int) -> None:
    found = tempo_of(write_wav(tmp_path / "a.wav", clicks(bpm, 20.0, rate), rate))
    assert found is not None
    octaves = np.log2(found / bpm)
    assert abs(octaves - round(octaves)) < np.log2(1.02)
    assert abs(octaves) < 1.1


def test_a_tag_comes_before_the_computed_tempo(tmp_path: Path) -> None:
    loud = clicks(120, 20.0, 22050)
    for name in ("said.mp3", "unsaid.mp3"):
        write(tmp_path / name, loud, 22050, "MP3", "MPEG_LAYER_III")
    said = tmp_path / "said.mp3"
    said.write_bytes(id3(TBPM="77") + said.read_bytes())
    rows, _ = build_manifest([tmp_path], bpm=True)
    assert rows[0]["bpm"] == 77.0
    assert rows[1]["bpm"] == pytest.approx(120.0, rel=0.02)
    assert all("bpm" not in row for row in build_manifest([tmp_path / "unsaid.mp3"])[0])


def test_there_is_no_tempo_without_a_beat() -> None:
    generator = np.random.default_rng(0)
    moments = np.arange(20 * 11025) / 11025
    for samples in (
        np.zeros(20 * 11025),
        0.1 * generator.standard_normal(20 * 11025),
        0.3 * np.sin(2 * np.pi * 220.0 * moments) * (1.0 + 0.1 * np.sin(moments)),
        clicks(120, 10.0)[0],
        np.zeros(1),
    ):
        assert estimate_tempo(samples.astype(np.float32)) is None


def test_a_damaged_file_has_no_tempo_but_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", clicks(120, 20.0), 11025, "FLAC")
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(DecodeError):
        tempo_of(path)
    [failure] = build_manifest([path], bpm=True)[1]
    assert "damaged" in failure.message
