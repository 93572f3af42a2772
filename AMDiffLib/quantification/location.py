"""Where a lesion lies: the organ that holds most of it, or else the nearest one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from AMDiffLib.labels import ORGANS
from AMDiffLib.quantification.grid import grown

UNKNOWN = "unknown"

_FIRST_MARGIN_MM = 30.0
_TOGETHER = 256


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
    return _nearest(voxels, organs, spacing, names)


def _nearest(voxels: np.ndarray, organs: np.ndarray, spacing: Sequence[float], names: dict) -> Location:
    """Search a box around the lesion that grows until the nearest organ voxel is certainly within it."""
    size = np.asarray(spacing, float)[::-1]
    tight = tuple(
        slice(int(a), int(b) + 1) for a, b in zip(voxels.min(axis=0), voxels.max(axis=0), strict=True)
    )
    margin = _FIRST_MARGIN_MM
    while True:
        around = grown(tight, organs.shape, spacing, margin)
        start = np.array([side.start for side in around])
        whole = all(side == slice(0, n) for side, n in zip(around, organs.shape, strict=True))
        box = organs[around]
        candidates = np.argwhere(np.isin(box, list(names)))
        if len(candidates):
            distance, nearest = _shortest((voxels - start) * size, candidates * size)
            if whole or distance <= margin:
                organ = names[int(box[tuple(candidates[nearest])])]
                return Location(organ=organ, distance_mm=distance, inside_percent=0.0)
            margin = distance
        elif whole:
            return Location(organ=UNKNOWN, distance_mm=None, inside_percent=0.0)
        else:
            margin *= 2.0


def _shortest(lesion: np.ndarray, candidates: np.ndarray) -> tuple[float, int]:
    """Return the shortest distance in mm between two sets of points (n, 3), and which candidate it is to."""
    # No candidate is nearer than the lesion's box: those whose box distance is too long are never compared.
    outside = np.maximum(np.maximum(lesion.min(axis=0) - candidates, candidates - lesion.max(axis=0)), 0.0)
    at_least = (outside**2).sum(axis=1)
    order = np.argsort(at_least, kind="stable")
    best, nearest = np.inf, -1
    for first in range(0, len(order), _TOGETHER):
        some = order[first : first + _TOGETHER]
        if at_least[some[0]] >= best:
            break
        squared = sum(
            np.subtract.outer(candidates[some, axis], lesion[:, axis]) ** 2 for axis in range(3)
        ).min(axis=1)
        index = int(np.argmin(squared))
        if squared[index] < best:
            best, nearest = float(squared[index]), int(some[index])
    return float(np.sqrt(best)), nearest
