"""The image-quality phantom of NEMA NU 2: the IEC body phantom with six spheres and a lung insert."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch
from torch import Tensor

from AMDiffLib.errors import BadInput
from AMDiffLib.simulation.canvas import Canvas
from AMDiffLib.simulation.phantom import Phantom
from AMDiffLib.simulation.shapes import Ellipsoid, Solid
from AMDiffLib.simulation.tissue import WATER_ATTENUATION

# Inner diameters in mm and where on the circle they sit: the 17 mm sphere on the horizontal axis, sizes in
# order around the circle, 37 mm opposite. Angles in degrees from the patient's left towards the back.
SPHERES_MM = (10, 13, 17, 22, 28, 37)
_SPHERE_ANGLES = {10: 240, 13: 300, 17: 0, 22: 60, 28: 120, 37: 180}
SPHERE_CIRCLE_MM = 114.4
# Editions up to 2012 leave the two largest spheres cold; that of 2018 fills all six.
COLD_SPHERES_UNTIL_2012 = (28, 37)
BACKGROUND_KBQ_PER_ML = 5.3
# How far body and lung insert reach above and below the spheres' plane.
SPHERES_TO_TOP_MM, SPHERES_TO_BOTTOM_MM = 68.0, 112.0

# Inside of the body (IEC 61675-1): half a circle in front; at the back, corners of a smaller radius joined
# by a flat. The circle of the spheres lies midway between front and back. All in mm.
_FRONT_RADIUS, _CORNER_RADIUS, _FRONT_CENTRE_Y = 147.0, 77.0, 35.0
_WALL_MM, _END_MM = 3.0, 10.0
_AIR_BEYOND_MM = 20.0
_PMMA_ATTENUATION = 0.1108  # 1.19 g/mL, NIST XCOM
_LUNG_INSERT_MM, _LUNG_DENSITY = 50.0, 0.30


def sphere_centre(diameter_mm: int) -> tuple[float, float]:
    """Return x and y in mm of a sphere's centre; the axis of the lung insert is the origin."""
    angle = np.radians(_SPHERE_ANGLES[diameter_mm])
    return float(SPHERE_CIRCLE_MM / 2 * np.cos(angle)), float(SPHERE_CIRCLE_MM / 2 * np.sin(angle))


def sphere_plane_mm(slice_mm: float) -> float:
    """Return z in mm of the spheres' plane above the volume's lowest face: the centre of a slice so thick."""
    lowest = _AIR_BEYOND_MM + _END_MM + SPHERES_TO_BOTTOM_MM
    return float((np.ceil(lowest / slice_mm) + 0.5) * slice_mm)


def make_nema_phantom(
    *,
    spacing_mm: tuple[float, float, float] = (2.0, 2.0, 2.0),
    field_of_view_mm: float = 576.0,
    reconstructed_slice_mm: float | None = None,
    hot_ratio: float = 4.0,
    cold_mm: Collection[int] = (),
    sphere_wall_mm: float = 1.0,
    device: torch.device | str = "cpu",
) -> Phantom:
    """Return the phantom with a background of SUV 1, hot spheres of SUV `hot_ratio` and an empty lung insert.

    SUV 1 stands for `BACKGROUND_KBQ_PER_ML` when `weight_kg` kg hold as many MBq as `injected_mbq` says.
    The spheres, in order of size, are the phantom's lesions 1..6. The scatter phantom that NU 2 lays beside
    the body, outside the field of view, is left out.

    Args:
        spacing_mm: (dz, dy, dx).
        reconstructed_slice_mm: slices in whose centre the spheres shall lie; twice dz by default.
        cold_mm: diameters of the spheres without activity.
        sphere_wall_mm: glass around each sphere, without activity.

    Raises:
        BadInput: the slices do not hold the phantom, or there is no sphere of a size in `cold_mm`.
    """
    outer = 2 * (_FRONT_RADIUS + _WALL_MM)
    if field_of_view_mm < outer:
        raise BadInput(
            f"a field of view of {field_of_view_mm:g} mm does not hold the {outer:g} mm wide NEMA phantom; "
            "give it more"
        )
    if unknown := sorted(set(cold_mm) - set(SPHERES_MM)):
        raise BadInput(
            f"the NEMA phantom has no sphere of {unknown} mm; its spheres are {SPHERES_MM} mm wide"
        )
    dz, dy, dx = spacing_mm
    plane = sphere_plane_mm(reconstructed_slice_mm or 2 * dz)
    bottom, top = plane - SPHERES_TO_BOTTOM_MM, plane + SPHERES_TO_TOP_MM
    slices = 2 * int(np.ceil((top + _END_MM + _AIR_BEYOND_MM) / dz / 2))
    sides = (2 * round(field_of_view_mm / d / 2) for d in (dy, dx))
    canvas = Canvas((slices, *sides), spacing_mm, device=device)

    shell, inside = _body(bottom - _END_MM, top + _END_MM, wall_mm=_WALL_MM), _body(bottom, top)
    lung = _cylinder(_LUNG_INSERT_MM / 2, bottom, top)
    canvas.paint(shell, 0.0, "wall", attenuation=_PMMA_ATTENUATION)
    canvas.paint(inside, 1.0, "background", attenuation=WATER_ATTENUATION)
    canvas.paint(lung, 0.0, "lung insert", attenuation=_LUNG_DENSITY * WATER_ATTENUATION)
    for number, diameter in enumerate(SPHERES_MM, start=1):
        centre = (*sphere_centre(diameter), plane)
        if sphere_wall_mm:
            glass = Ellipsoid(centre, (diameter / 2 + sphere_wall_mm,) * 3)
            canvas.paint(glass, 0.0, "wall", attenuation=_PMMA_ATTENUATION, detail_mm=0.5)
        suv, name = 0.0 if diameter in cold_mm else hot_ratio, f"sphere {diameter} mm"
        sphere = Ellipsoid(centre, (diameter / 2,) * 3)
        canvas.paint(sphere, suv, name, attenuation=WATER_ATTENUATION, detail_mm=0.5)
        canvas.lesions.masked_fill_(canvas.structures == canvas.structure(name), number)
    return Phantom(
        suv=canvas.suv,
        attenuation=canvas.attenuation,
        organs=canvas.organs,
        lesions=canvas.lesions,
        structures=canvas.structures,
        structure_names=tuple(canvas.structure_names),
        spacing_mm=tuple(spacing_mm),
        weight_kg=75.0,
    )


def injected_mbq(phantom: Phantom) -> float:
    """Return the activity in MBq that gives SUV 1 the background's concentration at the start of the scan."""
    return BACKGROUND_KBQ_PER_ML * phantom.weight_kg


def depth_in_body(x: Tensor, y: Tensor) -> Tensor:
    """Return how deep in mm a point lies inside the inner wall, negative outside; x, y as for the spheres."""
    front = _FRONT_RADIUS - torch.hypot(x, y - _FRONT_CENTRE_Y)
    flat = _FRONT_RADIUS - _CORNER_RADIUS
    back = _CORNER_RADIUS - torch.hypot((x.abs() - flat).clamp_min(0), y - _FRONT_CENTRE_Y)
    return torch.where(y < _FRONT_CENTRE_Y, front, back)


def _body(bottom: float, top: float, *, wall_mm: float = 0.0) -> Solid:
    def depth(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        return torch.minimum(depth_in_body(x, y) + wall_mm, torch.minimum(z - bottom, top - z))

    half = _FRONT_RADIUS + wall_mm
    front, back = _FRONT_CENTRE_Y - half, _FRONT_CENTRE_Y + _CORNER_RADIUS + wall_mm
    return Solid(((-half, front, bottom), (half, back, top)), depth)


def _cylinder(radius: float, bottom: float, top: float) -> Solid:
    def depth(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        return torch.minimum(radius - torch.hypot(x, y), torch.minimum(z - bottom, top - z))

    return Solid(((-radius, -radius, bottom), (radius, radius, top)), depth)
