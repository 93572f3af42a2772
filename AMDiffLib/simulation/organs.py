"""The soft organs of the phantom."""

from __future__ import annotations

import numpy as np

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
    shrunk,
    union,
)
from AMDiffLib.simulation.skeleton import spine_y

LIVER, LUNG, MUSCLE, KIDNEY, SPLEEN, AORTA = 2, 3, 5, 6, 7, 8
WATER_ATTENUATION = 0.096
_FAT_ATTENUATION = 0.090
_LUNG_ATTENUATION = 0.030


def paint_envelope(canvas: Canvas, person: Person, uptake: dict[str, float]) -> None:
    """Paint skin, fat, muscle and the fatty filling of the cavity."""
    skin = union(person.trunk(), person.head(), person.thighs(), person.arms())
    canvas.paint(skin, uptake["skin"], attenuation=WATER_ATTENUATION)
    canvas.paint(shrunk(skin, 3.0), uptake["subcutaneous fat"], attenuation=_FAT_ATTENUATION)
    fat = min(person.fat_mm, 22)
    muscle = union(person.trunk(inset="muscle"), person.thighs(fat), person.arms(0.5 * fat))
    canvas.paint(muscle, uptake["muscle"], attenuation=WATER_ATTENUATION, label=MUSCLE)
    canvas.paint(shrunk(person.head(), 5.0), uptake["face"], attenuation=WATER_ATTENUATION, label=0)
    canvas.paint(person.trunk(inset="cavity"), uptake["visceral fat"], attenuation=_FAT_ATTENUATION, label=0)
    if person.female:
        depth = person.cavity_half_widths(0.75)[1] + 14 + 0.4 * person.fat_mm
        for side in (-1, 1):
            breast = Ellipsoid(
                (side * 75.0, -depth, person.level(0.745)), (55.0, 20 + 0.8 * person.fat_mm, 52.0)
            )
            canvas.paint(breast, uptake["subcutaneous fat"], attenuation=_FAT_ATTENUATION)
            gland = Ellipsoid((side * 75.0, -depth - 8, person.level(0.745)), (32.0, 14.0, 30.0))
            canvas.paint(gland, uptake["breast"], attenuation=WATER_ATTENUATION)


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
            uptake["lung"], attenuation=_LUNG_ATTENUATION, label=LUNG,
        )  # fmt: skip
    heart = Ellipsoid(
        (16 * size, -0.34 * half_depth, person.level(0.742 + 0.4 * person.breath)),
        (60 * size, 46 * size, 54 * size),
        rotation(about_y=25, about_z=-20),
    )
    canvas.paint(heart, uptake["blood"] * 0.95, attenuation=WATER_ATTENUATION, label=0)
    ventricle = Ellipsoid(
        (36 * size, -0.36 * half_depth, person.level(0.737 + 0.4 * person.breath)),
        (33 * size, 30 * size, 42 * size),
        rotation(about_y=35, about_z=-25),
    )
    wall = difference(ventricle, shrunk(ventricle, 11 * size))
    canvas.paint(wall, uptake["myocardium"])
    gullet = tuple((4.0, spine_y(person, f) - 30 * size, person.level(f)) for f in (0.70, 0.74, 0.78, 0.82))
    canvas.paint(Tube(gullet, (8.0,) * 4), uptake["oesophagus"], attenuation=WATER_ATTENUATION, label=0)
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

    def above_diaphragm(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        r2 = ((x - centre_x) / np.float32(0.62 * half_width)) ** 2 + ((y + 10) / np.float32(half_depth)) ** 2
        return (z - dome + fall * r2 + 0.10 * y) * np.float32(0.8)

    return Solid(
        pleura.bounds(),
        lambda x, y, z: np.minimum.reduce(
            [
                pleura.depth(x, y, z),
                cavity.depth(x, y, z) - 1,
                above_diaphragm(x, y, z),
                -middle.depth(x, y, z),
            ]
        ),
    )


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
    canvas.paint(stomach, uptake["stomach wall"], attenuation=WATER_ATTENUATION)
    canvas.paint(shrunk(stomach, 7.0), uptake["stomach content"])
    pancreas = (
        (-0.22 * half_width, -0.10 * half_depth, level(0.640)),
        (0.05 * half_width, -0.12 * half_depth, level(0.652)),
        (0.45 * half_width, 0.10 * half_depth, level(0.668)),
    )
    canvas.paint(
        Tube(pancreas, (15 * size, 12 * size, 10 * size)), uptake["pancreas"], attenuation=WATER_ATTENUATION
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
    canvas.paint(intersection(liver, cavity), uptake["liver"], attenuation=WATER_ATTENUATION, label=LIVER)
    gallbladder = Ellipsoid((-0.36 * half_width, -0.55 * half_depth, level(0.638)), (15.0, 16.0, 26.0))
    canvas.paint(gallbladder, uptake["gallbladder"], attenuation=WATER_ATTENUATION, label=0)
    spleen = Ellipsoid(
        (0.76 * half_width, 0.32 * half_depth, level(0.684 + 0.8 * person.breath)),
        tuple(r * size * rng.uniform(0.88, 1.12) for r in (27, 44, 52)),
        rotation(about_x=20, about_z=15),
    )
    canvas.paint(intersection(spleen, cavity), uptake["spleen"], attenuation=WATER_ATTENUATION, label=SPLEEN)
    for side in (-1, 1):
        _paint_kidney(canvas, person, uptake, side, half_width, half_depth, rng)

    fill = rng.uniform(0.75, 1.25)
    bladder = Ellipsoid((0.0, -28.0, level(0.512)), (40 * fill, 30 * fill, 28 * fill))
    if person.female:
        canvas.paint(
            Ellipsoid((0.0, 5.0, level(0.522)), (26.0, 22.0, 32.0)),
            uptake["uterus"],
            attenuation=WATER_ATTENUATION,
        )
    else:
        canvas.paint(
            Ellipsoid((0.0, -18.0, level(0.494)), (20.0, 17.0, 16.0)),
            uptake["prostate"],
            attenuation=WATER_ATTENUATION,
        )
    canvas.paint(bladder, uptake["bladder"], attenuation=WATER_ATTENUATION, label=0)


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
    canvas.paint(kidney, uptake["renal cortex"], attenuation=WATER_ATTENUATION, label=KIDNEY)
    pelvis = Ellipsoid((centre[0] - side * 9 * size, centre[1] - 3, z), (9 * size, 8 * size, 20 * size))
    canvas.paint(pelvis, uptake["renal pelvis"] * rng.uniform(0.6, 1.4))
    if rng.random() < 0.5:
        ureter_z = z - rng.uniform(0.02, 0.09) * person.height_mm
        spot = (
            (centre[0] - side * 18, centre[1] - 8, ureter_z),
            (centre[0] - side * 20, centre[1] - 10, ureter_z - 15),
        )
        canvas.paint(Tube(spot, (3.0, 3.0)), uptake["renal pelvis"] * rng.uniform(0.5, 2))


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
            attenuation=WATER_ATTENUATION,
        )
    frame = (
        (-0.75, 0.15, 0.555), (-0.78, 0.05, 0.59), (-0.75, -0.15, 0.625), (-0.3, -0.6, 0.618), (0.3, -0.6, 0.622),
        (0.78, 0.0, 0.648), (0.80, 0.2, 0.60), (0.70, 0.15, 0.555), (0.25, 0.2, 0.532), (0.0, 0.45, 0.515),
    )  # fmt: skip
    for first, last in zip(frame[:-1], frame[1:], strict=True):
        part = intersection(Tube((place(*first), place(*last)), (20.0, 19.0)), inner)
        canvas.paint(part, uptake["colon"] * rng.lognormal(0, 0.4), attenuation=WATER_ATTENUATION)
        canvas.paint(shrunk(part, 7.0), 0.6, attenuation=0.0 if rng.random() < 0.2 else WATER_ATTENUATION)


def paint_vessels(canvas: Canvas, person: Person, uptake: dict[str, float]) -> None:
    """Paint aorta, iliac arteries and vena cava."""
    size, level = person.build, person.level

    def beside_spine(x: float, share: float) -> tuple[float, float, float]:
        return x * size, spine_y(person, share) - 31 * size, level(share)

    half_depth = person.cavity_half_widths(0.76)[1]
    aorta = (
        (-4 * size, -0.30 * half_depth, level(0.752)), (-10 * size, -0.38 * half_depth, level(0.775)),
        (0.0, -0.20 * half_depth, level(0.794)), (14 * size, 0.15 * half_depth, level(0.795)),
        beside_spine(20, 0.780), beside_spine(19, 0.73), beside_spine(14, 0.68), beside_spine(9, 0.64), beside_spine(5, 0.60),
    )  # fmt: skip
    radii = tuple(r * size for r in (16, 16, 14, 13, 12.5, 12, 11, 10, 9))
    canvas.paint(Tube(aorta, radii), uptake["blood"] * 1.05, attenuation=WATER_ATTENUATION, label=AORTA)
    for side in (-1, 1):
        iliac = (beside_spine(5, 0.60), (side * 42 * size, 12.0, level(0.56)), (side * 68 * size, -38.0, level(0.515)),
                 (side * 78 * size, -40.0, level(0.45)))  # fmt: skip
        canvas.paint(Tube(iliac, (6.0, 6.0, 5.5, 5.0)), uptake["blood"], attenuation=WATER_ATTENUATION)
        neck = (
            (side * 14.0, -8.0, level(0.80)),
            (side * 28.0, -2.0, level(0.85)),
            (side * 30.0, 0.0, level(0.885)),
        )
        canvas.paint(Tube(neck, (6.0, 5.5, 4.5)), uptake["blood"], attenuation=WATER_ATTENUATION)
    cava = tuple(beside_spine(-17, f) for f in (0.60, 0.65, 0.69)) + ((-18 * size, -5.0, level(0.725)),)
    canvas.paint(Tube(cava, (11.0,) * 4), uptake["blood"], attenuation=WATER_ATTENUATION)


def paint_head(canvas: Canvas, person: Person, uptake: dict[str, float]) -> None:
    """Paint brain, cord, glands and thyroid."""
    head = person.head()
    floor = person.level(0.912)
    inside = shrunk(head, 13.0)
    brain = Solid(
        inside.bounds(), lambda x, y, z: np.minimum(inside.depth(x, y, z), z - floor + 0.18 * (y + 10))
    )
    canvas.paint(brain, uptake["grey matter"], attenuation=WATER_ATTENUATION, label=0)
    centre_z = person.level(0.945)
    white = intersection(
        shrunk(brain, 11.0),
        Solid(inside.bounds(), lambda x, y, z: np.abs(x) - 3 + 12 * np.sin(z / 7) * np.sin(y / 8)),
    )
    canvas.paint(white, uptake["white matter"])
    for side in (-1, 1):
        canvas.paint(Ellipsoid((side * 17.0, -8.0, centre_z - 8), (8.0, 20.0, 12.0)), uptake["deep nuclei"])
        canvas.paint(Ellipsoid((side * 8.0, 0.0, centre_z + 10), (5.0, 26.0, 7.0)), uptake["ventricles"])
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
    canvas.paint(cerebellum, uptake["cerebellum"], attenuation=WATER_ATTENUATION)
    shares = (0.60, 0.68, 0.76, 0.82, 0.87, 0.912)
    cord = tuple(
        (0.0, spine_y(person, f) + 26 * person.build * (0.7 if f > 0.8 else 1), person.level(f))
        for f in shares
    )
    canvas.paint(Tube(cord, (6.0,) * len(cord)), uptake["spinal cord"])
    canvas.paint(
        Tube(((0.0, -45.0, person.level(0.905)), (0.0, -62.0, person.level(0.925))), (13.0, 10.0)),
        0.3,
        attenuation=0.0,
    )
