"""Brings the regional mean of a denoised volume back to that of the counts it was made from."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

REGION_SIGMA_MM = 25.0
LARGEST_CHANGE = 1.25


def conserve_counts(
    denoised: np.ndarray, low_count: np.ndarray, body: np.ndarray, spacing: tuple[float, float, float]
) -> np.ndarray:
    """Scale `denoised` region by region so that its mean agrees with that of `low_count` inside `body`.

    The factor is the ratio of the two volumes' means under a Gaussian of sigma 25 mm, taken over the body
    only and limited to [0.8, 1.25]: a scanner's mean is unbiased, its single voxel is not, so only broad
    regions are trusted. All arrays (z, y, x), SUV; `spacing` (x, y, z) in mm. Returns float32.
    """
    inside = body.astype(np.float32)
    expected = _regional_sum(low_count * inside, spacing)
    found = _regional_sum(denoised * inside, spacing)
    factor = np.ones_like(found)
    np.divide(expected, found, out=factor, where=(found > 1e-6) & body)
    np.clip(factor, 1.0 / LARGEST_CHANGE, LARGEST_CHANGE, out=factor)
    return np.where(body, denoised * factor, denoised).astype(np.float32)


def _regional_sum(array: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    image = sitk.GetImageFromArray(np.ascontiguousarray(array, dtype=np.float32))
    image.SetSpacing(spacing)
    return sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(image, REGION_SIGMA_MM))
