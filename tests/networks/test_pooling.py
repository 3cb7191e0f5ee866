"""Max-pooling without places gives the numbers of max_pool2d."""

import pytest
import torch
import torch.nn.functional as F

from mirfeat.networks.pooling import max_pooled


@pytest.mark.parametrize("pool", [(1, 1), (1, 2), (2, 2), (2, 4), (3, 4)])
@pytest.mark.parametrize("shape", [(2, 3, 11, 9), (1, 16, 4, 8)])
@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
def test_the_numbers_are_those_of_max_pool2d(
    pool: tuple[int, int], shape: tuple[int, ...], memory_format: torch.memory_format
) -> None:
    maps = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    maps[0, 0, 0, 0] = torch.nan
    maps = maps.to(memory_format=memory_format)
    expected = F.max_pool2d(maps, pool)
    found = max_pooled(maps, pool)
    assert torch.equal(found.nan_to_num(7.0), expected.nan_to_num(7.0))
    assert found.shape == expected.shape


def test_gradients_and_graphs_get_the_plain_way() -> None:
    maps = torch.randn(1, 2, 4, 4, requires_grad=True)
    pooled = max_pooled(maps, (2, 2))
    assert type(pooled.grad_fn).__name__ == "MaxPool2DWithIndicesBackward0"
    with torch.no_grad():
        assert torch.equal(max_pooled(maps, (2, 2)), pooled)
