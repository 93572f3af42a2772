"""What the denoising changed: denoised minus low-count, in SUV; colours diverge from white at zero."""

from __future__ import annotations

import slicer
import vtk

from .node_marks import low_count_agrees, mark_as_suv, mark_as_synthetic, suv_factor_of_input
from .scene_import import DENOISED_ROLE
from .subject_hierarchy import put_beside
from .translation import _

# Blue over white to orange-red, told apart by the colour-blind: ends of ColorBrewer's RdBu, 11 classes.
_LESS, _ZERO, _MORE = (0.02, 0.19, 0.38), (1.0, 1.0, 1.0), (0.70, 0.09, 0.17)
_COLOR_TAG = "AMDiffDifference"
_COLORS = 256
# Half-width of the window in g/mL, half of the liver's SUV; fixed, like every window of reading.
DIFFERENCE_WINDOW_SUV = 1.0
# Denoising keeps the counts. A larger gap between the means says that the volumes are not in the same unit.
_LARGEST_MEAN_RATIO = 1.25


class DifferenceImpossible(ValueError):
    """The two volumes cannot be subtracted; the message says why."""


def difference_of(scene, nodes):
    """Return the difference volume of `nodes` (ResultNodes), made on the first call.

    Raises:
        DifferenceImpossible: the input was changed since the run: its grid or its unit is another one.
    """
    found = find_difference(scene, nodes)
    return found if found is not None else _make_difference(scene, nodes)


def find_difference(scene, nodes):
    """Return the difference volume of `nodes` (ResultNodes), or None when none has been made."""
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")):
        node = scene.GetNthNodeByClass(index, "vtkMRMLScalarVolumeNode")
        if node.GetNodeReferenceID(DENOISED_ROLE) == nodes.denoised.GetID():
            return node
    return None


def _make_difference(scene, nodes):
    low_count = slicer.util.arrayFromVolume(nodes.input) * suv_factor_of_input(nodes.denoised)
    denoised = slicer.util.arrayFromVolume(nodes.denoised)
    if low_count.shape != denoised.shape or not _same_place(nodes.input, nodes.denoised):
        raise DifferenceImpossible(
            _("'{name}' no longer lies on the grid of its result, so there is no difference to show.").format(
                name=nodes.input.GetName()
            )
        )
    if not low_count_agrees(nodes.denoised):
        raise DifferenceImpossible(
            _(
                "The values of '{name}' in the scene are not those that the job read from its files, so the "
                "difference would mislead."
            ).format(name=nodes.input.GetName())
        )
    before, after = float(low_count.mean()), float(denoised.mean())
    if not before / _LARGEST_MEAN_RATIO < after < before * _LARGEST_MEAN_RATIO:
        raise DifferenceImpossible(
            _(
                "'{name}' has a mean SUV of {before:.3g} and its denoised volume one of {after:.3g} g/mL: "
                "the values of one of them were changed since the run, so their difference would mislead."
            ).format(name=nodes.input.GetName(), before=before, after=after)
        )
    name = _("{name} difference (AMDiff)").format(name=nodes.input.GetName())
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    node.CopyOrientation(nodes.denoised)
    slicer.util.updateVolumeFromArray(node, (denoised - low_count).astype("float32"))
    mark_as_suv(node)
    mark_as_synthetic(node)
    node.SetDescription(
        _("Denoised minus low-count SUV, computed by AMDiff. Not a PET image. Not for diagnosis.")
    )
    node.AddNodeReferenceID(DENOISED_ROLE, nodes.denoised.GetID())
    put_beside(scene, node, nodes.input)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetAndObserveColorNodeID(_diverging_colors(scene).GetID())
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(-DIFFERENCE_WINDOW_SUV, DIFFERENCE_WINDOW_SUV)
    display.SetInterpolate(1)
    return node


def _same_place(first, second, *, tolerance_mm: float = 1e-3) -> bool:
    matrices = []
    for node in (first, second):
        matrix = vtk.vtkMatrix4x4()
        node.GetIJKToRASMatrix(matrix)
        matrices.append([matrix.GetElement(row, column) for row in range(4) for column in range(4)])
    return all(abs(a - b) <= tolerance_mm for a, b in zip(*matrices, strict=True))


def _diverging_colors(scene):
    """Return the colour table, added to the scene on the first call."""
    found = scene.GetSingletonNode(_COLOR_TAG, "vtkMRMLColorTableNode")
    if found is not None:
        return found
    transfer = vtk.vtkColorTransferFunction()
    transfer.SetColorSpaceToLab()
    for position, color in ((0.0, _LESS), (0.5, _ZERO), (1.0, _MORE)):
        transfer.AddRGBPoint(position, *color)
    table = slicer.vtkMRMLColorTableNode()
    table.SetName(_("Difference of SUV (AMDiff)"))
    table.SetSingletonTag(_COLOR_TAG)
    table.SetTypeToUser()
    table.SetNumberOfColors(_COLORS)
    for index in range(_COLORS):
        table.SetColor(index, *transfer.GetColor(index / (_COLORS - 1)), 1.0)
    return scene.AddNode(table)
