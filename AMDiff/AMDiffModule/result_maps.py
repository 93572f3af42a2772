"""The maps that say how sure the denoised volume is: its standard deviation, and how it fits the counts."""

from __future__ import annotations

from dataclasses import dataclass

import slicer
import vtk

from .node_marks import SUV_BODY_WEIGHT, coded_entry, mark_as_synthetic
from .translation import _

_COLORS = 256
_STANDARD_DEVIATION = ("386136009", "SCT", "Standard Deviation")
_NO_UNITS = ("1", "UCUM", "no units")
# Ends of ColorBrewer's Purples, and of its PuOr beside them: told apart by the colour-blind, and neither is
# the colour of the lesions' outlines or of the difference.
_PALE_PURPLE, _PURPLE = (0.85, 0.85, 0.92), (0.25, 0.00, 0.49)
_ORANGE, _PALE_ORANGE = (0.70, 0.35, 0.02), (1.00, 0.88, 0.71)
_PALE_TEAL, _TEAL = (0.70, 0.89, 0.86), (0.00, 0.38, 0.34)
_LEGEND_PLACE, _LEGEND_SIZE = (0.97, 0.6), (0.08, 0.6)
_LEGEND_TEXT_SIZE = 7


@dataclass(frozen=True, kw_only=True)
class MapKind:
    """One of the maps: its file, how the denoised volume refers to it, and how it is shown.

    `ramps` are (from, to, colour at from, colour at to) in the map's unit; between them it is transparent,
    and the denoised volume is seen. `name` has a place for the {name} of the input.
    """

    file: str
    role: str
    color_tag: str
    quantity: tuple[str, str, str] | None
    unit: tuple[str, str, str]
    window: tuple[float, float]
    ramps: tuple[tuple, ...]
    name: str
    description: str
    legend: str
    legend_labels: int
    view_label: str


UNCERTAINTY = MapKind(
    file="uncertainty.nrrd",
    role="AMDiff.uncertainty",
    color_tag="AMDiffUncertainty",
    quantity=_STANDARD_DEVIATION,
    unit=SUV_BODY_WEIGHT,
    window=(0.0, 1.0),
    ramps=((0.1, 1.0, _PALE_PURPLE, _PURPLE),),
    name=_("{name} uncertainty (AMDiff)"),
    description=_(
        "Standard deviation of the denoised SUV, estimated by AMDiff. Not a PET image. Not for diagnosis."
    ),
    legend=_("SD [g/mL]"),
    legend_labels=6,
    view_label=_("Denoised, uncertainty"),
)
COUNT_CONSISTENCY = MapKind(
    file="count_consistency.nrrd",
    role="AMDiff.countConsistency",
    color_tag="AMDiffCountConsistency",
    quantity=None,
    unit=_NO_UNITS,
    window=(-6.0, 6.0),
    ramps=((-6.0, -2.0, _TEAL, _PALE_TEAL), (2.0, 6.0, _PALE_ORANGE, _ORANGE)),
    name=_("{name} count consistency (AMDiff)"),
    description=_(
        "How far the denoised SUV of a region is from the low-count SUV, in standard deviations of the "
        "counting error. Computed by AMDiff. Not a PET image. Not for diagnosis."
    ),
    legend=_("z"),
    legend_labels=7,
    view_label=_("Denoised, counts (z)"),
)
KINDS = (UNCERTAINTY, COUNT_CONSISTENCY)


def find_map(denoised_node, kind: MapKind):
    """Return the map of a denoised volume, or None for a result of an older version."""
    return denoised_node.GetNodeReference(kind.role)


def describe_map(scene, node, denoised_node, kind: MapKind, input_name: str) -> None:
    """Say in a node what it is, give it unit, colours and window, and let the denoised volume refer to it."""
    node.SetName(kind.name.format(name=input_name))
    node.SetDescription(kind.description)
    mark_as_synthetic(node)
    if kind.quantity is not None:
        node.SetVoxelValueQuantity(coded_entry(*kind.quantity))
    node.SetVoxelValueUnits(coded_entry(*kind.unit))
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetAndObserveColorNodeID(_colors(scene, kind).GetID())
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(*kind.window)
    display.SetInterpolate(1)
    denoised_node.AddNodeReferenceID(kind.role, node.GetID())


def show_legend(scene, denoised_node, shown: MapKind | None, view_ids: list[str]) -> None:
    """Show the legend of one map of the result in these views, and of the other ones in none."""
    for kind in KINDS:
        node = find_map(denoised_node, kind)
        if node is None:
            continue
        legend = _legend_of(node)
        if kind is not shown:
            if legend is not None:
                legend.SetVisibility(False)
            continue
        legend = legend or _make_legend(scene, node, kind)
        legend.RemoveAllViewNodeIDs()
        for identity in view_ids:
            legend.AddViewNodeID(identity)
        legend.SetVisibility(bool(view_ids))


def _legend_of(volume_node):
    count = volume_node.GetNumberOfDisplayNodes()
    displays = [volume_node.GetNthDisplayNode(index) for index in range(count)]
    return next((node for node in displays if node.IsA("vtkMRMLColorLegendDisplayNode")), None)


def _make_legend(scene, volume_node, kind: MapKind):
    legend = scene.AddNewNodeByClass("vtkMRMLColorLegendDisplayNode")
    legend.SetTitleText(kind.legend)
    legend.SetLabelFormat("%.1f" if kind.window[0] == 0.0 else "%+.0f")
    legend.SetNumberOfLabels(kind.legend_labels)
    legend.SetPosition(*_LEGEND_PLACE)
    legend.SetSize(*_LEGEND_SIZE)
    for text in (legend.GetTitleTextProperty(), legend.GetLabelTextProperty()):
        text.SetColor(0.0, 0.0, 0.0)
        text.SetShadow(False)
        text.SetFontFamilyToArial()
        text.SetFontSize(_LEGEND_TEXT_SIZE)
    legend.SetAndObservePrimaryDisplayNode(volume_node.GetDisplayNode())
    volume_node.AddAndObserveDisplayNodeID(legend.GetID())
    return legend


def _colors(scene, kind: MapKind):
    """Return the map's colour table, added to the scene on the first call."""
    found = scene.GetSingletonNode(kind.color_tag, "vtkMRMLColorTableNode")
    if found is not None:
        return found
    transfer = vtk.vtkColorTransferFunction()
    transfer.SetColorSpaceToLab()
    for start, end, first, last in kind.ramps:
        transfer.AddRGBPoint(start, *first)
        transfer.AddRGBPoint(end, *last)
    low, high = kind.window
    table = slicer.vtkMRMLColorTableNode()
    table.SetName(kind.legend + " (AMDiff)")
    table.SetSingletonTag(kind.color_tag)
    table.SetTypeToUser()
    table.SetNumberOfColors(_COLORS)
    for index in range(_COLORS):
        value = low + (high - low) * index / (_COLORS - 1)
        inside = any(start <= value <= end for start, end, _first, _last in kind.ramps)
        table.SetColor(index, *transfer.GetColor(value), 1.0 if inside else 0.0)
    return scene.AddNode(table)
