"""How an image renders the true lesions: SUVmax, SUVpeak, SUVmean and their contrast; and the liver's noise.

The lesions' outlines are the true ones, so that the image alone is judged, not what was segmented in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from AMDiffLib.evaluation.metrics import NAN
from AMDiffLib.quantification.grid import bounding_box, grown
from AMDiffLib.quantification.suv_metrics import suv_peak

SHELL_MM = (8.0, 16.0)
"""The background of a lesion lies so far from it: beyond its blur, within the same tissue."""

LIVER_MARGIN_MM = 12.0
"""Noise is measured that far inside the liver, where its edge does not blur in."""


@dataclass(frozen=True, kw_only=True)
class LesionUptake:
    """Of each lesion, in the order of their numbers: SUV (g/mL), and mean of the lesion minus background.

    `contrast` is NaN for a lesion that has no background of its own.
    """

    suv_max: np.ndarray
    suv_mean: np.ndarray
    suv_peak: np.ndarray
    contrast: np.ndarray


class MeasuredLesions:
    """The true lesions of a subject, ready to be measured in any image of it."""

    def __init__(self, lesions: np.ndarray, body: np.ndarray, spacing: Sequence[float]) -> None:
        """`lesions` (z, y, x) instance numbers, `body` (z, y, x) bool, `spacing` (x, y, z) in mm."""
        self._spacing = tuple(float(size) for size in spacing)
        background = body & (lesions == 0)
        numbers = np.unique(lesions[lesions > 0])
        self._boxes, self._masks, self._shells = [], [], []
        for number in numbers:
            mask = lesions == number
            box = grown(bounding_box(mask), lesions.shape, self._spacing, SHELL_MM[1] + max(self._spacing))
            self._boxes.append(box)
            self._masks.append(mask[box])
            self._shells.append(background[box] & self._shell(mask[box]))

    def __len__(self) -> int:
        return len(self._boxes)

    def measure(self, image: np.ndarray) -> LesionUptake:
        """Measure all lesions in `image`, (z, y, x) SUVbw."""
        largest, means, peaks, contrasts = [], [], [], []
        for box, mask, shell in zip(self._boxes, self._masks, self._shells, strict=True):
            inside = image[box][mask]
            around = image[box][shell]
            mean = float(inside.mean(dtype=np.float64))
            largest.append(float(inside.max()))
            means.append(mean)
            peaks.append(suv_peak(image[box], mask, self._spacing))
            contrasts.append(mean - float(around.mean(dtype=np.float64)) if around.size else NAN)
        return LesionUptake(
            suv_max=np.array(largest),
            suv_mean=np.array(means),
            suv_peak=np.array(peaks),
            contrast=np.array(contrasts),
        )

    def _shell(self, mask: np.ndarray) -> np.ndarray:
        distance = distance_mm(~mask, self._spacing)
        return (distance > SHELL_MM[0]) & (distance <= SHELL_MM[1])


def mean_error_percent(found: np.ndarray, true: np.ndarray) -> float:
    """Mean over lesions of 100 (found - true) / true; NaN without a lesion of positive uptake."""
    known = true > 0
    return float((100.0 * (found[known] / true[known] - 1.0)).mean()) if known.any() else NAN


def contrast_recovery_percent(found: LesionUptake, true: LesionUptake) -> float:
    """100 x mean contrast over lesions / mean contrast in the reference; NaN where that is not positive.

    A ratio of means: a faint lesion's own ratio would be noise.
    """
    known = np.isfinite(found.contrast) & np.isfinite(true.contrast)
    below = float(true.contrast[known].sum())
    return 100.0 * float(found.contrast[known].sum()) / below if below > 0 else NAN


def inner_liver(liver: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Return the voxels of a liver (z, y, x, bool, without lesions) that are 12 mm or more inside it."""
    inner = np.zeros(liver.shape, bool)
    if liver.any():
        box = grown(bounding_box(liver), liver.shape, spacing, max(spacing))
        inner[box] = distance_mm(liver[box], spacing) >= LIVER_MARGIN_MM
    return inner


def noise_percent(image: np.ndarray, region: np.ndarray) -> float:
    """100 x standard deviation / mean of `image` in a region; NaN for fewer than two voxels or no uptake."""
    values = image[region].astype(np.float64)
    if values.size < 2 or values.mean() <= 0:
        return NAN
    return float(100.0 * values.std(ddof=1) / values.mean())


def neighbour_correlation(image: np.ndarray, region: np.ndarray) -> float:
    """Correlation of transaxial neighbours (along y and x) within a region, the texture of its noise.

    0 for noise that is independent from voxel to voxel; NaN for fewer than two pairs or no noise.
    """
    along_y, along_x = (np.s_[:, :-1], np.s_[:, 1:]), (np.s_[..., :-1], np.s_[..., 1:])
    pairs = []
    for near, far in (along_y, along_x):
        both = region[near] & region[far]
        pairs.append(np.stack([image[near][both], image[far][both]]))
    values = np.concatenate(pairs, axis=1).astype(np.float64)
    if values.shape[1] < 2 or not values.std(axis=1).all():
        return NAN
    return float(np.corrcoef(values)[0, 1])


def distance_mm(mask: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Distance (mm) of each voxel of a mask to the nearest voxel outside it; `spacing` is (x, y, z)."""
    from scipy.ndimage import distance_transform_edt

    return distance_transform_edt(mask, sampling=tuple(spacing)[::-1])
