"""SUVmax, SUVmean, SUVpeak, metabolic tumour volume and total lesion glycolysis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from AMDiffLib.quantification.grid import bounding_box, grown, voxel_volume_ml, within

PEAK_SPHERE_ML = 1.0
PEAK_RADIUS_MM = (3.0 * PEAK_SPHERE_ML * 1000.0 / (4.0 * math.pi)) ** (1.0 / 3.0)  # 6.2 mm

_SUBVOXELS = 12


def sphere_weights(
    spacing: Sequence[float], radius_mm: float = PEAK_RADIUS_MM, subvoxels: int = _SUBVOXELS
) -> np.ndarray:
    """Return the share of each voxel that lies inside a sphere centred on a voxel, summing to 1.

    Args:
        spacing: (x, y, z) voxel size in mm.
        radius_mm: radius of the sphere.
        subvoxels: each voxel is divided into this many parts along each axis to find its share.

    Returns:
        (z, y, x) float64 of odd size, the sphere's centre in the middle.
    """
    squared = []
    for size in reversed([float(s) for s in spacing]):
        reach = max(0, math.ceil(radius_mm / size - 0.5))
        count = (2 * reach + 1) * subvoxels
        position = ((np.arange(count) + 0.5) / subvoxels - (reach + 0.5)) * size
        squared.append(position**2)
    inside = squared[0][:, None, None] + squared[1][None, :, None] + squared[2][None, None, :] <= radius_mm**2
    nz, ny, nx = (len(axis) // subvoxels for axis in squared)
    share = inside.reshape(nz, subvoxels, ny, subvoxels, nx, subvoxels).mean(axis=(1, 3, 5))
    return share / share.sum()


def suv_peak(suv: np.ndarray, mask: np.ndarray, spacing: Sequence[float]) -> float:
    """Return SUVpeak: the largest mean over a 1 mL sphere centred on any voxel of the lesion, g/mL.

    Voxels cut by the sphere's surface count with the share of them inside. The sphere may reach beyond the
    lesion; where it reaches beyond the image, the mean is over what lies inside the image.

    Args:
        suv: (z, y, x) SUVbw in g/mL.
        mask: (z, y, x), non-zero inside the lesion.
        spacing: (x, y, z) voxel size in mm.

    Raises:
        ValueError: the lesion has no voxel.
    """
    mask = np.asarray(mask) != 0
    offsets, weights = _sphere(tuple(float(size) for size in spacing))
    box = bounding_box(mask)
    around = grown(box, mask.shape, spacing, PEAK_RADIUS_MM + max(spacing))
    reach = np.abs(offsets).max(axis=0)
    values = np.pad(np.asarray(suv[around], np.float64), [(r, r) for r in reach])
    inside = np.pad(np.ones(suv[around].shape), [(r, r) for r in reach])
    centres = np.argwhere(mask[box]) + [side.start for side in within(box, around)] + reach
    strides = np.array([values.shape[1] * values.shape[2], values.shape[2], 1])
    places, steps = centres @ strides, offsets @ strides
    total, cover = np.zeros(len(places)), np.zeros(len(places))
    for step, weight in zip(steps, weights, strict=True):
        total += weight * values.ravel()[places + step]
        cover += weight * inside.ravel()[places + step]
    return float((total / cover).max())


def tlg(suv: np.ndarray, mask: np.ndarray, spacing: Sequence[float]) -> float:
    """Return the total lesion glycolysis in g: SUVmean (g/mL) x metabolic tumour volume (mL); 0 if empty."""
    inside = np.asarray(suv)[np.asarray(mask) != 0]
    return float(inside.sum(dtype=np.float64)) * voxel_volume_ml(spacing)


@lru_cache(maxsize=8)
def _sphere(spacing: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Return the (z, y, x) steps from the sphere's middle to the voxels it touches, and their weights."""
    weights = sphere_weights(spacing)
    offsets = np.argwhere(weights > 0) - [size // 2 for size in weights.shape]
    return offsets, weights[weights > 0]
