"""Audio at URLs: listed, fetched, decoded, deleted, gone on with, and named in messages."""

import datetime
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mirfeat
from mirfeat.audio import remote
from mirfeat.audio.addresses import Remote, is_url, located
from mirfeat.audio.collection import find_audio, only_local, stamps, survey
from mirfeat.audio.ids import common_folder, folder_of_all, ids_of
from mirfeat.audio.remote import fetched
from mirfeat.cli import main
from mirfeat.errors import DecodeError, ExtractionError, MissingPackageError, OptionError
from mirfeat.store.reading import load_features
from mirfeat.store.record import StoreInfo
from tests.support.sounds import music, write_wav

fsspec = pytest.importorskip("fsspec")
RATE = 12_000


class Server:
    """The memory file system as a service that can be slow, broken and counted."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.system = fsspec.filesystem("memory")
        self.calls: list[str] = []
        self.errors: list[Exception] = []
        self._folder = folder
        kind, fetch, info = type(self.system), type(self.system).get_file, type(self.system).info

        def get_file(system: Any, path: str, target: str, **options: Any) -> None:
            self.calls.append(f"get {path}")
            if self.errors:
                Path(target).write_bytes(b"half of it")
                raise self.errors.pop(0)
            fetch(system, path, target, **options)

        def counted(system: Any, path: str, **options: Any) -> Any:
            self.calls.append(f"info {path}")
            return info(system, path, **options)

        monkeypatch.setattr(kind, "get_file", get_file)
        monkeypatch.setattr(kind, "info", counted)

    def put(self, key: str, seed: int, seconds: float = 0.5) -> str:
        path = write_wav(self._folder / "put.wav", music(seconds, RATE, seed=seed), RATE)
        return self.put_bytes(key, path.read_bytes())

    def put_bytes(self, key: str, data: bytes) -> str:
        self.system.pipe(f"/{key}", data)
        return f"memory://{key}"

    def taken(self, kind: str) -> list[str]:
        calls = [call for call in self.calls if call.startswith(kind)]
        self.calls.clear()
        return calls


@pytest.fixture
def server(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    monkeypatch.setattr(remote, "_PAUSE_SECONDS", 0.0)
    monkeypatch.setenv(remote.ALLOWED, "memory, file")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("fetched")))
    server = Server(tmp_path_factory.mktemp("put"), monkeypatch)
    yield server
    server.system.store.clear()
    server.system.pseudo_dirs[:] = [""]
    assert os.listdir(tempfile.gettempdir()) == []


@pytest.fixture(scope="module")
def mfcc() -> mirfeat.Extractor:
    return mirfeat.load_extractor("mfcc")


@pytest.fixture
def clips(server: Server) -> list[str]:
    names = ["music/a/1.wav", "music/a/2.wav", "music/b/ü 3.WAV"]
    return [server.put(name, seed) for seed, name in enumerate(names)]


# -- which are addresses --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://bucket/a.wav", True),
        ("gs://bucket", True),
        ("https://host/a.mp3?x=1", True),
        ("music/a.wav", False),
        ("C:\\music\\a.wav", False),
        ("c://music", False),
        ("01: Intro.m4a", False),
        ("a/s3://b", False),
    ],
)
def test_what_is_an_address(text: str, expected: bool) -> None:
    assert is_url(text) is expected
    assert located(text) == (Remote(text) if expected else Path(text))
    assert str(located(text)) == (text if expected else str(Path(text)))
    assert located(located(text)) is not None


# -- one file -------------------------------------------------------------------------------------


def test_a_remote_file_gives_the_numbers_of_a_local_one(
    server: Server, clips: list[str], mfcc: mirfeat.Extractor, tmp_path: Path
) -> None:
    local = tmp_path / "1.wav"
    local.write_bytes(server.system.cat(clips[0]))
    expected = mfcc.extract_file(local)
    np.testing.assert_array_equal(mfcc.extract_file(clips[0]), expected, strict=True)
    np.testing.assert_array_equal(mfcc.extract(local.as_uri()), expected, strict=True)
    np.testing.assert_array_equal(mfcc.embed_file(clips[0]).values, mfcc.embed(local).values)
    # One at a time: fsspec's files in memory share one position among all who read them.
    results = list(mfcc.extract_many([clips[0], ("x", clips[0]), local], workers=1))
    assert [result.id for result in results] == [clips[0], "x", str(local)]
    for result in results:
        assert result.vector is not None
        np.testing.assert_array_equal(result.vector, expected, strict=True)


def test_messages_name_the_url_and_never_the_temporary_file(
    server: Server, clips: list[str], mfcc: mirfeat.Extractor
) -> None:
    whole = server.system.cat(clips[0])
    bad = {
        "text.wav": b"this is no audio",
        "empty.wav": b"",
        "header.wav": whole[:44],
        "cut.wav": whole[: len(whole) // 2],
        "video.m4a": b"\0\0\0\x20ftypM4A \0\0\0\0" + bytes(200),
    }
    for name, data in bad.items():
        url = server.put_bytes(name, data)
        with pytest.raises(mirfeat.MirfeatError, match=re.escape(f"{url}: ")) as caught:
            mfcc.extract_file(url)
        assert "mirfeat-remote" not in str(caught.value)


def test_the_copy_is_deleted_when_decoding_is_interrupted(
    server: Server, clips: list[str], mfcc: mirfeat.Extractor
) -> None:
    with pytest.raises(KeyboardInterrupt), fetched(Remote(clips[0])) as path:  # noqa: PT012
        assert path.exists()
        raise KeyboardInterrupt
    running = mfcc.extract_many(clips * 20, workers=2)
    next(running)
    running.close()  # type: ignore[attr-defined]
    # The fixture looks whether the folder of temporary files is empty.


def test_no_more_files_lie_here_than_threads_decode(
    server: Server, mfcc: mirfeat.Extractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = [server.put(f"many/{index}.wav", index) for index in range(12)]
    most, decode = 0, mirfeat.audio.clip.open_file  # type: ignore[attr-defined]

    def counting(*arguments: Any, **options: Any) -> Any:
        nonlocal most
        most = max(most, len(os.listdir(tempfile.gettempdir())))
        return decode(*arguments, **options)

    monkeypatch.setattr(mirfeat.audio.clip, "open_file", counting)  # type: ignore[attr-defined]
    assert len(list(mfcc.extract_many(urls, workers=2))) == 12
    assert 1 <= most <= 2


def test_errors_that_pass_are_tried_again(
    server: Server, clips: list[str], mfcc: mirfeat.Extractor
) -> None:
    server.errors = [ConnectionResetError("gone"), TimeoutError("slow")]
    expected = mfcc.extract_file(clips[0])
    assert len(server.taken("get")) == 3
    np.testing.assert_array_equal(mfcc.extract_file(clips[0]), expected)


def test_errors_that_stay_belong_to_one_file(
    server: Server, clips: list[str], mfcc: mirfeat.Extractor
) -> None:
    class OfTheServiceError(Exception):
        pass

    server.errors = [OfTheServiceError("out of order")] * 3
    results = list(mfcc.extract_many(clips, workers=1))
    assert [result.status for result in results] == ["failed", "ok", "ok"]
    assert results[0].error_type == "DecodeError"
    assert results[0].error == (
        f"{clips[0]}: cannot be fetched, tried 3 times (OfTheServiceError: out of order)."
    )


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileNotFoundError("x"), "there is no such file"),
        (PermissionError("403"), r"no permission to read it \(403\)"),
    ],
)
def test_what_will_not_change_is_tried_once(
    server: Server, clips: list[str], error: Exception, said: str
) -> None:
    server.errors = [error]
    with pytest.raises(DecodeError, match=said), fetched(Remote(clips[0])):
        pass
    assert len(server.taken("get")) == 1


def test_a_connection_that_closes_early_is_noticed(server: Server, clips: list[str]) -> None:
    with (
        pytest.raises(DecodeError, match=r"bytes came, 99999 were listed"),
        fetched(Remote(clips[0], size=99999)),
    ):
        pass


def test_what_a_killed_process_left_is_swept_away_after_a_day(server: Server) -> None:
    folder = Path(tempfile.gettempdir())
    old, young, other = (folder / name for name in ("mirfeat-remote-1", "mirfeat-remote-2", "x"))
    for path in (old, young, other):
        path.touch()
    for path in (old, other):
        os.utime(path, (time.time() - 90_000,) * 2)
    remote._sweep.cache_clear()
    remote._sweep()
    assert sorted(os.listdir(folder)) == ["mirfeat-remote-2", "x"]
    young.unlink()
    other.unlink()


# -- packages -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "kind", "said"),
    [
        ("gs://bucket/a.wav", MissingPackageError, "pip install gcsfs"),
        ("tos://bucket/a.wav", MissingPackageError, "pip install tosfs"),
        ("s4://bucket/a.wav", OptionError, "no kind of address that fsspec knows"),
    ],
)
def test_what_is_missing_for_an_address_is_said(
    url: str,
    kind: type[Exception],
    said: str,
    mfcc: mirfeat.Extractor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(remote.ALLOWED, "tos s4")
    for module in ("gcsfs", "tosfs"):
        if module in said and module in sys.modules:
            pytest.skip(f"{module} is here")
    with pytest.raises(kind, match=said):
        mfcc.extract_file(url)
    with pytest.raises(kind, match=said):
        mfcc.extract_to(tmp_path / "feats", [url])
    with pytest.raises(kind, match=said):
        find_audio([url])


def test_without_fsspec_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    remote._system.cache_clear()
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'mirfeat\[remote\]'"):
        find_audio(["s3://bucket/music"])
    remote._system.cache_clear()


# -- folders, ids, marks of change ----------------------------------------------------------------


def test_a_remote_folder_is_listed_as_a_local_one(server: Server) -> None:
    kept = ["a.wav", "b/1.MP3", "b/2.flac", "b-/x.wav", "c/.d.wav", "c/d/e.Opus"]
    for name in [*kept, "cover.jpg", "._a.wav", ".trash/b.wav", "x.wav.txt"]:
        server.put_bytes(f"music/{name}", b"?")
    server.calls.clear()
    found, root = survey(["memory://music/"])
    assert [str(item) for item in found] == [f"memory://music/{name}" for name in kept]
    assert str(root) == "memory://music"
    assert ids_of(found, root) == kept
    # One listing, not a question for each file; nor later, for what it said already.
    assert stamps(found) == [(1, item.stamp) for item in found if isinstance(item, Remote)]
    assert len(server.taken("info")) <= 1
    assert [str(item) for item in find_audio(["memory://music"], recursive=False)] == [
        "memory://music/a.wav"
    ]
    server.put_bytes("none/cover.jpg", b"?")
    with pytest.raises(OptionError, match=r"memory://none: no audio files"):
        find_audio(["memory://none"])


def test_lists_may_hold_addresses(server: Server, clips: list[str], tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("\n".join(clips), encoding="utf-8")
    found, root = survey([f"@{tmp_path / 'list.txt'}"])
    assert [str(item) for item in found] == clips
    assert str(root) == "memory://music"
    assert str(survey(clips[:2])[1]) == "memory://music/a"
    assert str(survey(clips[:1])[0][0]) == clips[0]


def test_ids_of_addresses_are_relative_and_safe_as_file_names() -> None:
    urls = ["s3://b/m/a.wav", "s3://b/m//a.wav", "s3://b/m/x/../../../a.wav", "s3://b/m/a b?c.wav"]
    expected = ["a.wav", "%2F/a.wav", "x/%2E%2E/%2E%2E/%2E%2E/a.wav", "a b?c.wav"]
    assert ids_of(urls[:1] + urls[2:], "s3://b/m/") == expected[:1] + expected[2:]
    assert ids_of(["s3://b/m/x//a.wav"], "s3://b/m") == ["x/%2F/a.wav"]
    assert ids_of(["s3://b/m/a.wav", "s3://c/a.wav"], folder_of_all(["s3://b/x", "s3://c/x"])) == [
        "b/m/a.wav",
        "c/a.wav",
    ]
    with pytest.raises(OptionError, match=r"s3://b/m2/a\.wav is not below s3://b/m,"):
        ids_of(["s3://b/m2/a.wav"], "s3://b/m")


def test_files_here_and_elsewhere_are_two_runs(tmp_path: Path) -> None:
    for mixed in (["s3://b/a", str(tmp_path)], ["s3://b/a", "gs://b/a"]):
        with pytest.raises(OptionError, match="Run once for each"):
            common_folder(mixed)
    with pytest.raises(OptionError, match="not below"):
        ids_of(["s3://b/a.wav"], tmp_path)
    with pytest.raises(OptionError, match="on disk"):
        only_local([Path("a.wav"), Remote("s3://b/a.wav")])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"ETag": '"abc"', "LastModified": 1}, {"ETag": "abc", "LastModified": 2}),
        (
            {"created": 1795277805.5},
            {"created": datetime.datetime.fromtimestamp(1795277805.5, datetime.timezone.utc)},
        ),
    ],
)
def test_a_mark_of_change_is_the_same_from_a_listing_and_a_question(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    one, two = (remote._known("s3://b/a", {"size": 9, **info}) for info in (first, second))
    assert (one.size, one.stamp) == (two.size, two.stamp)
    changed = remote._known("s3://b/a", {"size": 9, "ETag": "abd"})
    assert changed.stamp != one.stamp
    assert 0 <= changed.stamp < 2**63


# -- a folder of features -------------------------------------------------------------------------


def test_a_run_over_addresses_is_gone_on_with(
    server: Server, clips: list[str], mfcc: mirfeat.Extractor, tmp_path: Path
) -> None:
    store = tmp_path / "feats"
    report = mfcc.extract_to(store, find_audio(["memory://music"]), format="npz")
    assert (report.done, report.skipped) == (3, 0)
    assert StoreInfo.read(store).root == "memory://music"
    table = load_features(store)
    assert table.ids == ("a/1.wav", "a/2.wav", "b/ü 3.WAV")
    np.testing.assert_array_equal(table.values, [mfcc.extract_file(url) for url in clips])
    server.calls.clear()
    assert mfcc.extract_to(store, clips, format="npz").skipped == 3  # plain text, not a listing
    assert server.taken("get") == []
    server.put("music/a/1.wav", 77)
    server.put("music/b/new.wav", 78)
    report = mfcc.extract_to(store, find_audio(["memory://music"]), format="npz")
    assert (report.done, report.skipped) == (2, 2)
    with pytest.raises(OptionError, match="is not below memory://music"):
        mfcc.extract_to(store, [server.put("else/a.wav", 1)], format="npz")


def test_a_table_of_addresses_lists_what_failed(
    server: Server, clips: list[str], mfcc: mirfeat.Extractor
) -> None:
    table = mfcc.extract_files([*clips, "memory://music/absent.wav"])
    assert table.ids == ("a/1.wav", "a/2.wav", "b/ü 3.WAV")
    assert [(failure.id, failure.error) for failure in table.failures] == [
        ("absent.wav", "memory://music/absent.wav: there is no such file.")
    ]
    with pytest.raises(ExtractionError, match=r"memory://music: is a folder|no such file"):
        mfcc.extract_files(["memory://music"])


def test_the_command_takes_addresses(
    server: Server, clips: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "feats"
    command = ["extract", "memory://music", "-m", "mfcc", "-o", str(store), "-q"]
    assert main(command) == 0
    assert load_features(store).ids == ("a/1.wav", "a/2.wav", "b/ü 3.WAV")
    assert main([*command[:1], "memory://music", str(tmp_path), *command[2:]]) == 2
    assert main(["extract", "s4://x/y", *command[2:]]) == 2
    assert "s4://" in capsys.readouterr().err
