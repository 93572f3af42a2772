"""What lies where in a patient: lesions, organs and reference regions; shared by the volumes of a scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from AMDiffLib.quantification.grid import Grid
from AMDiffLib.quantification.lesion_regions import LesionRegion, union_of
from AMDiffLib.quantification.location import Location, locate
from AMDiffLib.quantification.reference_regions import ReferenceRegions, find_references
from AMDiffLib.quantification.steps import Steps, finished


@dataclass(frozen=True, kw_only=True, eq=False)
class Anatomy:
    """Lesions, organs (z, y, x label values), where the voxels lie, and what is derived from them."""

    lesions: tuple[LesionRegion, ...]
    organs: np.ndarray
    grid: Grid
    any_lesion: np.ndarray
    references: ReferenceRegions
    locations: dict[int, Location]

    @classmethod
    def of(cls, lesions: Sequence[LesionRegion], organs: np.ndarray, grid: Grid) -> Anatomy:
        """Derive the reference regions and the lesions' organs; see `in_steps`."""
        return finished(cls.in_steps(lesions, organs, grid))

    @classmethod
    def in_steps(cls, lesions: Sequence[LesionRegion], organs: np.ndarray, grid: Grid) -> Steps[Anatomy]:
        """Derive the reference regions and the lesions' organs.

        Args:
            lesions: accepted and rejected ones, each with its own number.
            organs: (z, y, x) integer, label values of `AMDiffLib.labels.ORGANS`.
            grid: the volume's geometry.

        Raises:
            ValueError: two lesions have the same number.
        """
        lesions = tuple(lesions)
        if len({lesion.number for lesion in lesions}) != len(lesions):
            raise ValueError("two lesions have the same number")
        any_lesion = union_of(lesions, organs.shape)
        yield
        references = find_references(organs, any_lesion, grid.spacing)
        yield
        locations = {}
        for lesion in lesions:
            locations[lesion.number] = locate(lesion.voxels, organs, grid.spacing)
            yield
        return cls(
            lesions=lesions,
            organs=organs,
            grid=grid,
            any_lesion=any_lesion,
            references=references,
            locations=locations,
        )

    def location_of(self, lesion: LesionRegion) -> Location:
        """Return the organ that a lesion of this anatomy lies in or next to."""
        return self.locations[lesion.number]
