"""Healthy tissue that lesions are compared with: liver and blood pool.

Source: Wahl et al., From RECIST to PERCIST, J Nucl Med 2009;50 Suppl 1:122S: a sphere of 3 cm in the liver, a
cylinder of 1 by 2 cm in the descending aorta. A sphere deep in the liver also suffers least where the segment
takes in some kidney or bowel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from AMDiffLib.labels import ORGANS
from AMDiffLib.quantification.grid import bounding_box, distance_mm, grown, voxel_volume_ml, within

LIVER, BLOOD_POOL = "liver reference", "blood pool reference"

BLOOD_POOL_EROSION_MM = 5.0
LESION_MARGIN_MM = 10.0
SPHERE_RADIUS_MM = 15.0
LEAST_BLOOD_POOL_ML = 1.5  # PERCIST's cylinder in the aorta: 1 cm wide, 2 cm long

_DEEPEST_MM = 60.0

DEFINITIONS = {
    LIVER: "sphere of 3 cm around the voxel that is deepest in the liver less 10 mm around every "
    "lesion, all of it in there",
    BLOOD_POOL: "aorta voxels more than 5 mm (and one voxel) under the aorta's surface and 10 mm from every "
    "lesion, at least 1.5 mL of them",
}
_NOTHING = np.empty(0, np.intp)
_LABELS = {organ.name: organ.label for organ in ORGANS}


USUAL_LIVER_SUV_MEAN = (1.3, 3.0)
"""Where the EANM guideline (Boellaard et al., Eur J Nucl Med Mol Imaging 2015;42:328) expects the liver."""


@dataclass(frozen=True, kw_only=True)
class ReferenceUptake:
    """What one volume holds in a reference region, SUVbw in g/mL; None where there is no such region."""

    name: str
    suv_max: float | None
    suv_mean: float | None
    suv_sd: float | None
    volume_ml: float


def unusual_liver(liver: ReferenceUptake) -> str:
    """Return what is unusual about the uptake of the liver reference; empty when nothing is."""
    least, most = USUAL_LIVER_SUV_MEAN
    if liver.suv_mean is None or least <= liver.suv_mean <= most:
        return ""
    return (
        f"The {LIVER} has SUVmean {liver.suv_mean:.1f}; {least:g} to {most:g} is usual. Look where the liver "
        "was segmented, and at weight, dose and times of the scan."
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class ReferenceRegions:
    """Flat voxel indices of each region by name, empty where it was not found; `missing` says why."""

    indices: dict[str, np.ndarray]
    missing: tuple[str, ...]

    def uptake(self, suv: np.ndarray, name: str, spacing: Sequence[float]) -> ReferenceUptake:
        """Measure a region in a (z, y, x) volume; the standard deviation is that of the sample (n - 1)."""
        values = suv.ravel()[self.indices[name]].astype(np.float64)
        return ReferenceUptake(
            name=name,
            suv_max=float(values.max()) if values.size else None,
            suv_mean=float(values.mean()) if values.size else None,
            suv_sd=float(values.std(ddof=1)) if values.size > 1 else None,
            volume_ml=values.size * voxel_volume_ml(spacing),
        )


def find_references(organs: np.ndarray, lesions: np.ndarray, spacing: Sequence[float]) -> ReferenceRegions:
    """Find the reference regions.

    Args:
        organs: (z, y, x) integer, label values of `AMDiffLib.labels.ORGANS`.
        lesions: (z, y, x) bool, True in every lesion, accepted or rejected.
        spacing: (x, y, z) voxel size in mm.
    """
    liver = _Room.in_organ(organs == _LABELS["liver"], lesions, spacing)
    aorta = _Room.in_organ(organs == _LABELS["aorta"], lesions, spacing)
    indices = {
        LIVER: liver.sphere(SPHERE_RADIUS_MM),
        BLOOD_POOL: aorta.under_surface(BLOOD_POOL_EROSION_MM),
    }
    missing = []
    if not indices[LIVER].size:
        missing.append(f"No {LIVER}: no sphere of 3 cm fits into the liver segment beside the lesions.")
    found_ml = indices[BLOOD_POOL].size * voxel_volume_ml(spacing)
    if found_ml < LEAST_BLOOD_POOL_ML:
        indices[BLOOD_POOL] = _NOTHING
        missing.append(
            f"No {BLOOD_POOL}: {found_ml:.1f} mL of the aorta segment lie deep enough and away from lesions; "
            f"{LEAST_BLOOD_POOL_ML:g} mL are needed."
        )
    return ReferenceRegions(indices=indices, missing=tuple(missing))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Room:
    """An organ and what of it is away from lesions, in a box with one empty voxel around the organ."""

    organ: np.ndarray
    free: np.ndarray
    start: np.ndarray
    shape: tuple[int, ...]
    spacing: tuple[float, ...]

    @classmethod
    def in_organ(cls, organ: np.ndarray, lesions: np.ndarray, spacing: Sequence[float]) -> _Room:
        box = bounding_box(organ) if organ.any() else (slice(0, 0),) * 3
        around = grown(box, organ.shape, spacing, LESION_MARGIN_MM)
        beside = lesions[around]
        free = organ[box]
        if beside.any():
            free = free & np.isinf(distance_mm(beside, spacing, LESION_MARGIN_MM)[within(box, around)])
        return cls(
            organ=np.pad(organ[box], 1),
            free=np.pad(free, 1),
            start=np.array([side.start for side in box]) - 1,
            shape=organ.shape,
            spacing=tuple(float(size) for size in spacing),
        )

    def under_surface(self, erosion_mm: float) -> np.ndarray:
        """Return the flat indices of what is free and deep enough."""
        # A voxel larger than the erosion would otherwise leave the surface itself.
        erosion_mm = max(erosion_mm, *self.spacing)
        return self._flat(
            np.argwhere(self.free & np.isinf(distance_mm(~self.organ, self.spacing, erosion_mm)))
        )

    def sphere(self, radius_mm: float) -> np.ndarray:
        """Return the flat indices of the sphere that lies deepest in what is free; none where none fits."""
        if not self.free.any():
            return _NOTHING
        depth = np.minimum(distance_mm(~self.free, self.spacing, _DEEPEST_MM), _DEEPEST_MM)
        middle = np.unravel_index(int(np.argmax(depth)), depth.shape)
        if depth[middle] <= radius_mm:
            return _NOTHING
        size = np.array(self.spacing[::-1])
        steps = np.argwhere(np.ones([2 * int(radius_mm / step) + 1 for step in size]))
        steps = steps - steps.max(axis=0) // 2
        inside = ((steps * size) ** 2).sum(axis=1) <= radius_mm**2
        return self._flat(steps[inside] + np.array(middle))

    def _flat(self, voxels: np.ndarray) -> np.ndarray:
        return np.ravel_multi_index(tuple((voxels + self.start).T), self.shape)
