"""URLs that somebody else wrote: what is refused, where redirects end, what is never shown."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mirfeat
from mirfeat.audio import remote, web
from mirfeat.audio.addresses import Remote, public, without_secrets
from mirfeat.audio.collection import survey
from mirfeat.audio.ids import common_folder, ids_of
from mirfeat.audio.web import is_public
from mirfeat.cli import main
from mirfeat.errors import DecodeError, OptionError
from mirfeat.store.reading import load_features
from mirfeat.store.record import StoreInfo
from tests.support.local_server import Answer, Handler, LocalServer
from tests.support.sounds import music, write_wav

pytest.importorskip("fsspec")
pytest.importorskip("aiohttp")

AMAZON = "X-Amz-Algorithm=AWS4&X-Amz-Credential=AKIA%2F2026&X-Amz-Signature={}&X-Amz-Expires=60"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setattr(remote, "_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("fetched")))
    for name in (remote.ALLOWED, web.PRIVATE):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def mfcc() -> mirfeat.Extractor:
    return mirfeat.load_extractor("mfcc", device="cpu")


@pytest.fixture
def song(tmp_path: Path) -> bytes:
    return write_wav(tmp_path / "song.wav", music(0.3, 12_000), 12_000).read_bytes()


def sends(data: bytes) -> Answer:
    def answer(request: Handler) -> None:
        request.head(200, Content_Length=len(data), ETag="1")
        if request.command == "GET":
            request.wfile.write(data)

    return answer


@pytest.fixture
def server(song: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    monkeypatch.setattr(Handler, "do_HEAD", Handler.do_GET, raising=False)
    with LocalServer(sends(song)) as server:
        yield server


# Which addresses are taken


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "local:///etc/passwd",
        "ssh://host/a.wav",
        "ftp://host/a.wav",
        "github://org:repo@main/a.wav",
        "git://a.wav",
        "memory://a.wav",
        "reference://a.wav",
        "dir://a.wav",
        "data://text",
    ],
)
def test_only_kinds_that_are_allowed_by_name_are_taken(
    url: str, mfcc: mirfeat.Extractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = url.partition(":")[0]
    with pytest.raises(OptionError, match=f"^{kind}:// is no kind of address that is taken: s3, "):
        mfcc.extract(url)
    with pytest.raises(OptionError, match="MIRFEAT_PROTOCOLS"):
        survey([url])


def test_another_kind_is_allowed_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(remote.ALLOWED, "sftp, memory")
    with pytest.raises(DecodeError, match="there is no such file"):
        mirfeat.load_extractor("mfcc").extract("memory://none.wav")


@pytest.mark.parametrize(
    "url",
    [
        "http://host/a.zip::file:///etc/passwd",
        "https://host/x::simplecache::s3://b/a.wav",
        "s3://bucket/a::zip",
        "http://host/a.wav?x=1::local:///etc/passwd",
    ],
)
def test_chains_are_refused(url: str, mfcc: mirfeat.Extractor) -> None:
    with pytest.raises(OptionError, match="a chain of addresses"):
        mfcc.extract(url)


def test_a_chain_in_a_list_ends_the_run_before_it_begins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("http://127.0.0.1:1/a.wav\nhttp://127.0.0.1:1/b::file:///etc/passwd\n")
    assert main(["extract", f"@{listed}", "-m", "mfcc", "-o", str(tmp_path / "store")]) == 2
    assert "a chain of addresses" in capsys.readouterr().err


# Where redirects may lead


def moved(address: str) -> Answer:
    return lambda request: request.head(302, Location=address)


def test_a_redirect_into_this_network_is_refused_unless_it_is_allowed(
    server: LocalServer,
    mfcc: mirfeat.Extractor,
    song: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inside = f"http://localhost:{server.server_port}/inside.wav"
    server.answers = [moved(inside)]
    url = f"{server.address}/song.wav"
    with pytest.raises(DecodeError, match="sends us on to localhost, which is a host of this"):
        mfcc.extract(url)
    monkeypatch.setenv(web.PRIVATE, "1")
    server.answers = [moved(inside), sends(song)]
    assert len(mfcc.extract(url)) == mfcc.dimension


def test_a_redirect_on_the_same_host_is_followed(
    server: LocalServer, mfcc: mirfeat.Extractor, song: bytes
) -> None:
    server.answers = [moved("/elsewhere.wav"), sends(song)]
    assert len(mfcc.extract(f"{server.address}/song.wav")) == mfcc.dimension


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", False),
        ("::1", False),
        ("10.1.2.3", False),
        ("192.168.0.1", False),
        ("169.254.169.254", False),
        ("::ffff:10.0.0.1", False),
        ("fe80::1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("localhost", False),
    ],
)
def test_hosts_of_this_network_are_known(host: str, expected: bool) -> None:
    assert is_public(host) is expected


# What is never shown

SECRETS = {
    "https://user:secret@host/a/b.wav": "https://host/a/b.wav",
    "https://secret@host:8443/b.wav": "https://host:8443/b.wav",
    f"https://b.s3.host/a.wav?{AMAZON.format('secret')}": "https://b.s3.host/a.wav",
    "https://x.blob.host/c/a.wav?sv=2&sr=b&sig=secret&se=2026&sp=r": "https://x.blob.host/c/a.wav",
    "https://cdn/a.wav?Policy=secret&Signature=secret&Key-Pair-Id=secret": "https://cdn/a.wav",
    "https://host/get?id=5&token=secret": "https://host/get?id=5",
    "https://host/get?id=5&access_token=secret&x=1": "https://host/get?id=5&x=1",
    "https://host/get?api_key=secret": "https://host/get",
    "https://host/a.wav#secret": "https://host/a.wav",
    "https://host/a.wav?secret_key=secret#secret": "https://host/a.wav",
    "s3://key:secret@bucket/a@b.wav": "s3://bucket/a@b.wav",
    "s3://bucket/a#b.wav": "s3://bucket/a#b.wav",
    "https://host/a@b.wav?q=1": "https://host/a@b.wav?q=1",
}


@pytest.mark.parametrize(("url", "expected"), SECRETS.items())
def test_secrets_of_addresses_are_left_out(url: str, expected: str) -> None:
    assert public(url) == expected
    assert str(Remote(url)) == expected
    assert "secret" not in repr(Remote(url))
    assert without_secrets(f"no '{url}' here, nor {url}") == f"no '{expected}' here, nor {expected}"


def test_ids_stay_the_same_with_another_signature() -> None:
    root = None
    for signature in ("one", "two"):
        urls = [f"https://me:{signature}@h/m/{n}.wav?{AMAZON.format(signature)}" for n in "ab"]
        found = common_folder([url.rpartition("/")[0] for url in urls])
        assert str(found) == "https://h/m"
        assert root in (None, found)
        root = found
        assert ids_of(urls, found) == ["a.wav", "b.wav"]


def everything(folder: Path) -> str:
    return "".join(
        path.read_text("utf-8", "replace") for path in folder.rglob("*") if path.is_file()
    )


@pytest.mark.parametrize("verbose", [False, True])
def test_a_run_leaves_no_secret_anywhere(
    server: LocalServer,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    verbose: bool,
    song: bytes,
) -> None:
    port, store = server.server_port, tmp_path / "store"
    query = AMAZON.format("geheim2")
    good = f"http://user:geheim1@127.0.0.1:{port}/m/good.wav?{query}"
    gone = f"http://user:geheim1@127.0.0.1:{port}/m/gone.wav?{query}"
    broken = f"http://user:geheim1@127.0.0.1:{port}/m/broken.wav?{query}"
    refused = f"http://user:geheim1@127.0.0.1:{port}/m/refused.wav?{query}"

    def answer(request: Handler) -> None:
        name = request.path.partition("?")[0].rpartition("/")[2]
        codes = {"gone.wav": 404, "broken.wav": 500, "refused.wav": 403}
        if name in codes:
            request.send_error(codes[name])
        else:
            sends(song)(request)

    server.answers = [answer]
    listed = tmp_path / "list.txt"
    listed.write_text("\n".join((good, gone, broken, refused)))
    line = ["extract", f"@{listed}", "-m", "mfcc", "-o", str(store), "--json"]
    assert main([*line, *(["-v"] if verbose else [])]) == 1
    shown = capfd.readouterr()
    assert [f["id"] for f in json.loads(shown.out)["failures"]] == [
        "gone.wav",
        "broken.wav",
        "refused.wav",
    ]
    text = shown.out + shown.err + everything(store)
    for secret in ("geheim1", "geheim2", "AKIA"):
        assert secret not in text
    table = load_features(store)
    assert list(table.ids) == ["good.wav"]
    assert StoreInfo.read(store).root == f"http://127.0.0.1:{port}/m"
    # With tomorrow's signature it is the same file.
    listed.write_text("\n".join(url.replace("geheim2", "neu") for url in (good, gone)))
    assert main(line) == 0
    assert json.loads(capfd.readouterr().out)["skipped"] == 1


def test_ids_of_results_have_no_secrets(server: LocalServer, mfcc: mirfeat.Extractor) -> None:
    url = f"{server.address}/m/a.wav?token=geheim"
    (result,) = mfcc.extract_many([url])
    assert (result.id, result.status) == (f"{server.address}/m/a.wav", "ok")


def test_messages_of_a_folder_have_none(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    line: list[Any] = ["extract", "http://u:geheim@127.0.0.1:1/a.wav?sig=geheim", "-m", "mfcc"]
    assert main([*map(str, line), "-o", str(tmp_path / "store"), "-v"]) == 4
    captured = capsys.readouterr()
    assert "geheim" not in captured.out + captured.err
