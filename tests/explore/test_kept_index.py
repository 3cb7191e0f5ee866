"""An index in the cache folder: never out of date, whole or not there, made once."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks.neighbours import vectors
from mirfeat.checkpoints.downloads import cache_folder
from mirfeat.errors import ConfigError, MirfeatError, OptionError, StoreError
from mirfeat.explore import kept_index
from mirfeat.explore.kept_index import open_index
from mirfeat.explore.neighbours import Neighbours
from mirfeat.store.reading import load_features
from tests.support.stores import write_store

VALUES = vectors(2000, size=12)
IDS = [f"songs/{row} é.wav" for row in range(len(VALUES))]


def store_of(folder: Path, values: np.ndarray = VALUES) -> Path:
    return write_store(folder, {"a": values}, IDS[: len(values)], "parquet")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return store_of(tmp_path_factory.mktemp("kept") / "feats")


def kept() -> list[Path]:
    return sorted(path for path in (cache_folder() / "neighbours").iterdir() if path.is_dir())


@pytest.mark.parametrize("metric", ["cosine", "l1"])
def test_answers_are_those_of_the_index_in_memory(store: Path, metric: str) -> None:
    memory = Neighbours(load_features(store), metric, approximate=True)  # type: ignore[arg-type]
    made, opened = (open_index(store, metric, progress=False) for _ in range(2))  # type: ignore[arg-type]
    assert opened.approximate
    assert opened.metric == metric
    assert opened.nearest_to(IDS[7], 20) == made.nearest_to(IDS[7], 20)
    assert opened.nearest_to(IDS[7], 20) == memory.nearest_to(IDS[7], 20)
    assert opened.nearest(VALUES[3], 5) == memory.nearest(VALUES[3], 5)
    assert opened.nearest(VALUES[3], 1)[0].id == IDS[3]
    assert opened.ids == tuple(IDS)


def test_it_is_made_once_for_each_metric(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_index(store, progress=False)
    open_index(store, "l1", progress=False)
    assert len(kept()) == 2
    monkeypatch.setattr(kept_index, "load_features", lambda _: pytest.fail("read again"))
    open_index(str(store), progress=False)
    open_index(os.path.relpath(store), "l1", progress=False)


def test_a_store_that_has_changed_gets_another_index_and_the_old_one_goes(tmp_path: Path) -> None:
    folder = store_of(tmp_path / "feats", VALUES[:50])
    assert len(open_index(folder, progress=False)) == 50
    (old,) = kept()
    os.utime(folder / "part-000001.parquet", ns=(1, 1))
    store_of(tmp_path / "feats", VALUES[:60])
    assert len(open_index(folder, progress=False)) == 60
    (new,) = kept()
    assert new != old


def test_indexes_of_stores_that_are_gone_are_deleted(store: Path, tmp_path: Path) -> None:
    other = store_of(tmp_path / "other", VALUES[:50])
    open_index(other, progress=False)
    (old,) = kept()
    other.rename(tmp_path / "moved")
    unfinished = old.with_name(".writing-of-a-killed-process")
    unfinished.mkdir()
    os.utime(unfinished, (1, 1))
    open_index(store, progress=False)
    (new,) = kept()
    assert new != old


@pytest.mark.parametrize("name", ["cells.faiss", "placement.npz", "ids.json", "about.json"])
@pytest.mark.parametrize("damage", ["cut", "gone", "other"])
def test_what_is_damaged_is_made_again(tmp_path: Path, name: str, damage: str) -> None:
    folder = store_of(tmp_path / "feats", VALUES[:100])
    expected = open_index(folder, progress=False).nearest_to(IDS[0], 3)
    (place,) = kept()
    whole = (place / name).read_bytes()
    if damage == "gone":
        (place / name).unlink()
    else:
        (place / name).write_bytes(whole[:-9] + (b"" if damage == "cut" else bytes(9)))
        if damage == "other" and name in ("placement.npz", "cells.faiss"):
            (place / name).write_bytes(bytes(len(whole)))
    assert open_index(folder, progress=False).nearest_to(IDS[0], 3) == expected
    assert open_index(folder, progress=False).nearest_to(IDS[0], 3) == expected


def test_a_process_that_is_killed_while_it_writes_leaves_nothing_that_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = store_of(tmp_path / "feats", VALUES[:100])

    class Killed(BaseException):
        pass

    def killed(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(kept_index.np, "savez", killed)
        with pytest.raises(Killed):
            open_index(folder, progress=False)
    assert kept() == []
    assert len(open_index(folder, progress=False)) == 100


def test_a_cache_that_cannot_be_written_is_named(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MIRFEAT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(StoreError, match=r"cannot be kept there.*MIRFEAT_CACHE"):
        open_index(store, progress=False)


def test_what_cannot_be_indexed_is_refused(store: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="'cosine' or 'l1'"):
        open_index(store, "euclid")  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="not a folder of features"):
        open_index(tmp_path / "nowhere")
    values = VALUES[:3].copy()
    values[1, 1] = np.inf
    with pytest.raises(ConfigError, match="finite"):
        open_index(store_of(tmp_path / "infinite", values), progress=False)
    with pytest.raises(MirfeatError, match="exact search"):
        Neighbours(load_features(store)).write_search(tmp_path / "x")


def test_few_clips_make_faiss_say_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    open_index(store_of(tmp_path / "feats", VALUES[:5]), progress=False)
    assert capfd.readouterr() == ("", "")


def test_making_it_is_shown(
    store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    open_index(store, progress="json")
    last = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert (last["progress"], last["done"], last["of"]) == ("index", 2000, 2000)
    open_index(store, progress="json")
    assert capsys.readouterr().err == ""
