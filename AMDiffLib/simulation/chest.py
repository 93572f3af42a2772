"""Lungs with their vessels, mediastinum, oesophagus and airways."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from AMDiffLib.simulation.body import Person
from AMDiffLib.simulation.canvas import Canvas, Uptake
from AMDiffLib.simulation.diaphragm import Diaphragm
from AMDiffLib.simulation.heart import heart_outline
from AMDiffLib.simulation.shapes import Ellipsoid, Shape, Solid, Tube, deepest, shallowest
from AMDiffLib.simulation.tissue import LUNG_LOBES

# Where the middle of a lobe lies, as a share of the chest's reach to the back.
_MIDDLE_Y = {"upper": 0.05, "middle": -0.45, "lower": 0.45}


def paint_chest(
    canvas: Canvas, person: Person, diaphragm: Diaphragm, uptake: dict[str, float], rng: np.random.Generator
) -> list[Shape]:
    """Paint mediastinum, lungs, pulmonary vessels, oesophagus and airways; return the lobes."""
    chest = _chest(person, diaphragm)
    # What is not lung is the fat, nodes and small vessels of the mediastinum.
    canvas.paint(chest, 0.62 * uptake["blood"], "mediastinum")
    lobes = []
    for side in (-1, 1):
        for name, lobe in _lobes(person, side, chest):
            lobes.append(lobe)
            canvas.paint(
                lobe, _gradient(uptake[name], _MIDDLE_Y[name.split()[1]] * person.cavity_reach(0.75)[2]), name
            )
        _paint_lung_vessels(canvas, person, side, uptake["blood"], rng)
    size = person.build
    gullet = [
        person.by_spine(x, forward, f)
        for x, forward, f in ((14, 44, 0.70), (8, 34, 0.735), (2, 30, 0.775), (3, 24, 0.81), (2, 20, 0.855))
    ]
    canvas.paint(
        Tube(tuple(gullet), tuple(r * size for r in (8, 7, 7, 6.5, 6))),
        uptake["oesophagus"],
        "esophagus",
        detail_mm=2.0,
    )
    windpipe = [
        person.by_spine(x, forward, f)
        for x, forward, f in ((0, 46, 0.783), (0, 40, 0.81), (0, 38, 0.84), (0, 38, 0.862))
    ]
    branches = [(windpipe[0], person.by_spine(side * 34, 42, 0.768)) for side in (-1, 1)]
    for points, radius in ((windpipe, 9.0), *((branch, 6.5) for branch in branches)):
        tube = Tube(tuple(points), (radius * size,) * len(points))
        wall = Tube(tuple(points), ((radius + 2.5) * size,) * len(points))
        canvas.paint(wall, 0.8 * uptake["skeletal muscle"], "airway wall", detail_mm=2.0)
        canvas.paint(tube, uptake["air"], "air", detail_mm=2.0)
    return lobes


def _chest(person: Person, diaphragm: Diaphragm) -> Solid:
    """Return the space above the diaphragm."""
    cavity = person.cavity
    (low_x, low_y, _), (high_x, high_y, top) = cavity.bounds()
    box = (low_x, low_y, person.level(0.60)), (high_x, high_y, top)
    return Solid(
        box, lambda x, y, z: torch.minimum(cavity.depth(x, y, z) - 1.5, diaphragm.above(x, y, z) - 1.5)
    )


def mediastinum(person: Person) -> Shape:
    """Return what parts the lungs: heart, great vessels, gullet and spine."""
    size = person.build
    heart = heart_outline(person)
    wide, front, back = person.cavity_reach(0.76)

    def depth(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        up = (z - person.level(0.755)) / person.height_mm
        # Wide at the hila and the arch, narrow behind the sternum and at the thoracic inlet.
        half = 21 + 11 * torch.exp(-(((up - 0.025) / 0.03) ** 2)) + 5 * (y / back).clamp(0, 1)
        slab = half * size - (x + 2 - 10 * (up < 0)).abs() - 9 * ((-y / front) - 0.45).clamp_min(0) * size * 2
        return deepest(slab, heart.depth(x, y, z) + 5)

    return Solid(((-wide, -front, person.level(0.60)), (wide, back, person.level(0.84))), depth)


def _lobes(person: Person, side: int, chest: Solid) -> list[tuple[str, Shape]]:
    middle = mediastinum(person)
    wide, _, back = person.cavity_reach(0.76)
    slope = 0.95

    def lung(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        return shallowest(chest.depth(x, y, z), -middle.depth(x, y, z), side * x - 6)

    def behind(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        # The oblique fissure falls from the fourth thoracic vertebra to the front of the diaphragm.
        return (y - 0.75 * back + (z - person.level(0.785)) * -slope) / float(np.hypot(1, slope))

    def lower(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        return torch.minimum(lung(x, y, z), behind(x, y, z))

    def upper(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        return torch.minimum(lung(x, y, z), -behind(x, y, z))

    def below_hilum(z: Tensor) -> Tensor:
        return person.level(0.753) - z

    low_x, high_x = sorted((side * 4.0, side * wide * 1.1))
    box = (
        (low_x, chest.bounds()[0][1], chest.bounds()[0][2]),
        (high_x, chest.bounds()[1][1], chest.bounds()[1][2]),
    )
    if side > 0:
        return [("lung upper lobe left", Solid(box, upper)), ("lung lower lobe left", Solid(box, lower))]
    return [
        ("lung upper lobe right", Solid(box, lambda x, y, z: torch.minimum(upper(x, y, z), -below_hilum(z)))),
        ("lung middle lobe right", Solid(box, lambda x, y, z: torch.minimum(upper(x, y, z), below_hilum(z)))),
        ("lung lower lobe right", Solid(box, lower)),
    ]


def _gradient(suv: float, middle: float) -> Uptake:
    """Return uptake that grows towards the back, where supine lungs are dense; `suv` at y = `middle`."""
    return lambda x, y, z: suv * (1 + 0.0042 * (y - middle)).clamp(0.6, 1.5)


def _paint_lung_vessels(
    canvas: Canvas, person: Person, side: int, blood: float, rng: np.random.Generator
) -> None:
    """Paint the branching pulmonary arteries and veins of one lung, thinner from branch to branch."""
    size = person.build
    hilum = np.array(person.by_spine(side * 36, 52, 0.766))
    wide, front, back = person.cavity_reach(0.75)
    targets = [
        (0.62, -0.5, 0.80),
        (0.55, 0.3, 0.808),
        (0.72, 0.1, 0.775),
        (0.6, -0.6, 0.75),
        (0.7, 0.5, 0.74),
        (0.55, 0.62, 0.715),
        (0.66, -0.1, 0.735),
    ]
    pieces: list[tuple[np.ndarray, np.ndarray, float, float]] = []
    for x, y, f in targets:
        end = np.array((side * x * wide, y * (back if y > 0 else front), person.level(f)))
        end += rng.normal(0, 6, 3)
        bend = hilum + 0.45 * (end - hilum) + rng.normal(0, 6, 3)
        pieces += [(hilum, bend, 5.5, 3.2), (bend, end, 3.2, 1.6)]
        for _ in range(2):
            twig = end + (end - bend) * 0.45 + rng.normal(0, 12, 3)
            pieces.append((bend + 0.6 * (end - bend), twig, 2.0, 1.0))
    for start, end, first, last in pieces:
        tube = Tube((tuple(start), tuple(end)), (first * size, last * size))
        canvas.paint(tube, 0.8 * blood, attenuation=0.085, only=LUNG_LOBES, detail_mm=2.0)
    trunk = Ellipsoid(tuple(hilum), (9 * size, 11 * size, 15 * size))
    canvas.paint(trunk, blood, "pulmonary vessels")
