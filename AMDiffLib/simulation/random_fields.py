"""Smooth random fields in physical space: bends of the anatomy, texture of uptake, ragged borders.

A field is a cubic B-spline over white noise on a lattice of its own, so that its value at a point does not
depend on the voxel grid. Its axes separate: a box of voxels costs three small matrix products.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

Axes = tuple[torch.Tensor, torch.Tensor, torch.Tensor]

# Mean over a lattice cell of the sum of squared B-spline weights, per axis.
_MEAN_SQUARE_WEIGHT = 151 / 315


@dataclass(frozen=True, kw_only=True)
class SmoothField:
    """A field of zero mean and unit variance; `coefficients` (z, y, x) start at `origin` (x, y, z) in mm."""

    coefficients: torch.Tensor
    origin: tuple[float, float, float]
    step_mm: float

    def over(self, x: torch.Tensor, y: torch.Tensor) -> FieldColumns:
        """Return the field above the grid of points x and y (mm), to be read slab by slab."""
        weights, first, last = _spline_weights(
            (x - self.origin[0]) / self.step_mm, self.coefficients.shape[2]
        )
        rows = self.coefficients[..., first:last] @ weights.T
        weights, first, last = _spline_weights((y - self.origin[1]) / self.step_mm, rows.shape[1])
        return FieldColumns(
            planes=weights @ rows[:, first:last], first_mm=self.origin[2], step_mm=self.step_mm
        )

    def on_grid(self, axes: Axes) -> torch.Tensor:
        """Return the field (z, y, x) on the box of points whose `axes` (x, y, z) are given in mm."""
        return self.over(axes[0], axes[1]).slab(axes[2])

    def at(self, x: torch.Tensor, y: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """Return the field at any points, given by three tensors of one shape, in mm."""
        index, weights = [], []
        for value, start, size in zip((x, y, z), self.origin, reversed(self.coefficients.shape), strict=True):
            position = ((value - start) / self.step_mm).clamp(1.0, size - 2.001)
            first = position.to(torch.int64)
            t = position - first
            index.append(first - 1)
            weights.append(
                ((1 - t) ** 3 / 6, 2 / 3 - t**2 + t**3 / 2, 1 / 6 + (t + t**2 - t**3) / 2, t**3 / 6)
            )
        flat, (_, height, width) = self.coefficients.flatten(), self.coefficients.shape
        total = torch.zeros_like(x)
        for k in range(4):
            for j in range(4):
                row = ((index[2] + k) * height + index[1] + j) * width + index[0]
                line = sum(flat[row + i] * weights[0][i] for i in range(4))
                total += weights[2][k] * weights[1][j] * line
        return total


@dataclass(frozen=True, kw_only=True)
class FieldColumns:
    """A smooth field that is on the grid along x and y, still on its own lattice along z."""

    planes: torch.Tensor
    first_mm: float
    step_mm: float

    def slab(self, z: torch.Tensor) -> torch.Tensor:
        """Return the field (z, y, x) at heights z in mm."""
        weights, first, last = _spline_weights((z - self.first_mm) / self.step_mm, len(self.planes))
        planes = self.planes[first:last]
        return (weights @ planes.reshape(last - first, -1)).reshape(len(z), *planes.shape[1:])


def smooth_field(
    box: tuple[tuple[float, float, float], tuple[float, float, float]],
    scale_mm: float,
    rng: np.random.Generator,
    *,
    device: torch.device | str = "cpu",
) -> SmoothField:
    """Draw a field over `box` (low and high corner, x, y, z in mm) with features about `scale_mm` wide."""
    step = scale_mm / 2
    sizes = [int(np.ceil((high - low) / step)) + 4 for low, high in zip(*box, strict=True)]
    noise = rng.standard_normal(sizes[::-1]).astype(np.float32) / _MEAN_SQUARE_WEIGHT**1.5
    origin = tuple(float(low) - 1.5 * step for low in box[0])
    return SmoothField(coefficients=torch.from_numpy(noise).to(device), origin=origin, step_mm=step)


def _spline_weights(position: torch.Tensor, size: int) -> tuple[torch.Tensor, int, int]:
    """Return the matrix of cubic B-spline weights of `position` (in steps), and the coefficients it needs."""
    position = position.clamp(1.0, size - 2.001)
    first = max(int(position.min()) - 1, 0)
    last = min(int(position.max()) + 3, size)
    distance = (position[:, None] - torch.arange(first, last, device=position.device)).abs()
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = (2 - distance).clamp_min(0) ** 3 / 6
    return torch.where(distance < 1, near, far), first, last
