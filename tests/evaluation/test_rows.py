"""Rows of clips: those of embeddings, of vectors, and a topic table beside them."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mirfeat
from mirfeat.errors import LabelsError, OptionError, StoreError
from mirfeat.evaluation.inputs import (
    Features,
    Rows,
    one_row_each,
    read_features,
    read_rows,
)
from mirfeat.evaluation.maps import read_topics
from mirfeat.store.reading import load_embeddings, load_features
from tests.support.stores import write_embeddings, write_store

IDS = ("b/ü.wav", "a.wav", "c.wav")


def block(rows: int, columns: int, first: int = 0) -> np.ndarray:
    return (first + np.arange(rows * columns, dtype=np.float32)).reshape(rows, columns)


@given(
    st.lists(st.integers(0, 4), max_size=12),
    st.lists(st.integers(0, 4), max_size=6),
    st.booleans(),
)
def test_rows_of_some_clips_are_those_of_a_naive_loop(
    clips: list[int], chosen: list[int], named: bool
) -> None:
    values = block(len(clips), 2)
    ids = tuple("abcde") if named else None
    rows = Rows("r", {"a": values[:, :1], "b": values[:, 1:]}, np.array(clips, np.int64), ids)
    some = rows.of(np.array(chosen, np.int64))
    expected = [
        (place, *values[row])
        for place, clip in enumerate(chosen)
        for row, other in enumerate(clips)
        if other == clip
    ]
    assert [(place, *row) for place, row in zip(some.clips, some.values, strict=True)] == expected
    assert some.ids == (tuple("abcde"[clip] for clip in chosen) if named else None)


def test_vectors_are_rows_one_a_clip() -> None:
    features = Features("f", {"a": block(3, 2)}, IDS, ("bad",))
    rows = one_row_each(features)
    assert (rows.clips.tolist(), rows.ids, rows.failed) == ([0, 1, 2], IDS, ("bad",))
    assert len(rows) == len(one_row_each(Features("f", {"a": block(3, 2)}))) == 3
    assert len(one_row_each(Features("f", {"a": block(0, 2)}))) == 0


def test_a_store_of_embeddings_is_rows_and_vectors(tmp_path: Path) -> None:
    clips = {"b": block(2, 3), "a/ü": block(1, 3, 50), "gone": block(1, 3), "c": block(3, 3, 80)}
    folder = write_embeddings(tmp_path / "s", clips, failed=["gone"])
    rows = read_rows(str(folder))
    assert (rows.name, rows.ids, rows.failed) == ("x (random)", ("b", "a/ü", "c"), ("gone",))
    assert rows.clips.tolist() == [0, 0, 1, 2, 2, 2]
    every = np.concatenate([clips["b"], clips["a/ü"], clips["c"]])
    np.testing.assert_array_equal(rows.blocks["a"], every[:, :2])
    np.testing.assert_array_equal(rows.blocks["b"], every[:, 2:])
    features = read_features([str(folder)])
    assert (features.ids, features.failed) == (rows.ids, rows.failed)
    np.testing.assert_array_equal(
        features.values, [clips[id].mean(axis=0) for id in ("b", "a/ü", "c")]
    )


def test_a_store_of_vectors_has_one_row_a_clip(tmp_path: Path) -> None:
    folder = write_store(tmp_path / "s", {"a": block(3, 2)}, IDS)
    rows = read_rows(str(folder))
    assert rows.clips.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(rows.values, block(3, 2))


def test_embeddings_without_clips_times_or_whole_files_are_refused(tmp_path: Path) -> None:
    empty = write_embeddings(tmp_path / "empty", {})
    with pytest.raises(StoreError, match="empty: no clip has features"):
        read_rows(str(empty))
    bare = write_embeddings(tmp_path / "bare", {"a": block(2, 3)}, "npy")
    for read in (read_rows, lambda spec: read_features([spec])):
        with pytest.raises(StoreError, match=r"bare: .*--embed --format npz"):
            read(str(bare))
    broken = write_embeddings(tmp_path / "broken", {"a": block(2, 3)})
    (broken / "a.npz").write_bytes((broken / "a.npz").read_bytes()[:100])
    with pytest.raises(StoreError, match=r"a\.npz: not a readable file"):
        read_rows(str(broken))


@pytest.mark.parametrize("name", ["mfcc", "hamel2013-base"])
def test_vectors_of_embeddings_are_those_of_a_plain_store(
    tmp_path: Path, music: Path, name: str
) -> None:
    clips = [music / "metal_fear.mp3", music / "folk_tavern.opus"]
    statistics = ("std", "mean") if name == "mfcc" else ("mean",)
    with mirfeat.load_extractor(name, statistics=statistics, max_seconds=7.3) as extractor:
        extractor.extract_to(tmp_path / "plain", clips, root=music)
        extractor.extract_to(tmp_path / "rows", clips, root=music, embed=True, format="npz")
    plain, rows = load_features(tmp_path / "plain"), load_features(tmp_path / "rows")
    assert (rows.ids, rows.feature_names) == (plain.ids, plain.feature_names)
    np.testing.assert_array_equal(rows.values, plain.values, strict=True)
    read = dict(load_embeddings(tmp_path / "rows"))
    with mirfeat.load_extractor(name, max_seconds=7.3) as extractor:
        for clip in clips:
            fresh = extractor.embed_file(clip)
            assert read[clip.name].blocks == dict(fresh.blocks)
            assert read[clip.name].row_names == fresh.row_names
            np.testing.assert_array_equal(read[clip.name].values, fresh.values, strict=True)
            np.testing.assert_array_equal(read[clip.name].ends, fresh.ends, strict=True)
    shutil.rmtree(tmp_path / "rows")
    with pytest.raises(StoreError, match="not a folder of features"):
        next(load_embeddings(tmp_path / "rows"))
    with pytest.raises(StoreError, match="--embed --format npz"):
        next(load_embeddings(tmp_path / "plain"))


# -- topics ---------------------------------------------------------------------------------------


def test_topics_follow_the_clips(tmp_path: Path) -> None:
    path = tmp_path / "topics.csv"
    path.write_text("id,calm,loud\na,0.25,0.75\nb,1,0\nc,0,1e0\n")
    features = Features("f", {"a": block(2, 1)}, ("c", "a"))
    names, shares = read_topics(path, features)
    assert names == ("calm", "loud")
    assert shares.tolist() == [[0.0, 1.0], [0.25, 0.75]]
    with pytest.raises(LabelsError, match=r"topics.csv: no line for clip 'd'"):
        read_topics(path, Features("f", {"a": block(1, 1)}, ("d",)))
    with pytest.raises(OptionError, match=r"topics.csv, f: both must name their clips"):
        read_topics(path, Features("f", {"a": block(2, 1)}))
    path.write_text("id,calm\na,much\n")
    with pytest.raises(LabelsError, match=r"topics.csv: topics are columns of numbers"):
        read_topics(path, Features("f", {"a": block(1, 1)}, ("a",)))
