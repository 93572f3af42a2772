"""Group normalisation of images with channels last on CPUs: exact, and with a fast gradient.

There torch 2.13 adds up the voxels of a channel one after the other in single precision: where most are air,
the deviation of a tile of 96^3 voxels is off by per cents, and by others in each shape of tile. Its backward
pass in bfloat16 takes eight times longer than the arithmetic needs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

BLOCK_ELEMENTS = 2**16  # of float32, so that a block stays in the processor's cache
ROW_ELEMENTS = 256  # voxels are taken several to a row, so that the innermost loop is long


class GroupNorm(nn.GroupNorm):
    """`torch.nn.GroupNorm` in every respect but its errors and the time its gradient takes."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised x (B, C, D, H, W)."""
        ours = x.device.type == "cpu" and x.dtype in (torch.bfloat16, torch.float32)
        ours = ours and not torch.compiler.is_compiling()  # a compiler writes its own
        if ours and x.is_contiguous(memory_format=torch.channels_last_3d):
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
        with torch.autocast(device_type="cpu", enabled=False):
            mean, inverse_deviation = group_statistics(x, groups, eps)
            y = _normalised(x, weight, bias, mean, inverse_deviation)
        ctx.groups = groups
        ctx.save_for_backward(x, weight, mean, inverse_deviation)
        return y

    @staticmethod
    def backward(ctx, grad_y):
        x, weight, mean, inverse_deviation = ctx.saved_tensors
        with torch.autocast(device_type="cpu", enabled=False):
            return *group_norm_gradients(x, grad_y, weight, mean, inverse_deviation, ctx.groups), None, None


def group_statistics(x: Tensor, groups: int, eps: float) -> tuple[Tensor, Tensor]:
    """Return mean and 1 / sqrt(variance + eps) of each group, (B, groups) float32, for x (B, C, D, H, W)."""
    rows = _Rows(x)
    x_rows = rows.of(x)
    sum_x = x.new_zeros(x.shape[0], rows.length, dtype=torch.float64)
    sum_xx = torch.zeros_like(sum_x)
    for block in rows.blocks:
        values = x_rows[:, block].float()
        sum_x += values.sum(1)
        sum_xx += (values * values).sum(1)
    count = x[0].numel() // groups
    mean, mean_xx = (rows.by_group(total, groups).sum(-1) / count for total in (sum_x, sum_xx))
    variance = (mean_xx - mean**2).clamp_min(0.0)
    return mean.float(), (variance + eps).rsqrt().float()


def _normalised(x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, inverse_deviation: Tensor) -> Tensor:
    rows = _Rows(x)
    groups = mean.shape[1]
    factor = weight.float().view(1, groups, -1) * inverse_deviation[:, :, None]
    shift = bias.float().view(1, groups, -1) - factor * mean[:, :, None]
    factor, shift = rows.per_voxel(factor), rows.per_voxel(shift)
    y = torch.empty_like(x, memory_format=torch.channels_last_3d)
    x_rows, y_rows = rows.of(x), rows.of(y)
    for block in rows.blocks:
        y_rows[:, block] = torch.addcmul(shift, x_rows[:, block].float(), factor)
    return y


def group_norm_gradients(
    x: Tensor, grad_y: Tensor, weight: Tensor, mean: Tensor, inverse_deviation: Tensor, groups: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of x, weight and bias; images (B, C, D, H, W), statistics (B, groups)."""
    batch, channels = x.shape[:2]
    rows = _Rows(x)
    x_rows, grad_rows = rows.of(x), rows.of(grad_y.contiguous(memory_format=torch.channels_last_3d))
    sum_g = x.new_zeros(batch, rows.length, dtype=torch.float32)
    sum_gx = torch.zeros_like(sum_g)
    for block in rows.blocks:
        g = grad_rows[:, block].float()
        sum_g += g.sum(1)
        sum_gx += (g * x_rows[:, block]).sum(1)
    sum_g, sum_gx = rows.by_group(sum_g, groups), rows.by_group(sum_gx, groups)

    # With n = (x - mean) / deviation: dx = (w g - mean(w g) - n mean(w g n)) / deviation = a g + b x + c.
    mean, inverse_deviation = mean.view(batch, groups, 1), inverse_deviation.view(batch, groups, 1)
    by_channel = weight.float().view(1, groups, -1)
    count = x[0].numel() // groups
    mean_wg = (by_channel * sum_g).sum(-1, keepdim=True) / count
    mean_wgn = ((by_channel * sum_gx).sum(-1, keepdim=True) / count - mean_wg * mean) * inverse_deviation
    b = -mean_wgn * inverse_deviation**2
    c = -mean_wg * inverse_deviation - b * mean

    a, b, c = (rows.per_voxel(coefficient) for coefficient in (by_channel * inverse_deviation, b, c))
    grad_x = torch.empty_like(x, memory_format=torch.channels_last_3d)
    grad_x_rows = rows.of(grad_x)
    for block in rows.blocks:
        of_x = torch.addcmul(c, x_rows[:, block].float(), b)
        grad_x_rows[:, block] = of_x.addcmul_(grad_rows[:, block].float(), a)
    grad_weight = (sum_gx - mean * sum_g) * inverse_deviation
    return grad_x, grad_weight.reshape(batch, channels).sum(0), sum_g.reshape(batch, channels).sum(0)


class _Rows:
    """Images (B, C, D, H, W) with channels last as rows of several voxels, and blocks of these."""

    def __init__(self, x: Tensor) -> None:
        self.batch, self.channels = x.shape[:2]
        voxels = x[0, 0].numel()
        self.voxels_per_row = 1
        while self.channels * self.voxels_per_row < ROW_ELEMENTS and voxels % (2 * self.voxels_per_row) == 0:
            self.voxels_per_row *= 2
        self.length = self.channels * self.voxels_per_row
        self.count = voxels // self.voxels_per_row
        height = max(1, BLOCK_ELEMENTS // (self.batch * self.length))
        self.blocks = [slice(first, first + height) for first in range(0, self.count, height)]

    def of(self, image: Tensor) -> Tensor:
        """Return a view (B, rows, length)."""
        return image.permute(0, 2, 3, 4, 1).view(self.batch, self.count, self.length)

    def by_group(self, sums: Tensor, groups: int) -> Tensor:
        """Return the sums (B, length) of all rows as (B, groups, channels of a group)."""
        return sums.view(self.batch, self.voxels_per_row, self.channels).sum(1).view(self.batch, groups, -1)

    def per_voxel(self, coefficient: Tensor) -> Tensor:
        """Return a coefficient (B, groups, 1 or channels of a group) for each element of a row: (B, 1,
        length)."""
        by_channel = coefficient.expand(-1, -1, self.channels // coefficient.shape[1])
        return by_channel.reshape(self.batch, 1, self.channels).repeat(1, 1, self.voxels_per_row)
