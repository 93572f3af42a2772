"""Skull, mandible, face, glands of head and neck, the larynx and the spinal cord."""

from __future__ import annotations

import torch
from torch import Tensor

from AMDiffLib.simulation.body import Person
from AMDiffLib.simulation.brain import skull_cavity
from AMDiffLib.simulation.canvas import Canvas
from AMDiffLib.simulation.shapes import Ellipsoid, Solid, Tube, shell, union


def paint_head(canvas: Canvas, person: Person, uptake: dict[str, float]) -> None:
    """Paint the head but for the brain, and the neck."""
    s, at = person.head_size, person.in_head

    def lens(name: str, key: str, centre: tuple, axes: tuple[float, float, float]) -> None:
        canvas.paint(Ellipsoid(at(*centre), tuple(a * s for a in axes)), uptake[key], name, detail_mm=3.0)

    def tube(name: str, key: str, points: tuple, radii: tuple[float, ...]) -> None:
        chain = Tube(tuple(at(*p) for p in points), tuple(r * s for r in radii))
        canvas.paint(chain, uptake[key], name, detail_mm=2.5)

    lens("face", "face", (0, -36, -50), (50, 54, 58))
    _paint_skull(canvas, person, uptake)
    # Nose and throat: air behind the nose, mucosa around it, the tongue below.
    lens("face", "mucosa", (0, -58, -42), (17, 34, 20))
    tube("air", "air", ((0, -84, -48), (0, -30, -42), (0, -6, -54)), (4, 6, 6))
    for side in (-1, 1):
        lens("air", "air", (side * 27, -58, -44), (11, 14, 15))
        lens("eye", "csf", (side * 31, -74, -14), (12, 12, 12))
        tube("eye muscle", "eye muscle", ((side * 26, -62, -12), (side * 14, -34, -12)), (5, 3))
        lens("skeletal muscle", "chewing muscle", (side * 50, -18, -62), (8, 15, 24))
        lens("parotid gland", "salivary gland", (side * 55, 2, -60), (9, 14, 20))
        lens("submandibular gland", "salivary gland", (side * 24, -36, -104), (8, 14, 9))
        lens("palatine tonsil", "tonsil", (side * 14, -14, -78), (6, 8, 11))
    lens("tongue", "tongue", (0, -52, -80), (20, 28, 15))
    lens("sublingual gland", "salivary gland", (0, -54, -96), (16, 14, 5))
    lens("pharynx", "pharynx", (0, -2, -84), (15, 9, 28))
    tube("air", "air", ((0, -6, -60), (0, -12, -96), (0, -14, -126)), (6, 6, 7))
    _paint_neck(canvas, person, uptake)


def _paint_skull(canvas: Canvas, person: Person, uptake: dict[str, float]) -> None:
    s, at = person.head_size, person.in_head
    outer = Ellipsoid(at(0, 6, 12), (72 * s, 93 * s, 83 * s))
    inner = Ellipsoid(at(0, 6, 12), (64.5 * s, 85.5 * s, 75.5 * s))
    cavity = skull_cavity(person, inner)
    floor = at(0, 0, -66)[2]

    def vault(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        wall = torch.minimum(outer.depth(x, y, z), -inner.depth(x, y, z))
        # The base follows the floor of the cavity.
        base = torch.minimum(inner.depth(x, y, z), 5 * s + cavity.depth(x, y, z))
        base = torch.minimum(base, -cavity.depth(x, y, z))
        return torch.minimum(torch.maximum(wall, base), z - floor + 0.25 * (y - at(0, 0, 0)[1]))

    upper_jaw = shell(Ellipsoid(at(0, -54, -52), (34 * s, 36 * s, 32 * s)), 6 * s)
    arch = [
        Tube(
            (at(side * 44, -62, -30), at(side * 62, -30, -34), at(side * 66, -4, -34)), (5 * s, 4 * s, 4 * s)
        )
        for side in (-1, 1)
    ]
    jaw = Tube(
        (
            at(-52, -8, -48),
            at(-48, -16, -86),
            at(-30, -62, -104),
            at(0, -80, -106),
            at(30, -62, -104),
            at(48, -16, -86),
            at(52, -8, -48),
        ),
        tuple(r * s for r in (6, 7, 7, 8, 7, 7, 6)),
    )
    for shape, share in (
        (Solid(outer.bounds(), vault), 1.0),
        (upper_jaw, 0.8),
        (union(*arch), 0.8),
        (jaw, 0.75),
    ):
        canvas.paint(shape, share * uptake["skull"], "skull", detail_mm=3.0)


def _paint_neck(canvas: Canvas, person: Person, uptake: dict[str, float]) -> None:
    size, at, by = person.build, person.in_head, person.by_spine
    for side in (-1, 1):
        strap = (
            at(side * 54, 20, -62),
            at(side * 44, 2, -110),
            (side * 14.0 * size, -30 * size, person.level(0.812)),
        )
        canvas.paint(
            Tube(strap, (9 * size, 11 * size, 7 * size)), uptake["skeletal muscle"], "skeletal muscle"
        )
        lobe = [by(side * x, 42, f) for x, f in ((17, 0.837), (19, 0.846), (16, 0.856))]
        canvas.paint(
            Tube(tuple(lobe), (5.5 * size, 7.5 * size, 4.5 * size)),
            uptake["thyroid"],
            "thyroid gland",
            detail_mm=2.0,
        )
        cord = (by(side * 3, 50, 0.8635), by(side * 6, 42, 0.8635))
        canvas.paint(Tube(cord, (3.0, 3.5)), uptake["larynx"], "larynx", detail_mm=1.5)
    isthmus = (by(-10, 50, 0.843), by(10, 50, 0.843))
    canvas.paint(Tube(isthmus, (4.0 * size, 4.0 * size)), uptake["thyroid"], "thyroid gland", detail_mm=2.0)
    shares = (0.625, 0.66, 0.70, 0.74, 0.78, 0.82, 0.85, 0.875)
    canal = []
    for share in shares:
        z = person.level(share)
        behind = (37 if share < 0.68 else 28 if share < 0.8 else 19) * size
        canal.append((0.0, person.spine_y(z) + behind, z))
    canal.append(at(0, 22, -84))
    canvas.paint(Tube(tuple(canal), (7.0,) * len(canal)), uptake["spinal cord"], "spinal cord", detail_mm=2.0)
