"""A volume with its place in the patient, sampled anywhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
import torch
import torch.nn.functional as F
from torch import Tensor

from AMDiffLib.simulation.random_fields import Axes
from AMDiffLib.simulation.shapes import Bounds


@dataclass(frozen=True, kw_only=True)
class PlacedVolume:
    """`values` (k, j, i), float32; `matrix` (3, 4) takes (x, y, z) in mm to the voxel (i, j, k) there."""

    values: Tensor
    matrix: np.ndarray

    def at(self, axes: Axes) -> Tensor:
        """Return the values (z, y, x), linearly interpolated, on the box of these axes; 0 beyond."""
        x, y, z = axes
        sizes = self.values.shape[::-1]
        coordinates = []
        for row, size in zip(self.matrix, sizes, strict=True):
            a, b, c, d = (float(v) for v in row)
            index = (a * x)[None, None, :] + (b * y)[None, :, None] + (c * z)[:, None, None] + d
            # grid_sample counts from -1 to 1 over the centres of the outermost voxels.
            coordinates.append(index * (2 / max(size - 1, 1)) - 1)
        grid = torch.stack(torch.broadcast_tensors(*coordinates), dim=-1)
        sampled = F.grid_sample(
            self.values[None, None], grid[None], mode="bilinear", padding_mode="zeros", align_corners=True
        )
        return sampled[0, 0]

    def part(self, start: tuple[int, int, int], values: Tensor, shrink: tuple[int, int, int]) -> PlacedVolume:
        """Return a volume that lies in this one from voxel `start` (k, j, i), each voxel `shrink` as wide."""
        matrix = self.matrix.copy()
        for row, first, factor in zip(matrix, start[::-1], shrink[::-1], strict=True):
            row[3] -= first + (factor - 1) / 2
            row /= factor
        return PlacedVolume(values=values, matrix=matrix)

    def bounds(self) -> Bounds:
        """Return the low and high corner (x, y, z) in mm of a box that holds the volume's voxels."""
        sizes = np.array(self.values.shape[::-1])
        corners = np.stack(np.meshgrid(*((-0.5, n - 0.5) for n in sizes), indexing="ij"), -1).reshape(-1, 3)
        points = (corners - self.matrix[:, 3]) @ np.linalg.inv(self.matrix[:, :3]).T
        return tuple(points.min(axis=0)), tuple(points.max(axis=0))


def voxel_matrix(image: sitk.Image, origin: np.ndarray) -> np.ndarray:
    """Return the (3, 4) matrix from (x, y, z) in mm, LPS from `origin` on, to the voxel index (i, j, k)."""
    forward = np.reshape(image.GetDirection(), (3, 3)) * np.array(image.GetSpacing())
    inverse = np.linalg.inv(forward)
    offset = inverse @ (origin - np.array(image.GetOrigin()))
    return np.concatenate([inverse, offset[:, None]], axis=1)
