"""Physiological variants that are easily taken for disease."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from AMDiffLib.simulation.body import Person
from AMDiffLib.simulation.canvas import Canvas
from AMDiffLib.simulation.outline import Outline
from AMDiffLib.simulation.random_fields import smooth_field
from AMDiffLib.simulation.shapes import Ellipsoid, Shape, Solid, Tube, rotation

# How often, as a share of people; by eye, from what nuclear physicians teach about pitfalls of FDG PET.
_HOT_TONSILS, _HOT_THYROID, _HOT_LARYNX, _HOT_COLON = 0.10, 0.03, 0.12, 0.04
_BROWN_FAT, _THYMUS, _ACTIVE_MUSCLE = 0.05, 0.4, 0.12


def vary_uptake(uptake: dict[str, float], rng: np.random.Generator) -> dict[str, float]:
    """Return the uptake with tonsils, thyroid, vocal cords or colon (metformin) raised in some people."""
    chances = rng.random(4)
    raised = dict(uptake)
    for chance, prevalence, name, low, high in (
        (chances[0], _HOT_TONSILS, "tonsil", 4.0, 9.0),
        (chances[1], _HOT_THYROID, "thyroid", 2.5, 8.0),
        (chances[2], _HOT_LARYNX, "larynx", 2.5, 6.0),
        (chances[3], _HOT_COLON, "colon", 3.0, 7.0),
    ):
        value = float(rng.uniform(low, high))
        if chance < prevalence:
            raised[name] = value
    return raised


def paint_variants(canvas: Canvas, person: Person, outline: Outline, rng: np.random.Generator) -> None:
    """Paint brown fat, a young person's thymus and muscles that were at work."""
    # Brown fat is commoner in lean young women.
    likely = (
        _BROWN_FAT
        * (1.8 if person.female else 0.6)
        * (2.0 if person.age < 45 else 0.6)
        * (1.5 if person.bmi < 23 else 0.6)
    )
    if rng.random() < likely:
        _paint_brown_fat(canvas, person, rng)
    if person.age < 32 and rng.random() < _THYMUS:
        front = person.cavity_reach(0.78)[1]
        for side in (-1, 1):
            lobe = Ellipsoid(
                (side * 9.0, -0.72 * front, person.level(0.778)), (9, 9, 26), rotation(about_y=side * 12)
            )
            canvas.paint(lobe, float(rng.uniform(1.5, 3.2)), "thymus")
    if rng.random() < _ACTIVE_MUSCLE:
        _paint_active_muscle(canvas, person, outline, rng)


def _paint_brown_fat(canvas: Canvas, person: Person, rng: np.random.Generator) -> None:
    patchy = smooth_field(canvas.extent, 13.0, rng, device=canvas.device)
    suv = float(rng.uniform(3.0, 12.0))
    size = person.build
    for side in (-1, 1):
        chains: list[Shape] = [
            Tube(
                (
                    person.by_spine(side * 34, 6, 0.855),
                    person.by_spine(side * 52, 16, 0.832),
                    (0.75 * person.shoulder(side)[0], 0.0, person.level(0.812)),
                ),
                (9 * size, 12 * size, 7 * size),
            ),
            *(
                Tube((person.by_spine(side * 24, -4, f), person.by_spine(side * 30, -6, f)), (4.5, 4.5))
                for f in np.arange(0.70, 0.81, 0.0128)
            ),
        ]
        for chain in chains:

            def spots(x: Tensor, y: Tensor, z: Tensor, chain: Shape = chain) -> Tensor:
                return chain.depth(x, y, z) - 4.0 + 5.0 * patchy.at(x, y, z)

            canvas.paint(Solid(chain.bounds(), spots), suv, "brown fat", detail_mm=3.0)


def _paint_active_muscle(canvas: Canvas, person: Person, outline: Outline, rng: np.random.Generator) -> None:
    size = person.build
    kind, both, side = rng.integers(4), rng.random() < 0.6, int(rng.choice((-1, 1)))
    suv = float(rng.uniform(1.5, 3.5))
    wide, _, back = outline.fascia_reach(0.80)
    for s in (-1, 1) if both else (side,):
        shoulder, elbow, wrist = person.arm_points(s)
        course, radii = (
            ((person.in_head(s * 54, 20, -64), (s * 16.0, -28 * size, person.level(0.815))), (8, 7)),
            (
                (
                    (s * 30.0, 0.8 * back, person.level(0.84)),
                    (s * 0.6 * wide, 0.75 * back, person.level(0.815)),
                ),
                (10, 9),
            ),
            ((elbow, wrist), (22, 12)),
            ((shoulder, tuple((a + b) / 2 for a, b in zip(shoulder, elbow, strict=True))), (24, 20)),
        )[kind]
        canvas.paint(Tube(course, radii), suv, "skeletal muscle", only=("skeletal muscle",))
