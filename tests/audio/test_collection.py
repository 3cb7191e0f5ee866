"""Which files a run takes, and what they are called."""

import io
import logging
import os
import re
import sys
from pathlib import Path

import pytest

from mirfeat.audio.addresses import Remote
from mirfeat.audio.collection import AUDIO_SUFFIXES, find_audio, survey
from mirfeat.audio.ids import common_folder, ids_of, named
from mirfeat.errors import OptionError


def touch(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return [folder / name for name in names]


def names_in(folder: Path, **options: bool) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in find_audio([folder], **options)]


def test_a_folder_gives_its_audio_files_in_sorted_order(tmp_path: Path) -> None:
    touch(tmp_path, "b/2.flac", "b/1.MP3", "a.wav", "c/d/e.Opus", "cover.jpg", "notes", "x.wav.txt")
    assert names_in(tmp_path) == ["a.wav", "b/1.MP3", "b/2.flac", "c/d/e.Opus"]
    assert names_in(tmp_path, recursive=False) == ["a.wav"]


def test_names_that_begin_with_a_dot_are_taken(tmp_path: Path) -> None:
    touch(tmp_path, ".38 Special/a.wav", "...And Justice for All/b.wav", "c/.d.wav", "._e.wav")
    names = [".38 Special/a.wav", "...And Justice for All/b.wav", "._e.wav", "c/.d.wav"]
    assert sorted(names_in(tmp_path)) == sorted(names)


def test_trash_and_what_macos_keeps_beside_files_are_left_out_with_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    touch(tmp_path, "a.wav", ".Trash-1000/files/b.wav", ".trash/c.wav")
    (tmp_path / "._a.wav").write_bytes(b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X")
    with caplog.at_level(logging.WARNING, "mirfeat"):
        assert names_in(tmp_path) == ["a.wav"]
    for name in (".Trash-1000", ".trash", "._a.wav"):
        assert f"left out: {tmp_path / name} (" in caplog.text


def test_one_file_under_two_names_is_taken_once_with_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    touch(tmp_path, "m/b.wav", "m/c.wav")
    (tmp_path / "m" / "a.wav").symlink_to(tmp_path / "m" / "b.wav")
    monkeypatch.chdir(tmp_path)
    with caplog.at_level(logging.WARNING, "mirfeat"):
        assert names_in(tmp_path / "m") == ["b.wav", "c.wav"]
    assert f"left out: {tmp_path}/m/a.wav (the same file as {tmp_path}/m/b.wav)" in caplog.text
    assert find_audio(["m/b.wav", "./m/../m/b.wav", "m/a.wav"]) == [Path("m/b.wav")]
    assert find_audio(["m/a.wav"]) == [Path("m/a.wav")]


@pytest.mark.skipif(os.name != "posix", reason="needs names of any bytes")
def test_two_names_of_one_id_are_one_row_with_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    twins = [os.fsdecode(b"caf\xe9.wav"), r"caf\xe9.wav"]
    touch(tmp_path, *twins)
    with caplog.at_level(logging.WARNING, "mirfeat"):
        found = find_audio([tmp_path])
    assert len(found) == 1
    assert "it would have the id of" in caplog.text
    assert ids_of(found, tmp_path) == [twins[1]]


def test_an_address_given_twice_is_said_without_its_secrets(
    caplog: pytest.LogCaptureFixture,
) -> None:
    address = "https://me:hidden@example.org/a.mp3?X-Signature=hidden"
    with caplog.at_level(logging.WARNING, "mirfeat"):
        found, _ = survey([address, address], recursive=True)
    assert len(found) == 1
    assert "https://example.org/a.mp3 (the same file as https://example.org/a.mp3)" in caplog.text
    assert "hidden" not in caplog.text


def test_a_file_whose_name_begins_like_a_list_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "@x.wav")
    monkeypatch.chdir(tmp_path)
    assert find_audio(["@x.wav"]) == [Path("@x.wav")]
    assert find_audio([tmp_path / "@x.wav"]) == [tmp_path / "@x.wav"]


@pytest.mark.parametrize("name", ["list.m3u", "list.M3U8"])
def test_entries_of_a_playlist_are_relative_to_it(tmp_path: Path, name: str) -> None:
    text = "#EXTM3U\r\n#EXTINF:123,Artist - Title\r\na.wav\r\nsub/ü.wav\r\n/abs/c.wav\r\n"
    (tmp_path / name).write_bytes(text.encode())
    expected = [tmp_path / "a.wav", tmp_path / "sub/ü.wav", Path("/abs/c.wav")]
    assert find_audio([f"@{tmp_path / name}"]) == expected


def test_a_folder_inside_a_hidden_one_is_searched_when_it_is_named(tmp_path: Path) -> None:
    touch(tmp_path, ".music/a.wav")
    assert names_in(tmp_path / ".music") == ["a.wav"]


def test_endings_are_lower_case_with_a_dot() -> None:
    assert all(suffix == suffix.lower() and suffix[0] == "." for suffix in AUDIO_SUFFIXES)


def test_a_folder_named_like_audio_is_no_audio(tmp_path: Path) -> None:
    touch(tmp_path, "live.wav/a.mp3")
    assert names_in(tmp_path) == ["live.wav/a.mp3"]


def test_files_named_are_taken_in_their_order_whatever_they_are(tmp_path: Path) -> None:
    files = [*touch(tmp_path, "z.xyz", "a.wav"), tmp_path / "absent.wav"]
    assert find_audio(files) == files
    assert find_audio(map(str, files)) == files


@pytest.mark.parametrize("given", ["musik", "musik/", "musik.2020", "m/musik"])
def test_a_folder_that_is_not_there_is_said_to_be_so(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "music/a.wav", "m/music/a.wav")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OptionError, match=f"^{given}: there is no such (folder|file)"):
        survey(["music", given])
    with pytest.raises(OptionError, match="Did you mean 'music'"):
        survey(["musik"])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_in_a_folder_does_not_block_the_run(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")
    os.mkfifo(tmp_path / "b.wav")
    assert names_in(tmp_path) == ["a.wav"]


def test_links_to_files_are_followed_and_dead_ones_are_not_hidden(tmp_path: Path) -> None:
    touch(tmp_path, "else/a.wav", "music/c.wav")
    (tmp_path / "music" / "b.wav").symlink_to(tmp_path / "else" / "a.wav")
    (tmp_path / "music" / "dead.wav").symlink_to(tmp_path / "nowhere.wav")
    assert names_in(tmp_path / "music") == ["b.wav", "c.wav", "dead.wav"]


def test_a_link_to_a_folder_is_left_out_and_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    touch(tmp_path, "else/a.wav", "music/c.wav")
    (tmp_path / "music" / "more").symlink_to(tmp_path / "else")
    with caplog.at_level(logging.WARNING, "mirfeat"):
        assert names_in(tmp_path / "music") == ["c.wav"]
    assert str(tmp_path / "music" / "more") in caplog.text
    assert names_in(tmp_path / "music" / "more") == ["a.wav"]


def test_a_folder_that_cannot_be_listed_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "a.wav", "locked/b.wav")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with caplog.at_level(logging.WARNING, "mirfeat"):
        assert names_in(tmp_path) == ["a.wav"]
    assert f"{tmp_path / 'locked'} (Permission denied)" in caplog.text


@pytest.mark.parametrize("name", [".", "sub"])
def test_a_folder_without_audio_is_refused(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "cover.jpg", "sub/notes.txt")
    with pytest.raises(OptionError, match=r"no audio files .*\.flac"):
        find_audio([tmp_path / name])


def test_a_list_has_one_path_a_line(tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_bytes("\ufeffa.wav\r\n\n sub/ü b.wav \n#1.wav\nline\u2028sep.wav".encode())
    names = ["a.wav", " sub/ü b.wav ", "#1.wav", "line\u2028sep.wav"]
    assert find_audio([f"@{listed}"]) == [Path(name) for name in names]


@pytest.mark.skipif(os.name != "posix", reason="needs names of any bytes")
def test_a_list_may_hold_names_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"caf\xe9.wav\n")
    assert find_audio([f"@{tmp_path / 'list.txt'}"]) == [Path(os.fsdecode(b"caf\xe9.wav"))]


def test_a_list_can_come_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a.wav\nb.wav\n")))
    assert find_audio(["@-"]) == [Path("a.wav"), Path("b.wav")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the list is empty"),
        (b"\n \n", "the list is empty"),
        ("a.wav\n".encode("utf-16"), "one path a line, in UTF-8"),
        (None, "not a readable list"),
    ],
)
def test_what_is_no_list_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    listed = tmp_path / "list.txt"
    if content is not None:
        listed.write_bytes(content)
    with pytest.raises(OptionError, match=message):
        find_audio([f"@{listed}"])


def test_all_inputs_are_below_the_common_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "m/a/x.wav", "m/a/y.wav", "m/b/c/z.wav")
    (tmp_path / "list.txt").write_text(f"{tmp_path}/m/a/x.wav\n{tmp_path}/m/b/c/z.wav\n")
    monkeypatch.chdir(tmp_path)
    # A folder counts as itself, however deep the audio in it lies.
    assert survey(["m"])[1] == tmp_path / "m"
    assert survey(["m/b"])[1] == tmp_path / "m" / "b"
    assert survey(["m/b", "m/a/x.wav"])[1] == tmp_path / "m"
    assert survey(["m/a/x.wav"])[1] == tmp_path / "m" / "a"
    assert survey(["@list.txt"])[1] == tmp_path / "m"
    assert survey(["./m/../m/b/c"])[1] == tmp_path / "m" / "b" / "c"
    assert common_folder([]) == tmp_path


def test_ids_are_relative_to_the_root_with_slashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    paths = [Path("m/ü/a b.wav"), tmp_path / "m" / "c.mp3", Path("m/x/../c.ogg")]
    assert ids_of(paths, tmp_path / "m") == ["ü/a b.wav", "c.mp3", "c.ogg"]
    assert ids_of(paths, ".") == ["m/ü/a b.wav", "m/c.mp3", "m/c.ogg"]
    assert ids_of([], "m") == []


def test_a_file_outside_the_root_is_refused(tmp_path: Path) -> None:
    # "music2" begins with "music", and is not below it.
    with pytest.raises(OptionError, match=f"is not below {re.escape(str(tmp_path / 'music'))},"):
        ids_of([tmp_path / "music2" / "a.wav"], tmp_path / "music")


@pytest.mark.parametrize("again", ["a.wav", "./a.wav", "sub/../a.wav", "link.wav"])
def test_the_same_file_twice_is_one_row_with_a_word(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    again: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "a.wav", "b.wav")
    (tmp_path / "link.wav").symlink_to("a.wav")
    files = [Path("a.wav"), Path("b.wav"), tmp_path / again]
    with caplog.at_level(logging.WARNING, "mirfeat"):
        assert named(files, tmp_path) == {"a.wav": files[0], "b.wav": files[1]}
    assert f"left out: {tmp_path / again} (the same file as " in caplog.text
    # A link alone is taken, by its own name.
    assert list(named(files[1:], tmp_path)) == ["b.wav", Path(again).name]


def test_two_addresses_of_one_id_are_one_row_with_a_word(caplog: pytest.LogCaptureFixture) -> None:
    files = [Remote("s3://b/m/x//a.wav"), Remote("s3://b/m/x/%2F/a.wav")]
    with caplog.at_level(logging.WARNING, "mirfeat"):
        assert named(files, "s3://b/m") == {"x/%2F/a.wav": files[0]}
    assert "it would have the id of s3://b/m/x//a.wav" in caplog.text


@pytest.mark.skipif(os.name != "posix", reason="needs names of any bytes")
def test_names_that_are_no_text_get_ids_that_are(tmp_path: Path) -> None:
    paths = [tmp_path / os.fsdecode(b"caf\xe9.wav"), tmp_path / os.fsdecode(b"caf\xe8.wav")]
    assert ids_of(paths, tmp_path) == [r"caf\xe9.wav", r"caf\xe8.wav"]
