"""Uterus, ovaries, prostate, testes and the urethra."""

from __future__ import annotations

import numpy as np

from AMDiffLib.simulation.body import Person
from AMDiffLib.simulation.canvas import Canvas
from AMDiffLib.simulation.shapes import Ellipsoid, Tube, rotation


def paint_pelvis(canvas: Canvas, person: Person, uptake: dict[str, float], rng: np.random.Generator) -> None:
    """Paint the genital organs; before the menopause, cavity of the womb and an ovary may take up FDG."""
    if person.female:
        _paint_womb(canvas, person, uptake, rng)
    else:
        _paint_prostate(canvas, person, uptake, rng)


def _paint_womb(canvas: Canvas, person: Person, uptake: dict[str, float], rng: np.random.Generator) -> None:
    fertile = person.age < 51
    if person.age > 45 and rng.random() < 0.2:
        return
    size = (1.0 if fertile else 0.75) * float(rng.uniform(0.85, 1.2))
    tip = float(rng.uniform(-12, 12))
    centre, turn = (tip, 14.0, person.level(0.526)), rotation(about_x=float(rng.uniform(15, 60)))
    canvas.paint(Ellipsoid(centre, (25 * size, 19 * size, 36 * size), turn), uptake["uterus"], "uterus")
    lining = 3.2 if fertile and rng.random() < 0.4 else 1.15
    canvas.paint(
        Ellipsoid(centre, (9 * size, 4 * size, 20 * size), turn),
        lining * uptake["uterus"],
        "uterus",
        detail_mm=2.0,
    )
    for side in (-1, 1):
        ovary = Ellipsoid((side * 44.0 + tip, 16.0, person.level(0.532)), (9.0, 12.0, 15.0))
        active = fertile and rng.random() < 0.15
        canvas.paint(ovary, uptake["uterus"] * (2.6 if active else 0.9), "ovary")


def _paint_prostate(
    canvas: Canvas, person: Person, uptake: dict[str, float], rng: np.random.Generator
) -> None:
    size = float(np.clip(0.8 + 0.007 * (person.age - 30) + rng.normal(0, 0.1), 0.75, 1.4))
    z = person.level(0.488)
    canvas.paint(
        Ellipsoid((0.0, -20.0, z), (22 * size, 16 * size, 18 * size)), uptake["prostate"], "prostate"
    )
    urethra = ((0.0, -24.0, z + 12), (0.0, -22.0, z - 14), (0.0, -48.0, z - 34))
    canvas.paint(
        Tube(urethra, (1.6, 1.6, 2.2)),
        5.0 * uptake["prostate"] * rng.uniform(0.3, 1.5),
        "urethra",
        detail_mm=1.5,
    )
    for side in (-1, 1):
        testis = Ellipsoid((side * 17.0, -72.0, person.level(0.462)), (11.0, 15.0, 19.0))
        canvas.paint(Ellipsoid(testis.centre, (18.0, 22.0, 26.0)), uptake["skin"], "scrotum")
        canvas.paint(testis, uptake["testis"], "testis")
