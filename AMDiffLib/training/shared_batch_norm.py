"""Batch normalisation whose batch is shared by several processes."""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn


class _SumOverProcesses(torch.autograd.Function):
    """The sum that every process has, whose gradient is the sum of what each of them makes of it."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        summed = x.clone()
        distributed.all_reduce(summed)
        return summed

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        summed = gradient.contiguous().clone()
        distributed.all_reduce(summed)
        return summed


class SharedBatchNorm3d(nn.BatchNorm3d):
    """`torch.nn.BatchNorm3d` over the voxels of all processes, on processors.

    torch.nn.SyncBatchNorm does the same on GPUs, and only there.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised x (B, C, D, H, W)."""
        if not self.training:
            return super().forward(x)
        over = (0, 2, 3, 4)
        voxels = x.float()
        count = x.numel() // x.shape[1] * distributed.get_world_size()
        mean = _SumOverProcesses.apply(voxels.sum(over)) / count
        centred = voxels - mean.view(1, -1, 1, 1, 1)
        variance = _SumOverProcesses.apply(centred.square().sum(over)) / count
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * scale.view(1, -1, 1, 1, 1) + self.bias.view(1, -1, 1, 1, 1)).to(x.dtype)


def with_shared_batch_norms(module: nn.Module, device: torch.device) -> nn.Module:
    """Return `module` with every batch normalisation made one of all processes; names and values stay."""
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(module)
    for name, child in module.named_children():
        if type(child) is nn.BatchNorm3d:
            shared = SharedBatchNorm3d(child.num_features, child.eps, child.momentum)
            shared.load_state_dict(child.state_dict())
            setattr(module, name, shared.to(device))
        else:
            with_shared_batch_norms(child, device)
    return module
