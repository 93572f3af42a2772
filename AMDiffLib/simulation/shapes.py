"""Solids with soft edges: every shape tells how deep a point lies inside it.

`depth` is a signed distance in mm, positive inside, first-order exact at the surface, so that
`clip(depth / voxel + 0.5, 0, 1)` is the share of a voxel that the shape fills (partial volume).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Point = tuple[float, float, float]
Bounds = tuple[Point, Point]
Coordinates = tuple[np.ndarray, np.ndarray, np.ndarray]


def rotation(*, about_x: float = 0.0, about_y: float = 0.0, about_z: float = 0.0) -> np.ndarray:
    """Return the 3x3 matrix that turns by the given degrees about x, then y, then z."""
    matrix = np.eye(3)
    for axis, degrees in enumerate((about_x, about_y, about_z)):
        cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        step = np.eye(3)
        first, second = (axis + 1) % 3, (axis + 2) % 3
        step[first, first] = step[second, second] = cosine
        step[first, second], step[second, first] = -sine, sine
        matrix = step @ matrix
    return matrix


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid with `semi_axes` in mm, turned by the matrix `turn` about its `centre`."""

    centre: Point
    semi_axes: Point
    turn: np.ndarray | None = None

    def bounds(self) -> Bounds:
        """Return the corners (x, y, z) in mm of a box that holds the shape."""
        reach = np.asarray(self.semi_axes)
        if self.turn is not None:
            reach = np.sqrt(((self.turn * reach) ** 2).sum(axis=1))
        centre = np.asarray(self.centre)
        return tuple(centre - reach), tuple(centre + reach)

    def depth(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Return the signed distance in mm, positive inside."""
        offset = [x - self.centre[0], y - self.centre[1], z - self.centre[2]]
        if self.turn is not None:
            back = self.turn.T
            offset = [sum(np.float32(back[i, j]) * offset[j] for j in range(3)) for i in range(3)]
        unit = [o / np.float32(a) for o, a in zip(offset, self.semi_axes, strict=True)]
        radius = np.sqrt(sum(u * u for u in unit))
        slope = np.sqrt(sum((u / np.float32(a)) ** 2 for u, a in zip(unit, self.semi_axes, strict=True)))
        smallest = np.float32(min(self.semi_axes))
        return np.where(slope > 1e-6, radius * (1 - radius) / np.maximum(slope, 1e-6), smallest)


@dataclass(frozen=True)
class Tube:
    """A chain of capsules through `points`, each with its own radius in mm."""

    points: tuple[Point, ...]
    radii: tuple[float, ...]

    def bounds(self) -> Bounds:
        """Return the corners (x, y, z) in mm of a box that holds the shape."""
        points, radius = np.asarray(self.points), max(self.radii)
        return tuple(points.min(axis=0) - radius), tuple(points.max(axis=0) + radius)

    def depth(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Return the signed distance in mm, positive inside."""
        deepest = None
        ends = zip(self.points[:-1], self.points[1:], self.radii[:-1], self.radii[1:], strict=True)
        for start, end, first_radius, last_radius in ends:
            axis = np.asarray(end, dtype=np.float32) - np.asarray(start, dtype=np.float32)
            dx, dy, dz = x - start[0], y - start[1], z - start[2]
            along = np.clip(
                (dx * axis[0] + dy * axis[1] + dz * axis[2]) / max(float(axis @ axis), 1e-6), 0, 1
            )
            away = np.sqrt(
                (dx - along * axis[0]) ** 2 + (dy - along * axis[1]) ** 2 + (dz - along * axis[2]) ** 2
            )
            depth = first_radius + along * (last_radius - first_radius) - away
            deepest = depth if deepest is None else np.maximum(deepest, depth)
        return deepest


@dataclass(frozen=True)
class Solid:
    """Any shape given by its bounds and depth function."""

    box: Bounds
    function: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]

    def bounds(self) -> Bounds:
        """Return the corners (x, y, z) in mm of a box that holds the shape."""
        return self.box

    def depth(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Return the signed distance in mm, positive inside."""
        return self.function(x, y, z)


Shape = Ellipsoid | Tube | Solid


def union(*shapes: Shape) -> Solid:
    """Return the shape that holds all `shapes`."""
    low = np.min([s.bounds()[0] for s in shapes], axis=0)
    high = np.max([s.bounds()[1] for s in shapes], axis=0)
    return Solid(
        (tuple(low), tuple(high)), lambda x, y, z: np.maximum.reduce([s.depth(x, y, z) for s in shapes])
    )


def intersection(shape: Shape, *others: Shape) -> Solid:
    """Return the part of `shape` that lies in all `others`."""
    return Solid(
        shape.bounds(),
        lambda x, y, z: np.minimum.reduce([shape.depth(x, y, z), *(o.depth(x, y, z) for o in others)]),
    )


def difference(shape: Shape, *holes: Shape) -> Solid:
    """Return `shape` without the `holes`."""
    return Solid(
        shape.bounds(),
        lambda x, y, z: np.minimum.reduce([shape.depth(x, y, z), *(-h.depth(x, y, z) for h in holes)]),
    )


def shrunk(shape: Shape, millimetres: float) -> Solid:
    """Return `shape` with its surface moved inwards."""
    return Solid(shape.bounds(), lambda x, y, z: shape.depth(x, y, z) - np.float32(millimetres))


def shell(shape: Shape, thickness: float) -> Solid:
    """Return the outermost `thickness` mm of `shape`."""
    return difference(shape, shrunk(shape, thickness))
