"""From extents to views: the body fills each plane, the slab of a MIP holds the whole volume."""

from __future__ import annotations

from dataclasses import dataclass

import vtk

from .reading_layout import MIP, PLANES, slice_views

# Muscle takes up SUV 0.5 or more; air around the patient is near 0.
_BODY_SUV = 0.2
_MARGIN = 1.04


@dataclass(frozen=True, kw_only=True)
class Extent:
    """A box of voxels of a volume: its 8 corners, in mm RAS, and its centre."""

    corners: tuple[tuple[float, float, float], ...]

    @property
    def centre(self) -> tuple[float, float, float]:
        """The middle of the box."""
        return tuple(sum(axis) / len(self.corners) for axis in zip(*self.corners, strict=True))

    def length_along(self, direction) -> float:
        """Return how far the box reaches along a unit vector, in mm."""
        return _range([_dot(corner, direction) for corner in self.corners])

    def middle_along(self, direction) -> float:
        """Return the coordinate of the middle of the box along a unit vector, in mm."""
        return _dot(self.centre, direction)


def volume_extent(volume_node) -> Extent:
    """Return the whole volume, from the outer face of its first voxels to that of its last."""
    shape = volume_node.GetImageData().GetDimensions()
    return _box(volume_node, [(-0.5, length - 0.5) for length in shape])


def body_extent(suv_volume_node) -> Extent:
    """Return the box around what takes up tracer; the whole volume where nothing does."""
    import slicer

    body = slicer.util.arrayFromVolume(suv_volume_node) > _BODY_SUV
    ranges = []
    for axis in (2, 1, 0):
        others = tuple(other for other in range(3) if other != axis)
        planes = body.any(axis=others).nonzero()[0]
        if len(planes) == 0:
            return volume_extent(suv_volume_node)
        ranges.append((planes[0] - 0.5, planes[-1] + 0.5))
    return _box(suv_volume_node, ranges)


def fit_views(scene, *, body: Extent, volume: Extent) -> None:
    """Show the body from edge to edge in every reading view, the planes through its middle."""
    for _volume, view, slice_node, _composite in slice_views(scene, *PLANES, MIP):
        centre = body.centre
        if view == MIP:
            centre = _use_whole_slab(slice_node, centre, volume)
        across, up, _normal = _axes(slice_node)
        width, height = slice_node.GetDimensions()[:2]
        mm = _MARGIN * max(body.length_along(across) / width, body.length_along(up) / height)
        slice_node.SetFieldOfView(mm * width, mm * height, slice_node.GetFieldOfView()[2])
        slice_node.SetXYZOrigin(0.0, 0.0, 0.0)
        slice_node.JumpSliceByCentering(*centre)


def _use_whole_slab(slice_node, centre, volume: Extent):
    """Make the view a maximum intensity projection of the volume; returns where its plane has to lie."""
    normal = _axes(slice_node)[2]
    slice_node.SetSlabReconstructionType(vtk.VTK_IMAGE_SLAB_MAX)
    # Slicer takes thickness / spacing planes that lie spacing / factor apart: with 1 they fill the slab.
    slice_node.SetSlabReconstructionOversamplingFactor(1.0)
    slice_node.SetSlabReconstructionThickness(volume.length_along(normal))
    slice_node.SetSlabReconstructionEnabled(True)
    shift = volume.middle_along(normal) - _dot(centre, normal)
    return tuple(value + shift * component for value, component in zip(centre, normal, strict=True))


def _axes(slice_node):
    """Return the view's unit vectors in RAS: to the right, upwards, and along its normal."""
    matrix = slice_node.GetSliceToRAS()
    axes = []
    for column in range(3):
        axis = [matrix.GetElement(row, column) for row in range(3)]
        vtk.vtkMath.Normalize(axis)
        axes.append(tuple(axis))
    return axes


def _box(volume_node, ranges) -> Extent:
    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    (i0, i1), (j0, j1), (k0, k1) = ranges
    corners = [matrix.MultiplyPoint((i, j, k, 1.0))[:3] for i in (i0, i1) for j in (j0, j1) for k in (k0, k1)]
    return Extent(corners=tuple(corners))


def _dot(first, second) -> float:
    return sum(a * b for a, b in zip(first, second, strict=True))


def _range(values) -> float:
    return max(values) - min(values)
