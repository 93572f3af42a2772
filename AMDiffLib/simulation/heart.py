"""The heart: a thick left ventricle open at its base, a thin right one, atria and blood."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from AMDiffLib.simulation.body import Person
from AMDiffLib.simulation.canvas import Canvas
from AMDiffLib.simulation.random_fields import SmoothField, smooth_field
from AMDiffLib.simulation.shapes import Ellipsoid, Shape, Solid, shallowest, union

# Long axis from base to apex: to the left, to the front and down.
_AXIS = np.array((0.62, -0.62, -0.48)) / np.linalg.norm((0.62, -0.62, -0.48))
# Shares of the heart's volume that wall and blood fill, as painted here.
_WALL_SHARE = 0.24


def _frame() -> np.ndarray:
    """Return the matrix whose columns are the heart's axes: across, up and along, in patient axes."""
    across = np.cross((0.0, 0.0, 1.0), _AXIS)
    across /= np.linalg.norm(across)
    return np.stack((across, np.cross(_AXIS, across), _AXIS), axis=1)


def _middle(person: Person) -> np.ndarray:
    front = person.cavity_reach(0.745)[1]
    return np.array((20 * person.build, -0.40 * front, person.level(0.742 + 0.55 * person.breath)))


def _at(person: Person, across: float, up: float, along: float) -> tuple[float, float, float]:
    offset = _frame() @ (np.array((across, up, along)) * person.build)
    return tuple(float(c) for c in _middle(person) + offset)


def heart_outline(person: Person) -> Shape:
    """Return the heart with its sac."""
    size = person.build
    ventricles = Ellipsoid(_at(person, -8, 0, 8), (50 * size, 46 * size, 61 * size), _frame())
    atria = Ellipsoid(_at(person, -12, 4, -42), (53 * size, 41 * size, 37 * size), _frame())
    return union(ventricles, atria)


def paint_heart(canvas: Canvas, person: Person, uptake: dict[str, float], rng: np.random.Generator) -> None:
    """Paint sac, atria, ventricles and the patchy wall of the left ventricle.

    `uptake["heart"]` is the mean over the whole heart, as published; the wall holds what the blood does not.
    """
    size, blood = person.build, uptake["blood"]
    wall_mean = max((uptake["heart"] - (1 - _WALL_SHARE) * blood) / _WALL_SHARE, 0.75 * blood)
    left = wall_mean * 1.25
    canvas.paint(heart_outline(person), 0.55 * blood, "heart sac")
    for centre, axes in (
        (_at(person, 18, 8, -46), (30, 30, 26)),
        (_at(person, -32, -2, -38), (31, 33, 27)),
        (_at(person, -6, 22, -30), (20, 16, 28)),
    ):
        atrium = Ellipsoid(centre, tuple(a * size for a in axes), _frame())
        canvas.paint(atrium, 0.5 * blood + 0.5 * min(0.5 * left, 1.6 * blood), "heart atrium")
        inner = Ellipsoid(centre, tuple((a - 3) * size for a in axes), _frame())
        canvas.paint(inner, blood, "heart atrium")
    right_wall = max(min(1.1 * blood, left), 0.27 * left)
    right = Ellipsoid(_at(person, -25, -4, 2), (35 * size, 37 * size, 50 * size), _frame())
    canvas.paint(right, right_wall, "heart ventricle right")
    canvas.paint(_shrunken(person, right, 3.5), blood, "heart ventricle right")
    _paint_left_ventricle(canvas, person, left, blood, rng)


def _shrunken(person: Person, ellipsoid: Ellipsoid, wall: float) -> Ellipsoid:
    axes = tuple(a - wall * person.build for a in ellipsoid.semi_axes)
    return Ellipsoid(ellipsoid.centre, axes, ellipsoid.turn)


def _paint_left_ventricle(
    canvas: Canvas, person: Person, suv: float, blood: float, rng: np.random.Generator
) -> None:
    size = person.build
    wall = float(rng.uniform(9.0, 12.5))
    outer = Ellipsoid(_at(person, 12, 2, 4), (35 * size, 34 * size, 52 * size), _frame())
    inner = _shrunken(person, outer, wall)
    centre, axis = np.array(outer.centre), _AXIS

    def base(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        along = sum((c - float(m)) * float(a) for c, m, a in zip((x, y, z), centre, axis, strict=True))
        return along + 24 * size

    opened = Solid(outer.bounds(), lambda x, y, z: shallowest(outer.depth(x, y, z), base(x, y, z)))
    patches = smooth_field(canvas.extent, 34.0, rng, device=canvas.device)
    spread = float(rng.uniform(0.06, 0.3))
    # Septum and base often take up less, the lateral wall more.
    tilt = float(rng.uniform(0.0, 0.28))

    def uptake_at(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        across = (x - outer.centre[0]) / (35 * size)
        return suv * (1 + tilt * across).clamp(0.4, 1.6)

    canvas.paint(opened, uptake_at, "heart myocardium")
    _modulate(canvas, opened, patches, spread)
    canvas.paint(inner, blood, "heart blood")


def _modulate(canvas: Canvas, shape: Shape, patches: SmoothField, spread: float) -> None:
    """Make the uptake of `shape` patchy."""
    for piece in canvas.pieces(canvas.window(shape)):
        share = canvas.fill(shape, piece)
        factor = torch.exp(spread * patches.on_grid(canvas.axes(piece)))
        canvas.suv[piece] *= 1 + share * (factor - 1)
