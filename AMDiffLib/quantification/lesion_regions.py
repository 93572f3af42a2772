"""Lesions as voxels: each cropped to its own box, accepted by the reader or rejected."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from AMDiffLib.quantification.grid import Box


@dataclass(frozen=True, kw_only=True, eq=False)
class LesionRegion:
    """One lesion.

    Attributes:
        number: 1 or more, unique in the patient. name: what the reader calls it.
        box: where `mask` lies in the volume, (z, y, x). mask: bool, True inside; at least one voxel.
        rejected_as: what the reader says it is instead ("bladder", ...); None for an accepted lesion.
    """

    number: int
    name: str
    box: Box
    mask: np.ndarray
    rejected_as: str | None = None

    @property
    def voxels(self) -> np.ndarray:
        """(n, 3) indices (z, y, x) in the volume."""
        return np.argwhere(self.mask) + [side.start for side in self.box]


def regions_of(lesion_instances: np.ndarray) -> tuple[LesionRegion, ...]:
    """Return the lesions of a (z, y, x) integer array that holds each lesion's number, 0 outside."""
    inside = np.flatnonzero(lesion_instances > 0)
    if not inside.size:
        return ()
    numbers = lesion_instances.ravel()[inside]
    order = np.argsort(numbers, kind="stable")
    numbers, places = numbers[order], inside[order]
    found, first = np.unique(numbers, return_index=True)
    regions = []
    for number, flat in zip(found, np.split(places, first[1:]), strict=True):
        voxels = np.stack(np.unravel_index(flat, lesion_instances.shape), axis=1)
        start, last = voxels.min(axis=0), voxels.max(axis=0)
        mask = np.zeros(last - start + 1, bool)
        mask[tuple((voxels - start).T)] = True
        box = tuple(slice(int(a), int(b) + 1) for a, b in zip(start, last, strict=True))
        regions.append(LesionRegion(number=int(number), name=f"Lesion {number}", box=box, mask=mask))
    return tuple(regions)


def union_of(regions: tuple[LesionRegion, ...], shape: tuple[int, ...]) -> np.ndarray:
    """Return a bool array of `shape`, True in every lesion, accepted or rejected."""
    union = np.zeros(shape, bool)
    for region in regions:
        union[region.box] |= region.mask
    return union
