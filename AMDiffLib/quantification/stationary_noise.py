"""Noise of one correlation everywhere: measured from an image of it, and the variance of its sums."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

REACH_MM = 20.0
"""Noise of OSEM is not correlated beyond (simulated mCT, Vision, Discovery ST: below 0.003)."""

BEYOND_MM = 30.0
"""Between the reach and here, correlation is taken for that of something else, which varies slowly."""


def correlation_by_offset(standard: np.ndarray, inside: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Return the correlation of the noise in `standard` by offset (z, y, x), odd size, 1 in the middle.

    Mean product over all pairs of voxels `inside`, less that between 20 and 30 mm, zero beyond 20 mm;
    negative power is left out, so that no sum has a negative variance.

    Args:
        standard: (z, y, x), of SD 1, 0 where not `inside`. inside: (z, y, x) bool.
        spacing: (x, y, z) in mm.
    """
    size_mm = [float(size) for size in reversed(list(spacing))]
    reach = [int(BEYOND_MM / size) for size in size_mm]
    shape = [_fast_length(n + r) for n, r in zip(standard.shape, reach, strict=True)]
    products, pairs = (_autocorrelation(field, shape, reach) for field in (standard, inside))
    mean = np.where(pairs > 0.5, products / np.maximum(pairs, 1.0), 0.0)
    offsets = np.meshgrid(
        *[np.arange(-r, r + 1) * size for r, size in zip(reach, size_mm, strict=True)], indexing="ij"
    )
    distance = np.sqrt(sum(offset**2 for offset in offsets))
    near = distance < REACH_MM
    shell = ~near & (distance < BEYOND_MM) & (pairs > 0.5)
    slow = mean[shell].mean() if shell.any() else 0.0
    return _semidefinite(np.where(near, mean - slow, 0.0))


def weighted_variance(error: np.ndarray, correlation: np.ndarray) -> float:
    """Return sum_ij error_i error_j correlation(i - j); `error` is weight times SD of each voxel."""
    shape = [_fast_length(n + r // 2) for n, r in zip(error.shape, correlation.shape, strict=True)]
    power = np.abs(np.fft.rfftn(error, shape, axes=(0, 1, 2))) ** 2
    reach = [r // 2 for r in correlation.shape]
    # Only offsets that fit into the array have products; folding would count others for them.
    fits = [min(r, n - 1) for r, n in zip(reach, error.shape, strict=True)]
    products = _unwrapped(np.fft.irfftn(power, shape, axes=(0, 1, 2)), fits)
    middle = tuple(slice(r - f, r + f + 1) for r, f in zip(reach, fits, strict=True))
    return max(0.0, float(np.sum(products * correlation[middle], dtype=np.float64)))


def _autocorrelation(field: np.ndarray, shape: Sequence[int], reach: Sequence[int]) -> np.ndarray:
    spectrum = np.fft.rfftn(field.astype(np.float32), shape, axes=(0, 1, 2))
    power = spectrum.real**2 + spectrum.imag**2
    return _unwrapped(np.fft.irfftn(power, shape, axes=(0, 1, 2)), reach).astype(np.float64)


def _semidefinite(covariance: np.ndarray) -> np.ndarray:
    """The covariance without its negative power, scaled to 1 in the middle."""
    reach = [n // 2 for n in covariance.shape]
    shape = [4 * r + 1 for r in reach]
    cyclic = np.zeros(shape)
    cyclic[np.ix_(*[np.arange(-r, r + 1) % n for r, n in zip(reach, shape, strict=True)])] = covariance
    power = np.fft.rfftn(cyclic, axes=(0, 1, 2)).real.clip(min=0.0)
    kept = _unwrapped(np.fft.irfftn(power, shape, axes=(0, 1, 2)), reach)
    return (kept / kept[tuple(reach)]).astype(np.float32)


def _unwrapped(cyclic: np.ndarray, reach: Sequence[int]) -> np.ndarray:
    return cyclic[np.ix_(*[np.arange(-r, r + 1) % n for r, n in zip(reach, cyclic.shape, strict=True)])]


def _fast_length(n: int) -> int:
    """The next length without a prime factor above 5."""
    while True:
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 1
