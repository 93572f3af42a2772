"""The group norm for channels last against torch's own, in float64."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from AMDiffLib.networks.group_norm import GroupNorm, group_norm_gradients, with_fast_group_norms


def image(*shape: int) -> torch.Tensor:
    x = 2.0 + torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape) + shape[1]))
    return x.contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize(
    ("channels", "groups", "grid"), [(8, 4, (5, 3, 7)), (16, 16, (8, 8, 8)), (6, 1, (2, 4, 4))]
)
def test_the_gradients_are_those_of_torch(channels, groups, grid):
    norm = nn.GroupNorm(groups, channels).double()
    nn.init.normal_(norm.weight)
    x = image(2, channels, *grid).double().requires_grad_()
    grad_y = image(2, channels, *grid).double() ** 2
    exact = torch.autograd.grad(norm(x), (x, norm.weight, norm.bias), grad_y)
    by_group = x.detach().reshape(2, groups, -1)
    inverse_deviation = (by_group.var(-1, correction=0) + norm.eps).rsqrt()
    ours = group_norm_gradients(
        x.detach().float(),
        grad_y.float(),
        norm.weight.detach().float(),
        by_group.mean(-1).float(),
        inverse_deviation.float(),
        groups,
    )
    for value, expected in zip(ours, exact, strict=True):
        torch.testing.assert_close(value.double(), expected, rtol=1e-4, atol=1e-4)


def test_bfloat16_images_are_normalised_as_by_torch():
    norm = GroupNorm(4, 8)
    nn.init.normal_(norm.weight)
    x = image(2, 8, 6, 6, 6)
    exact = nn.functional.group_norm(x.bfloat16().double(), 4, norm.weight.double(), norm.bias.double())
    result = norm(x.bfloat16().requires_grad_())
    assert result.dtype == torch.bfloat16
    torch.testing.assert_close(result.double(), exact, rtol=0.01, atol=0.02)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_large_tile_of_mostly_air_is_normalised_exactly(dtype):
    """Added up one after the other in single precision, its deviation would be off by per cents."""
    x = 4.5 + 0.001 * image(1, 8, 96, 96, 96)
    x[:, :, :, 30:60, 30:60] += image(1, 8, 96, 30, 30)
    x = x.to(dtype).contiguous(memory_format=torch.channels_last_3d)
    exact = nn.functional.group_norm(x.double().contiguous(), 8)
    rounding = {torch.float32: 1e-5, torch.bfloat16: 2**-8}[dtype]
    with torch.inference_mode():
        torch.testing.assert_close(GroupNorm(8, 8)(x).double(), exact, rtol=rounding, atol=1e-3)


def test_group_norms_are_replaced_in_place_of_their_parameters():
    network = nn.Sequential(nn.Conv3d(2, 8, 1), nn.Sequential(nn.GroupNorm(2, 8, eps=1e-6)))
    nn.init.normal_(network[1][0].weight)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    replaced = with_fast_group_norms(network)
    assert isinstance(replaced[1][0], GroupNorm)
    assert (replaced[1][0].num_groups, replaced[1][0].eps) == (2, 1e-6)
    assert all(torch.equal(value, before[name]) for name, value in replaced.state_dict().items())
