"""Targets from planted labels, learnt on training tracks alone, kept and made again."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mirfeat.errors import ConfigError, ManifestError, MissingPackageError, TrainingError
from mirfeat.networks.registry import get_spec
from mirfeat.training.config import Sources, TrainConfig
from mirfeat.training.manifest import read_manifest, write_manifest
from mirfeat.training.mel_cache import MelCache, build
from mirfeat.training.mel_frames import Track
from mirfeat.training.recipes import targets_of
from mirfeat.training.targets import frames
from mirfeat.training.targets.label_sources import MAKERS, SourceMaterial, SourceTargets
from tests.support.training_data import rows, write_corpus

MEL = get_spec("kim2018-stn").mel
# Words that each artist alone has.
WORDS = {"Ann": "a", "Bob": "b", "Cid": "c", "Dee": "a", "Eve": "c"}
PLANTED = (
    "bpm",
    "year",
    "tag",
    "lyrics",
    "cdr_tag",
    "artist",
    "genre",
    "subgenre",
    "mfcc",
    "dmfcc",
)
TASTE = "user,item,count\n" + "".join(
    f"{WORDS[row['artist']]}{user},{row['id']},{user + 1}\n" for row in rows() for user in range(3)
)

Table = list[dict[str, Any]]
Make = Callable[..., dict[str, SourceTargets]]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "WORDS", 12)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("targets")
    write_corpus(folder)
    names = [row["id"] for row in rows()]
    tracks = [Track(name, folder / "audio" / f"{name}.wav", None) for name in names]
    assert build(tracks, folder / "cache", MEL, progress=False) == []
    return folder


def planted() -> Table:
    """Every column agrees about who belongs together: Ann and Dee, Bob, Cid and Eve."""
    table = rows()
    for number, row in enumerate(table):
        letter = WORDS[row["artist"]]
        words = {f"{letter}{i}": 1.0 + (number + i) % 3 for i in range(4)}
        row |= dict.fromkeys(("tags", "lyrics", "cdr_tags", "subgenres"), words)
        row |= {"genre": letter, "dataset": None}
        row["bpm"] = {"a": 60, "b": 120, "c": 170}[letter] + number % 3
        row["year"] = {"a": 1970, "b": 1990, "c": 2010}[letter] + number % 3
    return table


@pytest.fixture
def make(corpus: Path, tmp_path: Path) -> Make:
    """Targets of a table; files that are kept go to the test's own folder."""

    def call(
        table: Table,
        *names: str,
        extractor: str = "kim2019-mss-cr",
        factors: int = 3,
        cache: Path | None = None,
        seed: int = 0,
        taste: str = "",
    ) -> dict[str, SourceTargets]:
        write_manifest(tmp_path / "tracks.csv", table)
        config = TrainConfig(
            extractor, tmp_path / "tracks.csv", tmp_path, tmp_path / "kept", seed=seed,
            sources=Sources(names, factors, taste=taste),
        )  # fmt: skip
        manifest = read_manifest(config.manifest)
        return targets_of(config, manifest, MelCache(cache or corpus / "cache", MEL))

    return call


def groups(values: np.ndarray) -> list[int]:
    """Largest factor of each track, factors numbered in the order of tracks."""
    best = values.argmax(1).tolist()
    order = list(dict.fromkeys(best))
    return [order.index(number) for number in best]


@pytest.mark.parametrize("source", PLANTED)
def test_each_source_finds_what_was_planted(source: str, make: Make) -> None:
    target = make(planted(), source)[source]
    values = target.values
    assert values.dtype == np.float32
    assert values.shape == (12, 3)
    assert target.known.all()
    np.testing.assert_allclose(values.sum(1), 1.0, atol=1e-4)
    assert (values >= 0).all()
    if source in ("artist", "subgenre", "mfcc", "dmfcc"):  # all tracks of an artist have one
        for first, last in ((0, 3), (3, 6), (6, 9), (9, 11)):
            assert (values[first:last] == values[first]).all()
    if source in ("subgenre", "mfcc", "dmfcc"):  # three bags leave allocation some freedom
        assert len(np.unique(values[[0, 3, 6]], axis=0)) > 1
    else:
        assert groups(values) == [0, 0, 0, 1, 1, 1, 2, 2, 2, 0, 0, 2]


def test_taste_is_learnt_from_who_listened(make: Make, tmp_path: Path) -> None:
    (tmp_path / "taste.csv").write_text(TASTE)
    target = make(planted(), "taste", taste="taste.csv")["taste"]
    assert groups(target.values) == [0, 0, 0, 1, 1, 1, 2, 2, 2, 0, 0, 2]


def test_self_is_known_of_all_and_predicts_nothing(make: Make) -> None:
    target = make(rows(), "self")["self"]
    assert target.values.shape == (12, 0)
    assert target.size == 0
    assert target.known.all()


def test_names_are_what_factors_are_made_of(make: Make) -> None:
    made = make(planted(), "tag", "artist", "genre", "bpm")
    assert made["genre"].names == ("a", "b", "c")
    for source in ("tag", "artist"):
        letters = [{word[0] for word in name.split()} for name in made[source].names]
        assert sorted(map(sorted, letters)) == [["a"], ["b"], ["c"]]
    assert made["bpm"].names == ()


COLUMN = {"tag": "tags", "cdr_tag": "cdr_tags", "subgenre": "subgenres"}


@pytest.mark.parametrize("source", ["bpm", "year", "tag", "lyrics", "cdr_tag", "genre"])
def test_a_track_without_a_label_is_unknown(source: str, make: Make) -> None:
    table = planted()
    for row in (1, 10):
        table[row][COLUMN.get(source, source)] = None
    target = make(table, source)[source]
    assert np.flatnonzero(~target.known).tolist() == [1, 10]
    assert np.isnan(target.values[[1, 10]]).all()
    assert not np.isnan(np.delete(target.values, [1, 10], axis=0)).any()


@pytest.mark.parametrize("source", ["artist", "subgenre", "mfcc"])
def test_a_track_without_an_artist_is_unknown_to_sources_of_artists(
    source: str, make: Make
) -> None:
    table = planted()
    table[4]["artist"] = None
    assert np.flatnonzero(~make(table, source)[source].known).tolist() == [4]


OTHER_WORDS = dict.fromkeys(("tags", "lyrics", "cdr_tags", "subgenres"), "0new:9;b1:5")


@pytest.mark.parametrize("source", [*PLANTED, "taste"])
def test_held_out_labels_do_not_change_what_is_learnt(
    source: str, make: Make, tmp_path: Path
) -> None:
    (tmp_path / "taste.csv").write_text(TASTE)
    before = make(planted(), source, taste="taste.csv")[source]
    table = planted()
    # One held-out track with everything else, and one of another artist.
    table[9] |= {"bpm": 333, "year": 1066, "genre": "march", "artist": "Zoe"}
    table[9] |= OTHER_WORDS
    (tmp_path / "taste.csv").write_text(TASTE + "0newcomer,t09,7\nb1,t09,9\n")
    after = make(table, source, taste="taste.csv")[source]
    np.testing.assert_array_equal(after.values[:9], before.values[:9])
    assert after.names == before.names
    # Not because nothing is read: a training label does change it.
    table = planted()
    table[0] |= {"bpm": 333, "year": 1066, "genre": "march", "artist": "Bob"}
    table[0] |= OTHER_WORDS
    (tmp_path / "taste.csv").write_text(TASTE + "0newcomer,t00,7\nb1,t00,9\n")
    other = make(table, source, taste="taste.csv")[source]
    assert not np.array_equal(other.values[:9], before.values[:9])


@pytest.mark.filterwarnings("ignore:.*in more than one split")
@pytest.mark.parametrize("source", ["artist", "subgenre", "mfcc"])
def test_held_out_tracks_of_a_training_artist_say_nothing_of_it(source: str, make: Make) -> None:
    table = planted()
    table[9]["artist"] = "Ann"
    before = make(table, source)[source].values
    table[9] |= OTHER_WORDS
    np.testing.assert_array_equal(make(table, source)[source].values[:9], before[:9])
    np.testing.assert_array_equal(before[9], before[0])


# -- Choi 2017 ------------------------------------------------------------------------------------


def test_the_most_frequent_tags_of_training_tracks(make: Make) -> None:
    table = planted()
    for row, bag in zip(table, ["x;y", "x;y", "x", "z;x", "z", "y", "w", "y;x", "z"], strict=False):
        row["tags"] = bag.split(";")
    for row in table[9:]:
        row["tags"] = ["w"]  # the most frequent one, if these were counted
    table[6]["tags"] = None
    target = make(table, extractor="choi2017", factors=2)["tag"]
    assert target.names == ("x", "y")
    expected = [[1, 1], [1, 1], [1, 0], [1, 0], [0, 0], [0, 1], [np.nan] * 2, [1, 1], [0, 0]]
    np.testing.assert_array_equal(target.values, [*expected, *[[0, 0]] * 3])


def test_a_tag_is_unknown_in_a_data_set_that_does_not_use_it(make: Make) -> None:
    table = planted()
    for number, row in enumerate(table):
        row["dataset"] = "first" if number in (0, 1, 2, 3, 9) else "second"
        row["tags"] = ["both"]
    table[1]["tags"] = ["both", "one"]
    table[9]["tags"] = ["both", "two"]  # held out: nothing to go by
    table[5]["tags"] = ["two"]
    values = make(table, extractor="choi2017", factors=9)["tag"]
    assert values.names == ("both", "one", "two")
    one, two = values.values[:, 1], values.values[:, 2]
    assert one[[0, 1, 2, 3, 9]].tolist() == [0, 1, 0, 0, 0]
    assert np.isnan(one[[4, 5, 6, 7, 8, 10, 11]]).all()
    assert two[[4, 5, 6, 7, 8, 10, 11]].tolist() == [0, 1, 0, 0, 0, 0, 0]
    assert np.isnan(two[[0, 1, 2, 3, 9]]).all()
    assert not np.isnan(values.values[:, 0]).any()


def test_a_data_set_of_held_out_tracks_alone_is_taken_by_its_own_tags(make: Make) -> None:
    table = planted()
    for number, row in enumerate(table):
        row["dataset"] = "new" if number >= 9 else "old"
        row["tags"] = ["x" if number % 2 else "y"]
    table[9]["tags"] = table[11]["tags"] = ["x"]
    table[10]["tags"] = ["other"]
    values = make(table, extractor="choi2017")["tag"]
    assert values.names == ("y", "x")
    np.testing.assert_array_equal(values.values[9:], [[np.nan, 1], [np.nan, 0], [np.nan, 1]])


def test_choi2017_learns_tags_alone(make: Make) -> None:
    with pytest.raises(ConfigError, match="unknown source"):
        make(planted(), "tag", "bpm", extractor="choi2017")


# -- Hamel 2013 -----------------------------------------------------------------------------------


def test_every_data_set_has_its_own_labels(make: Make) -> None:
    made = make(rows(), "tags", "genre", extractor="hamel2013-tag")
    assert sorted(made) == ["alpha:genre", "alpha:tags", "beta:tags"]  # beta has one genre
    assert made["alpha:genre"].names == ("drone", "noise")
    tags = made["beta:tags"]
    assert tags.names == ("calm", "high", "odd", "warm", "wide")
    assert np.flatnonzero(tags.known).tolist() == [6, 7, 8, 11]
    assert tags.values[6].tolist() == [1, 1, 1, 0, 0]
    assert np.isnan(tags.values[:6]).all()


def test_one_data_set_is_named_by_its_column(make: Make) -> None:
    table = planted()
    assert list(make(table, extractor="hamel2013-tag")) == ["tags"]
    genre = make(table, extractor="hamel2013-genre")["genre"]
    assert genre.values[:, 1].tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0]


def test_labels_of_held_out_tracks_are_no_labels(make: Make) -> None:
    table = planted()
    table[9]["tags"] = ["new", "a1"]
    table[10]["tags"] = ["new"]
    target = make(table, extractor="hamel2013-tag")["tags"]
    assert "new" not in target.names
    assert target.values[9].sum() == 1
    assert not target.known[10]


def test_hamel_errors(make: Make) -> None:
    with pytest.raises(TrainingError, match=r"no labels in the column 'mood'"):
        make(planted(), "mood", extractor="hamel2013-tag")
    table = rows()
    for row in table:
        row["dataset"] += ".1"
    with pytest.raises(TrainingError, match=r"the data set 'alpha\.1' has a full stop"):
        make(table, "tags", extractor="hamel2013-tag")


# -- which sources --------------------------------------------------------------------------------


def test_all_that_the_manifest_can_feed(make: Make) -> None:
    table = planted()
    assert list(make(table)) == ["self", "bpm", "year", "tag", "lyrics", "cdr_tag", "artist"]
    for row in table:
        row |= {"lyrics": None, "bpm": None}
    assert list(make(table)) == ["self", "year", "tag", "cdr_tag", "artist"]


def test_a_source_that_needs_a_package_is_left_out_unless_it_was_named(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "essentia", None)
    made = make(planted(), extractor="kim2018-stn")
    assert list(made) == ["genre", "subgenre", "dmfcc", "mfcc"]
    assert "left out: the source 'essentia'" in caplog.text
    with pytest.raises(MissingPackageError, match="pip install essentia"):
        make(planted(), "essentia", extractor="kim2018-stn")


def test_a_source_that_was_named_must_have_labels(make: Make) -> None:
    with pytest.raises(TrainingError, match=r"no training track has a label for .*'lyrics'"):
        make(rows(), "tag", "lyrics")
    table = planted()
    for row in table[:9]:
        row["bpm"] = None
    with pytest.raises(TrainingError, match=r"no training track has a label for .*'bpm'"):
        make(table, "bpm")
    with pytest.raises(TrainingError, match=r"no training track has a label for .*'taste'"):
        make(table, "taste")


def test_an_unknown_source_is_named(make: Make) -> None:
    with pytest.raises(
        ConfigError, match=r"unknown source 'tags'\. Did you mean 'tag'.*Known: self"
    ):
        make(rows(), "tags")


def test_no_labels_at_all(make: Make) -> None:
    bare = [{key: row[key] for key in ("id", "path", "split")} for row in rows()]
    with pytest.raises(TrainingError, match=r"no labels for any of tag.*docs/training\.md"):
        make(bare, extractor="choi2017")


def test_a_taste_table_that_is_not_there(make: Make) -> None:
    with pytest.raises(ManifestError, match=r"nowhere\.csv"):
        make(rows(), "taste", taste="nowhere.csv")


def test_any_seed(make: Make) -> None:
    names = ("bpm", "tag", "subgenre", "mfcc")
    for seed in (2**63 - 1, 2**40):
        made = make(planted(), *names, seed=seed)
        assert all(made[source].known.all() for source in names)


# -- kept -----------------------------------------------------------------------------------------


def count_made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    made: list[str] = []

    def noted(source: str) -> Callable[..., SourceTargets]:
        real = MAKERS[source]

        def call(material: SourceMaterial) -> SourceTargets:
            made.append(source)
            return real(material)

        return call

    for name in MAKERS:
        monkeypatch.setitem(MAKERS, name, noted(name))
    return made


def test_targets_are_kept_and_read_again(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = count_made(monkeypatch)
    first = make(planted(), "tag", "genre", "self")
    assert made == ["tag", "genre", "self"]
    again = make(planted(), "tag", "genre", "self")
    assert made == ["tag", "genre", "self"]
    for source in first:
        np.testing.assert_array_equal(first[source].values, again[source].values)
        assert first[source].names == again[source].names
        assert again[source].values.dtype == np.float32
    assert len(list((tmp_path / "kept").glob("targets-*.npz"))) == 3


def test_targets_are_made_again_when_something_they_depend_on_differs(
    make: Make, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = count_made(monkeypatch)

    def made_by(*names: str, table: Table | None = None, **options: Any) -> list[str]:
        made.clear()
        make(table or planted(), *names, **options)
        return list(made)

    assert made_by("tag") == ["tag"]
    assert made_by("tag", factors=2) == ["tag"]
    assert made_by("tag", seed=1) == ["tag"]
    table = planted()
    table[0]["tags"] = {"b1": 1}
    assert made_by("tag", table=table) == ["tag"]
    assert made_by("tag") == []
    (tmp_path / "taste.csv").write_text(TASTE)
    assert made_by("taste", taste="taste.csv") == ["taste"]
    (tmp_path / "taste.csv").write_text(TASTE.replace("a0,t00,1", "a0,t00,9"))
    assert made_by("taste", taste="taste.csv") == ["taste"]
    assert made_by("taste", taste="taste.csv") == []


def test_targets_of_sound_are_made_again_when_the_cache_has_more(
    make: Make, corpus: Path, tmp_path: Path
) -> None:
    tracks = [Track(row["id"], corpus / row["path"], None) for row in rows()]
    folder = tmp_path / "mel"
    build(tracks[:6], folder, MEL, progress=False)
    some = make(planted(), "mfcc", cache=folder)["mfcc"]
    assert np.flatnonzero(some.known).tolist() == [0, 1, 2, 3, 4, 5]
    build(tracks, folder, MEL, progress=False)
    assert make(planted(), "mfcc", cache=folder)["mfcc"].known.all()


def test_without_a_cache_sound_says_nothing(make: Make, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="'mfcc'"):
        make(planted(), "mfcc", cache=tmp_path / "empty")


def test_a_longer_validation_share_moves_tracks(corpus: Path, tmp_path: Path) -> None:
    """Without splits of its own a manifest is divided, and targets follow."""
    table = [{**row, "split": None} for row in planted()]
    write_manifest(tmp_path / "tracks.csv", table)
    config = TrainConfig("kim2019-mss-cr", tmp_path / "tracks.csv", tmp_path, tmp_path / "kept")
    config = replace(config, sources=Sources(("genre",), 3))
    cache = MelCache(corpus / "cache", MEL)
    sizes = []
    for share in (0.0, 0.75):
        manifest = read_manifest(config.manifest, valid=share)
        validation = replace(config.validation, share=share)
        made = targets_of(replace(config, validation=validation), manifest, cache)
        sizes.append(made["genre"].size)
    assert sizes[0] == 3
    assert sizes[1] < 3
