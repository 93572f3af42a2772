"""How PET is read: inverted grey, a fixed SUV window, lesions outlined, organs faint, the table in view."""

from __future__ import annotations

import slicer
import vtk

from .measurement_table import first_lesion_ras

SUV_WINDOW = (0.0, 7.0)
_NEOPLASM_CODE = "108369006"


def use_pet_window(volume_node, window: tuple[float, float] = SUV_WINDOW) -> None:
    """Show a volume in SUV as inverted grey between two fixed values; never an automatic window."""
    display = volume_node.GetDisplayNode()
    display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeInvertedGrey")
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(*window)
    # Nearest-neighbour would show voxels of 4 mm as blocks.
    display.SetInterpolate(1)


def show_lesions_and_organs(segmentation_node) -> None:
    """Outline lesions strongly; fill organs faintly, so that the uptake stays readable through them."""
    display = segmentation_node.GetDisplayNode()
    for segment_id in segmentation_node.GetSegmentation().GetSegmentIDs():
        lesion = is_lesion(segmentation_node.GetSegmentation().GetSegment(segment_id))
        display.SetSegmentOpacity2DFill(segment_id, 0.0 if lesion else 0.15)
        display.SetSegmentOpacity2DOutline(segment_id, 1.0 if lesion else 0.5)
        display.SetSegmentOpacity3D(segment_id, 1.0 if lesion else 0.25)


def is_lesion(segment) -> bool:
    """Return whether the segment's terminology is (108369006, SCT, Neoplasm)."""
    terminology = vtk.reference("")
    found = segment.GetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), terminology)
    return bool(found) and _NEOPLASM_CODE in str(terminology)


def show_in_3d(segmentation_node) -> None:
    """Make surfaces of the lesions and organs and show them in the 3D view."""
    segmentation_node.CreateClosedSurfaceRepresentation()
    segmentation_node.GetDisplayNode().SetVisibility3D(True)


def show_results(
    scene, application_logic, *, low_count_node, denoised_node, table_node, same_window: bool
) -> None:
    """Arrange three planes, 3D and table; the denoised volume is shown, the low-count one fades in over it.

    The planes go through the first lesion, where there is one.

    `application_logic` is a vtkMRMLApplicationLogic; `same_window` is for a low-count volume in SUV.
    """
    if same_window:
        if low_count_node.GetDisplayNode() is None:
            low_count_node.CreateDefaultDisplayNodes()
        use_pet_window(low_count_node)
    layout = scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    if layout is not None:
        layout.SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpTableView)
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceCompositeNode")):
        composite = scene.GetNthNodeByClass(index, "vtkMRMLSliceCompositeNode")
        composite.SetBackgroundVolumeID(denoised_node.GetID())
        composite.SetForegroundVolumeID(low_count_node.GetID())
        composite.SetForegroundOpacity(0.0)
    selection = application_logic.GetSelectionNode()
    if selection is not None:
        selection.SetActiveVolumeID(denoised_node.GetID())
        selection.SetSecondaryVolumeID(low_count_node.GetID())
        selection.SetActiveTableID(table_node.GetID())
        application_logic.PropagateTableSelection()
    application_logic.FitSliceToBackground()
    if (lesion := first_lesion_ras(table_node)) is not None:
        for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceNode")):
            scene.GetNthNodeByClass(index, "vtkMRMLSliceNode").JumpSliceByOffsetting(*lesion)
