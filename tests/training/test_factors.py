"""Label factors: the same numbers as a slow twin, planted structure found, bad input refused."""

import re
from typing import Any

import numpy as np
import pytest
from scipy.sparse import coo_matrix, csr_matrix, vstack
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.mixture import GaussianMixture

import mirfeat.training.targets.plsa as module
from mirfeat.errors import LabelsError, OptionError
from mirfeat.training.targets.plsa import Factors, fold_in, plsa
from mirfeat.training.targets.scalar_factors import GaussianFactors
from mirfeat.training.targets.word_counts import artist_counts, bags_to_counts, tf_idf, to_tracks


def zipf_counts(rows: int = 300, words: int = 500, per_row: int = 30, seed: int = 0) -> csr_matrix:
    rng = np.random.default_rng(seed)
    shares = 1 / np.arange(1, words + 1)
    drawn = rng.choice(words, size=rows * per_row, p=shares / shares.sum())
    places = (np.repeat(np.arange(rows), per_row), drawn)
    return csr_matrix((np.ones(rows * per_row), places), shape=(rows, words))


def planted(
    rows: int = 400, words: int = 60, k: int = 4, total: int = 400, seed: int = 1
) -> tuple[csr_matrix, np.ndarray, np.ndarray]:
    """Counts of a mixture of ``k`` topics, each with words of its own beside common ones."""
    rng = np.random.default_rng(seed)
    topics = np.kron(np.eye(k), np.ones(words // k - 2)) + 0.001
    topics = np.hstack([topics, np.full((k, 2 * k), 0.3)])
    topics /= topics.sum(axis=1, keepdims=True)
    mixtures = rng.dirichlet(np.full(k, 0.3), size=rows)
    counts = np.stack([rng.multinomial(total, row) for row in mixtures @ topics])
    return csr_matrix(counts), mixtures, topics


def slow_plsa(
    counts: np.ndarray, k: int, iterations: int, seed: int
) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """EM as the paper by Hofmann writes it: p(z | d, w) in full, float64."""
    rng = np.random.Generator(np.random.PCG64(seed))
    mixtures = rng.random((counts.shape[0], k), dtype=np.float32).astype(np.float64)
    topics = rng.random((k, counts.shape[1]), dtype=np.float32).astype(np.float64)
    mixtures /= mixtures.sum(axis=1, keepdims=True)
    topics /= topics.sum(axis=1, keepdims=True)
    likelihoods = [slow_likelihood(counts, mixtures, topics)]
    for _ in range(iterations):
        joint = mixtures[:, :, None] * topics[None]
        shared = counts[:, None, :] * joint / joint.sum(axis=1, keepdims=True)
        mixtures = shared.sum(axis=2)
        topics = shared.sum(axis=0)
        mixtures /= mixtures.sum(axis=1, keepdims=True)
        topics /= topics.sum(axis=1, keepdims=True)
        likelihoods.append(slow_likelihood(counts, mixtures, topics))
    return topics, mixtures, likelihoods


def slow_likelihood(counts: np.ndarray, mixtures: np.ndarray, topics: np.ndarray) -> float:
    used = counts > 0
    return float((counts[used] * np.log((mixtures @ topics)[used])).sum())


def matched(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Which topic found is which one planted, by cosine."""
    found, truth = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (found, truth))
    return (truth @ found.T).argmax(axis=1)


@pytest.mark.parametrize("small_blocks", [False, True])
def test_plsa_is_em_of_the_slow_twin(monkeypatch: pytest.MonkeyPatch, small_blocks: bool) -> None:
    if small_blocks:  # rows, words and runs of counts are cut in many places
        monkeypatch.setattr(module, "_BLOCK_ENTRIES", 100)
        monkeypatch.setattr(module, "_CHUNK_ENTRIES", 16)
        monkeypatch.setattr(module, "_PIECE_ENTRIES", 7)
    counts = zipf_counts(120, 90, 20) * 2.5
    found = plsa(counts, 6, iterations=25, seed=3)
    topics, mixtures, likelihoods = slow_plsa(counts.toarray(), 6, 25, 3)
    np.testing.assert_allclose(found.topics, topics, atol=1e-4)
    np.testing.assert_allclose(found.mixtures, mixtures, atol=1e-4)
    np.testing.assert_allclose(found.log_likelihood, likelihoods, rtol=1e-6)
    assert found.topics.dtype == found.mixtures.dtype == np.float32


def test_the_likelihood_never_falls_and_progress_tells_it() -> None:
    told: list[tuple[int, float]] = []
    found = plsa(
        zipf_counts(),
        10,
        iterations=60,
        progress=lambda number, value: told.append((number, value)),
    )
    steps = np.diff(found.log_likelihood)
    assert found.log_likelihood.shape == (61,)
    assert (steps > -1e-6 * abs(found.log_likelihood[-1])).all()
    assert steps[:20].min() > 0
    assert told == list(enumerate(found.log_likelihood[:-1], start=1))


def test_rows_are_distributions() -> None:
    found = plsa(zipf_counts(), 10, iterations=100)
    assert found.known.all()
    for rows in (found.topics, found.mixtures):
        assert rows.min() >= 0
        np.testing.assert_allclose(rows.sum(axis=1, dtype=np.float64), 1, atol=1e-5)


def test_planted_topics_are_recovered() -> None:
    counts, mixtures, topics = planted()
    found = plsa(counts, 4, iterations=200, seed=0)
    order = matched(found.topics, topics)
    assert sorted(order) == [0, 1, 2, 3]
    np.testing.assert_allclose(found.topics[order], topics, atol=0.01)
    assert abs(found.mixtures[:, order] - mixtures).mean() < 0.03


def test_folding_a_training_row_in_gives_its_mixture() -> None:
    counts, _, _ = planted()
    found = plsa(counts, 4, iterations=400)
    again, known = found.fold_in(counts[:50], iterations=400)
    assert known.all()
    np.testing.assert_allclose(again, found.mixtures[:50], atol=2e-3)


def test_folding_in_leaves_topics_alone_and_finds_the_mixture_of_new_rows() -> None:
    _, _, topics = planted(rows=1)
    new, truth, _ = planted(rows=40, total=4000, seed=2)
    found, _ = fold_in(new, topics.astype(np.float32), iterations=300)
    assert found.dtype == np.float32
    assert abs(found - truth).max() < 0.06


@pytest.mark.parametrize("workers", [1, 3])
def test_factors_do_not_depend_on_the_number_of_workers(
    monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(module, "_BLOCK_ENTRIES", 500)
    counts = zipf_counts()
    one = plsa(counts, 8, iterations=15, seed=5)
    other = plsa(counts, 8, iterations=15, seed=5, workers=workers)
    for name in ("topics", "mixtures", "log_likelihood"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_array_equal(one.fold_in(counts)[0], one.fold_in(counts, workers=workers)[0])
    assert not np.array_equal(one.topics, plsa(counts, 8, iterations=15, seed=6).topics)


def test_rows_and_words_without_counts() -> None:
    full = zipf_counts(50, 40, 10)
    holes = full.tolil()
    holes[[0, 7, 49]] = 0
    holes[:, [3, 39]] = 0
    found = plsa(holes.tocsr(), 5, iterations=20)
    unknown = [0, 7, 49]
    assert np.flatnonzero(~found.known).tolist() == unknown
    assert np.isnan(found.mixtures[unknown]).all()
    assert np.isfinite(found.mixtures[found.known]).all()
    assert (found.topics[:, [3, 39]] == 0).all()
    # A row that only has words without a topic cannot be placed; other rows lose these words.
    only, both, none = np.zeros((3, 40))
    only[3], both[[3, 1]], none[:] = 5, [9, 2], 0
    without = both.copy()
    without[3] = 0
    mixtures, known = found.fold_in(csr_matrix(np.stack([only, both, none, without])))
    assert known.tolist() == [False, True, False, True]
    assert np.isnan(mixtures[~known]).all()
    np.testing.assert_array_equal(mixtures[1], mixtures[3])


def test_factors_are_cut_to_the_distinct_rows_and_words() -> None:
    assert plsa(csr_matrix(np.eye(3)), 50, iterations=5).topics.shape == (3, 3)
    assert plsa(csr_matrix(np.ones((9, 9))), 50, iterations=5).mixtures.shape == (9, 1)
    words = csr_matrix(np.arange(1, 21).reshape(10, 2))
    assert plsa(words, 50, iterations=5).topics.shape == (2, 2)
    assert plsa(zipf_counts(), 50, iterations=1).topics.shape == (50, 500)


def test_an_exact_description_reaches_the_entropy() -> None:
    counts = np.diag([1.0, 2.0, 3.0])
    found = plsa(csr_matrix(counts), 3, iterations=300)
    assert found.log_likelihood[-1] == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("scale", [1e-30, 1e-6, 1e30])
def test_the_scale_of_counts_does_not_matter(scale: float) -> None:
    counts = zipf_counts(60, 40, 15)
    plain, scaled = plsa(counts, 5, iterations=30), plsa(counts * scale, 5, iterations=30)
    np.testing.assert_allclose(scaled.topics, plain.topics, atol=1e-3)
    np.testing.assert_allclose(scaled.log_likelihood / scale, plain.log_likelihood, rtol=1e-4)


def test_counts_that_differ_a_lot_stay_finite() -> None:
    counts = zipf_counts(60, 40, 15).toarray()
    counts[0, :2] = 1e20
    found = plsa(csr_matrix(counts), 5, iterations=100)
    assert np.isfinite(found.topics).all()
    assert np.isfinite(found.mixtures).all()
    np.testing.assert_allclose(found.topics.sum(axis=1), 1, atol=1e-5)


def test_any_sparse_form_will_do_and_is_not_changed() -> None:
    places = (np.array([0, 0, 1, 1, 2]), np.array([1, 1, 0, 2, 2]))
    counts = coo_matrix((np.array([1, 2, 5, 0, 4]), places), shape=(3, 3))
    plain = csr_matrix(np.array([[0, 3, 0], [5, 0, 0], [0, 0, 4.0]]))
    np.testing.assert_array_equal(
        plsa(counts, 3, iterations=9).topics, plsa(plain, 3, iterations=9).topics
    )
    assert counts.data.tolist() == [1, 2, 5, 0, 4]


def spoilt(value: float) -> csr_matrix:
    counts = np.eye(4)
    counts[2, 1] = value
    return csr_matrix(counts)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (spoilt(-1.0), "row 2, column 1 is -1. Counts must be 0 or more"),
        (spoilt(np.nan), "row 2, column 1 is nan"),
        (spoilt(np.inf), "row 2, column 1 is inf"),
        (spoilt(1e300), "row 2, column 1 is 1e+300. .* within float32"),
        (np.eye(3), "a ndarray of float64: they must be a scipy.sparse matrix"),
        (csr_matrix(np.eye(3) * 1j), "of complex128"),
        (None, "a NoneType of no numbers"),
        (csr_matrix((3, 4)), "counts of 3 rows and 4 words are all 0"),
        (csr_matrix((0, 4)), "counts of 0 rows and 4 words are all 0"),
    ],
)
def test_counts_that_are_none_are_refused(counts: Any, message: str) -> None:
    with pytest.raises(LabelsError, match=message.replace("+", r"\+")):
        plsa(counts)


@pytest.mark.parametrize("option", ["factors", "iterations", "workers"])
def test_options_below_one_are_refused(option: str) -> None:
    with pytest.raises(OptionError, match=f"{option} = 0: it must be 1 or more"):
        plsa(csr_matrix(np.eye(3)), **{option: 0})


def test_folding_in_other_words_is_refused() -> None:
    with pytest.raises(LabelsError, match=re.escape("3 words and topics the shape [2, 4]")):
        fold_in(csr_matrix(np.eye(3)), np.ones((2, 4), dtype=np.float32))


# Scalars


def test_the_mixture_separates_planted_tempi() -> None:
    rng = np.random.default_rng(0)
    tempi = np.repeat([70.0, 100.0, 128.0, 174.0], 100)
    values = tempi + rng.normal(0, 2, size=400)
    posteriors, known = GaussianFactors.fit(values, 4).predict(values)
    assert known.all()
    assert posteriors.dtype == np.float32
    np.testing.assert_allclose(posteriors.sum(axis=1), 1, atol=1e-6)
    assert (posteriors.argmax(axis=1) == np.repeat(np.arange(4), 100)).all()
    assert posteriors.max(axis=1).min() > 0.95


def test_posteriors_are_those_of_scikit_learn() -> None:
    values = np.random.default_rng(0).gamma(3.0, 30.0, size=500)
    theirs = GaussianMixture(7, max_iter=100, random_state=4).fit(values[:, None])
    expected = theirs.predict_proba(values[:, None])[:, np.argsort(theirs.means_[:, 0])]
    ours, _ = GaussianFactors.fit(values, 7, seed=4).predict(values)
    np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_a_mixture_places_values_that_it_did_not_learn_from() -> None:
    values = np.array([60.0, 61.0, np.nan, 180.0, 181.0, 62.0, 1e6, np.nan])
    posteriors, known = GaussianFactors.fit(values[:5], 2).predict(values)
    assert known.tolist() == [True, True, False, True, True, True, True, False]
    assert np.isnan(posteriors[~known]).all()
    np.testing.assert_allclose(posteriors[5], [1, 0], atol=1e-6)  # nearer to 60
    np.testing.assert_allclose(posteriors[6].sum(), 1, atol=1e-6)  # far off, and still safe


def test_years_that_repeat_are_safe() -> None:
    rng = np.random.default_rng(0)
    years = np.round(2011 - rng.gamma(2.0, 8.0, size=3000))
    model = GaussianFactors.fit(years, 50)
    posteriors, _ = model.predict(np.append(years, [1900.0, 2005.5, 2100.0]))
    assert model.means.shape == (50,)
    assert (model.deviations >= 0.00099).all()
    assert (np.diff(model.means) >= 0).all()
    assert np.isfinite(posteriors).all()
    np.testing.assert_allclose(posteriors.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(("values", "k"), [([5.0], 1), ([5.0] * 9, 1), ([1.0, 2.0, 2.0], 2)])
def test_components_are_cut_to_the_distinct_values(values: list[float], k: int) -> None:
    posteriors, _ = GaussianFactors.fit(np.array(values)).predict(np.array(values))
    assert posteriors.shape == (len(values), k)
    assert (posteriors.max(axis=1) > 0.99).all()


def test_the_mixture_depends_on_nothing_but_values_and_seed() -> None:
    values = np.random.default_rng(1).normal(120, 30, size=300)
    one, same = (GaussianFactors.fit(values, 9, seed=2) for _ in range(2))
    np.testing.assert_array_equal(one.means, same.means)
    assert not np.array_equal(one.means, GaussianFactors.fit(values, 9, seed=3).means)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([np.nan, np.nan], "none of the 2 values is known"),
        ([], "none of the 0 values is known"),
        ([1.0, -np.inf], "row 1 is -inf; NaN says"),
        ([[1.0]], r"the shape \[1, 1\]; one number a row"),
    ],
)
def test_values_that_are_none_are_refused(values: Any, message: str) -> None:
    with pytest.raises(LabelsError, match=message):
        GaussianFactors.fit(np.array(values))
    with pytest.raises(OptionError, match="components = 0"):
        GaussianFactors.fit(np.ones(3), 0)


# Bags


def test_tf_idf_takes_frequencies_from_training_rows() -> None:
    counts = zipf_counts(80, 60, 12)
    train = np.arange(80) < 50
    found = tf_idf(counts, train)
    expected = TfidfTransformer().fit(counts[train]).transform(counts)
    np.testing.assert_allclose(found.toarray(), expected.toarray(), rtol=1e-5)
    assert found.dtype == np.float32
    # By hand: a word of every row has idf 1, one of half the rows ln(5/3) + 1.
    hand = tf_idf(csr_matrix(np.array([[1, 1], [1, 0], [1, 1], [3, 0]]))).toarray()
    idf = np.log(5 / 3) + 1
    np.testing.assert_allclose(hand[0], np.array([1, idf]) / np.hypot(1, idf), rtol=1e-5)
    np.testing.assert_allclose(hand[3], [1, 0], rtol=1e-5)
    with pytest.raises(LabelsError, match="0 rows and 60 words to take frequencies from"):
        tf_idf(counts, np.zeros(80, dtype=bool))


def test_bags_become_rows_in_the_order_of_words() -> None:
    bags = [{"rock": 2.0, "jazz": 1.0}, None, {}, {"rock": 0.5, "pop": 0.0}]
    counts, names = bags_to_counts(bags)
    assert names == ["jazz", "rock"]
    np.testing.assert_array_equal(counts.toarray(), [[1, 2], [0, 0], [0, 0], [0, 0.5]])
    assert counts.dtype == np.float32
    assert bags_to_counts(bags, min_rows=2)[1] == ["rock"]
    counts, names = bags_to_counts(bags, vocabulary=["rock", "folk"])
    assert names == ["rock", "folk"]
    np.testing.assert_array_equal(counts.toarray(), [[2, 0], [0, 0], [0, 0], [0.5, 0]])
    assert bags_to_counts([None, {}])[0].shape == (2, 0)


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf])
def test_weights_that_are_no_counts_are_refused(weight: float) -> None:
    with pytest.raises(LabelsError, match=f"row 1, 'pop': the weight {weight} is not"):
        bags_to_counts([{"rock": 1.0}, {"pop": weight}])


def test_a_vocabulary_with_a_word_twice_is_refused() -> None:
    with pytest.raises(LabelsError, match="has 'b' more than once"):
        bags_to_counts([], vocabulary=["a", "b", "b"])


def test_counts_of_artists_are_sums_of_their_tracks() -> None:
    counts = csr_matrix(np.array([[1, 0], [2, 2], [0, 4], [8, 8], [0, 0]]))
    summed, index = artist_counts(["b", "a", "b", None, ""], counts)
    assert index.tolist() == [1, 0, 1, -1, -1]
    np.testing.assert_array_equal(summed.toarray(), [[2, 2], [1, 4]])
    with pytest.raises(LabelsError, match="1 artists for 5 rows"):
        artist_counts(["a"], counts)


def test_tracks_get_the_factors_of_their_artist() -> None:
    factors = np.array([[0.25, 0.75], [np.nan, np.nan]], dtype=np.float32)
    rows, known = to_tracks(factors, np.array([True, False]), np.array([0, -1, 1, 0]))
    assert known.tolist() == [True, False, False, True]
    np.testing.assert_array_equal(rows[known], [[0.25, 0.75]] * 2)
    assert np.isnan(rows[~known]).all()
    assert rows.dtype == np.float32


def test_the_whole_way_from_tags_to_targets_of_tracks() -> None:
    """Train artists of two kinds; a held-out artist falls in with its own kind."""
    rng = np.random.default_rng(0)
    kinds = np.repeat([0, 1], 40)
    words = [["rock", "guitar", "loud"], ["piano", "calm", "strings"]]
    bags = [dict.fromkeys(rng.choice(words[kind], 2, replace=False), 1.0) for kind in kinds]
    artists = [f"{kind}-{row % 4}" for row, kind in enumerate(kinds)]
    counts, _ = bags_to_counts(bags)
    held_out = np.array([artist.endswith("3") for artist in artists])
    learned, _ = artist_counts(
        [a for a, h in zip(artists, held_out, strict=True) if not h], counts[~held_out]
    )
    found: Factors = plsa(learned, 2, iterations=100)
    everyone, index = artist_counts(artists, counts)
    targets, known = to_tracks(*found.fold_in(everyone), index)
    assert known.all()
    side = targets.argmax(axis=1)
    assert len(set(side[kinds == 0])) == len(set(side[kinds == 1])) == 1
    assert side[0] != side[-1]


def test_zero_rows_may_be_folded_in() -> None:
    counts = zipf_counts(20, 15, 6)
    found = plsa(counts, 3, iterations=5)
    mixtures, known = found.fold_in(counts[:0])
    assert mixtures.shape == (0, 3)
    assert known.shape == (0,)
    mixtures, _ = found.fold_in(vstack([counts, csr_matrix((2, 15))]).tocsr())
    assert np.isnan(mixtures[-2:]).all()
