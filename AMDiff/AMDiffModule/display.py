"""How PET is read: inverted grey in a fixed SUV window, lesions outlined, organs faint."""

from __future__ import annotations

from .lesion_marks import is_lesion, show_rejected

# Upper ends of the SUV windows that readers use; the lower end is always 0.
SUV_WINDOWS = (5.0, 6.0, 7.0, 10.0)
USUAL_SUV_WINDOW = 7.0
INVERTED_GREY = "vtkMRMLColorTableNodeInvertedGrey"
PET_RAINBOW = "vtkMRMLPETProceduralColorNodePET-Rainbow"


def use_pet_window(volume_node, *, upper_suv: float = USUAL_SUV_WINDOW, suv_factor: float = 1.0) -> None:
    """Show a volume in inverted grey between SUV 0 and `upper_suv`; never in an automatic window.

    `suv_factor` turns the volume's values into SUV: 1 for a volume in SUV, else g/mL per unit, such as Bq/mL.
    """
    if volume_node.GetDisplayNode() is None:
        volume_node.CreateDefaultDisplayNodes()
    display = volume_node.GetDisplayNode()
    modifying = display.StartModify()
    display.SetAndObserveColorNodeID(INVERTED_GREY)
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(0.0, upper_suv / suv_factor)
    # Nearest-neighbour would show voxels of 4 mm as blocks.
    display.SetInterpolate(1)
    display.EndModify(modifying)


def show_lesions_and_organs(segmentation_node, *, lesions: bool = True, organs: bool = True) -> None:
    """Outline lesions strongly; fill organs faintly, so that the uptake stays readable through them."""
    display, segmentation = segmentation_node.GetDisplayNode(), segmentation_node.GetSegmentation()
    modifying = display.StartModify()
    for segment_id in segmentation.GetSegmentIDs():
        lesion = is_lesion(segmentation.GetSegment(segment_id))
        display.SetSegmentVisibility2DOutline(segment_id, lesions if lesion else organs)
        display.SetSegmentVisibility2DFill(segment_id, lesions if lesion else organs)
        display.SetSegmentOpacity2DFill(segment_id, 0.0 if lesion else 0.15)
        display.SetSegmentOpacity2DOutline(segment_id, 1.0 if lesion else 0.5)
        display.SetSegmentOpacity3D(segment_id, 1.0 if lesion else 0.25)
    show_rejected(segmentation_node)
    display.EndModify(modifying)


def show_in_3d(segmentation_node) -> None:
    """Make surfaces of the lesions and organs and show them in the 3D view."""
    segmentation_node.CreateClosedSurfaceRepresentation()
    segmentation_node.GetDisplayNode().SetVisibility3D(True)
