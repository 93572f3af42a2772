"""A warm body under noise of a known correlation, with and without hot spots."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

SPACING = (4.0, 4.0, 4.0)
SHAPE = (64, 56, 60)
SMOOTHING_BLOCKS = 0.7


def correlated_noise(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """White noise under a Gaussian, of SD 1."""
    white = np.random.default_rng(seed).standard_normal(shape)
    smooth = ndimage.gaussian_filter(white, SMOOTHING_BLOCKS, mode="wrap")
    kernel = np.zeros(shape)
    kernel[tuple(n // 2 for n in shape)] = 1.0
    gain = np.sqrt((ndimage.gaussian_filter(kernel, SMOOTHING_BLOCKS) ** 2).sum())
    return (smooth / gain).astype(np.float32)


def true_correlation(reach: int) -> np.ndarray:
    """The correlation of that noise by offset: a Gaussian convolved with itself."""
    kernel = np.zeros((41, 41, 41))
    kernel[20, 20, 20] = 1.0
    smooth = ndimage.gaussian_filter(kernel, SMOOTHING_BLOCKS)
    twice = ndimage.gaussian_filter(smooth, SMOOTHING_BLOCKS)
    middle = (slice(20 - reach, 21 + reach),) * 3
    return twice[middle] / twice[20, 20, 20]


def sphere(centre: tuple[int, int, int], radius_mm: float) -> np.ndarray:
    """Bool, True in a sphere."""
    axes = np.meshgrid(*[(np.arange(n) - c) * 4.0 for n, c in zip(SHAPE, centre, strict=True)], indexing="ij")
    return sum(axis**2 for axis in axes) <= radius_mm**2


def a_body() -> np.ndarray:
    """SUV 1, a liver of SUV 2, a hot organ of SUV 6, a lesion of SUV 6 at (16, 30, 44); 0 outside."""
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij")
    suv = np.where((axes[1] / 0.9) ** 2 + (axes[2] / 0.9) ** 2 < 1, 1.0, 0.0)
    suv[sphere((40, 24, 20), 40.0)] = 2.0
    suv[sphere((56, 30, 36), 20.0)] = 6.0
    body = suv > 0
    suv[sphere((16, 30, 44), 9.0)] = 6.0
    smooth = ndimage.gaussian_filter(suv, 0.6) / np.maximum(ndimage.gaussian_filter(body * 1.0, 0.6), 0.01)
    return np.where(body, smooth, 0.0).astype(np.float32)


def low_count_of(truth: np.ndarray, seed: int, share: float = 0.4) -> np.ndarray:
    """`truth` under noise whose SD grows with SUV^0.7, as that of OSEM does."""
    return (truth + share * np.maximum(truth, 0.1) ** 0.7 * correlated_noise(SHAPE, seed)).astype(np.float32)
