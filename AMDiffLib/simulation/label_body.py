"""Body outline and unlabelled tissue around the labels of a label map, with or without a CT."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from AMDiffLib.simulation.canvas import Canvas, Window
from AMDiffLib.simulation.placed_volume import PlacedVolume
from AMDiffLib.simulation.random_fields import Axes

# Outlines are worked out on a coarse grid, as signed distances, which interpolate smoothly.
COARSE_MM = 4.0
_BODY_HOUNSFIELD = -300.0
# Erosion by this much cuts the table off, whose top is thinner.
_TABLE_MM = 10.0
# Beyond the smooth outline the CT itself tells where the skin ends.
_RIM_MM = 3.5
# Without a CT: gaps between labels up to twice the first are inside the body, over which lie fat and skin.
_HULL_MM = 60.0
_FAT_MM = (8.0, 25.0)
_CAVITY_MM = 30.0
_SKIN_MM = 2.5
_FAT_HOUNSFIELD, _MUSCLE_HOUNSFIELD = -100.0, 30.0
_CORTICAL_HOUNSFIELD = 350.0


@dataclass(frozen=True, kw_only=True)
class BodyOutline:
    """Signed distances in mm, positive inside, of the skin and of the cavity that holds the organs.

    `fat_mm` is the thickness of the fat under the skin where no CT shows it.
    """

    skin: PlacedVolume
    cavity: PlacedVolume
    fat_mm: float = 0.0


def coarse_axes(canvas: Canvas) -> Axes:
    """Return the axes (x, y, z) in mm of a grid of `COARSE_MM` over what the canvas paints."""
    axes = []
    for axis in canvas.axes(canvas.painted):
        first, last = float(axis[0]), float(axis[-1])
        count = max(int(np.ceil((last - first) / COARSE_MM)) + 1, 2)
        axes.append(first + torch.arange(count, device=canvas.device) * COARSE_MM)
    return tuple(axes)


def outline_from_ct(axes: Axes, hounsfield: Tensor, organs: Tensor) -> BodyOutline:
    """Return the outline on a coarse grid: dense in the CT or labelled, the largest piece, filled.

    `hounsfield` and `organs` (true where an organ of the cavity is labelled) are (z, y, x).
    """
    dense = (hounsfield > _BODY_HOUNSFIELD).cpu().numpy() | organs.cpu().numpy()
    core = _distance(dense) > _TABLE_MM / 2
    body = ~(_distance(~_largest(core)) > _TABLE_MM / 2 + COARSE_MM) & dense
    return _outline(axes, _filled(body), organs)


def outline_from_labels(
    axes: Axes, labelled: Tensor, organs: Tensor, rng: np.random.Generator
) -> BodyOutline:
    """Return the outline on a coarse grid without a CT: the hull around the labels, with fat over it."""
    hull = _closed(labelled.cpu().numpy(), _HULL_MM)
    fat = float(rng.uniform(*_FAT_MM))
    return _outline(axes, _filled(_distance(~hull) <= fat), organs, fat_mm=fat)


def _outline(axes: Axes, body: np.ndarray, organs: Tensor, *, fat_mm: float = 0.0) -> BodyOutline:
    cavity = _closed(organs.cpu().numpy(), _CAVITY_MM) & body
    return BodyOutline(
        skin=_signed_distance(axes, body), cavity=_signed_distance(axes, cavity), fat_mm=fat_mm
    )


def _signed_distance(axes: Axes, mask: np.ndarray) -> PlacedVolume:
    values = _distance(mask) - _distance(~mask)
    matrix = np.concatenate([np.eye(3) / COARSE_MM, [[-float(axis[0]) / COARSE_MM] for axis in axes]], axis=1)
    return PlacedVolume(values=torch.from_numpy(values).to(axes[0]), matrix=matrix)


def _distance(mask: np.ndarray) -> np.ndarray:
    """Return how far in mm each true voxel is from the face of the nearest false one."""
    if mask.all():
        return np.full(mask.shape, 1e3, np.float32)
    distance = ndimage.distance_transform_edt(mask) * COARSE_MM - COARSE_MM / 2
    return np.maximum(distance, 0).astype(np.float32)


def _closed(mask: np.ndarray, radius_mm: float) -> np.ndarray:
    if not mask.any():
        return mask
    # Room at the sides lets the hull grow there; at the ends the anatomy goes on.
    room = int(np.ceil(radius_mm / COARSE_MM)) + 1
    padded = np.pad(mask, ((0, 0), (room, room), (room, room)))
    grown = _distance(~padded) <= radius_mm
    return (_distance(grown) > radius_mm)[:, room:-room, room:-room] | mask


def _largest(mask: np.ndarray) -> np.ndarray:
    pieces, count = ndimage.label(mask)
    if count == 0:
        return mask
    return pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])


def _filled(mask: np.ndarray) -> np.ndarray:
    return np.stack([ndimage.binary_fill_holes(plane) for plane in mask])


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What fills the body where no label does: skin, fat, muscle and unlabelled bone.

    `hounsfield` (z, y, x) covers the canvas's grid; None without a CT.
    """

    outline: BodyOutline
    hounsfield: Tensor | None = None

    def body_share(self, canvas: Canvas, piece: Window) -> Tensor:
        """Return the share of each voxel that lies in the body."""
        depth = self.outline.skin.at(canvas.axes(piece))
        if self.hounsfield is None:
            return _inside(depth, canvas)
        rim = _inside(depth + _RIM_MM, canvas)
        return torch.where(depth > _RIM_MM, 1.0, rim * density(self.hounsfield[piece]))

    def tissues(self, canvas: Canvas, piece: Window) -> dict[str, Tensor]:
        """Return the shares of tissues (by structure) in what no label claims: in all 1, less in air."""
        axes = canvas.axes(piece)
        depth, cavity = self.outline.skin.at(axes), _inside(self.outline.cavity.at(axes), canvas)
        skin = _inside(_SKIN_MM - depth, canvas)
        if self.hounsfield is None:
            lean = _inside(depth - self.outline.fat_mm, canvas) * (1 - cavity)
            bone, full = torch.zeros_like(lean), torch.ones_like(lean)
        else:
            units = self.hounsfield[piece]
            # A voxel of fat and muscle has the mean of their Hounsfield units.
            lean = ((units - _FAT_HOUNSFIELD) / (_MUSCLE_HOUNSFIELD - _FAT_HOUNSFIELD)).clamp(0, 1)
            bone, full = (units > _CORTICAL_HOUNSFIELD).float(), density(units)
        inner = full * (1 - skin)
        soft, fat = inner * lean * (1 - bone), inner * (1 - lean) * (1 - bone)
        return {
            "skin": full * skin,
            "unlabelled bone": inner * bone,
            "skeletal muscle": soft * (1 - cavity),
            "mesentery": soft * cavity,
            "visceral fat": fat * cavity,
            "subcutaneous fat": fat * (1 - cavity),
        }


def density(hounsfield: Tensor) -> Tensor:
    """Return the share of a voxel that is not air, from its Hounsfield units; fat and all denser is full."""
    return ((hounsfield + 1000) / (1000 + _FAT_HOUNSFIELD)).clamp(0, 1)


def _inside(depth: Tensor, canvas: Canvas) -> Tensor:
    return (depth / canvas.edge_mm + 0.5).clamp(0, 1)
