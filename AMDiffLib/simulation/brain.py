"""The brain: a folded cortex, white matter, deep nuclei, ventricles, cerebellum and stem."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from AMDiffLib.simulation.body import Person
from AMDiffLib.simulation.canvas import Canvas
from AMDiffLib.simulation.random_fields import smooth_field
from AMDiffLib.simulation.shapes import Ellipsoid, Solid, Tube, shallowest, shrunk

_SULCUS_DEPTH_MM = 15.0
_CORTEX_MM = 4.0


def paint_brain(canvas: Canvas, person: Person, uptake: dict[str, float], rng: np.random.Generator) -> None:
    """Paint all that lies within the skull."""
    s, at = person.head_size, person.in_head
    skull = Ellipsoid(at(0, 6, 12), (64.5 * s, 85.5 * s, 75.5 * s))
    canvas.paint(skull_cavity(person, skull), uptake["csf"], "csf")
    atrophy = float(np.clip((person.age - 40) / 50, 0, 1)) * rng.uniform(0.5, 1.2)
    _paint_cerebrum(canvas, person, skull, uptake, atrophy, rng)
    _paint_deep(canvas, person, uptake, atrophy)
    _paint_hindbrain(canvas, person, skull, uptake)


def skull_cavity(person: Person, skull: Ellipsoid) -> Solid:
    """Return the space within the skull above its base, which steps down from front to back."""
    s = person.head_size
    _, y0, z0 = person.in_head(0, 0, 0)

    def depth(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        forward = (-(y - y0) / s - 22) / 26
        # Anterior fossa high, middle fossa at the sides lower, posterior fossa lowest.
        base = -62 + 40 * forward.clamp(0, 1) + 14 * ((20 - x.abs() / s) / 14).clamp(0, 1) * (y < y0 + 10 * s)
        return torch.minimum(skull.depth(x, y, z), 0.8 * (z - z0 - base * s))

    return Solid(skull.bounds(), depth)


def _paint_cerebrum(
    canvas: Canvas,
    person: Person,
    skull: Ellipsoid,
    uptake: dict[str, float],
    atrophy: float,
    rng: np.random.Generator,
) -> None:
    s = person.head_size
    _, y0, z0 = person.in_head(0, 0, 0)
    cavity = skull_cavity(person, skull)
    low, high = skull.bounds()
    folds = smooth_field((low, high), 21.0 * s, rng, device=canvas.device)
    lobes = smooth_field((low, high), 45.0 * s, rng, device=canvas.device)

    def hemispheres(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        tent = 0.9 * (z - z0 + (26 - 0.28 * ((y - y0) - 40).abs()) * s)
        tent = torch.where(y > y0 + 12 * s, tent, 99.0)
        # The temporal lobes end in front at the edge of their fossa; between them lies the stem.
        stem = torch.where((y > y0 - 18 * s) & (z < z0 - 12 * s), x.abs() - 17 * s, 99.0)
        fissure = x.abs() - 1.2 - 0.8 * atrophy
        deep = z - z0 - 20 * s
        fissure = torch.where(deep > 0, fissure, fissure.clamp_min(4.0))
        return shallowest(cavity.depth(x, y, z) - 2.5 - 1.5 * atrophy, tent, stem, fissure)

    for piece in canvas.pieces(canvas.window(cavity)):
        x, y, z = canvas.points(piece)
        axes = canvas.axes(piece)
        depth = hemispheres(x, y, z)
        # Sulci are the zeros of a smooth field: its value over its mean slope is a distance in mm.
        sheet = (folds.on_grid(axes) * 4.7 * s).abs()
        below = (depth - _SULCUS_DEPTH_MM).clamp_min(0)
        from_sulcus = torch.sqrt(sheet * sheet + below * below)
        edge = canvas.edge_mm
        inside = (depth / edge + 0.5).clamp(0, 1)
        sulcus = inside * ((0.35 + 0.45 * atrophy - from_sulcus) / edge + 0.5).clamp(0, 1)
        white = ((torch.minimum(depth, from_sulcus) - _CORTEX_MM) / edge + 0.5).clamp(0, 1)
        cortex = uptake["cerebral cortex"] * (1 + 0.10 * lobes.on_grid(axes)).clamp(0.6, 1.4)
        canvas.lay(piece, inside, cortex, "cerebral cortex")
        canvas.lay(piece, inside * white, uptake["cerebral white matter"], "cerebral white matter")
        canvas.lay(piece, sulcus, uptake["csf"], "csf")


def _paint_deep(canvas: Canvas, person: Person, uptake: dict[str, float], atrophy: float) -> None:
    s, at = person.head_size, person.in_head

    def tube(name: str, points: tuple, radii: tuple[float, ...]) -> None:
        chain = Tube(tuple(at(*p) for p in points), tuple(r * s for r in radii))
        canvas.paint(chain, uptake[name], name, detail_mm=2.0)

    def lens(name: str, centre: tuple, axes: tuple[float, float, float]) -> None:
        canvas.paint(Ellipsoid(at(*centre), tuple(a * s for a in axes)), uptake[name], name, detail_mm=2.0)

    # Around the deep nuclei there is white matter, whatever folds the field may have drawn.
    core = Ellipsoid(at(0, 2, 8), (36 * s, 40 * s, 24 * s))
    canvas.paint(
        core, uptake["cerebral white matter"], "cerebral white matter", only=("cerebral cortex", "csf")
    )
    wide = 1 + 0.8 * atrophy
    for side in (-1, 1):
        lens("putamen", (side * 26, -4, 4), (6, 18, 11))
        lens("pallidum", (side * 19, 0, 2), (4, 10, 7))
        lens("thalamus", (side * 10.5, 14, 7), (9, 15, 10))
        tube(
            "caudate",
            ((side * 13, -22, 8), (side * 15, -14, 17), (side * 19, 4, 23), (side * 22, 20, 22)),
            (6.5, 5.5, 3.5, 2),
        )
        horn = (
            (side * 7, -30, 12),
            (side * 7, -12, 21),
            (side * 10, 10, 24),
            (side * 18, 34, 16),
            (side * 20, 48, 8),
        )
        tube("lateral ventricle", horn, tuple(r * wide for r in (4.0, 5.0, 4.5, 6.0, 3.5)))
        tube("hippocampus", ((side * 24, 0, -18), (side * 26, 14, -14), (side * 24, 28, -4)), (6, 5, 4))
        lens("insula", (side * 38, -2, 4), (3.0, 22, 13))


def _paint_hindbrain(canvas: Canvas, person: Person, skull: Ellipsoid, uptake: dict[str, float]) -> None:
    s, at = person.head_size, person.in_head
    whole = Ellipsoid(at(0, 36, -42), (52 * s, 34 * s, 27 * s))
    middle = at(0, 36, -42)
    inside = shrunk(skull, 1.0)

    def lobes(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        return shallowest(whole.depth(x, y, z), inside.depth(x, y, z))

    cerebellum = Solid(whole.bounds(), lobes)
    canvas.paint(cerebellum, uptake["cerebellum cortex"], "cerebellum cortex", detail_mm=2.5)

    def arbor(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        # The folia run across; white matter branches into them from a core.
        leaf = torch.sin((z - middle[2]) / (2.6 * s) + 0.05 * (y - middle[1])) * 2.2
        return lobes(x, y, z) - (9.5 + leaf) * s

    canvas.paint(
        Solid(whole.bounds(), arbor),
        uptake["cerebellum white matter"],
        "cerebellum white matter",
        detail_mm=2.5,
    )
    stem = Tube((at(0, 8, -12), at(0, 14, -34), at(0, 18, -56)), tuple(r * s for r in (14, 15, 9)))
    canvas.paint(stem, uptake["brain stem"], "brain stem")
