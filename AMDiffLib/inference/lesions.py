"""From a lesion mask to numbered lesions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

DEFAULT_MINIMUM_ML = 0.1
"""Smallest lesion kept, mL: at 4 mm voxels (0.064 mL) a single voxel is dropped and two are kept."""


def label_lesions(
    mask: np.ndarray,
    *,
    spacing: Sequence[float],
    minimum_ml: float = DEFAULT_MINIMUM_ML,
    suv: np.ndarray | None = None,
) -> np.ndarray:
    """Number the connected components of a lesion mask.

    Voxels that share a face or an edge belong together (18-connectivity, as in the autoPET evaluation).

    Args:
        mask: (z, y, x), non-zero inside lesions.
        spacing: (x, y, z) voxel size in mm.
        minimum_ml: components smaller than this volume in mL are left out; 0 keeps all.
        suv: (z, y, x) SUVbw in g/mL on the same grid. With it, lesions are ordered by TLG, else by volume.

    Returns:
        (z, y, x) int32: 0 outside, 1..n inside lesions, 1 being the largest. Of equal lesions the one met
        first in memory order comes first.

    Raises:
        ValueError: shapes differ, or `minimum_ml` is negative or not a number.
    """
    from scipy import ndimage

    mask = np.asarray(mask) != 0
    if mask.ndim != 3:
        raise ValueError(f"the lesion mask has {mask.ndim} dimensions, expected 3 (z, y, x)")
    if suv is not None and np.shape(suv) != mask.shape:
        raise ValueError(f"the SUV image has shape {np.shape(suv)}, the lesion mask {mask.shape}")
    if not minimum_ml >= 0:
        raise ValueError(f"the smallest lesion volume is {minimum_ml} mL, expected 0 or more")

    components, count = ndimage.label(mask, structure=ndimage.generate_binary_structure(3, 2))
    if count == 0:
        return np.zeros(mask.shape, np.int32)
    voxels = np.bincount(components.ravel(), minlength=count + 1)
    weights = None if suv is None else np.asarray(suv, np.float64)[mask]
    rank_by = np.bincount(components[mask], weights=weights, minlength=count + 1)

    # The tolerance lets a component of exactly the smallest volume through in spite of rounding.
    voxel_ml = float(np.prod(np.asarray(spacing, float))) / 1000.0
    large_enough = voxels * voxel_ml >= minimum_ml * (1.0 - 1e-9)
    large_enough[0] = False
    order = [label for label in np.argsort(-rank_by, kind="stable") if large_enough[label]]
    number = np.zeros(count + 1, np.int32)
    number[order] = np.arange(1, len(order) + 1)
    return number[components]
