"""Kidneys, ureters with beads of urine, and the bladder."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from AMDiffLib.simulation.body import Person
from AMDiffLib.simulation.canvas import Canvas
from AMDiffLib.simulation.shapes import Ellipsoid, Solid, Tube, difference, rotation, shallowest


def paint_urinary_tract(
    canvas: Canvas, person: Person, uptake: dict[str, float], rng: np.random.Generator
) -> None:
    """Paint both kidneys with cortex, medulla and collecting system, the ureters and the bladder."""
    for side in (-1, 1):
        _paint_kidney(canvas, person, uptake, side, rng)
    _paint_bladder(canvas, person, uptake["urine"], rng)


def _paint_kidney(
    canvas: Canvas, person: Person, uptake: dict[str, float], side: int, rng: np.random.Generator
) -> None:
    name = "kidney left" if side > 0 else "kidney right"
    size = person.build * float(np.exp(rng.normal(0.0, 0.06)))
    share = (0.648 if side > 0 else 0.640) + 0.3 * person.breath + rng.normal(0, 0.004)
    spine = np.array(person.by_spine(side * 58, -16, share))
    centre = spine + np.array((side * 0.08 * (person.cavity_reach(share)[0] - 118), 0.0, 0.0))
    # The lower pole lies further out and to the front, the hilum faces inward and forward.
    turn = rotation(about_x=10, about_y=-side * 15, about_z=side * 32)
    stretch = np.exp(rng.normal(0, 0.05, 3))
    body = Ellipsoid(tuple(centre), tuple(np.array((30, 25, 56)) * size * stretch), turn)

    def local(x: float, y: float, z: float) -> tuple[float, float, float]:
        return tuple(float(c) for c in centre + turn @ (np.array((side * x, y, z)) * size))

    sinus = Ellipsoid(local(-22, -4, 0), (17 * size, 12 * size, 24 * size), turn)
    kidney = difference(body, sinus)
    bumps = rng.uniform(0, 2 * np.pi)
    mean = uptake["kidney"] * (0.965 if side > 0 else 1.04)
    cortex, medulla = 1.12 * mean, mean * 1.12 * float(rng.uniform(0.70, 0.95))

    def pyramids(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        inside = body.depth(x, y, z)
        along = (z - centre[2]) / (9.5 * size) + bumps
        return shallowest(inside - 8.5, 6 * (torch.sin(along) + 0.45), sinus_free(x, y, z))

    def sinus_free(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        return -sinus.depth(x, y, z) - 1

    canvas.paint(kidney, cortex, name, detail_mm=3.0)
    canvas.paint(Solid(body.bounds(), pyramids), medulla, name, only=(name,), detail_mm=3.0)
    canvas.paint(sinus, 0.8, "renal sinus fat", attenuation=0.091, detail_mm=3.0)
    urine = uptake["renal pelvis"] * float(np.exp(rng.normal(0, 0.4)))
    filled = float(rng.uniform(0.5, 1.1))
    pelvis = Tube(
        (local(-14, -2, 4), local(-24, -5, -3), local(-32, -6, -14)),
        tuple(r * size * filled for r in (6.0, 7.0, 4.0)),
    )
    for lift in (-22, -4, 17):
        if rng.random() < 0.75:
            calyx = Tube(
                (local(-15, -2, 0.3 * lift), local(-8, 0, lift)), (3.0 * filled * size, 4.2 * filled * size)
            )
            canvas.paint(calyx, urine * rng.uniform(0.6, 1.1), "renal pelvis", detail_mm=2.0)
    canvas.paint(pelvis, urine, "renal pelvis", detail_mm=2.0)
    _paint_ureter(canvas, person, side, local(-32, -6, -16), urine, rng)


def _paint_ureter(
    canvas: Canvas,
    person: Person,
    side: int,
    start: tuple[float, float, float],
    urine: float,
    rng: np.random.Generator,
) -> None:
    """Paint beads of urine of varied length; often there is none."""
    course = np.array(
        (
            start,
            person.by_spine(side * 40, 30, 0.615),
            person.by_spine(side * 36, 32, 0.585),
            (side * 44 * person.build, 18.0, person.level(0.556)),
            (side * 58 * person.build, 22.0, person.level(0.530)),
            (side * 22 * person.build, -8.0, person.level(0.511)),
        )
    )
    lengths = np.concatenate(([0.0], np.cumsum(np.linalg.norm(np.diff(course, axis=0), axis=1))))
    position = 0.0
    while rng.random() < 0.55:
        position += float(rng.exponential(70.0))
        length = float(np.clip(rng.exponential(22.0), 4.0, 120.0))
        if position + length > lengths[-1]:
            return
        at = np.linspace(position, position + length, max(int(length / 10), 2))
        points = np.stack([np.interp(at, lengths, course[:, i]) for i in range(3)], axis=1)
        radius = float(rng.uniform(1.4, 2.8))
        tube = Tube(tuple(tuple(p) for p in points), (radius,) * len(points))
        canvas.paint(tube, urine * rng.uniform(0.5, 1.6), "ureter", detail_mm=1.5)
        position += length


def _paint_bladder(canvas: Canvas, person: Person, urine: float, rng: np.random.Generator) -> None:
    """Paint a bladder of 30 to 450 mL; the fuller, the flatter its base and the rounder its dome."""
    volume = float(np.clip(rng.lognormal(np.log(120), 0.6), 30, 450))
    radius = (3 * volume * 1000 / (4 * np.pi)) ** (1 / 3)
    flat = float(np.interp(volume, (30, 200, 450), (0.62, 0.85, 1.0)))
    axes = np.array((1.12 / flat**0.5, 0.95 / flat**0.5, flat / 1.064)) * radius
    floor = person.level(0.497)
    centre = (float(rng.normal(0, 3)), -28.0 - 0.1 * radius, floor + axes[2])
    bladder = Ellipsoid(centre, tuple(axes), rotation(about_x=float(rng.uniform(-15, 5))))
    canvas.paint(Ellipsoid(centre, tuple(axes + 3.0), bladder.turn), 1.2, "bladder wall")
    canvas.paint(bladder, urine, "urinary bladder")
