"""Job arrays: shards of one folder, written apart and read as one."""

import logging
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import mirfeat
from mirfeat.cli import main
from mirfeat.cli.output import USAGE
from mirfeat.errors import OptionError, ProvenanceError, StoreError
from mirfeat.evaluation.inputs import read_features, read_rows
from mirfeat.extractor import Extractor
from mirfeat.results.outcomes import Failure
from mirfeat.store.claims import claim_shard
from mirfeat.store.jobarray import Shard, is_plain_store, parent_of, shard_folders
from mirfeat.store.reading import load_embeddings, load_features
from mirfeat.store.record import StoreInfo, is_store, read_failures
from mirfeat.store.writer import StoreWriter
from tests.support.sounds import music, write_wav
from tests.support.stores import NAMES, PROVENANCE, info, row, write_embeddings

IDS = [f"folder/{number:03d} ü.wav" for number in range(300)]


def fill(parent: Path, shard: Shard, ids: list[str], record: StoreInfo, failed: str = "") -> Path:
    """One job: its share of ``ids``."""
    claim_shard(parent, shard, record, overwrite=False)
    folder = shard.folder(parent)
    with StoreWriter(folder, record, resume=True, overwrite=False) as store:
        for number, id in enumerate(ids):
            if shard.has(id):
                store.add(row(id, number=number))
        if failed:
            store.fail(Failure(failed, "DecodeError", "damaged"))
    return folder


@pytest.mark.parametrize("total", [1, 2, 7, 20])
def test_every_clip_belongs_to_one_shard(total: int) -> None:
    shards = [Shard(number, total) for number in range(1, total + 1)]
    owners = [[shard for shard in shards if shard.has(id)] for id in IDS]
    assert all(len(found) == 1 for found in owners)
    sizes = Counter(found[0] for found in owners)
    assert len(sizes) == total
    # Even: by chance alone 300 clips in 20 shards would leave none with 35.
    assert max(sizes.values()) < 300 / total + 20


def test_a_share_depends_on_the_id_alone_and_never_changes() -> None:
    # Another assignment would compute everything again in folders that are there.
    assert [Shard(n, 3).has("a.wav") for n in (1, 2, 3)] == [False, True, False]
    assert [n for n in range(1, 21) if Shard(n, 20).has("sub/ü 音.mp3")] == [19]
    assert [n for n in range(1, 21) if Shard(n, 20).has("caf\udce9.wav")] != []


@pytest.mark.parametrize("text", ["", "3", "3/", "/20", "a/b", "3/20/1", "-1/2", "1.0/2"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="3/20"):
        Shard.parse(text)


@pytest.mark.parametrize("text", ["0/2", "3/2", "0/0", "1/0"])
def test_shards_are_counted_from_one(text: str) -> None:
    with pytest.raises(OptionError, match="counted from 1"):
        Shard.parse(text)


def test_a_shard_and_its_folder() -> None:
    shard = Shard.parse("3/20")
    assert shard == (3, 20)
    assert shard.folder(Path("feats")) == Path("feats/shard-003-of-020")
    assert parent_of(Path("feats/shard-003-of-020")) == Path("feats")
    assert parent_of(Path("feats")) is None
    assert Shard(1, 2000).folder(Path("f")).name == "shard-001-of-2000"


def test_only_folders_of_shards_are_found(tmp_path: Path) -> None:
    assert shard_folders(tmp_path / "nowhere") == {}
    for name in ("shard-002-of-010", "shard-010-of-010", "shard-011-of-010", "shard-1-of-2", "x"):
        (tmp_path / name).mkdir()
    (tmp_path / "shard-001-of-010").touch()
    assert list(shard_folders(tmp_path)) == [(2, 10), (10, 10)]


@pytest.mark.parametrize("mmap", [False, True])
def test_all_shards_are_read_as_one_table(tmp_path: Path, mmap: bool) -> None:
    for number in (1, 2, 3):
        fill(tmp_path / "f", Shard(number, 3), IDS[:30], info(), failed=f"bad{number}.wav")
    assert is_store(tmp_path / "f")
    assert not is_plain_store(tmp_path / "f")
    table = load_features(tmp_path / "f", mmap=mmap)
    assert sorted(table.ids) == IDS[:30]
    expected = [row(id, number=number).vector for number, id in enumerate(IDS[:30])]
    np.testing.assert_array_equal(table.aligned(IDS[:30]), expected)
    assert [item.id for item in table.failures] == ["bad1.wav", "bad2.wav", "bad3.wav"]
    assert tuple(read_failures(tmp_path / "f")) == table.failures
    assert table.provenance.differences(PROVENANCE) == []


def test_missing_shards_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in (1, 3):
        fill(tmp_path, Shard(number, 4), IDS[:20], info())
    (tmp_path / "shard-002-of-004").mkdir()  # begun, and killed before it had a record
    with caplog.at_level(logging.WARNING, "mirfeat"):
        table = load_features(tmp_path)
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}: 2 of 4 shards are there; missing: 2, 4"
    ]
    assert sorted(table.ids) == [
        id for id in IDS[:20] if Shard(1, 4).has(id) or Shard(3, 4).has(id)
    ]


def test_when_all_are_there_nothing_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (1, 2):
        fill(tmp_path, Shard(number, 2), [], info())
    with caplog.at_level(logging.WARNING, "mirfeat"):
        assert len(load_features(tmp_path)) == 0
    assert not caplog.records


def test_shards_made_in_different_ways_are_no_table(tmp_path: Path) -> None:
    other = replace(PROVENANCE, options={**PROVENANCE.options, "layers": "1"})
    fill(tmp_path / "here", Shard(1, 2), IDS[:9], info())
    fill(tmp_path / "there", Shard(2, 2), IDS[:9], info(provenance=other))
    (tmp_path / "there/shard-002-of-002").rename(tmp_path / "here/shard-002-of-002")
    for read in (load_features, StoreInfo.read):
        with pytest.raises(ProvenanceError) as caught:
            read(tmp_path / "here")
        assert "shard-001-of-002" in str(caught.value)
        assert "shard-002-of-002 (layers: '1' here, '12' there)" in str(caught.value)


def test_a_new_shard_made_in_another_way_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, Shard(1, 2), IDS[:9], info())
    other = info(provenance=replace(PROVENANCE, extractor="y"))
    with pytest.raises(ProvenanceError, match=r"shard-001-of-002.*extractor: 'y' here, 'x' there"):
        claim_shard(tmp_path, Shard(2, 2), other, overwrite=False)
    # All jobs of an array that overwrites come to folders of before.
    claim_shard(tmp_path, Shard(2, 2), other, overwrite=True)


def test_another_number_of_shards_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, Shard(3, 20), IDS[:9], info())
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StoreError, match=r"holds shards of 20, not of 10.*--shard 3/20"):
        claim_shard(tmp_path, Shard(3, 10), info(), overwrite=True)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_job_with_another_number_that_began_at_the_same_moment_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mkdir(path: Path, **options: bool) -> None:
        os.makedirs(path, exist_ok=True)
        os.makedirs(path.with_name("shard-001-of-009"), exist_ok=True)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with pytest.raises(StoreError, match="holds shards of 9"):
        claim_shard(tmp_path / "f", Shard(1, 2), info(), overwrite=False)
    assert os.listdir(tmp_path / "f") == ["shard-001-of-009"]


def test_shards_of_two_arrays_in_one_folder_are_no_table(tmp_path: Path) -> None:
    fill(tmp_path / "a", Shard(1, 2), IDS[:9], info())
    fill(tmp_path / "b", Shard(1, 3), IDS[:9], info())
    (tmp_path / "b/shard-001-of-003").rename(tmp_path / "a/shard-001-of-003")
    with pytest.raises(StoreError, match="shards of 2 and of 3"):
        load_features(tmp_path / "a")


@pytest.mark.parametrize("overwrite", [False, True])
def test_runs_with_and_without_shards_do_not_mix(tmp_path: Path, overwrite: bool) -> None:
    with StoreWriter(tmp_path / "plain", info(), resume=True, overwrite=False) as store:
        store.add(row("a.wav"))
    with pytest.raises(StoreError, match="was filled without --shard"):
        claim_shard(tmp_path / "plain", Shard(1, 2), info(), overwrite=overwrite)
    fill(tmp_path / "shards", Shard(1, 2), IDS[:9], info())
    with pytest.raises(StoreError, match=r"of a job array.*--shard 1/2 to 2/2"):
        StoreWriter(tmp_path / "shards", info(), resume=True, overwrite=overwrite)
    assert load_features(tmp_path / "plain").ids == ("a.wav",)
    assert not (tmp_path / "shards" / ".lock").exists()


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_not_ours_is_left_alone(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "thesis.tex"
    path.write_text("years of work")
    place = tmp_path if kind == "folder" else path
    with pytest.raises(StoreError, match=r"not a folder|is a file"):
        claim_shard(place, Shard(1, 2), info(), overwrite=True)
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_a_folder_that_cannot_be_made_is_an_error_of_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StoreError, match="Permission denied"):
        claim_shard(tmp_path / "f", Shard(1, 2), info(), overwrite=False)


def test_embeddings_in_shards_are_read_one_after_the_other(tmp_path: Path) -> None:
    clips = {"b": np.ones((2, 3)), "a": np.zeros((1, 3))}
    for number, (id, values) in enumerate(clips.items(), 1):
        folder = Shard(number, 2).folder(tmp_path)
        write_embeddings(folder, {id: values}, failed=[f"bad{number}"])
    read = dict(load_embeddings(tmp_path))
    assert list(read) == ["b", "a"]
    np.testing.assert_array_equal(read["b"].values, clips["b"])
    assert load_features(tmp_path).ids == ("b", "a")
    rows = read_rows(str(tmp_path))
    assert (rows.ids, rows.failed, len(rows.values)) == (("b", "a"), ("bad1", "bad2"), 3)


def test_evaluations_take_shards(tmp_path: Path) -> None:
    for number in (1, 2):
        fill(tmp_path, Shard(number, 2), IDS[:9], info())
    features = read_features([str(tmp_path)])
    assert features.ids is not None
    assert sorted(features.ids) == IDS[:9]
    assert features.values.shape == (9, len(NAMES))


# The whole way


@pytest.fixture(scope="module")
def mfcc() -> Extractor:
    return mirfeat.load_extractor("mfcc", device="cpu")


@pytest.fixture
def clips(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "music" / f"{name}.wav" for name in "abcdef"]
    paths[0].parent.mkdir()
    for number, path in enumerate(paths):
        write_wav(path, music(0.3, 12_000, seed=number), 12_000)
    return paths


def test_jobs_together_do_what_one_run_does(
    tmp_path: Path, clips: list[Path], mfcc: Extractor
) -> None:
    reports = [mfcc.extract_to(tmp_path / "f", clips, shard=(number, 3)) for number in (1, 2, 3)]
    assert sum(report.done for report in reports) == 6
    whole, table = mfcc.extract_files(clips), load_features(tmp_path / "f")
    np.testing.assert_allclose(table.aligned(whole.ids), whole.values, rtol=1e-5, atol=1e-5)
    again = [mfcc.extract_to(tmp_path / "f", clips, shard=(number, 3)) for number in (1, 2, 3)]
    assert [(report.done, report.skipped) for report in again] == [
        (0, report.done) for report in reports
    ]


def test_a_growing_folder_keeps_its_assignment(
    tmp_path: Path, clips: list[Path], mfcc: Extractor
) -> None:
    for number in (1, 2):
        mfcc.extract_to(tmp_path / "f", clips[:3], shard=(number, 2))
    more = [mfcc.extract_to(tmp_path / "f", clips, shard=(number, 2)) for number in (1, 2)]
    assert sum(report.done for report in more) == 3
    assert sorted(load_features(tmp_path / "f").ids) == [path.name for path in clips]


def test_a_new_shard_takes_the_root_of_the_others(
    tmp_path: Path, clips: list[Path], mfcc: Extractor
) -> None:
    mfcc.extract_to(tmp_path / "f", clips, shard=(1, 2), root=tmp_path)
    mfcc.extract_to(tmp_path / "f", clips, shard=(2, 2))
    assert sorted(load_features(tmp_path / "f").ids) == [f"music/{path.name}" for path in clips]


def test_a_shard_without_files_is_an_empty_store(
    tmp_path: Path, clips: list[Path], mfcc: Extractor
) -> None:
    empty = next(n for n in range(1, 50) if not any(Shard(n, 50).has(p.name) for p in clips))
    report = mfcc.extract_to(tmp_path / "f", clips, shard=(empty, 50))
    assert (report.done, report.skipped, report.failed) == (0, 0, 0)
    table = load_features(Shard(empty, 50).folder(tmp_path / "f"))
    assert table.values.shape == (0, mfcc.dimension)


def test_only_files_of_the_shard_are_looked_at(
    tmp_path: Path, clips: list[Path], mfcc: Extractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[Path] = []

    def stamps(files: list[Path]) -> list[tuple[int, int]]:
        looked_at.extend(files)
        return [(1, 1)] * len(files)

    monkeypatch.setattr("mirfeat.runs.filling.stamps", stamps)
    mfcc.extract_to(tmp_path / "f", clips, shard=(1, 2))
    assert sorted(looked_at) == [path for path in clips if Shard(1, 2).has(path.name)]


@pytest.mark.parametrize("shard", [(0, 2), (3, 2)])
def test_a_shard_that_cannot_be_is_refused_before_anything_is_made(
    tmp_path: Path, clips: list[Path], mfcc: Extractor, shard: tuple[int, int]
) -> None:
    with pytest.raises(OptionError, match="counted from 1"):
        mfcc.extract_to(tmp_path / "f", clips, shard=shard)
    assert not (tmp_path / "f").exists()


def test_the_command_takes_a_shard(
    tmp_path: Path, clips: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (clips[0].parent / "bad.wav").write_text("no audio")
    codes = {}
    for number in (1, 2):
        command = ["extract", str(clips[0].parent), "-m", "mfcc", "-o", str(tmp_path / "f")]
        codes[number] = main([*command, "--shard", f"{number}/2"])
        shown = capsys.readouterr()
        folder = tmp_path / "f" / f"shard-00{number}-of-002"
        assert shown.out == f"{folder}\n"
        if codes[number]:
            assert f"1 failed ({folder / 'failures.csv'})" in shown.err
    assert codes == {n: int(Shard(n, 2).has("bad.wav")) for n in (1, 2)}
    assert sorted(load_features(tmp_path / "f").ids) == [path.name for path in clips]
    assert main([*command, "--shard", "3"]) == USAGE
    assert main([*command, "--shard", "1/3"]) == USAGE
    assert main(command) == USAGE
    assert "holds shards of a job array" in capsys.readouterr().err
