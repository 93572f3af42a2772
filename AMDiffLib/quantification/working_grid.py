"""Blocks of whole voxels, on which fine images are looked at coarsely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from AMDiffLib.quantification.grid import Box

BLOCK_MM = 4.0
"""Finer voxels are averaged to about this size: PET resolves 4 to 7 mm, so that finer ones cost time only."""


@dataclass(frozen=True, kw_only=True)
class WorkingGrid:
    """Blocks of about 4 mm on an image of `image_shape` (z, y, x); the last block may reach beyond it.

    `factors` (z, y, x) are voxels a block, `spacing` (x, y, z) is a block's size in mm.
    """

    image_shape: tuple[int, int, int]
    factors: tuple[int, int, int]
    spacing: tuple[float, float, float]

    @classmethod
    def of(cls, image_shape: Sequence[int], spacing: Sequence[float]) -> WorkingGrid:
        """Return the grid for an image of voxels of `spacing` (x, y, z) mm."""
        factors = tuple(max(1, round(BLOCK_MM / float(size))) for size in reversed(list(spacing)))
        return cls(
            image_shape=tuple(image_shape),
            factors=factors,
            spacing=tuple(float(s) * f for s, f in zip(spacing, reversed(factors), strict=True)),
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Blocks along z, y, x."""
        return tuple(-(-n // factor) for n, factor in zip(self.image_shape, self.factors, strict=True))

    def mean(self, image: np.ndarray) -> np.ndarray:
        """Return the mean of the voxels of each block, float32."""
        image = np.asarray(image, np.float32)
        for axis, factor in enumerate(self.factors):
            if factor == 1:
                continue
            missing = [(0, -n % factor if a == axis else 0) for a, n in enumerate(image.shape)]
            image = np.pad(image, missing, mode="edge")
            sides = (*image.shape[:axis], -1, factor, *image.shape[axis + 1 :])
            image = image.reshape(sides).mean(axis=axis + 1, dtype=np.float32)
        return image

    def blocks(self, box: Box) -> Box:
        """Return the box of blocks that holds a box of voxels."""
        return tuple(
            slice(side.start // factor, -(-side.stop // factor))
            for side, factor in zip(box, self.factors, strict=True)
        )

    def voxels_by_block(self, mask: np.ndarray, box: Box) -> np.ndarray:
        """Return how many voxels of `mask`, which fills `box` of the image, lie in each of `blocks(box)`."""
        count = np.asarray(mask, np.float64)
        for axis, (side, factor) in enumerate(zip(box, self.factors, strict=True)):
            # A box need not begin where a block does.
            first = side.start // factor
            starts = [max(0, b * factor - side.start) for b in range(first, -(-side.stop // factor))]
            count = np.add.reduceat(count, starts, axis=axis)
        return count

    def on_image(self, values: np.ndarray) -> np.ndarray:
        """Return each voxel's block value, on the image's grid."""
        for axis, (factor, n) in enumerate(zip(self.factors, self.image_shape, strict=True)):
            if factor > 1:
                values = np.repeat(values, factor, axis=axis)
            values = values[(slice(None),) * axis + (slice(n),)]
        return np.ascontiguousarray(values)
