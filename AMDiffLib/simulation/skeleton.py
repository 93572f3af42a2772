"""The skeleton of the phantom."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from AMDiffLib.simulation.body import Person
from AMDiffLib.simulation.canvas import Canvas
from AMDiffLib.simulation.shapes import (
    Ellipsoid,
    Shape,
    Solid,
    Tube,
    intersection,
    rotation,
    shallowest,
    shell,
    shrunk,
    union,
)
from AMDiffLib.simulation.tissue import BONE, BONE_ATTENUATION

_SPINE = (
    (0.575, 0.0195, 5, "lumbar spine"),
    (0.6725, 0.0128, 12, "thoracic spine"),
    (0.826, 0.0073, 7, "cervical spine"),
)


def spine_y(person: Person, share_of_height: float) -> float:
    """Return y in mm of the vertebral bodies' centre at a level."""
    half_depth = person.cavity_half_widths(min(max(share_of_height, 0.57), 0.78))[1]
    neck = np.clip((share_of_height - 0.78) / 0.06, 0, 1)
    return float((1 - neck) * (half_depth - 20 * person.build) + neck * 18)


def paint_skeleton(canvas: Canvas, person: Person, uptake: dict[str, float]) -> None:
    """Paint every bone with its uptake, attenuation and label."""

    def paint(shape: Shape, name: str) -> None:
        canvas.paint(shape, uptake[name], structure=name, attenuation=BONE_ATTENUATION, label=BONE)

    for name, shape in _trunk_bones(person):
        paint(shape, name)
    for side in (-1, 1):
        for name, shape in _limb_bones(person, side):
            paint(shape, name)
    for name, vertebra in _vertebrae(person):
        paint(vertebra, name)
    paint(_ribs(person), "ribs")
    paint(_skull(person), "skull")


def _vertebrae(person: Person) -> list[tuple[str, Shape]]:
    found = []
    for start, pitch, count, name in _SPINE:
        for index in range(count):
            share = start + (index + 0.5) * pitch
            z, y, half = person.level(share), spine_y(person, share), 0.43 * pitch * person.height_mm
            radius = float(np.interp(share, (0.57, 0.68, 0.82, 0.87), (25, 20, 14, 11))) * person.build
            found.append((name, _drum((0.0, y, z), radius * 1.15, radius * 0.9, half)))
            process = Ellipsoid((0.0, y + 1.75 * radius, z - 3), (0.4 * radius, 0.75 * radius, 0.8 * half))
            lamina = Ellipsoid((0.0, y + 1.25 * radius, z), (1.5 * radius, 0.3 * radius, 0.6 * half))
            found.append((name, union(process, lamina)))
    return found


def _drum(centre: tuple[float, float, float], a: float, b: float, half_height: float) -> Solid:
    def depth(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        radius = torch.sqrt(((x - centre[0]) / a) ** 2 + ((y - centre[1]) / b) ** 2)
        return torch.minimum((1 - radius) * min(a, b), half_height - (z - centre[2]).abs())

    low = (centre[0] - a, centre[1] - b, centre[2] - half_height)
    return Solid((low, (centre[0] + a, centre[1] + b, centre[2] + half_height)), depth)


def _ribs(person: Person) -> Solid:
    cavity = person.trunk(inset="cavity")
    half_depth = person.cavity_half_widths(0.75)[1]
    ribs = []
    for index in range(12):
        head = person.level(0.815 - 0.0128 * index)
        drop = (0.02 + 0.035 * min(index, 8) / 8) * person.height_mm
        reach = np.radians((70, 168, 168, 168, 168, 165, 160, 150, 140, 130, 95, 70)[index])
        ribs.append((head, drop, reach if index else np.radians(150)))

    def depth(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        beneath = cavity.depth(x, y, z) + 5.5
        turn = torch.arctan2(x.abs(), y + 0.1 * half_depth)
        wall = 4.0 - beneath.abs()
        deepest = torch.full_like(x, -1e3)
        for head, drop, reach in ribs:
            height = head - drop * (1 - torch.cos(turn)) / 2
            rib = torch.minimum(5.5 - (z - height).abs(), (reach - turn) * half_depth)
            deepest = torch.maximum(deepest, rib)
        return torch.minimum(wall, deepest)

    (low_x, low_y, _), (high_x, high_y, _) = cavity.bounds()
    box = ((low_x - 12, low_y - 12, person.level(0.60)), (high_x + 12, high_y + 12, person.level(0.83)))
    return Solid(box, depth)


def _trunk_bones(person: Person) -> list[tuple[str, Shape]]:
    size = person.build
    chest_width, chest_depth = person.cavity_half_widths(0.76)
    sternum = Ellipsoid(
        (0.0, -chest_depth - 5, person.level(0.762)), (19 * size, 7 * size, 0.048 * person.height_mm)
    )
    sacrum = Ellipsoid(
        (0.0, spine_y(person, 0.57) + 12, person.level(0.552)),
        (44 * size, 20 * size, 48 * size),
        rotation(about_x=-18),
    )
    bowl = shell(Ellipsoid((0.0, 0.0, person.level(0.578)), (124 * size, 84 * size, 92 * size)), 11 * size)
    low, high = person.level(0.523), person.level(0.598)
    wings = Solid(
        bowl.bounds(),
        lambda x, y, z: shallowest(
            *[bowl.depth(x, y, z), z - low, high - z, x.abs() - 42 * size, y + 45 * size - 0.3 * (high - z)]
        ),
    )
    bones = [("sternum", sternum), ("sacrum", sacrum), ("pelvis", wings)]
    for side in (-1, 1):
        ring = ((62, 0, 0.528), (60, 2, 0.512), (48, 28, 0.489), (34, 0, 0.482), (8, -48, 0.503))
        points = tuple((side * x * size, y * size, person.level(f)) for x, y, f in ring)
        points += ((side * 60 * size, -18 * size, person.level(0.515)),)
        bones.append(("pelvis", Tube(points, tuple(r * size for r in (17, 20, 13, 9, 9, 14)))))
        clavicle = (
            (side * 18.0, -chest_depth * 0.75, person.level(0.806)),
            (side * 75.0, -chest_depth * 0.55, person.level(0.818)),
            (side * (chest_width + 14), -5.0, person.level(0.818)),
        )
        bones.append(("clavicle", Tube(clavicle, (8 * size, 6 * size, 7 * size))))
        scapula = Ellipsoid(
            (side * chest_width * 0.74, chest_depth * 0.98, person.level(0.768)),
            (44 * size, 6 * size, 66 * size),
            rotation(about_z=-side * 30),
        )
        bones.append(("scapula", scapula))
    return bones


def _limb_bones(person: Person, side: int) -> list[tuple[str, Shape]]:
    size, hip = person.build, person.level(0.518)
    head = Ellipsoid((side * 88 * size, 0.0, hip), (24 * size,) * 3)
    shaft = Tube(
        (
            (side * 90 * size, 0.0, hip),
            (side * 122 * size, 5.0, person.level(0.497)),
            (side * 96 * size, 0.0, person.level(0.30)),
        ),
        (14 * size, 19 * size, 13 * size),
    )
    arm = person.arm_points(side)
    return [("femur", union(head, shaft)), ("humerus", Tube(arm, (21 * size, 12 * size, 11 * size)))]


def _skull(person: Person) -> Shape:
    head = person.head()
    jaw_z = person.level(0.893)
    vault = shell(shrunk(head, 7.0), 6.0)
    above = Solid(head.bounds(), lambda x, y, z: z - person.level(0.905) - 0.25 * y)
    jaw = Tube(
        (
            (-52.0, 5.0, jaw_z + 12),
            (-42.0, -40.0, jaw_z - 8),
            (0.0, -72.0, jaw_z - 12),
            (42.0, -40.0, jaw_z - 8),
            (52.0, 5.0, jaw_z + 12),
        ),
        (7.0, 7.0, 9.0, 7.0, 7.0),
    )
    return union(intersection(vault, above), jaw)
