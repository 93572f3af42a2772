"""A PET volume in SUVbw with its place in space and where it came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import SimpleITK as sitk

# Far below the rounding of a cosine, far above the smallest numbers (1e-308).
_LEAST_COSINE = 1e-30


@dataclass(frozen=True, kw_only=True)
class PetVolume:
    """SUVbw on a regular grid; geometry as in SimpleITK (LPS, millimetres, x-y-z order).

    Attributes:
        suv: (z, y, x) float32, SUVbw in g/mL; may hold small negative values where the reconstruction made
        them. spacing: voxel size along x, y, z in mm.
        origin: centre of the first voxel in mm, LPS.
        direction: 9 cosines, row-major; column i is the direction of axis i. Those below 1e-30 become 0.
        source: JSON-able facts about the input that do not identify the patient.
        warnings: sentences the reader of a result must see.
    """

    suv: np.ndarray
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]
    direction: tuple[float, ...]
    source: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # ITK inverts the matrix by an SVD that fails on cosines of about 1e-300: all positions are NaN then,
        # and labels are resampled to something else, without an error.
        cosines = tuple(0.0 if abs(cosine) < _LEAST_COSINE else cosine for cosine in self.direction)
        object.__setattr__(self, "direction", cosines)

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel in mL."""
        x, y, z = self.spacing
        return x * y * z / 1000.0

    def with_array(self, array: np.ndarray) -> sitk.Image:
        """Return `array` (z, y, x), of any SimpleITK pixel type, as an image on this volume's grid.

        Raises:
            ValueError: the shape is not this volume's.
        """
        if array.shape != self.suv.shape:
            raise ValueError(f"array of shape {array.shape} does not lie on the grid {self.suv.shape}")
        # SimpleITK has no boolean pixel type.
        image = sitk.GetImageFromArray(array.astype(np.uint8) if array.dtype == bool else array)
        image.SetSpacing(self.spacing)
        image.SetOrigin(self.origin)
        image.SetDirection(self.direction)
        return image
