"""The comparator every denoiser must beat: a Gaussian filter of the best width."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

WIDTHS_MM = (3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0)
"""Full widths at half maximum that are tried."""

_FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))


def gaussian_filter(suv: np.ndarray, spacing: Sequence[float], fwhm_mm: float) -> np.ndarray:
    """Smooth a volume with an isotropic Gaussian of `fwhm_mm` (full width at half maximum).

    SimpleITK's discrete Gaussian, whose variance is right also where it is narrower than a voxel.

    Args:
        suv: (z, y, x).
        spacing: (x, y, z) in mm.

    Returns:
        (z, y, x) float32.
    """
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(suv, np.float32))
    image.SetSpacing([float(size) for size in spacing])
    smooth = sitk.DiscreteGaussianImageFilter()
    smooth.SetVariance((fwhm_mm / _FWHM_PER_SIGMA) ** 2)
    smooth.SetMaximumError(1e-3)
    smooth.SetMaximumKernelWidth(64)
    smooth.SetUseImageSpacing(True)
    return sitk.GetArrayFromImage(smooth.Execute(image))


def best_width(errors: Mapping[float, Sequence[float]]) -> float:
    """Return the width with the smallest mean error over the cases it is then judged on.

    That is deliberately kind to the Gaussian: a width chosen beforehand could not do better. Cases whose
    error is not a number are left out; without any other case the result is NaN.

    Args:
        errors: width in mm -> error of each case.
    """
    means = {}
    for width, values in errors.items():
        finite = [value for value in values if math.isfinite(value)]
        if finite:
            means[width] = sum(finite) / len(finite)
    return min(means, key=lambda width: means[width]) if means else float("nan")
