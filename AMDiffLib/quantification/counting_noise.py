"""The error of a low-count image's regional means, in closed form from what the image itself shows of it.

What is left of the image when the denoised one is taken away holds the counting error, and an error of the
denoiser that varies slowly. Both are measured, nothing is assumed of scanner, dose or reconstruction:

1. SD of a block: OSEM noise grows with the local activity and with the attenuation around it, so that it is a
   law of the local SUV (log SD quadratic in log SUV) times a factor that varies slowly over the body.
2. Correlation of two blocks by their offset: mean product of the standardised rest over all pairs in the
   body, up to 20 mm. What is still correlated between 20 and 30 mm is not noise of the counts, whose
   correlation ends there, and is taken off; the result is made positive semidefinite.
3. The denoiser's slow error, as a share of the local SUV: what 20 mm cubes differ by more than (1) and (2)
   say, in the median over the body.

var(sum_i w_i rest_i) = sum_ij w_i w_j sd_i sd_j correlation(i - j) + (slow_error sum_i w_i suv_i)^2
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from AMDiffLib.quantification.grid import Box, bounding_box
from AMDiffLib.quantification.stationary_noise import correlation_by_offset, weighted_variance
from AMDiffLib.quantification.working_grid import WorkingGrid

COLDEST_SUV = 0.15
"""Below this, fat ends and air begins; the law is not fitted there and stays as it is at this SUV."""

LARGEST_REST = 6.0
"""In SD; larger ones count as this large: a painted or an erased lesion must not raise the noise level."""

_SUV_BINS = 24
_FEWEST_BLOCKS = 200
_CUBE_BLOCKS = 5
_ROUNDS = 2
_MEDIAN_OF_CHI_SQUARED = 0.4549  # one degree of freedom


@dataclass(frozen=True, kw_only=True, eq=False)
class CountingNoise:
    """The error of the low-count image on a working grid, as the module's text says.

    Attributes:
        sd: (z, y, x) standard deviation of each block, SUV; 0 outside the body.
        correlation: of two blocks by their offset (z, y, x), odd size, 1 in the middle.
        slow_error: of the denoised image, as a share of the SUV.
    """

    sd: np.ndarray
    correlation: np.ndarray
    slow_error: float

    def variance(self, weights: np.ndarray, suv: np.ndarray, box: Box) -> float:
        """Variance, SUV^2, of the weighted sum of what is left in `box`; the arrays are of its shape."""
        counting = weighted_variance(weights * self.sd[box], self.correlation)
        return counting + (self.slow_error * float(np.sum(weights * suv, dtype=np.float64))) ** 2


def measure_noise(
    low_count: np.ndarray, denoised: np.ndarray, body: np.ndarray, grid: WorkingGrid
) -> CountingNoise:
    """Measure the error of `low_count` from what `denoised` leaves of it; (z, y, x) SUV on `grid`.

    `body`: (z, y, x) bool. Where it is empty, or nothing is left, all errors are 0.
    """
    sd = np.zeros(low_count.shape, np.float32)
    alone = np.ones((1, 1, 1), np.float32)
    if not np.any(body & (low_count != denoised)):
        return CountingNoise(sd=sd, correlation=alone, slow_error=0.0)
    box = bounding_box(body)
    inside, suv = body[box], denoised[box]
    rest = np.where(inside, low_count[box] - suv, np.float32(0.0))
    sd[box] = np.where(inside, _local_sd(rest, suv, inside), np.float32(0.0))
    standard = np.zeros_like(rest)
    np.divide(rest, sd[box], out=standard, where=inside)
    limit = np.float32(LARGEST_REST)
    correlation = correlation_by_offset(np.clip(standard, -limit, limit), inside, grid.spacing)
    return CountingNoise(
        sd=sd, correlation=correlation, slow_error=_slow_error(rest, suv, sd[box], inside, correlation)
    )


def _local_sd(rest: np.ndarray, suv: np.ndarray, body: np.ndarray) -> np.ndarray:
    """SD of each block: the law of the SUV times the slow factor."""
    warm = body & (suv >= COLDEST_SUV)
    if np.count_nonzero(warm) < _FEWEST_BLOCKS:
        warm = body
    log_suv = np.log(np.maximum(suv, np.float32(COLDEST_SUV)))
    squared, factor = rest**2, np.ones_like(rest)
    for _ in range(_ROUNDS):
        law = _law(log_suv[warm], squared[warm] / factor[warm] ** 2).astype(np.float32)
        sd = np.exp(np.polyval(law, log_suv))
        factor = _slow_factor(squared, sd, warm)
    return sd * factor


def _law(log_suv: np.ndarray, squared: np.ndarray) -> np.ndarray:
    """Coefficients of log SD by log SUV, fitted to the mean squares of bins of like SUV."""
    low, high = float(log_suv.min()), float(log_suv.max())
    bins = ((log_suv - low) * ((_SUV_BINS - 0.01) / max(high - low, 1e-6))).astype(np.intp)
    count = np.bincount(bins, minlength=_SUV_BINS)
    good = count >= min(_FEWEST_BLOCKS, count.max())
    most = LARGEST_REST**2 * np.bincount(bins, squared, _SUV_BINS) / np.maximum(count, 1)
    variance = np.bincount(bins, np.minimum(squared, most[bins]), _SUV_BINS)[good] / count[good]
    place = np.bincount(bins, log_suv, _SUV_BINS)[good] / count[good]
    # A bin of many blocks is no better known than the law fits it.
    weight = np.minimum(count[good], 10000) ** 0.5
    return np.polyfit(place, 0.5 * np.log(variance + 1e-12), min(2, place.size - 1), w=weight)


def _slow_factor(squared: np.ndarray, sd: np.ndarray, body: np.ndarray) -> np.ndarray:
    """Ratio of the rest's SD to the law's, averaged over about 50 mm."""
    most = np.float32(LARGEST_REST**2)
    total = cube_sums(np.where(body, np.minimum(squared / sd**2, most), np.float32(0.0)))
    count = cube_sums(body)
    # The whole body weighs as one block in a hundred: where a cube has none of its own, it decides.
    prior = 0.01 * _CUBE_BLOCKS**3
    mean = total.sum() / count.sum()
    for _ in range(2):
        total, count = _spread(total), _spread(count)
    factor = np.sqrt((total + prior * mean) / (count + prior)).astype(np.float32)
    for axis, n in enumerate(squared.shape):
        factor = np.moveaxis(np.tensordot(_between(factor.shape[axis], n), factor, (1, axis)), 0, axis)
    return factor


def _slow_error(
    rest: np.ndarray, suv: np.ndarray, sd: np.ndarray, body: np.ndarray, correlation: np.ndarray
) -> float:
    """The share of the SUV that 20 mm cubes differ by beyond the counting error, in the median."""
    full = cube_sums(body) == _CUBE_BLOCKS**3
    if not full.any():
        return 0.0
    difference, mean = cube_sums(rest)[full], cube_sums(suv)[full]
    cube = weighted_variance(np.ones((_CUBE_BLOCKS,) * 3, np.float32), correlation)
    counting = cube_sums(sd**2)[full] * cube / _CUBE_BLOCKS**3
    low, high = 0.0, 1.0
    for _ in range(20):
        share = (low + high) / 2
        typical = np.median(difference**2 / (counting + (share * mean) ** 2 + 1e-12))
        low, high = (share, high) if typical > _MEDIAN_OF_CHI_SQUARED else (low, share)
    return low


def cube_sums(array: np.ndarray) -> np.ndarray:
    """Return the sums over cubes of 5 blocks a side, the last ones filled up with zeros."""
    total = array.astype(np.float32)
    for axis in range(total.ndim):
        total = np.add.reduceat(total, np.arange(0, total.shape[axis], _CUBE_BLOCKS), axis=axis)
    return total


def _spread(array: np.ndarray) -> np.ndarray:
    """The binomial 1:2:1 along each axis, zero outside."""
    for axis in range(array.ndim):
        padded = np.pad(array, [(1, 1) if a == axis else (0, 0) for a in range(array.ndim)])
        before, after = ((slice(None),) * axis + (side,) for side in (slice(None, -2), slice(2, None)))
        array = 0.5 * array + 0.25 * (padded[before] + padded[after])
    return array


def _between(cubes: int, n: int) -> np.ndarray:
    """(n, cubes) weights that interpolate linearly between the middles of cubes."""
    place = np.clip((np.arange(n) + 0.5) / _CUBE_BLOCKS - 0.5, 0, cubes - 1)
    return np.maximum(0.0, 1.0 - np.abs(place[:, None] - np.arange(cubes))).astype(np.float32)
