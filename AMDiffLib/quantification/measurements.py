"""What is measured in a PET volume: each lesion, the patient's totals, and each organ."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from AMDiffLib.labels import ORGANS
from AMDiffLib.quantification import tables
from AMDiffLib.quantification.location import Location, locate
from AMDiffLib.quantification.suv_metrics import PEAK_RADIUS_MM, suv_peak, voxel_volume_ml

if TYPE_CHECKING:
    from AMDiffLib.image.volume import PetVolume


@dataclass(frozen=True, kw_only=True)
class LesionMeasurement:
    """One lesion. SUV in g/mL, volumes in mL, TLG in g; centroids are (x, y, z)."""

    number: int
    location: Location
    suv_max: float
    suv_mean: float
    suv_peak: float
    mtv_ml: float
    tlg_g: float
    centroid_lps_mm: tuple[float, float, float]
    centroid_index: tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class TotalMeasurement:
    """All lesions of the patient together; SUV are None without lesions."""

    lesion_count: int
    mtv_ml: float
    tlg_g: float
    suv_max: float | None
    suv_mean: float | None
    suv_peak: float | None


@dataclass(frozen=True, kw_only=True)
class OrganMeasurement:
    """One organ without its lesion voxels; SUV are None where nothing of it was found."""

    label: int
    name: str
    suv_max: float | None
    suv_mean: float | None
    volume_ml: float


@dataclass(frozen=True, kw_only=True)
class Measurements:
    """All that is measured in one PET volume."""

    lesions: tuple[LesionMeasurement, ...]
    total: TotalMeasurement
    organs: tuple[OrganMeasurement, ...]

    def to_csv(self, path: str | Path) -> None:
        """Write one tidy table: a row per lesion, the total, a row per organ; units in the column names."""
        tables.write_csv(path, self)

    def to_json(self, path: str | Path) -> None:
        """Write the same values with their definitions."""
        tables.write_json(path, self)


def measure(
    suv: np.ndarray, lesion_instances: np.ndarray, organs: np.ndarray, *, volume: PetVolume
) -> Measurements:
    """Measure every lesion and organ.

    Args:
        suv: (z, y, x) SUVbw in g/mL, on the grid of `volume`; usually the denoised image.
        lesion_instances: (z, y, x) integer, 0 outside and each lesion's number inside.
        organs: (z, y, x) integer, label values of `AMDiffLib.labels.ORGANS`.
        volume: gives the geometry only.

    Raises:
        ValueError: the three arrays are not of one shape, or a measured value is not a finite number.
    """
    suv, lesion_instances, organs = (np.asarray(array) for array in (suv, lesion_instances, organs))
    if not suv.shape == lesion_instances.shape == organs.shape == tuple(volume.suv.shape):
        raise ValueError(
            f"the SUV image {suv.shape}, lesions {lesion_instances.shape} and organs {organs.shape} must "
            f"have the shape of the input, {tuple(volume.suv.shape)}"
        )
    if not np.isfinite(suv).all():
        raise ValueError("the SUV image to be measured holds values that are not finite numbers")
    lesions = _measure_lesions(suv, lesion_instances, organs, volume)
    return Measurements(
        lesions=lesions,
        total=_measure_total(lesions),
        organs=_measure_organs(suv, lesion_instances, organs, voxel_volume_ml(volume.spacing)),
    )


def _measure_lesions(
    suv: np.ndarray, lesion_instances: np.ndarray, organs: np.ndarray, volume: PetVolume
) -> tuple[LesionMeasurement, ...]:
    from scipy import ndimage

    measured = []
    boxes = ndimage.find_objects(lesion_instances.astype(np.int32, copy=False))
    for number, box in enumerate(boxes, start=1):
        if box is None:
            continue
        lesion = lesion_instances[box] == number
        values = suv[box][lesion].astype(np.float64)
        mtv_ml = values.size * voxel_volume_ml(volume.spacing)
        voxels = np.argwhere(lesion) + [side.start for side in box]
        index = tuple(float(i) for i in voxels.mean(axis=0)[::-1])
        near = _grown(box, suv.shape, volume.spacing)
        measured.append(
            LesionMeasurement(
                number=number,
                location=locate(voxels, organs, volume.spacing),
                suv_max=float(values.max()),
                suv_mean=float(values.mean()),
                suv_peak=suv_peak(suv[near], lesion_instances[near] == number, volume.spacing),
                mtv_ml=mtv_ml,
                tlg_g=float(values.mean()) * mtv_ml,
                centroid_lps_mm=_to_lps(index, volume),
                centroid_index=index,
            )
        )
    return tuple(measured)


def _grown(
    box: tuple[slice, ...], shape: tuple[int, ...], spacing: tuple[float, float, float]
) -> tuple[slice, ...]:
    """Grow a box so that the SUVpeak sphere around any of its voxels lies within it or leaves the image."""
    reach = [int(np.ceil(PEAK_RADIUS_MM / size)) + 1 for size in reversed(spacing)]
    return tuple(
        slice(max(0, side.start - r), min(n, side.stop + r))
        for side, r, n in zip(box, reach, shape, strict=True)
    )


def _to_lps(index: tuple[float, ...], volume: PetVolume) -> tuple[float, float, float]:
    direction = np.asarray(volume.direction, float).reshape(3, 3)
    point = np.asarray(volume.origin) + direction @ (np.asarray(volume.spacing) * np.asarray(index))
    return tuple(float(p) for p in point)


def _measure_total(lesions: tuple[LesionMeasurement, ...]) -> TotalMeasurement:
    mtv_ml = sum(lesion.mtv_ml for lesion in lesions)
    tlg_g = sum(lesion.tlg_g for lesion in lesions)
    return TotalMeasurement(
        lesion_count=len(lesions),
        mtv_ml=float(mtv_ml),
        tlg_g=float(tlg_g),
        suv_max=max((lesion.suv_max for lesion in lesions), default=None),
        suv_mean=tlg_g / mtv_ml if lesions else None,
        suv_peak=max((lesion.suv_peak for lesion in lesions), default=None),
    )


def _measure_organs(
    suv: np.ndarray, lesion_instances: np.ndarray, organs: np.ndarray, voxel_ml: float
) -> tuple[OrganMeasurement, ...]:
    healthy = np.where(lesion_instances == 0, organs, 0)
    measured = []
    for organ in ORGANS:
        values = suv[healthy == organ.label].astype(np.float64)
        measured.append(
            OrganMeasurement(
                label=organ.label,
                name=organ.name,
                suv_max=float(values.max()) if values.size else None,
                suv_mean=float(values.mean()) if values.size else None,
                volume_ml=values.size * voxel_ml,
            )
        )
    return tuple(measured)
