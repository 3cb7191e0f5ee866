"""Artist group factors: words of sound, bags of artists, groups of artists that were planted."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.stats import norm, rankdata
from sklearn.decomposition import LatentDirichletAllocation

import mirfeat.training.targets.artist_groups as module
from mirfeat.errors import DecodeError, LabelsError, MissingPackageError, OptionError
from mirfeat.training.targets.artist_groups import (
    Dictionary,
    artist_bags,
    artist_group_factors,
    essentia_features,
    essentia_table,
)
from mirfeat.training.targets.word_counts import bags_to_counts, to_tracks

CORNERS = np.array([[0, 0], [0, 10], [10, 0], [10, 10]], dtype=np.float32)


def sounds(frames: int = 400, seed: int = 0) -> np.ndarray:
    """Frames around four corners, as many at each."""
    rng = np.random.default_rng(seed)
    return (np.tile(CORNERS, (frames // 4, 1)) + rng.normal(0, 0.5, (frames, 2))).astype(np.float32)


def pieces(frames: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """A stream, which comes once."""
    return (frames[at : at + size] for at in range(0, len(frames), size))


def test_words_are_the_places_around_which_frames_lie() -> None:
    words = Dictionary.fit([sounds()], words=4)
    assert words.centres.dtype == np.float32
    found = np.array(sorted(words.centres, key=lambda centre: tuple(centre.round())))
    np.testing.assert_allclose(found, CORNERS, atol=0.2)


def test_each_frame_counts_for_the_word_nearest_to_it() -> None:
    words = Dictionary(np.array([[0, 0], [4, 0], [100, 100]], dtype=np.float32))
    counts = words.count(np.array([[1, 0], [2.1, 0], [9, 9], [-5, 3]]))
    assert counts.tolist() == [2, 2, 0]
    assert counts.dtype == np.int64
    assert words.count(np.empty((0, 2))).tolist() == [0, 0, 0]
    many = np.random.default_rng(0).normal(size=(500, 2)).astype(np.float32) * 60
    nearest = ((many[:, None] - words.centres) ** 2).sum(axis=2).argmin(axis=1)
    assert words.count(many).tolist() == np.bincount(nearest, minlength=3).tolist()


@pytest.mark.parametrize("size", [1, 7, 150, 400])
def test_words_do_not_depend_on_how_many_frames_come_at_a_time(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(module, "_BATCH_FRAMES", 64)  # several batches
    frames = sounds()
    expected = Dictionary.fit([frames], words=8, seed=2).centres
    streamed = Dictionary.fit(pieces(frames, size), words=8, seed=2).centres
    np.testing.assert_array_equal(streamed, expected)
    assert not np.array_equal(expected, Dictionary.fit([frames], words=8, seed=3).centres)


def test_frames_after_the_first_batch_move_the_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BATCH_FRAMES", 50)
    near, far = np.zeros((50, 1)), np.full((50, 1), 8.0)
    assert Dictionary.fit([near, far], words=1).centres[0, 0] == pytest.approx(4.0)


def test_words_are_cut_to_the_distinct_frames() -> None:
    frames = np.repeat(CORNERS, 5, axis=0)
    assert Dictionary.fit([frames], words=50).centres.shape == (4, 2)
    assert Dictionary.fit([np.empty((0, 2)), CORNERS[:1]]).centres.tolist() == [[0, 0]]


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "there are no frames"),
        ([np.empty((0, 3))], "there are no frames"),
        ([CORNERS, np.zeros((2, 3))], r"array 1 of frames: the shape is \[2, 3\]; \[frames, 2\]"),
        ([np.zeros(3)], r"array 0 of frames: the shape is \[3\]; \[frames, d\]"),
        ([np.zeros((3, 0))], r"array 0 of frames: the shape is \[3, 0\]"),
        ([CORNERS, np.array([[0, 1], [np.nan, 0]])], "array 1 of frames: frame 1 has a value that"),
    ],
)
def test_frames_that_cannot_be_words_are_refused(frames: list[np.ndarray], message: str) -> None:
    with pytest.raises(LabelsError, match=message):
        Dictionary.fit(frames)


def test_frames_of_another_size_are_not_counted() -> None:
    words = Dictionary(CORNERS)
    with pytest.raises(LabelsError, match=r"\[1, 3\]; \[frames, 2\] is due"):
        words.count(np.zeros((1, 3)))
    with pytest.raises(OptionError, match="words = 0"):
        Dictionary.fit([CORNERS], words=0)


# Bags and groups


@pytest.mark.parametrize("sparse", [False, True])
def test_bags_of_artists_are_means_or_sums_of_their_tracks(sparse: bool) -> None:
    counts: Any = np.array([[4, 0, 1], [2, 2, 0], [0, 2, 3], [0, 0, 0], [9, 9, 9]])
    if sparse:
        counts = csr_matrix(counts)
    artists = ["b", "a", "b", "a", None]
    bags, index = artist_bags(counts, artists)
    assert index.tolist() == [1, 0, 1, 0, -1]
    # The track of "a" without a count is none.
    np.testing.assert_array_equal(bags.toarray(), [[2, 2, 0], [2, 1, 2]])
    assert bags.dtype == np.float32
    sums, _ = artist_bags(counts, artists, mean=False)
    np.testing.assert_array_equal(sums.toarray(), [[2, 2, 0], [4, 2, 4]])
    with pytest.raises(LabelsError, match="2 artists for 5 rows"):
        artist_bags(counts, ["a", "b"])


def planted_artists(
    each: int = 30, groups: int = 4, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Bags of artists of a few groups, each of which uses ten words of its own."""
    rng = np.random.default_rng(seed)
    kinds = np.tile(np.arange(groups), each)
    shares = np.kron(np.eye(groups), np.ones(10)) + 0.02
    shares /= shares.sum(axis=1, keepdims=True)
    return np.stack([rng.multinomial(200, shares[kind]) for kind in kinds]), kinds


def test_planted_groups_are_recovered_also_of_artists_that_were_not_learned_from() -> None:
    bags, kinds = planted_artists()
    train = np.arange(len(kinds)) < 80
    factors, known = artist_group_factors(bags, 4, train=train)
    assert known.all()
    assert factors.dtype == np.float32
    np.testing.assert_allclose(factors.sum(axis=1), 1, atol=1e-5)
    group = factors.argmax(axis=1)
    assert sorted({(int(g), int(k)) for g, k in zip(group, kinds, strict=True)}) == sorted(
        (int(group[kind]), kind) for kind in range(4)
    )
    assert len(set(group)) == 4
    assert factors.max(axis=1).min() > 0.7


def test_factors_are_those_of_scikit_learn() -> None:
    bags, _ = planted_artists()
    theirs = LatentDirichletAllocation(6, random_state=3).fit_transform(bags.astype(np.float64))
    factors, _ = artist_group_factors(csr_matrix(bags), 6, seed=3)
    np.testing.assert_allclose(factors, theirs, atol=1e-6)
    np.testing.assert_array_equal(factors, artist_group_factors(bags, 6, seed=3)[0])


def test_artists_held_out_leave_no_trace_in_the_groups() -> None:
    bags, _ = planted_artists()
    train = np.arange(80)
    changed = bags.copy()
    changed[80:] = changed[80:, ::-1] * 3
    factors = artist_group_factors(bags, 4, train=train)[0]
    np.testing.assert_array_equal(
        artist_group_factors(changed, 4, train=train)[0][:80], factors[:80]
    )


def test_artists_without_a_word_of_the_training_are_unknown() -> None:
    bags = np.zeros((6, 4))
    bags[:3, :3] = [[5, 1, 0], [0, 5, 1], [1, 0, 5]]
    bags[3, 3] = 7  # only a word that no training artist has
    bags[4] = [5, 1, 0, 9]
    factors, known = artist_group_factors(bags, 2, train=np.array([0, 1, 2]))
    assert known.tolist() == [True, True, True, False, True, False]
    assert np.isnan(factors[~known]).all()
    np.testing.assert_allclose(factors[4], factors[0], atol=1e-6)


def test_groups_are_cut_to_the_distinct_bags_and_words() -> None:
    assert artist_group_factors(np.eye(5) * 9)[0].shape == (5, 5)
    assert artist_group_factors(np.tile([1, 2, 3], (9, 1)))[0].shape == (9, 1)
    assert artist_group_factors(np.random.default_rng(0).integers(1, 9, (9, 2)))[0].shape == (9, 2)


@pytest.mark.parametrize(
    ("bags", "train", "message"),
    [
        (np.array([[1.0, -2.0]]), None, "row 0, column 1 is -2"),
        (np.array([[1.0], [np.nan]]), None, "row 1, column 0 is nan"),
        (np.zeros((3, 4)), None, "none of the artists to learn from has a word; there are 3"),
        (np.eye(3), np.zeros(3, dtype=bool), "none of the artists to learn from"),
    ],
)
def test_bags_that_teach_nothing_are_refused(
    bags: np.ndarray, train: np.ndarray | None, message: str
) -> None:
    with pytest.raises(LabelsError, match=message):
        artist_group_factors(bags, train=train)
    with pytest.raises(OptionError, match="groups = 0"):
        artist_group_factors(np.eye(3), 0)


def test_the_whole_way_from_frames_to_targets_of_tracks() -> None:
    """Artists "left" and "right" play at other corners than each other."""
    rng = np.random.default_rng(0)
    tracks = [CORNERS[rng.integers(0, 2, 60) + 2 * (row % 2)] for row in range(24)]
    noisy = [frames + rng.normal(0, 0.3, frames.shape) for frames in tracks]
    artists = [None if row == 5 else f"{['left', 'right'][row % 2]} {row % 6}" for row in range(24)]
    words = Dictionary.fit(iter(noisy), words=4)
    bags, index = artist_bags(np.stack([words.count(frames) for frames in noisy]), artists)
    targets, known = to_tracks(*artist_group_factors(bags, 2), index)
    assert np.flatnonzero(~known).tolist() == [5]
    side = np.nanargmax(np.where(known[:, None], targets, 0), axis=1)
    assert len(set(side[0::2])) == 1
    assert set(side[1::2][known[1::2]]) == {1 - side[0]}


def test_subgenres_are_words_already() -> None:
    lists = [["punk", "noise"], ["punk"], ["baroque"], ["baroque", "opera"], None]
    counts, names = bags_to_counts([row and dict.fromkeys(row, 1.0) for row in lists])
    bags, index = artist_bags(counts, ["x", "x", "y", "y", "z"])
    assert names == ["baroque", "noise", "opera", "punk"]
    np.testing.assert_array_equal(bags.toarray(), [[0, 0.5, 0, 1], [1, 0, 0.5, 0], [0, 0, 0, 0]])
    targets, known = to_tracks(*artist_group_factors(bags, 40), index)
    assert known.tolist() == [True] * 4 + [False]
    assert targets.shape == (5, 2)


# Essentia


class FakePool(dict[str, Any]):
    def descriptorNames(self) -> list[str]:  # noqa: N802 - Essentia's name
        return list(self)


def install_essentia(monkeypatch: pytest.MonkeyPatch, result: Any) -> list[str]:
    """A module that knows one track; gives the list of paths it was asked for."""
    asked: list[str] = []

    class MusicExtractor:
        def __call__(self, path: str) -> Any:
            asked.append(path)
            if isinstance(result, Exception):
                raise result
            return FakePool(result), FakePool()

    standard = ModuleType("essentia.standard")
    standard.MusicExtractor = MusicExtractor  # type: ignore[attr-defined]
    essentia = ModuleType("essentia")
    essentia.log = SimpleNamespace(infoActive=True)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "essentia", essentia)
    monkeypatch.setitem(sys.modules, "essentia.standard", standard)
    return asked


def test_essentia_describes_a_track_by_numbers_with_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    pool = {
        "lowlevel.dissonance.mean": 0.5,
        "lowlevel.mfcc.mean": np.array([-700.0, 120.0], dtype=np.float32),
        "lowlevel.mfcc.cov": np.eye(2),
        "rhythm.beats_count": 42,
        "rhythm.beats_position": np.arange(42.0),
        "tonal.key_edma.key": "A",
        "tonal.words": ["a", "b"],
        "metadata.audio_properties.length": 30.0,
    }
    asked = install_essentia(monkeypatch, pool)
    assert essentia_features(tmp_path / "ä.mp3") == {
        "lowlevel.dissonance.mean": 0.5,
        "lowlevel.mfcc.mean[0]": -700.0,
        "lowlevel.mfcc.mean[1]": 120.0,
        "rhythm.beats_count": 42.0,
        "tonal.key_edma.key=A": 1.0,
    }
    assert asked == [str(tmp_path / "ä.mp3")]


def test_the_real_essentia_describes_music_and_is_quiet(
    music: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("essentia.standard")
    capfd.readouterr()  # its greeting
    found = essentia_features(music / "electronic_eureka.ogg")
    assert len(found) > 1000
    assert all(map(np.isfinite, found.values()))
    assert capfd.readouterr().err == ""
    with pytest.raises(DecodeError, match="Essentia cannot describe it"):
        essentia_features(__file__)


def test_a_file_that_essentia_cannot_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    install_essentia(monkeypatch, RuntimeError("AudioLoader: no such file."))
    with pytest.raises(DecodeError, match=r"a\.mp3: Essentia .*: AudioLoader: no such file\.$"):
        essentia_features("a.mp3")


def test_without_essentia_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "essentia", None)
    monkeypatch.setitem(sys.modules, "essentia.standard", None)
    with pytest.raises(MissingPackageError, match="pip install essentia"):
        essentia_features("a.mp3")


def test_descriptors_become_normal_by_their_ranks() -> None:
    values = np.random.default_rng(0).lognormal(0, 2, 201)
    table, names = essentia_table([{"x": value} for value in values])
    assert names == ["x"]
    assert table.dtype == np.float32
    expected = norm.ppf((rankdata(values) - 1) / 200)
    np.testing.assert_allclose(
        table[1:-1, 0][abs(expected[1:-1]) < 5], expected[1:-1][abs(expected[1:-1]) < 5], atol=1e-5
    )
    assert np.isfinite(table).all()


def test_descriptors_that_a_track_lacks_are_dropped_and_words_are_zero_there() -> None:
    tracks = [
        {"a": 1.0, "b": 2.0, "key=A": 1.0},
        {"a": 2.0, "b": np.inf, "c": 1.0, "key=B": 1.0},
        None,
        {"a": 3.0, "b": 1.0, "c": 0.0},
    ]
    table, names = essentia_table(tracks)
    assert names == ["a", "key=A", "key=B"]
    assert np.isnan(table[2]).all()
    assert table[1, 0] == pytest.approx(0, abs=1e-6)
    assert table[0, 0] == -table[3, 0] < -5
    assert table[0, 1] > table[1, 1] == table[3, 1]


def test_ranks_are_among_training_tracks() -> None:
    tracks = [{"a": value} for value in (1.0, 2.0, 3.0, 1e9, -1e9)]
    table, _ = essentia_table(tracks, train=np.arange(5) < 3)
    np.testing.assert_array_equal(table[[3, 4]], table[[2, 0]])


def test_tables_without_a_descriptor_are_refused() -> None:
    with pytest.raises(LabelsError, match="none of 2 tracks has descriptors to learn from"):
        essentia_table([None, None])
    with pytest.raises(LabelsError, match="none of 2 tracks has descriptors"):
        essentia_table([{"a": 1.0}, None], train=np.array([False, True]))
    with pytest.raises(LabelsError, match="none of 2 descriptors has a finite value in every"):
        essentia_table([{"a": 1.0}, {"b": 1.0}])
