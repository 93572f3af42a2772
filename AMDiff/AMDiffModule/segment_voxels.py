"""The voxels of segments on the grid of a volume, layer by layer, without exporting the segmentation."""

from __future__ import annotations

from dataclasses import dataclass

import slicer
import vtk


@dataclass(frozen=True, kw_only=True)
class Layer:
    """Segments that share one labelmap and so do not overlap.

    `box` is where `labels` (z, y, x) lie in the volume; `segment_ids` are the segments by label value.
    """

    box: tuple
    labels: object
    segment_ids: dict


def layers_of(segmentation_node, volume_node) -> list[Layer]:
    """Return the layers of a segmentation on the grid of a volume; either may lie under a transform.

    What lies outside the volume is cut off. A segment without voxels is in no layer, or in one without its
    label.
    """
    name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    segmentation = segmentation_node.GetSegmentation()
    # Surfaces edited elsewhere have no voxels until they are asked for.
    if segmentation.GetNumberOfSegments() and not segmentation.ContainsRepresentation(name):
        segmentation_node.CreateBinaryLabelmapRepresentation()
    labelmaps, members = {}, {}
    for segment_id in segmentation.GetSegmentIDs():
        segment = segmentation.GetSegment(segment_id)
        labelmap = segment.GetRepresentation(name)
        if labelmap is not None and labelmap.GetPointData().GetScalars() is not None:
            labelmaps[id(labelmap)] = labelmap
            members.setdefault(id(labelmap), {})[segment.GetLabelValue()] = segment_id
    found = []
    for key, labelmap in labelmaps.items():
        start, labels = _on_grid(labelmap, segmentation_node, volume_node)
        shape = volume_node.GetImageData().GetDimensions()[::-1]
        first = [max(0, -s) for s in start]
        last = [min(size, n - s) for size, n, s in zip(labels.shape, shape, start, strict=True)]
        if all(a < b for a, b in zip(first, last, strict=True)):
            inside = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
            box = tuple(slice(s + a, s + b) for s, a, b in zip(start, first, last, strict=True))
            found.append(Layer(box=box, labels=labels[inside], segment_ids=members[key]))
    return found


def _on_grid(labelmap, segmentation_node, volume_node):
    """Return where a labelmap starts on the volume's grid, (z, y, x), and its labels."""
    from vtk.util.numpy_support import vtk_to_numpy

    steps = _whole_steps(labelmap, segmentation_node, volume_node)
    if steps is None:
        labelmap, steps = _resampled(labelmap, segmentation_node, volume_node), (0, 0, 0)
    extent = labelmap.GetExtent()
    start = [extent[2 * axis] + steps[axis] for axis in (2, 1, 0)]
    labels = vtk_to_numpy(labelmap.GetPointData().GetScalars())
    return start, labels.reshape(labelmap.GetDimensions()[::-1])


def _whole_steps(labelmap, segmentation_node, volume_node):
    """Return how many voxels (x, y, z) the labelmap's grid is shifted; None where it is another grid."""
    import numpy as np

    if segmentation_node.GetParentTransformNode() is not volume_node.GetParentTransformNode():
        return None
    matrix = vtk.vtkMatrix4x4()
    labelmap.GetImageToWorldMatrix(matrix)
    to_world = slicer.util.arrayFromVTKMatrix(matrix)
    volume_node.GetIJKToRASMatrix(matrix)
    between = np.linalg.inv(slicer.util.arrayFromVTKMatrix(matrix)) @ to_world
    shift = np.rint(between[:3, 3])
    # A labelmap written to a file and read again differs by rounding only.
    if np.abs(between[:3, :3] - np.eye(3)).max() > 1e-5 or np.abs(between[:3, 3] - shift).max() > 5e-3:
        return None
    return [int(step) for step in shift]


def _resampled(labelmap, segmentation_node, volume_node):
    grid = slicer.vtkOrientedImageData()
    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    grid.SetExtent(volume_node.GetImageData().GetExtent())
    grid.SetGeometryFromImageToWorldMatrix(matrix)
    transform = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(
        segmentation_node.GetParentTransformNode(), volume_node.GetParentTransformNode(), transform
    )
    resampled = slicer.vtkOrientedImageData()
    slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(
        labelmap, grid, resampled, False, False, transform
    )
    return resampled
