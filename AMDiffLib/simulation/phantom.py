"""One simulated person: anatomy, 18F-FDG uptake, attenuation and labels on a voxel grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from AMDiffLib.simulation.abdomen import paint_abdomen
from AMDiffLib.simulation.body import Person, draw_person
from AMDiffLib.simulation.canvas import Canvas
from AMDiffLib.simulation.chest import paint_chest, paint_vessels
from AMDiffLib.simulation.envelope import paint_envelope
from AMDiffLib.simulation.head import paint_head
from AMDiffLib.simulation.lesions import paint_lesions
from AMDiffLib.simulation.random_fields import smooth_field
from AMDiffLib.simulation.skeleton import paint_skeleton
from AMDiffLib.simulation.tissue import LUNG
from AMDiffLib.simulation.uptake import draw_uptake


@dataclass(frozen=True, kw_only=True)
class Phantom:
    """Arrays are (z, y, x): `suv` in g/mL, `attenuation` at 511 keV in 1/cm, labels of organs and lesions."""

    person: Person
    voxel_mm: float
    suv: np.ndarray
    attenuation: np.ndarray
    organs: np.ndarray
    lesions: np.ndarray


def make_phantom(rng: np.random.Generator, *, voxel_mm: float = 4.0, size: int = 144) -> Phantom:
    """Paint a random person on a grid of `size` x `size` transaxial voxels."""
    person = draw_person(rng)
    uptake = draw_uptake(rng)
    slices = int(np.ceil((person.highest - person.lowest) * person.height_mm / voxel_mm))
    canvas = Canvas((slices, size, size), voxel_mm, rng, bend_mm=float(rng.uniform(3, 6)))
    paint_envelope(canvas, person, uptake)
    paint_abdomen(canvas, person, uptake, rng)
    paint_chest(canvas, person, uptake)
    paint_skeleton(canvas, person, uptake)
    paint_vessels(canvas, person, uptake)
    paint_head(canvas, person, uptake)
    _texture(canvas, rng)
    paint_lesions(canvas, person, rng)
    _clear_outside(canvas)
    return Phantom(
        person=person,
        voxel_mm=voxel_mm,
        suv=canvas.suv,
        attenuation=canvas.attenuation,
        organs=canvas.organs,
        lesions=canvas.lesions,
    )


def _texture(canvas: Canvas, rng: np.random.Generator) -> None:
    """Let uptake vary within organs; dependent parts of the lungs take up more."""
    fine = smooth_field(canvas.shape, canvas.voxel_mm, 14.0, rng)
    broad = smooth_field(canvas.shape, canvas.voxel_mm, 50.0, rng)
    canvas.suv *= np.clip(1 + 0.08 * fine + 0.05 * broad, 0.5, 1.6)
    back = canvas.coordinates[1] / 100
    lungs = canvas.organs == LUNG
    canvas.suv[lungs] *= np.clip(1 + 0.35 * back[lungs], 0.6, 1.5)


def _clear_outside(canvas: Canvas) -> None:
    """Empty what lies outside the circle that the projector sees."""
    size = canvas.shape[1]
    offset = np.arange(size) - (size - 1) / 2
    outside = offset[:, None] ** 2 + offset[None, :] ** 2 > (size / 2 - 1) ** 2
    for array in (canvas.suv, canvas.attenuation, canvas.organs, canvas.lesions):
        array[:, outside] = 0
