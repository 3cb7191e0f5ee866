"""The Hub: checkpoints from it, extractors into it, by its own client against a local server."""

import json
import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from huggingface_hub import ModelCard, constants

import mirfeat
from mirfeat.checkpoints.huggingface import fetch
from mirfeat.checkpoints.sources import load_weights
from mirfeat.errors import (
    CheckpointError,
    CheckpointMismatchError,
    CheckpointUnavailableError,
    OptionError,
)
from mirfeat.networks import checkpoint, choi2017
from mirfeat.networks.choi2017_network import Choi2017
from mirfeat.networks.registry import get_spec
from tests.support.local_hub import TOKEN, LocalHub

# The client's own use of its HTTP library, when it uploads as the tests' server asks it to.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

NAME = "hamel2013-tag"
REPO = "org/tagger"
RATE = get_spec(NAME).mel.sample_rate
SOUND = mirfeat.Audio(np.random.default_rng(0).normal(0, 0.1, 2 * RATE).astype(np.float32), RATE)
NAMES = ["a.safetensors", "model.safetensors"]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """A local Hub, with the client's cache in a folder of its own and nobody logged in.

    The client reads its environment when it is imported, which is once for all tests; so what it
    made of HF_ENDPOINT and HF_HOME is replaced here. A test below uses the variables themselves.
    """
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    with LocalHub() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.address)
        template = server.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
        yield server


@pytest.fixture
def logged_in(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Files of a saved extractor."""
    folder = tmp_path_factory.mktemp("saved")
    with mirfeat.load_extractor(NAME, checkpoint="random:3") as extractor:
        assert extractor.save_pretrained(folder) == folder
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def vector(source: str | Path) -> np.ndarray:
    with mirfeat.load_extractor(NAME, checkpoint=source) as extractor:
        return extractor.extract(SOUND)


# Round trip.


@pytest.mark.usefixtures("logged_in")
def test_what_was_pushed_gives_the_same_vector(hub: LocalHub) -> None:
    with mirfeat.load_extractor(NAME, checkpoint="random:3") as ours:
        url = ours.push_to_hub(REPO, commit_message="first", metrics={"AUC": 0.5})
        expected = ours.extract(SOUND)
    commit = hub.repositories[REPO].refs["main"]
    assert url == f"{hub.address}/{REPO}/commit/{commit}"
    assert hub.messages == ["first"]
    assert not hub.repositories[REPO].private
    files = hub.repositories[REPO].commits[commit]
    assert files.keys() >= {"README.md", "config.json", "model.safetensors"}
    with mirfeat.load_extractor(NAME, checkpoint=f"hf://{REPO}") as theirs:
        np.testing.assert_array_equal(theirs.extract(SOUND), expected)
        assert theirs.provenance.checkpoint_name == f"hf://{REPO}@{commit}"
        # The same weights, so a run begun with the one goes on with the other.
        assert theirs.provenance.differences(ours.provenance) == []


@pytest.mark.usefixtures("logged_in")
def test_private_repositories_branches_and_pushing_again(hub: LocalHub) -> None:
    with mirfeat.load_extractor(NAME, checkpoint="random:3") as one:
        one.push_to_hub(REPO, private=True)
    with mirfeat.load_extractor(NAME, checkpoint="random:4") as two:
        two.push_to_hub(REPO, revision="second")
        two.push_to_hub(REPO, revision="second")
    assert hub.repositories[REPO].private
    np.testing.assert_array_equal(vector(f"hf://{REPO}"), vector("random:3"))
    np.testing.assert_array_equal(vector(f"hf://{REPO}@second"), vector("random:4"))


@pytest.mark.usefixtures("logged_in")
def test_a_name_without_organisation_is_the_users_own(hub: LocalHub) -> None:
    with mirfeat.load_extractor(NAME, checkpoint="random") as extractor:
        extractor.push_to_hub("mine")
    assert '"hf://tester/mine"' in hub.cards[0].replace("'", '"')


def test_the_clients_own_environment_variables(
    hub: LocalHub, saved: dict[str, bytes], tmp_path: Path
) -> None:
    hub.repository(REPO, saved, private=True)
    program = f"""
import mirfeat, numpy, sys
from mirfeat.errors import CheckpointUnavailableError
extractor = mirfeat.load_extractor({NAME!r}, checkpoint="hf://{REPO}")
numpy.save(sys.argv[1], extractor.extract(numpy.zeros({RATE}, "f4"), {RATE}))
try:
    mirfeat.load_extractor({NAME!r}, checkpoint="hf://{REPO}-of-which-nothing-is-here")
except CheckpointUnavailableError as error:
    sys.exit(str(error))
"""
    own = {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1"}

    def run(**more: str) -> str:
        (tmp_path / "vector.npy").unlink(missing_ok=True)
        command = [sys.executable, "-c", program, str(tmp_path / "vector.npy")]
        environment = {**os.environ, **own, **more}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert (tmp_path / "vector.npy").is_file(), done.stderr
        return done.stderr

    assert "HF_HUB_OFFLINE is set" not in run(HF_TOKEN=TOKEN)
    assert (tmp_path / "home" / "hub").is_dir()
    asked = len(hub.requests)
    assert asked
    assert "HF_HUB_OFFLINE is set" in run(HF_HUB_OFFLINE="1")
    assert len(hub.requests) == asked


# Revisions and the cache.


def test_branch_commit_and_slash(hub: LocalHub) -> None:
    first = hub.repository(REPO, {"model.safetensors": b"one"})
    second = hub.repositories[REPO].commit({"model.safetensors": b"two"})
    hub.repositories[REPO].refs["refs/pr/1"] = first
    for revision, commit, content in [
        ("", second, b"two"),
        ("@main", second, b"two"),
        (f"@{first}", first, b"one"),
        ("@refs/pr/1", first, b"one"),
    ]:
        path, resolved = fetch(f"hf://{REPO}{revision}", NAMES)
        assert (path.read_bytes(), resolved) == (content, commit)


def test_the_file_named_after_the_extractor_comes_first(hub: LocalHub) -> None:
    hub.repository(REPO, {"a.safetensors": b"a", "model.safetensors": b"m"})
    assert fetch(f"hf://{REPO}", NAMES)[0].read_bytes() == b"a"
    assert fetch(f"hf://{REPO}", ["b.safetensors", *NAMES[1:]])[0].read_bytes() == b"m"


def test_a_branch_that_moved_is_followed(hub: LocalHub) -> None:
    hub.repository(REPO, {"model.safetensors": b"one"})
    assert fetch(f"hf://{REPO}", NAMES)[0].read_bytes() == b"one"
    hub.repositories[REPO].commit({"a.safetensors": b"two"})
    assert fetch(f"hf://{REPO}", NAMES)[0].read_bytes() == b"two"


def test_a_cached_commit_needs_no_request(hub: LocalHub) -> None:
    commit = hub.repository(REPO, {"model.safetensors": b"one"})
    first = fetch(f"hf://{REPO}@{commit}", NAMES)
    hub.requests.clear()
    assert fetch(f"hf://{REPO}@{commit}", NAMES) == first
    assert hub.requests == []
    # This name was never asked for, so the Hub has to be.
    assert fetch(f"hf://{REPO}@{commit}", ["b.safetensors", "model.safetensors"]) == first
    assert hub.requests != []


@pytest.mark.parametrize("revision", ["", "@main", "@{commit}"])
def test_offline_the_cache_serves(
    hub: LocalHub, monkeypatch: pytest.MonkeyPatch, revision: str
) -> None:
    commit = hub.repository(REPO, {"model.safetensors": b"one"})
    fetch(f"hf://{REPO}", NAMES)
    hub.requests.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    address = f"hf://{REPO}{revision.format(commit=commit)}"
    # Also what was never asked for: there is no other choice.
    assert fetch(address, ["b.safetensors", "model.safetensors"])[1] == commit
    assert hub.requests == []


def test_offline_without_the_file_says_what_to_do(
    hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repository(REPO, {"model.safetensors": b"one"})
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(CheckpointUnavailableError, match=r"HF_HUB_OFFLINE is set.*hf download"):
        fetch(f"hf://{REPO}", NAMES)
    assert hub.requests == []


def test_a_hub_that_fails_falls_back_on_the_cache(
    hub: LocalHub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hub.repository(REPO, {"model.safetensors": b"one"})
    first = fetch(f"hf://{REPO}", NAMES)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    hub.broken = 503
    with caplog.at_level(logging.WARNING, "mirfeat"):
        assert fetch(f"hf://{REPO}", NAMES) == first
    assert "taking the cached" in caplog.text
    with pytest.raises(CheckpointUnavailableError, match=r"not cached: .*503"):
        fetch("hf://org/other", NAMES)


def test_no_server_at_all(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    template = "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    with pytest.raises(CheckpointUnavailableError, match="Check the connection"):
        fetch(f"hf://{REPO}", NAMES)


def test_a_cache_that_cannot_be_written_names_the_variable(
    hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repository(REPO, {"model.safetensors": b"one"})
    (tmp_path / "file").touch()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(CheckpointUnavailableError, match="HF_HOME names another"):
        fetch(f"hf://{REPO}", NAMES[1:])


# Tokens and refusals.


@pytest.mark.usefixtures("logged_in")
def test_the_token_is_sent(hub: LocalHub) -> None:
    hub.repository(REPO, {"model.safetensors": b"one"}, private=True)
    assert fetch(f"hf://{REPO}", NAMES)[0].read_bytes() == b"one"
    headers = hub.requests[0][2]
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert headers["user-agent"].startswith(f"mirfeat/{mirfeat.__version__}")
    # The storage is another host.
    for _, path, others in hub.requests:
        assert not (path.startswith("/storage") and "authorization" in others)


@pytest.mark.parametrize(
    ("kind", "revision", "token", "said"),
    [
        ({"private": True}, "", None, "private and your token may not read it. Set HF_TOKEN"),
        ({"gated": True}, "", None, "gated: ask for access on its page"),
        ({}, "", "hf_wrong", "HTTP 401.*token is not valid"),
        ({}, "@nowhere", None, "no such branch, tag or commit"),
        ({}, "@" + "0" * 40, None, "no such branch, tag or commit"),
    ],
)
def test_refusals_are_explained(
    hub: LocalHub,
    monkeypatch: pytest.MonkeyPatch,
    kind: dict[str, bool],
    revision: str,
    token: str | None,
    said: str,
) -> None:
    hub.repository(REPO, {"model.safetensors": b"one"}, **kind)
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(CheckpointUnavailableError, match=said):
        fetch(f"hf://{REPO}{revision}", NAMES)


def test_a_repository_that_is_not_there(hub: LocalHub) -> None:
    with pytest.raises(CheckpointUnavailableError, match="hf://org/none does not exist, or is pri"):
        vector("hf://org/none")


def test_a_repository_without_a_checkpoint(hub: LocalHub) -> None:
    hub.repository(REPO, {"pytorch_model.bin": b"pickle"})
    with pytest.raises(CheckpointUnavailableError, match=f"{NAME}.safetensors nor model.safetens"):
        vector(f"hf://{REPO}")


def test_checkpoints_of_others_are_refused(hub: LocalHub, saved: dict[str, bytes]) -> None:
    hub.repository(REPO, saved)
    with pytest.raises(CheckpointMismatchError, match=f"for {NAME!r}, not for 'hamel2013-genre'"):
        mirfeat.load_extractor("hamel2013-genre", checkpoint=f"hf://{REPO}")
    hub.repository("org/other", {"model.safetensors": b"\x08" + bytes(7) + b"{}      "})
    with pytest.raises(CheckpointMismatchError, match="without mirfeat's metadata"):
        vector("hf://org/other")


@pytest.mark.parametrize("address", ["hf://", "hf://org", "hf://a/b/c", "hf://a/b@", "hf://a b/c"])
def test_addresses_of_another_form(hub: LocalHub, address: str) -> None:
    with pytest.raises(OptionError, match="hf://org/repo"):
        vector(address)
    assert hub.requests == []


def test_names_that_the_hub_does_not_take(hub: LocalHub) -> None:
    with pytest.raises(OptionError, match=r"hf://org/a--b"):
        vector("hf://org/a--b")
    assert hub.requests == []


# What is saved.


def write(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def test_a_saved_folder_is_a_checkpoint(saved: dict[str, bytes], tmp_path: Path) -> None:
    folder = write(tmp_path / "copy", saved)
    np.testing.assert_array_equal(vector(folder), vector("random:3"))
    np.testing.assert_array_equal(vector(str(folder)), vector(folder / "model.safetensors"))
    # The older name goes before the new one.
    (folder / "model.safetensors").rename(folder / f"{NAME}.safetensors")
    (folder / "model.safetensors").write_bytes(b"of another extractor")
    np.testing.assert_array_equal(vector(folder), vector("random:3"))


def test_config(saved: dict[str, bytes]) -> None:
    config = json.loads(saved["config.json"])
    with mirfeat.load_extractor(NAME, checkpoint="random:3") as extractor:
        provenance = extractor.provenance.to_dict()
        assert config.pop("options") == provenance["options"]
        assert sum(config.pop("blocks").values()) == extractor.row_dimension
        assert config == {
            "library_name": "mirfeat",
            "mirfeat_version": mirfeat.__version__,
            "extractor": NAME,
            "spec_version": extractor.spec.version,
            "sample_rate": RATE,
            "channels": extractor.channels,
            "segment_seconds": extractor.segment_seconds,
            "hop_seconds": extractor.hop_seconds,
            "dimension": extractor.dimension,
            "checkpoint_sha256": provenance["checkpoint_sha256"],
        }


def test_the_card_is_one_that_the_hub_reads(saved: dict[str, bytes], tmp_path: Path) -> None:
    card = ModelCard.load(write(tmp_path / "copy", saved) / "README.md")
    assert card.data.license == "apache-2.0"
    assert card.data.library_name == "mirfeat"
    assert card.data.pipeline_tag == "feature-extraction"
    assert {"mirfeat", "music", NAME} <= set(card.data.tags)
    assert "## Metrics\n\nNot measured." in card.text
    assert "the weights are random numbers" in card.text
    assert get_spec(NAME).paper.bibtex.strip() in card.text
    assert str(tmp_path) not in card.content


def test_metrics_and_options_in_the_card(tmp_path: Path) -> None:
    options = {"statistics": ("mean",), "hop_seconds": 0.5, "max_seconds": 10.0}
    with mirfeat.load_extractor(NAME, checkpoint="random", **options) as extractor:
        extractor.save_pretrained(tmp_path, metrics={"AUC": 0.9, "data": "tests"})
    text = (tmp_path / "README.md").read_text()
    assert "| AUC | 0.9 |\n| data | tests |" in text
    for name, value in options.items():
        assert f"{name}={value!r}" in text


def test_usage_in_the_card_runs(
    saved: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = write(tmp_path / "copy", saved)
    monkeypatch.chdir(folder)
    soundfile.write("song.wav", np.ravel(SOUND.samples), RATE)
    (usage,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    exec(usage, {})
    assert NAME in capsys.readouterr().out


@pytest.mark.usefixtures("logged_in")
def test_usage_in_a_pushed_card_runs(
    hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"sources": ("tag", "self"), "hop_seconds": 1.0}
    with mirfeat.load_extractor("kim2019-mss-cr", checkpoint="random", **options) as extractor:
        extractor.push_to_hub(REPO)
        expected = extractor.extract(SOUND)
    monkeypatch.chdir(tmp_path)
    # As float: 16 bits would be another sound.
    soundfile.write("song.wav", np.ravel(SOUND.samples), RATE, subtype="FLOAT")
    (usage,) = re.findall(r"```python\n(.*?)```", hub.cards[0], re.DOTALL)
    names: dict[str, np.ndarray] = {}
    exec(usage, names)
    np.testing.assert_array_equal(names["vector"], expected)


def test_an_existing_card_is_kept_and_the_rest_replaced(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    for seed in (1, 2):
        with mirfeat.load_extractor(NAME, checkpoint=f"random:{seed}") as extractor:
            extractor.save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"
    np.testing.assert_array_equal(vector(tmp_path), vector("random:2"))


def test_a_saved_copy_can_be_saved_again_in_its_place(
    saved: dict[str, bytes], tmp_path: Path
) -> None:
    saved = dict(saved)
    folder = write(tmp_path / "copy", saved)
    with mirfeat.load_extractor(NAME, checkpoint=folder) as extractor:
        (folder / "README.md").unlink()
        extractor.save_pretrained(folder)
    again = {path.name: path.read_bytes() for path in folder.iterdir()}
    # safetensors writes its header in any order.
    (tmp_path / "before").write_bytes(saved.pop("model.safetensors"))
    now, before = (
        checkpoint.read(folder / "model.safetensors"),
        checkpoint.read(tmp_path / "before"),
    )
    assert (now.metadata, now.sha256) == (before.metadata, before.sha256)
    assert again.items() >= saved.items()


def own(tmp_path: Path, **metadata: object) -> Path:
    """A checkpoint that the user trained."""
    weights = load_weights(get_spec(NAME), "random:5")
    assert weights is not None
    path = tmp_path / "own.safetensors"
    metadata = {**weights.metadata, **metadata}
    checkpoint.write(path, replace(weights, metadata=metadata, sha256=""))
    return path


@pytest.mark.parametrize(
    ("licence", "known"),
    [
        ("CC BY 4.0", "cc-by-4.0"),
        ("CC BY-NC-SA 4.0 https://creativecommons.org/licenses", "cc-by-nc-sa-4.0"),
        ("CC0", "cc0-1.0"),
        ("MIT (the authors')", "mit"),
    ],
)
def test_licence_and_data_come_from_the_checkpoint(
    tmp_path: Path, licence: str, known: str
) -> None:
    path = own(tmp_path, licence=licence, training_data="42 songs", datasets=["org/songs"])
    with mirfeat.load_extractor(NAME, checkpoint=path) as extractor:
        extractor.save_pretrained(tmp_path / "saved")
    card = ModelCard.load(tmp_path / "saved" / "README.md")
    assert (card.data.license, card.data.datasets) == (known, ["org/songs"])
    assert "42 songs" in card.text


def test_weights_without_a_licence_say_so(tmp_path: Path) -> None:
    with mirfeat.load_extractor(NAME, checkpoint=own(tmp_path)) as extractor:
        extractor.save_pretrained(tmp_path / "saved")
    card = ModelCard.load(tmp_path / "saved" / "README.md")
    assert (card.data.license, card.data.license_name) == ("other", "not-stated")
    assert "## Licence\n\nNot stated." in card.text


# What is refused.


@pytest.fixture
def msd_like(tmp_path: Path) -> Path:
    """What passes for a conversion of the authors' file."""
    weights = choi2017.weights_of(Choi2017(), 1.0)
    path = tmp_path / "converted.safetensors"
    checkpoint.write(path, replace(weights, sha256=choi2017.MSD.sha256))
    return path


@pytest.mark.usefixtures("logged_in")
def test_the_authors_weights_are_saved_for_oneself_and_never_pushed(
    hub: LocalHub, msd_like: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    saved = tmp_path / "saved"
    for source in (msd_like, saved):
        with mirfeat.load_extractor("choi2017", checkpoint=source) as extractor:
            extractor.save_pretrained(saved)
            with pytest.raises(CheckpointError, match="is not pushed: its licence, 'none stated"):
                extractor.push_to_hub(REPO)
    assert hub.requests == []
    assert "for your own use only" in caplog.text
    card = ModelCard.load(saved / "README.md")
    assert (card.data.license, card.data.license_name) == ("other", "no-redistribution")
    assert "**Not to be redistributed.**" in card.text


@pytest.mark.usefixtures("logged_in")
@pytest.mark.parametrize("licence", ["not stated", "CC BY-NC-ND 4.0", "ask me: MIT"])
def test_other_licences_are_not_pushed(hub: LocalHub, tmp_path: Path, licence: str) -> None:
    with (
        mirfeat.load_extractor(NAME, checkpoint=own(tmp_path, licence=licence)) as extractor,
        pytest.raises(CheckpointError, match="is not pushed"),
    ):
        extractor.push_to_hub(REPO)
    assert hub.requests == []


@pytest.mark.usefixtures("logged_in")
def test_a_calibration_of_the_authors_weights_has_their_licence(
    hub: LocalHub, msd_like: Path, music: Path, tmp_path: Path
) -> None:
    from mirfeat.training.calibration import calibrate

    tracks = [str(path) for path in sorted(music.glob("*.ogg"))[:2]]
    for source, target in [(msd_like, "one.safetensors"), ("one.safetensors", "two.safetensors")]:
        calibrate(tracks, str(tmp_path / source), 2).write(tmp_path / target)
    with mirfeat.load_extractor("choi2017", checkpoint=tmp_path / "two.safetensors") as extractor:
        assert extractor.provenance.checkpoint_sha256 != choi2017.MSD.sha256
        with pytest.raises(CheckpointError, match="is not pushed"):
            extractor.push_to_hub(REPO)


@pytest.mark.parametrize("method", ["save_pretrained", "push_to_hub"])
def test_extractors_without_a_checkpoint_of_their_own(method: str, tmp_path: Path) -> None:
    with mirfeat.load_extractor("mfcc") as mfcc:
        with pytest.raises(OptionError, match="mfcc has no weights"):
            getattr(mfcc, method)(str(tmp_path / "out"))
        both = mirfeat.concatenate(mirfeat.load_extractor(NAME, checkpoint="random"), mfcc)
        with pytest.raises(OptionError, match=r"its parts differ. Use extractor.parts"):
            getattr(both, method)(str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_weights_that_changed_meanwhile(tmp_path: Path) -> None:
    path = own(tmp_path)
    with mirfeat.load_extractor(NAME, checkpoint=path) as extractor:
        own(tmp_path, licence="MIT")
        with pytest.raises(CheckpointMismatchError, match="has changed since"):
            extractor.save_pretrained(tmp_path / "saved")


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        mirfeat.load_extractor(NAME, checkpoint="random") as extractor,
        pytest.raises(OptionError, match="is a file; give a folder"),
    ):
        extractor.save_pretrained(tmp_path / "file")


def test_pushing_needs_a_token_and_a_network(
    hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mirfeat.load_extractor(NAME, checkpoint="random") as extractor:
        with pytest.raises(CheckpointError, match="HF_TOKEN or run 'hf auth login' with a token"):
            extractor.push_to_hub(REPO)
        with pytest.raises(CheckpointError, match=f"{REPO} could not be pushed to"):
            extractor.push_to_hub(REPO, token="hf_wrong")
        with pytest.raises(CheckpointError, match="could not be pushed to"):
            extractor.push_to_hub("not a name", token=TOKEN)
        hub.broken = 500
        with pytest.raises(CheckpointError, match="500"):
            extractor.push_to_hub(REPO, token=TOKEN)
        hub.requests.clear()
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        with pytest.raises(CheckpointError, match="HF_HUB_OFFLINE is set"):
            extractor.push_to_hub(REPO, token=TOKEN)
    assert hub.requests == []
    assert hub.repositories == {}


def test_a_push_that_breaks_off_leaves_the_branch_as_it_was(
    hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = hub.repository(REPO, {"model.safetensors": b"one"})
    with (
        mirfeat.load_extractor(NAME, checkpoint="random") as extractor,
        pytest.raises(CheckpointError, match=f"{REPO} could not be pushed to"),
    ):
        extractor.push_to_hub(REPO, token=TOKEN, revision="refs/pr/7")
    assert hub.repositories[REPO].refs == {"main": before}


def test_a_branch_of_the_cache_survives_a_lost_blob(hub: LocalHub) -> None:
    hub.repository(REPO, {"model.safetensors": b"one"})
    path, _ = fetch(f"hf://{REPO}", NAMES)
    shutil.rmtree(path.parents[2] / "blobs")
    assert fetch(f"hf://{REPO}", NAMES)[0].read_bytes() == b"one"
