"""Liver, spleen, kidneys, stomach, pancreas, bowel and the pelvic organs."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from AMDiffLib.simulation.body import Person
from AMDiffLib.simulation.canvas import Canvas
from AMDiffLib.simulation.shapes import Ellipsoid, Shape, Tube, intersection, rotation, shrunk, union
from AMDiffLib.simulation.tissue import KIDNEY, LIVER, SPLEEN, WATER_ATTENUATION


def paint_abdomen(canvas: Canvas, person: Person, uptake: dict[str, float], rng: np.random.Generator) -> None:
    """Paint bowel, stomach, pancreas, liver, spleen, kidneys and the pelvic organs."""
    cavity = person.trunk(inset="cavity")
    half_width, half_depth = person.cavity_half_widths(0.67)
    size, level = person.build, person.level
    _paint_bowel(canvas, person, uptake, cavity, rng)

    stomach = Tube(
        (
            (0.48 * half_width, -0.05 * half_depth, level(0.695 + 0.8 * person.breath)),
            (0.50 * half_width, -0.35 * half_depth, level(0.67)),
            (0.10 * half_width, -0.50 * half_depth, level(0.648)),
        ),
        tuple(r * size * rng.uniform(0.85, 1.15) for r in (31, 30, 20)),
    )
    stomach = intersection(stomach, cavity)
    canvas.paint(stomach, uptake["stomach wall"], structure="stomach wall", attenuation=WATER_ATTENUATION)
    canvas.paint(shrunk(stomach, 7.0), uptake["stomach content"], structure="stomach content")
    pancreas = (
        (-0.22 * half_width, -0.10 * half_depth, level(0.640)),
        (0.05 * half_width, -0.12 * half_depth, level(0.652)),
        (0.45 * half_width, 0.10 * half_depth, level(0.668)),
    )
    canvas.paint(
        Tube(pancreas, (15 * size, 12 * size, 10 * size)),
        uptake["pancreas"],
        structure="pancreas",
        attenuation=WATER_ATTENUATION,
    )

    stretch = rng.uniform(0.93, 1.07, 3)
    liver = union(
        Ellipsoid(
            (-0.50 * half_width, 0.0, level(0.674 + 0.8 * person.breath)),
            (
                0.52 * half_width * stretch[0],
                0.86 * half_depth * stretch[1],
                0.050 * person.height_mm * stretch[2],
            ),
            rotation(about_y=-8),
        ),
        Ellipsoid(
            (0.06 * half_width, -0.42 * half_depth, level(0.690 + 0.8 * person.breath)),
            (0.52 * half_width * stretch[1], 0.42 * half_depth * stretch[2], 0.024 * person.height_mm),
            rotation(about_y=-12),
        ),
    )
    canvas.paint(
        intersection(liver, cavity),
        uptake["liver"],
        structure="liver",
        attenuation=WATER_ATTENUATION,
        label=LIVER,
    )
    gallbladder = Ellipsoid((-0.36 * half_width, -0.55 * half_depth, level(0.638)), (15.0, 16.0, 26.0))
    canvas.paint(
        gallbladder, uptake["gallbladder"], structure="gallbladder", attenuation=WATER_ATTENUATION, label=0
    )
    spleen = Ellipsoid(
        (0.76 * half_width, 0.32 * half_depth, level(0.684 + 0.8 * person.breath)),
        tuple(r * size * rng.uniform(0.88, 1.12) for r in (27, 44, 52)),
        rotation(about_x=20, about_z=15),
    )
    canvas.paint(
        intersection(spleen, cavity),
        uptake["spleen"],
        structure="spleen",
        attenuation=WATER_ATTENUATION,
        label=SPLEEN,
    )
    for side in (-1, 1):
        _paint_kidney(canvas, person, uptake, side, half_width, half_depth, rng)

    fill = rng.uniform(0.75, 1.25)
    bladder = Ellipsoid((0.0, -28.0, level(0.512)), (40 * fill, 30 * fill, 28 * fill))
    if person.female:
        canvas.paint(
            Ellipsoid((0.0, 5.0, level(0.522)), (26.0, 22.0, 32.0)),
            uptake["uterus"],
            structure="uterus",
            attenuation=WATER_ATTENUATION,
        )
    else:
        canvas.paint(
            Ellipsoid((0.0, -18.0, level(0.494)), (20.0, 17.0, 16.0)),
            uptake["prostate"],
            structure="prostate",
            attenuation=WATER_ATTENUATION,
        )
    canvas.paint(bladder, uptake["bladder"], structure="bladder", attenuation=WATER_ATTENUATION, label=0)


def _paint_kidney(
    canvas: Canvas, person: Person, uptake: dict[str, float], side: int, half_width: float, half_depth: float,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    size = person.build
    z = person.level(0.634 if side < 0 else 0.642)
    centre = (side * (0.47 * half_width + 6), 0.42 * half_depth, z)
    kidney = Ellipsoid(
        centre,
        tuple(r * size * rng.uniform(0.92, 1.08) for r in (27, 24, 53)),
        rotation(about_y=side * 14, about_z=-side * 25),
    )
    canvas.paint(
        kidney, uptake["renal cortex"], structure="renal cortex", attenuation=WATER_ATTENUATION, label=KIDNEY
    )
    pelvis = Ellipsoid((centre[0] - side * 9 * size, centre[1] - 3, z), (9 * size, 8 * size, 20 * size))
    canvas.paint(pelvis, uptake["renal pelvis"] * rng.uniform(0.6, 1.4), structure="renal pelvis")
    if rng.random() < 0.5:
        ureter_z = z - rng.uniform(0.02, 0.09) * person.height_mm
        spot = (
            (centre[0] - side * 18, centre[1] - 8, ureter_z),
            (centre[0] - side * 20, centre[1] - 10, ureter_z - 15),
        )
        canvas.paint(
            Tube(spot, (3.0, 3.0)), uptake["renal pelvis"] * rng.uniform(0.5, 2), structure="renal pelvis"
        )


def _paint_bowel(
    canvas: Canvas, person: Person, uptake: dict[str, float], cavity: Shape, rng: np.random.Generator
) -> None:
    half_width, half_depth = person.cavity_half_widths(0.60)
    inner = shrunk(cavity, 6.0)

    def place(x: float, y: float, share: float) -> tuple[float, float, float]:
        return x * half_width, y * half_depth, person.level(share)

    for _ in range(16):
        start = np.array([rng.uniform(-0.55, 0.55), rng.uniform(-0.65, 0.1), rng.uniform(0.545, 0.635)])
        points = [place(*start)]
        for _ in range(3):
            start = start + rng.normal(0, 1, 3) * (0.18, 0.14, 0.009)
            points.append(place(*start))
        loop = Tube(tuple(points), (float(rng.uniform(9, 13)),) * 4)
        canvas.paint(
            intersection(loop, inner),
            uptake["small bowel"] * rng.lognormal(-0.1, 0.4),
            structure="small bowel",
            attenuation=WATER_ATTENUATION,
        )
    frame = (
        (-0.75, 0.15, 0.555), (-0.78, 0.05, 0.59), (-0.75, -0.15, 0.625), (-0.3, -0.6, 0.618),
        (0.3, -0.6, 0.622), (0.78, 0.0, 0.648), (0.80, 0.2, 0.60), (0.70, 0.15, 0.555),
        (0.25, 0.2, 0.532), (0.0, 0.45, 0.515),
    )  # fmt: skip
    for first, last in pairwise(frame):
        part = intersection(Tube((place(*first), place(*last)), (20.0, 19.0)), inner)
        canvas.paint(
            part, uptake["colon"] * rng.lognormal(0, 0.4), structure="colon", attenuation=WATER_ATTENUATION
        )
        canvas.paint(shrunk(part, 7.0), 0.6, attenuation=0.0 if rng.random() < 0.2 else WATER_ATTENUATION)
