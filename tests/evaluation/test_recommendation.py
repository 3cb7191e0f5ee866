"""Cold-start recommendation: interactions, factorisation with features, lists and their scores."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from mirfeat.errors import LabelsError, OptionError
from mirfeat.evaluation import recommendation
from mirfeat.evaluation.models.factorisation import Factorisation, factorise
from mirfeat.evaluation.models.ranking import (
    average_precision_at_k,
    ndcg_at_k,
    ranked_relevance,
    recall_at_k,
)
from mirfeat.evaluation.recommendation import (
    Interactions,
    filter_interactions,
    read_interactions,
    recommend,
)

ALPHA, PENALTY, MAP_PENALTY = 0.1, 1e-5, 0.1


def plays(users: int, items: int, seed: int, share: float = 0.2) -> np.ndarray:
    """Counts float64 [users, items]; some rows and columns are empty."""
    rng = np.random.default_rng(seed)
    counts = rng.geometric(0.2, (users, items)) * (rng.random((users, items)) < share)
    counts[users // 2] = 0
    counts[:, items // 2] = 0
    return counts.astype(np.float64)


def features_of(items: int, size: int, seed: int) -> np.ndarray:
    return np.random.default_rng([seed, 99]).standard_normal((items, size))


def named(counts: np.ndarray) -> Interactions:
    users, items = counts.shape
    names = [tuple(f"{kind}{k}" for k in range(n)) for kind, n in (("u", users), ("i", items))]
    return Interactions(names[0], names[1], sparse.csr_array(counts))


def start(counts: np.ndarray, size: int, factors: int, seed: int) -> list[np.ndarray]:
    """The random U, V and W that a factorisation starts from."""
    shapes = [(counts.shape[0], factors), (counts.shape[1], factors), (factors, size)]
    return [
        0.01 * np.random.default_rng([seed, k]).standard_normal(shape)
        for k, shape in enumerate(shapes)
    ]


def objective(
    counts: torch.Tensor, x: torch.Tensor, u: torch.Tensor, v: torch.Tensor, w: torch.Tensor
) -> torch.Tensor:
    """The formula of the docstring, densely."""
    error = ((1 + ALPHA * counts) * ((counts > 0).double() - u @ v.T) ** 2).sum()
    apart = PENALTY * ((v - x @ w.T) ** 2).sum()
    return error + PENALTY * (u**2).sum() + apart + MAP_PENALTY * (w**2).sum()


def slow_twin(
    counts: np.ndarray, x: np.ndarray, factors: int, sweeps: int, seed: int
) -> tuple[list[np.ndarray], list[float]]:
    """Alternating least squares with dense matrices, a row at a time; objective by its formula."""
    u, v, w = start(counts, x.shape[1], factors, seed)
    c, p = 1 + ALPHA * counts, (counts > 0).astype(float)
    values = []

    def record() -> None:
        values.append(float(objective(*map(torch.from_numpy, (counts, x, u, v, w)))))

    one = np.eye(factors)
    for _ in range(sweeps):
        for n in range(len(u)):
            u[n] = np.linalg.solve(v.T @ np.diag(c[n]) @ v + PENALTY * one, v.T @ (c[n] * p[n]))
        record()
        for n in range(len(v)):
            left = u.T @ np.diag(c[:, n]) @ u + PENALTY * one
            v[n] = np.linalg.solve(left, u.T @ (c[:, n] * p[:, n]) + PENALTY * w @ x[n])
        record()
        left = PENALTY * x.T @ x + MAP_PENALTY * np.eye(x.shape[1])
        w = np.linalg.solve(left, PENALTY * x.T @ v).T
        record()
    return [u, v, w], values


def authors_twin(
    counts: np.ndarray, x: np.ndarray, factors: int, sweeps: int, seed: int
) -> list[np.ndarray]:
    """The authors' updates, in their layout: vectors are columns, C - I = α R."""
    u, v, w = (a.T for a in start(counts, x.shape[1], factors, seed))
    w, f = w.T, x.T
    extra = ALPHA * counts
    one = np.eye(factors)
    for _ in range(sweeps):
        for n in range(u.shape[1]):
            (heard,) = np.nonzero(extra[n])
            if len(heard) == 0:
                continue
            y, e = v[:, heard], extra[n, heard]
            u[:, n] = np.linalg.solve(v @ v.T + y @ np.diag(e) @ y.T + PENALTY * one, y @ (e + 1))
        for n in range(v.shape[1]):
            (heard,) = np.nonzero(extra[:, n])
            if len(heard) == 0:
                continue
            y, e = u[:, heard], extra[heard, n]
            right = y @ (e + 1) + MAP_PENALTY * w @ f[:, n]
            v[:, n] = np.linalg.solve(u @ u.T + y @ np.diag(e) @ y.T + PENALTY * one, right)
        left = PENALTY * f @ f.T + MAP_PENALTY * np.eye(len(f))
        w = np.linalg.solve(left, PENALTY * f @ v.T).T
    return [u.T, v.T, w]


def parts(found: Factorisation) -> list[np.ndarray]:
    return [found.user_factors, found.item_factors, found.feature_map]


@pytest.mark.parametrize("shape", [(9, 14), (40, 23)])
def test_factorisation_is_that_of_the_slow_twin(shape: tuple[int, int]) -> None:
    counts, x = plays(*shape, seed=1), features_of(shape[1], 6, seed=1)
    found = factorise(sparse.csr_array(counts), x, factors=4, sweeps=3, seed=5)
    expected, values = slow_twin(counts, x, factors=4, sweeps=3, seed=5)
    np.testing.assert_allclose(found.objective, values, rtol=1e-9)
    for ours, theirs in zip(parts(found), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-8)


def test_authors_variant_is_their_code_written_densely() -> None:
    counts, x = plays(12, 19, seed=2), features_of(19, 5, seed=2)
    found = factorise(sparse.csr_array(counts), x, factors=4, sweeps=3, seed=3, variant="authors")
    expected = authors_twin(counts, x, factors=4, sweeps=3, seed=3)
    for ours, theirs in zip(parts(found), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-8)
    value = objective(*map(torch.from_numpy, (counts, x, *expected)))
    assert found.objective[-1] == pytest.approx(float(value), rel=1e-9)
    # Nobody has item 9, so it keeps its first numbers, and so does user 6.
    first = start(counts, 5, 4, seed=3)
    np.testing.assert_array_equal(found.item_factors[9], first[1][9])
    np.testing.assert_array_equal(found.user_factors[6], first[0][6])


def test_an_item_of_nobody_follows_its_features_and_the_zeros() -> None:
    counts, x = plays(12, 19, seed=2), features_of(19, 5, seed=2)
    found = factorise(sparse.csr_array(counts), x, factors=4, sweeps=1, seed=3)
    u, w = found.user_factors, start(counts, 5, 4, seed=3)[2]
    left = u.T @ u + PENALTY * np.eye(4)
    np.testing.assert_allclose(left @ found.item_factors[9], PENALTY * w @ x[9], atol=1e-12)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 1000),
    shape=st.tuples(st.integers(3, 30), st.integers(3, 30)),
    factors=st.integers(1, 6),
    share=st.floats(0.05, 0.9),
)
def test_objective_never_rises(
    seed: int, shape: tuple[int, int], factors: int, share: float
) -> None:
    counts, x = plays(*shape, seed=seed, share=share), features_of(shape[1], 5, seed)
    found = factorise(
        sparse.csr_array(counts), x, factors=factors, sweeps=5, seed=seed, item_penalty=0.3
    )
    values = np.array(found.objective)
    assert len(values) == 15
    assert (np.diff(values) <= 1e-9 * values[:-1]).all()


@pytest.mark.parametrize("seed", range(3))
def test_gradient_is_zero_in_the_block_just_solved(seed: int) -> None:
    counts, x = plays(15, 20, seed), features_of(20, 6, seed)
    u0, v0, w0 = start(counts, 6, 4, seed)
    u1, v1, w1 = parts(factorise(sparse.csr_array(counts), x, factors=4, sweeps=1, seed=seed))
    steps = [(0, (u1, v0, w0)), (1, (u1, v1, w0)), (2, (u1, v1, w1))]
    before = [u0, v0, w0]
    for solved, state in steps:
        gradients = []
        for block in (before[solved], state[solved]):
            tensors = [torch.from_numpy(array) for array in state]
            tensors[solved] = torch.from_numpy(block).requires_grad_()
            value = objective(torch.from_numpy(counts), torch.from_numpy(x), *tensors)
            (gradient,) = torch.autograd.grad(value, tensors[solved])
            gradients.append(float(gradient.abs().max()))
        assert gradients[1] < 1e-7 * gradients[0]


def test_stored_zeros_and_repeated_pairs_of_a_matrix_mean_what_they_say() -> None:
    counts, x = plays(8, 9, seed=0), features_of(9, 3, seed=0)
    rows, columns = np.indices(counts.shape).reshape(2, -1)
    halves = np.concatenate([counts.ravel() / 2] * 2)
    order = np.argsort(np.tile(rows, 2), kind="stable")
    bounds = np.arange(0, 2 * counts.size + 1, 2 * counts.shape[1])
    stored = sparse.csr_array(
        (halves[order], np.tile(columns, 2)[order], bounds), shape=counts.shape
    )
    assert stored.nnz == 2 * counts.size
    plain = factorise(sparse.csr_array(counts), x, factors=2, sweeps=2)
    np.testing.assert_allclose(
        factorise(stored, x, factors=2, sweeps=2).objective, plain.objective, rtol=1e-12
    )


def test_factorisation_repeats_with_its_seed_and_reports_progress() -> None:
    counts, x = sparse.csr_array(plays(9, 14, 0)), features_of(14, 6, 0)
    heard: list[tuple[int, float]] = []
    run: Callable[..., Factorisation] = lambda seed, **more: factorise(  # noqa: E731
        counts, x, factors=3, sweeps=2, seed=seed, **more
    )
    first = run(1, progress=lambda sweep, value: heard.append((sweep, value)))
    for ours, again in zip(parts(first), parts(run(1)), strict=True):
        np.testing.assert_array_equal(ours, again)
    assert not np.array_equal(first.user_factors, run(2).user_factors)
    assert heard == [(1, first.objective[2]), (2, first.objective[5])]
    assert first.settings["factors"] == 3


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"factors": 0}, "factors=0: it is a whole number above 0"),
        ({"sweeps": 1.5}, "sweeps=1.5: it is a whole number"),
        ({"alpha": float("nan")}, "alpha=nan: it is a number above 0"),
        ({"item_penalty": -1.0}, "item_penalty=-1.0"),
        ({"variant": "mine"}, "variant='mine': it is 'paper' or 'authors'"),
    ],
)
def test_settings_out_of_range(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        factorise(sparse.csr_array(plays(5, 6, 0)), features_of(6, 2, 0), **wrong)


def test_data_that_do_not_fit() -> None:
    counts = plays(5, 6, 0)
    with pytest.raises(LabelsError, match=r"shape \(7, 2\) for 6 items"):
        factorise(sparse.csr_array(counts), features_of(7, 2, 0))
    with pytest.raises(LabelsError, match="all finite"):
        factorise(sparse.csr_array(counts), np.full((6, 2), np.nan))
    with pytest.raises(LabelsError, match="below 0"):
        factorise(sparse.csr_array(-counts), features_of(6, 2, 0))
    with pytest.raises(LabelsError, match="3 users and 6 items"):
        Interactions(("a", "b", "c"), tuple("abcdef"), sparse.csr_array(counts))


# --- Lists and their scores -------------------------------------------------------------------


def test_ndcg_by_hand() -> None:
    lists = np.array([[True, False, True, False], [False, False, False, True]])
    relevant = np.array([3, 1])
    gain, ideal = 1 + 1 / np.log2(4), 1 + 1 / np.log2(3) + 1 / np.log2(4)
    np.testing.assert_allclose(
        ndcg_at_k(lists, relevant, 4), [gain / ideal, 1 / np.log2(5)], rtol=1e-12
    )
    np.testing.assert_allclose(ndcg_at_k(lists, relevant, 2), [1 / (1 + 1 / np.log2(3)), 0])
    np.testing.assert_allclose(ndcg_at_k(lists, relevant, 2, capped=False), [1 / ideal, 0])


def test_recall_and_average_precision_by_hand() -> None:
    lists = np.array([[True, False, True, False], [False, False, False, True]])
    relevant = np.array([4, 1])
    np.testing.assert_allclose(recall_at_k(lists, relevant, 3), [2 / 4, 0])
    np.testing.assert_allclose(recall_at_k(lists, relevant, 80), [2 / 4, 1])
    np.testing.assert_allclose(
        average_precision_at_k(lists, relevant, 3), [(1 + 2 / 3) / 3, 0], rtol=1e-12
    )
    np.testing.assert_allclose(average_precision_at_k(lists, relevant, 80)[1], 1 / 4)


def test_scores_of_users_with_nothing_to_find_are_nan() -> None:
    lists, relevant = np.zeros((2, 3), dtype=bool), np.array([0, 2])
    for metric in (ndcg_at_k, recall_at_k, average_precision_at_k):
        np.testing.assert_array_equal(metric(lists, relevant, 2), [np.nan, 0])


@st.composite
def scored_items(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores without ties, items to be found and items known, [users, items] each."""
    users, items = draw(st.integers(1, 4)), draw(st.integers(1, 12))
    ranks = [draw(st.permutations(range(items))) for _ in range(users)]
    kinds = draw(hnp.arrays(np.int64, (users, items), elements=st.integers(0, 2)))
    return np.array(ranks, dtype=float), kinds == 1, kinds == 2


@settings(deadline=None)
@given(scored_items(), st.integers(1, 14), st.booleans(), st.randoms(use_true_random=False))
def test_lists_are_those_of_a_loop_and_do_not_depend_on_the_order_of_items(
    case: tuple[np.ndarray, np.ndarray, np.ndarray], length: int, cut_first: bool, random: Any
) -> None:
    scores, wanted, known = case
    lists = ranked_relevance(scores, wanted, known, length, cut_first=cut_first)
    assert lists.shape == (len(scores), min(length, scores.shape[1]))
    for user, row in enumerate(lists):
        ranked = sorted(range(scores.shape[1]), key=lambda item: -scores[user, item])
        if cut_first:
            ranked = ranked[:length]
        ranked = [item for item in ranked if not known[user, item]][:length]
        expected = [bool(wanted[user, item]) for item in ranked]
        assert row.tolist() == expected + [False] * (len(row) - len(expected))
    order = list(range(scores.shape[1]))
    random.shuffle(order)
    shuffled = ranked_relevance(
        scores[:, order], wanted[:, order], known[:, order], length, cut_first=cut_first
    )
    np.testing.assert_array_equal(shuffled, lists)


@settings(deadline=None)
@given(scored_items(), st.integers(1, 14), st.integers(1, 14))
def test_scores_are_between_0_and_1_and_reach_1_for_an_ideal_list(
    case: tuple[np.ndarray, np.ndarray, np.ndarray], length: int, k: int
) -> None:
    scores, wanted, known = case
    relevant = wanted.sum(axis=1)
    lists = ranked_relevance(scores, wanted, known, length)
    best = ranked_relevance(wanted.astype(float), wanted, known, scores.shape[1])
    some = relevant > 0
    for metric in (ndcg_at_k, recall_at_k, average_precision_at_k):
        values = metric(lists, relevant, k)[some]
        assert ((values >= 0) & (values <= 1 + 1e-12)).all()
    np.testing.assert_allclose(ndcg_at_k(best, relevant, k)[some], 1)
    np.testing.assert_allclose(average_precision_at_k(best, relevant, k)[some], 1)


# --- The protocol -----------------------------------------------------------------------------


def planted(seed: int = 0, users: int = 60, items: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Counts in which what a user hears follows from 6 features of the items."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((items, 6))
    liking = rng.standard_normal((users, 6)) @ x.T
    counts = (liking > np.quantile(liking, 0.85, axis=1, keepdims=True)).astype(float)
    return counts * rng.geometric(0.5, counts.shape), x.astype(np.float32)


FAST: dict[str, Any] = {"repeats": 3, "held_out": 0.2, "top": 30, "factors": 6, "sweeps": 5}


@pytest.mark.parametrize("variant", ["paper", "authors"])
def test_features_that_say_it_all_find_cold_items_and_noise_is_chance(variant: Any) -> None:
    counts, x = planted()
    table = named(counts)
    good = recommend(table, x, name="planted", variant=variant, **FAST)
    noise = recommend(table, features_of(300, 6, 8), variant=variant, **FAST)
    # No feature, no order: lists are random.
    chance = recommend(table, np.ones((300, 1)), variant=variant, **FAST)
    for metric in (f"nDCG@{FAST['top']}", "recall@80", "AP@80"):
        assert good[metric].mean > 2 * chance[metric].mean
        assert noise[metric].mean == pytest.approx(chance[metric].mean, abs=0.06)
    assert good.main.metric == "nDCG@30"
    assert good.main.mean > 0.8
    assert len(good.main.values) == 3


def test_lists_of_constant_features_do_not_follow_the_order_of_items() -> None:
    # Only the first items are known to anybody; lists in file order would find them all.
    counts = np.zeros((40, 400))
    counts[:, :40] = 1
    counts[np.arange(40), np.arange(40)] = 0
    report = recommend(named(counts), np.ones((400, 2)), repeats=4, held_out=0.5, top=20, factors=3)
    assert report["nDCG@20"].mean < 0.3


@pytest.mark.parametrize("variant", ["paper", "authors"])
def test_report_is_that_of_a_loop_over_users(variant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # One user has a single item, so has nothing to find in most repeats.
    counts, x = planted(1, users=12, items=200)
    counts[3] = 0
    counts[3, 5] = 1
    calls: list[tuple[sparse.csr_array, np.ndarray, Factorisation]] = []

    def spy(counts: sparse.csr_array, features: np.ndarray, **options: Any) -> Factorisation:
        calls.append((counts, features, factorise(counts, features, **options)))
        return calls[-1][2]

    monkeypatch.setattr(recommendation, "factorise", spy)
    monkeypatch.setattr(recommendation, "SCORE_CELLS", 500)
    report = recommend(
        named(counts),
        x,
        repeats=2,
        held_out=0.1,
        top=90,
        factors=3,
        sweeps=2,
        seed=7,
        variant=variant,
    )
    for repeat, (seen, features, model) in enumerate(calls):
        hidden = np.zeros(200, dtype=bool)
        hidden[np.random.default_rng([7, repeat]).choice(200, 20, replace=False)] = True
        cold = hidden if variant == "authors" else np.zeros(180, dtype=bool)
        assert seen.shape == (12, len(cold)) == (12, len(features))
        rest = counts * ~hidden
        np.testing.assert_array_equal(
            seen.toarray(), rest if variant == "authors" else rest[:, ~hidden]
        )
        np.testing.assert_allclose(features.mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(features.std(axis=0), 1, atol=1e-5)
        fitted = np.ones(200, dtype=bool) if variant == "authors" else ~hidden
        scaled = (x - x[fitted].mean(axis=0)) / x[fitted].std(axis=0)
        scores = model.user_factors @ (scaled @ model.feature_map.T).T
        values = loop_over_users(scores, counts > 0, hidden, variant)
        assert 11 <= len(values) <= 12
        for metric, expected in zip(report.scores, np.mean(values, axis=0), strict=True):
            assert metric.values[repeat] == pytest.approx(expected, abs=1e-6)


def loop_over_users(
    scores: np.ndarray, heard: np.ndarray, hidden: np.ndarray, variant: str
) -> list[tuple[float, float, float]]:
    """NDCG@90, recall@80 and AP@80, literally."""
    values = []
    for user in range(len(scores)):
        wanted = set(np.flatnonzero(heard[user] & hidden))
        known = set(np.flatnonzero(heard[user] & ~hidden))
        if not wanted:
            continue
        ranked = np.argsort(-scores[user]).tolist()
        if variant == "authors":
            ranked = ranked[:90]
        ranked = [item for item in ranked if item not in known][:90]
        hits = [item in wanted for item in ranked]
        gain = sum(hit / np.log2(rank + 2) for rank, hit in enumerate(hits))
        size = len(wanted) if variant == "authors" else min(90, len(wanted))
        ideal = sum(1 / np.log2(rank + 2) for rank in range(size))
        precision = [
            sum(hits[: rank + 1]) / (rank + 1)
            for rank in range(80)
            if hits[rank : rank + 1] == [True]
        ]
        values.append(
            (gain / ideal, sum(hits[:80]) / len(wanted), sum(precision) / min(80, len(wanted)))
        )
    return values


def test_report_names_what_decided_it_and_repeats_with_its_seed() -> None:
    counts, x = planted(2, users=20, items=100)
    heard: list[int] = []
    report = recommend(named(counts), x, progress=lambda repeat, _: heard.append(repeat), **FAST)
    again = recommend(named(counts), x, **FAST)
    other = recommend(named(counts), x, seed=1, **FAST)
    assert report.to_dict() == again.to_dict()
    assert report.main.values != other.main.values
    assert heard == [1, 2, 3]
    settings = json.loads(json.dumps(report.to_dict()))["settings"]
    assert settings == {
        **{"factors": 6, "alpha": 0.1, "user_penalty": 1e-5, "item_penalty": 1e-5},
        **{"feature_penalty": 0.1, "sweeps": 5, "variant": "paper", "seed": 0},
        **{"repeats": 3, "held_out": 0.2, "top": 30, "users": 20, "items": 100},
    }


def test_users_without_hidden_items_are_not_scored() -> None:
    counts = np.ones((20, 100)) * (np.random.default_rng(0).random((20, 100)) < 0.5)
    without = np.concatenate([counts, np.zeros((5, 100))])
    report = recommend(named(without), features_of(100, 3, 0), **FAST)
    assert report.notes[0].startswith("20 to 20 of 25 users")


@pytest.mark.parametrize("wrong", [{"held_out": 0.0}, {"held_out": 1.0}, {"repeats": 0}])
def test_a_protocol_that_cannot_be(wrong: dict[str, Any]) -> None:
    counts, x = planted(3, users=20, items=100)
    with pytest.raises(OptionError, match="above 0, and held_out leaves"):
        recommend(named(counts), x, **{**FAST, **wrong})


def test_nothing_to_find_is_an_error() -> None:
    counts = np.zeros((3, 100))
    counts[0, 0] = 1
    with pytest.raises(LabelsError, match="no user has one of the 5 hidden items"):
        recommend(named(counts), features_of(100, 2, 0), factors=2, sweeps=1)


# --- Files ------------------------------------------------------------------------------------


def written(folder: Path, text: str, name: str = "plays.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_read_with_counts_in_any_order_of_columns(tmp_path: Path) -> None:
    text = "\ufeffItem,count,User\na,2,ann\n\nb,1.5,bob\na,3,ann\n"
    table = read_interactions(written(tmp_path, text))
    assert (table.users, table.items) == (("ann", "bob"), ("a", "b"))
    np.testing.assert_array_equal(table.counts.toarray(), [[5, 0], [0, 1.5]])
    assert table.counts.dtype == np.float64


def test_read_tabs_without_counts(tmp_path: Path) -> None:
    table = read_interactions(written(tmp_path, "user\titem\nann\ta,b\nann\ta,b\n", "plays.tsv"))
    assert table.items == ("a,b",)
    np.testing.assert_array_equal(table.counts.toarray(), [[2]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1 is ''; it names the columns: user, item"),
        ("user,count\nann,2\n", "line 1 is 'user,count'"),
        ("user,item,plays\nann,a,2\n", "line 1 is 'user,item,plays'"),
        ("user,item,count\n", "nothing after line 1"),
        ("user,item,count\nann,a,2\n\nann,b,-1\n", "line 4: count '-1'; it is a number above 0"),
        ("user,item,count\nann,a,0\n", "line 2: count '0'"),
        ("user,item,count\nann,a,many\n", "line 2: count 'many'; it is a number"),
        ("user,item,count\nann,a,inf\n", "line 2: count 'inf'"),
        ("user,item,count\nann,a,\n", "line 2: count ''"),
        ("user,item\nann,a\nann\n", "line 3 has 1 cells, the header has 2"),
        ("user,item\nann, \n", "line 2 has no user or no item"),
    ],
)
def test_bad_files_are_named_with_their_line(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(LabelsError) as error:
        read_interactions(path)
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match=r"none\.csv: not a readable table"):
        read_interactions(tmp_path / "none.csv")
    (tmp_path / "latin.csv").write_bytes(b"user,item\nann,\xe9\n")
    with pytest.raises(LabelsError, match=r"latin\.csv: not a readable table"):
        read_interactions(tmp_path / "latin.csv")


def test_filter_repeats_until_nothing_more_goes() -> None:
    # Item c goes, then user 2 has one item left, then item b has one user left too few.
    counts = np.array([[1, 1, 0, 1], [1, 1, 0, 1], [0, 1, 1, 0], [1, 0, 0, 1]], dtype=float)
    table = filter_interactions(named(counts), min_items_per_user=2, min_users_per_item=3)
    assert table.users == ("u0", "u1", "u3")
    assert table.items == ("i0", "i3")
    np.testing.assert_array_equal(table.counts.toarray(), np.ones((3, 2)))
    with pytest.raises(LabelsError, match="no user has 5 items of 5 users each"):
        filter_interactions(named(counts))
