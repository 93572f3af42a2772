"""Group normalisation whose backward pass is fast on CPUs in bfloat16 with channels last.

There torch 2.13 takes eight times longer than the arithmetic needs: more than the convolutions beside it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

BLOCK_ELEMENTS = 2**16  # of float32, so that a block stays in the processor's cache
ROW_ELEMENTS = 256  # voxels are taken several to a row, so that the innermost loop is long


class GroupNorm(nn.GroupNorm):
    """`torch.nn.GroupNorm` in every respect but the time its gradient takes."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised x (B, C, D, H, W)."""
        slow = x.device.type == "cpu" and x.dtype == torch.bfloat16 and x.requires_grad
        if slow and x.is_contiguous(memory_format=torch.channels_last_3d):
            return _ChannelsLastGroupNorm.apply(x, self.weight, self.bias, self.num_groups, self.eps)
        return super().forward(x)


def with_fast_group_norms(module: nn.Module) -> nn.Module:
    """Return `module` with every `nn.GroupNorm` inside it replaced; names and values of parameters stay."""
    for name, child in module.named_children():
        if type(child) is nn.GroupNorm:
            fast = GroupNorm(child.num_groups, child.num_channels, child.eps)
            fast.load_state_dict(child.state_dict())
            setattr(module, name, fast)
        else:
            with_fast_group_norms(child)
    return module


class _ChannelsLastGroupNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, groups, eps):
        batch, channels = x.shape[:2]
        voxels = x[0, 0].numel()
        # A float32 weight beside a bfloat16 image makes torch return the statistics in float32.
        y, mean, inverse_deviation = torch.native_group_norm(
            x, weight.float(), bias.float(), batch, channels, voxels, groups, eps
        )
        ctx.groups = groups
        ctx.save_for_backward(x, weight, mean, inverse_deviation)
        return y

    @staticmethod
    def backward(ctx, grad_y):
        x, weight, mean, inverse_deviation = ctx.saved_tensors
        with torch.autocast(device_type="cpu", enabled=False):
            return *group_norm_gradients(x, grad_y, weight, mean, inverse_deviation, ctx.groups), None, None


def group_norm_gradients(
    x: Tensor, grad_y: Tensor, weight: Tensor, mean: Tensor, inverse_deviation: Tensor, groups: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of x, weight and bias; images (B, C, D, H, W), statistics (B, groups)."""
    batch, channels = x.shape[:2]
    voxels = x[0, 0].numel()
    per_row = 1
    while channels * per_row < ROW_ELEMENTS and voxels % (2 * per_row) == 0:
        per_row *= 2

    def rows(image: Tensor) -> Tensor:
        return image.permute(0, 2, 3, 4, 1).reshape(batch, voxels // per_row, per_row * channels)

    x_rows, grad_rows = rows(x), rows(grad_y.contiguous(memory_format=torch.channels_last_3d))
    height = max(1, BLOCK_ELEMENTS // (batch * channels * per_row))
    blocks = [slice(first, first + height) for first in range(0, voxels // per_row, height)]

    sum_g = x.new_zeros(batch, per_row * channels, dtype=torch.float32)
    sum_gx = torch.zeros_like(sum_g)
    for block in blocks:
        g = grad_rows[:, block].float()
        sum_g += g.sum(1)
        sum_gx += (g * x_rows[:, block]).sum(1)
    by_group = (batch, groups, channels // groups)
    sum_g = sum_g.view(batch, per_row, channels).sum(1).view(by_group)
    sum_gx = sum_gx.view(batch, per_row, channels).sum(1).view(by_group)

    # With n = (x - mean) / deviation: dx = (w g - mean(w g) - n mean(w g n)) / deviation = a g + b x + c.
    mean, inverse_deviation = mean.view(batch, groups, 1), inverse_deviation.view(batch, groups, 1)
    by_channel = weight.float().view(1, groups, -1)
    count = voxels * channels // groups
    mean_wg = (by_channel * sum_g).sum(-1, keepdim=True) / count
    mean_wgn = ((by_channel * sum_gx).sum(-1, keepdim=True) / count - mean_wg * mean) * inverse_deviation
    b = -mean_wgn * inverse_deviation**2
    c = -mean_wg * inverse_deviation - b * mean

    def per_voxel(coefficient: Tensor) -> Tensor:
        return coefficient.expand(by_group).reshape(batch, 1, channels).repeat(1, 1, per_row)

    a, b, c = per_voxel(by_channel * inverse_deviation), per_voxel(b), per_voxel(c)
    grad_x = torch.empty_like(x, memory_format=torch.channels_last_3d)
    grad_x_rows = grad_x.permute(0, 2, 3, 4, 1).view(x_rows.shape)
    for block in blocks:
        of_x = torch.addcmul(c, x_rows[:, block].float(), b)
        grad_x_rows[:, block] = of_x.addcmul_(grad_rows[:, block].float(), a)
    grad_weight = (sum_gx - mean * sum_g) * inverse_deviation
    return grad_x, grad_weight.reshape(batch, channels).sum(0), sum_g.reshape(batch, channels).sum(0)
