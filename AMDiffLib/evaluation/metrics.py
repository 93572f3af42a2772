"""How far an image or a mask is from its reference.

NRMSE is the root mean square error over a region divided by the range (largest minus smallest value) or by
the mean of the *reference* over the same region. The AMDiff paper normalises "by the range of the observed
data"; its organ figures are only possible with the range inside the organ, so that is what is taken.

PSNR and SSIM see both images clipped to SUV 0 to 20, and 20 is their data range: the peak of the reference
would make every scan with a hot bladder look better than one without.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from AMDiffLib.quantification.grid import bounding_box, voxel_volume_ml

NAN = float("nan")
DATA_RANGE_SUV = 20.0
_SSIM_WINDOW = 7


def nrmse(
    estimate: np.ndarray, reference: np.ndarray, mask: np.ndarray | None = None, *, by: str = "range"
) -> float:
    """Return the normalised root mean square error; NaN for an empty region or a reference without range.

    Args:
        estimate, reference: SUVbw in g/mL, of one shape.
        mask: where to look, non-zero inside; None for the whole image.
        by: "range" or "mean" of the reference in that region.

    Raises:
        ValueError: shapes differ, or `by` is neither.
    """
    estimate, reference = _inside(estimate, reference, mask)
    if by not in ("range", "mean"):
        raise ValueError(f"NRMSE can be normalised by 'range' or 'mean', not by {by!r}")
    if reference.size == 0:
        return NAN
    scale = np.ptp(reference) if by == "range" else reference.mean()
    error = np.sqrt(np.mean(np.square(estimate - reference)))
    return float(error / scale) if scale > 0 else NAN


def nmae(estimate: np.ndarray, reference: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Return the mean absolute error over a region / mean of the reference there; NaN where undefined."""
    estimate, reference = _inside(estimate, reference, mask)
    if reference.size == 0 or not reference.mean() > 0:
        return NAN
    return float(np.abs(estimate - reference).mean() / reference.mean())


def mean_bias_percent(estimate: np.ndarray, reference: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Return 100 (mean estimate - mean reference) / mean reference over a region; NaN where undefined."""
    estimate, reference = _inside(estimate, reference, mask)
    if reference.size == 0:
        return NAN
    return relative_percent(float(estimate.mean()), float(reference.mean()))


def dice(found: np.ndarray, true: np.ndarray) -> float:
    """Return 2 |found and true| / (|found| + |true|); NaN where there is nothing true to be found.

    Raises:
        ValueError: shapes differ.
    """
    found, true = np.asarray(found) != 0, np.asarray(true) != 0
    _same_shape(found, true)
    if not true.any():
        return NAN
    return float(2.0 * np.count_nonzero(found & true) / (np.count_nonzero(found) + np.count_nonzero(true)))


def clipped(suv: np.ndarray) -> np.ndarray:
    """Return SUV clipped to the range that PSNR and SSIM are stated for."""
    return np.clip(suv, 0.0, DATA_RANGE_SUV)


def psnr(estimate: np.ndarray, reference: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Return the peak signal-to-noise ratio in dB for a data range of SUV 20; infinite for equal images.

    NaN for an empty region.
    """
    estimate, reference = _inside(estimate, reference, mask)
    if reference.size == 0:
        return NAN
    squared = float(np.mean(np.square(clipped(estimate) - clipped(reference))))
    return float(10.0 * np.log10(DATA_RANGE_SUV**2 / squared)) if squared > 0 else float("inf")


def ssim_map(estimate: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return the structural similarity of each voxel for a data range of SUV 20, cubes of 7 voxels.

    Wang et al. (2004) with K1 = 0.01 and K2 = 0.03, sample variances, edges reflected. float32, (z, y, x).
    """
    from scipy.ndimage import uniform_filter

    _same_shape(estimate, reference)
    x, y = (clipped(image).astype(np.float32) for image in (estimate, reference))
    sample = _SSIM_WINDOW**3 / (_SSIM_WINDOW**3 - 1)
    mean_x, mean_y = uniform_filter(x, _SSIM_WINDOW), uniform_filter(y, _SSIM_WINDOW)
    product = mean_x * mean_y
    covariance = sample * (uniform_filter(x * y, _SSIM_WINDOW) - product)
    # The sum of both variances is all that is needed: one filter less.
    squares = mean_x * mean_x + mean_y * mean_y
    variances = sample * (uniform_filter(x * x + y * y, _SSIM_WINDOW) - squares)
    c1, c2 = (0.01 * DATA_RANGE_SUV) ** 2, (0.03 * DATA_RANGE_SUV) ** 2
    return (2 * product + c1) * (2 * covariance + c2) / ((squares + c1) * (variances + c2))


def hausdorff_95(found: np.ndarray, true: np.ndarray, spacing: Sequence[float]) -> float:
    """Return the 95th percentile of the distances between two masks' surfaces, mm, the larger direction.

    A surface is the mask's voxels with a face neighbour outside it. NaN where either mask is empty.
    `spacing` is (x, y, z) in mm.
    """
    from scipy.spatial import cKDTree

    _same_shape(found, true)
    masks = [np.asarray(mask) != 0 for mask in (found, true)]
    if not all(mask.any() for mask in masks):
        return NAN
    box = bounding_box(masks[0] | masks[1])
    size = np.asarray(spacing, float)[::-1]
    surfaces = [_surface(mask[box]) * size for mask in masks]
    trees = [cKDTree(surface) for surface in surfaces]
    ways = [trees[1].query(surfaces[0])[0], trees[0].query(surfaces[1])[0]]
    return float(max(np.percentile(distances, 95) for distances in ways))


def _surface(mask: np.ndarray) -> np.ndarray:
    """Return the (z, y, x) of a mask's voxels that have a face neighbour outside, edges of the image too."""
    padded = np.pad(mask, 1)
    inner = padded.copy()
    for axis in range(3):
        for step in (-1, 1):
            inner &= np.roll(padded, step, axis)
    return np.argwhere((padded & ~inner)[1:-1, 1:-1, 1:-1])


def volume_ml(mask: np.ndarray, spacing: Sequence[float]) -> float:
    """Return the volume of a mask in mL; `spacing` is (x, y, z) in mm."""
    return float(np.count_nonzero(mask)) * voxel_volume_ml(spacing)


def relative_percent(found: float, true: float) -> float:
    """Return 100 (found - true) / true, as for the bias of TLG or MTV; NaN where `true` is not positive."""
    return 100.0 * (found - true) / true if true > 0 else NAN


def _inside(
    estimate: np.ndarray, reference: np.ndarray, mask: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    _same_shape(estimate, reference)
    if mask is not None:
        _same_shape(estimate, mask)
        mask = np.asarray(mask) != 0
        estimate, reference = estimate[mask], reference[mask]
    return estimate.astype(np.float64), reference.astype(np.float64)


def _same_shape(first: np.ndarray, second: np.ndarray) -> None:
    if np.shape(first) != np.shape(second):
        raise ValueError(f"arrays of shape {np.shape(first)} and {np.shape(second)} cannot be compared")
