"""Weights on disk in a byte each: integers of -127..127 and one scale for each output channel."""

from __future__ import annotations

import torch
from torch import Tensor

SCALE = ".scale"  # of the tensor of the name before it
FEWEST_WEIGHTS = 1024  # of a tensor worth it; biases and norms keep their bits
LARGEST = 127


def as_bytes(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return `tensors` with every large one as int8, beside its scales (output channels,), float32.

    A weight is moved by at most 1/254 of the largest of its output channel.
    """
    stored = {}
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or tensor.ndim < 2 or tensor.numel() < FEWEST_WEIGHTS:
            stored[name] = tensor
            continue
        rows = tensor.float().flatten(1)
        scale = rows.abs().amax(dim=1) / LARGEST
        stored[name] = (rows / scale.clamp_min(1e-30)[:, None]).round().to(torch.int8).view(tensor.shape)
        stored[name + SCALE] = scale
    return stored


def as_numbers(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return what `as_bytes` was given, float32; tensors without scales stay as they are.

    Raises ValueError for scales without their tensor, or of another size.
    """
    scales = {name.removesuffix(SCALE): tensor for name, tensor in stored.items() if name.endswith(SCALE)}
    tensors = {name: tensor for name, tensor in stored.items() if not name.endswith(SCALE)}
    for name, scale in scales.items():
        if name not in tensors or scale.shape != tensors[name].shape[:1]:
            raise ValueError(f"the scales '{name}{SCALE}' do not belong to a tensor '{name}'")
        rows = tensors[name].float().flatten(1) * scale.float()[:, None]
        tensors[name] = rows.view(tensors[name].shape)
    return tensors
