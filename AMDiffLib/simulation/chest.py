"""Mediastinum, lungs, heart, oesophagus and great vessels."""

from __future__ import annotations

from torch import Tensor

from AMDiffLib.simulation.body import Person
from AMDiffLib.simulation.canvas import Canvas
from AMDiffLib.simulation.shapes import (
    Ellipsoid,
    Shape,
    Solid,
    Tube,
    difference,
    intersection,
    rotation,
    shallowest,
    shrunk,
)
from AMDiffLib.simulation.skeleton import spine_y
from AMDiffLib.simulation.tissue import AORTA, LUNG, LUNG_ATTENUATION, WATER_ATTENUATION


def paint_chest(canvas: Canvas, person: Person, uptake: dict[str, float]) -> None:
    """Paint mediastinum, lungs, heart and oesophagus."""
    cavity = person.trunk(inset="cavity")
    half_width, half_depth = person.cavity_half_widths(0.75)
    size = person.build
    middle = Ellipsoid((0.0, 0.0, person.level(0.77)), (34 * size, half_depth, 0.075 * person.height_mm))
    canvas.paint(intersection(middle, cavity), 1.1, attenuation=WATER_ATTENUATION)
    for side in (-1, 1):
        canvas.paint(
            _lung(person, side, cavity, middle, half_width, half_depth),
            uptake["lung"], structure="lung", attenuation=LUNG_ATTENUATION, label=LUNG,
        )  # fmt: skip
    heart = Ellipsoid(
        (16 * size, -0.34 * half_depth, person.level(0.742 + 0.4 * person.breath)),
        (60 * size, 46 * size, 54 * size),
        rotation(about_y=25, about_z=-20),
    )
    canvas.paint(heart, uptake["blood"] * 0.95, structure="blood", attenuation=WATER_ATTENUATION, label=0)
    ventricle = Ellipsoid(
        (36 * size, -0.36 * half_depth, person.level(0.737 + 0.4 * person.breath)),
        (33 * size, 30 * size, 42 * size),
        rotation(about_y=35, about_z=-25),
    )
    wall = difference(ventricle, shrunk(ventricle, 11 * size))
    canvas.paint(wall, uptake["myocardium"], structure="myocardium")
    gullet = tuple((4.0, spine_y(person, f) - 30 * size, person.level(f)) for f in (0.70, 0.74, 0.78, 0.82))
    canvas.paint(
        Tube(gullet, (8.0,) * 4),
        uptake["oesophagus"],
        structure="oesophagus",
        attenuation=WATER_ATTENUATION,
        label=0,
    )
    trachea = ((0.0, spine_y(person, 0.8) - 42 * size, person.level(0.785)), (0.0, -5.0, person.level(0.865)))
    canvas.paint(Tube(trachea, (9.0, 9.0)), 0.4, attenuation=0.0, label=0)


def _lung(
    person: Person, side: int, cavity: Shape, middle: Shape, half_width: float, half_depth: float
) -> Solid:
    centre_x = side * 0.52 * half_width
    pleura = Ellipsoid(
        (centre_x, 0.0, person.level(0.735)), (0.56 * half_width, 1.05 * half_depth, 0.094 * person.height_mm)
    )
    dome, fall = person.level((0.722 if side < 0 else 0.712) + person.breath), 0.048 * person.height_mm

    def above_diaphragm(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        r2 = ((x - centre_x) / float(0.62 * half_width)) ** 2 + ((y + 10) / float(half_depth)) ** 2
        return (z - dome + fall * r2 + 0.10 * y) * 0.8

    return Solid(
        pleura.bounds(),
        lambda x, y, z: shallowest(
            *[
                pleura.depth(x, y, z),
                cavity.depth(x, y, z) - 1,
                above_diaphragm(x, y, z),
                -middle.depth(x, y, z),
            ]
        ),
    )


def paint_vessels(canvas: Canvas, person: Person, uptake: dict[str, float]) -> None:
    """Paint aorta, iliac arteries and vena cava."""
    size, level = person.build, person.level

    def beside_spine(x: float, share: float) -> tuple[float, float, float]:
        return x * size, spine_y(person, share) - 31 * size, level(share)

    half_depth = person.cavity_half_widths(0.76)[1]
    aorta = (
        (-4 * size, -0.30 * half_depth, level(0.752)), (-10 * size, -0.38 * half_depth, level(0.775)),
        (0.0, -0.20 * half_depth, level(0.794)), (14 * size, 0.15 * half_depth, level(0.795)),
        *(beside_spine(x, f) for x, f in ((20, 0.78), (19, 0.73), (14, 0.68), (9, 0.64), (5, 0.60))),
    )  # fmt: skip
    radii = tuple(r * size for r in (16, 16, 14, 13, 12.5, 12, 11, 10, 9))
    canvas.paint(
        Tube(aorta, radii),
        uptake["blood"] * 1.05,
        structure="blood",
        attenuation=WATER_ATTENUATION,
        label=AORTA,
    )
    for side in (-1, 1):
        iliac = (
            beside_spine(5, 0.60),
            (side * 42 * size, 12.0, level(0.56)),
            (side * 68 * size, -38.0, level(0.515)),
            (side * 78 * size, -40.0, level(0.45)),
        )
        canvas.paint(
            Tube(iliac, (6.0, 6.0, 5.5, 5.0)),
            uptake["blood"],
            structure="blood",
            attenuation=WATER_ATTENUATION,
        )
        neck = (
            (side * 14.0, -8.0, level(0.80)),
            (side * 28.0, -2.0, level(0.85)),
            (side * 30.0, 0.0, level(0.885)),
        )
        canvas.paint(
            Tube(neck, (6.0, 5.5, 4.5)), uptake["blood"], structure="blood", attenuation=WATER_ATTENUATION
        )
    cava = (*(beside_spine(-17, f) for f in (0.60, 0.65, 0.69)), (-18 * size, -5.0, level(0.725)))
    canvas.paint(Tube(cava, (11.0,) * 4), uptake["blood"], structure="blood", attenuation=WATER_ATTENUATION)
