"""Solids with soft edges: every shape tells how deep a point lies inside it.

`depth` is a signed distance in mm, positive inside, first-order exact at the surface, so that
`clip(depth / voxel + 0.5, 0, 1)` is the share of a voxel that the shape fills (partial volume).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
from torch import Tensor

Point = tuple[float, float, float]
Bounds = tuple[Point, Point]
Depth = Callable[[Tensor, Tensor, Tensor], Tensor]


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

    def depth(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Return the signed distance in mm, positive inside."""
        offset = [x - self.centre[0], y - self.centre[1], z - self.centre[2]]
        if self.turn is not None:
            back = self.turn.T
            offset = [sum(float(back[i, j]) * offset[j] for j in range(3)) for i in range(3)]
        unit = [o / float(a) for o, a in zip(offset, self.semi_axes, strict=True)]
        radius = torch.sqrt(sum(u * u for u in unit))
        slope = torch.sqrt(sum((u / float(a)) ** 2 for u, a in zip(unit, self.semi_axes, strict=True)))
        # At the centre the quotient is 0 / 0; the smallest semi-axis is its limit along that axis.
        depth = radius * (1 - radius) / slope.clamp_min(1e-6)
        return torch.where(slope > 1e-6, depth, float(min(self.semi_axes)))


@dataclass(frozen=True)
class Tube:
    """A chain of capsules through `points`, each with its own radius in mm."""

    points: tuple[Point, ...]
    radii: tuple[float, ...]

    def bounds(self) -> Bounds:
        """Return the corners (x, y, z) in mm of a box that holds the shape."""
        points, radius = np.asarray(self.points), max(self.radii)
        return tuple(points.min(axis=0) - radius), tuple(points.max(axis=0) + radius)

    def depth(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Return the signed distance in mm, positive inside."""
        deepest = None
        ends = zip(self.points[:-1], self.points[1:], self.radii[:-1], self.radii[1:], strict=True)
        for start, end, first_radius, last_radius in ends:
            axis = [float(e) - float(s) for s, e in zip(start, end, strict=True)]
            length = max(sum(a * a for a in axis), 1e-6)
            offset = (x - float(start[0]), y - float(start[1]), z - float(start[2]))
            along = (sum(o * a for o, a in zip(offset, axis, strict=True)) / length).clamp(0, 1)
            away = torch.sqrt(sum((o - along * a) ** 2 for o, a in zip(offset, axis, strict=True)))
            depth = float(first_radius) + along * float(last_radius - first_radius) - away
            deepest = depth if deepest is None else torch.maximum(deepest, depth)
        return deepest


@dataclass(frozen=True)
class Solid:
    """Any shape given by its bounds and depth function."""

    box: Bounds
    function: Depth

    def bounds(self) -> Bounds:
        """Return the corners (x, y, z) in mm of a box that holds the shape."""
        return self.box

    def depth(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Return the signed distance in mm, positive inside."""
        return self.function(x, y, z)


Shape = Ellipsoid | Tube | Solid


def deepest(*depths: Tensor) -> Tensor:
    """Return the depth in the union of solids whose depths are given."""
    return reduce(torch.maximum, depths)


def shallowest(*depths: Tensor) -> Tensor:
    """Return the depth in the intersection of solids whose depths are given."""
    return reduce(torch.minimum, depths)


def smooth_union(shapes: Sequence[Shape], width: float) -> Solid:
    """Return the shape that holds all `shapes`, with creases filled over about `width` mm."""
    low = np.min([s.bounds()[0] for s in shapes], axis=0)
    high = np.max([s.bounds()[1] for s in shapes], axis=0)

    def depth(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        first, last = float(z.min()) - 2 * width, float(z.max()) + 2 * width
        whole = torch.full_like(x, -2 * width)
        for shape in shapes:
            (_, _, bottom), (_, _, top) = shape.bounds()
            if bottom > last or top < first:
                continue
            part = shape.depth(x, y, z)
            near = (1 - (whole - part).abs() / width).clamp_min(0)
            whole = torch.maximum(whole, part) + near * near * (width / 4)
        return whole

    return Solid((tuple(low), tuple(high)), depth)


def smooth_intersection(depths: Sequence[Tensor], width: float) -> Tensor:
    """Return the depth in the intersection of solids, its edges rounded over about `width` mm."""
    whole = depths[0]
    for depth in depths[1:]:
        near = (1 - (whole - depth).abs() / width).clamp_min(0)
        whole = torch.minimum(whole, depth) - near * near * (width / 4)
    return whole


def union(*shapes: Shape) -> Solid:
    """Return the shape that holds all `shapes`."""
    low = np.min([s.bounds()[0] for s in shapes], axis=0)
    high = np.max([s.bounds()[1] for s in shapes], axis=0)
    return Solid((tuple(low), tuple(high)), lambda x, y, z: deepest(*(s.depth(x, y, z) for s in shapes)))


def intersection(shape: Shape, *others: Shape) -> Solid:
    """Return the part of `shape` that lies in all `others`."""
    return Solid(
        shape.bounds(),
        lambda x, y, z: shallowest(shape.depth(x, y, z), *(o.depth(x, y, z) for o in others)),
    )


def difference(shape: Shape, *holes: Shape) -> Solid:
    """Return `shape` without the `holes`."""
    return Solid(
        shape.bounds(),
        lambda x, y, z: shallowest(shape.depth(x, y, z), *(-h.depth(x, y, z) for h in holes)),
    )


def shrunk(shape: Shape, millimetres: float) -> Solid:
    """Return `shape` with its surface moved inwards."""
    low, high = (np.asarray(corner) for corner in shape.bounds())
    margin = np.minimum(millimetres, (high - low) / 2)
    return Solid(
        (tuple(low + margin), tuple(high - margin)), lambda x, y, z: shape.depth(x, y, z) - millimetres
    )


def shell(shape: Shape, thickness: float) -> Solid:
    """Return the outermost `thickness` mm of `shape`."""

    def depth(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        inside = shape.depth(x, y, z)
        return torch.minimum(inside, thickness - inside)

    return Solid(shape.bounds(), depth)
