"""Smooth random fields: bends of the anatomy, texture of uptake, ragged lesion borders."""

from __future__ import annotations

import numpy as np
from scipy import ndimage


def smooth_field(
    shape: tuple[int, int, int], voxel_mm: float, scale_mm: float, rng: np.random.Generator
) -> np.ndarray:
    """Return a (z, y, x) float32 field of zero mean and unit SD whose features are about `scale_mm` wide."""
    step = max(scale_mm / 2 / voxel_mm, 1.0)
    coarse_shape = [int(np.ceil(n / step)) + 3 for n in shape]
    coarse = ndimage.gaussian_filter(rng.standard_normal(coarse_shape).astype(np.float32), 1.0, mode="wrap")
    coarse /= max(float(coarse.std()), 1e-6)
    field = coarse
    # One axis after the other keeps the cubic interpolation cheap.
    for axis, size in enumerate(shape):
        position = np.arange(size, dtype=np.float32) / step + 1
        field = _interpolate_axis(field, axis, position)
    return field


def _interpolate_axis(field: np.ndarray, axis: int, position: np.ndarray) -> np.ndarray:
    base = np.clip(np.floor(position).astype(int), 1, field.shape[axis] - 3)
    t = (position - base).astype(np.float32)
    # Catmull-Rom weights.
    weights = (
        0.5 * (-(t**3) + 2 * t**2 - t),
        0.5 * (3 * t**3 - 5 * t**2 + 2),
        0.5 * (-3 * t**3 + 4 * t**2 + t),
        0.5 * (t**3 - t**2),
    )
    broadcast = [1, 1, 1]
    broadcast[axis] = -1
    return sum(
        np.take(field, base + k - 1, axis=axis) * w.reshape(broadcast) for k, w in enumerate(weights)
    ).astype(np.float32)
