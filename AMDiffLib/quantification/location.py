"""Where a lesion lies: the organ that holds most of it, or else the nearest one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from AMDiffLib.labels import ORGANS

UNKNOWN = "unknown"

_FIRST_MARGIN_MM = 30.0


@dataclass(frozen=True, kw_only=True)
class Location:
    """The organ a lesion belongs to.

    `distance_mm` is 0 inside the organ, else the shortest distance between voxel centres of lesion and organ,
    None where no organ was found. `inside_percent` is the share of the lesion's voxels inside the organ.
    """

    organ: str
    distance_mm: float | None
    inside_percent: float


def locate(voxels: np.ndarray, organs: np.ndarray, spacing: Sequence[float]) -> Location:
    """Find the organ of one lesion.

    Args:
        voxels: (n, 3) integer (z, y, x) indices of the lesion's voxels, at least one.
        organs: (z, y, x) integer, label values of `AMDiffLib.labels.ORGANS`; anything else is background.
        spacing: (x, y, z) voxel size in mm.
    """
    names = {organ.label: organ.name for organ in ORGANS}
    underneath = organs[tuple(voxels.T)]
    overlap = {label: int(np.count_nonzero(underneath == label)) for label in names}
    most = max(overlap, key=lambda label: overlap[label])
    if overlap[most] > 0:
        share = 100.0 * overlap[most] / len(voxels)
        return Location(organ=names[most], distance_mm=0.0, inside_percent=share)
    return _nearest(voxels, organs, np.asarray(spacing, float)[::-1], names)


def _nearest(voxels: np.ndarray, organs: np.ndarray, size: np.ndarray, names: dict[int, str]) -> Location:
    """Search a box around the lesion that grows until the nearest organ voxel is certainly within it."""
    from scipy.spatial import cKDTree

    margin = _FIRST_MARGIN_MM
    lowest, highest = voxels.min(axis=0), voxels.max(axis=0)
    while True:
        reach = np.ceil(margin / size).astype(int)
        start = np.maximum(lowest - reach, 0)
        stop = np.minimum(highest + reach + 1, organs.shape)
        whole = bool((start == 0).all() and (stop == organs.shape).all())
        box = organs[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
        candidates = np.argwhere(np.isin(box, list(names)))
        if len(candidates):
            distance, index = cKDTree(candidates * size).query((voxels - start) * size)
            nearest = int(np.argmin(distance))
            if whole or distance[nearest] <= margin:
                organ = names[int(box[tuple(candidates[index[nearest]])])]
                return Location(organ=organ, distance_mm=float(distance[nearest]), inside_percent=0.0)
            margin = float(distance[nearest])
        elif whole:
            return Location(organ=UNKNOWN, distance_mm=None, inside_percent=0.0)
        else:
            margin *= 2.0
