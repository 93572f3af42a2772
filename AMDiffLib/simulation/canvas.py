"""The voxel grid that a phantom is painted on."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from AMDiffLib.simulation.random_fields import smooth_field
from AMDiffLib.simulation.shapes import Coordinates, Shape


@dataclass
class Canvas:
    """SUV, attenuation and labels on an isotropic grid; all arrays are (z, y, x).

    x runs to the patient's left, y to the back, z to the head (LPS), in mm; x and y are zero at the centre,
    z at the lowest slice. Shapes are painted one over the other, each by the share of a voxel that it fills.
    """

    shape: tuple[int, int, int]
    voxel_mm: float
    rng: np.random.Generator
    bend_mm: float = 0.0
    suv: np.ndarray = field(init=False)
    attenuation: np.ndarray = field(init=False)
    organs: np.ndarray = field(init=False)
    lesions: np.ndarray = field(init=False)
    coordinates: Coordinates = field(init=False)
    _axes: tuple[np.ndarray, np.ndarray, np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        self.suv = np.zeros(self.shape, np.float32)
        self.attenuation = np.zeros(self.shape, np.float32)
        self.organs = np.zeros(self.shape, np.uint8)
        self.lesions = np.zeros(self.shape, np.uint8)
        depth, height, width = self.shape
        z = (np.arange(depth, dtype=np.float32) + 0.5) * self.voxel_mm
        y = (np.arange(height, dtype=np.float32) - (height - 1) / 2) * self.voxel_mm
        x = (np.arange(width, dtype=np.float32) - (width - 1) / 2) * self.voxel_mm
        self._axes = (x, y, z)
        grid = np.broadcast_arrays(x[None, None, :], y[None, :, None], z[:, None, None])
        bends = [
            smooth_field(self.shape, self.voxel_mm, 90.0, self.rng) * self.bend_mm if self.bend_mm else 0.0
            for _ in grid
        ]
        self.coordinates = tuple(g + b for g, b in zip(grid, bends, strict=True))

    def window(self, shape: Shape) -> tuple[slice, slice, slice] | None:
        """Return the (z, y, x) slices that hold `shape`, with room for the bend; None if it is outside."""
        low, high = shape.bounds()
        margin = 3 * self.bend_mm + 2 * self.voxel_mm
        spans = []
        for axis, first, last in zip(self._axes, low, high, strict=True):
            start, stop = np.searchsorted(axis, (first - margin, last + margin))
            if start >= stop:
                return None
            spans.append(slice(int(start), int(stop)))
        return spans[2], spans[1], spans[0]

    def fraction(self, shape: Shape, window: tuple[slice, slice, slice]) -> np.ndarray:
        """Return the share of each voxel in `window` that `shape` fills, 0..1."""
        x, y, z = (c[window] for c in self.coordinates)
        return np.clip(shape.depth(x, y, z) / np.float32(self.voxel_mm) + np.float32(0.5), 0, 1)

    def paint(
        self,
        shape: Shape,
        suv: float | None = None,
        *,
        attenuation: float | None = None,
        label: int | None = None,
        only_label: tuple[int, ...] | None = None,
    ) -> None:
        """Paint `shape` over what is there: `suv` in g/mL, `attenuation` in 1/cm, `label` as in the paper.

        `only_label` keeps the paint inside voxels that carry one of these labels.
        """
        window = self.window(shape)
        if window is None:
            return
        share = self.fraction(shape, window)
        if only_label is not None:
            share = share * np.isin(self.organs[window], only_label)
        if suv is not None:
            self.suv[window] += share * (np.float32(suv) - self.suv[window])
        if attenuation is not None:
            self.attenuation[window] += share * (np.float32(attenuation) - self.attenuation[window])
        if label is not None:
            self.organs[window][share >= 0.5] = label
