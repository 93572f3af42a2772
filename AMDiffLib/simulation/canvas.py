"""The voxel grid that a phantom is painted on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from AMDiffLib.simulation.random_fields import Axes, SmoothField
from AMDiffLib.simulation.shapes import Bounds, Shape

Window = tuple[slice, slice, slice]

# About what a core's cache holds of one array; larger temporaries cost more time than the arithmetic.
_VOXELS_AT_ONCE = {"cpu": 160_000, "cuda": 16_000_000}


@dataclass(frozen=True, kw_only=True)
class Deformation:
    """Displacement of the anatomy: the point at p on the grid shows what the shapes have at p + u(p), in mm.

    `fields` holds, for each scale, its amplitude (SD, mm) and its three components.
    """

    fields: tuple[tuple[float, tuple[SmoothField, SmoothField, SmoothField]], ...]

    @property
    def reach_mm(self) -> float:
        """A bound on the displacement along an axis that is hardly ever passed: 3 SD."""
        return 3 * float(np.sqrt(sum(amplitude**2 for amplitude, _ in self.fields)))

    def along(self, component: int, axes: Axes) -> Tensor:
        """Return one component of the displacement (z, y, x) in mm on the box with these axes (x, y, z)."""
        return sum(amplitude * fields[component].on_grid(axes) for amplitude, fields in self.fields)


class Canvas:
    """SUV, attenuation and labels on a grid; all arrays are (z, y, x).

    x runs to the patient's left, y to the back, z to the head (LPS), in mm; x and y are zero at the centre,
    z at the lowest face. Shapes are painted one over the other, each by the share of a voxel that it fills.
    `structures` holds the position in `structure_names` of what was last painted; 0 is nothing.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        spacing_mm: tuple[float, float, float],
        *,
        deformation: Deformation | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.shape, self.spacing_mm, self.deformation = tuple(shape), tuple(spacing_mm), deformation
        self.device = torch.device(device)
        self.suv = torch.zeros(self.shape, device=self.device)
        self.attenuation = torch.zeros(self.shape, device=self.device)
        self.organs = torch.zeros(self.shape, dtype=torch.uint8, device=self.device)
        self.lesions = torch.zeros(self.shape, dtype=torch.uint8, device=self.device)
        self.structures = torch.zeros(self.shape, dtype=torch.uint8, device=self.device)
        self.structure_names: list[str] = [""]
        (depth, height, width), (dz, dy, dx) = self.shape, self.spacing_mm
        self._axes = tuple(
            torch.from_numpy(axis.astype(np.float32)).to(self.device)
            for axis in (
                (np.arange(width) - (width - 1) / 2) * dx,
                (np.arange(height) - (height - 1) / 2) * dy,
                (np.arange(depth) + 0.5) * dz,
            )
        )
        self._edge_mm = float(np.prod(self.spacing_mm) ** (1 / 3))

    def structure(self, name: str) -> int:
        """Return the number of a structure in `structures`; a new name is added."""
        if name not in self.structure_names:
            self.structure_names.append(name)
        return self.structure_names.index(name)

    def box(self) -> Bounds:
        """Return the low and high corner (x, y, z) of the grid in mm."""
        (depth, height, width), (dz, dy, dx) = self.shape, self.spacing_mm
        half_width, half_height = width * dx / 2, height * dy / 2
        return (-half_width, -half_height, 0.0), (half_width, half_height, depth * dz)

    def window(self, shape: Shape) -> Window | None:
        """Return the slices (z, y, x) that hold `shape`, with room for the bend; None if it is outside."""
        margin = 1.5 * max(self.spacing_mm) + (self.deformation.reach_mm if self.deformation else 0.0)
        spans = []
        for size, spacing, first, low, high in zip(
            self.shape[::-1], self.spacing_mm[::-1], self._firsts, *shape.bounds(), strict=True
        ):
            start = max(int(np.ceil((low - margin - first) / spacing)), 0)
            stop = min(int(np.floor((high + margin - first) / spacing)) + 1, size)
            if start >= stop:
                return None
            spans.append(slice(start, stop))
        return spans[2], spans[1], spans[0]

    @property
    def _firsts(self) -> tuple[float, float, float]:
        (_, height, width), (dz, dy, dx) = self.shape, self.spacing_mm
        return -(width - 1) / 2 * dx, -(height - 1) / 2 * dy, dz / 2

    def pieces(self, window: Window | None = None) -> Iterator[Window]:
        """Cut a window (the whole grid by default) into slabs that fit the cache."""
        window = window or tuple(slice(0, n) for n in self.shape)
        (first, last), rows, columns = (window[0].start, window[0].stop), window[1], window[2]
        area = (rows.stop - rows.start) * (columns.stop - columns.start)
        step = max(_VOXELS_AT_ONCE[self.device.type] // max(area, 1), 1)
        for start in range(first, last, step):
            yield slice(start, min(start + step, last)), rows, columns

    def axes(self, window: Window, *, fine: int = 1) -> Axes:
        """Return the positions of a window's voxels along x, y and z in mm, or of `fine` points in each."""
        axes = (axis[span] for axis, span in zip(self._axes, reversed(window), strict=True))
        if fine == 1:
            return tuple(axes)
        inner = (torch.arange(fine, device=self.device) + 0.5) / fine - 0.5
        return tuple(
            (axis[:, None] + inner * spacing).flatten()
            for axis, spacing in zip(axes, reversed(self.spacing_mm), strict=True)
        )

    def points(self, window: Window, *, fine: int = 1) -> tuple[Tensor, Tensor, Tensor]:
        """Return x, y and z (mm, each (z, y, x)) where the shapes are looked up for a window's voxels."""
        x, y, z = axes = self.axes(window, fine=fine)
        grid = x[None, None, :], y[None, :, None], z[:, None, None]
        if self.deformation is None:
            return tuple(torch.broadcast_tensors(*grid))
        return tuple(g + self.deformation.along(i, axes) for i, g in enumerate(grid))

    def fill(self, shape: Shape, window: Window, *, fine: int = 1) -> Tensor:
        """Return the share (0..1) of each voxel of a window that `shape` fills.

        `fine` looks at that many points per voxel and axis, for what is about as small as a voxel.
        """
        return self._fill(shape.depth(*self.points(window, fine=fine)), fine)

    def _fill(self, depth: Tensor, fine: int) -> Tensor:
        share = (depth * (fine / self._edge_mm) + 0.5).clamp(0, 1)
        return share if fine == 1 else F.avg_pool3d(share[None, None], fine)[0, 0]

    def paint(
        self,
        shape: Shape,
        suv: float | Callable[[Tensor, Tensor, Tensor], Tensor] | None = None,
        *,
        attenuation: float | None = None,
        label: int | None = None,
        structure: str | None = None,
        fine: int = 1,
        only: Collection[str] = (),
    ) -> None:
        """Paint `shape` over what is there.

        `suv` (g/mL) is a number or a function of x, y, z; `attenuation` in 1/cm; `label` as in the paper;
        `only` keeps the paint to voxels that belong to one of these structures.
        """
        window = self.window(shape)
        if window is None:
            return
        for piece in self.pieces(window):
            points = self.points(piece, fine=fine)
            share = self._fill(shape.depth(*points), fine)
            if only:
                allowed = torch.tensor([self.structure(name) for name in only], device=self.device)
                share = share * torch.isin(self.structures[piece], allowed)
            if suv is not None:
                value = suv(*self.points(piece)) if callable(suv) else suv
                self.suv[piece] += share * (value - self.suv[piece])
            if attenuation is not None:
                self.attenuation[piece] += share * (attenuation - self.attenuation[piece])
            if label is not None or structure is not None:
                inside = share >= 0.5
                if label is not None:
                    self.organs[piece].masked_fill_(inside, label)
                if structure is not None:
                    self.structures[piece].masked_fill_(inside, self.structure(structure))
