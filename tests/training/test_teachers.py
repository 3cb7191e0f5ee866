"""Teachers: tables of what is said over time, crops of them, networks that learn them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mirfeat import load_extractor
from mirfeat.errors import ConfigError, TrainingError
from mirfeat.networks import checkpoint
from mirfeat.training import loop
from mirfeat.training.config import TrainConfig
from mirfeat.training.manifest import read_manifest
from mirfeat.training.preparation import Hardware
from mirfeat.training.targets.make import names_of
from mirfeat.training.targets.teachers import Said, TeacherTable, digest_of, open_teacher
from mirfeat.training.targets.timed import TimedTargets, timed_targets
from mirfeat.training.trainer import train
from tests.support.training_data import config_of, rows, write_corpus

pytestmark = pytest.mark.usefixtures("small_runs")
CPU = Hardware(device="cpu")
TAGS = ("rock", "calm")


def table_of(tracks: dict[str, list[tuple[float, float, list[float]]]]) -> TeacherTable:
    def said() -> Iterator[Said]:
        for id, stretches in tracks.items():
            starts, ends, values = zip(*stretches, strict=True)
            yield Said(id, np.array(starts), np.array(ends), np.array(values, np.float32))

    return TeacherTable(("one", "two"), said())


def targets_of(
    tracks: dict[str, list[tuple[float, float, list[float]]]], ids: list[str], **options: Any
) -> TimedTargets:
    chosen: dict[str, Any] = {"components": 0, "ranked": False} | options
    return timed_targets(table_of(tracks), ids, np.ones(len(ids), bool), **chosen)


# -- tables ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_gives_each_track_in_the_order_of_time(suffix: str, tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "id": ["b", "a", "a"],
            "start": [0.0, 3.0, 0.0],
            "end": [2.5, 6.0, 3.0],
            "rock": [0.1, 0.9, 0.2],
            "calm": [1, 0, 1],
        }
    )
    path = tmp_path / f"tags{suffix}"
    frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path)
    table = open_teacher(tmp_path, "tags")
    assert table.names == TAGS
    first, second = table.tracks
    assert (first.id, second.id) == ("a", "b")
    np.testing.assert_array_equal(first.starts, [0.0, 3.0])
    np.testing.assert_array_equal(first.ends, [3.0, 6.0])
    np.testing.assert_allclose(first.values, [[0.2, 1.0], [0.9, 0.0]], rtol=1e-6)
    assert first.values.dtype == np.float32


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,start,rock\na,0,1\n", r"tags\.csv: no column 'end'"),
        ("id,start,end\na,0,1\n", r"nothing to learn"),
        ("id,start,end,rock\na,0,1,loud\n", r"column 'rock' is not all numbers"),
        ("id,start,end,rock\na,0,1,1\na,1,2,\n", r"row 2: rock is nan"),
        ("id,start,end,rock\na,0,1,1\na,3,2,1\n", r"row 2: from 3 s to 2 s"),
        ("", r"tags\.csv: not a readable table"),
    ],
)
def test_a_table_that_is_none(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "tags.csv").write_text(text, encoding="utf-8")
    with pytest.raises(TrainingError, match=message):
        open_teacher(tmp_path, "tags")


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"nowhere: no such folder\. A teacher is a store"):
        open_teacher(tmp_path / "nowhere", "tags")
    (tmp_path / "tags.csv").write_text("id,start,end,rock\na,0,1,1\n", encoding="utf-8")
    with pytest.raises(TrainingError, match=r"no table tag\.parquet or tag\.csv there \(but tags"):
        open_teacher(tmp_path, "tag")


def test_a_store_of_embeddings_is_a_teacher(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    extractor = load_extractor("mfcc")
    files = [tmp_path / row["path"] for row in rows()[:2]]
    extractor.extract_to(tmp_path / "store", files, embed=True, format="npz")
    embedding = extractor.embed_file(files[0])
    name, block = next(iter(embedding.blocks.items()))
    table = open_teacher(tmp_path / "store", name)
    said = {track.id: track for track in table.tracks}
    assert sorted(said) == ["t00.wav", "t01.wav"]
    np.testing.assert_array_equal(said["t00.wav"].values, embedding.values[:, block])
    np.testing.assert_allclose(said["t00.wav"].ends, embedding.ends)
    # A store names clips by their paths, a manifest as it likes.
    manifest = read_manifest(tmp_path / "tracks.csv")
    names = names_of(manifest)
    assert (names["t00.wav"], names["audio/t01.wav"], names["t02"]) == ("t00", "t01", "t02")
    with pytest.raises(TrainingError, match=rf"no 'tags' there.* The store has .*{name}"):
        open_teacher(tmp_path / "store", "tags")
    before = digest_of(tmp_path / "store", name)
    (tmp_path / "store" / "more").write_text("x", encoding="utf-8")
    assert digest_of(tmp_path / "store", name) != before


# -- crops ----------------------------------------------------------------------------------------


def test_what_overlaps_a_crop_is_averaged_by_the_overlap() -> None:
    said = {
        "a": [(0.0, 3.0, [0.0, 1.0]), (3.0, 6.0, [1.0, 0.5]), (8.0, 9.0, [0.5, 0.0])],
        "c": [(0.0, 1.0, [0.25, 0.75])],
    }
    targets = targets_of(said, ["a", "b", "c"])
    assert targets.kind == "probabilities"
    assert targets.known.tolist() == [True, False, True]
    spans = np.array([[0.0, 2.0], [2.0, 4.0], [2.5, 6.5], [6.0, 8.0], [0.0, 9.0], [0.0, 3.0]])
    crops = targets.crops(np.array([0, 0, 0, 0, 1, 2]), spans)
    expected = [[0, 1], [0.5, 0.75], [6 / 7, 4 / 7], [np.nan] * 2, [np.nan] * 2, [0.25, 0.75]]
    np.testing.assert_allclose(crops, expected, rtol=1e-6)
    assert crops.dtype == np.float32


def test_a_crop_learns_of_what_covers_most_of_it_or_lies_in_it() -> None:
    # Every second patch of 3 s is heard, as musicnn may hear a track.
    targets = targets_of({"a": [(0.0, 3.0, [0.0, 1.0]), (6.0, 9.0, [1.0, 0.5])]}, ["a"])
    spans = [(0.4, 2.9), (1.1, 3.6), (1.2, 3.7), (2.9, 5.4), (0.0, 29.0), (0.7, 12.0), (2.0, 8.3)]
    known = [True, True, False, False, True, True, True]
    assert [targets.covers(0, span) for span in spans] == known
    crops = targets.crops(np.zeros(len(spans), int), np.array(spans))
    assert (~np.isnan(crops).any(1)).tolist() == known
    np.testing.assert_allclose(crops[4], [0.5, 0.75], rtol=1e-6)


def test_stretches_without_gaps_teach_every_crop() -> None:
    said = {"a": [(2.5 * n, 2.5 * n + 2.5, [n / 10, 0.0]) for n in range(10)]}
    targets = targets_of(said, ["a"])
    starts = np.linspace(0.0, 22.5, 40)
    assert all(targets.covers(0, (start, start + 2.5)) for start in starts)


def test_vectors_are_standardised_over_training_tracks() -> None:
    draw = np.random.default_rng(0)
    values = draw.normal([5.0, -100.0], [2.0, 0.1], (40, 2))
    said = {"a": [(i, i + 1.0, list(v)) for i, v in enumerate(values)], "v": [(0, 1, [9.0, 0.0])]}
    table, train = table_of(said), np.array([True, False])
    targets = timed_targets(table, ["a", "v"], train, 0, ranked=False)
    assert targets.kind == "vector"
    learnt = targets.values[:40]
    np.testing.assert_allclose(learnt.mean(0), 0.0, atol=1e-5)
    np.testing.assert_allclose(learnt.std(0), 1.0, atol=1e-4)
    assert targets.values[40, 1] > 100  # of the held-out track, by the training tracks' measure


def test_principal_components_keep_what_varies_together() -> None:
    draw = np.random.default_rng(1)
    hidden = draw.normal(size=60)
    values = np.stack([hidden, -2.0 * hidden + 0.01 * draw.normal(size=60)], axis=1)
    said = {"a": [(i, i + 1.0, list(v)) for i, v in enumerate(values)]}
    targets = targets_of(said, ["a"], components=1)
    assert targets.values.shape == (60, 1)
    assert abs(np.corrcoef(targets.values[:, 0], hidden)[0, 1]) > 0.999
    assert np.square(targets.values).mean() == pytest.approx(1.0, rel=1e-4)


def test_a_ranking_takes_what_stands_out_for_labels() -> None:
    values = [[0.0, 5.0]] * 9 + [[1.0, 5.0]]
    said = {"a": [(i, i + 1.0, v) for i, v in enumerate(values)]}
    targets = targets_of(said, ["a"], ranked=True)
    # Mean 0.1, deviation 0.3; the second number never changes, and labels nothing.
    np.testing.assert_allclose(targets.values[:9], 0.0)
    np.testing.assert_allclose(targets.values[9], [3.0, 0.0], rtol=1e-5)


# -- runs -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve tracks, and what a teacher says of each second of them."""
    folder = tmp_path_factory.mktemp("teachers")
    write_corpus(folder)
    write_teacher(folder / "teacher")
    return folder


def write_teacher(folder: Path, shift: float = 0.0) -> None:
    folder.mkdir()
    draw = np.random.default_rng(3)
    cells = [(row["id"], float(s), s + 1.0) for row in rows() for s in range(7)]
    frame = pd.DataFrame(cells, columns=["id", "start", "end"])
    tags = pd.DataFrame(draw.uniform(0.0, 1.0, (len(cells), 2)), columns=list(TAGS))
    vectors = pd.DataFrame(draw.normal(shift, 1.0, (len(cells), 3)), columns=list("xyz"))
    frame.join(tags).to_csv(folder / "tags.csv", index=False)
    frame.join(vectors).to_csv(folder / "penultimate.csv", index=False)


BOTH = ["musicnn.tags", "musicnn.penultimate"]
CASES: dict[str, dict[str, Any]] = {
    "choi2017": {"sources": {"names": BOTH}, "optimiser": {"batch": 2, "steps": 2}},
    "kim2018-mtn": {
        "sources": {"names": [*BOTH, "genre"], "factors": 3, "order": "together"},
        "optimiser": {"batch": 4, "steps": 4},
    },
    "kim2019-ms-sr-fc": {
        "sources": {"names": ["self", *BOTH], "order": "together", "distance": "cosine"},
        "optimiser": {"batch": 2, "steps": 2},
        "augmentation": {"mix": 0.5, "stretch": 0.1},
    },
    "hamel2013-tag": {"sources": {"names": BOTH}, "optimiser": {"batch": 4, "steps": 4}},
}


def case(corpus: Path, name: str, output: Path, teacher: Path | None = None) -> TrainConfig:
    values = {"cache": "cache", "validation": {"crops": 1}, **CASES[name]}
    config = config_of(corpus / f"{name}.toml", name, **values)
    folder = teacher or corpus / "teacher"
    return replace(config, output=output, teachers={"musicnn": folder})


@pytest.mark.parametrize("name", list(CASES))
def test_every_family_learns_from_a_teacher(name: str, corpus: Path, tmp_path: Path) -> None:
    path = train(case(corpus, name, tmp_path / "run"), CPU, progress=False)
    metadata = checkpoint.read(path).metadata
    assert metadata["training"]["config"]["teachers"] == ["musicnn"]
    assert metadata["training"]["factor_words"]["musicnn-tags"] == list(TAGS)
    extractor = load_extractor(name, checkpoint=path)
    vector = extractor.extract(corpus / "audio" / "t00.wav")
    assert np.isfinite(vector).all()
    if name == "kim2018-mtn":
        # The heads of a teacher's sources say no distribution over factors.
        assert metadata["taught"] == ["musicnn-tags", "musicnn-penultimate"]
        assert list(extractor.factors(corpus / "audio" / "t00.wav")) == ["genre"]
    if name == "choi2017":
        assert {tag.name for tag in extractor.tags(corpus / "audio" / "t00.wav")} == set(TAGS)
        # What says the vectors is no part of the checkpoint.
        assert not [key for key in checkpoint.read(path).tensors if "vector" in key]


def test_an_interrupted_run_with_a_teacher_ends_with_the_same_bytes(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    always = replace(CPU, save_seconds=-1.0)
    whole = train(case(corpus, "kim2018-mtn", tmp_path / "whole"), CPU, progress=False)
    config = case(corpus, "kim2018-mtn", tmp_path / "cut")
    step = loop.Training.step

    def killed(self: Any, learner: Any, levels: Any, targets: Any, number: int) -> Any:
        if number == 2:
            raise KeyboardInterrupt
        return step(self, learner, levels, targets, number)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Training, "step", killed)
        with pytest.raises(KeyboardInterrupt):
            train(config, always, progress=False)
    assert train(config, always, progress=False).read_bytes() == whole.read_bytes()


def test_another_table_is_refused(corpus: Path, tmp_path: Path) -> None:
    config = case(corpus, "kim2018-mtn", tmp_path / "run")
    train(config, CPU, progress=False)
    write_teacher(tmp_path / "other", shift=1.0)
    other = case(corpus, "kim2018-mtn", tmp_path / "run", tmp_path / "other")
    with pytest.raises(ConfigError, match=r"'musicnn\.penultimate', .*other, has changed"):
        train(other, CPU, progress=False)


def test_a_source_without_its_teacher(corpus: Path, tmp_path: Path) -> None:
    config = replace(case(corpus, "kim2018-mtn", tmp_path / "run"), teachers={})
    with pytest.raises(ConfigError, match=r"there is no teacher 'musicnn'; \[teachers\]"):
        train(config, CPU, progress=False)


def test_choi2017_has_one_head_of_tags(corpus: Path, tmp_path: Path) -> None:
    config = case(corpus, "choi2017", tmp_path / "run")
    only = replace(config.sources, names=("musicnn.penultimate",))
    with pytest.raises(ConfigError, match=r"choi2017 has one head of tags, for no source among"):
        train(replace(config, sources=only), CPU, progress=False)


def test_a_weight_of_nothing_teaches_nothing(corpus: Path, tmp_path: Path) -> None:
    config = case(corpus, "kim2018-mtn", tmp_path / "run")
    weighted = replace(
        config.sources, names=("musicnn.tags", "genre"), weights={"musicnn.tags": 0.0}
    )
    config = replace(
        config,
        sources=weighted,
        optimiser=replace(config.optimiser, weight_decay=0.0),
        validation=replace(config.validation, choose="last"),
    )
    heads = {}
    for steps in (1, 3):
        run = replace(
            config,
            output=tmp_path / str(steps),
            optimiser=replace(config.optimiser, steps=steps),
        )
        tensors = checkpoint.read(train(run, CPU, progress=False)).tensors
        heads[steps] = {k: v for k, v in tensors.items() if "heads" in k and "weight" in k}
    for key in heads[1]:
        same = bool((heads[1][key] == heads[3][key]).all())
        assert same == ("musicnn" in key)
