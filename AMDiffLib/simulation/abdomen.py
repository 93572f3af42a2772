"""Liver, gallbladder, spleen, stomach, duodenum, pancreas and adrenal glands."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from AMDiffLib.simulation.body import Person
from AMDiffLib.simulation.canvas import Canvas
from AMDiffLib.simulation.diaphragm import Diaphragm
from AMDiffLib.simulation.profile import Profile
from AMDiffLib.simulation.random_fields import smooth_field
from AMDiffLib.simulation.shapes import (
    Bounds,
    Ellipsoid,
    Shape,
    Solid,
    Tube,
    difference,
    intersection,
    rotation,
    shallowest,
    shrunk,
    smooth_intersection,
)


def paint_abdomen(
    canvas: Canvas, person: Person, diaphragm: Diaphragm, uptake: dict[str, float], rng: np.random.Generator
) -> dict[str, list[Shape]]:
    """Paint the solid organs and the upper gut; bowel and urinary tract have files of their own.

    Returns the shapes of liver and pancreas.
    """
    below = Solid(
        person.cavity.bounds(),
        lambda x, y, z: torch.minimum(person.cavity_depth(x, y, z) - 3, -diaphragm.above(x, y, z) - 3),
    )
    _paint_stomach(canvas, person, below, uptake, rng)
    size, rise = person.build, 0.6 * person.breath
    loop = [
        person.inside(x, y, f)
        for x, y, f in (
            (-0.20, -0.28, 0.652),
            (-0.36, -0.02, 0.648),
            (-0.36, 0.10, 0.622),
            (-0.22, 0.12, 0.608),
            (0.05, 0.05, 0.610),
            (0.22, -0.05, 0.632),
        )
    ]
    canvas.paint(
        Tube(tuple(loop), (13 * size, 13 * size, 13 * size, 12 * size, 11 * size, 11 * size)),
        uptake["duodenum"],
        "duodenum",
    )
    gland = [
        person.inside(x, y, f)
        for x, y, f in (
            (-0.24, 0.0, 0.622),
            (-0.20, -0.05, 0.640),
            (0.02, -0.22, 0.652),
            (0.28, -0.02, 0.660),
            (0.60, 0.34, 0.674),
        )
    ]
    girth = float(np.clip(rng.normal(1.0, 0.12) - 0.003 * (person.age - 60), 0.7, 1.25)) * size
    pancreas = Tube(tuple(gland), tuple(r * girth for r in (11, 15, 10, 11, 9)))
    canvas.paint(pancreas, uptake["pancreas"], "pancreas")
    for side in (-1, 1):
        x, y, z = person.by_spine(side * 42, 8, 0.672)
        limb = Tube(((x, y - 8, z + 12), (x, y, z), (x + side * 6, y + 12, z - 14)), (3.2, 4.2, 3.2))
        canvas.paint(limb, uptake["adrenal gland"], "adrenal gland", detail_mm=2.0)
    whole = liver(person, below, rng)
    canvas.paint(whole, uptake["liver"], "liver")
    bulb = Ellipsoid(
        person.inside(-0.40, -0.50, 0.642 + 0.5 * rise),
        tuple(r * rng.uniform(0.8, 1.2) for r in (14.0, 15.0, 29.0)),
        rotation(about_x=-25, about_y=12),
    )
    canvas.paint(shrunk(bulb, -2.5), 0.75 * uptake["liver"], "gallbladder")
    canvas.paint(bulb, uptake["gallbladder"], "gallbladder")
    canvas.paint(_spleen(person, below, rise, rng), uptake["spleen"], "spleen")
    return {"liver": [whole], "pancreas": [pancreas]}


def liver(person: Person, below: Shape, rng: np.random.Generator) -> Solid:
    """Return the liver: under the right dome, its left lobe a wedge that thins across the midline.

    Its lower border is set so that the volume is that of the person's build: 1.5 L, SD 17 %, at BMI 25.
    """
    usual = 1500 * person.build**2.4 * (1 + 0.014 * (person.bmi - 25))
    wanted = float(np.clip(usual * np.exp(rng.normal(0.0, 0.17)), 900, 2300))
    tip = float(rng.uniform(0.22, 0.72))
    (low_x, low_y, _), (high_x, high_y, _) = below.bounds()
    box = (
        (low_x, low_y, person.level(0.57)),
        (min(tip * person.cavity_reach(0.68)[0] + 5, high_x), high_y, person.level(0.76)),
    )
    size = np.subtract(box[1], box[0])
    points = [torch.from_numpy(p) for p in (box[0] + rng.random((12_000, 3)) * size).astype(np.float32).T]
    low, high = 0.575, 0.70
    for _ in range(12):
        middle = (low + high) / 2
        share = (_liver(person, below, box, middle, tip).depth(*points) > 0).float().mean()
        low, high = (middle, high) if float(share) * size.prod() / 1000 > wanted else (low, middle)
    return _liver(person, below, box, (low + high) / 2, tip)


def _liver(person: Person, below: Shape, box: Bounds, low: float, tip: float) -> Solid:
    """Return the liver whose lower border lies at a share `low` of body height on the right."""
    rise = 0.7 * person.breath
    wide, front, back = person.cavity_reach(0.68)
    # Lower border and posterior border of the liver from right to left, in shares of the cavity.
    shares = np.array((-1.1, -0.75, -0.45, -0.1, 0.15, tip, tip + 0.25))
    left = np.maximum((low + 0.024, 0.662 + rise, 0.674 + rise, 0.692 + rise, 0.725), low + 0.024)
    border = person.level(0) + person.height_mm * np.array((low + 0.004, low, *left))
    rear = np.array(
        (0.80 * back, 0.86 * back, 0.66 * back, 0.22 * back, -0.12 * front, -0.30 * front, -0.62 * front)
    )
    lower, behind = Profile(shares * wide, border), Profile(shares * wide, rear)

    def depth(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        # The under-surface rises to the back of the left lobe and to the front of the right.
        bottom = z - lower(x) - 0.10 * y - 0.16 * (y + front).clamp_min(0) * (x > -0.2 * wide)
        surfaces = (below.depth(x, y, z), 0.85 * bottom, 0.8 * (behind(x) - y), (tip * wide - x) * 0.6)
        return smooth_intersection(surfaces, 16.0)

    return Solid(box, depth)


def _spleen(person: Person, below: Shape, rise: float, rng: np.random.Generator) -> Shape:
    size = person.build * float(np.exp(rng.normal(0.0, 0.09)))
    x, y, z = person.inside(0.72, 0.42, 0.684 + rise)
    turn = rotation(about_x=28, about_z=28)
    body = Ellipsoid((x, y, z), (29 * size, 52 * size, 58 * size), turn)
    hollow = Ellipsoid((x - 40 * size, y - 24 * size, z - 4), (34 * size, 44 * size, 62 * size), turn)
    return intersection(difference(body, hollow), below)


def _paint_stomach(
    canvas: Canvas, person: Person, below: Shape, uptake: dict[str, float], rng: np.random.Generator
) -> None:
    rise, full = 0.7 * person.breath, float(rng.uniform(0.6, 1.0))
    size = person.build * full
    sag = float(rng.uniform(0.0, 0.018))
    points = tuple(
        person.inside(x, y, f)
        for x, y, f in (
            (0.42, 0.10, 0.703 + rise),
            (0.52, -0.12, 0.690 + rise),
            (0.50, -0.42, 0.668 - sag),
            (0.25, -0.58, 0.650 - sag),
            (-0.02, -0.50, 0.648 - 0.3 * sag),
            (-0.18, -0.34, 0.654),
        )
    )
    whole = Tube(points, tuple(r * size for r in (33, 35, 29, 23, 17, 12)))
    stomach = Solid(
        whole.bounds(), lambda x, y, z: shallowest(whole.depth(x, y, z), below.depth(x, y, z) + 2)
    )
    folds = smooth_field(canvas.extent, 17.0, rng, device=canvas.device)
    wall = float(rng.uniform(5.0, 8.0))
    # The wall holds most of the uptake; the mean over wall and content is what was published.
    content = 0.6 * uptake["stomach"]
    share_of_wall = 1 - max(1 - wall / (24 * size), 0.1) ** 2
    lining = 1.2 * (uptake["stomach"] - (1 - share_of_wall) * content) / share_of_wall
    canvas.paint(stomach, lining, "stomach")
    gas = rng.random() < 0.35
    for piece in canvas.pieces(canvas.window(stomach)):
        points_here = canvas.points(piece)
        ruga = 1.6 * folds.on_grid(canvas.axes(piece))
        depth = stomach.depth(*points_here) - wall + ruga
        share = (depth / canvas.edge_mm + 0.5).clamp_(0, 1)
        canvas.lay(piece, share, content, "stomach")
        if gas:
            # Gas collects in front.
            front = points_here[1].sub(points[2][1] - 6).neg()
            canvas.lay(piece, share * (front / canvas.edge_mm + 0.5).clamp_(0, 1), 0.2, attenuation=0.003)
