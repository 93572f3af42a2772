"""The noise level of a scan, read off a homogeneous, liver-like region that is found automatically.

The liver is where PET noise is usually stated: large, even, of an uptake (SUV about 2) that neither lung
nor brain has. Method:

1. The scan is brought to 5 mm voxels and smoothed (Gaussian, sigma 6 mm), so that noise does not decide.
2. What lies between SUV 1.2 and 4.5 there is uptake like the liver's: above muscle, fat and lung, below
   brain, bladder and most lesions. Eroded by 10 mm, which cuts thin bridges, its largest part is kept.
3. Within it, among the places at least 15 mm from its border and nearly as deep as its deepest one, the
   sphere of 15 mm radius (PERCIST's liver region is as large) with the least variation of the smoothed
   image is chosen: away from vessels, domes and lesions.
4. The coefficient of variation is the standard deviation over the mean of the scan's own voxels in it.

No segmentation by the networks is needed, so that it is known before they run. It is an estimate: a liver
full of metastases, or a scan without a liver, gives another region or none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy.ndimage import distance_transform_edt

from AMDiffLib.image.resampling import to_spacing
from AMDiffLib.image.volume import PetVolume

RADIUS_MM = 15.0
GRID_MM = 5.0
SMOOTHING_MM = 6.0
SUV_RANGE = (1.2, 4.5)
_NEARLY_AS_DEEP = 0.8
_FEWEST_VOXELS = 20
_FEWEST_TO_SMOOTH = 4  # along an axis, for ITK's recursive filter
_ERODED_VOXELS = 2
_REACH = int(RADIUS_MM // GRID_MM)
_SPHERE_OFFSETS = (
    np.argwhere(
        (np.mgrid[-_REACH : _REACH + 1, -_REACH : _REACH + 1, -_REACH : _REACH + 1] ** 2).sum(axis=0)
        <= _REACH**2
    )
    - _REACH
)


@dataclass(frozen=True, kw_only=True)
class NoiseEstimate:
    """Coefficient of variation in the region, its mean SUV, its centre (x, y, z) in mm (LPS), its voxels."""

    coefficient_of_variation: float
    mean_suv: float
    centre_lps_mm: tuple[float, float, float]
    radius_mm: float
    voxels: int


def estimate_noise(volume: PetVolume) -> NoiseEstimate | None:
    """Find the liver-like region of `volume` and return its noise; None where there is no such region."""
    image = volume.with_array(volume.suv)
    coarse = to_spacing(image, GRID_MM)
    if min(coarse.GetSize()) < _FEWEST_TO_SMOOTH:
        return None
    coarse = sitk.SmoothingRecursiveGaussian(coarse, SMOOTHING_MM)
    centre = _centre(coarse)
    if centre is None:
        return None
    values = _sphere(image, centre)
    if values.size < _FEWEST_VOXELS:
        return None
    mean = float(values.mean(dtype=np.float64))
    return NoiseEstimate(
        coefficient_of_variation=float(values.std(ddof=1, dtype=np.float64)) / mean,
        mean_suv=mean,
        centre_lps_mm=tuple(round(float(c), 1) for c in centre),
        radius_mm=RADIUS_MM,
        voxels=int(values.size),
    )


def _centre(smooth: sitk.Image) -> tuple[float, float, float] | None:
    """The middle of the most even sphere deep in the largest region of liver-like uptake, LPS mm."""
    within = sitk.BinaryErode(sitk.BinaryThreshold(smooth, *SUV_RANGE), [_ERODED_VOXELS] * 3, sitk.sitkBall)
    parts = sitk.RelabelComponent(sitk.ConnectedComponent(within))
    largest = sitk.GetArrayViewFromImage(parts) == 1
    if not largest.any():
        return None
    box = tuple(
        slice(max(0, places.min() - _ERODED_VOXELS - 1), places.max() + _ERODED_VOXELS + 2)
        for places in np.nonzero(largest)
    )
    organ = distance_transform_edt(np.pad(largest[box], 1))[1:-1, 1:-1, 1:-1]
    depth = np.where(organ > 0, organ + _ERODED_VOXELS, 0.0) * GRID_MM
    if depth.max() < RADIUS_MM:
        return None
    candidates = np.argwhere(depth >= max(RADIUS_MM, _NEARLY_AS_DEEP * depth.max()))
    candidates += [part.start for part in box]
    values = sitk.GetArrayViewFromImage(smooth)
    best = min(candidates, key=lambda index: _relative_variance(values, index))
    return smooth.TransformIndexToPhysicalPoint([int(place) for place in best[::-1]])


def _relative_variance(values: np.ndarray, index: np.ndarray) -> float:
    """Variance over squared mean of the smoothed image in the sphere around a voxel of the 5 mm grid."""
    places = (index + _SPHERE_OFFSETS).clip(0, np.array(values.shape) - 1)
    inside = values[tuple(places.T)]
    return float(inside.var() / inside.mean() ** 2)


def _sphere(image: sitk.Image, centre: tuple[float, float, float]) -> np.ndarray:
    """The values of the voxels whose centres lie within the radius."""
    middle = np.array(image.TransformPhysicalPointToContinuousIndex(centre))
    reach = RADIUS_MM / np.array(image.GetSpacing())
    low = np.maximum(np.floor(middle - reach), 0).astype(int)
    high = np.minimum(np.ceil(middle + reach) + 1, image.GetSize()).astype(int)
    x, y, z = (
        (np.arange(first, last) - at) * step
        for first, last, at, step in zip(low, high, middle, image.GetSpacing(), strict=True)
    )
    inside = z[:, None, None] ** 2 + y[:, None] ** 2 + x**2 <= RADIUS_MM**2
    box = tuple(slice(first, last) for first, last in zip(low[::-1], high[::-1], strict=True))
    return sitk.GetArrayViewFromImage(image)[box][inside]
