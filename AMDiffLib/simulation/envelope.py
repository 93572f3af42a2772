"""Skin, fat, the muscles of trunk and limbs, and the filling of the cavity."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from AMDiffLib.simulation.body import Person
from AMDiffLib.simulation.canvas import Canvas
from AMDiffLib.simulation.outline import Outline
from AMDiffLib.simulation.random_fields import smooth_field
from AMDiffLib.simulation.shapes import Ellipsoid, Shape, Solid, Tube, rotation, shell, shrunk
from AMDiffLib.simulation.tissue import FAT_ATTENUATION, WATER_ATTENUATION

_SKIN_MM = 2.2


def paint_envelope(
    canvas: Canvas, person: Person, outline: Outline, uptake: dict[str, float], rng: np.random.Generator
) -> None:
    """Paint skin, fat, muscle and the fatty filling of the cavity."""
    _paint_layers(canvas, person, outline, uptake, rng)
    _paint_breasts(canvas, person, outline, uptake, rng)
    for name, muscle in _muscles(person, outline):
        # A sheet of fat parts each muscle from its neighbours.
        canvas.paint(
            shell(muscle, 2.5),
            0.75 * uptake["subcutaneous fat"],
            attenuation=FAT_ATTENUATION,
            only=("skeletal muscle",),
        )
        canvas.paint(shrunk(muscle, 2.5), uptake[name], name, only=("skeletal muscle",))
    canvas.paint(person.cavity, uptake["visceral fat"], "visceral fat")


def _paint_layers(
    canvas: Canvas, person: Person, outline: Outline, uptake: dict[str, float], rng: np.random.Generator
) -> None:
    skin = outline.skin()
    uneven = smooth_field(canvas.extent, 90.0, rng, device=canvas.device)
    window = canvas.window(skin)
    uneven = uneven.over(*canvas.axes(window)[:2])
    for piece in canvas.pieces(window):
        x, y, z = canvas.points(piece)
        depth = _skin_depth(skin, (x, y, z), coarse=canvas.edge_mm < 3)
        # Limbs and head carry less fat than the trunk.
        limb = ((x.abs() - outline.fascia_reach(0.57)[0] - 25) / 40).clamp(0, 1)
        fat = outline.fat(z) * (1 - 0.55 * limb) * (1 + 0.18 * uneven.slab(canvas.axes(piece)[2]))
        for inset, suv, name in (
            (0.0, uptake["skin"], "skin"),
            (_SKIN_MM, uptake["subcutaneous fat"], "subcutaneous fat"),
            (_SKIN_MM + fat.clamp_min(1.0), uptake["skeletal muscle"], "skeletal muscle"),
        ):
            share = ((depth - inset) / canvas.edge_mm + 0.5).clamp_(0, 1)
            attenuation = FAT_ATTENUATION if "fat" in name else WATER_ATTENUATION
            canvas.lay(piece, share, suv, name, attenuation)


def _skin_depth(skin: Solid, points: tuple[Tensor, Tensor, Tensor], *, coarse: bool) -> Tensor:
    """Return the depth below the skin; `coarse` looks at every second row and column, for it is smooth."""
    if not coarse:
        return skin.depth(*points)
    height, width = points[0].shape[1:]
    rows = torch.arange(0, height + 2, 2, device=points[0].device).clamp_max(height - 1)
    columns = torch.arange(0, width + 2, 2, device=points[0].device).clamp_max(width - 1)
    depth = skin.depth(*(p[:, rows][:, :, columns] for p in points))
    for axis, size in ((1, height), (2, width)):
        first = depth.narrow(axis, 0, depth.shape[axis] - 1)
        middle = (first + depth.narrow(axis, 1, depth.shape[axis] - 1)) / 2
        depth = torch.stack((first, middle), dim=axis + 1).flatten(axis, axis + 1).narrow(axis, 0, size)
    return depth


def _paint_breasts(
    canvas: Canvas, person: Person, outline: Outline, uptake: dict[str, float], rng: np.random.Generator
) -> None:
    for breast in outline.breasts:
        canvas.paint(shrunk(breast, 6.0), uptake["subcutaneous fat"], "breast fat", only=("skeletal muscle",))
        size = (
            np.array(breast.semi_axes)
            * rng.uniform(0.35, 0.6)
            * float(np.clip(1.4 - person.age / 100, 0.6, 1))
        )
        x, y, z = breast.centre
        gland = Ellipsoid((x, y - 0.25 * breast.semi_axes[1], z), tuple(size))
        canvas.paint(gland, uptake["breast"], "breast", only=("subcutaneous fat", "breast fat"))


def _muscles(person: Person, outline: Outline) -> list[tuple[str, Shape]]:
    """Return the muscles that fat planes set apart, by structure."""
    size = person.build
    found: list[tuple[str, Shape]] = []
    for side in (-1, 1):
        back = [outline.fascia_reach(f)[2] for f in (0.54, 0.60, 0.68, 0.76)]
        erector = tuple(
            (side * x * size, y - inset * size, person.level(f))
            for x, y, inset, f in zip(
                (24, 34, 32, 26), back, (22, 24, 20, 17), (0.54, 0.60, 0.68, 0.76), strict=True
            )
        )
        found.append(
            ("autochthon", Tube((*erector, person.by_spine(side * 18, -32, 0.84)), (16, 24, 22, 15, 13)))
        )
        buttock = outline.fascia_reach(0.50)
        found.append(
            (
                "gluteus maximus",
                Ellipsoid(
                    (side * 0.50 * buttock[0], 0.68 * buttock[2], person.level(0.505)),
                    (58 * size, 34 * size, 78 * size),
                    rotation(about_y=side * 28, about_z=side * 12),
                ),
            )
        )
        hip = outline.fascia_reach(0.55)
        found.append(
            (
                "gluteus medius",
                Ellipsoid(
                    (side * 0.80 * hip[0], 0.22 * hip[2], person.level(0.548)),
                    (22 * size, 48 * size, 62 * size),
                    rotation(about_y=-side * 14),
                ),
            )
        )
        thigh = 0.95 * size * (0.35 + 0.65 * person.girth)
        for x, y, radius in ((100, -34, 36), (58, -6, 34), (84, 42, 33), (122, 12, 30)):
            compartment = Tube(
                (
                    (side * x * size, y * thigh + 6, person.level(0.47)),
                    (side * (0.35 * 92 + 0.65 * x) * size, 0.8 * y * thigh + 4, person.level(0.34)),
                ),
                (radius * thigh, 0.82 * radius * thigh),
            )
            found.append(("skeletal muscle", compartment))
        shoulder, elbow, _ = person.arm_points(side)
        for lift in (-1, 1):
            belly = [(a[0], a[1] + lift * 20 * size, a[2]) for a in (shoulder, elbow)]
            found.append(("skeletal muscle", Tube(tuple(belly), (21 * size, 17 * size))))
        pectoral = outline.fascia_reach(0.775)
        found.append(
            (
                "skeletal muscle",
                Ellipsoid(
                    (side * 0.50 * pectoral[0], -pectoral[1] + 6, person.level(0.772)),
                    (62 * size, 14 * size, 52 * size),
                    rotation(about_z=side * 18),
                ),
            )
        )
    return found


def paint_psoas(canvas: Canvas, person: Person, uptake: dict[str, float]) -> None:
    """Paint the psoas muscles, which lie within the cavity, down to the lesser trochanters."""
    size = person.build
    for side in (-1, 1):
        course = (
            person.by_spine(side * 26, 4, 0.645),
            person.by_spine(side * 42, 8, 0.605),
            person.by_spine(side * 54, 26, 0.57),
            (side * 72 * size, -26 * size, person.level(0.535)),
            (side * 78 * size, -24 * size, person.level(0.505)),
            (side * 84 * size, 8 * size, person.level(0.482)),
        )
        radii = tuple(r * size for r in (9, 19, 23, 19, 16, 9))
        canvas.paint(Tube(course, radii), uptake["iliopsoas"], "iliopsoas")
