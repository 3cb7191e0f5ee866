"""Checkpoints of the 4TU item, against a local server that speaks the same JSON."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import mirfeat
from mirfeat.checkpoints import downloads, fourtu, transfer
from mirfeat.checkpoints.sources import load_weights
from mirfeat.errors import (
    CheckpointMismatchError,
    CheckpointUnavailableError,
    ChecksumError,
    OptionError,
)
from mirfeat.files import sha256_of
from mirfeat.networks import kim2019
from mirfeat.networks.checkpoint import Weights
from mirfeat.networks.registry import get_spec
from tests.support.authors_kim2019 import SCALER, save_checkpoint, save_scaler
from tests.support.fake_4tu import ARTICLE, LICENCE, Repository, recompressed
from tests.support.local_server import cut, reset, status, whole

DEFAULTS = {
    "kim2019-ss-r": ("tag0", ["tag"], "fc"),
    "kim2019-mss-cr": ("allsrcnull0", ["self_", "tag"], "null"),
    "kim2019-ms-cr-2": ("allsrc20", ["self_", "tag"], "2"),
    "kim2019-ms-cr-4": ("allsrc40", ["self_", "tag"], "4"),
    "kim2019-ms-cr-6": ("allsrc60", ["self_", "tag"], "6"),
    "kim2019-ms-sr-fc": ("allsrcfc0", ["self_", "tag"], "fc"),
}
FC = "kim2019-ms-sr-fc"
FC_FILE = "conf.allsrcfc0_checkpoint_it199.pth.tar"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Contents of checkpoints by experiment id, and of the scaler."""
    folder = tmp_path_factory.mktemp("made")
    contents = {
        experiment: save_checkpoint(folder, tasks, branch_at).read_bytes()
        for experiment, tasks, branch_at in DEFAULTS.values()
    }
    return {**contents, SCALER: (folder / SCALER).read_bytes()}


@pytest.fixture
def server(
    made: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Repository]:
    """The item with one checkpoint, the scaler at its other address."""
    monkeypatch.setattr(transfer, "PAUSE_SECONDS", 0.0)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    with Repository() as server:
        monkeypatch.setattr(fourtu, "API", server.address)
        monkeypatch.setattr(fourtu, "SCALER_ADDRESS", f"{server.address}/raw/{SCALER}")
        server.put(FC_FILE, made["allsrcfc0"])
        (tmp_path / SCALER).write_bytes(made[SCALER])
        server.put_scaler(tmp_path / SCALER)
        yield server


def load(extractor: str = FC, checkpoint: str = "4tu") -> Weights:
    weights = load_weights(get_spec(extractor), checkpoint)
    assert weights is not None
    return weights


def cached() -> set[str]:
    folder = downloads.cache_folder() / "kim2019"
    names = {path.name for path in folder.iterdir()} if folder.exists() else set()
    return {name for name in names if not name.endswith("-v1.json")}  # notes of conversions


def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_every_branch_point_has_a_default_that_loads(
    server: Repository, made: dict[str, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    server.entries.clear()
    for experiment, _, _ in DEFAULTS.values():
        server.put(f"conf.{experiment}_checkpoint_it199.pth.tar", made[experiment])
    audio = 0.1 * np.random.default_rng(0).standard_normal((2, 55_125)).astype(np.float32)
    for name, (experiment, tasks, _) in DEFAULTS.items():
        extractor = mirfeat.load_extractor(name, checkpoint="4tu")
        assert np.isfinite(extractor.extract(audio, 22_050)).all()
        weights = load(name)
        assert weights.metadata["experiment"] == experiment
        assert list(weights.metadata["sources"]) == [task.rstrip("_") for task in tasks]
    assert "licence CC BY 4.0 https://example.org/by" in caplog.text
    # Of independent networks, one.
    single = mirfeat.load_extractor("kim2019-ss-r", checkpoint="4tu:allsrcnull0", sources="self")
    assert single.feature_names[0] == "kim2019-ss-r.self.000.mean"


def test_all_branch_points_are_the_networks() -> None:
    for name, shared in kim2019.BRANCH_POINTS.items():
        assert fourtu.SHARED_STAGES[fourtu._BRANCHES[name]] == shared


def test_what_is_known_of_the_item_is_kept_with_the_weights(
    server: Repository, made: dict[str, bytes]
) -> None:
    first = load()
    source = downloads.cache_folder() / "kim2019" / FC_FILE
    assert source.read_bytes() == made["allsrcfc0"]
    assert first.sha256 == sha256_of(source)
    record = {
        "licence": f"CC BY 4.0 {LICENCE['url']}",
        "doi": "10.4121/12692300.v1",
        "title": "MTL Music Representation",
        "file": FC_FILE,
        "scaler": SCALER,
    }
    assert record.items() <= first.metadata.items()
    assert record.items() <= load().metadata.items()


def test_the_second_load_needs_neither_network_nor_pickle(
    server: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load()
    asked = len(server.asked)
    monkeypatch.setattr(torch, "load", None)
    monkeypatch.setattr("mirfeat.networks.kim2019_authors.read_scaler", None)
    for forbidden in (False, True):
        if forbidden:
            offline(monkeypatch)
        second = load()
        assert second.metadata == first.metadata
        assert second.sha256 == first.sha256
        assert all(torch.equal(second.tensors[key], first.tensors[key]) for key in first.tensors)
    assert len(server.asked) == asked


def test_offline_the_cached_files_are_enough(
    server: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load()
    fourtu.converted_path(FC, 1, "allsrcfc0").unlink()
    asked = len(server.asked)
    offline(monkeypatch)
    assert load().metadata == first.metadata
    assert len(server.asked) == asked
    # They are still checked.
    (downloads.cache_folder() / "kim2019" / FC_FILE).write_bytes(b"other")
    fourtu.converted_path(FC, 1, "allsrcfc0").unlink()
    with pytest.raises(ChecksumError, match=r"md5 is .* Delete the file"):
        load()


@pytest.mark.parametrize("listed", [True, False], ids=["listed", "unknown"])
def test_offline_nothing_is_asked(
    listed: bool, server: Repository, made: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    if listed:
        server.put("conf.tag0_checkpoint_it199.pth.tar", made["tag0"])
        load()
    asked = len(server.asked)
    offline(monkeypatch)
    with pytest.raises(CheckpointUnavailableError, match="HF_HUB_OFFLINE is set"):
        load("kim2019-ss-r")
    assert len(server.asked) == asked


def test_an_id_finds_its_last_epoch(server: Repository, made: dict[str, bytes]) -> None:
    server.put("a.b.232_checkpoint_it20.pth.tar", b"early")
    server.put("folder/a.b.232_checkpoint_it199.pth.tar", made["allsrc20"])
    server.put("a.b.232_checkpoint_it99.pth.tar", b"later")
    assert load("kim2019-ms-cr-2", "4tu:232").metadata["file"].endswith("it199.pth.tar")


def entries(*names: str) -> list[fourtu.File]:
    return [fourtu.File(f"c.{name}_checkpoint_it199.pth.tar", 1, "", "") for name in names]


def test_ids_with_underscores_are_found_whole_or_cut() -> None:
    files = entries("cdr_tag0", "tag0", "self_0", "self_1", "231_a")
    assert fourtu.pick(files, "cdr_tag0") is files[0]
    assert fourtu.pick(files, "cdr") is files[0]
    assert fourtu.pick(files, "tag0") is files[1]
    assert fourtu.pick(files, "231") is files[4]
    with pytest.raises(CheckpointUnavailableError, match=r"any of c\.self_0, c\.self_1"):
        fourtu.pick(files, "self")


def test_an_unknown_id_lists_the_nearest(server: Repository) -> None:
    server.put("conf.allsrc20_checkpoint_it199.pth.tar", b"")
    message = r"no experiment 'allsrc21' among its 2\. Nearest: allsrc20, allsrcfc0"
    with pytest.raises(CheckpointUnavailableError, match=message):
        load("kim2019-ms-cr-2", "4tu:allsrc21")


@pytest.mark.parametrize("name", ["4tu:", "4tu:a/b", "4tu:../x"])
def test_an_id_of_no_possible_form_is_an_option_error(name: str, server: Repository) -> None:
    with pytest.raises(OptionError, match="an id is letters and digits"):
        load(FC, name)
    assert server.asked == []


def test_other_extractors_have_none_there() -> None:
    with pytest.raises(CheckpointUnavailableError, match="'4tu' is neither a file"):
        load("choi2017", "4tu")
    with pytest.raises(CheckpointUnavailableError, match="'random', '4tu'"):
        load(FC, "nonsense")


def test_archives_are_to_be_unpacked_by_hand(server: Repository) -> None:
    server.entries.clear()
    server.put("models.zip", b"PK")
    with pytest.raises(CheckpointUnavailableError, match=r"archives \(models\.zip\).*by hand"):
        load()
    server.entries.clear()
    server.put("readme.txt", b"")
    with pytest.raises(CheckpointUnavailableError, match=r"no file of the form"):
        load()


def test_the_wrong_extractor_is_told_the_right_one(server: Repository) -> None:
    with pytest.raises(CheckpointMismatchError, match=r"load it as 'kim2019-ms-sr-fc'"):
        load("kim2019-mss-cr", "4tu:allsrcfc0")


# The API


def test_the_api_is_asked_for_json(server: Repository) -> None:
    load()
    assert server.headers[0]["Accept"] == "application/json"


def test_files_may_be_listed_at_an_address_of_their_own(server: Repository) -> None:
    server.describe(inside=False, license="CC0")
    assert load().metadata["licence"] == "CC0"


def test_more_than_ten_files_are_found(server: Repository, made: dict[str, bytes]) -> None:
    for number in range(12):
        server.put(f"conf.{number}_checkpoint_it199.pth.tar", b"")
    server.put("conf.allsrc20_checkpoint_it199.pth.tar", made["allsrc20"])
    load("kim2019-ms-cr-2")


def test_a_list_inside_the_article_is_enough(server: Repository) -> None:
    server.paths[f"{ARTICLE}/files"] = [status(404)]
    load()


def test_a_missing_article_is_named(server: Repository) -> None:
    server.paths[ARTICLE] = [status(404)]
    with pytest.raises(CheckpointUnavailableError, match=r"articles/12692300: .*HTTP 404.*by hand"):
        load()
    assert server.asked == [ARTICLE]
    assert cached() == set()


def test_a_passing_trouble_of_the_api_is_overcome(server: Repository) -> None:
    good = server.paths[ARTICLE][0]
    server.paths[ARTICLE] = [status(503), cut(b"x" * 100, 10, ranges=False), good]
    load()
    server.paths[ARTICLE] = [status(503)]
    with pytest.raises(CheckpointUnavailableError, match="HTTP 503"):
        load("kim2019-mss-cr")


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b'{"files": 3}',
        b'{"files": [3]}',
        b'{"files": [{"name": "x"}]}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_malformed_answers_are_refused(record: bytes, server: Repository) -> None:
    server.paths[ARTICLE] = [whole(record, ranges=False)]
    server.paths[f"{ARTICLE}/files"] = [status(404)]
    with pytest.raises(CheckpointUnavailableError, match="not the list of files"):
        load()
    assert cached() == set()


def test_an_item_without_files_is_refused(server: Repository) -> None:
    server.entries.clear()
    server.describe(inside=False)
    with pytest.raises(CheckpointUnavailableError, match="no files"):
        load()


def test_an_endless_answer_is_cut(server: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fourtu, "_MAX_JSON_BYTES", 10)
    with pytest.raises(CheckpointUnavailableError, match="more than 10 bytes"):
        load()


@pytest.mark.parametrize(
    "changes",
    [{"computed_md5": None}, {"computed_md5": "xyz"}, {"download_url": "file:///etc/hostname"}],
)
def test_what_cannot_be_checked_is_not_fetched(
    changes: dict, server: Repository, made: dict[str, bytes]
) -> None:
    server.put("conf.tag0_checkpoint_it199.pth.tar", made["tag0"], **changes)
    with pytest.raises(CheckpointUnavailableError, match="not enough to fetch it safely"):
        load("kim2019-ss-r")


# Downloads


def test_another_md5_is_refused(server: Repository, made: dict[str, bytes]) -> None:
    name = "conf.tag0_checkpoint_it199.pth.tar"
    server.put(name, made["tag0"], computed_md5="0" * 32)
    with pytest.raises(ChecksumError, match=f"md5 is .*, expected {'0' * 32}"):
        load("kim2019-ss-r")
    assert not any("checkpoint" in file for file in cached())


@pytest.mark.parametrize("change", [-1, 1])
def test_another_size_is_refused(change: int, server: Repository, made: dict[str, bytes]) -> None:
    data = made["tag0"]
    server.put("conf.tag0_checkpoint_it199.pth.tar", data, size=len(data) + change)
    with pytest.raises(ChecksumError, match=f"the server has {len(data)} bytes"):
        load("kim2019-ss-r")
    assert not any("checkpoint" in file for file in cached())


def test_a_broken_download_goes_on_where_it_stopped(
    server: Repository, made: dict[str, bytes]
) -> None:
    data = made["allsrcfc0"]
    path = server.entries[0]["download_url"].removeprefix(server.address)
    server.paths[path] = [cut(data, 100_000), reset(data, 200_000), whole(data)]
    load()
    ranges = [h.get("Range") for h in server.headers if "Range" in h]
    assert ranges[0] == "bytes=100000-"
    assert server.asked.count(path) == 3
    server.paths[path] = [cut(data, 100_000)]
    (downloads.cache_folder() / "kim2019" / FC_FILE).unlink()
    fourtu.converted_path(FC, 1, "allsrcfc0").unlink()
    with pytest.raises(CheckpointUnavailableError, match=r"'4tu:allsrcfc0' could not be"):
        load()
    assert cached() == {SCALER, "4tu-item.json"}


# The scaler


def test_the_scaler_is_taken_from_the_item(server: Repository, tmp_path: Path) -> None:
    other = recompressed(tmp_path / SCALER)
    server.put(SCALER, other)
    load()
    assert (downloads.cache_folder() / "kim2019" / SCALER).read_bytes() == other
    assert f"/raw/{SCALER}" not in server.asked


def test_the_scaler_is_fetched_and_its_numbers_used(server: Repository, tmp_path: Path) -> None:
    mean, scale = save_scaler(tmp_path / SCALER)
    tensors = load().tensors
    np.testing.assert_allclose(tensors["frontend.standardise.mean"][:, 0], mean, rtol=1e-6)
    np.testing.assert_allclose(tensors["frontend.standardise.scale"][:, 0], scale, rtol=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"n_samples_seen_": 1_682_685_364},
        {"n_samples_seen_": np.full(128, 356_427_874)},
        {"mean_": np.linspace(-43.753, 5.426, 128)},
        {"scale_": np.linspace(9.759, 13.987, 128)},
    ],
)
def test_another_scaler_is_refused(changes: dict, server: Repository, tmp_path: Path) -> None:
    save_scaler(tmp_path / SCALER, **changes)
    server.put_scaler(tmp_path / SCALER)
    with pytest.raises(ChecksumError, match="not the scaler of the published checkpoints"):
        load()
    assert SCALER not in cached()


def test_a_scaler_that_is_none_is_refused(server: Repository, tmp_path: Path) -> None:
    (tmp_path / SCALER).write_bytes(b"404: Not Found")
    server.put_scaler(tmp_path / SCALER)
    with pytest.raises(CheckpointMismatchError, match="not a scaler"):
        load()
    assert SCALER not in cached()


def test_a_missing_scaler_may_be_put_there(server: Repository, tmp_path: Path) -> None:
    del server.paths[f"/raw/{SCALER}"]
    with pytest.raises(CheckpointUnavailableError, match=r"raw/sclr_dbmel.*put it into"):
        load()
    (downloads.cache_folder() / "kim2019" / SCALER).write_bytes((tmp_path / SCALER).read_bytes())
    load()


def test_only_the_scaler_that_a_checkpoint_names_will_do(
    server: Repository, made: dict[str, bytes], tmp_path: Path
) -> None:
    path = tmp_path / "x.pth.tar"
    path.write_bytes(made["tag0"])
    record = torch.load(path, weights_only=True)
    torch.save({**record, "scaler_fn": "models/sclr_dbmel3.dat.gz"}, path)
    server.put("conf.tag0_checkpoint_it199.pth.tar", path.read_bytes())
    with pytest.raises(CheckpointUnavailableError, match=r"scaler 'sclr_dbmel3\.dat\.gz'"):
        load("kim2019-ss-r")
    assert f"/raw/{SCALER}" not in server.asked


def test_a_cache_that_cannot_be_written_is_named(
    server: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MIRFEAT_CACHE", str(tmp_path / "file"))
    with pytest.raises(CheckpointUnavailableError, match="MIRFEAT_CACHE names another"):
        load()


def test_the_kept_listing_says_what_the_api_said(server: Repository) -> None:
    load()
    kept = json.loads((downloads.cache_folder() / "kim2019" / "4tu-item.json").read_text())
    assert kept["doi"] == "10.4121/12692300.v1"
    assert [file["name"] for file in kept["files"]] == [FC_FILE]
