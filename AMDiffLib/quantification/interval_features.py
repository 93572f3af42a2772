"""What an interval's place and width depend on, read from the denoised image and its uncertainty map."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from AMDiffLib.labels import ORGANS
from AMDiffLib.quantification.calibration import Features
from AMDiffLib.quantification.grid import distance_mm, grown, voxel_volume_ml, within
from AMDiffLib.quantification.lesion_regions import LesionRegion
from AMDiffLib.quantification.steps import Steps

RIM_MM = 8.0
"""How far around a lesion the tissue is looked at: beyond the blur of its own edge."""

_SMALLEST = {"relative_sd": 1e-4, "rim": 1e-2}
_SLICES_TOGETHER = 32


def lesion_features(
    regions: Sequence[LesionRegion], suv: np.ndarray, sd: np.ndarray, spacing: Sequence[float]
) -> Features | None:
    """Return the features of some lesions together; None where their mean SUV is not positive.

    Args:
        regions: at least one.
        suv: (z, y, x) SUVbw in g/mL. sd: its standard deviation.
        spacing: (x, y, z) in mm.
    """
    inside = np.concatenate([suv[region.box][region.mask] for region in regions])
    inside_sd = np.concatenate([sd[region.box][region.mask] for region in regions])
    rims = np.concatenate([_rim(region, suv, spacing) for region in regions])
    mean = float(inside.mean(dtype=np.float64))
    around = float(rims.mean(dtype=np.float64)) if rims.size else 0.0
    mean_square = float(np.mean(inside_sd.astype(np.float64) ** 2))
    return _features(inside.size * voxel_volume_ml(spacing), mean, mean_square, around)


def organ_features(
    organs: np.ndarray, lesion: np.ndarray, suv: np.ndarray, sd: np.ndarray, spacing: Sequence[float]
) -> Steps[dict[int, Features | None]]:
    """Return the features of each organ without lesions, by label; None where nothing of it was found.

    The tissue around an organ tells nothing of its mean: its rim is taken as 1.

    Args:
        organs: (z, y, x) label values. lesion: (z, y, x) bool, True in every lesion. Others as above.
    """
    sums = {organ.label: np.zeros(3) for organ in ORGANS}
    for first in range(0, len(organs), _SLICES_TOGETHER):
        yield
        slab = slice(first, first + _SLICES_TOGETHER)
        healthy = np.where(lesion[slab], 0, organs[slab])
        for label in sums:
            here = healthy == label
            squares = sd[slab][here].astype(np.float64) ** 2
            sums[label] += here.sum(), suv[slab][here].sum(dtype=np.float64), squares.sum()
    found: dict[int, Features | None] = {}
    for label, (voxels, total, squares) in sums.items():
        mean = total / voxels if voxels else 0.0
        found[label] = (
            _features(voxels * voxel_volume_ml(spacing), mean, squares / voxels, mean) if voxels else None
        )
    return found


def _rim(region: LesionRegion, suv: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    near = grown(region.box, suv.shape, spacing, RIM_MM)
    mask = np.zeros(suv[near].shape, bool)
    mask[within(region.box, near)] = region.mask
    distance = distance_mm(mask, spacing, RIM_MM)
    return suv[near][(distance > 0) & (distance <= RIM_MM)]


def _features(volume_ml: float, mean: float, mean_square_sd: float, around: float) -> Features | None:
    if not mean > 0:
        return None
    return Features(
        volume_ml=volume_ml,
        relative_sd=max(math.sqrt(mean_square_sd) / mean, _SMALLEST["relative_sd"]),
        rim=max(around / mean, _SMALLEST["rim"]),
    )
