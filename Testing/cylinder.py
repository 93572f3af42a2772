"""A uniform cylinder in the simulator's form: what the tests of its physics share."""

from __future__ import annotations

import torch

from AMDiffLib.simulation.phantom import Phantom

SUV, ATTENUATION, RADIUS_MM = 2.0, 0.096, 70.0


def a_cylinder(*, size: int = 96, slices: int = 24, spacing_mm: float = 2.0) -> Phantom:
    """A cylinder of water along z, of SUV 2 and radius 70 mm, with partial volume at its rim."""
    offset = (torch.arange(size) - (size - 1) / 2) * spacing_mm
    distance = torch.sqrt(offset[:, None] ** 2 + offset[None, :] ** 2)
    share = ((RADIUS_MM - distance) / spacing_mm + 0.5).clamp(0, 1).expand(slices, -1, -1).contiguous()
    labels = torch.zeros(share.shape, dtype=torch.uint8)
    return Phantom(
        suv=SUV * share,
        attenuation=ATTENUATION * share,
        organs=labels,
        lesions=labels,
        structures=labels,
        structure_names=("",),
        spacing_mm=(spacing_mm,) * 3,
        weight_kg=70.0,
    )


def within(radius_mm: float, *, size: int = 48, spacing_mm: float = 4.0) -> torch.Tensor:
    """Mask (size, size) of a slice's voxels nearer than `radius_mm` to the axis."""
    offset = (torch.arange(size) - (size - 1) / 2) * spacing_mm
    return offset[:, None] ** 2 + offset[None, :] ** 2 < radius_mm**2
