"""Gaussian blur of volumes in torch, by full width at half maximum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
import scipy.special
import torch

FWHM_PER_SIGMA = 2 * math.sqrt(2 * math.log(2))
Beyond = Literal["edge", "zero"]
_BLOCK = 96


def gaussian_blur(
    volume: torch.Tensor,
    fwhm_mm: float | Sequence[float],
    spacing_mm: float | Sequence[float],
    *,
    beyond: Beyond = "edge",
) -> torch.Tensor:
    """Blur the last three axes of `volume` (..., D, H, W); width and spacing are one for all, or (z, y, x).

    What lies `beyond` an edge is taken to be as the edge is, or zero; with zero the blur is its own adjoint.
    """
    widths = (fwhm_mm,) * 3 if isinstance(fwhm_mm, int | float) else fwhm_mm
    spacings = (spacing_mm,) * 3 if isinstance(spacing_mm, int | float) else spacing_mm
    blurred = volume
    for axis, width, spacing in zip((-3, -2, -1), widths, spacings, strict=True):
        blurred = blur_axis(blurred, axis, fwhm_voxels=width / spacing, beyond=beyond)
    return blurred


def blur_axis(
    tensor: torch.Tensor, axis: int, *, fwhm_voxels: float, beyond: Beyond = "edge"
) -> torch.Tensor:
    """Blur one axis of `tensor`.

    The kernel is Lindeberg's discrete Gaussian, whose variance is exact also below a voxel. It is applied as
    dense matrices along the diagonal: on processors and GPUs alike, faster than a convolution.
    """
    if fwhm_voxels <= 0:
        return tensor
    axis %= tensor.ndim
    length, sigma = tensor.shape[axis], fwhm_voxels / FWHM_PER_SIGMA
    matrix = _kernel_matrix(length, sigma, beyond).to(tensor.device)
    before, after = math.prod(tensor.shape[:axis]), math.prod(tensor.shape[axis + 1 :])
    source = tensor.reshape(before, length, after)
    blurred = torch.empty_like(source)
    step = max(_BLOCK, _reach(sigma))
    for start in range(0, length, step):
        rows = slice(start, min(start + step, length))
        columns = slice(max(rows.start - _reach(sigma), 0), rows.stop + _reach(sigma))
        block = matrix[rows, columns]
        if after == 1:
            blurred[:, rows, 0] = source[:, columns, 0] @ block.T
        else:
            torch.matmul(block, source[:, columns], out=blurred[:, rows])
    return blurred.reshape(tensor.shape)


def _reach(sigma: float) -> int:
    return math.ceil(5 * sigma) + 3


@lru_cache(maxsize=64)
def _kernel_matrix(length: int, sigma: float, beyond: Beyond) -> torch.Tensor:
    position = np.arange(length)
    taps = np.where(position <= _reach(sigma), scipy.special.ive(position, sigma**2), 0.0)
    matrix = taps[np.abs(position[:, None] - position[None, :])]
    if beyond == "edge":
        # The share of the kernel that hangs over an end falls on the last voxel there.
        overhang = np.maximum(0.5 - taps[0] / 2 - np.cumsum(taps) + taps[0], 0.0)
        matrix[:, 0] += overhang
        matrix[:, -1] += overhang[::-1]
    return torch.from_numpy(matrix.astype(np.float32))
