"""The skeleton of trunk and limbs."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from AMDiffLib.simulation.body import Person
from AMDiffLib.simulation.canvas import Canvas
from AMDiffLib.simulation.outline import Outline
from AMDiffLib.simulation.shapes import (
    Ellipsoid,
    Point,
    Shape,
    Solid,
    Tube,
    rotation,
    shallowest,
    shrunk,
    union,
)
from AMDiffLib.simulation.tissue import BONE_ATTENUATION

# Lowest level and pitch as a share of body height, number, name.
_SPINE = (
    (0.575, 0.0195, 5, "vertebrae lumbar"),
    (0.6725, 0.0128, 12, "vertebrae thoracic"),
    (0.826, 0.0073, 7, "vertebrae cervical"),
)
_CORTEX_MM = 1.6
# Uptake and attenuation of compact bone relative to the bone's mean.
_CORTEX_UPTAKE = 0.72


def paint_skeleton(canvas: Canvas, person: Person, outline: Outline, uptake: dict[str, float]) -> None:
    """Paint every bone of trunk and limbs; vertebrae have a thin cortex around their marrow."""
    _paint_vertebrae(canvas, person, uptake)
    for name, shape in (*pelvis(person), *_chest_wall(person, outline)):
        canvas.paint(shape, uptake[name], name, detail_mm=3.0)
    for side in (-1, 1):
        for name, shape in _limb_bones(person, side):
            canvas.paint(shape, uptake[name], name)
    for rib in ribs(person):
        # Bit by bit, for a rib's box is mostly empty.
        for (first, second), radii in zip(pairwise(rib.points), pairwise(rib.radii), strict=True):
            canvas.paint(Tube((first, second), radii), uptake["rib"], "rib", detail_mm=2.0)


def _paint_vertebrae(canvas: Canvas, person: Person, uptake: dict[str, float]) -> None:
    for start, pitch, count, name in _SPINE:
        for index in range(count):
            share = start + (index + 0.5) * pitch
            z = person.level(share)
            y, half = person.spine_y(z), 0.42 * pitch * person.height_mm
            tilt = float(np.degrees(np.arctan2(person.spine_y(z + 10) - person.spine_y(z - 10), 20)))
            radius = float(np.interp(share, (0.57, 0.68, 0.82, 0.87), (25, 17, 11.5, 8.5))) * person.build
            body = _drum((0.0, y, z), radius * 1.12, radius * 0.86, half, tilt)
            marrow = uptake[name] * (1.04 if name == "vertebrae thoracic" and index < 3 else 1.0)
            arch = union(
                Ellipsoid((0.0, y + 2.35 * radius, z - 0.6 * half), (4.0, 0.75 * radius, 0.75 * half)),
                *(
                    Tube(
                        (
                            (s * 0.75 * radius, y + 0.6 * radius, z + 3),
                            (s * 0.8 * radius, y + 1.5 * radius, z),
                            (0.0, y + 1.9 * radius, z - 2),
                        ),
                        (4.0, 4.5, 4.0),
                    )
                    for s in (-1, 1)
                ),
                *(
                    Tube(
                        (
                            (s * 0.8 * radius, y + 1.4 * radius, z),
                            (s * 1.85 * radius, y + 1.6 * radius, z + 2),
                        ),
                        (4.0, 3.0),
                    )
                    for s in (-1, 1)
                ),
            )
            canvas.paint(arch, 0.85 * uptake[name], name, attenuation=BONE_ATTENUATION, detail_mm=3.0)
            canvas.paint(body, _CORTEX_UPTAKE * marrow, name, attenuation=BONE_ATTENUATION, detail_mm=3.0)
            canvas.paint(shrunk(body, _CORTEX_MM), marrow, name, detail_mm=3.0)


def vertebra_centres(person: Person) -> list[Point]:
    """Return the middle of each vertebral body."""
    levels = [
        person.level(start + (i + 0.5) * pitch) for start, pitch, count, _ in _SPINE for i in range(count)
    ]
    return [(0.0, person.spine_y(z), z) for z in levels]


def _drum(centre: Point, a: float, b: float, half_height: float, tilt: float) -> Solid:
    """Return a waisted vertebral body, leaning by `tilt` degrees about x."""
    lean = float(np.tan(np.radians(tilt)))

    def depth(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        up, dx = z - centre[2], x - centre[0]
        dy = y - centre[1] - lean * up
        across = up - lean * (y - centre[1])
        radius = torch.sqrt((dx / a) ** 2 + (dy / b) ** 2)
        waist = 0.92 + 0.08 * (across / half_height) ** 2
        return torch.minimum((waist - radius) * min(a, b), half_height - across.abs())

    reach = half_height + abs(lean) * b
    low = (centre[0] - a, centre[1] - b - 8, centre[2] - reach)
    return Solid((low, (centre[0] + a, centre[1] + b + 8, centre[2] + reach)), depth)


def ribs(person: Person) -> list[Tube]:
    """Return the 24 ribs, each from its vertebra along the chest wall to where its cartilage begins."""
    found = []
    for index in range(12):
        head = 0.814 - 0.0128 * index
        drop = (0.012 + 0.044 * min(index, 8) / 8) * (1 if index < 9 else 0.8)
        reach = (150, 155, 152, 150, 147, 144, 138, 128, 116, 104, 82, 62)[index]
        for side in (-1, 1):
            points = []
            for turn in np.radians(np.linspace(22, reach, max(reach // 11, 5))):
                share = head + 0.004 - drop * (1 - np.cos(turn)) / 2 * 1.15
                wide, front, back = person.cavity_reach(share)
                x, y = wide * np.sin(turn) ** 0.85, np.cos(turn) * (back if turn < np.pi / 2 else front)
                away = np.hypot(x, y)
                points.append((side * (x + 4 * x / away), y + 4 * y / away, person.level(share)))
            radius = (4.2 if index in (0, 11) else 5.0) * person.build
            found.append(Tube(tuple(points), (radius,) * len(points)))
    return found


def _chest_wall(person: Person, outline: Outline) -> list[tuple[str, Shape]]:
    size = person.build
    front = [person.cavity_reach(f)[1] for f in (0.722, 0.76, 0.80)]
    sternum = Tube(
        (
            (0.0, -front[0] - 5, person.level(0.728)),
            (0.0, -front[1] - 5, person.level(0.762)),
            (0.0, -front[2] - 4, person.level(0.797)),
        ),
        (8 * size, 9 * size, 11 * size),
    )
    # Flattened from front to back: its width is twice its thickness.
    flat = Solid(
        (
            (-26.0, sternum.bounds()[0][1], sternum.bounds()[0][2]),
            (26.0, sternum.bounds()[1][1], sternum.bounds()[1][2]),
        ),
        lambda x, y, z: sternum.depth(x * 0.5, y, z),
    )
    bones: list[tuple[str, Shape]] = [("sternum", flat)]
    for side in (-1, 1):
        shoulder = person.shoulder(side)
        end = (shoulder[0] * 0.93, shoulder[1] - 4, shoulder[2] + (20 if person.arms_up else 16) * size)
        clavicle = (
            (side * 18.0 * size, -front[2] - 3, person.level(0.802)),
            (side * 0.40 * abs(end[0]), -front[2] - 12, 0.5 * (person.level(0.805) + end[2])),
            (side * 0.75 * abs(end[0]), -0.25 * front[2], 0.2 * person.level(0.805) + 0.8 * end[2]),
            end,
        )
        bones.append(("clavicle", Tube(clavicle, tuple(r * size for r in (9.5, 6.5, 6, 7)))))
        wide, _, back = outline.fascia_reach(0.77)
        turn = -side * (42 if person.arms_up else 28)
        outward = 0.70 if person.arms_up else 0.60
        blade = Ellipsoid(
            (side * outward * wide, 0.74 * back, person.level(0.768)),
            (40 * size, 5.5 * size, 62 * size),
            rotation(about_y=side * (-14 if person.arms_up else 4), about_z=turn),
        )
        spine = Tube(
            (
                (side * 0.45 * wide, 0.86 * back, person.level(0.785)),
                (shoulder[0] * 0.98, shoulder[1] + 10, shoulder[2] + 22 * size),
            ),
            (5 * size, 9 * size),
        )
        glenoid = Tube(
            (
                (side * outward * wide, 0.66 * back, person.level(0.785)),
                (shoulder[0] - side * 26 * size, shoulder[1] + 4, shoulder[2]),
            ),
            (6 * size, 14 * size),
        )
        bones += [("scapula", blade), ("scapula", spine), ("scapula", glenoid)]
    return bones


def pelvis(person: Person) -> list[tuple[str, Shape]]:
    """Return sacrum and hip bones, by structure."""
    size = person.build * (1.05 if person.female else 1.0)
    z0 = person.level(0.553)
    sacrum = Ellipsoid(
        (0.0, float(person.spine_y(z0)) + 4, z0), (46 * size, 19 * size, 50 * size), rotation(about_x=-24)
    )
    bowl = Ellipsoid((0.0, -4.0, person.level(0.588)), (132 * size, 92 * size, 108 * size))
    low, high = person.level(0.523), person.level(0.600)

    def wing(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        inside = bowl.depth(x, y, z)
        thickness = 8 * size + 6 * size * ((low + 40 - z) / 40).clamp(0, 1)
        crest = high - z - ((y - 10 * size) / (50 * size)) ** 2 * 14 * size
        front = y + 66 * size - 0.25 * (high - z)
        back = 74 * size - y
        return shallowest(inside, thickness - inside, z - low, crest, x.abs() - 44 * size, front, back)

    bones: list[tuple[str, Shape]] = [("sacrum", sacrum), ("hip", Solid(bowl.bounds(), wing))]
    for side in (-1, 1):
        ring = (
            (68, 2, 0.534),
            (66, 4, 0.518),
            (54, 30, 0.494),
            (46, 26, 0.480),
            (34, -2, 0.478),
            (10, -46, 0.500),
        )
        points = tuple((side * x * size, y * size, person.level(f)) for x, y, f in ring)
        points += ((side * 58 * size, -18 * size, person.level(0.517)),)
        bones.append(("hip", Tube(points, tuple(r * size for r in (18, 23, 15, 13, 8, 9, 12)))))
    return bones


def _limb_bones(person: Person, side: int) -> list[tuple[str, Shape]]:
    size = person.build
    hip = (side * 90 * size, 2.0, person.level(0.516))
    neck = (side * 122 * size, 8.0, person.level(0.500))
    end = (side * 92 * size, 4.0, person.level(0.30))
    femur = union(
        Tube((hip, hip), (23 * size, 23 * size)),
        Tube(
            (hip, neck, (side * 112 * size, 6.0, person.level(0.465)), end),
            tuple(r * size for r in (15, 19, 15, 13)),
        ),
    )
    shoulder, elbow, wrist = person.arm_points(side)
    humerus = union(
        Tube((shoulder, shoulder), (23 * size,) * 2), Tube((shoulder, elbow), (13 * size, 10 * size))
    )
    return [("femur", femur), ("humerus", humerus), ("humerus", Tube((elbow, wrist), (9 * size, 8 * size)))]
