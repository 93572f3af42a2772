"""SUVmax, SUVmean, SUVpeak, metabolic tumour volume and total lesion glycolysis."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

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
    from scipy.signal import fftconvolve

    mask = np.asarray(mask) != 0
    box = _bounding_box(mask)
    weights = sphere_weights(spacing)
    reach = [size // 2 for size in weights.shape]
    around = tuple(
        slice(max(0, side.start - r), min(size, side.stop + r))
        for side, r, size in zip(box, reach, mask.shape, strict=True)
    )
    values = np.asarray(suv[around], np.float64)
    # The sphere is symmetric, so convolution and correlation are the same. Where it leaves the image,
    # `cover` is the part of its weight that is left.
    total = _centred(fftconvolve(values, weights), reach, values.shape)
    cover = _centred(fftconvolve(np.ones_like(values), weights), reach, values.shape)
    centres = mask[around]
    return float((total[centres] / cover[centres]).max())


def tlg(suv: np.ndarray, mask: np.ndarray, spacing: Sequence[float]) -> float:
    """Return the total lesion glycolysis in g: SUVmean (g/mL) x metabolic tumour volume (mL); 0 if empty."""
    inside = np.asarray(suv)[np.asarray(mask) != 0]
    return float(inside.sum(dtype=np.float64)) * voxel_volume_ml(spacing)


def voxel_volume_ml(spacing: Sequence[float]) -> float:
    """Return a voxel's volume in mL from its (x, y, z) size in mm."""
    x, y, z = (float(size) for size in spacing)
    return x * y * z / 1000.0


def _bounding_box(mask: np.ndarray) -> tuple[slice, ...]:
    if not mask.any():
        raise ValueError("the lesion has no voxel")
    box = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        where = np.flatnonzero(mask.any(axis=others))
        box.append(slice(int(where[0]), int(where[-1]) + 1))
    return tuple(box)


def _centred(full: np.ndarray, reach: Sequence[int], shape: Sequence[int]) -> np.ndarray:
    return full[tuple(slice(r, r + size) for r, size in zip(reach, shape, strict=True))]
