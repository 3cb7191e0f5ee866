"""What the networks minimise: against NumPy, at the edges, and able to learn eight examples."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import log_softmax, rel_entr
from torch import Tensor, nn

from mirfeat.errors import ConfigError
from mirfeat.networks import kim2019
from mirfeat.training.objectives import (
    divergence,
    pairs,
    soft_cross_entropy,
    tagging,
)

Objective = Callable[[Tensor, Tensor], Tensor]
NAN = math.nan


def normal(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def distributions(rows: int, k: int, seed: int = 1) -> Tensor:
    """Dirichlet draws with an empty class."""
    draws = np.random.default_rng(seed).dirichlet(np.full(k, 0.3), rows)
    draws[:, 0] = 0.0
    return torch.from_numpy(draws / draws.sum(1, keepdims=True)).float()


def numerical_gradient(function: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    step = 1e-2
    gradient = torch.zeros_like(at)
    for index in np.ndindex(*at.shape):
        up, down = at.clone(), at.clone()
        up[index] += step
        down[index] -= step
        gradient[index] = (function(up).double() - function(down).double()) / (2 * step)
    return gradient


def gradient_of(function: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    at = at.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(function(at), at)
    return gradient


def self_head(size: int = 256, seed: int = 0) -> nn.Module:
    """A head of kim2019's shape, with batch norm that has seen something."""
    torch.manual_seed(seed)
    head = nn.Sequential(
        nn.Linear(2 * size, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 2)
    )
    head(normal(50, 2 * size, seed=seed + 1, scale=3.0))
    return head.eval()


# Distributions


def test_divergence_is_that_of_scipy() -> None:
    logits, targets = normal(7, 5, scale=3.0), distributions(7, 5)
    predicted = np.exp(log_softmax(logits.double().numpy(), axis=1))
    expected = rel_entr(targets.double().numpy(), predicted).sum(1).mean()
    assert divergence(logits, targets).item() == pytest.approx(expected, rel=1e-5)


def test_divergence_is_zero_at_the_target_and_positive_elsewhere() -> None:
    targets = distributions(20, 50)
    assert divergence(targets.log().clamp(min=-200), targets).item() == pytest.approx(0, abs=1e-6)
    values = [divergence(normal(20, 50, seed=k), targets).item() for k in range(20)]
    assert min(values) > 0.1


def test_divergence_of_one_hot_targets_and_huge_logits_is_finite() -> None:
    targets = torch.eye(3)
    assert divergence(1000.0 * targets, targets).item() == 0.0
    assert divergence(-1000.0 * targets, targets).item() == pytest.approx(1000 + math.log(2))


@pytest.mark.parametrize("objective", [divergence, soft_cross_entropy, tagging])
def test_gradients_are_those_of_finite_differences(objective: Objective) -> None:
    logits, targets = normal(4, 5), distributions(4, 5)
    torch.testing.assert_close(
        gradient_of(lambda x: objective(x, targets), logits),
        numerical_gradient(lambda x: objective(x, targets), logits),
        rtol=1e-3,
        atol=1e-4,
    )


def test_cross_entropy_is_divergence_plus_the_entropy_of_the_targets() -> None:
    logits, targets = normal(7, 5), distributions(7, 5)
    entropy = -torch.xlogy(targets, targets).sum(1).mean()
    torch.testing.assert_close(
        soft_cross_entropy(logits, targets), divergence(logits, targets) + entropy
    )


def test_cross_entropy_of_one_hot_targets_is_that_of_classes() -> None:
    logits, classes = normal(6, 4), torch.tensor([0, 3, 1, 1, 2, 0])
    torch.testing.assert_close(
        soft_cross_entropy(logits, F.one_hot(classes, 4)), F.cross_entropy(logits, classes)
    )


# Tags


def test_tagging_is_the_mean_cross_entropy_of_each_tag() -> None:
    logits = normal(5, 3)
    targets = torch.tensor(np.random.default_rng(0).integers(0, 2, (5, 3))).float()
    p = 1 / (1 + np.exp(-logits.double().numpy()))
    t = targets.double().numpy()
    expected = -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean()
    assert tagging(logits, targets).item() == pytest.approx(expected, rel=1e-5)


def test_unknown_tags_count_neither_in_the_loss_nor_in_the_gradient() -> None:
    logits = normal(2, 3)
    targets = torch.tensor([[1.0, NAN, 0.0], [NAN, 1.0, NAN]])
    known = F.binary_cross_entropy_with_logits(
        logits[[0, 0, 1], [0, 2, 1]], torch.tensor([1.0, 0, 1])
    )
    torch.testing.assert_close(tagging(logits, targets), known)
    gradient = gradient_of(lambda x: tagging(x, targets), logits)
    assert gradient.isfinite().all()
    assert torch.equal(gradient != 0, ~targets.isnan())


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 2.0])])
def test_nothing_known_is_a_zero_loss_that_can_be_differentiated(weights: Tensor | None) -> None:
    logits = normal(3, 2).requires_grad_()
    loss = tagging(logits, torch.full((3, 2), NAN), weights)
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad is not None
    assert torch.equal(logits.grad, torch.zeros(3, 2))


def test_weights_say_what_tags_count() -> None:
    logits, targets = normal(4, 3), torch.tensor([[1.0, 0.0, NAN]] * 4)
    each = F.binary_cross_entropy_with_logits(logits, targets.nan_to_num(), reduction="none")
    loss = tagging(logits, targets, torch.tensor([3.0, 1.0, 7.0]))
    torch.testing.assert_close(loss, (3 * each[:, 0] + each[:, 1]).mean() / 4)
    cells = torch.zeros(4, 3)
    cells[2, 1] = 5.0
    torch.testing.assert_close(tagging(logits, targets, cells), each[2, 1])
    torch.testing.assert_close(tagging(logits, targets, torch.ones(3)), tagging(logits, targets))
    assert tagging(logits, targets, torch.tensor([0.0, 0.0, 1.0])).item() == 0.0


# Pairs


def all_pairs_twin(head: nn.Module, left: Tensor, right: Tensor) -> Tensor:
    """One pair after the other."""
    same, different = [], []
    for i, one in enumerate(left):
        for j, other in enumerate(right):
            logits = head(torch.cat([one, other])[None])
            target = torch.tensor([int(i == j)])
            (same if i == j else different).append(F.cross_entropy(logits, target))
    return (torch.stack(same).mean() + torch.stack(different).mean()) / 2


def heads() -> list[nn.Module]:
    plain = self_head(6)
    torch.manual_seed(5)
    trunk = nn.Sequential(nn.Linear(12, 12), plain).eval()
    wrapped = nn.ModuleDict({"head": plain})
    wrapped.forward = plain.forward  # type: ignore[method-assign]
    first_is_no_linear = nn.Sequential(nn.Tanh(), *plain.children()).eval()
    return [plain, trunk, wrapped, first_is_no_linear]


@pytest.mark.parametrize("index", range(4))
def test_all_pairs_are_those_of_an_explicit_loop(index: int) -> None:
    head, left, right = heads()[index], normal(5, 6, seed=1), normal(5, 6, seed=2)
    torch.testing.assert_close(pairs(head, left, right, "all"), all_pairs_twin(head, left, right))
    for take in (0, 1):
        both = [left, right]
        ours = gradient_of(
            lambda x, b=both, k=take: pairs(head, *b[:k], x, *b[k + 1 :], "all"), both[take]
        )
        theirs = gradient_of(
            lambda x, b=both, k=take: all_pairs_twin(head, *b[:k], x, *b[k + 1 :]), both[take]
        )
        torch.testing.assert_close(ours, theirs)


def test_all_pairs_train_all_of_the_head_as_concatenation_does() -> None:
    head = self_head(6)
    left, right = normal(5, 6, seed=1), normal(5, 6, seed=2)
    ours = torch.autograd.grad(pairs(head, left, right, "all"), list(head.parameters()))
    theirs = torch.autograd.grad(all_pairs_twin(head, left, right), list(head.parameters()))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("rows", [2, 3, 6, 7])
def test_halves_compare_crops_of_a_track_and_then_crops_of_different_tracks(rows: int) -> None:
    seen: list[Tensor] = []

    class Spy(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            seen.append(image)
            return torch.stack([image[:, 0], image[:, 1]], dim=1)

    track = torch.arange(rows).float()[:, None]
    pairs(Spy(), track, track)
    (joined,) = seen
    left, right = joined.int().unbind(1)
    same = rows // 2
    assert left.tolist() == list(range(rows))
    assert right[:same].tolist() == list(range(same))
    assert (left[same:] != right[same:]).all()
    if rows > 2:
        assert sorted(right[same:].tolist()) == list(range(same, rows))


def test_class_one_is_the_same_track_in_both_schemes() -> None:
    class Knows(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            same = (image[:, 0] == image[:, 1]).float()
            return torch.stack([torch.zeros_like(same), 40.0 * same - 20.0], dim=1)

    track = torch.arange(6).float()[:, None]
    for scheme in ("halves", "all"):
        assert pairs(Knows(), track, track, scheme).item() < 1e-6  # type: ignore[arg-type]
        assert pairs(Knows(), track, track + 7, scheme).item() == pytest.approx(10, abs=0.1)  # type: ignore[arg-type]


@pytest.mark.parametrize("scheme", ["halves", "all"])
def test_a_head_that_knows_nothing_loses_log_two(scheme: str) -> None:
    head = nn.Linear(8, 2)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    loss = pairs(head, normal(5, 4), normal(5, 4, seed=1), scheme)  # type: ignore[arg-type]
    assert loss.item() == pytest.approx(math.log(2))


@pytest.mark.parametrize("rows", [8, 9])
def test_halves_are_all_pairs_on_average_and_far_noisier(rows: int) -> None:
    head = self_head(6)
    left, right = normal(rows, 6, seed=1), normal(rows, 6, seed=2)
    generator = torch.Generator().manual_seed(0)
    draws = []
    with torch.no_grad():
        expected = pairs(head, left, right, "all").item()
        for _ in range(2000):
            order = torch.randperm(rows, generator=generator)
            draws.append(pairs(head, left[order], right[order], "halves").item())
    error = np.std(draws) / math.sqrt(len(draws))
    assert np.std(draws) > 0.02
    assert abs(np.mean(draws) - expected) < 4 * error


@pytest.mark.parametrize("scheme", ["halves", "all"])
def test_both_sides_and_the_head_of_kim2019_get_gradients(scheme: str) -> None:
    torch.manual_seed(0)
    head = kim2019.head("self", 2).train()
    left, right = normal(16, 256).requires_grad_(), normal(16, 256, seed=1).requires_grad_()
    pairs(head, left, right, scheme).backward()  # type: ignore[arg-type]
    for tensor in (left, right, *head.parameters()):
        assert tensor.grad is not None
        assert tensor.grad.isfinite().all()
    # Every track takes part.
    assert (left.grad.abs().sum(1) > 0).all()  # type: ignore[union-attr]
    assert (right.grad.abs().sum(1) > 0).all()  # type: ignore[union-attr]


# What holds for all


def objectives() -> dict[str, Callable[[Tensor], Tensor]]:
    targets, head = distributions(8, 12), self_head(6)
    return {
        "divergence": lambda x: divergence(x, targets),
        "soft_cross_entropy": lambda x: soft_cross_entropy(x, targets),
        "tagging": lambda x: tagging(x, targets.round()),
        "halves": lambda x: pairs(head.to(x.dtype), x[:, :6], x[:, 6:], "halves"),
        "all": lambda x: pairs(head.to(x.dtype), x[:, :6], x[:, 6:], "all"),
    }


@pytest.mark.parametrize("name", list(objectives()))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_loss_is_a_float32_scalar_whatever_the_network_computed_in(
    name: str, dtype: torch.dtype
) -> None:
    logits = normal(8, 12)
    loss = objectives()[name](logits.to(dtype))
    assert loss.shape == ()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(objectives()[name](logits).item(), abs=0.03)


@pytest.mark.parametrize("name", ["divergence", "soft_cross_entropy", "tagging"])
def test_half_precision_logits_are_widened_before_the_softmax(name: str) -> None:
    logits = normal(8, 12, scale=5.0).bfloat16()
    assert torch.equal(objectives()[name](logits), objectives()[name](logits.float()))


def test_under_autocast_losses_stay_float32() -> None:
    head = self_head(6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for scheme in ("halves", "all"):
            loss = pairs(head, normal(8, 6), normal(8, 6, seed=1), scheme)  # type: ignore[arg-type]
            assert loss.dtype == torch.float32


@pytest.mark.parametrize("objective", [divergence, soft_cross_entropy, tagging])
@pytest.mark.parametrize(
    ("logits", "targets"), [((3, 4), (4,)), ((3, 4), (1, 4)), ((4,), (4,)), ((0, 4), (0, 4))]
)
def test_shapes_that_would_broadcast_are_refused(
    objective: Objective, logits: tuple[int, ...], targets: tuple[int, ...]
) -> None:
    with pytest.raises(ConfigError, match=r"shapes \[.*same shape with one row or more"):
        objective(torch.zeros(logits), torch.zeros(targets))


def test_pairs_and_weights_that_cannot_be_are_refused() -> None:
    head = nn.Linear(8, 2)
    with pytest.raises(ConfigError, match="1 track in a batch"):
        pairs(head, normal(1, 4), normal(1, 4))
    with pytest.raises(ConfigError, match="same shape"):
        pairs(head, normal(3, 4), normal(2, 4))
    with pytest.raises(ConfigError, match="pairs 'quarters': take 'halves'"):
        pairs(head, normal(3, 4), normal(3, 4), "quarters")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"weights of shape \[2\] for logits \[3, 4\]"):
        tagging(normal(3, 4), torch.zeros(3, 4), torch.ones(2))


# Learning


def train(
    network: nn.Module, loss: Callable[[], Tensor], steps: int = 200, rate: float = 0.01
) -> float:
    optimiser = torch.optim.Adam(network.parameters(), rate)
    for _ in range(steps):
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()
    return loss().item()


@pytest.mark.parametrize(
    ("objective", "targets"),
    [
        (divergence, distributions(8, 5)),
        (soft_cross_entropy, torch.eye(8)),
        (tagging, distributions(8, 5).gt(0.2).float()),
    ],
)
def test_eight_examples_are_learnt_by_heart(objective: Objective, targets: Tensor) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, targets.shape[1]))
    sounds = normal(8, 10)
    before = objective(network(sounds), targets).item()
    assert train(network, lambda: objective(network(sounds), targets)) < 0.02 < 0.2 < before


@pytest.mark.parametrize("scheme", ["halves", "all"])
def test_tracks_are_told_apart_by_pairs(scheme: str) -> None:
    """Two crops of a track are its point and some noise; order changes from step to step."""
    torch.manual_seed(0)
    branch = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU())
    head = nn.Sequential(
        nn.Linear(32, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 2)
    )
    tracks, crops = normal(8, 10, scale=2.0), [normal(8, 10, seed=k, scale=0.1) for k in (1, 2)]

    def loss() -> Tensor:
        order = torch.randperm(8)
        left, right = (branch((tracks + crop)[order]) for crop in crops)
        return pairs(head, left, right, scheme)  # type: ignore[arg-type]

    train(nn.ModuleList([branch, head]), loss, steps=600)
    head.eval()
    with torch.no_grad():
        left, right = (branch(tracks + crop) for crop in crops)
        assert pairs(head, left, right, "all").item() < 0.15
