"""Boxes, distances and neighbours on a regular voxel grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

Box = tuple[slice, slice, slice]


class Grid(Protocol):
    """Where voxels lie, as in SimpleITK: LPS, mm, x-y-z order; `PetVolume` is one."""

    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]
    direction: tuple[float, ...]


def voxel_volume_ml(spacing: Sequence[float]) -> float:
    """Return a voxel's volume in mL from its (x, y, z) size in mm."""
    x, y, z = (float(size) for size in spacing)
    return x * y * z / 1000.0


def index_to_lps(index: Sequence[float], grid: Grid) -> tuple[float, float, float]:
    """Return the position in mm of an (x, y, z) voxel index."""
    direction = np.asarray(grid.direction, float).reshape(3, 3)
    point = np.asarray(grid.origin) + direction @ (np.asarray(grid.spacing) * np.asarray(index))
    return tuple(float(p) for p in point)


def bounding_box(mask: np.ndarray) -> Box:
    """Return the smallest box around the True voxels. Raises ValueError where there is none."""
    box = []
    for axis in range(mask.ndim):
        # What the axes before have shown to be empty is not looked at again.
        others = tuple(other for other in range(mask.ndim) if other != axis)
        where = np.flatnonzero(mask[tuple(box)].any(axis=others))
        if not where.size:
            raise ValueError("the mask has no voxel")
        box.append(slice(int(where[0]), int(where[-1]) + 1))
    return tuple(box)


def grown(box: Box, shape: Sequence[int], spacing: Sequence[float], margin_mm: float) -> Box:
    """Return the box with `margin_mm` more on every side, inside an image of `shape` (z, y, x)."""
    reach = [int(np.ceil(margin_mm / float(size))) for size in reversed(list(spacing))]
    return tuple(
        slice(max(0, side.start - r), min(n, side.stop + r))
        for side, r, n in zip(box, reach, shape, strict=True)
    )


def within(inner: Box, outer: Box) -> Box:
    """Return `inner` counted from the start of `outer`."""
    return tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(inner, outer, strict=True))


def distance_mm(mask: np.ndarray, spacing: Sequence[float], limit_mm: float) -> np.ndarray:
    """Return the distance from each voxel's centre to that of the nearest True voxel; inf beyond the limit.

    Exact: the squared Euclidean distance is a sum over axes, so its minimum can be taken axis by axis.

    Args:
        mask: (z, y, x).
        spacing: (x, y, z) voxel size in mm.
        limit_mm: how far to look.
    """
    squared = np.where(mask, 0.0, np.inf)
    for axis, size in enumerate(reversed([float(s) for s in spacing])):
        nearest = squared.copy()
        for steps in range(1, min(int(limit_mm / size + 1e-6), mask.shape[axis] - 1) + 1):
            away = (steps * size) ** 2
            low, high = _shifted(axis, steps)
            np.minimum(nearest[high], squared[low] + away, out=nearest[high])
            np.minimum(nearest[low], squared[high] + away, out=nearest[low])
        squared = nearest
    squared[squared > limit_mm**2 * (1.0 + 1e-9)] = np.inf
    return np.sqrt(squared)


def connected_to(seeds: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the voxels of `mask` that faces and edges connect to one that is in `seeds` too."""
    reached = seeds & mask
    while True:
        wider = reached.copy()
        for axis in range(mask.ndim):
            _spread(wider, reached, axis)
        # A second round over two axes each reaches the edges; a corner would need all three.
        for first in range(mask.ndim):
            along = reached.copy()
            _spread(along, reached, first)
            for second in range(first + 1, mask.ndim):
                _spread(wider, along, second)
        wider &= mask
        if (wider == reached).all():
            return reached
        reached = wider


def _spread(target: np.ndarray, source: np.ndarray, axis: int) -> None:
    low, high = _shifted(axis, 1)
    target[high] |= source[low]
    target[low] |= source[high]


def _shifted(axis: int, steps: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    before = (slice(None),) * axis
    return (*before, slice(None, -steps)), (*before, slice(steps, None))
