"""Marks in the views where denoised volume and counts disagree: at lesions, and at removed hot spots."""

from __future__ import annotations

import vtk

from .measurement_table import lesion_ras
from .node_marks import mark_as_synthetic
from .reading_layout import MIP, slice_views
from .subject_hierarchy import put_beside
from .translation import _
from .trust_facts import removed_hot_spots, unsupported_lesions

_ROLE = "AMDiff.countMarks"
_COLOR = (0.72, 0.0, 0.55)  # magenta: neither the lesions' outlines, nor a map, nor the crosshair
_GLYPH_PERCENT, _TEXT_PERCENT = 1.6, 2.6
_PLANES_DISPLAY, _MIP_DISPLAY = 0, 1


def update_count_marks(scene, nodes) -> None:
    """Mark the lesions that the counts do not support, and the hot spots that the output removed.

    `nodes` are ResultNodes; the marks are those of their table as it is now. Without any, there is no node.
    """
    points = [
        (_("{name} ?").format(name=name), lesion_ras(nodes.table, row))
        for row, name in unsupported_lesions(nodes.table)
    ]
    points += [
        (_("Removed {number}").format(number=spot.number), spot.ras)
        for spot in removed_hot_spots(nodes.denoised)
    ]
    node = nodes.denoised.GetNodeReference(_ROLE)
    if not points:
        if node is not None:
            scene.RemoveNode(node)
        return
    node = node or _make_marks(scene, nodes)
    modified = node.StartModify()
    node.SetLocked(False)
    node.RemoveAllControlPoints()
    for label, ras in points:
        node.AddControlPoint(vtk.vtkVector3d(*ras), label)
    node.SetLocked(True)
    node.EndModify(modified)


def show_count_marks(scene, nodes, *, visible: bool) -> None:
    """Show the marks in the planes that cut them, and on the MIPs as they project."""
    node = nodes.denoised.GetNodeReference(_ROLE)
    if node is None:
        return
    mips = [slice_node.GetID() for _volume, _view, slice_node, _composite in slice_views(scene, MIP)]
    others = [
        identity
        for class_name in ("vtkMRMLSliceNode", "vtkMRMLViewNode")
        for index in range(scene.GetNumberOfNodesByClass(class_name))
        if (identity := scene.GetNthNodeByClass(index, class_name).GetID()) not in mips
    ]
    for which, views in ((_PLANES_DISPLAY, others), (_MIP_DISPLAY, mips)):
        display = node.GetNthDisplayNode(which)
        display.RemoveAllViewNodeIDs()
        for identity in views:
            display.AddViewNodeID(identity)
        # Without a view of its own, a display node would show in all.
        display.SetVisibility(bool(visible and views))


def _make_marks(scene, nodes):
    name = _("{name} count check (AMDiff)").format(name=nodes.input.GetName())
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
    node.SetDescription(
        _("Where the denoised volume and the counts disagree, found by AMDiff. Not for diagnosis.")
    )
    mark_as_synthetic(node)
    node.CreateDefaultDisplayNodes()
    second = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialDisplayNode")
    node.AddAndObserveDisplayNodeID(second.GetID())
    for which in (_PLANES_DISPLAY, _MIP_DISPLAY):
        display = node.GetNthDisplayNode(which)
        display.SetSelectedColor(*_COLOR)
        display.SetColor(*_COLOR)
        display.SetGlyphTypeFromString("Cross2D")
        display.SetUseGlyphScale(True)
        display.SetGlyphScale(_GLYPH_PERCENT)
        display.SetTextScale(_TEXT_PERCENT)
        display.SetVisibility3D(which == _PLANES_DISPLAY)
    second.SetSliceProjection(True)
    second.SetSliceProjectionUseFiducialColor(True)
    second.SetSliceProjectionOpacity(1.0)
    nodes.denoised.AddNodeReferenceID(_ROLE, node.GetID())
    put_beside(scene, node, nodes.input)
    return node
