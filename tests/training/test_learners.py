"""Learners: every objective can be learnt, gradients go where they should, scores have a scale."""

import math
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mirfeat.networks import choi2017, hamel2013, kim2018, kim2019
from mirfeat.networks.branched import glorot_uniform
from mirfeat.networks.choi2017_network import Choi2017
from mirfeat.training import objectives, schedule
from mirfeat.training.config import Optimiser, Sources, TrainConfig
from mirfeat.training.learners import (
    BranchedLearner,
    EmbeddingLearner,
    Learner,
    TaggingLearner,
    distribution_score,
)
from mirfeat.training.schedule import Plan

# Clips, and smallest images [C, F, T] that pass through each network.
CLIPS = 8
SHAPES = {
    "kim2019": (2, 32, 64),
    "kim2018": (1, 128, 43),
    "choi2017": (1, 96, 1280),
    "hamel2013": (1, 200, 1),
}


def learner_of(
    family: str, sizes: Mapping[str, int], pairs: objectives.PairScheme = "all", branch: int = 1
) -> Learner:
    torch.manual_seed(0)
    generator = np.random.default_rng(0)
    if family == "kim2019":
        branched, objective = kim2019.network(branch, sizes), objectives.divergence
    elif family == "kim2018":
        branched, objective = kim2018.network("kim2018-mtn", sizes), objectives.soft_cross_entropy
    elif family == "choi2017":
        network = Choi2017(sizes["tag"])
        choi2017.draw(network, 0)
        return TaggingLearner(network)
    else:
        embedding = hamel2013.Hamel2013(sizes)
        with torch.no_grad():
            for matrix in embedding.parameters():
                matrix.normal_(0.0, matrix.shape[1] ** -0.5)
        return EmbeddingLearner(embedding)
    glorot_uniform(branched, generator)
    return BranchedLearner(branched, objective, pairs)


def images_of(family: str, views: int = 1, seed: int = 0) -> Tensor:
    """Images [V, B, C, F, T]: each clip has a spectrum of its own, each view other noise."""
    draw = torch.Generator().manual_seed(seed)
    channels, bands, frames = SHAPES[family]
    spectra = torch.randn(CLIPS, channels, bands, 1, generator=draw)
    noise = torch.randn(views, CLIPS, channels, bands, frames, generator=draw)
    return spectra + 0.1 * noise


def distributions(size: int = 4, views: int = 1) -> Tensor:
    draw = torch.Generator().manual_seed(1)
    return (4.0 * torch.randn(CLIPS, size, generator=draw)).softmax(1).repeat(views, 1)


def tags(size: int = 5, seed: int = 2) -> Tensor:
    """Labels of 0 and 1, some but not all of each track."""
    draw = torch.Generator().manual_seed(seed)
    truth = (torch.rand(CLIPS, size, generator=draw) < 0.4).float()
    truth[torch.arange(CLIPS), torch.arange(CLIPS) % size] = 1.0
    truth[torch.arange(CLIPS), (torch.arange(CLIPS) + 1) % size] = 0.0
    return truth


def losses_of(
    learner: Learner,
    images: Tensor,
    targets: dict[str, Tensor],
    steps: int,
    rate: float,
    shuffle: bool = False,
) -> list[float]:
    learner.train()
    optimiser = torch.optim.Adam(learner.parameters(), lr=rate)
    losses = []
    for step in range(steps):
        torch.manual_seed(step)
        # In one order the first half would always be pairs of one track, and learnt by heart.
        order = torch.randperm(CLIPS) if shuffle else torch.arange(images.shape[1])
        loss = torch.stack(list(learner(images[:, order], targets, step).values())).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        learner.constrain()
        losses.append(loss.item())
    return losses


# -- everything can be learnt ---------------------------------------------------------------------


@pytest.mark.parametrize("pairs", ["halves", "all"])
def test_self_is_learnt(pairs: objectives.PairScheme) -> None:
    learner = learner_of("kim2019", {"self": 2}, pairs, branch=0)
    images = images_of("kim2019", views=2)
    targets = {"self": torch.zeros(2 * CLIPS, 0)}
    losses = losses_of(learner, images, targets, 120, 3e-3, shuffle=True)
    assert np.mean(losses[:3]) > 0.5
    # Pairs of half a batch are few: their loss is noisier.
    assert np.mean(losses[-10:]) < (0.2 if pairs == "all" else 0.5)
    learner.eval()
    crops = images.transpose(0, 1).flatten(0, 1)  # two crops of a track next to each other
    with torch.no_grad():
        predicted = learner.predict(crops, ["self"])["self"]
        assert learner.score("self", predicted, targets["self"]) > (0.5 if pairs == "all" else 0.2)
        # Pairs of two tracks are no pairs.
        assert learner.score("self", predicted.roll(1, 0), targets["self"]) < 0.0


@pytest.mark.parametrize("family", ["kim2019", pytest.param("kim2018", marks=pytest.mark.slow)])
def test_distributions_are_learnt(family: str) -> None:
    learner = learner_of(family, {"tag": 4} if family == "kim2019" else {"genre": 4})
    source = learner.network.sources[0]  # type: ignore[union-attr, operator, index]
    targets = distributions()
    losses = losses_of(learner, images_of(family), {source: targets}, 80, 3e-3)
    least = float(objectives.soft_cross_entropy(targets.log(), targets))
    least = 0.0 if family == "kim2019" else least  # what cross-entropy leaves
    assert np.mean(losses[-5:]) - least < 0.3 * (losses[0] - least)
    learner.eval()
    with torch.no_grad():
        predicted = learner.predict(images_of(family)[0], [source])[source]
    assert learner.score(source, predicted, targets) > 0.5


def test_tags_are_learnt() -> None:
    learner, targets = learner_of("choi2017", {"tag": 5}), tags()[:4]
    targets[0, 0] = math.nan
    images = images_of("choi2017")[:, :4]  # four: the smallest image is large
    losses = losses_of(learner, images, {"tag": targets}, 10, 3e-2)
    assert losses[-1] < 0.4 * losses[0]


def test_labels_are_ranked() -> None:
    learner = learner_of("hamel2013", {"a": 5, "b": 6})
    images = images_of("hamel2013")
    targets = {"a": tags(5), "b": tags(6, 3)}
    targets["b"][3] = math.nan
    losses = losses_of(learner, images, targets, 150, 1e-2)
    assert np.mean(losses[-10:]) < 0.3 * losses[0]
    with torch.no_grad():
        predicted = learner.predict(images[0], ["a", "b"])
    for source, values in predicted.items():
        known = ~targets[source].isnan().any(1)
        assert learner.score(source, values[known], targets[source][known]) > 0.9
    for matrix, dim in ((learner.network.embedding.weight, 0), (learner.network.labels["a"], 1)):  # type: ignore[union-attr, index]
        assert torch.linalg.vector_norm(matrix, dim=dim).max() <= 1.0 + 1e-5


# -- where gradients go ---------------------------------------------------------------------------


def moved(learner: Learner, source: str | None) -> bool:
    """Whether all that only this source trains (None: what is shared) has a gradient."""
    grads = [parameter.grad for parameter in learner.parameters_of(source)]
    nonzero = [grad is not None and bool(grad.any()) for grad in grads]
    assert all(nonzero) or not any(nonzero) or source is None
    return any(nonzero)


@pytest.mark.parametrize("family", ["kim2019", "kim2018", "hamel2013"])
def test_only_what_is_shared_and_the_drawn_source_have_gradients(family: str) -> None:
    sources = ("tag", "year")
    learner = learner_of(family, dict.fromkeys(sources, 5))
    truth = tags() if family == "hamel2013" else distributions(5)
    if family == "hamel2013":
        truth[:] = torch.eye(5)[torch.arange(CLIPS) % 5]  # every label is somebody's
    learner.train()
    for drawn in sources:
        learner.zero_grad(set_to_none=True)
        learner(images_of(family), {drawn: truth}, 0)[drawn].backward()
        assert moved(learner, None)
        for source in sources:
            assert any(
                parameter.grad is not None and bool(parameter.grad.any())
                for parameter in learner.parameters_of(source)
            ) == (source == drawn)


@pytest.mark.parametrize("family", ["kim2019", "kim2018", "hamel2013", "choi2017"])
def test_parameters_have_one_owner_each(family: str) -> None:
    sizes = {"tag": 4} if family == "choi2017" else {"tag": 4, "year": 3}
    learner = learner_of(family, sizes)
    owned = [p for owner in (None, *sizes) for p in learner.parameters_of(owner)]
    assert len({id(p) for p in owned}) == len(owned)
    assert {id(p) for p in owned} == {id(p) for p in learner.parameters()}


def test_rows_without_a_label_teach_nothing() -> None:
    images, targets = images_of("kim2018"), distributions()
    learner = learner_of("kim2018", {"genre": 4}).eval()  # batch norm and dropout stand still
    some = targets.clone()
    some[5:] = math.nan
    whole = learner(images, {"genre": some}, 0)["genre"]
    alone = learner(images[:, :5], {"genre": targets[:5]}, 0)["genre"]
    torch.testing.assert_close(whole, alone)
    some[1:] = math.nan
    learner.train()
    loss = learner(images, {"genre": some}, 0)["genre"]
    loss.backward()
    assert loss.item() == 0.0
    assert all(p.grad is None or not p.grad.any() for p in learner.parameters())


def test_a_batch_without_any_label_set_is_no_loss() -> None:
    learner = learner_of("hamel2013", {"a": 5})
    loss = learner(images_of("hamel2013"), {"a": torch.full((CLIPS, 5), math.nan)}, 0)["a"]
    loss.backward()
    assert loss.item() == 0.0


def test_the_seed_decides_the_draws_of_ranking() -> None:
    learner, images = learner_of("hamel2013", {"a": 5}), images_of("hamel2013")
    first, again, other = (learner(images, {"a": tags()}, seed)["a"].item() for seed in (1, 1, 2))
    assert first == again
    assert first != other


# -- which sources learn --------------------------------------------------------------------------


def plan(order: str, rows: Mapping[str, list[int]], weights: np.ndarray | None = None) -> Plan:
    found = {source: np.array(found) for source, found in rows.items()}
    weights = np.ones(20) if weights is None else weights
    return Plan(tuple(rows), order, 0, 4, 100, 10, found, weights)


def test_sources_are_drawn_alike_or_in_turn_or_together() -> None:
    rows = {"a": [0, 1], "b": [2, 3, 4], "c": [5, 6]}
    drawn = [plan("random", rows).sources(step) for step in range(600)]
    assert all(len(names) == 1 for names in drawn)
    for source in rows:
        assert abs(drawn.count((source,)) / 600 - 1 / 3) < 0.07
    assert drawn == [plan("random", rows).sources(step) for step in range(600)]
    turns = [plan("alternate", rows).sources(step) for step in range(4)]
    assert turns == [("a",), ("b",), ("c",), ("a",)]
    assert plan("together", rows).sources(5) == ("a", "b", "c")


def test_tracks_are_those_with_a_label_and_as_often_as_their_weight_says() -> None:
    weights = np.arange(20.0)
    made = plan("random", {"a": [1, 3], "b": [3, 6]}, weights)
    rows, chances = made.eligible(("a",))
    assert rows.tolist() == [1, 3]
    assert chances.tolist() == [0.25, 0.75]
    rows, chances = made.eligible(("a", "b"))
    assert rows.tolist() == [1, 3, 6]
    assert chances.tolist() == [0.1, 0.3, 0.6]


def test_learning_rates() -> None:
    plain = Optimiser(rate=2.0)
    assert [schedule.rate(plain, step, 10) for step in (0, 5, 9)] == [2.0] * 3
    warm = Optimiser(rate=2.0, warmup=4)
    assert [schedule.rate(warm, step, 10) for step in range(5)] == [0.5, 1.0, 1.5, 2.0, 2.0]
    cosine = Optimiser(rate=2.0, schedule="cosine", warmup=2)
    rates = [schedule.rate(cosine, step, 10) for step in range(10)]
    assert rates[:3] == [1.0, 2.0, 2.0]
    assert all(a > b for a, b in pairwise(rates[2:]))
    assert rates[6] == pytest.approx(1.0)
    assert 0 < rates[9] < 0.1


@pytest.mark.parametrize(("name", "kind"), [("adam", "Adam"), ("adamw", "AdamW"), ("sgd", "SGD")])
def test_optimisers(name: str, kind: str) -> None:
    wanted = Optimiser(name=name, rate=0.5, weight_decay=0.25)  # type: ignore[arg-type]
    made = schedule.make_optimiser(wanted, [torch.nn.Parameter(torch.ones(2))])
    assert type(made).__name__ == kind
    assert made.param_groups[0]["lr"] == 0.5
    assert made.param_groups[0]["weight_decay"] == 0.25


def test_steps_are_passes_over_the_tracks_for_each_source() -> None:
    config = TrainConfig("kim2019-mss-cr", Path(), Path())
    assert schedule._steps(config, 1000, 3) == math.ceil(200 * 3 * 1000 / 128)
    together = TrainConfig("x", Path(), Path(), sources=Sources(order="together"))
    assert schedule._steps(together, 1000, 3) == math.ceil(200 * 1000 / 128)
    fixed = TrainConfig("x", Path(), Path(), optimiser=Optimiser(steps=7))
    assert schedule._steps(fixed, 1000, 3) == 7


# -- scores ---------------------------------------------------------------------------------------


def test_a_distribution_scores_0_for_the_mean_and_1_for_the_truth() -> None:
    targets = distributions()
    mean = targets.mean(0).log().expand_as(targets)
    assert distribution_score(mean, targets) == pytest.approx(0.0, abs=1e-5)
    assert distribution_score(targets.log(), targets) == pytest.approx(1.0, abs=1e-5)
    assert distribution_score(targets.roll(1, 0).log(), targets) < 0.0
    half = (0.5 * targets + 0.5 * targets.mean(0)).log()
    assert 0.3 < distribution_score(half, targets) < 1.0
    # Adding a number to all logits of a row says nothing.
    assert distribution_score(half + 7.0, targets) == pytest.approx(
        distribution_score(half, targets), abs=1e-5
    )


def test_tags_score_0_for_the_mean_and_1_for_the_truth() -> None:
    learner, targets = learner_of("choi2017", {"tag": 5}), tags()
    targets[2, 3] = math.nan
    mean = targets.nanmean(0).logit().expand_as(targets)
    assert learner.score("tag", mean, targets) == pytest.approx(0.0, abs=1e-5)
    sure = (targets.nan_to_num(0.0) - 0.5) * 60
    assert learner.score("tag", sure, targets) == pytest.approx(1.0, abs=1e-3)
    assert learner.score("tag", -sure, targets) < 0.0


def test_a_tag_that_nobody_knows_does_not_spoil_the_score() -> None:
    learner, targets = learner_of("choi2017", {"tag": 5}), tags()
    predicted = torch.randn(CLIPS, 5)
    targets[:, 2] = math.nan
    rest = [0, 1, 3, 4]
    score = learner.score("tag", predicted, targets)
    assert score == pytest.approx(learner.score("tag", predicted[:, rest], targets[:, rest]))
    assert math.isfinite(score)


def test_ranking_scores_0_for_chance_and_1_for_the_truth() -> None:
    learner, targets = learner_of("hamel2013", {"a": 5}), tags()
    assert learner.score("a", targets + 0.1 * torch.rand(CLIPS, 5), targets) == 1.0
    assert learner.score("a", -targets - 0.1 * torch.rand(CLIPS, 5), targets) == -1.0
    draws = [learner.score("a", torch.rand(CLIPS, 5), targets) for _ in range(200)]
    assert abs(np.mean(draws)) < 0.1
    # By hand: two of three pairs are in order.
    predicted, truth = torch.tensor([[0.9, 0.5, 0.1, 0.7]]), torch.tensor([[0.0, 1.0, 0.0, 0.0]])
    assert learner.score("a", predicted, truth) == pytest.approx(2 * (1 / 3) - 1)


def test_what_is_the_same_for_all_has_no_score() -> None:
    same = distributions()[:1].expand(CLIPS, -1)
    assert math.isnan(distribution_score(torch.randn(CLIPS, 4), same))
    tagging = learner_of("choi2017", {"tag": 5})
    assert math.isnan(tagging.score("tag", torch.randn(CLIPS, 5), torch.ones(CLIPS, 5)))
    ranking = learner_of("hamel2013", {"a": 5})
    assert math.isnan(ranking.score("a", torch.randn(CLIPS, 5), torch.ones(CLIPS, 5)))


def test_self_scores_0_for_a_head_that_knows_nothing() -> None:
    learner = learner_of("kim2019", {"self": 2}).eval()
    with torch.no_grad():
        for parameter in learner.network.heads["self"].parameters():  # type: ignore[union-attr, index]
            parameter.zero_()
        score = learner.score("self", torch.randn(8, 256), torch.zeros(4, 0))
    assert score == pytest.approx(0.0, abs=1e-5)


def test_a_source_of_which_a_batch_knows_nothing_costs_nothing_where_all_is_shared() -> None:
    learner = learner_of("kim2019", {"tag": 4, "bpm": 4}, branch=12)
    unknown = torch.full((CLIPS, 4), torch.nan)
    losses = learner(images_of("kim2019"), {"tag": distributions(), "bpm": unknown}, 0)
    torch.stack(list(losses.values())).sum().backward()
    assert losses["bpm"].item() == 0.0
    assert losses["tag"].item() > 0.0
