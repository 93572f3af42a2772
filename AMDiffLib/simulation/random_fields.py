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

    def on_grid(self, axes: Axes) -> torch.Tensor:
        """Return the field (z, y, x) on the box of points whose `axes` (x, y, z) are given in mm."""
        values = self.coefficients
        for dimension, (axis, start) in enumerate(zip(axes, self.origin, strict=True)):
            weights, first, last = _spline_weights((axis - start) / self.step_mm, values.shape[2 - dimension])
            if dimension == 0:
                values = values[..., first:last] @ weights.T
            elif dimension == 1:
                values = weights @ values[:, first:last]
            else:
                flat = values[first:last].reshape(last - first, -1)
                values = (weights @ flat).reshape(len(axis), *values.shape[1:])
        return values


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
