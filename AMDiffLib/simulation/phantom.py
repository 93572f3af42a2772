"""One simulated person: anatomy, 18F-FDG uptake, attenuation and labels on a voxel grid."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from AMDiffLib.errors import BadInput
from AMDiffLib.simulation.abdomen import paint_abdomen
from AMDiffLib.simulation.body import Person, draw_person
from AMDiffLib.simulation.bowel import paint_bowel
from AMDiffLib.simulation.brain import paint_brain
from AMDiffLib.simulation.canvas import Canvas, Deformation
from AMDiffLib.simulation.chest import paint_chest
from AMDiffLib.simulation.coarsening import fullest_lesions, majority
from AMDiffLib.simulation.diaphragm import blur_by_breathing, draw_diaphragm
from AMDiffLib.simulation.envelope import paint_envelope, paint_psoas
from AMDiffLib.simulation.head import paint_head
from AMDiffLib.simulation.heart import paint_heart
from AMDiffLib.simulation.lesion_places import places_in_person
from AMDiffLib.simulation.lesions import draw_lesions, paint_lesions
from AMDiffLib.simulation.outline import Outline
from AMDiffLib.simulation.pelvis import paint_pelvis
from AMDiffLib.simulation.random_fields import smooth_field
from AMDiffLib.simulation.skeleton import paint_skeleton
from AMDiffLib.simulation.texture import paint_texture
from AMDiffLib.simulation.uptake import draw_uptake
from AMDiffLib.simulation.urinary import paint_urinary_tract
from AMDiffLib.simulation.variants import paint_variants, vary_uptake
from AMDiffLib.simulation.vessels import paint_portal_vein, paint_vessels

_HEALTHY_SHARE = 0.12


@dataclass(frozen=True, kw_only=True)
class Phantom:
    """A person on a grid; tensors are (z, y, x), x to the left, y to the back, z to the head.

    Attributes:
        suv: g/mL, float32.
        attenuation: at 511 keV, 1/cm, float32.
        organs: uint8, the label values of `AMDiffLib.labels`.
        lesions: uint8, instance numbers 1..n.
        structures: uint8, position in `structure_names` of what was painted there; 0 is nothing.
        spacing_mm: (dz, dy, dx).
        height_cm, female: None where the source does not tell.
    """

    suv: Tensor
    attenuation: Tensor
    organs: Tensor
    lesions: Tensor
    structures: Tensor
    structure_names: tuple[str, ...]
    spacing_mm: tuple[float, float, float]
    weight_kg: float
    height_cm: float | None = None
    female: bool | None = None

    def coarsened(self, factor: int = 2) -> Phantom:
        """Return the phantom on voxels `factor` times as wide: means, and the most frequent labels.

        A lesion keeps the voxels of which it fills half or more, or its fullest voxel where there is none.

        Raises:
            BadInput: the grid cannot be divided by `factor`.
        """
        if factor < 1 or any(n % factor for n in self.suv.shape):
            raise BadInput(
                f"a phantom of {tuple(self.suv.shape)} voxels cannot be coarsened by {factor}; "
                "each side must be a multiple of the factor"
            )

        def mean(volume: Tensor) -> Tensor:
            return F.avg_pool3d(volume[None, None], factor)[0, 0]

        return Phantom(
            suv=mean(self.suv),
            attenuation=mean(self.attenuation),
            organs=majority(self.organs, factor),
            lesions=fullest_lesions(self.lesions, factor),
            structures=majority(self.structures, factor),
            structure_names=self.structure_names,
            spacing_mm=tuple(factor * s for s in self.spacing_mm),
            weight_kg=self.weight_kg,
            height_cm=self.height_cm,
            female=self.female,
        )


def person_of(seed: int | Sequence[int]) -> Person:
    """Return habitus and sex of the person of this seed, without painting them."""
    return draw_person(_stream(seed, "person"))


def make_phantom(
    seed: int | Sequence[int],
    *,
    spacing_mm: tuple[float, float, float] = (2.0, 2.0, 2.0),
    field_of_view_mm: float = 576.0,
    device: torch.device | str = "cpu",
    healthy_share: float = _HEALTHY_SHARE,
) -> Phantom:
    """Paint the random person of this seed.

    The same seed gives the same person on every grid and device: random numbers are drawn by structure and in
    physical space, on the CPU.

    Args:
        seed: a number or several.
        spacing_mm: (dz, dy, dx).
        field_of_view_mm: side of the square slices; what lies outside the circle in it is cut off.
        device: where the arrays are made and stay.
        healthy_share: how many people have no lesion, 0..1.
    """

    def draws(part: str) -> np.random.Generator:
        return _stream(seed, part)

    person = person_of(seed)
    uptake = vary_uptake(draw_uptake(draws("uptake")), draws("variants of uptake"))
    dz, dy, dx = spacing_mm
    shape = (
        2 * int(np.ceil(person.length_mm / dz / 2)),
        _even(field_of_view_mm / dy),
        _even(field_of_view_mm / dx),
    )
    deformation = _draw_deformation(person, draws("deformation"), device)
    outline = Outline(person)
    (low_x, low_y, _), (high_x, high_y, _) = outline.skin().bounds()
    reach = deformation.reach_mm
    extent = (low_x - reach, low_y - reach, 0.0), (high_x + reach, high_y + reach, person.length_mm + 30.0)
    canvas = Canvas(shape, spacing_mm, deformation=deformation, extent=extent, device=device)
    diaphragm = draw_diaphragm(person, draws("diaphragm"))
    paint_envelope(canvas, person, outline, uptake, draws("envelope"))
    organs = {"lung": paint_chest(canvas, person, diaphragm, uptake, draws("chest"))}
    paint_psoas(canvas, person, uptake)
    paint_bowel(canvas, person, uptake, draws("bowel"))
    organs |= paint_abdomen(canvas, person, diaphragm, uptake, draws("abdomen"))
    paint_heart(canvas, person, uptake, draws("heart"))
    paint_vessels(canvas, person, uptake)
    paint_portal_vein(canvas, person, uptake)
    paint_pelvis(canvas, person, uptake, draws("pelvis"))
    paint_urinary_tract(canvas, person, uptake, draws("urinary tract"))
    paint_head(canvas, person, uptake)
    paint_skeleton(canvas, person, outline, uptake)
    paint_brain(canvas, person, uptake, draws("brain"))
    paint_variants(canvas, person, outline, draws("variants"))
    paint_texture(canvas, draws("texture"))
    blur_by_breathing(canvas, diaphragm)
    places = places_in_person(person, outline, organs, draws("places"))
    paint_lesions(canvas, draw_lesions(places, draws("lesions"), healthy_share=healthy_share))
    clear_outside(canvas, field_of_view_mm / 2)
    return phantom_of(
        canvas,
        weight_kg=person.weight_kg,
        height_cm=person.height_mm / 10,
        female=person.female,
    )


def phantom_of(
    canvas: Canvas,
    *,
    weight_kg: float,
    height_cm: float | None = None,
    female: bool | None = None,
) -> Phantom:
    """Return what was painted on `canvas`."""
    return Phantom(
        suv=canvas.suv,
        attenuation=canvas.attenuation,
        organs=canvas.organs,
        lesions=canvas.lesions,
        structures=canvas.structures,
        structure_names=tuple(canvas.structure_names),
        spacing_mm=tuple(canvas.spacing_mm),
        weight_kg=weight_kg,
        height_cm=height_cm,
        female=female,
    )


def _stream(seed: int | Sequence[int], part: str) -> np.random.Generator:
    # Each part has a stream of its own, so that a change to one leaves the others as they were.
    seeds = [seed] if np.isscalar(seed) else list(seed)
    return np.random.default_rng([*seeds, zlib.crc32(part.encode())])


def _even(count: float) -> int:
    return 2 * round(count / 2)


def _draw_deformation(person: Person, rng: np.random.Generator, device: torch.device | str) -> Deformation:
    box = ((-320.0, -320.0, -20.0), (320.0, 320.0, person.length_mm + 20.0))
    fields = tuple(
        (float(rng.uniform(low, high)), tuple(smooth_field(box, scale, rng, device=device) for _ in range(3)))
        for scale, low, high in ((110.0, 3.0, 6.0), (32.0, 0.7, 1.3))
    )
    return Deformation(fields=fields)


def clear_outside(canvas: Canvas, radius_mm: float) -> None:
    """Empty what lies outside the circle that a scanner sees."""
    x, y, _ = canvas.axes(canvas.painted)
    outside = x[None, :] ** 2 + y[:, None] ** 2 > radius_mm**2
    if outside.any():
        for array in (canvas.suv, canvas.attenuation, canvas.organs, canvas.lesions, canvas.structures):
            array[canvas.painted].masked_fill_(outside, 0)
