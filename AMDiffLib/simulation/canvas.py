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
from AMDiffLib.simulation.tissue import attenuation_of, label_of

Window = tuple[slice, slice, slice]
Uptake = float | Callable[[Tensor, Tensor, Tensor], Tensor]

# About what a core's cache holds of one array; larger temporaries cost more time than the arithmetic.
_VOXELS_AT_ONCE = {"cpu": 160_000, "cuda": 16_000_000}
# No shape is looked at more closely than this many points per voxel and axis.
_FINEST = 8


@dataclass(frozen=True, kw_only=True)
class Deformation:
    """Displacement of the anatomy: the point at p on the grid shows what the shapes have at p + u(p), in mm.

    `fields` holds, for each scale, its amplitude (SD, mm) and its three components.
    """

    fields: tuple[tuple[float, tuple[SmoothField, SmoothField, SmoothField]], ...]

    @property
    def reach_mm(self) -> float:
        """A displacement along an axis that is hardly ever passed: 3 SD."""
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
        extent: Bounds | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        """Make an empty grid; nothing is painted outside `extent` (low and high corner x, y, z in mm)."""
        self.shape, self.spacing_mm, self.deformation = tuple(shape), tuple(spacing_mm), deformation
        self.device = torch.device(device)
        # numpy leaves pages that nothing is painted on to the operating system; torch.zeros writes them all.
        self.suv, self.attenuation = (self._empty(np.float32) for _ in range(2))
        self.organs, self.lesions, self.structures = (self._empty(np.uint8) for _ in range(3))
        self.structure_names: list[str] = [""]
        self.edge_mm = float(np.prod(self.spacing_mm) ** (1 / 3))
        (depth, height, width), (dz, dy, dx) = self.shape, self.spacing_mm
        self._axes = tuple(
            torch.from_numpy(axis.astype(np.float32)).to(self.device)
            for axis in (
                (np.arange(width) - (width - 1) / 2) * dx,
                (np.arange(height) - (height - 1) / 2) * dy,
                (np.arange(depth) + 0.5) * dz,
            )
        )
        # Random fields are drawn over the extent, which does not depend on the voxels.
        self.extent = extent or self._box()
        self.painted = self.slices(extent) if extent else tuple(slice(0, n) for n in self.shape)
        self._shift = None if deformation is None else self._displacement(deformation)

    def _empty(self, dtype: type) -> Tensor:
        return torch.from_numpy(np.zeros(self.shape, dtype)).to(self.device)

    def _box(self) -> Bounds:
        (depth, height, width), (dz, dy, dx) = self.shape, self.spacing_mm
        half_width, half_height = width * dx / 2, height * dy / 2
        return (-half_width, -half_height, 0.0), (half_width, half_height, depth * dz)

    def structure(self, name: str) -> int:
        """Return the number of a structure in `structures`; a new name is added."""
        if name not in self.structure_names:
            self.structure_names.append(name)
        return self.structure_names.index(name)

    def window(self, shape: Shape) -> Window | None:
        """Return the slices (z, y, x) that hold `shape`, with room for the bend; None if it is outside."""
        margin = max(self.spacing_mm) + (self.deformation.reach_mm if self.deformation else 0.0)
        low, high = (np.asarray(corner, float) for corner in shape.bounds())
        window = tuple(
            slice(max(span.start, limit.start), min(span.stop, limit.stop))
            for span, limit in zip(self.slices((low - margin, high + margin)), self.painted, strict=True)
        )
        return window if all(span.start < span.stop for span in window) else None

    def slices(self, bounds: Bounds) -> Window:
        """Return the slices (z, y, x) of the voxels whose centres lie between two corners (x, y, z) in mm."""
        spans = []
        for axis, low, high in zip(self._axes, *bounds, strict=True):
            first, spacing = float(axis[0]), float(axis[1] - axis[0])
            start = min(max(int(np.ceil((low - first) / spacing)), 0), len(axis))
            stop = min(max(int(np.floor((high - first) / spacing)) + 1, 0), len(axis))
            spans.append(slice(start, stop))
        return spans[2], spans[1], spans[0]

    def pieces(self, window: Window | None = None, *, fine: int = 1) -> Iterator[Window]:
        """Cut a window (all that is painted, by default) into slabs whose points fit the cache."""
        planes, rows, columns = window or self.painted
        area = (rows.stop - rows.start) * (columns.stop - columns.start)
        step = max(_VOXELS_AT_ONCE[self.device.type] // max(area * fine**3, 1), 1 if fine > 1 else 2)
        for start in range(planes.start, planes.stop, step):
            yield slice(start, min(start + step, planes.stop)), rows, columns

    def axes(self, window: Window, *, fine: int = 1) -> Axes:
        """Return the positions of a window's voxels along x, y and z in mm, or of `fine` points in each."""
        axes = tuple(axis[span] for axis, span in zip(self._axes, reversed(window), strict=True))
        if fine == 1:
            return axes
        inner = (torch.arange(fine, device=self.device) + 0.5) / fine - 0.5
        return tuple(
            (axis[:, None] + inner * spacing).flatten()
            for axis, spacing in zip(axes, reversed(self.spacing_mm), strict=True)
        )

    def points(self, window: Window, *, fine: int = 1) -> tuple[Tensor, Tensor, Tensor]:
        """Return x, y and z (mm, each (z, y, x)) where the shapes are looked up for a window's voxels."""
        axes = self.axes(window, fine=fine)
        x, y, z = axes
        grid = x[None, None, :], y[None, :, None], z[:, None, None]
        if self.deformation is None:
            return tuple(torch.broadcast_tensors(*grid))
        if fine > 1:
            return tuple(g + self.deformation.along(i, axes) for i, g in enumerate(grid))
        inner = tuple(
            slice(span.start - whole.start, span.stop - whole.start)
            for span, whole in zip(window, self.painted, strict=True)
        )
        return tuple(g + self._shift[i][inner] for i, g in enumerate(grid))

    def _displacement(self, deformation: Deformation) -> tuple[Tensor, Tensor, Tensor]:
        size = [span.stop - span.start for span in self.painted]
        x, y, _ = self.axes(self.painted)
        shifts = []
        for component in range(3):
            columns = [(sd, fields[component].over(x, y)) for sd, fields in deformation.fields]
            shift = torch.empty(size, device=self.device)
            for piece in self.pieces():
                first = piece[0].start - self.painted[0].start
                z = self.axes(piece)[2]
                shift[first : first + len(z)] = sum(sd * column.slab(z) for sd, column in columns)
            shifts.append(shift)
        return tuple(shifts)

    def fineness(self, detail_mm: float) -> int:
        """Return how many points per voxel and axis it takes to see details of this size."""
        return min(max(int(np.ceil(self.edge_mm / detail_mm - 0.05)), 1), _FINEST)

    def fill(self, shape: Shape, window: Window, *, detail_mm: float = 5.0) -> Tensor:
        """Return the share (0..1) of each voxel of a window that `shape` fills.

        Where voxels are wider than `detail_mm`, several points in each are looked at; the shape's own
        curvature has to be gentle within it.
        """
        fine = self.fineness(detail_mm)
        depth = shape.depth(*self.points(window, fine=fine))
        share = (depth * (fine / self.edge_mm) + 0.5).clamp_(0, 1)
        return share if fine == 1 else F.avg_pool3d(share[None, None], fine)[0, 0]

    def paint(
        self,
        shape: Shape,
        suv: Uptake | None,
        structure: str | None = None,
        *,
        attenuation: float | None = None,
        only: Collection[str] = (),
        detail_mm: float = 5.0,
    ) -> None:
        """Paint `shape` over what is there.

        Args:
            shape: where.
            suv: g/mL, a number or a function of x, y, z in mm; None keeps what is there.
            structure: name of what is painted; gives its label and attenuation. None keeps all three.
            attenuation: 1/cm, where it is not that of the structure.
            only: keeps the paint to voxels that belong to one of these structures.
            detail_mm: how closely the shape is looked at, see `fill`.
        """
        window = self.window(shape)
        if window is None:
            return
        if attenuation is None and structure is not None:
            attenuation = attenuation_of(structure)
        for piece in self.pieces(window, fine=self.fineness(detail_mm)):
            share = self.fill(shape, piece, detail_mm=detail_mm)
            if only:
                allowed = torch.tensor([self.structure(name) for name in only], device=self.device)
                share *= torch.isin(self.structures[piece], allowed.to(torch.uint8))
            self.lay(piece, share, suv, structure, attenuation)

    def lay(
        self,
        piece: Window,
        share: Tensor,
        suv: Uptake | None,
        structure: str | None = None,
        attenuation: float | None = None,
    ) -> None:
        """Replace `share` of each voxel of a window by a substance; see `paint`."""
        if suv is not None:
            value = suv(*self.points(piece)) if callable(suv) else suv
            here = self.suv[piece]
            here += share * (value - here)
        if attenuation is not None:
            here = self.attenuation[piece]
            here += share * (attenuation - here)
        if structure is not None:
            inside = share >= 0.5
            self.organs[piece].masked_fill_(inside, label_of(structure))
            self.structures[piece].masked_fill_(inside, self.structure(structure))
