"""Label volumes on wider voxels."""

from __future__ import annotations

import torch
from torch import Tensor


def _blocks(labels: Tensor, factor: int) -> Tensor:
    """Return (D/f, H/f, W/f, f * f * f): each wide voxel's labels."""
    depth, height, width = (n // factor for n in labels.shape)
    cut = labels.reshape(depth, factor, height, factor, width, factor)
    return cut.permute(0, 2, 4, 1, 3, 5).reshape(depth, height, width, factor**3)


def majority(labels: Tensor, factor: int) -> Tensor:
    """Return the most frequent label of each block of `factor`^3 voxels; of equals, the smallest."""
    coarse = torch.empty([n // factor for n in labels.shape], dtype=labels.dtype, device=labels.device)
    for index in range(coarse.shape[0]):
        block = _blocks(labels[index * factor : (index + 1) * factor], factor)
        coarse[index] = block.mode(dim=-1).values[0]
    return coarse


def fullest_lesions(lesions: Tensor, factor: int) -> Tensor:
    """Return lesion numbers on blocks of `factor`^3 voxels.

    A lesion keeps the blocks of which it fills half or more, or, where there is none, its fullest block.
    """
    coarse = torch.zeros([n // factor for n in lesions.shape], dtype=lesions.dtype, device=lesions.device)
    where = lesions.nonzero()
    if not len(where):
        return coarse
    numbers = lesions[tuple(where.T)].long()
    height, width = coarse.shape[1:]
    block = ((where[:, 0] // factor) * height + where[:, 1] // factor) * width + where[:, 2] // factor
    pairs, counts = torch.unique(torch.stack((numbers, block)), dim=1, return_counts=True)
    flat = coarse.view(-1)
    kept = counts * 2 >= factor**3
    flat[pairs[1, kept]] = pairs[0, kept].to(coarse.dtype)
    for number in range(1, int(numbers.max()) + 1):
        own = pairs[0] == number
        if own.any() and not (own & kept).any():
            free = flat[pairs[1]] == 0
            candidates = own & free if (own & free).any() else own
            best = torch.where(candidates, counts, -1).argmax()
            flat[pairs[1, best]] = number
    return coarse
