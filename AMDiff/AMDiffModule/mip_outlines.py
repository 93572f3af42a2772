"""The lesions' outlines on the MIPs: a slice view outlines only what its own plane cuts."""

from __future__ import annotations

import math

import slicer
import vtk

from .display import is_lesion
from .reading_layout import MIP, slice_views
from .translation import _

_ATTRIBUTE = "AMDiff.mipOutlines"
_LINE_WIDTH = 2


def show_mip_outlines(scene, segmentation_node, *, visible: bool) -> None:
    """Outline the lesions that are shown, as they project along the patient's anterior axis, on the MIPs."""
    mips = _mip_ids(scene)
    model = _outline_model(scene)
    model.SetAndObservePolyData(projected_outlines(segmentation_node))
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


def projected_outlines(segmentation_node):
    """Return the outlines of the shown lesions, one by one, as lines in RAS (vtkPolyData)."""
    display, segmentation = segmentation_node.GetDisplayNode(), segmentation_node.GetSegmentation()
    append = vtk.vtkAppendPolyData()
    append.AddInputData(vtk.vtkPolyData())
    for segment_id in segmentation.GetSegmentIDs():
        if is_lesion(segmentation.GetSegment(segment_id)) and display.GetSegmentVisibility(segment_id):
            labels = slicer.vtkOrientedImageData()
            segmentation_node.GetBinaryLabelmapRepresentation(segment_id, labels)
            if not labels.IsEmpty():
                append.AddInputData(_projected_outline(labels))
    append.Update()
    return append.GetOutput()


def _projected_outline(labels):
    """Project a binary label map along anterior-posterior and return its outline in RAS."""
    pitch = min(labels.GetSpacing())
    world_to_image = vtk.vtkMatrix4x4()
    labels.GetWorldToImageMatrix(world_to_image)
    transform = vtk.vtkTransform()
    transform.SetMatrix(world_to_image)
    voxels = vtk.vtkImageData()
    voxels.SetExtent(labels.GetExtent())
    voxels.GetPointData().ShallowCopy(labels.GetPointData())
    bounds = [0.0] * 6
    labels.GetBounds(bounds)
    right, anterior, superior = bounds[0:2], bounds[2:4], bounds[4:6]
    # Columns: the picture's x is right, its y superior, its z anterior.
    axes = vtk.vtkMatrix4x4()
    axes.DeepCopy((1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1))

    reslice = vtk.vtkImageReslice()
    reslice.SetInputData(voxels)
    reslice.SetResliceAxes(axes)
    reslice.SetResliceTransform(transform)
    reslice.SetInterpolationModeToNearestNeighbor()
    reslice.SetOutputDimensionality(3)
    reslice.SetOutputSpacing(pitch, pitch, pitch)
    reslice.SetOutputOrigin(right[0] - pitch, superior[0] - pitch, sum(anterior) / 2.0)
    columns, rows, planes = (math.ceil((high - low) / pitch) for low, high in (right, superior, anterior))
    reslice.SetOutputExtent(0, columns + 2, 0, rows + 2, 0, 0)
    reslice.SetSlabModeToMax()
    reslice.SetSlabNumberOfSlices(planes + 1)

    contour = vtk.vtkContourFilter()
    contour.SetInputConnection(reslice.GetOutputPort())
    contour.SetValue(0, 0.5)
    lines = vtk.vtkStripper()
    lines.SetInputConnection(contour.GetOutputPort())
    to_ras = vtk.vtkTransform()
    to_ras.SetMatrix(axes)
    outline = vtk.vtkTransformPolyDataFilter()
    outline.SetInputConnection(lines.GetOutputPort())
    outline.SetTransform(to_ras)
    outline.Update()
    return outline.GetOutput()


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
