"""Skin, fat, muscle and the filling of the cavity."""

from __future__ import annotations

from AMDiffLib.simulation.body import Person
from AMDiffLib.simulation.canvas import Canvas
from AMDiffLib.simulation.shapes import Ellipsoid, shrunk, union
from AMDiffLib.simulation.tissue import FAT_ATTENUATION, MUSCLE, WATER_ATTENUATION


def paint_envelope(canvas: Canvas, person: Person, uptake: dict[str, float]) -> None:
    """Paint skin, fat, muscle and the fatty filling of the cavity."""
    skin = union(person.trunk(), person.head(), person.thighs(), person.arms())
    canvas.paint(skin, uptake["skin"], structure="skin", attenuation=WATER_ATTENUATION)
    canvas.paint(
        shrunk(skin, 3.0),
        uptake["subcutaneous fat"],
        structure="subcutaneous fat",
        attenuation=FAT_ATTENUATION,
    )
    fat = min(person.fat_mm, 22)
    muscle = union(person.trunk(inset="muscle"), person.thighs(fat), person.arms(0.5 * fat))
    canvas.paint(muscle, uptake["muscle"], structure="muscle", attenuation=WATER_ATTENUATION, label=MUSCLE)
    canvas.paint(
        shrunk(person.head(), 5.0), uptake["face"], structure="face", attenuation=WATER_ATTENUATION, label=0
    )
    canvas.paint(
        person.trunk(inset="cavity"),
        uptake["visceral fat"],
        structure="visceral fat",
        attenuation=FAT_ATTENUATION,
        label=0,
    )
    if person.female:
        depth = person.cavity_half_widths(0.75)[1] + 14 + 0.4 * person.fat_mm
        for side in (-1, 1):
            breast = Ellipsoid(
                (side * 75.0, -depth, person.level(0.745)), (55.0, 20 + 0.8 * person.fat_mm, 52.0)
            )
            canvas.paint(
                breast, uptake["subcutaneous fat"], structure="subcutaneous fat", attenuation=FAT_ATTENUATION
            )
            gland = Ellipsoid((side * 75.0, -depth - 8, person.level(0.745)), (32.0, 14.0, 30.0))
            canvas.paint(gland, uptake["breast"], structure="breast", attenuation=WATER_ATTENUATION)
