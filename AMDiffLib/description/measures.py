"""What decides whether a scan is like those that a model was trained on, read off the image itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from AMDiffLib.description.noise import estimate_noise
from AMDiffLib.image.resampling import to_spacing
from AMDiffLib.image.volume import PetVolume
from AMDiffLib.inference.body_mask import body_mask

_GRID_MM = 5.0


@dataclass(frozen=True, kw_only=True)
class ScanMeasures:
    """Measures of a scan and the patient in it.

    Attributes:
        voxel_mm: shortest and longest edge of a voxel.
        axial_mm: length of the image along the patient's axis.
        liver_noise: coefficient of variation in a liver-like region; None where there is none.
        body_ml: volume of the patient mask (with its margin of 12 mm).
        cross_section_cm2: its area, averaged over the slices that it is in.
        mean_suv: over the patient mask.
        highest_suv: of the image.
        dose_share: activity in the mask as a part of the injected dose, decay-corrected; None without
            weight. SUVbw x volume summed over a whole patient is the weight, less what was excreted.
    """

    voxel_mm: tuple[float, float]
    axial_mm: float
    liver_noise: float | None
    body_ml: float
    cross_section_cm2: float
    mean_suv: float
    highest_suv: float
    dose_share: float | None

    @classmethod
    def of(cls, volume: PetVolume) -> ScanMeasures:
        """Measure `volume`, in about a second. Raises BadInput where nothing in it looks like a patient."""
        coarse = to_spacing(volume.with_array(volume.suv), _GRID_MM)
        suv = sitk.GetArrayViewFromImage(coarse)
        body = body_mask(suv, coarse.GetSpacing())
        along = int(np.argmax(np.abs(np.reshape(volume.direction, (3, 3))[2])))
        slices = int(np.count_nonzero(body.any(axis=tuple(a for a in range(3) if a != 2 - along))))
        body_ml = int(np.count_nonzero(body)) * _GRID_MM**3 / 1000.0
        mean_suv = float(suv[body].mean(dtype=np.float64))
        noise, weight_kg = estimate_noise(volume), volume.source.get("weight_kg")
        return cls(
            voxel_mm=(min(volume.spacing), max(volume.spacing)),
            axial_mm=volume.suv.shape[2 - along] * volume.spacing[along],
            liver_noise=None if noise is None else noise.coefficient_of_variation,
            body_ml=body_ml,
            cross_section_cm2=body_ml * 10.0 / (slices * _GRID_MM),
            mean_suv=mean_suv,
            highest_suv=float(volume.suv.max()),
            dose_share=mean_suv * body_ml / (1000.0 * weight_kg) if weight_kg else None,
        )
