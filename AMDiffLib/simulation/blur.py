"""Gaussian blur of volumes in torch, by full width at half maximum."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

FWHM_PER_SIGMA = 2 * math.sqrt(2 * math.log(2))


def gaussian_blur(volume: torch.Tensor, fwhm_mm: float | tuple[float, ...], voxel_mm: float) -> torch.Tensor:
    """Blur the last three axes of `volume` (..., D, H, W) by `fwhm_mm` (for all, or one per axis).

    What lies beyond an edge is taken to be as the edge is.
    """
    widths = (fwhm_mm,) * 3 if isinstance(fwhm_mm, int | float) else fwhm_mm
    blurred = volume
    for axis, width in zip((-3, -2, -1), widths, strict=True):
        sigma = width / FWHM_PER_SIGMA / voxel_mm
        if sigma < 0.05:
            continue
        reach = max(1, math.ceil(4 * sigma))
        position = torch.arange(-reach, reach + 1, dtype=torch.float32, device=volume.device)
        kernel = torch.exp(-0.5 * (position / sigma) ** 2)
        kernel = kernel / kernel.sum()
        moved = blurred.movedim(axis, -1)
        rows = moved.reshape(-1, 1, moved.shape[-1])
        padded = F.pad(rows, (reach, reach), mode="replicate")
        blurred = F.conv1d(padded, kernel[None, None]).reshape(moved.shape).movedim(-1, axis)
    return blurred
