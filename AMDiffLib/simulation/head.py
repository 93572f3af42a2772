"""Brain, spinal cord, salivary glands and thyroid."""

from __future__ import annotations

import torch

from AMDiffLib.simulation.body import Person
from AMDiffLib.simulation.canvas import Canvas
from AMDiffLib.simulation.shapes import Ellipsoid, Solid, Tube, intersection, shrunk
from AMDiffLib.simulation.skeleton import spine_y
from AMDiffLib.simulation.tissue import WATER_ATTENUATION


def paint_head(canvas: Canvas, person: Person, uptake: dict[str, float]) -> None:
    """Paint brain, cord, glands and thyroid."""
    head = person.head()
    floor = person.level(0.912)
    inside = shrunk(head, 13.0)
    brain = Solid(
        inside.bounds(), lambda x, y, z: torch.minimum(inside.depth(x, y, z), z - floor + 0.18 * (y + 10))
    )
    canvas.paint(
        brain, uptake["grey matter"], structure="grey matter", attenuation=WATER_ATTENUATION, label=0
    )
    centre_z = person.level(0.945)
    white = intersection(
        shrunk(brain, 11.0),
        Solid(inside.bounds(), lambda x, y, z: x.abs() - 3 + 12 * torch.sin(z / 7) * torch.sin(y / 8)),
    )
    canvas.paint(white, uptake["white matter"], structure="white matter")
    for side in (-1, 1):
        canvas.paint(
            Ellipsoid((side * 17.0, -8.0, centre_z - 8), (8.0, 20.0, 12.0)),
            uptake["deep nuclei"],
            structure="deep nuclei",
        )
        canvas.paint(
            Ellipsoid((side * 8.0, 0.0, centre_z + 10), (5.0, 26.0, 7.0)),
            uptake["ventricles"],
            structure="ventricles",
        )
        canvas.paint(
            Ellipsoid((side * 58.0, -5.0, person.level(0.893)), (9.0, 13.0, 17.0)), uptake["salivary glands"]
        )
        canvas.paint(
            Ellipsoid((side * 24.0, -38.0, person.level(0.878)), (9.0, 14.0, 8.0)), uptake["salivary glands"]
        )
        canvas.paint(
            Ellipsoid((side * 17.0, -22.0, person.level(0.846)), (8.0, 8.0, 18.0)), uptake["thyroid"]
        )
    cerebellum = intersection(Ellipsoid((0.0, 42.0, person.level(0.914)), (46.0, 30.0, 24.0)), inside)
    canvas.paint(cerebellum, uptake["cerebellum"], structure="cerebellum", attenuation=WATER_ATTENUATION)
    shares = (0.60, 0.68, 0.76, 0.82, 0.87, 0.912)
    cord = tuple(
        (0.0, spine_y(person, f) + 26 * person.build * (0.7 if f > 0.8 else 1), person.level(f))
        for f in shares
    )
    canvas.paint(Tube(cord, (6.0,) * len(cord)), uptake["spinal cord"], structure="spinal cord")
    canvas.paint(
        Tube(((0.0, -45.0, person.level(0.905)), (0.0, -62.0, person.level(0.925))), (13.0, 10.0)),
        0.3,
        attenuation=0.0,
    )
