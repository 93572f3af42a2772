"""The lesions' outlines on the MIPs: a slice view outlines only what its own plane cuts."""

from __future__ import annotations

import itertools
import math

import slicer
import vtk

from .display import is_lesion
from .reading_layout import MIP, slice_views
from .segment_voxels import layers_of
from .translation import _

_ATTRIBUTE = "AMDiff.mipOutlines"
_LINE_WIDTH = 2


def show_mip_outlines(scene, segmentation_node, volume_node, *, visible: bool) -> None:
    """Outline the lesions that are shown, as they project along the patient's anterior axis, on the MIPs."""
    mips = _mip_ids(scene)
    model = _outline_model(scene)
    model.SetAndObservePolyData(projected_outlines(segmentation_node, volume_node))
    display = model.GetDisplayNode()
    display.RemoveAllViewNodeIDs()
    for identity in mips:
        display.AddViewNodeID(identity)
    color = _lesion_color(segmentation_node)
    if color is not None:
        display.SetColor(*color)
    display.SetVisibility(bool(visible and mips))


def keep_off_mips(scene, segmentation_node) -> None:
    """Show the segmentation in every view but the MIPs, where its cut through one plane would mislead."""
    mips = _mip_ids(scene)
    display = segmentation_node.GetDisplayNode()
    modifying = display.StartModify()
    display.RemoveAllViewNodeIDs()
    for class_name in ("vtkMRMLSliceNode", "vtkMRMLViewNode") if mips else ():
        for index in range(scene.GetNumberOfNodesByClass(class_name)):
            identity = scene.GetNthNodeByClass(index, class_name).GetID()
            if identity not in mips:
                display.AddViewNodeID(identity)
    display.EndModify(modifying)


def projected_outlines(segmentation_node, volume_node):
    """Return the outlines of the shown lesions on the volume's grid, as lines in RAS (vtkPolyData)."""
    display, segmentation = segmentation_node.GetDisplayNode(), segmentation_node.GetSegmentation()
    to_ras = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(to_ras)
    append = vtk.vtkAppendPolyData()
    append.AddInputData(vtk.vtkPolyData())
    for layer in layers_of(segmentation_node, volume_node):
        for label, segment_id in layer.segment_ids.items():
            if is_lesion(segmentation.GetSegment(segment_id)) and display.GetSegmentVisibility(segment_id):
                voxels = _cropped_voxels(layer, label)
                if voxels is not None:
                    append.AddInputData(_projected_outline(voxels, to_ras, min(volume_node.GetSpacing())))
    append.Update()
    return append.GetOutput()


def _cropped_voxels(layer, label: int):
    """Return the box around a label's voxels, 1 inside, at their indices in the volume; None without any."""
    from vtk.util.numpy_support import numpy_to_vtk

    inside = layer.labels == label
    box = []
    for axis in range(3):
        planes = inside.any(axis=tuple(other for other in range(3) if other != axis)).nonzero()[0]
        if len(planes) == 0:
            return None
        box.append(slice(int(planes[0]), int(planes[-1]) + 1))
    voxels = vtk.vtkImageData()
    first = [layer.box[axis].start + box[axis].start for axis in (2, 1, 0)]
    length = [box[axis].stop - box[axis].start for axis in (2, 1, 0)]
    voxels.SetExtent(*(end for a, n in zip(first, length, strict=True) for end in (a, a + n - 1)))
    cropped = inside[tuple(box)].astype("uint8").ravel()
    voxels.GetPointData().SetScalars(numpy_to_vtk(cropped, deep=True))
    return voxels


def _projected_outline(voxels, to_ras, pitch: float):
    """Project binary voxels along anterior-posterior on pixels of `pitch` mm; return the outline in RAS."""
    ranges = _ranges_in_ras(voxels, to_ras)
    counts = [math.ceil((high - low) / pitch) for low, high in ranges]
    (right, _last), (anterior, posterior), (superior, _last) = ranges
    to_voxels = vtk.vtkTransform()
    to_voxels.SetMatrix(to_ras)
    to_voxels.Inverse()
    # Columns: the picture's x is right, its y superior, its z anterior.
    axes = vtk.vtkMatrix4x4()
    axes.DeepCopy((1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1))

    reslice = vtk.vtkImageReslice()
    reslice.SetInputData(voxels)
    reslice.SetResliceAxes(axes)
    reslice.SetResliceTransform(to_voxels)
    reslice.SetInterpolationModeToNearestNeighbor()
    reslice.SetOutputDimensionality(3)
    reslice.SetOutputSpacing(pitch, pitch, pitch)
    # From half a pixel outside of the first face, so that the outline runs along the faces.
    reslice.SetOutputOrigin(right - pitch / 2.0, superior - pitch / 2.0, (anterior + posterior) / 2.0)
    reslice.SetOutputExtent(0, counts[0] + 1, 0, counts[2] + 1, 0, 0)
    reslice.SetSlabModeToMax()
    reslice.SetSlabNumberOfSlices(counts[1] + 1)

    contour = vtk.vtkContourFilter()
    contour.SetInputConnection(reslice.GetOutputPort())
    contour.SetValue(0, 0.5)
    lines = vtk.vtkStripper()
    lines.SetInputConnection(contour.GetOutputPort())
    from_picture = vtk.vtkTransform()
    from_picture.SetMatrix(axes)
    outline = vtk.vtkTransformPolyDataFilter()
    outline.SetInputConnection(lines.GetOutputPort())
    outline.SetTransform(from_picture)
    outline.Update()
    return outline.GetOutput()


def _ranges_in_ras(voxels, to_ras) -> list[tuple[float, float]]:
    """Return from where to where the voxels reach, face to face, along R, A and S in mm."""
    extent = voxels.GetExtent()
    faces = [(extent[2 * axis] - 0.5, extent[2 * axis + 1] + 0.5) for axis in range(3)]
    corners = [to_ras.MultiplyPoint((*corner, 1.0))[:3] for corner in itertools.product(*faces)]
    return [(min(axis), max(axis)) for axis in zip(*corners, strict=True)]


def _outline_model(scene):
    """Return the scene's one node with these outlines; not saved, for it is made from the segments."""
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLModelNode")):
        node = scene.GetNthNodeByClass(index, "vtkMRMLModelNode")
        if node.GetAttribute(_ATTRIBUTE):
            return node
    node = slicer.vtkMRMLModelNode()
    node.SetName(_("Lesion outlines on the MIPs (AMDiff)"))
    node.SetAttribute(_ATTRIBUTE, "1")
    node.SetHideFromEditors(True)
    node.SetSaveWithScene(False)
    node = scene.AddNode(node)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetSaveWithScene(False)
    display.SetVisibility2D(True)
    display.SetVisibility3D(False)
    display.SetSliceDisplayModeToProjection()
    display.SetSliceIntersectionThickness(_LINE_WIDTH)
    return node


def _mip_ids(scene) -> list[str]:
    return [slice_node.GetID() for _volume, _view, slice_node, _composite in slice_views(scene, MIP)]


def _lesion_color(segmentation_node):
    segmentation = segmentation_node.GetSegmentation()
    for segment_id in segmentation.GetSegmentIDs():
        if is_lesion(segmentation.GetSegment(segment_id)):
            return segmentation.GetSegment(segment_id).GetColor()
    return None
