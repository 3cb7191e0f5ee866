"""WARP: the draws without a loop are those of the paper's loop, and labels get ranked."""

import numpy as np
import pytest
import torch
from scipy.stats import chi2_contingency, chisquare
from torch import Tensor

from mirfeat.errors import ConfigError
from mirfeat.training.warp import (
    Violations,
    project_norms_,
    rank_weights,
    sample,
    sample_exactly,
    warp_loss,
)

# The positive is label 0. Violators of the rows: 1 of 5, 3 of 5, 5 of 5, 2 of 4.
SCORES = torch.tensor(
    [
        [2.0, 1.5, 0.0, 0.0, -1.0, 0.9],
        [0.0, 4.0, -0.5, -2.0, 0.1, -1.5],
        [-9.0, 1.0, 2.0, 3.0, 4.0, 5.0],
        [1.0, 0.5, 9.0, 0.7, -3.0, -4.0],
    ]
)
POSITIVE = torch.zeros(4, dtype=torch.int64)
# Label 2 of the last row applies too.
ALSO = torch.zeros(4, 6, dtype=torch.bool)
ALSO[3, 2] = True
DRAWS = 8000


def torch_generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def outcomes(row: int, found: Violations, labels: int = 6) -> np.ndarray:
    """How often each (tries, label) came out; the last entry counts examples given up."""
    counts = np.zeros(labels * labels + 1, dtype=int)
    mine = found.rows // DRAWS == row
    np.add.at(counts, (found.tries * labels + found.negatives)[mine].numpy(), 1)
    counts[-1] = DRAWS - counts.sum()
    return counts


def probabilities(row: int) -> np.ndarray:
    """The same by arithmetic."""
    expected = np.zeros(37)
    others = [k for k in range(1, 6) if not ALSO[row, k]]
    violators = [k for k in others if SCORES[row, k] > SCORES[row, 0] - 1]
    chance = len(violators) / len(others)
    for tries in range(1, 6):
        for label in violators:
            expected[tries * 6 + label] = (1 - chance) ** (tries - 1) / len(others)
    expected[-1] = (1 - chance) ** 5
    return expected


@pytest.fixture(scope="module")
def drawn() -> tuple[Violations, Violations]:
    """8000 draws of each row, by the loop and at once."""
    many = [t.repeat_interleave(DRAWS, 0) for t in (SCORES, POSITIVE, ALSO)]
    scores, positive, also = many
    exact = sample_exactly(scores, positive, np.random.default_rng(0), also)
    return exact, sample(scores, positive, also, torch_generator())


@pytest.mark.parametrize("row", range(4))
def test_both_samplers_draw_tries_and_labels_of_the_same_distribution(
    drawn: tuple[Violations, Violations], row: int
) -> None:
    table = np.array([outcomes(row, found) for found in drawn])
    expected = probabilities(row)
    assert (table[:, expected == 0] == 0).all()
    possible = expected > 0
    assert possible.sum() >= 5
    for counts in table:
        assert chisquare(counts[possible], DRAWS * expected[possible]).pvalue > 1e-3
    seen = table[:, table.sum(0) > 0]
    assert chi2_contingency(seen).pvalue > 1e-3


def test_both_samplers_have_the_same_expected_gradient(
    drawn: tuple[Violations, Violations],
) -> None:
    gradients = []
    for found in drawn:
        scores = SCORES.repeat_interleave(DRAWS, 0).requires_grad_()
        warp_loss(scores, POSITIVE.repeat_interleave(DRAWS), found).backward()
        assert scores.grad is not None
        gradients.append((scores.grad * len(scores)).double().view(4, DRAWS, 6))
    means = [each.mean(1) for each in gradients]
    errors = [each.std(1) / DRAWS**0.5 for each in gradients]
    spread = torch.sqrt(errors[0] ** 2 + errors[1] ** 2)
    assert (means[0].abs() > 0.05).sum() >= 14
    assert ((means[0] - means[1]).abs() <= 4 * spread + 1e-12).all()


def samplers() -> list:
    return [
        lambda scores, positive, also=None: sample_exactly(
            scores, positive, np.random.default_rng(0), also
        ),
        lambda scores, positive, also=None: sample(scores, positive, also, torch_generator()),
    ]


@pytest.mark.parametrize("draw", samplers())
def test_examples_without_a_violation_are_given_up(draw) -> None:  # type: ignore[no-untyped-def]
    # Row 0 is learnt, row 1 lies on the margin exactly, row 2 has no negative label.
    scores = torch.tensor([[5.0, 1.0, 2.0], [1.0, 0.0, 0.0], [0.0, 3.0, 3.0], [0.0, 9.0, 9.0]])
    also = torch.zeros(4, 3, dtype=torch.bool)
    also[2] = True
    found = draw(scores, torch.zeros(4, dtype=torch.int64), also)
    assert found.rows.tolist() == [3]
    assert found.tries.tolist() == [1]
    assert all(part.dtype == torch.int64 for part in found)


@pytest.mark.parametrize("draw", samplers())
def test_a_single_label_or_no_example_finds_nothing(draw) -> None:  # type: ignore[no-untyped-def]
    for scores in (torch.zeros(3, 1), torch.zeros(0, 4)):
        scores.requires_grad_()
        positive = torch.zeros(len(scores), dtype=torch.int64)
        found = draw(scores, positive)
        assert [part.tolist() for part in found] == [[], [], []]
        loss = warp_loss(scores, positive, found)
        loss.backward()
        assert loss.item() == 0.0
        assert not scores.grad.any()


@pytest.mark.parametrize("draw", samplers())
def test_positive_labels_are_never_drawn(draw) -> None:  # type: ignore[no-untyped-def]
    random = np.random.default_rng(3)
    scores = torch.zeros(3000, 7)
    positive = torch.from_numpy(random.integers(0, 7, 3000))
    also = torch.from_numpy(random.random((3000, 7)) < 0.6)
    found = draw(scores, positive, also)
    assert not also[found.rows, found.negatives].any()
    assert (found.negatives != positive[found.rows]).all()
    # All equal: everything that may be drawn violates, at once.
    also[torch.arange(3000), positive] = True
    assert found.rows.tolist() == (~also.all(1)).nonzero()[:, 0].tolist()
    assert (found.tries == 1).all()


def test_draws_repeat_with_the_seed_and_take_as_many_numbers_whatever_the_scores() -> None:
    first, again = (sample(SCORES, POSITIVE, None, torch_generator(4)) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one, other)
    states = []
    for scores in (SCORES, torch.zeros(4, 6), -100 * torch.eye(4, 6).flip(0)):
        generator = torch_generator(4)
        sample(scores, POSITIVE, None, generator)
        states.append(generator.get_state())
    assert torch.equal(states[0], states[1])
    assert torch.equal(states[0], states[2])


def test_scores_that_are_not_numbers_reach_the_loss() -> None:
    scores = torch.full((2, 4), torch.nan)
    positive = torch.tensor([0, 1])
    assert warp_loss(scores, positive, sample(scores, positive, None, torch_generator())).isnan()


def test_rank_weights_are_harmonic_sums() -> None:
    table = rank_weights(161)
    assert table.shape == (161,)
    assert table.dtype == torch.float32
    for rank in (0, 1, 2, 3, 77, 160):
        assert table[rank].item() == pytest.approx(sum(1 / k for k in range(1, rank + 1)))


def test_loss_is_the_weighted_hinge_averaged_over_all_examples() -> None:
    found = Violations(torch.tensor([0, 1]), torch.tensor([1, 4]), torch.tensor([2, 5]))
    # Ranks are 5 // 2 = 2 and 5 // 5 = 1, weights 1 + 1/2 and 1.
    expected = (1.5 * (1 - 2.0 + 1.5) + 1.0 * (1 - 0.0 + 0.1)) / 4
    scores = SCORES.clone().requires_grad_()
    loss = warp_loss(scores, POSITIVE, found)
    loss.backward()
    assert loss.item() == pytest.approx(expected)
    wanted = torch.zeros(4, 6)
    wanted[0, [0, 1]] = torch.tensor([-1.5, 1.5]) / 4
    wanted[1, [0, 4]] = torch.tensor([-1.0, 1.0]) / 4
    torch.testing.assert_close(scores.grad, wanted)


def test_half_precision_scores_give_a_float32_loss() -> None:
    scores = SCORES.bfloat16()
    loss = warp_loss(scores, POSITIVE, sample(scores, POSITIVE, None, torch_generator()))
    assert loss.dtype == torch.float32
    assert loss.shape == ()


def test_only_vectors_that_are_too_long_are_shortened() -> None:
    matrix = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0], [-1.0, 0.0]])
    before = matrix.clone()
    assert project_norms_(matrix, 1.0, dim=1) is matrix
    torch.testing.assert_close(matrix[0], torch.tensor([0.6, 0.8]))
    assert torch.equal(matrix[1:], before[1:])
    columns = before.T.clone()
    project_norms_(columns, dim=0)
    assert torch.equal(columns, matrix.T)
    weight = torch.nn.Parameter(10 * torch.ones(2, 3))
    project_norms_(weight, limit=2.0, dim=0)
    torch.testing.assert_close(weight.detach().norm(dim=0), torch.full((3,), 2.0))
    assert weight.requires_grad


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan")])
def test_a_limit_that_no_vector_keeps_is_refused(limit: float) -> None:
    with pytest.raises(ConfigError, match="must be above 0"):
        project_norms_(torch.ones(2, 2), limit)


@pytest.mark.parametrize("draw", samplers())
@pytest.mark.parametrize(
    ("scores", "positive", "also", "message"),
    [
        (torch.zeros(3), torch.zeros(3).long(), None, r"scores \[3\] with"),
        (torch.zeros(3, 4), torch.zeros(2).long(), None, r"positive labels \[2\]"),
        (torch.zeros(3, 4), torch.zeros(3).long(), torch.zeros(3, 4), "torch.float32 .* bool"),
        (torch.zeros(3, 4), torch.zeros(3).long(), torch.zeros(4).bool(), r"\[4\].* \[3, 4\]"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(  # type: ignore[no-untyped-def]
    draw, scores: Tensor, positive: Tensor, also: Tensor | None, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        draw(scores, positive, also)


def test_an_embedding_learns_to_rank_planted_labels_first() -> None:
    """Frames are noisy copies of one of 12 patterns, which is their label."""
    generator = torch_generator(1)
    patterns = torch.randn(12, 30, generator=generator)
    start = torch.randn(8, 30, generator=generator) / 30**0.5
    embedding = torch.nn.Parameter(start)
    labels = torch.nn.Parameter(torch.randn(12, 8, generator=generator) / 8**0.5)
    optimiser = torch.optim.SGD([embedding, labels], 0.05)

    def frames(count: int) -> tuple[Tensor, Tensor]:
        truth = torch.randint(12, (count,), generator=generator)
        return patterns[truth] + 0.3 * torch.randn(count, 30, generator=generator), truth

    def scores(image: Tensor) -> Tensor:
        return image @ embedding.T @ labels.T

    test, truth = frames(300)
    before = (scores(test).argmax(1) == truth).float().mean().item()
    for _ in range(300):
        image, positive = frames(100)
        affinity = scores(image)
        found = sample(affinity, positive, None, generator)
        optimiser.zero_grad()
        warp_loss(affinity, positive, found).backward()
        optimiser.step()
        project_norms_(embedding, dim=0)
        project_norms_(labels, dim=1)
    assert before < 0.3
    assert (scores(test).argmax(1) == truth).float().mean().item() > 0.97
    assert embedding.detach().norm(dim=0).max().item() < 1 + 1e-5
    assert labels.detach().norm(dim=1).max().item() < 1 + 1e-5


def test_eight_examples_of_several_labels_are_learnt_by_heart() -> None:
    generator = torch_generator(2)
    image = torch.randn(8, 20, generator=generator)
    truth = torch.rand(8, 10, generator=generator) < 0.3
    truth[torch.arange(8), torch.arange(8)] = True
    weight = torch.zeros(20, 10, requires_grad=True)
    optimiser = torch.optim.SGD([weight], 0.05)
    for _ in range(400):
        scores = image @ weight
        positive = torch.multinomial(truth.float(), 1, generator=generator)[:, 0]
        found = sample(scores, positive, truth, generator)
        optimiser.zero_grad()
        warp_loss(scores, positive, found).backward()
        optimiser.step()
    scores = (image @ weight).detach()
    lowest = scores.masked_fill(~truth, torch.inf).amin(1)
    highest = scores.masked_fill(truth, -torch.inf).amax(1)
    assert (lowest > highest).all()
